//! Plays a record into a model: what its file holds, at the time at which it is played.
//!
//! It goes in steps, so that keys are looked at while much is told, and it leaves marks on its way, so that a step back
//! takes up the record at the last one before it.

use std::io::{BufRead, Seek};

use super::message::{Message, Player, Steer, Told};
use super::model::{Model, Now, Overlay};
use super::record::RecordError;
use super::reel::Reel;
use super::replay::Replay;
use super::update::update;
use crate::text::printable;

/// Bytes of the record that are told before keys are looked at again: some milliseconds.
const STEP_BYTES: u64 = 128 << 10;

/// Lines that cannot be read and are named; of more, their number is told.
const BROKEN_MAX: usize = 8;

/// What could not be read so far.
#[derive(Debug, Default)]
struct Broken {
    /// The first ones.
    told: Vec<String>,
    /// The number of the last one: a step back meets lines once more.
    last: u64,
    more: u64,
}

/// A record that is played.
#[derive(Debug)]
pub struct Projector<R> {
    reel: Reel<R>,
    replay: Replay,
    broken: Broken,
    /// That the last line is not whole was told.
    cut_told: bool,
    /// More is to be told than was told yet.
    winding: bool,
}

impl<R: BufRead + Seek> Projector<R> {
    /// From the beginning, at `speed_percent` of how it was.
    #[must_use]
    pub fn new(reel: Reel<R>, speed_percent: u64) -> Self {
        let replay = Replay::new(reel.head().at_us, reel.last_us(), speed_percent);
        Self {
            reel,
            replay,
            broken: Broken::default(),
            cut_told: false,
            winding: false,
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn player(&self) -> Player {
        Player {
            winding: self.winding,
            ..self.replay.player()
        }
    }

    /// The time of the record: while it is wound, that of what was told last.
    #[must_use]
    pub const fn now(&self) -> Now {
        let at_us = if self.winding {
            self.reel.at_us()
        } else {
            self.replay.player().at_us
        };
        self.at(at_us)
    }

    const fn at(&self, t_us: u64) -> Now {
        Now {
            wall_us: self.replay.wall_us(t_us),
            mono_us: t_us,
        }
    }

    /// More is to be told at once.
    #[must_use]
    pub const fn is_winding(&self) -> bool {
        self.winding
    }

    /// Goes on to `now_us` of the monotonic clock.
    pub fn poll(&mut self, model: &mut Model, now_us: u64) {
        self.replay.poll(now_us, self.winding);
        self.wind(model);
    }

    /// Does what is wanted.
    pub fn steer(&mut self, model: &mut Model, steer: Steer) {
        self.replay.steer(steer);
        let to_us = self.replay.player().at_us;
        if to_us < self.reel.at_us() {
            self.go_back(model, to_us);
        }
        self.wind(model);
    }

    fn go_back(&mut self, model: &mut Model, to_us: u64) {
        take(model, Message::Forget);
        match self.reel.back_to(to_us) {
            Ok((told, kept)) => {
                for (t_us, told) in told {
                    self.tell(model, t_us, told);
                }
                if let Some(kept) = kept {
                    take(model, Message::Recall(Box::new(kept)));
                }
            }
            Err(error) => self.complain(model, &error),
        }
    }

    /// Tells a part of what is to be told until now.
    pub fn wind(&mut self, model: &mut Model) {
        let until_us = self.replay.player().at_us;
        let stop = self.reel.offset().saturating_add(STEP_BYTES);
        self.winding = true;
        while self.reel.offset() < stop {
            match self.reel.due(until_us) {
                Ok(Some((t_us, told))) => self.tell(model, t_us, told),
                Ok(None) => {
                    self.winding = false;
                    break;
                }
                Err(error) => self.complain(model, &error),
            }
            if self.reel.wants_mark() {
                self.reel.mark(model.data.keep());
            }
        }
        let player = self.player();
        let is_over = !self.winding && player.at_us >= player.length_us;
        if is_over && self.reel.is_cut() && !std::mem::replace(&mut self.cut_told, true) {
            let told = "The last line is not whole: whoever recorded was ended while it was written, \
                        or the file was cut.";
            show(model, "The record ends here", vec![told.to_owned()]);
        }
        take(model, Message::Replayed(player));
        take(model, Message::Tick(self.now()));
    }

    fn complain(&mut self, model: &mut Model, error: &RecordError) {
        let (told, then) = match error {
            RecordError::Line { number, .. } => {
                if *number <= self.broken.last {
                    return;
                }
                self.broken.last = *number;
                (
                    error.to_string(),
                    "What cannot be read is left out; the rest is played.",
                )
            }
            RecordError::Read(source) => (format!("{error}: {source}"), "The record ends here."),
            RecordError::NoRecord | RecordError::Format { .. } => (error.to_string(), ""),
        };
        if self.broken.told.len() < BROKEN_MAX {
            self.broken.told.push(printable(&told));
        } else {
            self.broken.more += 1;
        }
        let mut lines = self.broken.told.clone();
        if self.broken.more > 0 {
            lines.push(format!("… and {} more", self.broken.more));
        }
        lines.push(then.to_owned());
        show(model, "A part of the record cannot be read", lines);
    }

    fn tell(&self, model: &mut Model, t_us: u64, told: Told) {
        take(model, Message::Tick(self.at(t_us)));
        take(model, Message::Told(Box::new(told)));
    }
}

/// What a model wants done is for a daemon, and there is none.
fn take(model: &mut Model, message: Message) {
    drop(update(model, message));
}

/// Shows what has to be read, unless something is typed.
fn show(model: &mut Model, title: &str, lines: Vec<String>) {
    if matches!(model.choice.overlay, None | Some(Overlay::Text { .. })) {
        model.choice.overlay = Some(Overlay::Text {
            title: title.to_owned(),
            copy: lines.join("\n"),
            lines,
            is_bad: true,
        });
    }
    model.dirty = true;
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::admin::view::EventView;
    use crate::top::fixtures;
    use crate::top::record;
    use crate::top::replay::marks::Marks;

    const S: u64 = 1_000_000;

    fn projector(text: &str, distance: u64) -> Projector<Cursor<Vec<u8>>> {
        let source = Cursor::new(text.as_bytes().to_vec());
        Projector::new(Reel::with(source, Marks::new(distance)).unwrap(), 100)
    }

    fn seek(projector: &mut Projector<Cursor<Vec<u8>>>, model: &mut Model, to_us: u64) {
        let by = i64::try_from(to_us).unwrap() - i64::try_from(projector.player().at_us).unwrap();
        projector.steer(model, Steer::Seek(by));
        while projector.is_winding() {
            projector.wind(model);
        }
    }

    #[test]
    fn a_step_back_shows_what_was_shown_then_in_every_situation() {
        for (name, _) in fixtures::ALL {
            let text = fixtures::text(name);
            // One mark at the end of nearly every line, and the one that playing has.
            for distance in [1, 20_000, 4 << 20] {
                let (mut model, mut back) = (Model::default(), Model::default());
                let mut straight = projector(&text, u64::MAX);
                let mut jumping = projector(&text, distance);
                for to_us in [fixtures::LENGTH_US, 600 * S, 880 * S, 0, 300 * S, 299 * S] {
                    seek(&mut straight, &mut model, 0);
                    seek(&mut straight, &mut model, to_us);
                    seek(&mut jumping, &mut back, to_us);
                    let [one, other] = [&model, &back].map(|model| format!("{:#?}", model.data));
                    assert_eq!(one, other, "{name} at {to_us} by {distance}");
                }
            }
        }
    }

    #[test]
    fn a_step_back_in_a_long_record_reads_little_of_it() {
        let mut text = record::head(0);
        for nth in 0..40_000_u64 {
            let event = EventView {
                number: nth + 1,
                at_us: nth * S,
                text: "x".repeat(100),
                ..EventView::default()
            };
            text.push_str(&record::lines(nth * S, Told::Event(event)));
        }
        let (mut projector, mut model) = (projector(&text, 100_000), Model::default());
        seek(&mut projector, &mut model, 40_000 * S);
        projector.steer(&mut model, Steer::Seek(-1_000_000));
        assert!(!projector.is_winding(), "one step is enough");
        assert_eq!(model.data.events.len(), crate::top::model::EVENTS_MAX);
        assert_eq!(model.data.events.back().unwrap().number, 40_000);
        projector.steer(&mut model, Steer::Seek(-20_000 * 1_000_000));
        assert!(model.data.events.back().unwrap().number <= 20_001);
        assert_eq!(model.data.events.len(), crate::top::model::EVENTS_MAX);
    }

    #[test]
    fn a_broken_line_is_told_and_left_out() {
        let whole = fixtures::text("all-well");
        let text = whole.replacen("\"kind\"", "\"k", 2);
        let (mut projector, mut model) = (projector(&text, 4 << 20), Model::default());
        seek(&mut projector, &mut model, fixtures::LENGTH_US);
        let told = format!("{:?}", model.choice.overlay);
        for number in [2, 3] {
            let line = format!("line {number} cannot be read");
            assert!(told.contains(&line), "{told}");
        }
        assert!(model.data.events.len() > 1);
        // Once each, however often they are passed.
        model.choice.overlay = None;
        seek(&mut projector, &mut model, 0);
        seek(&mut projector, &mut model, fixtures::LENGTH_US);
        assert!(model.choice.overlay.is_none());
        // Many: their number.
        let text = whole.replace("\"kind\"", "\"k");
        let lines = text.lines().count();
        let (mut projector, mut model) = (self::projector(&text, 4 << 20), Model::default());
        seek(&mut projector, &mut model, fixtures::LENGTH_US);
        let told = format!("{:?}", model.choice.overlay);
        let more = lines - 1 - BROKEN_MAX;
        assert!(told.contains(&format!("… and {more} more")), "{told}");
    }

    #[test]
    fn a_time_that_no_record_reaches_is_a_line_that_cannot_be_read() {
        let whole = fixtures::text("all-well");
        let length = Reel::open(Cursor::new(whole.as_bytes())).unwrap().last_us();
        let (first, rest) = whole.split_once('\n').unwrap();
        let absurd = r#"{"t_us":18446744073709551615,"kind":"event","says":""}"#;
        let late = format!(r#"{{"t_us":{},"kind":"event","says":""}}"#, length + 1);
        for (text, number) in [
            (format!("{first}\n{absurd}\n{rest}"), 2),
            (format!("{first}\n{late}\n{rest}"), 2),
            (format!("{whole}{absurd}\n"), whole.lines().count() + 1),
        ] {
            let (mut projector, mut model) = (projector(&text, 4 << 20), Model::default());
            assert_eq!(projector.player().length_us, length + S);
            seek(&mut projector, &mut model, length + S);
            let told = format!("{:?}", model.choice.overlay);
            assert!(
                told.contains(&format!("line {number} cannot be read")),
                "{told}"
            );
            assert!(!model.data.events.is_empty());
        }
    }

    #[test]
    fn half_of_a_last_line_is_told_at_the_end_and_once() {
        let mut text = fixtures::text("all-well");
        text.push_str("{\"t_us\":12");
        let (mut projector, mut model) = (projector(&text, 4 << 20), Model::default());
        seek(&mut projector, &mut model, 0);
        assert!(model.choice.overlay.is_none());
        let end = projector.player().length_us;
        seek(&mut projector, &mut model, end);
        let told = format!("{:?}", model.choice.overlay.take());
        assert!(told.contains("The last line is not whole"), "{told}");
        seek(&mut projector, &mut model, end);
        assert!(model.choice.overlay.is_none());
    }
}
