//! Any messages in any order: nothing panics, what is selected is there, and it can be drawn at any size.

use proptest::prelude::*;

use super::fixtures;
use super::keys::{Key, NAMES};
use super::message::{Done, Failed, Message, Outcome, Player, Target, Told};
use super::model::{Model, Now, Screen};
use super::snapshots::drawn;
use super::update::{settle, update};

/// Keys that mean something, and some that do not.
fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        3 => proptest::char::range(' ', '~').prop_map(Key::Char),
        1 => proptest::sample::select(vec!['c', 'l', 'z', 'u', 'w', 'a', 'f']).prop_map(Key::Ctrl),
        4 => proptest::sample::select(vec![
            Key::Enter, Key::Esc, Key::Tab, Key::BackTab, Key::Up, Key::Down, Key::Left, Key::Right,
            Key::PageUp, Key::PageDown, Key::Home, Key::End, Key::Backspace, Key::Delete,
        ]),
        1 => Just(Key::Char('日')),
    ]
}

/// What daemons told in all situations, one after the other.
fn told() -> Vec<Told> {
    let records = fixtures::ALL.iter().map(|(name, _)| fixtures::told(name));
    records.flatten().map(|(_, told)| told).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Key(Key),
    Paste(String),
    Told(prop::sample::Index),
    Later(u64),
    Resize(u16, u16),
    Point(Target),
    Forget,
    Player(u64),
    Done(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let target = prop_oneof![
        proptest::sample::select(Screen::ALL.to_vec()).prop_map(Target::Tab),
        "[a-z]{3}-[0-9]".prop_map(Target::Site),
        (any::<u32>()).prop_map(|shard| Target::Cell("iad-2".to_owned(), shard)),
        any::<u64>().prop_map(Target::Event),
        "c-[0-9]{3}".prop_map(Target::Conflict),
        Just(Target::Heading),
    ];
    prop_oneof![
        12 => key().prop_map(Step::Key),
        1 => ".{0,8}".prop_map(Step::Paste),
        8 => any::<prop::sample::Index>().prop_map(Step::Told),
        4 => (0..20_000_000_u64).prop_map(Step::Later),
        1 => (1..220_u16, 1..60_u16).prop_map(|(columns, rows)| Step::Resize(columns, rows)),
        1 => target.prop_map(Step::Point),
        1 => Just(Step::Forget),
        1 => any::<u64>().prop_map(Step::Player),
        1 => (0..NAMES.len(), any::<bool>()).prop_map(|(nth, is_good)| Step::Done(nth, is_good)),
    ]
}

fn message(step: Step, model: &Model, all: &[Told]) -> Message {
    match step {
        Step::Key(key) => Message::Key(key),
        Step::Paste(text) => Message::Paste(text),
        Step::Told(index) => Message::Told(Box::new(index.get(all).clone())),
        Step::Later(us) => {
            let now = model.data.now;
            Message::Tick(Now {
                wall_us: now.wall_us.max(fixtures::END_US) + us,
                mono_us: now.mono_us + us,
            })
        }
        Step::Resize(columns, rows) => Message::Resize(columns, rows),
        Step::Point(target) => Message::Point(target),
        Step::Forget => Message::Forget,
        Step::Player(at_us) => Message::Replayed(Player {
            at_us,
            ..Player::default()
        }),
        Step::Done(nth, is_good) => {
            let act = super::message::Act::Reconnect {
                site: nth.to_string(),
            };
            let denied = nth % 5 == 0;
            let failed = Failed {
                denied,
                ..Failed::default()
            };
            let result = if is_good {
                Ok(Outcome::Reconnecting)
            } else {
                Err(failed)
            };
            Message::Done(Box::new(Done { act, result }))
        }
    }
}

/// What is selected is among what is listed, or nothing is listed.
fn assert_selection(model: &Model) {
    let data = model.shown();
    let choice = &model.choice;
    match &choice.site {
        Some(name) => assert!(data.site(name).is_some(), "{name}"),
        None => {
            let filter = &choice.filters[0];
            assert!(super::model::rows::sites(data, choice.site_sort, filter).is_empty());
        }
    }
    if let Some(list) = &data.inbox.list {
        let at = model.rows.conflicts.get(choice.conflict_row);
        let id = at.map(|at| &list[*at].id);
        assert_eq!(choice.conflict.as_ref(), id);
    }
    if let Some(number) = choice.event {
        assert_eq!(model.rows.events.get(choice.event_row), Some(&number));
    }
    let mut anew = model.clone();
    super::model::rows::refresh(&mut anew);
    assert_eq!(model.rows, anew.rows, "what is listed follows what is told");
    assert!(choice.shard < 256 && choice.panel < choice.screen.panels());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_selection_holds_and_it_can_be_drawn(steps in prop::collection::vec(step(), 1..60)) {
        let all = told();
        let mut model = Model { size: (120, 36), program: "cfs-repl".to_owned(), ..Model::default() };
        for step in steps {
            let message = message(step, &model, &all);
            update(&mut model, message);
            settle(&mut model);
            assert_selection(&model);
            drawn(&model);
        }
    }
}
