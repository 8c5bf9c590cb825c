//! Pure: a view as columns, as wide as the reader's terminal.
//!
//! Where there is no room, texts are cut down to the least that still tells something, then columns go, the least
//! important first. Columns that somebody asked for by name stay, and so does everything for a reader without a width.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::columns::{Chosen, Column, Heading, Kind};
use super::look::Look;
use super::render::Row;
use crate::clock::TimestampUs;
use crate::text::printable;

/// Between columns.
const GAP: usize = 2;
/// What stands where text was cut.
const CUT: char = '…';

/// Rows whose table is not begun before all of them were seen: each is kept as the text of its shown cells.
#[derive(Debug)]
pub(super) struct Grid {
    /// The columns that are wanted, with their places in a row.
    columns: Vec<(usize, Column)>,
    /// How wide the widest cell of each is.
    widest: Vec<usize>,
    /// Nothing is cut, and no column goes.
    all: bool,
    /// No column goes: they were asked for by name.
    is_named: bool,
}

/// Between the cells of a kept row. What was made printable holds no line feed.
const BETWEEN: char = '\n';

impl Grid {
    /// The table of these columns. Everyone who wants all gets all.
    #[must_use]
    pub(super) fn new<C: Heading>(columns: &[C], all: bool, chosen: &Chosen) -> Self {
        let columns = chosen.shown(columns, all);
        Self {
            widest: vec![0; columns.len()],
            columns,
            all,
            is_named: chosen.columns.is_some(),
        }
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.columns.iter().map(|(_, column)| column.name())
    }

    /// What stands in the columns of a row, as it is.
    pub(super) fn cells_of(&self, row: &Row) -> impl Iterator<Item = String> {
        let cell = |(nth, _): &(usize, Column)| row.cells.get(*nth).cloned().unwrap_or_default();
        self.columns.iter().map(cell)
    }

    /// What is to be kept of a row.
    pub(super) fn take(&mut self, row: &Row, look: &Look) -> String {
        let mut kept = String::new();
        for (at, ((nth, column), widest)) in self.columns.iter().zip(&mut self.widest).enumerate() {
            let cell = cell(row, *nth, *column, look);
            *widest = (*widest).max(cell.width());
            if at > 0 {
                kept.push(BETWEEN);
            }
            kept.push_str(&cell);
        }
        kept
    }

    /// How wide each column is, none for those that go.
    #[must_use]
    pub(super) fn widths(&self, look: &Look) -> Vec<Option<usize>> {
        let tracks = self.columns.iter().zip(&self.widest);
        let tracks = tracks.map(|((_, column), widest)| {
            let head = heading(*column, look).width();
            let rank = if self.is_named { 0 } else { column.rank };
            Track::new(head, (*widest).max(head), column.kind, rank)
        });
        let tracks: Vec<Track> = tracks.collect();
        let width = look.width.filter(|_| !self.all);
        fit(&tracks, width.unwrap_or(usize::MAX))
    }

    /// The line of headings.
    #[must_use]
    pub(super) fn headings(&self, widths: &[Option<usize>], look: &Look) -> String {
        let headings = self
            .columns
            .iter()
            .map(|(_, column)| heading(*column, look));
        self.line(headings, widths, None)
    }

    /// The line of a row, from what was kept of it.
    #[must_use]
    pub(super) fn row(&self, kept: &str, widths: &[Option<usize>], look: &Look) -> String {
        self.line(kept.split(BETWEEN), widths, Some(look))
    }

    /// One line; columns without a width are left out.
    fn line<'a>(
        &self,
        cells: impl Iterator<Item = &'a str>,
        widths: &[Option<usize>],
        look: Option<&Look>,
    ) -> String {
        let mut line = String::new();
        let mut spaces = 0;
        let shown = cells.zip(&self.columns).zip(widths);
        for ((text, (_, column)), width) in shown {
            let Some(width) = *width else {
                continue;
            };
            let text = match column.kind {
                Kind::Path(_) => cut_middle(text, width),
                Kind::Text(_) => cut_end(text, width),
                Kind::Whole | Kind::State | Kind::Time(_) => text.to_owned(),
            };
            line.extend(std::iter::repeat_n(' ', spaces));
            // Padding waits for the next column, so that no line ends with spaces.
            spaces = width.saturating_sub(text.width()) + GAP;
            match (column.kind, look) {
                (Kind::State, Some(look)) => line.push_str(&look.state(&text, &text)),
                (Kind::State | Kind::Whole | Kind::Text(_) | Kind::Path(_) | Kind::Time(_), _) => {
                    line.push_str(&text);
                }
            }
        }
        line.truncate(line.trim_end_matches(' ').len());
        line.push('\n');
        line
    }
}

/// The heading, which says whether an age stands below.
const fn heading(column: Column, look: &Look) -> &'static str {
    match column.kind {
        Kind::Time(age) if look.ages => age,
        Kind::Time(_) | Kind::Whole | Kind::Text(_) | Kind::Path(_) | Kind::State => column.heading,
    }
}

/// What stands in a column, made printable.
fn cell(row: &Row, nth: usize, column: Column, look: &Look) -> String {
    let time = match (column.kind, column.pointer) {
        (Kind::Time(_), Some(pointer)) => row.item.pointer(pointer).and_then(|us| us.as_u64()),
        (Kind::Time(_), None) | (Kind::Whole | Kind::Text(_) | Kind::Path(_) | Kind::State, _) => {
            None
        }
    };
    let text = time.map(|us| moment(us, look));
    let text = text.as_ref().or_else(|| row.cells.get(nth));
    text.map(|text| printable(text)).unwrap_or_default()
}

fn moment(us: TimestampUs, look: &Look) -> String {
    if look.ages { look.age(us) } else { look.at(us) }
}

/// How wide a column wants to be, and how narrow it may become.
#[derive(Debug, Clone, Copy)]
struct Track {
    natural: usize,
    least: usize,
    rank: u8,
}

impl Track {
    fn new(head: usize, natural: usize, kind: Kind, rank: u8) -> Self {
        let least = match kind {
            Kind::Text(least) | Kind::Path(least) => natural.min(least.max(head)),
            Kind::Whole | Kind::State | Kind::Time(_) => natural,
        };
        Self {
            natural,
            least,
            rank,
        }
    }
}

/// The width of each column, none for those that go, so that a line has at most `room` where that can be.
fn fit(tracks: &[Track], room: usize) -> Vec<Option<usize>> {
    let mut kept: Vec<Option<&Track>> = tracks.iter().map(Some).collect();
    let least = |kept: &[Option<&Track>]| {
        let widths = kept.iter().flatten().map(|track| track.least + GAP);
        widths.sum::<usize>().saturating_sub(GAP)
    };
    while least(&kept) > room {
        let ranks = kept.iter().enumerate();
        let ranks = ranks.filter_map(|(nth, track)| Some((track.as_ref()?.rank, nth)));
        let Some((_, nth)) = ranks.filter(|(rank, _)| *rank > 0).max() else {
            break;
        };
        if let Some(track) = kept.get_mut(nth) {
            *track = None;
        }
    }
    let mut spare = room.saturating_sub(least(&kept));
    let mut widths: Vec<Option<usize>> = vec![None; tracks.len()];
    // Whoever wants least is served first, so that what it leaves goes to the others.
    let wants = kept.iter().enumerate();
    let mut wants: Vec<(usize, usize, usize)> = wants
        .filter_map(|(nth, track)| track.map(|one| (one.natural - one.least, nth, one.least)))
        .collect();
    wants.sort_unstable();
    let mut left = wants.len();
    for (want, nth, least) in wants {
        let given = want.min(spare / left.max(1));
        (spare, left) = (spare - given, left - 1);
        if let Some(width) = widths.get_mut(nth) {
            *width = Some(least + given);
        }
    }
    widths
}

/// The text with its end cut off where it is wider.
fn cut_end(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut head = head(text, width.saturating_sub(1)).to_owned();
    head.push(CUT);
    head
}

/// The text without its middle where it is wider. More is left of its end: that is where names of files stand.
fn cut_middle(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let behind = room * 3 / 5;
    let mut cut = head(text, room - behind).to_owned();
    cut.push(CUT);
    cut.push_str(tail(text, behind));
    cut
}

/// As much of the beginning as is at most so wide.
fn head(text: &str, width: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > width
    });
    end.map_or(text, |(at, _)| text.split_at(at).0)
}

/// As much of the end as is at most so wide.
fn tail(text: &str, width: usize) -> &str {
    let mut used = 0;
    let before = text.char_indices().rev().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > width
    });
    before.map_or(text, |(at, c)| text.split_at(at + c.len_utf8()).1)
}

#[cfg(test)]
mod tests {
    use super::super::render::{Format, View, paint};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const COLUMNS: &[Column] = &[
        Column::new("ID"),
        Column::new("PATH").holds(Kind::Path(12)),
        Column::new("STATE").holds(Kind::State).may_go(1),
        Column::new("SEEN")
            .at("/seen_us")
            .holds(Kind::Time("AGE"))
            .may_go(2),
        Column::new("NOTE").holds(Kind::Text(8)).wide(),
    ];

    fn view(path: &str) -> View<Column> {
        let cells = [
            "c-1",
            path,
            "idle",
            "2026-11-22T17:54:49.102113Z",
            "a long note",
        ];
        View {
            command: "x",
            site: None,
            columns: COLUMNS,
            rows: vec![Row {
                name: "c-1".to_owned(),
                cells: cells.map(str::to_owned).to_vec(),
                item: json!({ "seen_us": 1_795_370_089_102_113_u64 }),
            }],
        }
    }

    fn on_terminal(width: usize) -> Look {
        Look {
            width: Some(width),
            ages: true,
            ..Look::plain(1_795_370_223_102_113)
        }
    }

    fn shown(width: usize) -> String {
        let view = view("/srv/media/a/very/long/way/to/plan.xlsx");
        paint(
            &view,
            Format::Table,
            &Chosen::default(),
            &on_terminal(width),
        )
    }

    #[test]
    fn what_does_not_fit_is_cut_in_its_middle_and_then_columns_go() {
        assert_eq!(
            shown(80),
            "ID   PATH                                     STATE  AGE\n\
             c-1  /srv/media/a/very/long/way/to/plan.xlsx  idle   2m14s\n"
        );
        assert_eq!(
            shown(40),
            "ID   PATH                   STATE  AGE\n\
             c-1  /srv/med…to/plan.xlsx  idle   2m14s\n"
        );
        assert_eq!(
            shown(26),
            "ID   PATH            STATE\nc-1  /srv/m…an.xlsx  idle\n"
        );
        assert_eq!(shown(18), "ID   PATH\nc-1  /srv/…an.xlsx\n");
    }

    #[test]
    fn nothing_is_cut_for_who_wants_all_or_is_no_terminal() {
        let path = "/srv/".to_owned() + &"x".repeat(200);
        let view = view(&path);
        let wide = paint(&view, Format::Wide, &Chosen::default(), &on_terminal(40));
        assert!(
            wide.contains(&path) && wide.contains("a long note"),
            "{wide}"
        );
        let plain = paint(&view, Format::Table, &Chosen::default(), &Look::plain(0));
        assert!(
            plain.contains(&path) && plain.contains("  2026-11-22T17:54:49.102113Z\n"),
            "{plain}"
        );
        assert!(
            plain.starts_with("ID ") && plain.contains("SEEN"),
            "{plain}"
        );
    }

    #[test]
    fn columns_that_were_asked_for_stay_and_headings_go_when_told() {
        let chosen = Chosen {
            columns: Some(vec![3, 0]),
            headers: false,
            ..Chosen::default()
        };
        assert_eq!(
            paint(&view("a"), Format::Table, &chosen, &on_terminal(5)),
            "2m14s  c-1\n"
        );
    }

    #[test]
    fn states_have_colours_and_take_no_room_for_them() {
        let look = Look {
            colour: true,
            ..on_terminal(80)
        };
        let painted = paint(&view("a"), Format::Table, &Chosen::default(), &look);
        let line = painted.lines().nth(1).unwrap();
        assert!(
            line.starts_with("c-1  a     \u{1b}[38;5;29midle\u{1b}[0m   2m14s"),
            "{line:?}"
        );
    }

    proptest! {
        #[test]
        fn a_cut_text_is_never_wider_than_it_may_be(text in "[a-zé日本/\u{301}]{0,40}", width in 1_usize..20) {
            for cut in [cut_end(&text, width), cut_middle(&text, width)] {
                prop_assert!(cut.width() <= width, "{cut}");
                prop_assert!(text.width() > width || cut == text);
            }
        }

        #[test]
        fn no_line_is_wider_than_the_terminal_while_columns_can_go(
            naturals in prop::collection::vec((1_usize..60, 1_usize..20, 1_u8..4), 1..8), room in 20_usize..200,
        ) {
            let tracks: Vec<Track> = naturals
                .into_iter()
                .map(|(natural, least, rank)| Track { natural, least: least.min(natural), rank })
                .collect();
            let widths = fit(&tracks, room);
            let used: usize = widths.iter().flatten().map(|width| width + GAP).sum();
            prop_assert!(used <= room + GAP);
            for (width, track) in widths.iter().zip(&tracks) {
                prop_assert!(width.is_none_or(|width| (track.least..=track.natural).contains(&width)));
            }
        }
    }
}
