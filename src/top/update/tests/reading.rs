//! What is longer or wider than the terminal, and what is grey from the start.

use super::*;
use crate::admin::view::RightsView;

fn may_only_look() -> Message {
    let rights = RightsView {
        act: false,
        caller: "ana".to_owned(),
        hint: "run it as a member of admin.write_group".to_owned(),
    };
    Message::Told(Box::new(Told::Rights(Some(rights))))
}

#[test]
fn who_may_only_look_is_asked_nothing_and_told_why_for_all_that_a_daemon_would_refuse() {
    for screen in Screen::ALL {
        let all = keys::on(screen, false).filter(|binding| !binding.keys.is_empty());
        for binding in all {
            let mut model = live("expired-certificate", screen);
            update(&mut model, may_only_look());
            let effects = press(&mut model, binding.keys);
            let is_told = toast(&model).contains("ana may look at this daemon, and may not act");
            assert_eq!(
                is_told,
                binding.action.needs_right(),
                "{:?}",
                binding.action
            );
            assert!(!is_told || effects.is_empty(), "{effects:?}");
        }
    }
}

#[test]
fn rights_hold_until_a_stream_begins_that_tells_others_or_none() {
    let told = |rights: Option<RightsView>| Message::Told(Box::new(Told::Rights(rights)));
    for rights in [
        None,
        Some(RightsView {
            act: true,
            ..RightsView::default()
        }),
    ] {
        let mut model = live("expired-certificate", Screen::Overview);
        update(&mut model, may_only_look());
        press(&mut model, &[Key::Char('C')]);
        assert!(model.choice.overlay.is_none());
        update(&mut model, told(rights));
        press(&mut model, &[Key::Char('C')]);
        assert!(matches!(model.choice.overlay, Some(Overlay::Ask(_))));
    }
}

#[test]
fn the_losing_version_can_be_saved_and_compared_by_who_only_wants_to_read() {
    let mut model = live("expired-certificate", Screen::Conflicts);
    model.read_only = Some("--read-only was given".to_owned());
    press(&mut model, &[Key::Char('S')]);
    assert!(matches!(model.choice.overlay, Some(Overlay::Ask(_))));
    press(&mut model, &[Key::Esc, Key::Char('d')]);
    assert!(model.choice.diff);
}

#[test]
fn a_long_list_of_conflicts_is_asked_for_seldomer_and_after_an_act_at_once() {
    let mut model = live("thousand-conflicts", Screen::Conflicts);
    let list = model.data.inbox.list.take().unwrap();
    let list = [&list[..], &list[..], &list[..]].concat();
    let many = list.len();
    model.data.inbox.lists(list);
    let asks = |model: &mut Model, us: u64| {
        let mut now = model.data.now;
        now.mono_us += us;
        model.data.heard = Some(now);
        let effects = update(model, Message::Tick(now));
        let list = Ask::Conflicts {
            limit: CONFLICTS_MAX,
        };
        effects.contains(&Effect::Ask(list))
    };
    let every_us = many as u64 * 1_000;
    assert!(every_us > 1_000_000, "{many}");
    asks(&mut model, 10 * every_us);
    model.data.inbox.asked = false;
    model.data.inbox.as_of_us = model.data.now.mono_us;
    model.data.inbox.is_old = true;
    assert!(!asks(&mut model, every_us - 1));
    assert!(asks(&mut model, 1));
    model.data.inbox.asked = false;
    model.data.inbox.as_of_us = model.data.now.mono_us;
    let done = Done {
        act: Act::Ack(crate::admin::filter::AckRequest::default()),
        result: Ok(Outcome::Acked(Vec::new())),
    };
    update(&mut model, Message::Done(Box::new(done)));
    assert!(model.data.inbox.asked, "the act asks by itself");
}

fn scroll(model: &Model) -> usize {
    match &model.choice.overlay {
        Some(Overlay::Help(_, scroll)) => *scroll,
        other => panic!("no help but {other:?}"),
    }
}

#[test]
fn the_help_is_scrolled_to_its_end_and_not_beyond_and_typing_begins_anew() {
    let mut model = live("all-well", Screen::Overview);
    model.size = (80, 24);
    press(&mut model, &[Key::Char('?'), Key::Down, Key::Down, Key::Up]);
    assert_eq!(scroll(&model), 1);
    press(&mut model, &[Key::PageDown; 9]);
    let end = scroll(&model);
    let count = crate::top::help::lines("").len();
    assert_eq!(end, crate::top::help::room((80, 24), count).last(count));
    press(&mut model, &[Key::Up]);
    assert_eq!(
        scroll(&model),
        end - 1,
        "it stood at the end, not behind it"
    );
    type_in(&mut model, "screen");
    assert_eq!(scroll(&model), 0);
    press(&mut model, &[Key::Down]);
    assert_eq!(scroll(&model), 0, "all that is left has room");
}

#[test]
fn a_difference_is_scrolled_sideways_to_the_end_of_its_longest_line_and_back_to_the_list() {
    let mut model = live("expired-certificate", Screen::Conflicts);
    press(&mut model, &[Key::Char('d')]);
    let id = model.choice.conflict.clone().unwrap();
    let texts = ["short\n".to_owned(), format!("{}\n", "x".repeat(40))];
    let told = Told::Texts {
        id,
        texts: Ok(texts),
    };
    update(&mut model, Message::Told(Box::new(told)));
    press(&mut model, &[Key::Right]);
    assert_eq!(model.choice.diff_column, 16);
    press(&mut model, &[Key::Char('l'); 5]);
    assert_eq!(model.choice.diff_column, 32, "column 48 is behind the end");
    press(&mut model, &[Key::Left, Key::Left]);
    assert_eq!((model.choice.diff_column, model.choice.panel), (0, 1));
    press(&mut model, &[Key::Left]);
    assert_eq!(model.choice.panel, 0);
    press(&mut model, &[Key::Right]);
    assert_eq!((model.choice.diff_column, model.choice.panel), (0, 1));
}
