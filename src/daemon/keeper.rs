//! Looks after the trash: finds writers who kept a displaced file open, removes what nobody needs, and fetches small
//! losers that were never on this disk, so that they survive the loss of the site that wrote them.
//!
//! Decisions are those of `tree::trash`; what is known stands in the trash itself and in the engine, so a restart
//! forgets nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::content::ask::{Asked, Links, Whole};
use super::tasks::Tasks;
use crate::clock::{SharedClock, micros};
use crate::content::chunk::hash_file;
use crate::content::{Claim, ContentVersion};
use crate::error::{ReplError, Result};
use crate::journal::op::{Content, FileTime, ManifestRoot, Name};
use crate::sync::engine::{Engine, Handle};
use crate::sync::port::NodeKind;
use crate::tree::restore::Draft;
use crate::tree::root::Root;
use crate::tree::stat::{Stat, stat_fd};
use crate::tree::trash::keep::{Kept, TrashLimits, plan};
use crate::tree::trash::late::{CHECKS_US, Watched, written};
use crate::tree::trash::{self, Displaced, Label};

/// How often the trash is looked at: the first look at a late writer is due after five seconds.
const TICK: Duration = Duration::from_secs(1);
/// How often what nobody needs is removed. Every time, all conflicts are looked at.
const PURGE_EVERY_US: u64 = 30_000_000;
/// How often losers that are missing here are asked for. The same holds.
const GATHER_EVERY: Duration = Duration::from_secs(30);
/// How long a loser that no site could give is not asked for again.
const MISSED_FOR: Duration = Duration::from_secs(600);

/// What is kept of the trash, as the configuration says.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeepSettings {
    /// Share of the filesystem that losers may take.
    pub(super) percent: u8,
    /// How long losers stay.
    pub(super) retention: Duration,
    /// Removed files stay too.
    pub(super) keep_deleted: bool,
    /// Losers of at most that many bytes are fetched to this site.
    pub(super) everywhere_bytes: u64,
}

/// The owner of one trash.
pub(super) struct Keeper {
    root: Arc<Root>,
    engine: Handle,
    settings: KeepSettings,
    watched: Watched,
    listed: Option<FileTime>,
    purged_us: u64,
    /// Bytes on disk of what was there at the last purge; None: no file, never removed.
    sizes: BTreeMap<Name, Option<u64>>,
    over: bool,
}

impl Keeper {
    /// The keeper of the trash of `root`.
    pub(super) fn new(root: Arc<Root>, engine: Handle, settings: KeepSettings) -> Self {
        Self {
            root,
            engine,
            settings,
            watched: Watched::default(),
            listed: None,
            purged_us: 0,
            sizes: BTreeMap::new(),
            over: false,
        }
    }

    /// Looks at what is due and removes what nobody needs.
    ///
    /// # Errors
    /// When the disk or the engine fails; the next round begins anew.
    pub(super) fn round(&mut self, now_us: u64) -> Result<()> {
        let dir = stat_fd(self.root.trash());
        let changed = dir.map_err(|e| ReplError::io("stat trash of", self.root.path(), e))?;
        let is_new = self.listed != Some(changed.mtime);
        if is_new || now_us >= self.watched.next_us() {
            // A file may come in the same tick of the filesystem's clock, so a fresh stamp is not believed.
            let settled = changed.mtime.clamped_us().saturating_add(1_000_000) < now_us;
            self.listed = settled.then_some(changed.mtime);
            for file in self.watched.due(&trash::list(&self.root)?, now_us) {
                self.look(file, now_us)?;
            }
        }
        // A clock that stepped back must not stop the removals.
        if now_us.abs_diff(self.purged_us) >= PURGE_EVERY_US {
            self.purge(now_us)?;
            self.purged_us = now_us;
        }
        Ok(())
    }

    /// Looks at a file again. True: it holds what its name said before.
    fn look(&mut self, file: Displaced, now_us: u64) -> Result<bool> {
        let Some(label) = file.label else {
            return Ok(true);
        };
        let Some(stat) = trash::stat(&self.root, &file.name)? else {
            return Ok(true);
        };
        let doubtful = (self.watched).is_doubtful(&file, label.differs(&stat), stat.ctime);
        // What was written late is in no log: its record is made sure of once after every start.
        let record_again = label.late && !self.watched.is_known(&file);
        if !doubtful && !record_again {
            self.watched.found_in_order(&file, stat.ctime, now_us);
            return Ok(true);
        }
        if now_us.saturating_sub(file.at_us) < CHECKS_US[0] {
            // The batch that displaced it may still be under way, and take it back by this name.
            return Ok(false);
        }
        let Some((stat, content)) = self.read(&file)? else {
            // It is being written to: it comes again.
            return Ok(false);
        };
        let now = Label {
            root: content.manifest_root,
            size: content.size,
            mtime: content.mtime,
            late: false,
        };
        let Some(late) = written(&label, now).or(label.late.then_some(label)) else {
            self.watched.found_in_order(&file, stat.ctime, now_us);
            return Ok(true);
        };
        let before = label.late.then_some(label.root);
        let inode = file.inode;
        if late == label {
            self.engine
                .call(move |e| e.late_write(inode, content, None))?;
            self.watched.found_in_order(&file, stat.ctime, now_us);
            return Ok(true);
        }
        let file = trash::relabel(&self.root, &file, late)?;
        self.engine
            .call(move |e| e.late_write(inode, content, before))?;
        let after = trash::stat(&self.root, &file.name)?;
        self.watched
            .found_in_order(&file, after.unwrap_or(stat).ctime, now_us);
        Ok(false)
    }

    /// What a file holds, if nobody writes to it meanwhile.
    fn read(&self, file: &Displaced) -> Result<Option<(Stat, Content)>> {
        let path = self.root.path();
        let Some(fd) = trash::open(&self.root, &file.name)? else {
            return Ok(None);
        };
        let fail = |e| ReplError::io("stat in trash of", path, e);
        let before = stat_fd(&fd).map_err(fail)?;
        let Some(hashed) = hash_file(&fd, before.size, path)? else {
            return Ok(None);
        };
        let after = stat_fd(&fd).map_err(fail)?;
        let content = Content {
            size: hashed.size,
            manifest_root: hashed.root,
            mtime: after.mtime,
            inline: hashed.inline,
        };
        Ok((before.image() == after.image()).then_some((after, content)))
    }

    /// Removes what nobody needs.
    pub(super) fn purge(&mut self, now_us: u64) -> Result<()> {
        let files = trash::list(&self.root)?;
        if files.is_empty() {
            self.sizes.clear();
            return Ok(());
        }
        let mut sizes = BTreeMap::new();
        for file in &files {
            let known = self.sizes.get(&file.name).copied();
            let size = match known {
                Some(known) => known,
                None => trash::stat(&self.root, &file.name)?
                    .filter(|stat| stat.kind != Some(NodeKind::Dir))
                    .map(|stat| stat.blocks * 512),
            };
            sizes.insert(file.name.clone(), size);
        }
        self.sizes = sizes;
        let versions: Vec<(u64, ManifestRoot)> = files.iter().map(version_of).collect();
        let claims = self.engine.call(move |e| e.claims(versions))?;
        let kept = files.into_iter().zip(claims).filter_map(|(file, claim)| {
            let bytes = self.sizes.get(&file.name).copied().flatten()?;
            // What recovery found was a user's: it stays as long as a settled loser.
            let rescued = file.name.as_bytes().starts_with(b"rescued-");
            let claim = claim.max(if rescued { Claim::Settled } else { claim });
            Some(Kept { file, bytes, claim })
        });
        let kept: Vec<Kept> = kept.collect();
        let plan = plan(&kept, now_us, &self.limits()?);
        if plan.over && !self.over {
            let bytes = plan.bytes;
            tracing::warn!(
                bytes,
                "losers of conflicts that nobody acknowledged take more room than they may"
            );
        }
        self.over = plan.over;
        for file in plan.remove {
            // The last look: a difference makes it a conflict, which keeps it.
            if self.look(file.clone(), now_us)? {
                trash::remove(&self.root, &file.name)?;
            }
        }
        Ok(())
    }

    fn limits(&self) -> Result<TrashLimits> {
        let volume = rustix::fs::fstatvfs(self.root.fd())
            .map_err(|e| ReplError::io("statfs", self.root.path(), e))?;
        let bytes = volume.f_blocks.saturating_mul(volume.f_frsize);
        // What came before the brake could tell may not have been meant either.
        let is_held = !self.engine.call(Engine::held)?.is_empty();
        Ok(TrashLimits {
            retention_us: micros(self.settings.retention),
            bytes_max: bytes / 100 * u64::from(self.settings.percent),
            keep_deleted: self.settings.keep_deleted || is_held,
            ..TrashLimits::default()
        })
    }

    /// Losers that this site is to have and does not have.
    pub(super) fn missing(&self, now_us: u64) -> Result<Vec<(ContentVersion, u64)>> {
        let limit = self.settings.everywhere_bytes;
        // What was kept for its time here must not come back from a site that keeps it longer.
        let since_us = now_us.saturating_sub(micros(self.settings.retention));
        let losers = self.engine.call(move |e| e.losers(limit, since_us))?;
        if losers.is_empty() {
            return Ok(Vec::new());
        }
        let files = trash::list(&self.root)?;
        let here: BTreeSet<(u64, ManifestRoot)> = files.iter().map(version_of).collect();
        let missing = losers
            .into_iter()
            .filter(|(version, _)| !here.contains(&(version.inode, version.root)));
        Ok(missing.collect())
    }
}

fn version_of(file: &Displaced) -> (u64, ManifestRoot) {
    let root = file.label.map_or_else(ManifestRoot::default, |l| l.root);
    (file.inode, root)
}

/// Looks after the trash until `tasks` ends.
pub(super) async fn run(tasks: Tasks, keeper: Keeper, links: Links, clock: SharedClock) {
    let mut every = tokio::time::interval(TICK);
    let mut keeper = Some(keeper);
    let mut gather = Gather::default();
    loop {
        tokio::select! {
            () = tasks.token().cancelled() => return,
            _ = every.tick() => {}
        }
        let Some(mut one) = keeper.take() else { return };
        let (now_us, now) = (clock.now_us(), clock.monotonic());
        let due = gather.is_due(now);
        let round = tokio::task::spawn_blocking(move || {
            if let Err(error) = one.round(now_us) {
                tracing::warn!(%error, "trash was not looked after");
            }
            let missing = if due {
                one.missing(now_us)
            } else {
                Ok(Vec::new())
            };
            (one, missing)
        });
        let Ok((one, missing)) = round.await else {
            return;
        };
        if due {
            let stop = tasks.token().clone();
            let gathering = gather.fetch(&one, &links, missing, &*clock);
            if stop.run_until_cancelled(gathering).await.is_none() {
                return;
            }
        }
        keeper = Some(one);
    }
}

/// Fetches losers to this site.
#[derive(Debug, Default)]
struct Gather {
    done_at: Option<Duration>,
    missed: BTreeMap<ContentVersion, Duration>,
    count: u64,
}

impl Gather {
    fn is_due(&self, now: Duration) -> bool {
        self.done_at
            .is_none_or(|at| now.saturating_sub(at) >= GATHER_EVERY)
    }

    async fn fetch(
        &mut self,
        keeper: &Keeper,
        links: &Links,
        missing: Result<Vec<(ContentVersion, u64)>>,
        clock: &dyn crate::clock::Clock,
    ) {
        let now = clock.monotonic();
        self.done_at = Some(now);
        self.missed
            .retain(|_, at| now.saturating_sub(*at) < MISSED_FOR);
        let missing = match missing {
            Ok(missing) => missing,
            Err(error) => {
                tracing::warn!(%error, "losers were not looked for");
                return;
            }
        };
        for (version, size) in missing {
            if self.missed.contains_key(&version) {
                continue;
            }
            self.count += 1;
            match gather_one(keeper, links, version, size, self.count, clock.now_us()).await {
                Ok(Asked::All) => {}
                // Bytes that no site has are asked for seldom; sites that were not reached are asked again soon.
                Ok(Asked::Gone | Asked::Superseded) => {
                    self.missed.insert(version, now);
                }
                Ok(Asked::Busy { .. } | Asked::Unreached { .. }) => return,
                Err(error) => {
                    tracing::warn!(%error, "loser of a conflict was not fetched");
                    self.missed.insert(version, now);
                }
            }
        }
    }
}

/// Fetches one loser into the trash.
pub(super) async fn gather_one(
    keeper: &Keeper,
    links: &Links,
    version: ContentVersion,
    size: u64,
    unique: u64,
    now_us: u64,
) -> Result<Asked> {
    let draft = Draft::new(&keeper.root, "keep", unique)?;
    let whole = Whole {
        engine: &keeper.engine,
        links,
        version,
        size,
    };
    let asked = whole.fetch(&draft).await?;
    if asked == Asked::All {
        draft.keep(version.inode, now_us, unique, version.root)?;
    }
    Ok(asked)
}
