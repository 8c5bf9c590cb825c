//! Pure: the configuration as JSON Schema, for editors.
//!
//! Editors check one file at a time, and a drop-in may hold a single key: so no section of the schema requires any,
//! except for `[[peer]]`, which stands alone.

use serde_json::{Map, Value as Json, json};

use super::NAME_BYTES_MAX;
use super::example::explained;
use super::keys::{Form, Key, SECTIONS, Section, Unset};
use super::value::{Kind, as_toml};

/// The schema.
pub(super) fn schema() -> Json {
    let sections: Map<String, Json> = SECTIONS
        .iter()
        .map(|found| (found.name.to_owned(), section(found)))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cfs-repl configuration",
        "description": "Configuration of one cfs-repl site, and of the files in conf.d beside it.",
        "type": "object",
        "additionalProperties": false,
        "properties": sections,
    })
}

fn section(section: &Section) -> Json {
    let keys: Map<String, Json> = section
        .keys
        .iter()
        .map(|found| (found.name.to_owned(), key(found)))
        .collect();
    let mut table = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": keys,
    });
    if section.form == Form::Many {
        let is_required = |key: &&Key| matches!(key.unset, Unset::Required { .. });
        let required = section.keys.iter().filter(is_required);
        table["required"] = required.map(|key| key.name).collect();
        table = json!({ "type": "array", "items": table });
    }
    if !section.doc.is_empty() {
        table["description"] = json!(section.doc);
    }
    table
}

fn key(key: &Key) -> Json {
    let mut schema = kind(key.kind);
    let mut description = explained(key);
    match key.unset {
        Unset::Value(literal) => {
            if let Some(value) = literal_json(key.kind, literal) {
                schema["default"] = value;
            }
        }
        Unset::Required { .. } => description.push_str(" Required."),
        Unset::InState(_) | Unset::Nothing { .. } => {}
    }
    schema["description"] = json!(description);
    schema
}

/// A default as it is spelled in the table, not as a value would be written again.
fn literal_json(kind: Kind, literal: &str) -> Option<Json> {
    let value = as_toml(literal).ok()?;
    match value.get_ref().as_str() {
        Some(text) => Some(json!(text)),
        None => {
            let value = kind.read(value.get_ref(), std::path::Path::new("")).ok()?;
            Some(value.to_json())
        }
    }
}

fn kind(kind: Kind) -> Json {
    match kind {
        Kind::Integer { min, max: u64::MAX } => json!({ "type": "integer", "minimum": min }),
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Name => pattern(&format!(
            "^(?=.{{1,{NAME_BYTES_MAX}}}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
        )),
        Kind::Duration { .. } => pattern("^([0-9]+(d|h|m|s|ms))+$"),
        Kind::Size { .. } => pattern("^[0-9]+(B|KiB|MiB|GiB|TiB)$"),
        Kind::Percent => pattern("^([1-9][0-9]?|100)%$"),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Words(words) => list(&json!({ "type": "string", "enum": words })),
        Kind::Texts | Kind::CertNames => list(&json!({ "type": "string" })),
        Kind::Endpoints => list(&pattern("^[^/]+:[0-9]+$")),
        Kind::Address => pattern("^.+:[0-9]+$"),
        Kind::Url => pattern("^https?://."),
        Kind::Path | Kind::Group => json!({ "type": "string", "minLength": 1 }),
        Kind::Filter => json!({ "type": "string" }),
    }
}

fn pattern(pattern: &str) -> Json {
    json!({ "type": "string", "pattern": pattern })
}

fn list(items: &Json) -> Json {
    json!({ "type": "array", "items": items })
}
