//! Conflicts as operators see them, and what they do about them.

use super::{Engine, Opened};
use crate::error::{ReplError, Result};
use crate::journal::op::{Change, Name};
use crate::store::Fresh;
use crate::sync::conflict::{Ack, ConflictId, ConflictRecord};
use crate::sync::state::State as _;

/// A conflict with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What is on record.
    pub record: ConflictRecord,
    /// The latest acknowledgement, which may say that an earlier one was taken back.
    pub ack: Option<Ack>,
    /// The path of its inode below the root, or the last one; and whether it is shown there.
    pub path: Option<(Vec<Name>, bool)>,
    /// The path of the place that lost, when one did.
    pub lost_path: Option<Vec<Name>>,
}

impl Listed {
    /// Its inode was shown somewhere and is no longer.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.path.as_ref().is_some_and(|(_, is_shown)| !is_shown)
    }
}

impl Engine {
    /// All conflicts on record, by id, with their acknowledgements.
    ///
    /// # Errors
    /// All methods: when the engine failed before and cannot be opened again.
    pub fn conflicts(&mut self) -> Result<Vec<(ConflictRecord, Option<Ack>)>> {
        self.conflicts_from(ConflictId::default(), usize::MAX)
    }

    /// Conflicts by id, from this id on, at most `limit`.
    pub fn conflicts_from(
        &mut self,
        from: ConflictId,
        limit: usize,
    ) -> Result<Vec<(ConflictRecord, Option<Ack>)>> {
        self.with(|opened, _| {
            let state = opened.core.state();
            let records = state.conflicts_from(from, limit)?.into_iter();
            records
                .map(|record| {
                    let ack = state.ack(record.id)?;
                    Ok((record, ack))
                })
                .collect()
        })
    }

    /// Those of these conflicts that are on record, in this order.
    pub fn listed(&mut self, ids: &[ConflictId]) -> Result<Vec<Listed>> {
        self.with(|opened, _| {
            let found = ids.iter().map(|id| opened.list(*id));
            found.filter_map(Result::transpose).collect()
        })
    }

    /// The conflicts that were recorded or changed since this was asked last.
    pub fn fresh_conflicts(&mut self) -> Result<Fresh> {
        self.with(|opened, _| Ok(opened.core.state_mut().take_fresh()))
    }

    /// The latest acknowledgement of a conflict.
    pub fn ack(&mut self, id: ConflictId) -> Result<Option<Ack>> {
        self.with(|opened, _| opened.core.state().ack(id))
    }

    /// Acknowledges conflicts for every site, or, without `acked`, takes that back.
    pub fn acknowledge(
        &mut self,
        ids: &[ConflictId],
        acked: bool,
        note: &str,
        by: &str,
    ) -> Result<Vec<Ack>> {
        let change = |id: &ConflictId| Change::ConflictAck {
            conflict_id: id.0,
            acked,
            note: note.to_owned(),
            by: by.to_owned(),
        };
        self.submit_control(ids.iter().map(change).collect())?;
        let mut acks = Vec::with_capacity(ids.len());
        for id in ids {
            let ack = self.ack(*id)?;
            acks.push(
                ack.ok_or_else(|| ReplError::serialization("acknowledgement", "was not kept"))?,
            );
        }
        Ok(acks)
    }
}

impl Opened {
    fn list(&self, id: ConflictId) -> Result<Option<Listed>> {
        let state = self.core.state();
        let Some(record) = state.conflict(id)? else {
            return Ok(None);
        };
        let lost_path = match record.lost.place() {
            Some(place) => self.last_path_of(place.parent)?.map(|(mut names, _)| {
                names.push(place.name.clone());
                names
            }),
            None => None,
        };
        Ok(Some(Listed {
            ack: state.ack(id)?,
            path: self.last_path_of(record.inode)?,
            lost_path,
            record,
        }))
    }
}
