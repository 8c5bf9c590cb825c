//! The logs of a state folder for commands: read where they lie, while a daemon writes them as well as when none runs.
//!
//! Promise: nothing is locked, repaired, cut or made, and memory does not grow with a log. What can be read is given
//! out before damage is told.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::admin::view::journal::{
    DamageView, EntryDetail, EntryView, LogKind, LogView, OpView, VerifyView,
};
use crate::disk::{ReadOnlyDisk, SharedDisk};
use crate::error::{ReplError, Result};
use crate::journal::{Journal, LogLook, Looked, LookedEntries, OpKind};

mod entry;
mod filter;

pub use filter::{EntryFilter, EntryMatcher, op_words};

/// How many checkpoints the search for the last entries goes back at first. It is four times as many each time, so that
/// what is read again is less than a half of what is read.
const STEP: usize = 1;
/// What to do about damage. Nothing of it makes anything worse.
const WHAT_TO_DO: &str = "keep a copy of the state folder as it is, and look at the disk (its log, its self-test); put \
                          back the file if there is a copy of it from later than its last write; without one, when \
                          the daemon does not start: cfs-repl help join";

/// The logs of one state folder.
#[derive(Debug, Clone)]
pub struct Logs {
    dir: PathBuf,
    disk: SharedDisk,
    names: BTreeMap<u64, String>,
}

/// A log that is there, not looked at yet.
#[derive(Debug, Clone)]
pub struct LogRef {
    /// What it holds.
    pub kind: LogKind,
    /// Number of the site that wrote the entries; none for the own journal, which tells it itself.
    pub site_id: Option<u64>,
    dir: PathBuf,
}

impl Logs {
    /// The logs in the state folder `dir`; `names` of sites by their numbers, as far as they are known.
    #[must_use]
    pub fn in_state(dir: &Path, names: BTreeMap<u64, String>) -> Self {
        Self {
            dir: dir.to_owned(),
            disk: ReadOnlyDisk::shared(),
            names,
        }
    }

    /// The own journal, and what was received of others, by site.
    ///
    /// # Errors
    /// When there is no state folder, or it cannot be read.
    pub fn list(&self) -> Result<Vec<LogRef>> {
        let mut logs = vec![self.own()];
        let parent = self.dir.join("received");
        let names = match self.disk.list(&parent) {
            Err(ReplError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        for name in names {
            // Whatever else lies there is no log.
            let site = name.to_str().and_then(|name| name.split_once('-'));
            let dir = parent.join(&name);
            if let Some(Ok(site_id)) = site.map(|(site, _)| site.parse())
                && Journal::exists(&self.disk, &dir)?
            {
                logs.push(LogRef {
                    kind: LogKind::Received,
                    site_id: Some(site_id),
                    dir,
                });
            }
        }
        logs.sort_by_key(|log| (log.site_id, log.dir.clone()));
        Ok(logs)
    }

    /// The own journal.
    #[must_use]
    pub fn own(&self) -> LogRef {
        LogRef {
            kind: LogKind::Journal,
            site_id: None,
            dir: self.dir.join("journal"),
        }
    }

    /// Everything that was received of `site`, a name or a number: one log for each journal that it had.
    ///
    /// # Errors
    /// [`ReplError::SiteUnknown`] when nothing was received of such a site; when the folder cannot be read.
    pub fn of(&self, site: &str) -> Result<Vec<LogRef>> {
        let named = self.names.iter().find(|(_, name)| *name == site);
        let number = named.map(|(id, _)| *id).or_else(|| site.parse().ok());
        let mut logs = self.list()?;
        logs.retain(|log| log.site_id.is_some() && log.site_id == number);
        if logs.is_empty() {
            let site_id = site.to_owned();
            return Err(ReplError::SiteUnknown { site_id });
        }
        Ok(logs)
    }

    /// Names of the sites of which something was received, or their numbers where the name is not known.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn received(&self) -> Result<Vec<String>> {
        let ids = self.list()?.into_iter().filter_map(|log| log.site_id);
        let name = |id: u64| self.names.get(&id).cloned();
        let mut names: Vec<String> = ids
            .map(|id| name(id).unwrap_or_else(|| id.to_string()))
            .collect();
        names.dedup();
        Ok(names)
    }

    /// Looks at a log.
    ///
    /// # Errors
    /// When it is not there, or damaged from its beginning on.
    pub fn open(&self, log: &LogRef) -> Result<Log> {
        let look = match log.kind {
            LogKind::Journal => LogLook::journal(&self.disk, &log.dir),
            LogKind::Received => LogLook::received(&self.disk, &log.dir),
        }?;
        let site = self.names.get(&look.owner().site_id).cloned();
        let kind = log.kind;
        Ok(Log { look, kind, site })
    }

    /// Of several logs the one with the latest entry.
    ///
    /// # Errors
    /// As [`Logs::open`], for any of them.
    pub fn open_latest(&self, logs: &[LogRef]) -> Result<Option<Log>> {
        let mut latest: Option<(u64, Log)> = None;
        for log in logs {
            let log = self.open(log)?;
            let at = log.look.last_hlc_us();
            if latest.as_ref().is_none_or(|(newest, _)| at >= *newest) {
                latest = Some((at, log));
            }
        }
        Ok(latest.map(|(_, log)| log))
    }

    /// Checks a whole log. Damage is an answer.
    ///
    /// # Errors
    /// When the log is not there or the disk refuses.
    pub fn verify(&self, log: &LogRef) -> Result<VerifyView> {
        let mut view = VerifyView {
            kind: log.kind,
            site: log.site_id.and_then(|id| self.names.get(&id).cloned()),
            site_id: log.site_id,
            ..VerifyView::default()
        };
        let found = match self.open(log) {
            Ok(log) => {
                view.site_id = Some(log.look.owner().site_id);
                view.torn_bytes = Some(log.look.torn_bytes());
                view.site = log.site;
                match log.look.verify() {
                    Ok(verified) => {
                        view.entries = Some(verified.entries);
                        view.checked_bytes = Some(verified.bytes);
                        log.look.into_damage()
                    }
                    Err(error) => Some(error),
                }
            }
            Err(error) => Some(error),
        };
        match found {
            None => view.sound = true,
            Some(ReplError::WalCorrupted {
                file,
                offset,
                reason,
            }) => {
                (view.entries, view.checked_bytes) = (None, None);
                view.damage = Some(damage(log.kind, &file, offset, reason));
            }
            Some(error) => return Err(error),
        }
        Ok(view)
    }
}

/// What damage means and what to do about it.
fn damage(kind: LogKind, file: &Path, offset: u64, reason: String) -> DamageView {
    let meaning = match kind {
        LogKind::Journal => {
            "what this site journaled from there on cannot be trusted: peers that lack it cannot be sent it, and a \
             daemon that has to read it refuses to start; the files of the tree are not concerned"
        }
        LogKind::Received => {
            "what was received of that site from there on cannot be trusted; what was merged before is in the state \
             and in the tree, and a daemon that has to read it again refuses to start"
        }
    };
    DamageView {
        file: file.as_os_str().as_bytes().to_vec(),
        offset_bytes: offset,
        reason,
        meaning: meaning.to_owned(),
        next: WHAT_TO_DO.to_owned(),
    }
}

/// A log that was looked at.
#[derive(Debug)]
pub struct Log {
    look: LogLook,
    kind: LogKind,
    site: Option<String>,
}

impl Log {
    /// The last `count` entries that `filter` lets through, oldest first; and, where fewer could be read because of
    /// it, the damage.
    ///
    /// # Errors
    /// When nothing can be read.
    pub fn tail(
        &self,
        count: usize,
        filter: &EntryMatcher,
    ) -> Result<(Vec<EntryView>, Option<ReplError>)> {
        let starts = self.look.starts();
        let mut found: Vec<EntryView> = Vec::new();
        let mut step = STEP;
        let mut at = starts.len();
        while count > 0 && at > 0 && found.len() < count {
            at = at.saturating_sub(step);
            step *= 4;
            let Some(start) = starts.get(at) else { break };
            match self.last_from(*start, count, filter) {
                Ok(further) => found = further,
                Err(error) if found.is_empty() => return Err(error),
                Err(error) => return Ok((found, Some(error))),
            }
        }
        Ok((found, None))
    }

    fn last_from(&self, start: u64, count: usize, filter: &EntryMatcher) -> Result<Vec<EntryView>> {
        let mut last = VecDeque::new();
        let mut entries = self.look.entries(start)?;
        while let Some(looked) = entries.next_entry()? {
            let view = self.listed(&looked);
            if filter.lets_through(&view) {
                if last.len() == count {
                    last.pop_front();
                }
                last.push_back(view);
            }
        }
        Ok(last.into())
    }

    /// One entry in full; none when it is not there.
    ///
    /// # Errors
    /// When the log is damaged before it.
    pub fn show(&self, stream: u32, seq: u64) -> Result<Option<EntryDetail>> {
        let looked = self.look.find(stream, seq)?;
        Ok(looked.map(|looked| self.detailed(&looked)))
    }

    /// First and last seq of `stream` that may be kept; none: it has no entries.
    #[must_use]
    pub fn kept(&self, stream: u32) -> Option<(u64, u64)> {
        let first = self.look.trimmed().get(&stream).copied().unwrap_or(0) + 1;
        let last = self.look.heads().get(&stream).copied()?;
        (first <= last).then_some((first, last))
    }

    /// Calls `take` with every entry that `filter` lets through, in the order of the log, until it returns false.
    ///
    /// # Errors
    /// At damage; what stands before it was given out.
    pub fn each(
        &self,
        filter: &EntryMatcher,
        mut take: impl FnMut(EntryDetail) -> bool,
    ) -> Result<()> {
        let mut entries = self.look.entries(self.look.start())?;
        while let Some(looked) = entries.next_entry()? {
            if filter.lets_through(&self.listed(&looked)) && !take(self.detailed(&looked)) {
                break;
            }
        }
        Ok(())
    }

    /// The log in numbers.
    ///
    /// # Errors
    /// At damage.
    pub fn stat(&self) -> Result<LogView> {
        let owner = self.look.owner();
        let mut tally = Tally::default();
        let mut entries = self.look.entries(self.look.start())?;
        while let Some(looked) = entries.next_entry()? {
            tally.take(&looked);
        }
        let view = LogView {
            kind: self.kind,
            site: self.site.clone(),
            site_id: owner.site_id,
            incarnation: owner.incarnation,
            segments: self.look.segments() as u64,
            bytes: self.look.bytes(),
            first_position: self.look.start(),
            end_position: self.look.end(),
            ..LogView::default()
        };
        Ok(tally.into_view(view))
    }

    /// Why not everything is read, if that is so.
    #[must_use]
    pub fn into_damage(self) -> Option<ReplError> {
        self.look.into_damage()
    }

    /// Goes on behind the last entry that was looked at.
    ///
    /// # Errors
    /// When the log cannot be read there.
    pub fn follow(self) -> Result<Follow> {
        let entries = self.look.entries(self.look.end())?;
        Ok(Follow { log: self, entries })
    }

    fn listed(&self, looked: &Looked) -> EntryView {
        entry::listed(&looked.stored, self.site.as_deref())
    }

    fn detailed(&self, looked: &Looked) -> EntryDetail {
        let (file, offset) = self.look.place_of(looked.position);
        let file = file.as_os_str().as_bytes().to_vec();
        entry::detailed(looked, self.site.as_deref(), (file, offset))
    }
}

/// Follows a log that somebody writes.
#[derive(Debug)]
pub struct Follow {
    log: Log,
    entries: LookedEntries,
}

impl Follow {
    /// Calls `take` with every entry that came since the last call, until it returns false.
    ///
    /// # Errors
    /// When the log cannot be read, or was trimmed before it was read.
    pub fn poll(&mut self, mut take: impl FnMut(EntryView) -> bool) -> Result<()> {
        self.log.look.refresh()?;
        while let Some(looked) = self.entries.next_entry()? {
            if !take(self.log.listed(&looked)) {
                break;
            }
        }
        Ok(())
    }
}

/// Entries in numbers.
#[derive(Debug, Default)]
struct Tally {
    ops: BTreeMap<OpKind, (u64, u64)>,
    streams: std::collections::BTreeSet<u32>,
    oldest_us: Option<u64>,
    newest_us: Option<u64>,
}

impl Tally {
    fn take(&mut self, looked: &Looked) {
        let entry = &looked.stored.entry;
        let (entries, bytes) = self.ops.entry(entry.op).or_default();
        *entries += 1;
        *bytes += looked.stored.raw.len() as u64;
        self.streams.insert(entry.shard_id);
        let at = entry.timestamp_us;
        self.oldest_us = Some(self.oldest_us.map_or(at, |oldest| oldest.min(at)));
        self.newest_us = self.newest_us.max(Some(at));
    }

    fn into_view(self, view: LogView) -> LogView {
        let ops: Vec<OpView> = self
            .ops
            .into_iter()
            .map(|(op, (entries, entry_bytes))| OpView {
                op: op.word().to_owned(),
                entries,
                entry_bytes,
            })
            .collect();
        LogView {
            streams: self.streams.len() as u64,
            entries: ops.iter().map(|op| op.entries).sum(),
            entry_bytes: ops.iter().map(|op| op.entry_bytes).sum(),
            oldest_us: self.oldest_us,
            newest_us: self.newest_us,
            ops,
            ..view
        }
    }
}

#[cfg(test)]
pub(in crate::daemon) mod tests;
