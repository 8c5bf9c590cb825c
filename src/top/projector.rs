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

/// A record that is played.
#[derive(Debug)]
pub struct Projector<R> {
    reel: Reel<R>,
    replay: Replay,
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
            Err(error) => complain(model, &error),
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
                Err(error) => complain(model, &error),
            }
            if self.reel.wants_mark() {
                self.reel.mark(model.data.keep());
            }
        }
        take(model, Message::Replayed(self.player()));
        take(model, Message::Tick(self.now()));
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

fn complain(model: &mut Model, error: &RecordError) {
    let (told, then) = match error {
        RecordError::Line { .. } => (error.to_string(), "It is left out; the others are played."),
        RecordError::Read(source) => (format!("{error}: {source}"), "The record ends here."),
        RecordError::NoRecord | RecordError::Format { .. } => (error.to_string(), ""),
    };
    let told = printable(&told);
    if matches!(model.choice.overlay, None | Some(Overlay::Text { .. })) {
        model.choice.overlay = Some(Overlay::Text {
            title: "A part of the record cannot be read".to_owned(),
            lines: vec![told.clone(), then.to_owned()],
            copy: told,
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
        let text = fixtures::text("all-well").replacen("\"kind\"", "\"k", 2);
        let (mut projector, mut model) = (projector(&text, 4 << 20), Model::default());
        seek(&mut projector, &mut model, fixtures::LENGTH_US);
        let told = format!("{:?}", model.choice.overlay);
        assert!(told.contains("line 3 cannot be read"), "{told}");
        assert!(model.data.events.len() > 1);
    }
}
