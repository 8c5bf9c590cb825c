//! Pure: what a daemon told, as bytes that later versions read: the messages of the admin API as they are sent.
//!
//! Whoever reads a record has another version than who wrote it, sooner or later. Messages have rules for that, and the
//! views that are shown have none: fields that are not known are skipped, and those that are missing are unknown.

use prost::Message as _;

use super::client::Update;
use super::view::journal::EntryView;
use super::view::preview::{PreviewPiece, SitePreview};
use super::view::{ConflictDetail, ConflictView, EventView};
use super::wire;
use crate::clock::TimestampUs;
use crate::proto::admin as pb;

/// Something that a daemon told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// A look, or what is different, at this time of the daemon.
    Update(TimestampUs, Update),
    /// An event.
    Event(EventView),
    /// The conflicts on record, and how many there are.
    Conflicts(Vec<ConflictView>, u64),
    /// One conflict with both versions.
    Detail(Box<ConflictDetail>),
    /// What compaction would leave out for one peer.
    Preview(SitePreview),
    /// The end of the journal, oldest first.
    Tail(Vec<EntryView>),
}

/// The bytes cannot be read: another kind of message, or not whole.
#[derive(Debug, thiserror::Error)]
#[error("a message of the kind {kind} cannot be read")]
pub struct RecordError {
    /// As the record names it.
    kind: String,
}

impl Recorded {
    /// What kind it is, as the record names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Update(..) => "update",
            Self::Event(_) => "event",
            Self::Conflicts(..) => "conflicts",
            Self::Detail(_) => "conflict",
            Self::Preview(_) => "preview",
            Self::Tail(_) => "tail",
        }
    }

    /// The message.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Update(at_us, update) => {
                let what = Some(wire::update_to(update));
                let update = pb::WatchUpdate {
                    number: 0,
                    at_us,
                    what,
                    rights: None,
                };
                update.encode_to_vec()
            }
            Self::Event(event) => wire::event_to(event).encode_to_vec(),
            Self::Conflicts(list, found) => {
                let page = pb::ConflictsPage {
                    site: String::new(),
                    conflicts: list.into_iter().map(wire::conflict_to).collect(),
                    found,
                };
                page.encode_to_vec()
            }
            Self::Detail(detail) => wire::detail_to(String::new(), *detail).encode_to_vec(),
            Self::Preview(preview) => {
                wire::preview::piece_to(PreviewPiece::Site(preview)).encode_to_vec()
            }
            Self::Tail(entries) => {
                let entries = entries.into_iter().map(wire::tail::entry_to).collect();
                pb::JournalEntries { entries }.encode_to_vec()
            }
        }
    }

    /// Reads a message back. None: a kind, or an update, that this build does not know.
    ///
    /// # Errors
    /// [`RecordError`] when the bytes are none of that kind.
    pub fn decode(kind: &str, bytes: &[u8]) -> Result<Option<Self>, RecordError> {
        let failed = || RecordError {
            kind: kind.to_owned(),
        };
        Ok(match kind {
            "update" => {
                let update = pb::WatchUpdate::decode(bytes).map_err(|_| failed())?;
                let at_us = update.at_us;
                let update = wire::update_from(update).map_err(|_| failed())?;
                update.map(|update| Self::Update(at_us, update))
            }
            "event" => {
                let event = pb::Event::decode(bytes).map_err(|_| failed())?;
                Some(Self::Event(wire::event_from(event)))
            }
            "conflicts" => {
                let page = pb::ConflictsPage::decode(bytes).map_err(|_| failed())?;
                let list = page.conflicts.into_iter().map(wire::conflict_from);
                let list = list.collect::<Result<_, _>>().map_err(|_| failed())?;
                Some(Self::Conflicts(list, page.found))
            }
            "conflict" => {
                let reply = pb::ShowConflictReply::decode(bytes).map_err(|_| failed())?;
                let (_, detail) = wire::detail_from(reply).map_err(|_| failed())?;
                Some(Self::Detail(Box::new(detail)))
            }
            "preview" => {
                let piece = pb::CompactPreviewPiece::decode(bytes).map_err(|_| failed())?;
                match wire::preview::piece_from(piece).map_err(|_| failed())? {
                    PreviewPiece::Site(preview) => Some(Self::Preview(preview)),
                    PreviewPiece::Fates(_) => None,
                }
            }
            "tail" => {
                let some = pb::JournalEntries::decode(bytes).map_err(|_| failed())?;
                let entries = some.entries.into_iter();
                Some(Self::Tail(entries.map(wire::tail::entry_from).collect()))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::{Overview, preview, tests};

    #[test]
    fn what_is_recorded_comes_back_as_it_was() {
        let look = Overview {
            status: tests::status(),
            lag: tests::lag(),
        };
        for told in [
            Recorded::Update(5, Update::Snapshot(Box::new(look))),
            Recorded::Event(EventView::default()),
            Recorded::Conflicts(vec![tests::conflict()], 7),
            Recorded::Detail(Box::new(tests::detail())),
            Recorded::Preview(preview::tests::preview()),
            Recorded::Tail(vec![EntryView::default()]),
        ] {
            let (kind, bytes) = (told.kind(), told.clone().encode());
            let read = Recorded::decode(kind, &bytes).unwrap();
            assert_eq!(read, Some(told));
        }
    }

    #[test]
    fn a_kind_of_a_later_version_is_skipped_and_what_is_broken_is_told() {
        assert_eq!(Recorded::decode("forecast", b"x").unwrap(), None);
        assert!(Recorded::decode("update", b"\xff").is_err());
    }
}
