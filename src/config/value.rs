//! Pure: what a key may hold: read from TOML or from a variable, checked, and written again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::de::DeValue;
use tracing_subscriber::EnvFilter;

use super::check::name;
use super::problem::Refusal;
use super::suggest::nearest;
use super::units::{
    Endpoint, format_duration, format_size, is_host_name, parse_duration, parse_listen,
    parse_percent, parse_size,
};
use super::{Existing, LogFormat, Role};

/// Longest name of a group in bytes; what useradd(8) accepts.
const GROUP_BYTES_MAX: usize = 32;
/// Words that are a level by themselves in a filter; anything else alone would name a part, and show all of it.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number.
    Integer {
        /// Least.
        min: u64,
        /// Greatest.
        max: u64,
    },
    /// true or false.
    Switch,
    /// A name of a site or cluster.
    Name,
    /// A group of the system.
    Group,
    /// A path.
    Path,
    /// A time such as `30s`.
    Duration {
        /// Least.
        min: Duration,
        /// `0s` is possible as well.
        or_zero: bool,
    },
    /// A size such as `64MiB`.
    Size {
        /// Least.
        min: u64,
        /// Greatest.
        max: u64,
    },
    /// A share such as `50%`.
    Percent,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// Any of a few words.
    Words(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// Places where a peer listens.
    Endpoints,
    /// DNS names of certificates.
    CertNames,
    /// An address of this machine to listen on.
    Address,
    /// A URL, http or https. What follows the host may be a secret.
    Url,
    /// A filter of log lines.
    Filter,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A number, or a size in bytes.
    Integer(u64),
    /// A size in bytes.
    Size(u64),
    /// A share.
    Percent(u8),
    /// A switch.
    Switch(bool),
    /// A text.
    Text(String),
    /// A path, absolute if the folder of the file was.
    Path(PathBuf),
    /// A time.
    Duration(Duration),
    /// Texts.
    Texts(Vec<String>),
    /// Endpoints.
    Endpoints(Vec<Endpoint>),
    /// An address.
    Address(SocketAddr),
}

impl Kind {
    /// Reads a value of TOML; relative paths are joined to `base`.
    pub(super) fn read(self, value: &DeValue<'_>, base: &Path) -> Result<Value, Refusal> {
        match self {
            Self::Integer { min, max } => integer(value, min, max).map(Value::Integer),
            Self::Switch => switch(value).map(Value::Switch),
            Self::Words(_) | Self::Texts | Self::Endpoints | Self::CertNames => {
                self.read_list(&texts(value)?)
            }
            Self::Path => path(&text(value)?, base).map(Value::Path),
            Self::Name
            | Self::Group
            | Self::Duration { .. }
            | Self::Size { .. }
            | Self::Percent
            | Self::Word(_)
            | Self::Address
            | Self::Url
            | Self::Filter => self.read_text(&text(value)?),
        }
    }

    /// Reads what stands in a variable: a text without quotes, a list as in TOML or with commas.
    pub(super) fn read_variable(self, raw: &str) -> Result<Value, Refusal> {
        match self {
            Self::Words(_) | Self::Texts | Self::Endpoints | Self::CertNames => {
                if raw.trim_start().starts_with('[') {
                    return self.read(as_toml(raw)?.get_ref(), Path::new(""));
                }
                let items = raw.split(',').map(|item| item.trim().to_owned());
                let items: Vec<String> = items.filter(|item| !item.is_empty()).collect();
                self.read_list(&items)
            }
            Self::Integer { .. } | Self::Switch => {
                self.read(as_toml(raw)?.get_ref(), Path::new(""))
            }
            Self::Path if !raw.starts_with('/') => Err(Refusal::new(
                format!("\"{raw}\" is no absolute path"),
                "write an absolute one: a variable belongs to no folder",
            )),
            Self::Path => path(raw, Path::new("")).map(Value::Path),
            Self::Name
            | Self::Group
            | Self::Duration { .. }
            | Self::Size { .. }
            | Self::Percent
            | Self::Word(_)
            | Self::Address
            | Self::Url
            | Self::Filter => self.read_text(raw),
        }
    }

    fn read_text(self, text: &str) -> Result<Value, Refusal> {
        match self {
            Self::Name => name(text).map(Value::Text),
            Self::Group => group(text).map(Value::Text),
            Self::Duration { min, or_zero } => duration(text, min, or_zero).map(Value::Duration),
            Self::Size { min, max } => size(text, min, max).map(Value::Size),
            Self::Percent => parse_percent(text).map(Value::Percent),
            Self::Word(words) => word(text, words).map(Value::Text),
            Self::Address => parse_listen(text).map(Value::Address),
            Self::Url => url(text).map(Value::Text),
            Self::Filter => filter(text).map(Value::Text),
            Self::Integer { .. }
            | Self::Switch
            | Self::Path
            | Self::Words(_)
            | Self::Texts
            | Self::Endpoints
            | Self::CertNames => Ok(Value::Text(text.to_owned())),
        }
    }

    fn read_list(self, items: &[String]) -> Result<Value, Refusal> {
        let all = |parse: &dyn Fn(&str) -> Result<String, Refusal>| {
            let read: Result<Vec<String>, Refusal> = items.iter().map(|item| parse(item)).collect();
            read.map(Value::Texts)
        };
        match self {
            Self::Endpoints => {
                let read: Result<Vec<Endpoint>, Refusal> =
                    items.iter().map(|item| item.parse()).collect();
                read.map(Value::Endpoints)
            }
            Self::Words(words) => all(&|item| word(item, words)),
            Self::CertNames => all(&cert_name),
            Self::Integer { .. }
            | Self::Switch
            | Self::Name
            | Self::Group
            | Self::Path
            | Self::Duration { .. }
            | Self::Size { .. }
            | Self::Percent
            | Self::Word(_)
            | Self::Texts
            | Self::Address
            | Self::Url
            | Self::Filter => all(&|item| Ok(item.to_owned())),
        }
    }

    /// Its limits as a sentence; none where there are none, or where the doc of a key names the words.
    pub(super) fn limits(self) -> Option<String> {
        match self {
            Self::Integer { min, max: u64::MAX } => Some(format!("Minimum: {min}.")),
            Self::Integer { min, max } => Some(format!("{min} to {max}.")),
            Self::Duration { min, or_zero } => {
                let min = format_duration(min);
                let zero = if or_zero { ", or 0s" } else { "" };
                Some(format!("Minimum: {min}{zero}."))
            }
            Self::Size { min, max: u64::MAX } => Some(format!("Minimum: {}.", format_size(min))),
            Self::Size { min, max } => {
                Some(format!("{} to {}.", format_size(min), format_size(max)))
            }
            Self::Percent => Some("1% to 100%.".to_owned()),
            Self::Switch
            | Self::Name
            | Self::Group
            | Self::Path
            | Self::Word(_)
            | Self::Words(_)
            | Self::Texts
            | Self::Endpoints
            | Self::CertNames
            | Self::Address
            | Self::Url
            | Self::Filter => None,
        }
    }
}

impl Value {
    /// As in a configuration, in JSON, which has the same types.
    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Integer(number) => json!(number),
            Self::Size(bytes) => json!(format_size(*bytes)),
            Self::Percent(share) => json!(format!("{share}%")),
            Self::Switch(is_on) => json!(is_on),
            Self::Text(text) => json!(text),
            Self::Path(path) => json!(path.to_string_lossy()),
            Self::Duration(duration) => json!(format_duration(*duration)),
            Self::Texts(texts) => json!(texts),
            Self::Endpoints(endpoints) => {
                json!(
                    endpoints
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                )
            }
            Self::Address(address) => json!(address.to_string()),
        }
    }
}

/// A type that a field of the configuration has.
pub(super) trait Typed: Sized {
    /// The value, when it is of this type.
    fn of(value: &Value) -> Option<Self>;
}

macro_rules! typed {
    ($($type:ty: $pattern:pat => $result:expr;)*) => {
        $(impl Typed for $type {
            fn of(value: &Value) -> Option<Self> {
                if let $pattern = value { $result } else { None }
            }
        })*
    };
}

typed! {
    u64: Value::Integer(number) | Value::Size(number) => Some(*number);
    u8: Value::Percent(share) => Some(*share);
    bool: Value::Switch(is_on) => Some(*is_on);
    String: Value::Text(text) => Some(text.clone());
    PathBuf: Value::Path(path) => Some(path.clone());
    Duration: Value::Duration(duration) => Some(*duration);
    Vec<String>: Value::Texts(texts) => Some(texts.clone());
    Vec<Endpoint>: Value::Endpoints(endpoints) => Some(endpoints.clone());
    SocketAddr: Value::Address(address) => Some(*address);
    Role: Value::Text(word) => Self::ALL.into_iter().find(|role| role.as_str() == word);
    Existing: Value::Text(word) => Self::ALL.into_iter().find(|existing| existing.as_str() == word);
    LogFormat: Value::Text(word) => Self::ALL.into_iter().find(|format| format.as_str() == word);
}

/// The text as a value of TOML.
pub(super) fn as_toml(raw: &str) -> Result<toml::Spanned<DeValue<'_>>, Refusal> {
    DeValue::parse(raw.trim()).map_err(|_| {
        Refusal::new(
            format!("\"{raw}\" is not understood"),
            "write it as it would stand behind the = in the file",
        )
    })
}

fn text(value: &DeValue<'_>) -> Result<String, Refusal> {
    value.as_str().map(str::to_owned).ok_or_else(|| {
        let got = value.type_str();
        Refusal::new(
            format!("a string is needed, not a {got}"),
            "put it in double quotes",
        )
    })
}

fn texts(value: &DeValue<'_>) -> Result<Vec<String>, Refusal> {
    let items = value.as_array().ok_or_else(|| {
        let got = value.type_str();
        Refusal::new(
            format!("a list is needed, not a {got}"),
            "write it as [\"one\", \"two\"]",
        )
    })?;
    items.iter().map(|item| text(item.get_ref())).collect()
}

fn switch(value: &DeValue<'_>) -> Result<bool, Refusal> {
    value.as_bool().ok_or_else(|| {
        let got = value.type_str();
        Refusal::new(
            format!("true or false is needed, not a {got}"),
            "write it without quotes",
        )
    })
}

fn integer(value: &DeValue<'_>, min: u64, max: u64) -> Result<u64, Refusal> {
    let got = value.type_str();
    let number = value.as_integer().ok_or_else(|| {
        Refusal::new(
            format!("a whole number is needed, not a {got}"),
            "write it without quotes",
        )
    })?;
    u64::from_str_radix(number.as_str(), number.radix())
        .ok()
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| {
            let digits = number.as_str();
            Refusal::new(
                format!("{digits} is out of range"),
                format!("use {min} to {max}"),
            )
        })
}

fn path(text: &str, base: &Path) -> Result<PathBuf, Refusal> {
    if text.is_empty() || text.contains('\0') {
        return Err(Refusal::new("an empty path", "write an absolute path"));
    }
    Ok(base.join(text))
}

fn duration(text: &str, min: Duration, or_zero: bool) -> Result<Duration, Refusal> {
    let duration = parse_duration(text)?;
    if duration >= min || (or_zero && duration.is_zero()) {
        return Ok(duration);
    }
    let min = format_duration(min);
    let zero = if or_zero { ", or \"0s\"" } else { "" };
    Err(Refusal::new(
        format!("\"{text}\" is too short"),
        format!("use at least \"{min}\"{zero}"),
    ))
}

fn size(text: &str, min: u64, max: u64) -> Result<u64, Refusal> {
    let bytes = parse_size(text)?;
    if (min..=max).contains(&bytes) {
        return Ok(bytes);
    }
    let (min, max) = (format_size(min), format_size(max));
    Err(Refusal::new(
        format!("\"{text}\" is out of range"),
        format!("use \"{min}\" to \"{max}\""),
    ))
}

fn word(text: &str, words: &[&'static str]) -> Result<String, Refusal> {
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    let known = words.join("\", \"");
    let hint = nearest(text, words).map_or_else(
        || format!("use one of \"{known}\""),
        |near| format!("did you mean \"{near}\"?"),
    );
    Err(Refusal::new(format!("\"{text}\" is not understood"), hint))
}

fn group(text: &str) -> Result<String, Refusal> {
    let is_sound = (1..=GROUP_BYTES_MAX).contains(&text.len())
        && !text.chars().any(|c| c.is_control() || ":/,".contains(c));
    if is_sound {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(
        format!("\"{text}\" is no name of a group"),
        "write one that `getent group` lists",
    ))
}

fn cert_name(text: &str) -> Result<String, Refusal> {
    if is_host_name(text) {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(
        format!("\"{text}\" is no DNS name of a certificate"),
        "write it as \"ops.prod.cfs-repl\"",
    ))
}

fn url(text: &str) -> Result<String, Refusal> {
    let uri = text.parse::<http::Uri>().ok();
    let is_sound = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    if is_sound {
        return Ok(text.to_owned());
    }
    // What is wrong may hold a secret all the same, so it is not repeated.
    Err(Refusal::new(
        "this is no URL of http or https",
        "write it as \"https://alerts.example.net/path\"",
    ))
}

/// What may be shown of a URL: a token often stands behind the host, or before it.
pub(super) fn redacted(url: &str) -> String {
    let Ok(uri) = url.parse::<http::Uri>() else {
        return "(not shown)".to_owned();
    };
    let scheme = uri.scheme_str().unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    let port = uri
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    let has_more = uri.path() != "/" || uri.query().is_some();
    let more = if has_more { "/(not shown)" } else { "/" };
    format!("{scheme}://{host}{port}{more}")
}

fn filter(text: &str) -> Result<String, Refusal> {
    let refuse = |what: String, hint: String| Err(Refusal::new(what, hint));
    for directive in text.split(',') {
        let directive = directive.trim();
        let names_more = directive.contains(['=', '[']);
        if names_more || LEVELS.contains(&directive.to_ascii_lowercase().as_str()) {
            continue;
        }
        let hint = nearest(directive, &LEVELS).map_or_else(
            || format!("use one of \"{}\", or PART=LEVEL", LEVELS.join("\", \"")),
            |near| format!("did you mean \"{near}\"?"),
        );
        return refuse(format!("\"{directive}\" is no level"), hint);
    }
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => refuse(
            format!("\"{text}\" is no filter: {error}"),
            "write it as \"info\" or \"info,claudefs_repl::conduit=debug\"".to_owned(),
        ),
    }
}
