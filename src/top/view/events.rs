//! Pure: what happened: a line of time for each site, and every event with what its name means.

use ratatui::layout::Rect;

use super::super::explain;
use super::super::model::{SiteSort, rows};
use super::super::theme::{Tone, glyph, of_level, of_state};
use super::Pen;
use super::words;
use crate::admin::view::{EventView, Level};
use crate::clock::TimestampUs;
use crate::text::{count, duration};

/// Columns of names in front of the lines of time.
const NAME: u16 = 13;
/// Sites that have a line of time.
const TIMELINES_MAX: usize = 6;
/// Events that tell how a site stands from there on.
const STANDS: &[(&str, Tone)] = &[
    ("site.up", Tone::Good),
    ("site.resumed", Tone::Good),
    ("site.added", Tone::Dim),
    ("site.down", Tone::Bad),
    ("site.stalled", Tone::Bad),
    ("site.fenced", Tone::Bad),
    ("site.parked", Tone::Attention),
    ("site.paused", Tone::Attention),
];

impl Pen<'_> {
    pub(super) fn events(&mut self, area: Rect) {
        let sites = self
            .data
            .look
            .as_deref()
            .map_or(0, |look| look.status.sites.len());
        let lines = u16::try_from(sites.clamp(1, TIMELINES_MAX)).unwrap_or(1);
        let top = if area.height >= 14 { lines + 2 } else { 0 };
        let bottom = match area.height.saturating_sub(top) {
            0..12 => 0,
            12..24 => 7,
            24.. => 11,
        };
        let part = |y: u16, height: u16| Rect {
            y: area.y + y,
            height,
            ..area
        };
        if top > 0 {
            self.events_panel(1, part(0, top));
        }
        let middle = area.height - top - bottom;
        self.events_panel(0, part(top, middle));
        if bottom > 0 {
            self.events_panel(2, part(top + middle, bottom));
        }
    }

    pub(super) fn events_panel(&mut self, panel: usize, area: Rect) {
        match panel {
            0 => self.event_list(area),
            1 => self.timeline(area),
            _ => self.explained(area),
        }
    }

    fn event_list(&mut self, area: Rect) {
        let (shown, kept) = (self.model.rows.events.len(), self.data.events.len());
        let follows = if self.model.choice.event.is_none() {
            "following"
        } else {
            "F follows"
        };
        let level = self.model.choice.level;
        let right = format!(
            "{follows}   level ≥ {level}   {} of {}",
            count(shown as u64),
            count(kept as u64)
        );
        self.what_happened_at(area, Some(0), "Events  (newest first)", &right);
    }

    fn what_happened_at(&mut self, area: Rect, nth: Option<usize>, title: &str, right: &str) {
        let inner = self.panel(area, title, right, nth);
        let numbers = &self.model.rows.events;
        if numbers.is_empty() {
            let style = self.style(Tone::Dim);
            let text = if self.data.events.is_empty() {
                "nothing that is kept"
            } else {
                "filter or level let none through"
            };
            self.note(inner, text, style);
            return;
        }
        let room = usize::from(inner.height);
        let selected = self.model.choice.event_row;
        let first = super::table::offset(selected, numbers.len(), room);
        for (line, number) in numbers.iter().skip(first).take(room).enumerate() {
            let Some(event) = rows::event(&self.data.events, *number) else {
                continue;
            };
            let y = inner.y + u16::try_from(line).unwrap_or(0);
            let row = Rect {
                y,
                height: 1,
                ..inner
            };
            self.event_line(row, event, first + line == selected);
        }
        self.more_below(inner, numbers.len().saturating_sub(first + room));
    }

    /// How every site stood, as far as events tell: nothing where they do not.
    fn timeline(&mut self, area: Rect) {
        let range = self.model.range_us();
        let chosen = self.model.selected_event().map(|event| event.at_us);
        let at = chosen.map_or_else(String::new, |us| {
            format!(
                "cursor {}",
                words::moment(us, self.data.now.wall_us, self.zone())
            )
        });
        let data = self.data;
        let rows = rows::sites(data, SiteSort::Worst, "");
        let room = usize::from(area.height.saturating_sub(2));
        let hidden = if rows.len() > room {
            format!("  (the worst {room} of {} sites)", rows.len())
        } else {
            String::new()
        };
        let title = format!("Timeline, last {}{hidden}", duration(range));
        let inner = self.panel(area, &title, &at, Some(1));
        let width = inner.width.saturating_sub(NAME + 1);
        let now_us = data.now.wall_us;
        let start = now_us.saturating_sub(range);
        // Nobody knows how a site stood since the daemon was heard last.
        let known_us = if data.is_stale() {
            data.heard.map_or(0, |heard| heard.wall_us)
        } else {
            now_us
        };
        for (line, row) in rows.iter().take(usize::from(inner.height)).enumerate() {
            let y = inner.y + u16::try_from(line).unwrap_or(0);
            let strong = self.style(Tone::Strong);
            self.put(inner.x + 1, y, NAME - 2, &row.site.site, strong);
            for column in 0..width {
                let to = start + range * u64::from(column + 1) / u64::from(width.max(1));
                let stood = if to > known_us {
                    None
                } else if column + 1 == width {
                    Some(of_state(row.site.state))
                } else {
                    stood(data, &row.site.site, to)
                };
                if let Some(tone) = stood {
                    let style = self.style(tone);
                    self.cell(inner.x + NAME + column, y, glyph(tone), style);
                }
            }
        }
        if let Some(us) = chosen.filter(|us| *us >= start && range > 0) {
            let column = u128::from(us - start) * u128::from(width) / u128::from(range);
            let x = inner.x
                + NAME
                + u16::try_from(column)
                    .unwrap_or(0)
                    .min(width.saturating_sub(1));
            let mark = Rect {
                x,
                y: inner.y,
                width: 1,
                height: inner.height,
            };
            let reversed =
                ratatui::style::Style::new().add_modifier(ratatui::style::Modifier::REVERSED);
            self.buffer.set_style(mark, reversed);
        }
    }

    fn explained(&mut self, area: Rect) {
        let event = self.model.selected_event();
        let title = event.map_or_else(String::new, |event| event.name.clone());
        let inner = self.panel(area, &title, "Enter: all of it   y copies", Some(2));
        let Some(event) = event else { return };
        let tone = of_level(event.level);
        for (line, text) in explained(event).iter().enumerate() {
            let y = inner.y + u16::try_from(line).unwrap_or(0);
            if y >= inner.bottom() {
                break;
            }
            let style = self.style(if line == 0 { tone } else { Tone::Plain });
            self.put(inner.x + 1, y, inner.width.saturating_sub(1), text, style);
        }
    }
}

/// How a site stood at a time. None: nothing tells it.
fn stood(data: &super::Data, site: &str, at_us: TimestampUs) -> Option<Tone> {
    let before = data.events.partition_point(|event| event.at_us <= at_us);
    let mut events = data.events.iter().take(before).rev();
    events.find_map(|event| {
        if event.site.as_deref() != Some(site) {
            // A daemon that starts knows of nobody.
            return (event.name == "daemon.started").then_some(Tone::Dim);
        }
        STANDS
            .iter()
            .find(|(name, _)| *name == event.name)
            .map(|(_, tone)| *tone)
    })
}

/// The event, what its name means, and its fields in one line.
fn explained(event: &EventView) -> Vec<String> {
    let level = match event.level {
        Level::Info => "info",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    };
    let mut lines = vec![format!("{level:<7} {}", event.text)];
    lines.push(format!(
        "means   {}",
        explain::meaning(&event.name)
            .unwrap_or("not known to this version: see the one of the daemon")
    ));
    let at = crate::clock::rfc3339(event.at_us).unwrap_or_default();
    lines.push(format!("when    {at}   number {}", event.number));
    if !event.fields.is_empty() {
        let fields: Vec<String> = event
            .fields
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        lines.push(format!("fields  {}", fields.join("  ")));
    }
    lines
}
