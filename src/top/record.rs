//! Pure: the record of a stream, line by line, so that an incident can be looked at again.
//!
//! A line is a JSON object with the time since the beginning, what kind of message it is, and what it says in a few
//! words, for people and `grep`; the message itself follows as the daemon sent it, in base64. What did not come from
//! a daemon, such as that it was lost, stands in the line as JSON. Lines of kinds that are not known are skipped.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::message::{Failed, Lost, Told};
use crate::admin::client::Update;
use crate::admin::record::Recorded;
use crate::admin::view::plural;
use crate::clock::{TimestampUs, rfc3339};

/// Name and version of the format.
pub const FORMAT: &str = "cfs-repl/top-record/v1";
/// No record is longer: a later time in a line is damage. The longest year, in microseconds.
const LENGTH_MAX_US: u64 = 366 * 86_400 * 1_000_000;

/// The first line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT`].
    pub format: String,
    /// When the record begins, for people.
    pub at: Option<String>,
    /// The same in microseconds since 1970.
    pub at_us: TimestampUs,
    /// Version of the program that wrote it.
    pub version: String,
}

/// Every other line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Time since the beginning, in microseconds.
    pub t_us: u64,
    /// What kind of message it is.
    pub kind: String,
    /// In a few words.
    #[serde(default)]
    says: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pb: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Plain>,
}

/// What did not come from a daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Plain {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    attempt: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    retry_us: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    texts: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why a record cannot be played, or not from here on.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The first line is not that of a record.
    #[error("it is no record of the dashboard")]
    NoRecord,
    /// It is one of another version.
    #[error("it is a record of the format {format}, and this program plays {FORMAT}")]
    Format {
        /// As it says.
        format: String,
    },
    /// A line cannot be read.
    #[error("line {number} cannot be read: {why}")]
    Line {
        /// Which, from 1.
        number: u64,
        /// Why.
        why: String,
    },
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[from] std::io::Error),
}

/// The first line of a record, with its end.
#[must_use]
pub fn head(at_us: TimestampUs) -> String {
    let head = Head {
        format: FORMAT.to_owned(),
        at: rfc3339(at_us),
        at_us,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    line_of(&head)
}

/// What was told, as lines with their ends.
#[must_use]
pub fn lines(t_us: u64, told: Told) -> String {
    let says = says(&told);
    let plain = |kind: &str, says: String, data: Plain| {
        line_of(&Line {
            t_us,
            kind: kind.to_owned(),
            says,
            pb: None,
            data: Some(data),
        })
    };
    let failed = |failed: Failed| Plain {
        message: failed.message,
        causes: failed.causes,
        hint: failed.hint,
        ..Plain::default()
    };
    let recorded = match told {
        Told::Connecting { address } => {
            let data = Plain {
                message: address,
                ..Plain::default()
            };
            return plain("connecting", says, data);
        }
        Told::Lost(lost) => {
            let data = Plain {
                attempt: lost.attempt,
                retry_us: lost.retry_us,
                ..failed(lost.failed)
            };
            return plain("lost", says, data);
        }
        Told::Unanswered(why) => return plain("unanswered", says, failed(why)),
        Told::Texts { id, texts } => {
            let (texts, message) = match texts {
                Ok(texts) => (Vec::from(texts), String::new()),
                Err(why) => (Vec::new(), why),
            };
            let data = Plain {
                id,
                texts,
                message,
                ..Plain::default()
            };
            return plain("texts", says, data);
        }
        Told::Rights(_) => return String::new(),
        Told::Update(at_us, update) => vec![Recorded::Update(at_us, update)],
        Told::Event(event) => vec![Recorded::Event(event)],
        Told::Conflicts { list, found } => vec![Recorded::Conflicts(list, found)],
        Told::Detail(detail) => vec![Recorded::Detail(detail)],
        Told::Preview(sites) => sites.into_iter().map(Recorded::Preview).collect(),
        Told::Tail(entries) => vec![Recorded::Tail(entries)],
    };
    let line = |recorded: Recorded| {
        let kind = recorded.kind().to_owned();
        line_of(&Line {
            t_us,
            kind,
            says: says.clone(),
            pb: Some(BASE64.encode(&recorded.encode())),
            data: None,
        })
    };
    recorded.into_iter().map(line).collect()
}

fn line_of(line: &impl Serialize) -> String {
    // Strings and numbers always become JSON.
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    text
}

/// In a few words.
fn says(told: &Told) -> String {
    match told {
        Told::Connecting { address } => format!("asking {address}"),
        Told::Lost(lost) => format!("lost: {}", lost.failed.message),
        Told::Unanswered(failed) => failed.message.clone(),
        Told::Texts { id, .. } => format!("both versions of {id}"),
        Told::Rights(_) => "what this user may do".to_owned(),
        Told::Event(event) => format!("{} {}: {}", event.level, event.name, event.text),
        Told::Conflicts { list, found } => format!("{} of {found} conflicts", list.len()),
        Told::Detail(detail) => format!("conflict {}", detail.conflict.id),
        Told::Preview(sites) => format!("preview for {}", plural(sites.len() as u64, "site")),
        Told::Tail(entries) => format!("the last {} entries", entries.len()),
        Told::Update(_, Update::Heartbeat { .. }) => "heartbeat".to_owned(),
        Told::Update(_, Update::Unreadable { text, .. }) => format!("unreadable: {text}"),
        Told::Update(_, Update::Snapshot(look)) => {
            let status = &look.status;
            format!("all: {} {}", status.verdict, status.summary)
        }
        Told::Update(_, Update::Delta(delta)) => {
            let judged = delta.judged.as_ref();
            let judged = judged.map(|judged| format!("{} {}", judged.verdict, judged.summary));
            let sites = delta
                .sites
                .iter()
                .map(|site| format!("{} {}", site.site, site.state));
            let parts: Vec<String> = judged.into_iter().chain(sites).collect();
            format!("changes: {}", parts.join("; "))
        }
    }
}

/// Reads the first line of a record.
///
/// # Errors
/// [`RecordError`] when it is none, or one of a version that this program does not play.
pub fn read_head(line: &[u8]) -> Result<Head, RecordError> {
    let head: Head = serde_json::from_slice(line).map_err(|_| RecordError::NoRecord)?;
    if head.format != FORMAT {
        return Err(RecordError::Format {
            format: crate::text::printable(&head.format),
        });
    }
    Ok(head)
}

/// Reads the time of a line, and nothing else of it. None: it tells none, or one that no record reaches.
#[must_use]
pub fn read_time(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Time {
        t_us: u64,
    }
    let time: Option<Time> = serde_json::from_slice(line).ok();
    time.map(|time| time.t_us)
        .filter(|t_us| *t_us <= LENGTH_MAX_US)
}

impl Line {
    /// Reads a line, but not yet the message in it.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        let line: Self = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if line.t_us > LENGTH_MAX_US {
            return Err(format!(
                "its time, {} µs, is later than any record is long",
                line.t_us
            ));
        }
        Ok(line)
    }

    /// The message. None: of a kind that this version does not know.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn told(self) -> Result<Option<Told>, String> {
        one(self)
    }
}

fn one(line: Line) -> Result<Option<Told>, String> {
    if let Some(text) = line.pb {
        let bytes = BASE64
            .decode(text.as_bytes())
            .map_err(|error| error.to_string())?;
        let recorded = Recorded::decode(&line.kind, &bytes).map_err(|error| error.to_string())?;
        return Ok(recorded.map(|recorded| match recorded {
            Recorded::Update(at_us, update) => Told::Update(at_us, update),
            Recorded::Event(event) => Told::Event(event),
            Recorded::Conflicts(list, found) => Told::Conflicts { list, found },
            Recorded::Detail(detail) => Told::Detail(detail),
            Recorded::Preview(site) => Told::Preview(vec![site]),
            Recorded::Tail(entries) => Told::Tail(entries),
        }));
    }
    let Some(data) = line.data else {
        return Ok(None);
    };
    let failed = Failed {
        message: data.message.clone(),
        causes: data.causes,
        hint: data.hint,
        ..Failed::default()
    };
    Ok(match line.kind.as_str() {
        "connecting" => Some(Told::Connecting {
            address: data.message,
        }),
        "lost" => Some(Told::Lost(Lost {
            failed,
            attempt: data.attempt,
            retry_us: data.retry_us,
        })),
        "unanswered" => Some(Told::Unanswered(failed)),
        "texts" => {
            let texts = <[String; 2]>::try_from(data.texts).map_err(|_| data.message);
            Some(Told::Texts { id: data.id, texts })
        }
        _ => None,
    })
}
