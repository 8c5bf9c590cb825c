//! `cfs-repl schema [NAME]`: the JSON Schema of what `-o json` and `-o jsonl` print.
//!
//! One schema has one name, that of the key `schema` in what it describes. Fields are only added within a version, so
//! no schema forbids what it does not know.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::check::CheckItem;
use super::columns::nearest;
use super::compare::DifferenceItem;
use super::config::check::ProblemItem;
use super::config::show::SettingItem;
use super::conflicts::watch::ChangeItem;
use super::exit::{CliResult, Exit, Failure};
use super::lag::ShardItem;
use super::render::{ErrorDocument, Row, View, schema_of};
use super::ui::Ui;
use super::version::VersionItem;
use crate::admin::view::journal::{EntryDetail, EntryView, LogView, VerifyView};
use crate::admin::view::preview::{FateView, SitePreview};
use crate::admin::view::{
    ConflictDetail, ConflictView, EventView, Finding, InvitationView, InviteView, SavedView,
    SiteLag, SiteView, StatusView,
};

/// Which dialect the schemas are written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A schema: its name, what it describes, and how it is made.
type Entry = (&'static str, &'static str, fn(&str) -> Value);

/// Every schema, by name. A document is what `-o json` prints, a line is one of `-o jsonl`.
const SCHEMAS: &[Entry] = &[
    ("check", "check", both::<CheckItem>),
    ("compact", "compact --dry-run", both::<SitePreview>),
    (
        "compact-entries",
        "compact --dry-run --show",
        both::<FateView>,
    ),
    ("compare", "compare DIR_A DIR_B", both::<DifferenceItem>),
    ("config-check", "config check", both::<ProblemItem>),
    ("config-show", "config show", both::<SettingItem>),
    (
        "conflict",
        "conflicts show; a line of conflicts list",
        conflict,
    ),
    (
        "conflict-change",
        "a line of conflicts watch",
        line::<ChangeItem>,
    ),
    (
        "conflict-saved",
        "conflicts show --save-loser",
        both::<SavedView>,
    ),
    ("conflicts", "conflicts list", document::<ConflictView>),
    ("doctor", "doctor", both::<Finding>),
    ("error", "every failure, on stderr", error),
    ("event", "a line of events", line::<EventView>),
    ("events", "events", document::<EventView>),
    ("invitation", "peer invite", both::<InviteView>),
    ("invitations", "peer invitations", both::<InvitationView>),
    ("journal", "journal tail", both::<EntryView>),
    ("journal-entry", "journal show", both::<EntryDetail>),
    ("journal-stat", "journal stat", both::<LogView>),
    ("journal-verify", "journal verify", both::<VerifyView>),
    ("lag", "lag", both::<SiteLag>),
    (
        "lag-shards",
        "lag --per-shard, lag --shard",
        both::<ShardItem>,
    ),
    (
        "site",
        "a line of sites list and sites show",
        line::<SiteView>,
    ),
    ("sites", "sites list, sites show", document::<SiteView>),
    ("status", "status", both::<StatusView>),
    ("version", "version", both::<VersionItem>),
];

/// Print the JSON Schema of what a command prints, or list the schemas
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {
    /// Name of the schema, as in the key "schema" of the output; all are listed, if not given
    name: Option<String>,
}

pub(super) fn run(ui: &mut Ui, args: &SchemaArgs) -> CliResult {
    let Some(name) = &args.name else {
        return ui.show(&list());
    };
    // As it stands in the output, too.
    let short = name.strip_prefix("cfs-repl/").unwrap_or(name);
    let short = short.strip_suffix("/v1").unwrap_or(short);
    match text(short) {
        Some(text) => ui.data(&text),
        None => {
            let names = SCHEMAS.iter().map(|(name, ..)| *name);
            let known: Vec<&str> = names.clone().collect();
            let failure = Failure::new(Exit::Usage, format!("no schema \"{name}\""))
                .cause(format!("schemas are: {}", known.join(", ")));
            Err(match nearest(short, names) {
                Some(near) => failure.hint(format!("did you mean {near}?")),
                None => failure.hint("cfs-repl schema lists them"),
            }
            .into())
        }
    }
}

fn list() -> View {
    let row = |(name, of, _): &Entry| Row {
        name: (*name).to_owned(),
        cells: vec![(*name).to_owned(), (*of).to_owned()],
        item: json!({ "name": name, "schema_name": schema_of(name), "of": of }),
    };
    View {
        command: "schema",
        site: None,
        columns: &["NAME", "OF"],
        rows: SCHEMAS.iter().map(row).collect(),
    }
}

/// The schema with this name, as a file holds it.
fn text(name: &str) -> Option<String> {
    let (name, _, make) = SCHEMAS.iter().find(|(known, ..)| *known == name)?;
    let schema = make(name);
    serde_json::to_string_pretty(&schema)
        .ok()
        .map(|text| text + "\n")
}

/// A document with items of this type, or a line that is one.
fn both<T: JsonSchema>(name: &str) -> Value {
    let (item, mut definitions) = parts::<T>();
    definitions.insert("Line".to_owned(), as_line(item.clone(), name));
    definitions.insert("Document".to_owned(), as_document(name));
    definitions.insert("Item".to_owned(), item);
    any_of(name, &["Document", "Line"], definitions)
}

/// A document with items of this type.
fn document<T: JsonSchema>(name: &str) -> Value {
    let (item, mut definitions) = parts::<T>();
    definitions.insert("Document".to_owned(), as_document(name));
    definitions.insert("Item".to_owned(), item);
    any_of(name, &["Document"], definitions)
}

/// A line that is of this type.
fn line<T: JsonSchema>(name: &str) -> Value {
    let (item, mut definitions) = parts::<T>();
    definitions.insert("Line".to_owned(), as_line(item, name));
    any_of(name, &["Line"], definitions)
}

/// A conflict is listed in short, and shown with both of its versions.
fn conflict(name: &str) -> Value {
    let (short, mut definitions) = parts::<ConflictView>();
    let (whole, more) = parts::<ConflictDetail>();
    definitions.extend(more);
    definitions.insert("Line".to_owned(), as_line(short, name));
    definitions.insert("WholeLine".to_owned(), as_line(whole.clone(), name));
    definitions.insert("Document".to_owned(), as_document(name));
    definitions.insert("Item".to_owned(), whole);
    any_of(name, &["Document", "WholeLine", "Line"], definitions)
}

fn error(name: &str) -> Value {
    let (mut item, mut definitions) = parts::<ErrorDocument>();
    if let Some(schema) = item.pointer_mut("/properties/schema") {
        *schema = json!({ "const": schema_of(name) });
    }
    definitions.insert("Document".to_owned(), item);
    any_of(name, &["Document"], definitions)
}

/// The schema of a type, and those of the types in it.
fn parts<T: JsonSchema>() -> (Value, Map<String, Value>) {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let schema: Schema = settings.into_generator().into_root_schema_for::<T>();
    let mut item = schema.to_value();
    let mut definitions = Map::new();
    if let Some(fields) = item.as_object_mut() {
        fields.remove("$schema");
        if let Some(Value::Object(found)) = fields.remove("$defs") {
            definitions = found;
        }
    }
    (item, definitions)
}

fn any_of(name: &str, kinds: &[&str], definitions: Map<String, Value>) -> Value {
    let kinds: Vec<Value> = kinds
        .iter()
        .map(|kind| json!({ "$ref": format!("#/$defs/{kind}") }))
        .collect();
    json!({
        "$schema": DIALECT,
        "title": schema_of(name),
        "anyOf": kinds,
        "$defs": definitions,
    })
}

/// What stands around items.
fn as_document(name: &str) -> Value {
    let mut properties = head(name);
    properties.insert(
        "site".to_owned(),
        json!({
            "type": ["string", "null"],
            "description": "Name of the site that answered; null: no daemon was asked.",
        }),
    );
    properties.insert(
        "items".to_owned(),
        json!({
            "type": "array",
            "items": { "$ref": "#/$defs/Item" },
            "description": "What was found.",
        }),
    );
    json!({
        "type": "object",
        "description": "What -o json prints, and -o yaml.",
        "required": properties.keys().collect::<Vec<_>>(),
        "properties": properties,
    })
}

/// An item that stands alone, and says what it is.
fn as_line(mut item: Value, name: &str) -> Value {
    let head = head(name);
    if let Some(fields) = item.as_object_mut() {
        fields.remove("title");
        let required = fields.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            required.extend(head.keys().map(|key| key.as_str().into()));
        }
        let properties = fields.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.extend(head);
        }
    }
    item
}

/// The keys that say what it is and how old.
fn head(name: &str) -> Map<String, Value> {
    let keys = [
        ("schema", json!({ "const": schema_of(name) })),
        (
            "generated_at",
            json!({
                "type": ["string", "null"],
                "format": "date-time",
                "description": "When this was printed, in UTC as RFC 3339 with microseconds.",
            }),
        ),
        (
            "generated_us",
            json!({
                "type": "integer",
                "minimum": 0,
                "description": "The same time in microseconds since 1970-01-01 UTC.",
            }),
        ),
    ];
    keys.into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::render::Format;
    use crate::cli::ui::tests::captured;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Set to rewrite the kept schemas instead of comparing them.
    const REGENERATE: &str = "CFS_REPL_REGENERATE";

    /// Holds what was printed against the schema that it names, which here must know every key of it.
    pub(in crate::cli) fn assert_valid(printed: &Value) {
        let name = printed["schema"].as_str().unwrap_or_default();
        let name = name
            .strip_prefix("cfs-repl/")
            .and_then(|name| name.strip_suffix("/v1"));
        let text = text(name.unwrap_or_default());
        let mut schema: Value =
            serde_json::from_str(&text.expect("a schema with this name")).unwrap();
        close(&mut schema);
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(printed)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{printed:#}");
    }

    /// Forbids keys that are not named.
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(fields) => {
                fields.values_mut().for_each(close);
                if fields.get("properties").is_some_and(Value::is_object)
                    && fields.get("type").is_some_and(|kind| kind == "object")
                {
                    fields.insert("additionalProperties".to_owned(), false.into());
                }
            }
            Value::Array(items) => items.iter_mut().for_each(close),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn the_schemas_are_those_that_are_kept() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
        // What `config schema` prints is no output of a daemon, and has a test of its own.
        let mut names = BTreeSet::from([folder.join("config.json")]);
        for (name, ..) in SCHEMAS {
            let (mut ui, data, _) = captured(Format::Table);
            let wanted = Some(schema_of(name));
            run(&mut ui, &SchemaArgs { name: wanted }).unwrap();
            let file = folder.join(format!("{name}.json"));
            if std::env::var_os(REGENERATE).is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&file, data.text()).unwrap();
            }
            let kept = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                kept == data.text(),
                "{} is stale; run: {REGENERATE}=1 cargo test the_schemas",
                file.display()
            );
            names.insert(file);
        }
        let files = std::fs::read_dir(&folder).unwrap();
        let files: BTreeSet<_> = files.map(|file| file.unwrap().path()).collect();
        assert_eq!(files, names, "files that no schema belongs to");
    }

    #[test]
    fn a_schema_that_knows_less_than_is_printed_is_noticed() {
        let (mut ui, data, _) = captured(Format::Json);
        ui.show(&crate::cli::version::view().unwrap()).unwrap();
        let mut printed: Value = serde_json::from_str(&data.text()).unwrap();
        assert_valid(&printed);
        printed["items"][0]["novel"] = json!(1);
        let is_noticed = std::panic::catch_unwind(|| assert_valid(&printed)).is_err();
        assert!(is_noticed);
    }

    #[test]
    fn every_schema_describes_itself_and_its_examples() {
        for (name, ..) in SCHEMAS {
            let schema: Value = serde_json::from_str(&text(name).unwrap()).unwrap();
            jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(
                !text(name).unwrap().contains("[`"),
                "{name}: a link of the code"
            );
        }
    }

    #[test]
    fn a_name_that_is_none_is_told_with_the_nearest() {
        let (mut ui, _, talk) = captured(Format::Table);
        let name = Some("confict".to_owned());
        let result = run(&mut ui, &SchemaArgs { name });
        assert_eq!(ui.finish(result), Exit::Usage);
        assert!(
            talk.text().ends_with("hint:  did you mean conflict?\n"),
            "{}",
            talk.text()
        );
    }
}
