//! `cfs-repl config show`: what holds in the end, key by key.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::File;
use crate::cli::exit::{CliError, CliResult};
use crate::cli::render::{Row, View};
use crate::cli::status::item;
use crate::cli::ui::Ui;
use crate::config::{Config, Setting, Source, Spot};

/// Show every key of the configuration and what holds for it
///
/// Secrets, such as what follows the host in a URL, are not shown.
///
/// Example: cfs-repl config show --origin
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Show where each value comes from, and the default where it is another one; JSON always does
    #[arg(long)]
    origin: bool,
    #[command(flatten)]
    file: File,
}

/// Shows a configuration that can be used.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn run(ui: &mut Ui, args: &ShowArgs) -> CliResult {
    let examined = Config::examine(&args.file.config);
    let config = examined.config?;
    ui.show(&view(&config.site.name, &examined.settings, args.origin)?)
}

/// A key of the configuration, and what holds for it.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct SettingItem {
    /// The key, with dots.
    key: String,
    /// What holds; null: nothing, which is no fault.
    value: Option<Value>,
    /// What would hold by itself; null: nothing.
    default: Option<Value>,
    /// Where the value comes from.
    origin: OriginItem,
}

/// Where a value comes from.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct OriginItem {
    /// The kind of the source, or default.
    kind: String,
    /// The file; null: it is no file.
    file: Option<String>,
    /// Its line, from 1; null: not known, or there is none.
    line: Option<usize>,
    /// Its column, from 1.
    column: Option<usize>,
    /// The variable of the environment; null: it is no variable.
    variable: Option<String>,
}

fn view(site: &str, settings: &[Setting], has_origin: bool) -> Result<View, CliError> {
    let columns: &[&str] = if has_origin {
        &["KEY", "VALUE", "ORIGIN", "DEFAULT"]
    } else {
        &["KEY", "VALUE"]
    };
    let row = |setting: &Setting| -> Result<Row, CliError> {
        let mut cells = vec![setting.key.clone(), literal(setting.value.as_ref())];
        if has_origin {
            cells.push(origin(setting.origin.as_ref()));
            // What is as it would be anyway is not told twice.
            let is_other = setting.value != setting.default;
            let default = is_other.then(|| literal(setting.default.as_ref()));
            cells.push(default.unwrap_or_default());
        }
        Ok(Row {
            name: setting.key.clone(),
            cells,
            item: item(&SettingItem {
                key: setting.key.clone(),
                value: setting.value.clone(),
                default: setting.default.clone(),
                origin: origin_item(setting.origin.as_ref()),
            })?,
        })
    };
    Ok(View {
        command: "config-show",
        site: Some(site.to_owned()),
        columns,
        rows: settings.iter().map(row).collect::<Result<_, _>>()?,
    })
}

/// As it would stand behind the `=`: strings, numbers and lists of JSON are those of TOML.
fn literal(value: Option<&Value>) -> String {
    value.map_or_else(|| "-".to_owned(), Value::to_string)
}

fn origin(spot: Option<&Spot>) -> String {
    match spot {
        None => "default".to_owned(),
        Some(Spot { source, place }) => match place {
            Some(place) => format!("{source}:{}", place.line),
            None => source.to_string(),
        },
    }
}

fn origin_item(spot: Option<&Spot>) -> OriginItem {
    let Some(Spot { source, place }) = spot else {
        return OriginItem {
            kind: "default".to_owned(),
            ..OriginItem::default()
        };
    };
    let kind = source.kind().to_owned();
    match source {
        Source::File(_) | Source::DropIn(_) | Source::Peers(_) => OriginItem {
            kind,
            file: Some(source.to_string()),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            variable: None,
        },
        Source::Variable(name) => OriginItem {
            kind,
            variable: Some(name.clone()),
            ..OriginItem::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::{Format, render};
    use crate::config::Place;
    use serde_json::json;

    fn settings() -> Vec<Setting> {
        let place = Some(Place { line: 3, column: 9 });
        let file = Source::File("/etc/cfs-repl/config.toml".into());
        let setting = |key: &str, value: Option<Value>, default, origin| Setting {
            key: key.to_owned(),
            value,
            default,
            origin,
        };
        vec![
            setting(
                "tree.settle",
                Some(json!("2s")),
                Some(json!("1s")),
                Some(Spot {
                    source: file,
                    place,
                }),
            ),
            setting("tree.exclude", Some(json!([])), Some(json!([])), None),
            setting(
                "log.level",
                Some(json!("debug")),
                Some(json!("info")),
                Some(Spot {
                    source: Source::Variable("CFS_REPL_LOG__LEVEL".to_owned()),
                    place: None,
                }),
            ),
            setting("admin.listen", None, None, None),
        ]
    }

    #[test]
    fn every_key_is_shown_with_what_set_it() {
        let text = render(&view("fra-1", &settings(), true).unwrap(), Format::Table, 0);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines,
            [
                vec!["KEY", "VALUE", "ORIGIN", "DEFAULT"],
                vec![
                    "tree.settle",
                    "\"2s\"",
                    "/etc/cfs-repl/config.toml:3",
                    "\"1s\""
                ],
                vec!["tree.exclude", "[]", "default"],
                vec!["log.level", "\"debug\"", "CFS_REPL_LOG__LEVEL", "\"info\""],
                vec!["admin.listen", "-", "default"],
            ]
        );
        let text = render(
            &view("fra-1", &settings(), false).unwrap(),
            Format::Table,
            0,
        );
        assert!(text.starts_with("KEY           VALUE\n"), "{text}");
    }

    #[test]
    fn scripts_get_default_and_origin_without_asking() {
        let items = view("fra-1", &settings(), false).unwrap().rows;
        assert_eq!(
            items[0].item,
            json!({
                "key": "tree.settle", "value": "2s", "default": "1s",
                "origin": {
                    "kind": "file", "file": "/etc/cfs-repl/config.toml", "line": 3, "column": 9, "variable": null,
                },
            })
        );
        assert_eq!(items[3].item["value"], Value::Null);
        assert_eq!(items[2].item["origin"]["variable"], "CFS_REPL_LOG__LEVEL");
    }
}
