//! Pure: what compaction makes of what is to be sent to a peer.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::id;

words! {
    /// What becomes of an entry.
    Outcome {
        /// It stays.
        #[default]
        Kept = "kept",
        /// Another one stands for it.
        Dropped = "dropped",
    }
}

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PreviewRequest {
    /// Name of the peer; none: each of them.
    pub site: Option<String>,
    /// This stream alone; none: all.
    pub stream: Option<u32>,
    /// Tells of each entry of which this becomes; none: of none.
    pub show: Option<Outcome>,
}

/// One piece of an answer: entries as they were found, and behind them the whole of their peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreviewPiece {
    /// What becomes of single entries, in the order of sending.
    Fates(Vec<FateView>),
    /// The whole of one peer.
    Site(SitePreview),
}

/// What becomes of an entry, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct FateView {
    /// Name of the peer; null: nobody in particular.
    pub site: Option<String>,
    /// Shard, or 256 for the control stream.
    pub stream: u32,
    /// Position in the stream.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub seq: u64,
    /// The inode; zero for control entries.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub inode: u64,
    /// What it does, as a word.
    pub op: String,
    /// Bytes of the entry before.
    pub entry_bytes: u64,
    /// What becomes of it.
    pub outcome: Outcome,
    /// Seq of the entry that stands for it; null: it stays.
    #[serde(serialize_with = "optional_id")]
    #[schemars(with = "Option<String>")]
    pub by: Option<u64>,
    /// Why.
    pub why: String,
}

/// What is to be sent to one peer, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct SitePreview {
    /// Name of the peer; null: nobody in particular, everything that is kept.
    pub site: Option<String>,
    /// Its number.
    pub site_id: Option<u64>,
    /// Batches.
    pub batches: u64,
    /// All operations together.
    pub total: Sums,
    /// By operation, in the order of their codes; those without entries are left out.
    pub ops: Vec<OpPreview>,
    /// What has to be known to understand the numbers.
    pub notes: Vec<String>,
}

/// One operation, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct OpPreview {
    /// The operation, as a word.
    pub op: String,
    /// In numbers.
    #[serde(flatten)]
    pub sums: Sums,
    /// Why entries go or stay, the most frequent reason first.
    pub why: Vec<WhyView>,
}

/// Entries and bytes, before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Sums {
    /// Entries before.
    pub in_entries: u64,
    /// Entries after.
    pub out_entries: u64,
    /// Entries for which another one stands.
    pub dropped_entries: u64,
    /// Bytes of the entries before.
    pub in_bytes: u64,
    /// Bytes of the entries after, with what was folded into them.
    pub out_bytes: u64,
}

/// A reason and how often it holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct WhyView {
    /// What becomes of the entries.
    pub outcome: Outcome,
    /// Why.
    pub why: String,
    /// How many.
    pub entries: u64,
}

impl Sums {
    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.in_entries += other.in_entries;
        self.out_entries += other.out_entries;
        self.dropped_entries += other.dropped_entries;
        self.in_bytes += other.in_bytes;
        self.out_bytes += other.out_bytes;
    }
}

fn optional_id<S: Serializer>(id: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| id.to_string()).serialize(serializer)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::tests::assert_kept;
    use super::*;

    /// A peer with two operations.
    pub(crate) fn preview() -> SitePreview {
        let sums = |scale: u64| Sums {
            in_entries: 31_104 * scale,
            out_entries: 13_220 * scale,
            dropped_entries: 17_884 * scale,
            in_bytes: 3_000_000 * scale,
            out_bytes: 1_000_000 * scale,
        };
        let why = |outcome, why: &str, entries| WhyView {
            outcome,
            why: why.to_owned(),
            entries,
        };
        let op = |op: &str| OpPreview {
            op: op.to_owned(),
            sums: sums(1),
            why: vec![
                why(Outcome::Dropped, "covered by a later write", 17_884),
                why(Outcome::Kept, "latest of its kind", 13_220),
            ],
        };
        SitePreview {
            site: Some("iad-2".to_owned()),
            site_id: Some(2),
            batches: 40,
            total: sums(2),
            ops: vec![op("write"), op("truncate")],
            notes: vec!["a note".to_owned()],
        }
    }

    /// An entry for which another one stands.
    pub(crate) fn fate() -> FateView {
        FateView {
            site: Some("iad-2".to_owned()),
            stream: 17,
            seq: 36_990,
            inode: u64::MAX,
            op: "write".to_owned(),
            entry_bytes: 120,
            outcome: Outcome::Dropped,
            by: Some(36_991),
            why: "covered by a later write".to_owned(),
        }
    }

    #[test]
    fn the_json_of_previews_is_the_one_that_is_kept() {
        assert_kept("preview.json", &preview());
        assert_kept("fate.json", &fate());
    }
}
