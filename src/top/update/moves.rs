//! Pure: getting about: what is selected, and where the focus is.

use super::super::diff;
use super::super::message::Target;
use super::super::model::{Model, Screen, rows};

/// Rows of the heat map, and shards in one of them.
const SIDE: u32 = 16;
/// Shards.
const SHARDS: u32 = 256;
/// Columns of a step sideways in a difference.
const COLUMNS: isize = 16;
/// Lines of the frame around a list: a page is what is left.
const FRAME: u16 = 16;

/// Makes sure that what is selected is there.
pub(super) fn settle(model: &mut Model) {
    settle_site(model);
    settle_conflict(model);
    settle_event(model);
    let panels = model.choice.screen.panels();
    model.choice.panel = model.choice.panel.min(panels.saturating_sub(1));
}

fn settle_site(model: &mut Model) {
    let names = site_names(model);
    let is_there = |name: &String| names.contains(name);
    if !model.choice.site.as_ref().is_some_and(is_there) {
        // What is filtered out stays selected only as long as it exists and nothing else is listed.
        model.choice.site = names.into_iter().next();
    }
}

fn settle_conflict(model: &mut Model) {
    let Some(list) = model.shown().inbox.list.clone() else {
        return;
    };
    let id_at = |row: usize| {
        let at = model.rows.conflicts.get(row)?;
        list.get(*at).map(|conflict| conflict.id.clone())
    };
    let found = model.choice.conflict.as_ref().and_then(|id| {
        (model.rows.conflicts.iter()).position(|at| list.get(*at).is_some_and(|one| one.id == *id))
    });
    let row = match found {
        Some(row) => row,
        // What stood there is gone: the one that took its place.
        None => (model.choice.conflict_row).min(model.rows.conflicts.len().saturating_sub(1)),
    };
    let id = id_at(row);
    if found.is_none() && model.choice.conflict != id {
        model.choice.conflict = id;
        model.choice.diff = false;
    }
    model.choice.conflict_row = row;
}

fn settle_event(model: &mut Model) {
    let Some(number) = model.choice.event else {
        model.choice.event_row = 0;
        return;
    };
    // The latest comes first: the list falls.
    let rows = &model.rows.events;
    let at = rows.partition_point(|other| *other > number);
    let row = at.min(rows.len().saturating_sub(1));
    model.choice.event_row = row;
    model.choice.event = rows.get(row).copied();
}

fn site_names(model: &Model) -> Vec<String> {
    let filter = model.choice.filters.first().map_or("", String::as_str);
    let rows = rows::sites(model.shown(), model.choice.site_sort, filter);
    rows.iter().map(|row| row.site.site.clone()).collect()
}

/// Rows of a page.
pub(super) fn page(model: &Model) -> isize {
    let rows = model.size.1.saturating_sub(FRAME).max(2) - 1;
    isize::try_from(rows).unwrap_or(1)
}

pub(super) fn show(model: &mut Model, screen: Screen) {
    let choice = &mut model.choice;
    if choice.screen != screen {
        choice.screen = screen;
        choice.panel = 0;
        choice.zoom = false;
    }
    settle(model);
}

pub(super) fn back(model: &mut Model) {
    let slot = model.filter_slot();
    let choice = &mut model.choice;
    if choice.zoom {
        choice.zoom = false;
        return;
    }
    if choice.diff && choice.screen == Screen::Conflicts {
        choice.diff = false;
        return;
    }
    if let Some(filter) = slot.and_then(|at| choice.filters.get_mut(at))
        && !filter.is_empty()
    {
        filter.clear();
        model.rows_old = true;
        return;
    }
    if choice.screen == Screen::Conflicts && !choice.marked.is_empty() {
        choice.marked.clear();
        return;
    }
    if choice.panel > 0 {
        choice.panel = 0;
        return;
    }
    show(model, Screen::Overview);
}

/// On the overview the list of events has the focus.
pub(super) fn has_events(model: &Model) -> bool {
    model.choice.screen == Screen::Overview && model.choice.panel == 3
}

/// Moves the selection by so many rows.
pub(super) fn by(model: &mut Model, rows: isize) {
    match model.choice.screen {
        Screen::Overview if has_events(model) => event(model, rows),
        Screen::Site if model.choice.panel == 4 => event(model, rows),
        Screen::Overview | Screen::Site | Screen::Journal => site(model, rows),
        Screen::Shards => {
            let wanted = i64::from(model.choice.shard) + i64::from(SIDE) * clamped(rows);
            cell(model, wanted);
        }
        Screen::Conflicts if model.choice.diff && model.choice.panel == 1 => {
            let lines = model
                .shown()
                .texts
                .as_ref()
                .and_then(|texts| texts.lines.as_ref().ok());
            let last = lines.map_or(0, |lines| lines.len().saturating_sub(1));
            model.choice.diff_scroll = moved(model.choice.diff_scroll, rows, last + 1);
        }
        Screen::Conflicts => {
            let row = moved(model.choice.conflict_row, rows, model.rows.conflicts.len());
            conflict(model, row);
        }
        Screen::Events => event(model, rows),
    }
}

/// A number of rows that can be multiplied.
fn clamped(rows: isize) -> i64 {
    i64::try_from(rows.clamp(-256, 256)).unwrap_or(0)
}

/// The row that is so many rows away, among `count`.
fn moved(row: usize, by: isize, count: usize) -> usize {
    row.saturating_add_signed(by).min(count.saturating_sub(1))
}

fn cell(model: &mut Model, wanted: i64) {
    let shard = wanted.clamp(0, i64::from(SHARDS) - 1);
    model.choice.shard = u32::try_from(shard).unwrap_or(0);
}

fn conflict(model: &mut Model, row: usize) {
    let id = (model.rows.conflicts.get(row))
        .and_then(|at| Some(model.shown().inbox.list.as_ref()?.get(*at)?.id.clone()));
    if id.is_some() && id != model.choice.conflict {
        model.choice.conflict = id;
        model.choice.conflict_row = row;
        model.choice.diff = false;
    }
}

fn event(model: &mut Model, rows: isize) {
    let row = moved(model.choice.event_row, rows, model.rows.events.len());
    // At the top, and upwards again or nothing below it: what happens is followed from there on.
    let follows = row == 0 && (rows < 0 || model.choice.event.is_none());
    model.choice.event = if follows {
        None
    } else {
        model.rows.events.get(row).copied()
    };
    model.choice.event_row = row;
}

/// Left or right.
pub(super) fn sideways(model: &mut Model, by: i64) {
    match model.choice.screen {
        Screen::Shards => cell(model, i64::from(model.choice.shard) + by),
        Screen::Events => event(model, if by > 0 { -1 } else { 1 }),
        Screen::Overview | Screen::Site | Screen::Journal => {
            site(model, isize::try_from(by).unwrap_or(0));
        }
        Screen::Conflicts if model.choice.diff && model.choice.panel == 1 => {
            diff_sideways(model, by);
        }
        Screen::Conflicts => {
            model.choice.panel = usize::from(by > 0);
        }
    }
}

/// Shows other columns of a difference; left of the first one is the list.
fn diff_sideways(model: &mut Model, by: i64) {
    let column = model.choice.diff_column;
    if by < 0 && column == 0 {
        model.choice.panel = 0;
        return;
    }
    let texts = model.shown().texts.as_ref();
    let lines = texts.and_then(|texts| texts.lines.as_ref().ok());
    let lines = lines.map_or(&[][..], |lines| lines.as_slice());
    let last = lines
        .iter()
        .map(diff::Line::width)
        .max()
        .unwrap_or(0)
        .saturating_sub(1);
    let step = if by < 0 { -COLUMNS } else { COLUMNS };
    let column = column.saturating_add_signed(step);
    // A step beyond the longest line shows nothing new.
    if column <= last {
        model.choice.diff_column = column;
    }
}

pub(super) fn panel(model: &mut Model, by: isize) {
    let panels = model.choice.screen.panels();
    // Of the heat map the panels are the sites.
    if model.choice.screen == Screen::Shards {
        return site_around(model, by);
    }
    let at = isize::try_from(model.choice.panel).unwrap_or(0) + by;
    let panels = isize::try_from(panels).unwrap_or(1).max(1);
    model.choice.panel = usize::try_from(at.rem_euclid(panels)).unwrap_or(0);
}

fn site_around(model: &mut Model, by: isize) {
    let names = site_names(model);
    let Ok(count) = isize::try_from(names.len()) else {
        return;
    };
    if count == 0 {
        return;
    }
    let at = names
        .iter()
        .position(|name| Some(name) == model.choice.site.as_ref());
    let at = at.map_or(0, |at| isize::try_from(at).unwrap_or(0) + by);
    let at = usize::try_from(at.rem_euclid(count)).unwrap_or(0);
    model.choice.site = names.get(at).cloned();
}

pub(super) fn site(model: &mut Model, by: isize) {
    let names = site_names(model);
    let at = names
        .iter()
        .position(|name| Some(name) == model.choice.site.as_ref());
    let row = moved(at.unwrap_or(0), by, names.len());
    if let Some(name) = names.get(row) {
        model.choice.site = Some(name.clone());
    }
}

/// The worst problem; again: the next one.
pub(super) fn worst(model: &mut Model) {
    if model.choice.screen == Screen::Shards {
        return worst_shard(model);
    }
    let problems: Vec<String> = {
        let rows = rows::sites(model.shown(), super::super::model::SiteSort::Worst, "");
        let problems = rows.iter().filter(|row| row.is_problem());
        problems.map(|row| row.site.site.clone()).collect()
    };
    if problems.is_empty() {
        super::say(model, "nothing is wrong with any site", false);
        return;
    }
    let current = model.choice.site.as_ref();
    let at = problems.iter().position(|name| Some(name) == current);
    let is_again = model.choice.problem > 0 && at.is_some();
    let next = if is_again {
        at.map_or(0, |at| (at + 1) % problems.len())
    } else {
        0
    };
    model.choice.problem += 1;
    model.choice.filters[0].clear();
    model.choice.site = problems.get(next).cloned();
    if !matches!(model.choice.screen, Screen::Site) {
        show(model, Screen::Overview);
    }
    model.choice.panel = 0;
}

fn worst_shard(model: &mut Model) {
    let data = model.shown();
    let Some(look) = &data.look else { return };
    let lag = (look.lag.sites.iter()).find(|lag| Some(&lag.site) == model.choice.site.as_ref());
    let worst = lag.and_then(|lag| {
        let behind = lag
            .shards
            .iter()
            .filter(|shard| shard.behind_entries > 0 && shard.shard < SHARDS);
        behind.max_by_key(|shard| (shard.lag.us(), shard.behind_entries))
    });
    match worst.map(|shard| shard.shard) {
        Some(shard) => model.choice.shard = shard,
        None => super::say(model, "no shard of this site is behind", false),
    }
}

/// The next problem in the list of the screen.
pub(super) fn problem(model: &mut Model, by: isize) {
    match model.choice.screen {
        Screen::Overview | Screen::Site | Screen::Shards | Screen::Journal => {
            let found: Vec<String> = {
                let filter = model.choice.filters.first().map_or("", String::as_str);
                let rows = rows::sites(model.shown(), model.choice.site_sort, filter);
                let problems = rows.iter().filter(|row| row.is_problem());
                problems.map(|row| row.site.site.clone()).collect()
            };
            let at = found
                .iter()
                .position(|name| Some(name) == model.choice.site.as_ref());
            let at = at.map_or(0, |at| moved(at, by, found.len()));
            if let Some(name) = found.get(at) {
                model.choice.site = Some(name.clone());
            }
        }
        Screen::Conflicts => {
            let Some(list) = model.shown().inbox.list.clone() else {
                return;
            };
            let is_lossy = |row: &usize| {
                let at = model.rows.conflicts.get(*row);
                at.and_then(|at| list.get(*at)).is_some_and(|one| {
                    one.is_open() && one.lost_bytes.is_some_and(|bytes| bytes > 0)
                })
            };
            let (row, count) = (model.choice.conflict_row, model.rows.conflicts.len());
            let found = if by > 0 {
                (row + 1..count).find(is_lossy)
            } else {
                (0..row).rev().find(is_lossy)
            };
            if let Some(row) = found {
                conflict(model, row);
            }
        }
        Screen::Events => {
            let is_bad = |row: &usize| {
                let number = model.rows.events.get(*row);
                let event = number.and_then(|number| rows::event(&model.shown().events, *number));
                event.is_some_and(|event| event.level >= crate::admin::view::Level::Warn)
            };
            let (row, count) = (model.choice.event_row, model.rows.events.len());
            let found = if by > 0 {
                (row + 1..count).find(is_bad)
            } else {
                (0..row).rev().find(is_bad)
            };
            if let Some(row) = found {
                model.choice.event = model.rows.events.get(row).copied();
                model.choice.event_row = row;
            }
        }
    }
}

pub(super) fn mark(model: &mut Model) {
    let Some(id) = model.choice.conflict.clone() else {
        return;
    };
    if !model
        .selected_conflict()
        .is_some_and(crate::admin::view::ConflictView::is_open)
    {
        super::say(model, "only open conflicts can be marked", false);
        return;
    }
    if !model.choice.marked.remove(&id) {
        model.choice.marked.insert(id.clone());
    }
    model.choice.mark_from = Some(id);
    let row = moved(model.choice.conflict_row, 1, model.rows.conflicts.len());
    conflict(model, row);
}

pub(super) fn mark_range(model: &mut Model) {
    let Some(list) = model.shown().inbox.list.clone() else {
        return;
    };
    let row_of = |id: &String| {
        (model.rows.conflicts.iter()).position(|at| list.get(*at).is_some_and(|one| one.id == *id))
    };
    let to = model.choice.conflict_row;
    let from = model
        .choice
        .mark_from
        .as_ref()
        .and_then(row_of)
        .unwrap_or(to);
    for row in from.min(to)..=from.max(to) {
        let one = model.rows.conflicts.get(row).and_then(|at| list.get(*at));
        if let Some(one) = one
            && one.is_open()
        {
            model.choice.marked.insert(one.id.clone());
        }
    }
}

pub(super) fn point(model: &mut Model, target: Target) {
    if model.choice.overlay.is_some() {
        return;
    }
    match target {
        Target::Tab(screen) => show(model, screen),
        Target::Site(name) => {
            model.choice.site = Some(name);
            model.choice.panel = 0;
        }
        Target::Conflict(id) => {
            model.choice.diff &= model.choice.conflict.as_ref() == Some(&id);
            model.choice.conflict = Some(id);
        }
        Target::Event(number) => model.choice.event = Some(number),
        Target::Cell(site, shard) => {
            model.choice.site = Some(site);
            model.choice.shard = shard.min(SHARDS - 1);
        }
        Target::Heading => super::look(model, super::Action::Sort),
    }
    settle(model);
}
