//! Pure: whether a peer's first message may be believed.
//!
//! The certificate says who speaks; the hello must agree with it, and with what was seen of that journal before. A
//! refusal says what was expected, what was found and what to do, because the operator of the *other* site reads it.

use std::collections::BTreeMap;

use super::message::{
    Close, CloseReason, Hello, PROTOCOL_MAX, PROTOCOL_MIN, Role, SHARD_FUNCTION, StreamState,
};
use crate::journal::batch::ChainHash;
use crate::journal::dot::{Actor, STREAM_COUNT};
use crate::topology::SiteId;

/// Most inode tags of a hello: one is drawn per incarnation, restore or exhausted counter.
pub const TAGS_MAX: usize = 65_536;

/// What was seen of the peer's journal: a journal that is behind it was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remembered {
    /// The journal that the positions belong to. Zero: none was ever seen.
    pub incarnation: u64,
    /// Highest seq seen of each stream, and the chain hash there.
    pub streams: BTreeMap<u32, (u64, ChainHash)>,
}

/// What is known of a connection before the peer speaks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opening {
    /// What this site says of itself.
    pub hello: Hello,
    /// The site that is expected.
    pub remote_site_id: SiteId,
    /// Its name. Empty: not known, any name will do.
    pub remote_name: String,
    /// Site name in the peer's certificate. None: no TLS.
    pub certificate_site: Option<String>,
    /// What was seen of the peer's journal.
    pub remembered: Remembered,
    /// Journals that are fenced, and why, for people.
    pub fenced: BTreeMap<Actor, String>,
    /// This site has exchanged entries with some site before.
    pub joined: bool,
    /// Whoever lacks what is not sent any more takes over what the other site knows. Otherwise it is refused.
    pub takes_over: bool,
}

/// Where it stands how a site joins, for the people who read a refusal.
const HOW_TO_JOIN: &str = "how a site joins anew: cfs-repl help join";

/// What two hellos come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// The protocol version to use.
    pub version: u32,
    /// Who takes over what the other one knows.
    pub filling: Filling,
}

/// Who takes over what the other one knows before entries flow. Both sides come to the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filling {
    /// This site.
    pub ours: bool,
    /// The peer.
    pub theirs: bool,
}

impl Filling {
    /// Whether anyone does.
    #[must_use]
    pub const fn is_any(self) -> bool {
        self.ours || self.theirs
    }
}

/// Checks the peer's hello.
///
/// # Errors
/// The refusal that is sent to the peer.
pub fn check(opening: &Opening, theirs: &Hello) -> Result<Agreed, Close> {
    let version = check_version(theirs)?;
    check_identity(opening, theirs)?;
    check_shape(theirs)?;
    check_fences(opening, theirs)?;
    check_rollback(&opening.remembered, theirs)?;
    let ours = &opening.hello;
    if !opening.takes_over {
        check_newcomer(opening, theirs)?;
    }
    check_cursors(ours, theirs)?;
    check_trees(opening, theirs)?;
    if !opening.takes_over {
        check_kept(ours, theirs)?;
        let filling = Filling::default();
        return Ok(Agreed { version, filling });
    }
    let filling = Filling {
        ours: lacks(ours, theirs),
        theirs: lacks(theirs, ours),
    };
    // Half of a snapshot is no state that another site could go on from, and where one is merged no other one is taken.
    if filling.is_any() && (ours.merging || theirs.merging) {
        let detail = "one of us lacks what is not sent any more, and one is merging what a third site knows; connect \
                      again later";
        return Err(Close::new(CloseReason::Shutdown, detail));
    }
    Ok(Agreed { version, filling })
}

fn check_version(theirs: &Hello) -> Result<u32, Close> {
    let (low, high) = (theirs.protocol_min, theirs.protocol_max);
    let common = high.min(PROTOCOL_MAX);
    if low <= high && common >= low.max(PROTOCOL_MIN) {
        return Ok(common);
    }
    let older = if high < PROTOCOL_MIN { "your" } else { "our" };
    Err(Close::new(
        CloseReason::Version,
        format!(
            "you speak protocol {low}..={high}, we need {PROTOCOL_MIN}..={PROTOCOL_MAX}: \
             upgrade {older} cfs-repl"
        ),
    ))
}

fn check_identity(opening: &Opening, theirs: &Hello) -> Result<(), Close> {
    let ours = &opening.hello;
    let refuse = |reason, detail: String| Err(Close::new(reason, detail));
    if theirs.cluster != ours.cluster {
        return refuse(
            CloseReason::Cluster,
            format!(
                "you are of cluster {:?}, we are of {:?}: check `cluster` in both configurations",
                theirs.cluster, ours.cluster
            ),
        );
    }
    let (id, name) = (theirs.actor.site_id, &theirs.site_name);
    if let Some(certified) = &opening.certificate_site
        && certified != name
    {
        return refuse(
            CloseReason::Identity,
            format!(
                "your certificate is of site {certified:?}, your hello says {name:?}: \
                 check `site.name` and `tls.cert`"
            ),
        );
    }
    let name_known = opening.remote_name.is_empty() || opening.remote_name == *name;
    if id != opening.remote_site_id || !name_known {
        return refuse(
            CloseReason::UnknownSite,
            format!(
                "you say site {id} ({name:?}), here that connection is of site {} ({:?}): \
                 id and name must be equal in both configurations",
                opening.remote_site_id, opening.remote_name
            ),
        );
    }
    if theirs.actor == ours.actor && ours.actor.incarnation != 0 {
        return refuse(
            CloseReason::Identity,
            format!(
                "your journal {} is ours: the state folder was copied",
                ours.actor
            ),
        );
    }
    if theirs.shard_function != SHARD_FUNCTION {
        return refuse(
            CloseReason::Protocol,
            format!(
                "you use shard function {}, we use {SHARD_FUNCTION}: all sites need the same",
                theirs.shard_function
            ),
        );
    }
    Ok(())
}

/// Refuses what no sound peer says, before anything iterates over it.
fn check_shape(theirs: &Hello) -> Result<(), Close> {
    let streams: Vec<u32> = theirs.streams.iter().map(|state| state.stream).collect();
    let cursors: Vec<u32> = theirs.cursors.iter().map(|cursor| cursor.stream).collect();
    let sound = |list: &[u32]| {
        list.is_sorted_by(|a, b| a < b) && list.last().is_none_or(|last| *last < STREAM_COUNT)
    };
    let positions = theirs
        .streams
        .iter()
        .all(|state| state.tail <= state.head.saturating_add(1));
    if sound(&streams) && sound(&cursors) && positions && theirs.tags.len() <= TAGS_MAX {
        return Ok(());
    }
    Err(Close::new(
        CloseReason::Protocol,
        "your hello lists streams out of order or range, or too many tags: this is a bug of the \
         sender",
    ))
}

/// A journal that is behind what was seen of it was rolled back, restored or cloned: its new entries would reuse
/// seqs that others know with different content.
fn check_rollback(remembered: &Remembered, theirs: &Hello) -> Result<(), Close> {
    let is_known = remembered.streams.values().any(|(seq, _)| *seq > 0);
    if remembered.incarnation == 0 || !is_known {
        return Ok(());
    }
    if remembered.incarnation != theirs.actor.incarnation {
        let old = Actor::new(theirs.actor.site_id, remembered.incarnation);
        // Where it was decided that the earlier one ended, all of that comes with a snapshot.
        if theirs.silent.iter().any(|known| known.actor == old) {
            return Ok(());
        }
        return Err(Close::new(
            CloseReason::NotKept,
            format!(
                "your journal {} is new, and we have entries of your earlier one, {old}: you lack what was written \
                 at your own site, and no site sends the entries of another; put the state folder and the tree of \
                 that journal back; without them, {HOW_TO_JOIN}",
                theirs.actor
            ),
        ));
    }
    for (stream, (seq, chain)) in &remembered.streams {
        let state = theirs.streams.iter().find(|state| state.stream == *stream);
        let head = state.map_or(0, |state| state.head);
        let differs = state.is_some_and(|state| head == *seq && state.chain_head != *chain);
        let found = if head < *seq {
            format!("it ends at {head}")
        } else if differs {
            format!("it differs at {seq}")
        } else {
            continue;
        };
        return Err(rolled_back(format!(
            "we have stream {stream} of your journal {} up to {seq}, {found}",
            theirs.actor
        )));
    }
    Ok(())
}

/// The same from the other side: the peer has more of our journal than we do.
fn check_cursors(ours: &Hello, theirs: &Hello) -> Result<(), Close> {
    if ours.actor.incarnation == 0 {
        return Ok(());
    }
    for cursor in theirs.cursors_of(ours.actor.incarnation) {
        let state = ours
            .streams
            .iter()
            .find(|state| state.stream == cursor.stream);
        let head = state.map_or(0, |state| state.head);
        let differs =
            state.is_some_and(|state| cursor.received == head && cursor.differs(&state.chain_head));
        if cursor.received > head || differs {
            return Err(rolled_back(format!(
                "you have stream {} of our journal {} up to {}, we have it up to {head} with chain {}",
                cursor.stream,
                ours.actor,
                cursor.received,
                if differs { "different" } else { "shorter" },
            )));
        }
    }
    Ok(())
}

/// The refusal of a journal that was shut out, or by one. It stands for ever.
#[must_use]
pub fn fenced(actor: Actor, is_theirs: bool, why: &str) -> Close {
    let whose = if is_theirs { "your" } else { "our" };
    Close::new(
        CloseReason::Fenced,
        format!(
            "{whose} journal {actor} was fenced, {why}: what that site had not sent is not taken, and what it \
             lacks is not kept for it; {HOW_TO_JOIN}"
        ),
    )
}

/// A site that has nothing yet would never get what a journal that was shut out wrote: its site sends nothing more.
fn check_newcomer(opening: &Opening, theirs: &Hello) -> Result<(), Close> {
    let has_nothing = theirs.streams.is_empty() && theirs.cursors.is_empty();
    let out = opening
        .fenced
        .keys()
        .find(|actor| **actor != opening.hello.actor);
    match out {
        Some(actor) if has_nothing && theirs.role != Role::Primary => Err(Close::new(
            CloseReason::NotKept,
            format!(
                "you have nothing yet, and nobody sends you the entries of journal {actor}, which was fenced; \
                 {HOW_TO_JOIN}"
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

fn check_fences(opening: &Opening, theirs: &Hello) -> Result<(), Close> {
    for (actor, is_theirs) in [(theirs.actor, true), (opening.hello.actor, false)] {
        if let Some(why) = opening.fenced.get(&actor) {
            return Err(fenced(actor, is_theirs, why));
        }
    }
    Ok(())
}

/// Two trees that had files before the sites met have no common history: merged, every file that both have would be
/// two, and each would come back beside the other.
fn check_trees(opening: &Opening, theirs: &Hello) -> Result<(), Close> {
    let ours = &opening.hello;
    let told = match (ours.founder, theirs.founder) {
        (Some(ours), Some(theirs)) if ours != theirs => {
            format!("your tree comes from journal {theirs}, ours from {ours}")
        }
        (None, Some(founder)) if opening.joined && !have_met(ours, theirs) => {
            format!("your tree comes from journal {founder}, and ours has a history without it")
        }
        (Some(_), Some(_) | None) | (None, Some(_) | None) => return Ok(()),
    };
    Err(Close::new(
        CloseReason::Populated,
        format!(
            "{told}: both had files before they met, and such trees are not merged; at the site that is to take \
             the other's tree, move its files and its state folder away and start it empty; {HOW_TO_JOIN}"
        ),
    ))
}

/// Whether either has received anything of the other's journal.
fn have_met(ours: &Hello, theirs: &Hello) -> bool {
    let any = |of: &Hello, by: &Hello| by.cursors_of(of.actor.incarnation).next().is_some();
    any(ours, theirs) || any(theirs, ours)
}

/// Whether `receiver` lacks what the other site does not send any more, and so takes over what that knows.
fn lacks(receiver: &Hello, sender: &Hello) -> bool {
    if receiver.role == Role::Primary {
        return false;
    }
    let has = |stream: u32| {
        let mut cursors = receiver.cursors_of(sender.actor.incarnation);
        let cursor = cursors.find(|cursor| cursor.stream == stream);
        cursor.map_or(0, |cursor| cursor.received)
    };
    let mut streams = sender.streams.iter();
    let is_trimmed = streams.any(|state| has(state.stream).saturating_add(1) < state.tail);
    // Who has less of a journal that ended, where both know that it did; an earlier one of its own site did.
    let mut silent = sender.silent.iter();
    let is_behind = silent.any(|theirs| {
        let known = receiver
            .silent
            .iter()
            .find(|ours| ours.actor == theirs.actor);
        match known {
            Some(ours) => theirs.exceeds(ours),
            None => {
                theirs.actor.site_id == receiver.actor.site_id && theirs.actor != receiver.actor
            }
        }
    });
    let is_new = receiver.newcomer && sender.fills_newcomers;
    is_trimmed || is_behind || is_new
}

/// Without what one lacks and the other no longer keeps, nothing that follows can be sent.
fn check_kept(ours: &Hello, theirs: &Hello) -> Result<(), Close> {
    for (sender, receiver, who) in [(ours, theirs, "you lack"), (theirs, ours, "we lack")] {
        if receiver.role == Role::Primary {
            continue;
        }
        let has = |stream: u32| {
            let mut cursors = receiver.cursors_of(sender.actor.incarnation);
            let cursor = cursors.find(|cursor| cursor.stream == stream);
            cursor.map_or(0, |cursor| cursor.received)
        };
        let gone = |state: &&StreamState| has(state.stream).saturating_add(1) < state.tail;
        if let Some(state) = sender.streams.iter().find(gone) {
            let (stream, tail, actor) = (state.stream, state.tail, sender.actor);
            return Err(Close::new(
                CloseReason::NotKept,
                format!(
                    "{who} stream {stream} of journal {actor} from {} on, and it is kept from {tail} on only; \
                     {HOW_TO_JOIN}",
                    has(stream) + 1
                ),
            ));
        }
    }
    Ok(())
}

fn rolled_back(found: String) -> Close {
    let what = "the journal was rolled back, restored or copied; put the newer state folder back at the site that \
                owns it; without it, ";
    Close::new(
        CloseReason::RolledBack,
        format!("{found}: {what}{HOW_TO_JOIN}"),
    )
}

#[cfg(test)]
pub(super) mod tests;
