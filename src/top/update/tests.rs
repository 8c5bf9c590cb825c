//! Every key on every screen, what acts need before they are done, and what is kept over a reconnect.

mod reading;

use super::*;
use crate::admin::client::Update;
use crate::admin::view::SiteState;
use crate::top::fixtures::{self, LENGTH_US, played};
use crate::top::keys::{BINDINGS, Group, REPLAY_BINDINGS};
use crate::top::message::{Act, Done, Failed, Lost, Outcome, Player, Told};
use crate::top::model::{Metric, Need, Now, SiteSort, ThemeName, Units};

fn shown(name: &str, screen: Screen) -> Model {
    let mut model = played(name);
    model.choice.screen = screen;
    settle(&mut model);
    model
}

fn press(model: &mut Model, keys: &[Key]) -> Vec<Effect> {
    let effects = keys.iter().map(|key| update(model, Message::Key(*key)));
    effects
        .flatten()
        .filter(|effect| {
            !matches!(
                effect,
                Effect::Ask(
                    Ask::Conflicts { .. } | Ask::Detail { .. } | Ask::Preview | Ask::Tail { .. }
                )
            )
        })
        .collect()
}

fn type_in(model: &mut Model, text: &str) -> Vec<Effect> {
    let keys: Vec<Key> = text.chars().map(Key::Char).collect();
    press(model, &keys)
}

/// A daemon that is heard, so that it can be asked.
fn live(name: &str, screen: Screen) -> Model {
    let mut model = shown(name, screen);
    assert_eq!(model.data.link, Link::Live);
    model.data.inbox.asked = false;
    model
}

fn toast(model: &Model) -> &str {
    model.toast.as_ref().map_or("", |toast| &toast.text)
}

/// What a key changed, as text; without the time.
fn state(model: &Model) -> String {
    format!(
        "{:?} {:?} {:?}",
        model.choice,
        model.toast,
        model.frozen.is_some()
    )
}

#[test]
fn every_key_of_the_table_does_something_on_some_screen_and_never_panics() {
    for binding in BINDINGS.iter().chain(REPLAY_BINDINGS) {
        for key in binding.keys {
            let mut does = false;
            for screen in Screen::ALL {
                for name in ["expired-certificate", "sixteen-sites"] {
                    let mut model = live(name, screen);
                    if binding.group == Group::Replay {
                        model.player = Some(Player::default());
                    }
                    // From the middle every direction leads somewhere.
                    model.choice.shard = 100;
                    model.choice.range = 2;
                    model.choice.filters[0] = if binding.action == Action::Back {
                        "iad".to_owned()
                    } else {
                        String::new()
                    };
                    press(&mut model, &[]);
                    moves::by(&mut model, 2);
                    let before = state(&model);
                    let effects = press(&mut model, &[*key]);
                    settle(&mut model);
                    does |= !effects.is_empty() || state(&model) != before;
                }
            }
            assert!(does, "{key:?} {:?} does nothing anywhere", binding.action);
        }
    }
}

#[test]
fn every_key_is_drawn_after() {
    for screen in Screen::ALL {
        for binding in keys::on(screen, false) {
            for key in binding.keys {
                let mut model = live("expired-certificate", screen);
                model.dirty = false;
                update(&mut model, Message::Key(*key));
                assert!(model.dirty, "{screen:?} {key:?}");
                settle(&mut model);
                crate::top::snapshots::drawn(&model);
            }
        }
    }
}

#[test]
fn digits_show_screens_and_escape_leads_back() {
    for (digit, screen) in ('1'..).zip(Screen::ALL) {
        let mut model = live("all-well", Screen::Conflicts);
        press(&mut model, &[Key::Char(digit)]);
        assert_eq!(model.choice.screen, screen);
        press(&mut model, &[Key::Esc, Key::Esc]);
        assert_eq!(model.choice.screen, Screen::Overview);
    }
}

#[test]
fn rows_are_selected_by_arrows_letters_and_pages() {
    let mut model = live("sixteen-sites", Screen::Overview);
    assert_eq!(
        model.choice.site.as_deref(),
        Some("iad-2"),
        "the worst is first"
    );
    let site = |model: &mut Model, keys: &[Key]| {
        press(model, keys);
        model.choice.site.clone().unwrap()
    };
    let second = site(&mut model, &[Key::Down]);
    assert_eq!(site(&mut model, &[Key::Up, Key::Char('j')]), second);
    let last = site(&mut model, &[Key::Char('G')]);
    assert_eq!(site(&mut model, &[Key::Down, Key::PageDown]), last);
    assert_eq!(site(&mut model, &[Key::Home]), "iad-2");
    assert_eq!(site(&mut model, &[Key::Char(']'), Key::Char('[')]), "iad-2");
}

#[test]
fn the_worst_comes_first_and_then_the_next_one() {
    let mut model = live("sixteen-sites", Screen::Events);
    press(&mut model, &[Key::Char('!')]);
    assert_eq!(
        (model.choice.screen, model.choice.site.as_deref()),
        (Screen::Overview, Some("iad-2"))
    );
    press(&mut model, &[Key::Char('!')]);
    assert_eq!(model.choice.site.as_deref(), Some("lhr-1"));
    let mut well = live("all-well", Screen::Overview);
    press(&mut well, &[Key::Char('!')]);
    assert_eq!(toast(&well), "nothing is wrong with any site");
}

#[test]
fn views_change_and_come_back() {
    let mut model = live("expired-certificate", Screen::Overview);
    press(&mut model, &[Key::Char('s')]);
    assert_eq!(model.choice.site_sort, SiteSort::Name);
    press(
        &mut model,
        &[Key::Char('u'), Key::Char('m'), Key::Char('t')],
    );
    assert_eq!(
        (model.choice.units, model.choice.metric, model.choice.theme),
        (Units::Entries, Metric::Entries, ThemeName::Light)
    );
    press(
        &mut model,
        &[
            Key::Char('+'),
            Key::Char('+'),
            Key::Char('+'),
            Key::Char('+'),
        ],
    );
    assert_eq!(model.choice.range, 3);
    press(&mut model, &[Key::Char('z')]);
    assert!(model.choice.zoom);
    press(&mut model, &[Key::Esc, Key::Char('T')]);
    assert!(!model.choice.zoom && model.choice.local);
}

#[test]
fn a_held_picture_stays_and_events_go_on_being_counted() {
    let mut model = live("expired-certificate", Screen::Events);
    press(&mut model, &[Key::Char('f')]);
    let kept = model.shown().events.len();
    model.dirty = false;
    let mut event = model.data.events.back().unwrap().clone();
    event.number += 1;
    update(&mut model, Message::Told(Box::new(Told::Event(event))));
    assert_eq!(model.shown().events.len(), kept);
    assert_eq!(model.data.events_seen, model.shown().events_seen + 1);
    assert!(!model.dirty, "nothing of the picture changed");
    press(&mut model, &[Key::Char('f')]);
    assert_eq!(model.shown().events.len(), kept + 1);
}

#[test]
fn a_filter_narrows_while_it_is_typed_and_escape_clears_it() {
    let mut model = live("sixteen-sites", Screen::Overview);
    press(&mut model, &[Key::Char('/')]);
    type_in(&mut model, "lhr");
    assert_eq!(model.choice.site.as_deref(), Some("lhr-1"));
    press(&mut model, &[Key::Enter]);
    assert_eq!(model.choice.filters[0], "lhr");
    press(&mut model, &[Key::Esc]);
    assert_eq!(model.choice.filters[0], "");
    // The keys of the screen are text there.
    press(&mut model, &[Key::Char('/'), Key::Char('q')]);
    assert_eq!(model.choice.filters[0], "q");
}

#[test]
fn the_palette_does_what_keys_do() {
    let mut model = live("all-well", Screen::Overview);
    press(&mut model, &[Key::Char(':')]);
    type_in(&mut model, "confl");
    press(&mut model, &[Key::Enter]);
    assert_eq!(model.choice.screen, Screen::Conflicts);
    press(&mut model, &[Key::Char(':')]);
    type_in(&mut model, "qui");
    assert_eq!(press(&mut model, &[Key::Enter]), [Effect::Quit]);
    press(&mut model, &[Key::Char(':')]);
    type_in(&mut model, "nonsense");
    press(&mut model, &[Key::Enter]);
    assert_eq!(toast(&model), "no such command");
}

#[test]
fn an_ack_asks_once_and_takes_a_note() {
    let mut model = live("expired-certificate", Screen::Conflicts);
    let id = model.choice.conflict.clone().unwrap();
    assert!(press(&mut model, &[Key::Char('a')]).is_empty());
    type_in(&mut model, "asked Ana");
    let effects = press(&mut model, &[Key::Enter]);
    let [Effect::Act(Act::Ack(request))] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(
        (&request.ids, request.note.as_str()),
        (&vec![id], "asked Ana")
    );
    // Escape does nothing at all.
    press(&mut model, &[Key::Char('a')]);
    assert!(press(&mut model, &[Key::Esc]).is_empty());
    assert_eq!(toast(&model), "nothing was done");
}

#[test]
fn marked_conflicts_are_acknowledged_together() {
    let mut model = live("expired-certificate", Screen::Conflicts);
    press(
        &mut model,
        &[
            Key::Char(' '),
            Key::Down,
            Key::Down,
            Key::Char('v'),
            Key::Char('a'),
        ],
    );
    let effects = press(&mut model, &[Key::Enter]);
    let [Effect::Act(Act::Ack(request))] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(request.ids.len(), 4);
}

#[test]
fn all_are_acknowledged_only_when_their_number_is_typed() {
    let mut model = live("thousand-conflicts", Screen::Conflicts);
    press(&mut model, &[Key::Char('A')]);
    type_in(&mut model, "a note");
    assert!(press(&mut model, &[Key::Enter, Key::Enter]).is_empty());
    assert_eq!(toast(&model), "type 1000 to go on, or Esc");
    type_in(&mut model, "1000");
    let effects = press(&mut model, &[Key::Enter]);
    let [Effect::Act(Act::Ack(request))] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(
        (request.expect, request.note.as_str()),
        (Some(1_000), "a note")
    );
    assert!(request.ids.is_empty() && request.filter.as_ref().unwrap().open);
}

#[test]
fn filtered_conflicts_are_named_one_by_one() {
    let mut model = live("thousand-conflicts", Screen::Conflicts);
    press(&mut model, &[Key::Char('/')]);
    type_in(&mut model, "p7/");
    press(&mut model, &[Key::Enter, Key::Char('A')]);
    let many = model.rows.conflicts.len();
    press(&mut model, &[Key::Tab]);
    type_in(&mut model, &many.to_string());
    let effects = press(&mut model, &[Key::Enter]);
    let [Effect::Act(Act::Ack(request))] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(request.filter.is_none() && request.ids.len() == many && many < 100);
}

#[test]
fn a_pause_needs_the_name_of_the_site() {
    let mut model = live("expired-certificate", Screen::Overview);
    press(&mut model, &[Key::Char('p'), Key::Enter]);
    assert!(press(&mut model, &[Key::Enter]).is_empty());
    type_in(&mut model, "iad-2");
    let pause = Act::Pause {
        site: "iad-2".to_owned(),
        note: String::new(),
    };
    assert_eq!(press(&mut model, &[Key::Enter]), [Effect::Act(pause)]);
}

#[test]
fn who_is_paused_is_resumed_and_who_is_held_with_confirmation() {
    for (state, confirm) in [(SiteState::Paused, false), (SiteState::Held, true)] {
        let mut model = live("expired-certificate", Screen::Site);
        let mut look = (**model.data.look.as_ref().unwrap()).clone();
        look.status
            .sites
            .iter_mut()
            .for_each(|site| site.state = state);
        update(
            &mut model,
            Message::Told(Box::new(Told::Update(0, Update::Snapshot(Box::new(look))))),
        );
        press(&mut model, &[Key::Char('p')]);
        type_in(&mut model, "iad-2");
        let resume = Act::Resume {
            site: "iad-2".to_owned(),
            confirm,
        };
        assert_eq!(press(&mut model, &[Key::Enter]), [Effect::Act(resume)]);
    }
}

#[test]
fn mild_acts_ask_once() {
    for (key, act) in [
        (
            'r',
            Act::Reconnect {
                site: "iad-2".to_owned(),
            },
        ),
        ('C', Act::Reload),
        (
            'L',
            Act::LogLevel {
                filter: String::new(),
            },
        ),
    ] {
        let mut model = live("expired-certificate", Screen::Overview);
        assert!(press(&mut model, &[Key::Char(key)]).is_empty());
        assert_eq!(press(&mut model, &[Key::Enter]), [Effect::Act(act)]);
    }
}

#[test]
fn a_restore_over_newer_work_needs_a_word_and_one_over_the_winner_none() {
    for (is_winner, need) in [(true, Need::Enter), (false, Need::Word("fra-1".to_owned()))] {
        let mut model = live("expired-certificate", Screen::Conflicts);
        model.data.detail.as_mut().unwrap().shown_is_winner = Some(is_winner);
        press(&mut model, &[Key::Char('R')]);
        let Some(Overlay::Ask(question)) = &model.choice.overlay else {
            panic!("{:?}", model.toast);
        };
        assert_eq!(question.need, need);
        let act = question.act.clone();
        let is_over = matches!(act, Act::Restore { over_later, .. } if over_later);
        assert_eq!(is_over, !is_winner);
        let same = crate::top::command::of_act("cfs-repl", &act);
        assert_eq!(same.ends_with(" --over-later"), !is_winner, "{same}");
    }
}

#[test]
fn the_loser_is_saved_where_it_is_said() {
    let mut model = live("expired-certificate", Screen::Conflicts);
    let id = model.choice.conflict.clone().unwrap();
    press(&mut model, &[Key::Char('S'), Key::Ctrl('u')]);
    type_in(&mut model, "/tmp/x");
    let save = Act::Save {
        id,
        file: "/tmp/x".to_owned(),
    };
    assert_eq!(press(&mut model, &[Key::Enter]), [Effect::Act(save)]);
}

#[test]
fn who_may_only_read_is_told_why_and_so_is_who_was_refused() {
    for screen in Screen::ALL {
        let acts = keys::on(screen, false).filter(|binding| binding.action.is_act());
        for binding in acts.filter(|binding| !binding.keys.is_empty()) {
            let mut model = live("expired-certificate", screen);
            model.read_only = Some("--read-only was given".to_owned());
            let effects = press(&mut model, binding.keys);
            assert!(
                effects.is_empty() && model.choice.overlay.is_none(),
                "{:?}",
                binding.action
            );
            assert_eq!(toast(&model), "not possible: --read-only was given");
        }
    }
    let mut model = live("expired-certificate", Screen::Overview);
    let failed = Failed {
        message: "not yours".to_owned(),
        denied: true,
        ..Failed::default()
    };
    let done = Done {
        act: Act::Reload,
        result: Err(failed),
    };
    update(&mut model, Message::Done(Box::new(done)));
    assert!(matches!(
        model.choice.overlay,
        Some(Overlay::Text { is_bad: true, .. })
    ));
    let title = |model: &Model| match &model.choice.overlay {
        Some(Overlay::Text { title, .. }) => title.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(title(&model), "It was not done");
    let unanswered = Done {
        act: Act::Reload,
        result: Err(Failed {
            unknown: true,
            ..Failed::default()
        }),
    };
    let mut other = model.clone();
    update(&mut other, Message::Done(Box::new(unanswered)));
    assert!(title(&other).contains("is not known"), "{}", title(&other));
    press(&mut model, &[Key::Esc, Key::Char('C')]);
    let told = toast(&model);
    assert!(told.contains("this user may look"), "{told}");
}

#[test]
fn what_was_done_is_told_and_the_list_is_asked_for_again() {
    let mut model = live("expired-certificate", Screen::Conflicts);
    model.data.now.mono_us += 5_000_000;
    let request = crate::admin::filter::AckRequest::default();
    let done = Done {
        act: Act::Ack(request),
        result: Ok(Outcome::Acked(Vec::new())),
    };
    let effects = update(&mut model, Message::Done(Box::new(done)));
    assert!(
        effects.contains(&Effect::Ask(Ask::Conflicts {
            limit: CONFLICTS_MAX
        })),
        "{effects:?}"
    );
}

#[test]
fn a_lost_daemon_is_tried_again_by_hand_and_cannot_be_asked() {
    let mut model = shown("daemon-lost", Screen::Overview);
    assert_eq!(press(&mut model, &[Key::Char('r')]), [Effect::Retry]);
    press(&mut model, &[Key::Char('p')]);
    assert_eq!(toast(&model), "not possible: there is no daemon to ask");
}

#[test]
fn a_reconnect_keeps_what_was_chosen() {
    let mut model = live("sixteen-sites", Screen::Overview);
    press(&mut model, &[Key::Char('s'), Key::Char('G')]);
    let chosen = model.choice.site.clone();
    let look = model.data.look.clone().unwrap();
    update(
        &mut model,
        Message::Told(Box::new(Told::Lost(Lost::default()))),
    );
    assert!(model.data.is_stale());
    let again = Told::Update(0, Update::Snapshot(Box::new((*look).clone())));
    update(&mut model, Message::Told(Box::new(again)));
    settle(&mut model);
    assert!(!model.data.is_stale());
    assert_eq!(
        (model.choice.site, model.choice.site_sort),
        (chosen, SiteSort::Name)
    );
}

#[test]
fn silence_is_stale_after_three_seconds() {
    let mut model = live("all-well", Screen::Overview);
    let now = model.data.now;
    let heard = model.data.heard.unwrap().mono_us;
    for (age, is_stale) in [(3_000_000, false), (3_000_001, true)] {
        let now = Now {
            mono_us: heard + age,
            ..now
        };
        update(&mut model, Message::Tick(now));
        assert_eq!(model.data.is_stale(), is_stale, "{age}");
    }
}

#[test]
fn the_clock_is_drawn_once_a_second() {
    let mut model = live("all-well", Screen::Overview);
    let mut drawn = 0;
    for quarter in 1..=40 {
        model.dirty = false;
        let now = Now {
            wall_us: fixtures::END_US + quarter * 250_000,
            mono_us: LENGTH_US + quarter * 250_000,
        };
        update(&mut model, Message::Tick(now));
        drawn += u32::from(model.dirty);
    }
    assert_eq!(drawn, 10);
}

#[test]
fn events_that_come_again_are_not_told_twice_and_a_new_count_starts_anew() {
    let mut model = live("all-well", Screen::Events);
    let kept = model.data.events.len();
    let first = model.data.events.front().unwrap().clone();
    update(
        &mut model,
        Message::Told(Box::new(Told::Event(first.clone()))),
    );
    assert_eq!(model.data.events.len(), kept);
    let mut later = first;
    later.at_us = fixtures::END_US;
    update(&mut model, Message::Told(Box::new(Told::Event(later))));
    assert_eq!(model.data.events.len(), 1);
}

#[test]
fn an_event_that_is_selected_stays_so_while_others_come() {
    let mut model = live("expired-certificate", Screen::Events);
    press(&mut model, &[Key::Down, Key::Down]);
    let chosen = model.selected_event().unwrap().number;
    let mut event = model.data.events.back().unwrap().clone();
    event.number += 1;
    update(&mut model, Message::Told(Box::new(Told::Event(event))));
    settle(&mut model);
    assert_eq!(
        (
            model.selected_event().unwrap().number,
            model.choice.event_row
        ),
        (chosen, 3)
    );
    press(&mut model, &[Key::Char('F')]);
    settle(&mut model);
    assert_eq!(model.choice.event_row, 0);
}

#[test]
fn what_is_pasted_is_typed_without_what_a_terminal_would_obey() {
    let mut model = live("expired-certificate", Screen::Conflicts);
    press(&mut model, &[Key::Char('a')]);
    update(&mut model, Message::Paste("a\u{1b}[2J\nb".to_owned()));
    let Some(Overlay::Ask(question)) = &model.choice.overlay else {
        panic!("no question");
    };
    assert_eq!(question.text.as_ref().unwrap().1.text(), "a[2Jb");
}
