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
    // Half of a snapshot is no state that another site could go on from.
    if filling.ours && theirs.wants_snapshot || filling.theirs && ours.wants_snapshot {
        let detail = "one of us lacks what is not sent any more, and the other one is taking over a snapshot itself; \
                      connect again later";
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
    is_trimmed || is_behind || is_new || receiver.wants_snapshot
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
pub(super) mod tests {
    use super::super::message::StreamCursor;
    use super::*;
    use crate::journal::dot::Actor;
    use crate::journal::verdict::{Reached, ReceivedCursor};

    /// A hello of a site named `s<id>` in cluster `lab`.
    pub(crate) fn hello(site_id: u64) -> Hello {
        Hello {
            protocol_min: 1,
            protocol_max: 1,
            actor: Actor::new(site_id, site_id + 100),
            site_name: format!("s{site_id}"),
            cluster: "lab".to_owned(),
            shard_function: SHARD_FUNCTION,
            ..Hello::default()
        }
    }

    pub(crate) fn opening(local: u64, remote: u64) -> Opening {
        Opening {
            hello: hello(local),
            remote_site_id: remote,
            remote_name: format!("s{remote}"),
            certificate_site: Some(format!("s{remote}")),
            ..Opening::default()
        }
    }

    fn taking_over(local: u64, remote: u64) -> Opening {
        Opening {
            takes_over: true,
            ..opening(local, remote)
        }
    }

    fn state(stream: u32, head: u64, chain: u8) -> StreamState {
        StreamState {
            stream,
            tail: 1,
            head,
            chain_head: [chain; 32],
        }
    }

    /// Version 1, and entries.
    const AGREED: Agreed = Agreed {
        version: 1,
        filling: Filling {
            ours: false,
            theirs: false,
        },
    };

    /// Who takes over what the other one knows: us, them.
    fn filling(opening: &Opening, theirs: &Hello) -> (bool, bool) {
        let Filling { ours, theirs } = check(opening, theirs).unwrap().filling;
        (ours, theirs)
    }

    fn reached(actor: Actor, seq: u64) -> Reached {
        let cursor = ReceivedCursor {
            seq,
            chain: [1; 32],
        };
        Reached {
            actor,
            streams: [(3, cursor)].into_iter().collect(),
        }
    }

    /// A change of their hello, the reason of the refusal, and words of its detail.
    type Fault = (fn(&mut Hello), CloseReason, &'static str);

    #[test]
    fn every_wrong_hello_is_refused_with_what_to_do() {
        let cases: [Fault; 11] = [
            (|h| h.protocol_max = 0, CloseReason::Version, "upgrade your"),
            (
                |h| (h.protocol_min, h.protocol_max) = (2, 9),
                CloseReason::Version,
                "you speak protocol 2..=9, we need 1..=1: upgrade our",
            ),
            (|h| h.protocol_min = 5, CloseReason::Version, "5..=1"),
            (
                |h| h.cluster = "prod".into(),
                CloseReason::Cluster,
                "`cluster`",
            ),
            (
                |h| h.site_name = "s3".into(),
                CloseReason::Identity,
                "certificate is of site \"s2\"",
            ),
            (
                |h| h.actor.site_id = 3,
                CloseReason::UnknownSite,
                "site 3 (\"s2\")",
            ),
            (
                |h| h.shard_function = 2,
                CloseReason::Protocol,
                "shard function 2",
            ),
            (
                |h| h.streams = vec![state(257, 1, 0)],
                CloseReason::Protocol,
                "out of order",
            ),
            (
                |h| h.streams = vec![state(2, 1, 0), state(2, 1, 0)],
                CloseReason::Protocol,
                "out of order",
            ),
            (
                |h| h.tags = vec![0; TAGS_MAX + 1],
                CloseReason::Protocol,
                "tags",
            ),
            (
                |h| {
                    h.streams = vec![StreamState {
                        tail: 9,
                        ..state(2, 1, 0)
                    }];
                },
                CloseReason::Protocol,
                "streams",
            ),
        ];
        assert_eq!(check(&opening(1, 2), &hello(2)), Ok(AGREED));
        for (change, reason, words) in cases {
            let mut theirs = hello(2);
            change(&mut theirs);
            let close = check(&opening(1, 2), &theirs).unwrap_err();
            assert_eq!(close.reason, reason, "{close}");
            assert!(close.detail.contains(words), "{close}");
        }
    }

    #[test]
    fn a_newer_peer_that_still_speaks_our_version_is_taken() {
        let mut theirs = hello(2);
        theirs.protocol_max = 9;
        assert_eq!(check(&opening(1, 2), &theirs), Ok(AGREED));
    }

    #[test]
    fn a_journal_behind_what_was_seen_of_it_is_refused() {
        let mut opening = opening(1, 2);
        opening.remembered = Remembered {
            incarnation: 102,
            streams: [(7, (50, [1; 32]))].into_iter().collect(),
        };
        let with = |streams: Vec<StreamState>| Hello {
            streams,
            ..hello(2)
        };
        check(&opening, &with(vec![state(7, 50, 1)])).unwrap();
        check(&opening, &with(vec![state(7, 51, 9)])).unwrap();
        for streams in [vec![], vec![state(7, 49, 1)], vec![state(7, 50, 2)]] {
            let close = check(&opening, &with(streams)).unwrap_err();
            assert_eq!(close.reason, CloseReason::RolledBack);
            assert!(close.detail.contains("cfs-repl help join"), "{close}");
        }
    }

    #[test]
    fn a_new_journal_of_a_site_whose_entries_are_known_is_refused_until_the_earlier_one_is_out() {
        let mut opening = taking_over(1, 2);
        let mut anew = hello(2);
        anew.actor.incarnation = 999;
        opening.remembered.incarnation = 102;
        check(&opening, &anew).expect("of the earlier one nothing is known");
        opening.remembered.streams = [(7, (0, [0; 32]))].into_iter().collect();
        check(&opening, &anew).expect("of the earlier one nothing is known");
        opening.remembered.streams = [(7, (1, [1; 32]))].into_iter().collect();
        let close = check(&opening, &anew).unwrap_err();
        assert_eq!(close.reason, CloseReason::NotKept);
        for words in ["earlier one", "put the state folder", "cfs-repl help join"] {
            assert!(close.detail.contains(words), "{close}");
        }
        anew.silent = vec![reached(hello(2).actor, 1)];
        check(&opening, &anew).expect("it knows of the earlier one");
    }

    #[test]
    fn a_new_journal_of_a_known_site_takes_over_what_it_lacks_of_the_earlier_one() {
        let mut opening = taking_over(1, 2);
        opening.hello.silent = vec![reached(hello(2).actor, 4)];
        assert_eq!(filling(&opening, &with_head(hello(2))), (false, false));
        let mut anew = hello(2);
        anew.actor.incarnation = 999;
        assert_eq!(filling(&opening, &anew), (false, true));
        anew.silent = vec![reached(hello(2).actor, 3)];
        assert_eq!(filling(&opening, &anew), (false, true));
        anew.silent = vec![reached(hello(2).actor, 4)];
        assert_eq!(filling(&opening, &anew), (false, false));
    }

    fn with_head(hello: Hello) -> Hello {
        let streams = vec![state(7, 1, 1)];
        Hello { streams, ..hello }
    }

    #[test]
    fn a_peer_that_has_more_of_our_journal_than_we_do_is_refused() {
        let mut opening = opening(1, 2);
        opening.hello.streams = vec![state(3, 10, 1)];
        let cursor = |received, chain: u8| Hello {
            peer_incarnation: 101,
            cursors: vec![StreamCursor {
                stream: 3,
                received,
                chain: [chain; 32],
                ..StreamCursor::default()
            }],
            ..hello(2)
        };
        for fine in [cursor(10, 1), cursor(9, 8), cursor(10, 0)] {
            check(&opening, &fine).unwrap();
        }
        for bad in [cursor(11, 1), cursor(10, 2)] {
            let close = check(&opening, &bad).unwrap_err();
            assert_eq!(close.reason, CloseReason::RolledBack, "{close}");
        }
        let of_an_older_journal = Hello {
            peer_incarnation: 5,
            ..cursor(11, 1)
        };
        check(&opening, &of_an_older_journal).unwrap();
    }

    #[test]
    fn a_fenced_journal_is_refused_in_both_directions() {
        let why = "by site 1 on 2026-11-25";
        for (actor, whose) in [(hello(2).actor, "your"), (hello(1).actor, "our")] {
            let mut opening = taking_over(1, 2);
            opening.fenced = [(actor, why.to_owned())].into_iter().collect();
            let close = check(&opening, &hello(2)).unwrap_err();
            assert_eq!(close.reason, CloseReason::Fenced);
            for words in [whose, why, "cfs-repl help join"] {
                assert!(close.detail.contains(words), "{close}");
            }
        }
    }

    #[test]
    fn who_has_less_of_a_journal_that_ended_takes_over_what_the_other_one_knows() {
        let ended = Actor::new(3, 5);
        let with = |site, silent: Vec<Reached>| Hello {
            silent,
            ..hello(site)
        };
        let both = |ours: Vec<Reached>, theirs: Vec<Reached>| {
            let mut opening = taking_over(1, 2);
            opening.hello = with(1, ours);
            filling(&opening, &with(2, theirs))
        };
        let at = |seq| vec![reached(ended, seq)];
        assert_eq!(both(at(4), at(4)), (false, false));
        assert_eq!(both(at(3), at(4)), (true, false));
        assert_eq!(both(at(4), at(3)), (false, true));
        // Who does not know yet that it ended will hear of it.
        assert_eq!(both(vec![], at(4)), (false, false));
        let mut other = reached(ended, 9);
        other.streams = [(4, ReceivedCursor::default())].into_iter().collect();
        assert_eq!(both(at(4), vec![other]), (false, true));
    }

    #[test]
    fn a_newcomer_takes_over_what_nobody_sends_any_more_and_who_was_interrupted_goes_on() {
        let mut opening = taking_over(1, 2);
        let newcomer = Hello {
            newcomer: true,
            ..hello(2)
        };
        assert_eq!(filling(&opening, &newcomer), (false, false));
        opening.hello.fills_newcomers = true;
        assert_eq!(filling(&opening, &newcomer), (false, true));
        assert_eq!(filling(&opening, &hello(2)), (false, false));
        let interrupted = Hello {
            wants_snapshot: true,
            ..hello(2)
        };
        assert_eq!(filling(&opening, &interrupted), (false, true));
        // It has only half of what it would give.
        opening.hello.newcomer = true;
        let giving = Hello {
            fills_newcomers: true,
            ..interrupted
        };
        let close = check(&opening, &giving).unwrap_err();
        assert_eq!(close.reason, CloseReason::Shutdown, "{close}");
    }

    #[test]
    fn two_trees_that_were_there_before_the_sites_met_are_refused() {
        let (one, two) = (Actor::new(1, 101), Actor::new(2, 102));
        let ours = |founder, joined| {
            let mut opening = opening(1, 2);
            (opening.hello.founder, opening.joined) = (founder, joined);
            opening
        };
        let theirs = |founder| Hello {
            founder,
            ..hello(2)
        };
        for fine in [
            (ours(None, false), theirs(None)),
            (ours(None, true), theirs(None)),
            (ours(Some(one), false), theirs(None)),
            (ours(Some(one), true), theirs(Some(one))),
            (ours(None, false), theirs(Some(two))),
        ] {
            check(&fine.0, &fine.1).unwrap();
        }
        for (opening, words) in [
            (ours(Some(one), false), "ours from"),
            (ours(Some(one), true), "ours from"),
            (ours(None, true), "history without it"),
        ] {
            let close = check(&opening, &theirs(Some(two))).unwrap_err();
            assert_eq!(close.reason, CloseReason::Populated);
            assert!(close.detail.contains(words), "{close}");
            assert!(close.detail.contains("cfs-repl help join"), "{close}");
        }
        let mut met = theirs(Some(two));
        met.peer_incarnation = 101;
        met.cursors = vec![StreamCursor::default()];
        check(&ours(None, true), &met).unwrap();
    }

    #[test]
    fn who_lacks_what_is_no_longer_kept_takes_over_what_the_other_one_knows() {
        let trimmed = |hello: Hello| Hello {
            streams: vec![StreamState {
                tail: 8,
                ..state(3, 9, 1)
            }],
            ..hello
        };
        let knowing = |hello: Hello, incarnation, received| Hello {
            peer_incarnation: incarnation,
            cursors: vec![StreamCursor {
                stream: 3,
                received,
                ..StreamCursor::default()
            }],
            ..hello
        };
        let mut opening = taking_over(1, 2);
        opening.hello = trimmed(hello(1));
        let has_all = knowing(hello(2), 101, 7);
        assert_eq!(filling(&opening, &has_all), (false, false));
        let mut primary = hello(2);
        primary.role = Role::Primary;
        assert_eq!(filling(&opening, &primary), (false, false));
        for lacking in [hello(2), knowing(hello(2), 101, 6), knowing(hello(2), 5, 9)] {
            assert_eq!(filling(&opening, &lacking), (false, true));
        }
        opening.hello = knowing(hello(1), 102, 6);
        assert_eq!(filling(&opening, &trimmed(hello(2))), (true, false));
        opening.hello = knowing(hello(1), 102, 7);
        assert_eq!(filling(&opening, &trimmed(hello(2))), (false, false));
    }

    #[test]
    fn a_new_journal_of_a_site_whose_entries_are_known_is_refused_for_it_would_never_get_those() {
        let mut opening = opening(1, 2);
        let mut anew = hello(2);
        anew.actor.incarnation = 999;
        opening.remembered.incarnation = 102;
        check(&opening, &anew).expect("of the earlier one nothing is known");
        opening.remembered.streams = [(7, (0, [0; 32]))].into_iter().collect();
        check(&opening, &anew).expect("of the earlier one nothing is known");
        opening.remembered.streams = [(7, (1, [1; 32]))].into_iter().collect();
        let close = check(&opening, &anew).unwrap_err();
        assert_eq!(close.reason, CloseReason::NotKept);
        for words in ["earlier one", "put the state folder", "cfs-repl help join"] {
            assert!(close.detail.contains(words), "{close}");
        }
    }

    #[test]
    fn a_fenced_journal_is_refused_in_both_directions_and_so_is_who_would_lack_it() {
        let why = "by site 1 on 2026-11-25";
        for (actor, whose) in [(hello(2).actor, "your"), (hello(1).actor, "our")] {
            let mut opening = opening(1, 2);
            opening.fenced = [(actor, why.to_owned())].into_iter().collect();
            let close = check(&opening, &hello(2)).unwrap_err();
            assert_eq!(close.reason, CloseReason::Fenced);
            for words in [whose, why, "cfs-repl help join"] {
                assert!(close.detail.contains(words), "{close}");
            }
        }
        let mut opening = opening(1, 2);
        opening.fenced = [(hello(2).actor, why.to_owned())].into_iter().collect();
        let mut newcomer = hello(2);
        newcomer.actor.incarnation += 1;
        let close = check(&opening, &newcomer).unwrap_err();
        assert_eq!(close.reason, CloseReason::NotKept, "{close}");
        newcomer.streams = vec![state(1, 1, 1)];
        check(&opening, &newcomer).expect("a member that has what it wrote");
    }

    #[test]
    fn who_lacks_what_is_no_longer_kept_is_told_so_by_either_side() {
        let trimmed = |hello: Hello| Hello {
            streams: vec![StreamState {
                tail: 8,
                ..state(3, 9, 1)
            }],
            ..hello
        };
        let knowing = |hello: Hello, incarnation, received| Hello {
            peer_incarnation: incarnation,
            cursors: vec![StreamCursor {
                stream: 3,
                received,
                ..StreamCursor::default()
            }],
            ..hello
        };
        let mut opening = opening(1, 2);
        opening.hello = trimmed(hello(1));
        check(&opening, &knowing(hello(2), 101, 7)).unwrap();
        let mut primary = hello(2);
        primary.role = Role::Primary;
        check(&opening, &primary).unwrap();
        for lacking in [hello(2), knowing(hello(2), 101, 6), knowing(hello(2), 5, 9)] {
            let close = check(&opening, &lacking).unwrap_err();
            assert_eq!(close.reason, CloseReason::NotKept);
            assert!(close.detail.starts_with("you lack stream 3"), "{close}");
        }
        opening.hello = knowing(hello(1), 102, 6);
        let close = check(&opening, &trimmed(hello(2))).unwrap_err();
        assert!(close.detail.starts_with("we lack stream 3"), "{close}");
        opening.hello = knowing(hello(1), 102, 7);
        check(&opening, &trimmed(hello(2))).unwrap();
    }

    #[test]
    fn a_copied_state_folder_is_noticed() {
        let mut theirs = hello(1);
        theirs.site_name = "s1".to_owned();
        let close = check(&opening(1, 1), &theirs).unwrap_err();
        assert_eq!(close.reason, CloseReason::Identity, "{close}");
    }
}
