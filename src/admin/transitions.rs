//! Pure: what happened since the last look, as events: sites that come and go, stall, park and are held.
//!
//! Names and fields are a contract, only added to: alerts and scripts match them. What flips every second in good
//! order, such as streaming and idle, is no event.

use std::collections::BTreeMap;

use super::view::{EventView, Level, SiteState, SiteView, StatusView, Verdict, path_text};

/// An event before it has a number and a time.
#[must_use]
pub fn event(level: Level, name: &str, site: Option<&str>, text: String) -> EventView {
    EventView {
        level,
        name: name.to_owned(),
        site: site.map(str::to_owned),
        text,
        ..EventView::default()
    }
}

/// How the whole and every peer stood when that was known last. What is on the way from one to another, such as
/// connecting, is not remembered: between two looks it may be all that is seen of a peer that went or came.
#[derive(Debug, Default)]
pub struct Stood {
    /// None before the first look, at which no verdict changed yet.
    verdict: Option<Verdict>,
    /// Who is not here has not been connected.
    sites: BTreeMap<String, SiteState>,
}

impl Stood {
    /// What happened since the last look, worst last.
    #[must_use]
    pub fn look(&mut self, now: &StatusView) -> Vec<EventView> {
        let mut events = Vec::new();
        if let Some(from) = self.verdict.replace(now.verdict)
            && from != now.verdict
        {
            events.push(verdict_changed(from, now));
        }
        for site in &now.sites {
            let stood = self.sites.get(&site.site).copied();
            events.extend(of_site(stood.unwrap_or(SiteState::NeverConnected), site));
            if standing(site.state).is_some() {
                self.sites.insert(site.site.clone(), site.state);
            }
        }
        self.sites
            .retain(|name, _| now.sites.iter().any(|site| site.site == *name));
        events.sort_by_key(|event| event.level);
        events
    }
}

fn verdict_changed(from: Verdict, now: &StatusView) -> EventView {
    let to = now.verdict;
    let level = match to {
        Verdict::Ok | Verdict::CatchingUp | Verdict::Unknown => Level::Info,
        Verdict::Degraded => Level::Warn,
        Verdict::Stalled | Verdict::Down => Level::Error,
    };
    let text = format!("verdict {from}, then {to}: {}", now.summary);
    EventView {
        fields: fields([("from", from.to_string()), ("to", to.to_string())]),
        ..event(level, "verdict.changed", None, text)
    }
}

/// What a state means for events: states that change in good order are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Up,
    Down,
    Stalled,
    Parked,
    Fenced,
    Paused,
    Held,
}

/// None: on the way from one to another.
const fn standing(state: SiteState) -> Option<Standing> {
    Some(match state {
        SiteState::Unknown | SiteState::Connecting => return None,
        SiteState::CatchingUp | SiteState::Streaming | SiteState::Idle => Standing::Up,
        SiteState::NeverConnected | SiteState::Backoff => Standing::Down,
        SiteState::Stalled => Standing::Stalled,
        SiteState::Parked => Standing::Parked,
        SiteState::Fenced => Standing::Fenced,
        SiteState::Paused => Standing::Paused,
        SiteState::Held => Standing::Held,
    })
}

fn of_site(before: SiteState, site: &SiteView) -> Vec<EventView> {
    let (Some(was), Some(is)) = (standing(before), standing(site.state)) else {
        return Vec::new();
    };
    if was == is {
        return Vec::new();
    }
    let name = &site.site;
    let because = |text: String| match &site.last_error {
        Some(why) => format!("{text}: {why}"),
        None => text,
    };
    let mut events = Vec::new();
    if was == Standing::Held {
        events.push((
            Level::Info,
            "brake.released",
            format!("{name} is not held any more"),
        ));
    }
    events.push(match is {
        // Told where an operator did it, with who that was.
        Standing::Paused => return Vec::new(),
        Standing::Up => (Level::Info, "site.up", format!("{name} is connected")),
        Standing::Down => (
            Level::Error,
            "site.down",
            because(format!("{name} is not connected")),
        ),
        Standing::Stalled => (
            Level::Error,
            "site.stalled",
            format!("{name} is connected, has work, and nothing moves"),
        ),
        Standing::Parked => (Level::Warn, "site.parked", parked(site)),
        Standing::Fenced => (
            Level::Error,
            "site.fenced",
            because(format!("{name} is fenced")),
        ),
        Standing::Held => (
            Level::Error,
            "brake.held",
            because(format!("a brake holds {name}")),
        ),
    });
    let to_event = |(level, event_name, text)| EventView {
        fields: fields([("from", before.to_string()), ("to", site.state.to_string())]),
        ..event(level, event_name, Some(name), text)
    };
    events.into_iter().map(to_event).collect()
}

fn parked(site: &SiteView) -> String {
    let name = &site.site;
    match site.parked.first() {
        Some(first) => {
            let inode = || format!("inode {}", first.inode);
            let path = first.path.as_deref().map_or_else(inode, path_text);
            format!(
                "changes of {name} cannot be applied here, the first to {path}: {}",
                first.reason
            )
        }
        None => format!("{name} cannot apply changes of this site"),
    }
}

fn fields<const N: usize>(all: [(&str, String); N]) -> BTreeMap<String, String> {
    all.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::EVENT_NAMES;

    fn status(state: SiteState) -> StatusView {
        StatusView {
            verdict: Verdict::Ok,
            sites: vec![SiteView {
                site: "b".to_owned(),
                state,
                last_error: Some("refused".to_owned()),
                ..SiteView::default()
            }],
            ..StatusView::default()
        }
    }

    fn between(before: SiteState, after: SiteState) -> Vec<EventView> {
        let mut stood = Stood::default();
        drop(stood.look(&status(before)));
        stood.look(&status(after))
    }

    fn names(before: SiteState, after: SiteState) -> Vec<String> {
        let events = between(before, after);
        events.into_iter().map(|event| event.name).collect()
    }

    #[test]
    fn a_site_that_comes_goes_or_stops_is_an_event_and_one_that_works_is_none() {
        use SiteState::*;
        assert_eq!(names(Idle, Backoff), ["site.down"]);
        assert_eq!(names(Backoff, Streaming), ["site.up"]);
        assert_eq!(names(NeverConnected, Idle), ["site.up"]);
        assert_eq!(names(CatchingUp, Stalled), ["site.stalled"]);
        assert_eq!(names(Idle, Parked), ["site.parked"]);
        assert_eq!(names(Backoff, Fenced), ["site.fenced"]);
        assert_eq!(names(Paused, Idle), ["site.up"]);
        assert_eq!(names(Held, Backoff), ["brake.released", "site.down"]);
        for (before, after) in [
            (Idle, Streaming),
            (Streaming, CatchingUp),
            (Idle, Connecting),
            (NeverConnected, Backoff),
            (Idle, Paused),
        ] {
            assert!(names(before, after).is_empty(), "{before} {after}");
        }
        let down = &between(Idle, Backoff)[0];
        assert_eq!(down.text, "b is not connected: refused");
        assert_eq!(
            (down.level, down.site.as_deref()),
            (Level::Error, Some("b"))
        );
        assert_eq!(down.fields["from"], "idle");
    }

    #[test]
    fn a_site_that_is_seen_on_its_way_is_told_when_it_has_arrived() {
        use SiteState::*;
        let told = |states: &[SiteState]| -> Vec<String> {
            let mut stood = Stood::default();
            let events = states.iter().flat_map(|state| stood.look(&status(*state)));
            events.map(|event| event.name).collect()
        };
        assert_eq!(
            told(&[NeverConnected, Connecting, Unknown, Idle]),
            ["site.up"]
        );
        assert_eq!(
            told(&[Streaming, Backoff, Connecting, Idle])[1..],
            ["site.down", "site.up"]
        );
        assert_eq!(told(&[Idle, Connecting, Backoff])[1..], ["site.down"]);
        assert_eq!(told(&[Idle, Connecting, Idle])[1..], [""; 0]);
        // A daemon that starts knows of nobody: who is there at its first look has come.
        assert_eq!(told(&[Idle]), ["site.up"]);
        let mut stood = Stood::default();
        drop(stood.look(&status(Idle)));
        drop(stood.look(&StatusView::default()));
        let back = stood
            .look(&status(Idle))
            .into_iter()
            .map(|event| event.name);
        assert!(
            back.eq(["verdict.changed", "site.up"]),
            "who was removed and came back is new"
        );
    }

    #[test]
    fn a_changed_verdict_is_an_event_and_every_name_is_listed() {
        let mut after = status(SiteState::Stalled);
        after.verdict = Verdict::Stalled;
        let mut stood = Stood::default();
        drop(stood.look(&status(SiteState::Idle)));
        let events = stood.look(&after);
        let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(names, ["verdict.changed", "site.stalled"]);
        for event in events {
            assert!(
                EVENT_NAMES.iter().any(|(name, _)| *name == event.name),
                "{}",
                event.name
            );
        }
    }
}
