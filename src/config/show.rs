//! Pure: what holds in the end, key by key, and what set it.

use serde_json::Value as Json;

use super::keys::{Form, Key, SECTIONS};
use super::problem::{Findings, Spot};
use super::reader::Settings;
use super::value::{Kind, Value, redacted};

/// A key and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Full name: `tree.root`, `peer[0].id`.
    pub key: String,
    /// What holds, as it would stand in a file; none when nothing does. Secrets are left out of it.
    pub value: Option<Json>,
    /// What would hold if it was not set; none when nothing would.
    pub default: Option<Json>,
    /// What set it; none when nothing did.
    pub origin: Option<Spot>,
}

/// Every key there is, in the order of the example; of peers, every key of each.
pub(super) fn settings(settings: &Settings, findings: &Findings) -> Vec<Setting> {
    let mut shown = Vec::new();
    for section in SECTIONS {
        let names: Vec<String> = match section.form {
            Form::Once | Form::Optional => vec![section.name.to_owned()],
            Form::Many => (0..settings.peers())
                .map(|at| format!("{}[{at}]", section.name))
                .collect(),
        };
        for name in names {
            let keys = section.keys.iter();
            shown.extend(keys.map(|key| setting(&name, key, settings, findings)));
        }
    }
    shown
}

fn setting(section: &str, key: &Key, settings: &Settings, findings: &Findings) -> Setting {
    let full = format!("{section}.{}", key.name);
    let value = settings.value(&full).map(|value| shown(key.kind, &value));
    Setting {
        value,
        default: settings.default_of(&full).map(|value| value.to_json()),
        origin: findings.place(&full),
        key: full,
    }
}

fn shown(kind: Kind, value: &Value) -> Json {
    match (kind, value) {
        (Kind::Url, Value::Text(url)) => Json::String(redacted(url)),
        _ => value.to_json(),
    }
}
