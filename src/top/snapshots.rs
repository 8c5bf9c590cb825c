//! Every screen in every situation, as text with its colours: the pictures that are kept are compared.
//!
//! They are plain files, made anew with `CFS_REPL_REGENERATE=1` as everything else that is generated here. Below the
//! picture stand the colours, in the dark theme and in the one without colours: for each line what is not as the
//! terminal has it, from which column on, how long, and which style.

use std::fmt::Write as _;
use std::path::PathBuf;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::fixtures::{self, played};
use super::keys::Key;
use super::message::{Message, Told};
use super::model::{Model, Screen, ThemeName};
use super::update::{settle, update};
use super::view::view;
use crate::admin::view::RightsView;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (200, 50)];

/// What the model looks like.
pub(super) fn drawn(model: &Model) -> Buffer {
    let (columns, rows) = model.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| drop(view(model, frame))).unwrap();
    terminal.backend().buffer().clone()
}

pub(super) fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // A wide character covers the column after it.
            x += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol).max(1)).unwrap();
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What is not as the terminal has it: `column+length style`.
fn styles(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut runs: Vec<(u16, u16, String)> = Vec::new();
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let style = style(cell.fg, cell.bg, cell.modifier);
            match runs.last_mut() {
                Some((from, length, last)) if *last == style && *from + *length == x => {
                    *length += 1;
                }
                _ if !style.is_empty() => runs.push((x, 1, style)),
                _ => {}
            }
        }
        if !runs.is_empty() {
            let runs: Vec<String> = runs
                .iter()
                .map(|(from, length, style)| format!("{from}+{length} {style}"))
                .collect();
            writeln!(text, "{y:2}: {}", runs.join(", ")).unwrap();
        }
    }
    text
}

fn style(fg: Color, bg: Color, modifier: Modifier) -> String {
    let mut style = if fg == Color::Reset {
        String::new()
    } else {
        fg.to_string()
    };
    if bg != Color::Reset {
        write!(style, " on {bg}").unwrap();
    }
    for (flag, letter) in [
        (Modifier::BOLD, 'b'),
        (Modifier::DIM, 'd'),
        (Modifier::REVERSED, 'r'),
        (Modifier::UNDERLINED, 'u'),
    ] {
        if modifier.contains(flag) {
            style.push(letter);
        }
    }
    style
}

fn picture(model: &mut Model) -> String {
    pictures(model, &[ThemeName::Dark, ThemeName::Mono])
}

/// The text, which is the same in each theme, and the colours of each.
fn pictures(model: &mut Model, themes: &[ThemeName]) -> String {
    let mut told = String::new();
    for &theme in themes {
        model.choice.theme = theme;
        let buffer = drawn(model);
        if told.is_empty() {
            told = text(&buffer);
        }
        assert!(
            told.starts_with(&text(&buffer)),
            "colours change no text: {}",
            theme.word()
        );
        writeln!(told, "--- {}", theme.word()).unwrap();
        told.push_str(&styles(&buffer));
    }
    told
}

fn assert_kept(name: &str, text: &str, wrong: &mut Vec<String>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/top/snapshots");
    let file = folder.join(format!("{name}.txt"));
    if std::env::var_os("CFS_REPL_REGENERATE").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    if kept != text {
        wrong.push(format!("{name}:\n{text}"));
    }
}

fn assert_none(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} pictures are not those that are kept; look at them, then CFS_REPL_REGENERATE=1 cargo test snapshots\n{}",
        wrong.len(),
        wrong.first().unwrap()
    );
}

#[test]
fn every_screen_in_every_situation_looks_as_it_is_kept() {
    let mut wrong = Vec::new();
    for (name, _) in fixtures::ALL {
        let mut model = played(name);
        for screen in Screen::ALL {
            model.choice.screen = screen;
            for size in SIZES {
                model.size = size;
                settle(&mut model);
                let (columns, rows) = size;
                let screen = screen.title().to_lowercase();
                let name = format!("{name}-{screen}-{columns}x{rows}");
                assert_kept(&name, &picture(&mut model), &mut wrong);
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_theme_looks_as_it_is_kept() {
    let mut wrong = Vec::new();
    for screen in Screen::ALL {
        let mut model = played("expired-certificate");
        model.choice.screen = screen;
        settle(&mut model);
        let title = screen.title().to_lowercase();
        assert_kept(
            &format!("themes-{title}-120x36"),
            &pictures(&mut model, &ThemeName::ALL),
            &mut wrong,
        );
    }
    assert_none(&wrong);
}

#[test]
fn what_stands_over_the_screens_looks_as_it_is_kept() {
    type Case = (&'static str, Screen, &'static [Key]);
    let cases: [Case; 9] = [
        ("help", Screen::Overview, &[Key::Char('?')]),
        (
            "palette",
            Screen::Overview,
            &[Key::Char(':'), Key::Char('r'), Key::Char('e')],
        ),
        (
            "filter",
            Screen::Overview,
            &[Key::Char('/'), Key::Char('i')],
        ),
        (
            "ack",
            Screen::Conflicts,
            &[Key::Char('a'), Key::Char('o'), Key::Char('k')],
        ),
        ("ack-all", Screen::Conflicts, &[Key::Char('A')]),
        ("pause", Screen::Overview, &[Key::Char('p')]),
        ("command", Screen::Conflicts, &[Key::Char('x')]),
        ("diff", Screen::Conflicts, &[Key::Char('d')]),
        ("event", Screen::Events, &[Key::Down, Key::Down, Key::Enter]),
    ];
    let mut wrong = Vec::new();
    for (name, screen, keys) in cases {
        let mut model = played("expired-certificate");
        model.choice.screen = screen;
        for key in keys {
            update(&mut model, Message::Key(*key));
        }
        settle(&mut model);
        for size in SIZES {
            model.size = size;
            let (columns, rows) = size;
            assert_kept(
                &format!("over-{name}-{columns}x{rows}"),
                &picture(&mut model),
                &mut wrong,
            );
        }
    }
    assert_none(&wrong);
}

#[test]
fn what_is_longer_than_the_terminal_and_what_is_grey_looks_as_it_is_kept() {
    type Case = (&'static str, Screen, &'static [Key]);
    let cases: [Case; 3] = [
        (
            "help-below",
            Screen::Overview,
            &[Key::Char('?'), Key::PageDown],
        ),
        ("help-grey", Screen::Conflicts, &[Key::Char('?')]),
        (
            "diff-right",
            Screen::Conflicts,
            &[Key::Char('d'), Key::Right],
        ),
    ];
    let mut wrong = Vec::new();
    for (name, screen, keys) in cases {
        for size in SIZES {
            let mut model = played("expired-certificate");
            (model.choice.screen, model.size) = (screen, size);
            if name == "help-grey" {
                let rights = RightsView {
                    act: false,
                    caller: "ana".to_owned(),
                    hint: "run it as a member of admin.write_group".to_owned(),
                };
                let told = Told::Rights(Some(rights));
                update(&mut model, Message::Told(Box::new(told)));
            }
            for key in keys {
                update(&mut model, Message::Key(*key));
                if let (Key::Char('d'), Some(id)) = (key, model.choice.conflict.clone()) {
                    let long = |word: &str| format!("{}{word}\n", "0123456789".repeat(25));
                    let texts = Ok([long("ours"), long("theirs")]);
                    let told = Told::Texts { id, texts };
                    update(&mut model, Message::Told(Box::new(told)));
                }
            }
            settle(&mut model);
            let (columns, rows) = size;
            assert_kept(
                &format!("over-{name}-{columns}x{rows}"),
                &picture(&mut model),
                &mut wrong,
            );
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_screen_says_of_a_lost_daemon_s_data_that_it_was_so() {
    let mut model = played("daemon-lost");
    for size in SIZES {
        model.size = size;
        for screen in [
            Screen::Overview,
            Screen::Site,
            Screen::Shards,
            Screen::Journal,
        ] {
            model.choice.screen = screen;
            settle(&mut model);
            let text = text(&drawn(&model));
            assert!(text.contains("was BACKOFF"), "{screen:?} {size:?}\n{text}");
            assert!(!text.contains(" BACKOFF 1"), "{screen:?} {size:?}\n{text}");
        }
    }
}

#[test]
fn rows_of_the_heat_map_that_have_no_room_are_told_with_what_is_behind_in_them() {
    let mut model = played("expired-certificate");
    (model.choice.screen, model.size) = (Screen::Shards, (80, 24));
    settle(&mut model);
    let above = text(&drawn(&model));
    assert!(
        above.contains("more rows") && above.contains('↓'),
        "{above}"
    );
    model.choice.shard = 255;
    let below = text(&drawn(&model));
    assert!(below.contains(" ↑ ") && below.contains("behind"), "{below}");
    model.size = (120, 36);
    let all = text(&drawn(&model));
    assert!(!all.contains("more rows"), "{all}");
}

#[test]
fn the_first_five_seconds_are_answered_without_a_key_or_a_colour() {
    let mut model = played("expired-certificate");
    for size in SIZES {
        model.size = size;
        model.choice.theme = ThemeName::Mono;
        let text = text(&drawn(&model));
        for told in [
            "DEGRADED",
            "1 of 3 peers is not connected   ",
            if size.0 > 80 {
                "since 17:54:49Z (2m14s)"
            } else {
                "for 2m14s"
            },
            "at risk 0.4s",
            "iad-2: not connected: peer refused our certificate",
            "put a new certificate into /etc/cfs-repl/tls/fra-1.pem",
            "BACKOFF",
            "≥2m14s",
            "LIVE",
        ] {
            assert!(text.contains(told), "{size:?} {told}\n{text}");
        }
        // The worst is the first row of the sites.
        let rows: Vec<usize> = ["iad-2  ", "sin-1  ", "gru-1  "]
            .iter()
            .map(|name| text.find(name).unwrap())
            .collect();
        assert!(rows.is_sorted(), "{text}");
    }
}

#[test]
fn a_terminal_that_is_too_small_is_told_what_is_needed() {
    let mut model = played("all-well");
    for size in [(59, 36), (120, 14), (1, 1)] {
        model.size = size;
        let text = text(&drawn(&model));
        let wanted = "need 60×15";
        assert!(
            wanted.starts_with(text.trim().trim_end_matches('…')),
            "{text}"
        );
    }
}

#[test]
fn every_tab_is_there_on_the_smallest_terminal() {
    let mut model = played("thousand-conflicts");
    model.size = (60, 15);
    for screen in Screen::ALL {
        model.choice.screen = screen;
        settle(&mut model);
        let text = text(&drawn(&model));
        let tabs = text.lines().nth(1).unwrap();
        let shown = screen.title();
        assert!(tabs.contains(shown) && !tabs.contains('…'), "{tabs}");
        for number in 1..=6 {
            assert!(tabs.contains(&format!("{number}")), "{number}: {tabs}");
        }
    }
}

#[test]
fn ascii_is_ascii_on_every_screen_and_nothing_of_a_name_steers_a_terminal() {
    for (name, _) in fixtures::ALL {
        let mut model = played(name);
        for screen in Screen::ALL {
            model.choice.screen = screen;
            for ascii in [false, true] {
                model.choice.ascii = ascii;
                settle(&mut model);
                let text = text(&drawn(&model));
                let bad = |c: char| {
                    (c.is_control() && c != '\n')
                        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                };
                assert!(!text.contains(bad), "{name} {screen:?}: {text:?}");
                assert!(!ascii || text.is_ascii(), "{name} {screen:?}: {text}");
            }
        }
    }
}

#[test]
fn what_is_old_is_grey_and_a_lower_bound() {
    let model = played("daemon-lost");
    let buffer = drawn(&model);
    let text = text(&buffer);
    assert!(
        text.contains("STALE 14.0s") && text.contains("NO DATA"),
        "{text}"
    );
    assert!(
        text.contains("was BACKOFF") && text.contains("≥2m28s") && text.contains("41,203+"),
        "{text}"
    );
    // Below the box on top nothing has a colour but grey.
    let below = text.lines().position(|line| line.starts_with('┌'));
    for y in u16::try_from(below.unwrap()).unwrap()..35 {
        for x in 0..120 {
            let cell = &buffer[(x, y)];
            assert!(
                matches!(cell.fg, Color::Indexed(247) | Color::Reset),
                "{x} {y} {cell:?}"
            );
        }
    }
}
