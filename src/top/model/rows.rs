//! Pure: what is listed, in the order and through the filter that the person chose.

use std::collections::{BTreeSet, VecDeque};

use super::{Choice, ConflictSort, Data, Model, SiteSort};
use crate::admin::view::{
    Cause, ConflictView, EventView, Severity, SiteLag, SiteState, SiteView, path_text,
};

/// What is listed on the screens that can be long. Made anew only when a list or the choice changed; events, of which there
/// may be a thousand in a second, come one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Places of conflicts in the list of the inbox.
    pub conflicts: Vec<usize>,
    /// Numbers of events, the latest first.
    pub events: VecDeque<u64>,
}

impl Rows {
    /// An event came after all that are listed.
    pub fn put_event(&mut self, choice: &Choice, event: &EventView) {
        if shows_event(choice, event) {
            self.events.push_front(event.number);
        }
    }

    /// Events before this number are not kept any more.
    pub fn forget_events(&mut self, before: u64) {
        while self.events.back().is_some_and(|last| *last < before) {
            self.events.pop_back();
        }
    }
}

/// A site with all that is known of it.
#[derive(Debug, Clone, Copy)]
pub struct SiteRow<'a> {
    /// Its status.
    pub site: &'a SiteView,
    /// Its lag.
    pub lag: Option<&'a SiteLag>,
    /// The worst cause that names it.
    pub cause: Option<&'a Cause>,
}

impl SiteRow<'_> {
    /// Something is to be looked at.
    #[must_use]
    pub fn is_problem(&self) -> bool {
        self.cause.is_some() || rank(self.site.state) < rank(SiteState::CatchingUp)
    }

    /// Somebody is needed.
    #[must_use]
    pub fn is_critical(&self) -> bool {
        self.cause
            .is_some_and(|cause| cause.severity == Severity::Critical)
    }
}

/// The lower, the worse.
#[must_use]
pub const fn rank(state: SiteState) -> u8 {
    match state {
        SiteState::Fenced => 0,
        SiteState::Held => 1,
        SiteState::Backoff => 2,
        SiteState::Stalled => 3,
        SiteState::NeverConnected => 4,
        SiteState::Unknown => 5,
        SiteState::Paused => 6,
        SiteState::Parked => 7,
        SiteState::Connecting => 8,
        SiteState::CatchingUp => 9,
        SiteState::Streaming => 10,
        SiteState::Idle => 11,
    }
}

/// The sites, in order, those that the filter lets through.
#[must_use]
pub fn sites<'a>(data: &'a Data, sort: SiteSort, filter: &str) -> Vec<SiteRow<'a>> {
    let Some(look) = data.look.as_deref() else {
        return Vec::new();
    };
    let row = |site: &'a SiteView| SiteRow {
        site,
        lag: look.lag.sites.iter().find(|lag| lag.site == site.site),
        cause: (look.status.causes.iter())
            .filter(|cause| cause.site.as_deref() == Some(&site.site))
            .max_by_key(|cause| cause.severity),
    };
    let mut rows: Vec<SiteRow<'a>> = look
        .status
        .sites
        .iter()
        .filter(|site| fits(filter, &[&site.site, site.state.word()]))
        .map(row)
        .collect();
    let lag = |row: &SiteRow<'_>| row.site.lag.us().unwrap_or(0);
    match sort {
        SiteSort::Worst => rows.sort_by_key(|row| {
            let severity = if row.is_critical() {
                0
            } else if row.cause.is_some() {
                1
            } else {
                2
            };
            (severity, rank(row.site.state), u64::MAX - lag(row))
        }),
        SiteSort::Name => {}
        SiteSort::Lag => rows.sort_by_key(|row| u64::MAX - lag(row)),
        SiteSort::Entries => {
            rows.sort_by_key(|row| u64::MAX - row.site.behind_entries.unwrap_or(0));
        }
    }
    rows
}

/// Whether a filter lets something through that shows these texts: every word has to be in one of them, and one with
/// `!` in front in none. Upper and lower case are the same.
#[must_use]
pub fn fits(filter: &str, texts: &[&str]) -> bool {
    if filter.is_empty() {
        return true;
    }
    let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
    filter.split_whitespace().all(|word| {
        let (word, wanted) = word
            .strip_prefix('!')
            .map_or((word, true), |word| (word, false));
        let word = word.to_lowercase();
        word.is_empty() || texts.iter().any(|text| text.contains(&word)) == wanted
    })
}

/// The path of a conflict for people, before it is made printable.
#[must_use]
pub fn conflict_path(conflict: &ConflictView) -> String {
    match &conflict.path {
        Some(path) => path_text(path),
        None => format!("inode {}", conflict.inode),
    }
}

/// Finds what is listed anew.
pub fn refresh(model: &mut Model) {
    let data = model.frozen.as_deref().unwrap_or(&model.data);
    if !model.choice.marked.is_empty()
        && let Some(list) = &data.inbox.list
    {
        let open: BTreeSet<&str> = (list.iter())
            .filter(|one| one.is_open())
            .map(|one| one.id.as_str())
            .collect();
        model.choice.marked.retain(|id| open.contains(id.as_str()));
    }
    let choice = &model.choice;
    let [_, conflict_filter, _] = &choice.filters;
    model.rows.conflicts = conflicts(
        data,
        choice.all_conflicts,
        choice.conflict_sort,
        conflict_filter,
    );
    model.rows.events = data
        .events
        .iter()
        .rev()
        .filter(|event| shows_event(choice, event))
        .map(|event| event.number)
        .collect();
}

fn shows_event(choice: &Choice, event: &EventView) -> bool {
    let [_, _, filter] = &choice.filters;
    let site = event.site.as_deref().unwrap_or("");
    let texts = [&event.name, &event.text, site, event.level.word()];
    event.level >= choice.level && fits(filter, &texts)
}

fn conflicts(data: &Data, all: bool, sort: ConflictSort, filter: &str) -> Vec<usize> {
    let Some(list) = data.inbox.list.as_deref() else {
        return Vec::new();
    };
    let passes = |conflict: &ConflictView| {
        if !all && !conflict.is_open() {
            return false;
        }
        if filter.is_empty() {
            return true;
        }
        let path = conflict_path(conflict);
        let winner = conflict
            .winner
            .as_ref()
            .and_then(|winner| winner.site.as_deref());
        let loser = conflict.loser.site.as_deref();
        let texts = [&conflict.id, &conflict.kind, &path, &conflict.register];
        let texts = texts.map(String::as_str);
        let sites = [winner.unwrap_or(""), loser.unwrap_or("")];
        fits(filter, &[&texts[..], &sites[..]].concat())
    };
    // Oldest first in the list, the latest first here.
    let mut rows: Vec<usize> = (0..list.len())
        .rev()
        .filter(|at| list.get(*at).is_some_and(passes))
        .collect();
    match sort {
        ConflictSort::Latest => {}
        ConflictSort::Loss => rows
            .sort_by_key(|at| u64::MAX - list.get(*at).and_then(|one| one.lost_bytes).unwrap_or(0)),
        ConflictSort::Path => {
            rows.sort_by_key(|at| list.get(*at).and_then(|one| one.path.clone()));
        }
    }
    rows
}

/// The event of that number; numbers only grow.
#[must_use]
pub fn event(events: &VecDeque<EventView>, number: u64) -> Option<&EventView> {
    let at = events
        .binary_search_by_key(&number, |event| event.number)
        .ok()?;
    events.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_wants_every_word_and_none_of_the_inverted_ones() {
        let texts = ["iad-2", "Backoff", "certificate expired"];
        for (filter, expected) in [
            ("", true),
            ("IAD", true),
            ("iad back", true),
            ("iad sin", false),
            ("!sin", true),
            ("iad !expired", false),
            ("!", true),
        ] {
            assert_eq!(fits(filter, &texts), expected, "{filter}");
        }
    }
}
