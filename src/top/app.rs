//! The loop: messages in, pictures out, on whatever backend there is.
//!
//! Keys come before data, so that a flood of events never makes the dashboard deaf; and data is drawn at most so often,
//! so that it never makes it dear.

use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::sync::Arc;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::{Backend, TestBackend};
use ratatui::layout::{Position, Rect};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::calls::{self, Daemon};
use super::feed::Feed;
use super::keys::Key;
use super::message::{Done, Effect, Message, Told};
use super::model::{Model, Now, Overlay};
use super::projector::Projector;
use super::record;
use super::terminal;
use super::update::{settle, update};
use super::view::{Hits, view};
use crate::clock::{SharedClock, micros};
use crate::daemon::tasks::Tasks;

/// Messages that wait. Who tells more waits, and so does the daemon.
const WAITING_MAX: usize = 1_024;
/// Keys that wait: more than anybody types ahead.
const KEYS_MAX: usize = 256;
/// Messages that are taken before keys are looked at again.
const BATCH_MAX: usize = 256;
/// Data is drawn at most this often; what a key changes is drawn at once.
const FRAME: Duration = Duration::from_millis(100);
/// How often the clock is looked at. What changes with it changes every second.
const TICK: Duration = Duration::from_millis(250);
/// Tasks get so long to end.
const PATIENCE: Duration = Duration::from_secs(1);
/// SIGTSTP has no name in tokio.
const SIGTSTP: i32 = 20;
const SIGCONT: i32 = 18;

/// What comes from the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A key.
    Key(Key),
    /// Text that was pasted.
    Paste(String),
    /// A click at a column and a row.
    Click(u16, u16),
    /// Another size.
    Resize(u16, u16),
}

/// Where what is shown comes from.
#[derive(Debug)]
pub enum Source {
    /// A daemon, and where what it tells is recorded.
    Daemon {
        /// Which one.
        daemon: Daemon,
        /// Where the stream is kept.
        record: Option<File>,
    },
    /// A record.
    Record(Box<Film>),
}

/// A record in a file.
pub type Film = Projector<BufReader<File>>;

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The person wanted it.
    Quit,
    /// A signal did.
    Signal,
    /// A part of the dashboard failed.
    Failed,
}

/// The dashboard.
pub struct App {
    model: Model,
    clock: SharedClock,
    source: Running,
    tasks: Tasks,
    hits: Hits,
    told: mpsc::Receiver<Told>,
    telling: mpsc::Sender<Told>,
    done: mpsc::Receiver<Done>,
    doing: mpsc::Sender<Done>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

enum Running {
    Daemon {
        daemon: Daemon,
        retry: Arc<Notify>,
        record: Option<Recorder>,
    },
    Record(Box<Film>),
}

/// Keeps what is told.
struct Recorder {
    file: File,
    from: Duration,
}

impl App {
    /// One that shows what `source` tells. Inside of a runtime.
    #[must_use]
    pub fn new(model: Model, source: Source, clock: SharedClock) -> Self {
        let tasks = Tasks::new();
        let (telling, told) = mpsc::channel(WAITING_MAX);
        let (doing, done) = mpsc::channel(KEYS_MAX);
        let source = match source {
            Source::Daemon { daemon, record } => {
                let retry = Arc::new(Notify::new());
                let feed = Feed::new(daemon.clone(), telling.clone(), Arc::clone(&retry));
                tasks.spawn("feed", feed.run(tasks.token().clone()));
                let from = clock.monotonic();
                let record = record.map(|file| Recorder { file, from });
                Running::Daemon {
                    daemon,
                    retry,
                    record,
                }
            }
            Source::Record(film) => Running::Record(film),
        };
        Self {
            model,
            clock,
            source,
            tasks,
            hits: Hits::new(),
            told,
            telling,
            done,
            doing,
        }
    }

    /// Runs until somebody wants it to end.
    ///
    /// # Errors
    /// When nothing can be drawn, or a record cannot be written.
    pub async fn run<B>(
        mut self,
        screen: &mut Terminal<B>,
        mut input: mpsc::Receiver<Input>,
    ) -> io::Result<End>
    where
        B: Backend,
        B::Error: Send + Sync + 'static,
    {
        let size = screen.size().map_err(io::Error::other)?;
        self.model.size = (size.width, size.height);
        self.start()?;
        let mut signals = Signals::new()?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let stop = self.tasks.token().clone();
        self.model.dirty = true;
        let end = self
            .turn(screen, &mut input, &mut signals, &mut tick, &stop)
            .await;
        self.tasks.shutdown(PATIENCE).await;
        end
    }

    async fn turn<B>(
        &mut self,
        screen: &mut Terminal<B>,
        input: &mut mpsc::Receiver<Input>,
        signals: &mut Signals,
        tick: &mut tokio::time::Interval,
        stop: &CancellationToken,
    ) -> io::Result<End>
    where
        B: Backend,
        B::Error: Send + Sync + 'static,
    {
        let mut next_frame = Instant::now();
        loop {
            let mut was_input = false;
            let effects = tokio::select! {
                biased;
                // Nothing is lost by the order: what is not taken now waits in its queue.
                signal = signals.next() => match signal {
                    Wake::End => return Ok(End::Signal),
                    Wake::Stop => vec![Effect::Suspend],
                    Wake::GoOn => {
                        // Whoever was there meanwhile may have steered the terminal.
                        terminal::take_again()?;
                        vec![Effect::Redraw]
                    }
                },
                () = stop.cancelled() => return Ok(End::Failed),
                message = input.recv() => {
                    was_input = true;
                    match message {
                        Some(message) => self.input(message),
                        // The thread that reads keys is gone.
                        None => return Ok(End::Failed),
                    }
                }
                done = self.done.recv() => match done {
                    Some(done) => self.take(Message::Done(Box::new(done))),
                    None => Vec::new(),
                },
                () = tokio::time::sleep_until(next_frame), if self.model.dirty => Vec::new(),
                told = self.told.recv() => match told {
                    Some(told) => self.tell_many(told),
                    None => Vec::new(),
                },
                () = tokio::task::yield_now(), if self.is_winding() => self.wind(),
                _ = tick.tick() => self.tick(),
            };
            for effect in effects {
                if !self.perform(screen, effect)? {
                    return Ok(End::Quit);
                }
            }
            if self.model.dirty && (was_input || Instant::now() >= next_frame) {
                self.draw(screen)?;
                next_frame = Instant::now() + FRAME;
            }
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let now = self.now();
        drop(update(&mut self.model, Message::Tick(now)));
        match &mut self.source {
            Running::Daemon {
                record: Some(recorder),
                ..
            } => recorder
                .file
                .write_all(record::head(now.wall_us).as_bytes()),
            Running::Daemon { record: None, .. } => Ok(()),
            Running::Record(_) => {
                drop(self.tick());
                Ok(())
            }
        }
    }

    /// The time: of the machine, or of the record.
    fn now(&self) -> Now {
        let mono_us = micros(self.clock.monotonic());
        match &self.source {
            Running::Daemon { .. } => Now {
                wall_us: self.clock.now_us(),
                mono_us,
            },
            Running::Record(film) => film.now(),
        }
    }

    /// A record is played, and more of it is to be told at once.
    fn is_winding(&self) -> bool {
        match &self.source {
            Running::Daemon { .. } => false,
            Running::Record(film) => film.is_winding(),
        }
    }

    fn wind(&mut self) -> Vec<Effect> {
        if let Running::Record(film) = &mut self.source {
            film.wind(&mut self.model);
        }
        Vec::new()
    }

    fn take(&mut self, message: Message) -> Vec<Effect> {
        update(&mut self.model, message)
    }

    fn input(&mut self, input: Input) -> Vec<Effect> {
        let message = match input {
            Input::Key(key) => Message::Key(key),
            Input::Paste(text) => Message::Paste(text),
            Input::Resize(columns, rows) => Message::Resize(columns, rows),
            Input::Click(x, y) => {
                let at = Position::new(x, y);
                // What was drawn last lies on top.
                let hit = self.hits.iter().rev().find(|(area, _)| area.contains(at));
                match hit {
                    Some((_, target)) => Message::Point(target.clone()),
                    None => return Vec::new(),
                }
            }
        };
        self.take(message)
    }

    fn tick(&mut self) -> Vec<Effect> {
        if let Running::Record(film) = &mut self.source {
            film.poll(&mut self.model, micros(self.clock.monotonic()));
            return Vec::new();
        }
        let now = self.now();
        self.take(Message::Tick(now))
    }

    /// Takes in what was told, and what else waits.
    fn tell_many(&mut self, first: Told) -> Vec<Effect> {
        let now = self.now();
        let mut effects = self.take(Message::Tick(now));
        let mut next = Some(first);
        for _ in 0..BATCH_MAX {
            let Some(told) = next.take() else { break };
            self.keep(&told);
            effects.extend(self.take(Message::Told(Box::new(told))));
            next = self.told.try_recv().ok();
        }
        if let Some(told) = next {
            self.keep(&told);
            effects.extend(self.take(Message::Told(Box::new(told))));
        }
        effects
    }

    /// Records what was told. When that fails it is said, and the dashboard goes on without.
    fn keep(&mut self, told: &Told) {
        let Running::Daemon { record, .. } = &mut self.source else {
            return;
        };
        let Some(recorder) = record else { return };
        let t_us = micros(self.clock.monotonic().saturating_sub(recorder.from));
        let lines = record::lines(t_us, told.clone());
        if let Err(error) = recorder.file.write_all(lines.as_bytes()) {
            *record = None;
            let told = crate::text::printable(&error.to_string());
            self.model.choice.overlay = Some(Overlay::Text {
                title: "The record ends here".to_owned(),
                lines: vec![
                    format!("cannot write it: {told}"),
                    "What was told until now is in the file; the dashboard goes on without."
                        .to_owned(),
                ],
                copy: told,
                is_bad: true,
            });
            self.model.dirty = true;
        }
    }

    fn draw<B>(&mut self, screen: &mut Terminal<B>) -> io::Result<()>
    where
        B: Backend,
        B::Error: Send + Sync + 'static,
    {
        settle(&mut self.model);
        self.model.dirty = false;
        let mut hits = Hits::new();
        let model = &self.model;
        screen
            .draw(|frame| hits = view(model, frame))
            .map_err(io::Error::other)?;
        self.hits = hits;
        Ok(())
    }

    /// Does what a message wants. Returns whether to go on.
    fn perform<B>(&mut self, screen: &mut Terminal<B>, effect: Effect) -> io::Result<bool>
    where
        B: Backend,
        B::Error: Send + Sync + 'static,
    {
        match effect {
            Effect::Quit => return Ok(false),
            Effect::Suspend => {
                terminal::suspend()?;
                self.draw_anew(screen)?;
            }
            Effect::Redraw => self.draw_anew(screen)?,
            Effect::Copy(text) => terminal::copy(&text)?,
            Effect::Dump(name) => self.dump(&name),
            Effect::Retry => {
                if let Running::Daemon { retry, .. } = &self.source {
                    retry.notify_one();
                }
            }
            Effect::Ask(ask) => {
                if let Running::Daemon { daemon, .. } = &self.source {
                    let asked = calls::ask(daemon.clone(), ask);
                    let telling = self.telling.clone();
                    self.tasks.spawn("question", async move {
                        for told in asked.await {
                            // The dashboard may have ended meanwhile.
                            drop(telling.send(told).await);
                        }
                    });
                }
            }
            Effect::Act(act) => {
                if let Running::Daemon { daemon, .. } = &self.source {
                    let acted = calls::act(daemon.clone(), act);
                    let doing = self.doing.clone();
                    self.tasks.spawn("act", async move {
                        drop(doing.send(acted.await).await);
                    });
                }
            }
            Effect::Replay(steer) => {
                if let Running::Record(film) = &mut self.source {
                    film.steer(&mut self.model, steer);
                    self.model.dirty = true;
                }
            }
        }
        Ok(true)
    }

    /// Clears the screen and draws all of it. A `clear` of the terminal would ask it where its cursor is, and one that
    /// is slow, or busy, does not answer in time; nobody needs the answer.
    fn draw_anew<B>(&mut self, screen: &mut Terminal<B>) -> io::Result<()>
    where
        B: Backend,
        B::Error: Send + Sync + 'static,
    {
        let size = screen.size().map_err(io::Error::other)?;
        let whole = Rect::new(0, 0, size.width, size.height);
        screen.resize(whole).map_err(io::Error::other)?;
        self.model.dirty = true;
        Ok(())
    }

    fn dump(&mut self, name: &str) {
        let text = picture(&self.model);
        let made = File::options().write(true).create_new(true).open(name);
        let written = made.and_then(|mut file| file.write_all(text.as_bytes()));
        let (text, is_bad) = match written {
            Ok(()) => (format!("wrote {name}"), false),
            Err(error) => (format!("cannot write {name}: {error}"), true),
        };
        let until_us = self.model.data.now.mono_us.saturating_add(6_000_000);
        self.model.toast = Some(super::model::Toast {
            text,
            is_bad,
            until_us,
        });
        self.model.dirty = true;
    }
}

/// What the screen shows, as text.
#[must_use]
pub fn picture(model: &Model) -> String {
    let (columns, rows) = model.size;
    let Ok(mut screen) = Terminal::new(TestBackend::new(columns, rows));
    let Ok(_) = screen.draw(|frame| {
        view(model, frame);
    });
    let buffer = screen.backend().buffer();
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let line: String = (0..buffer.area.width)
            .filter_map(|x| buffer.cell((x, y)))
            .map(ratatui::buffer::Cell::symbol)
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What a signal is for.
enum Wake {
    End,
    Stop,
    GoOn,
}

/// Signals that the loop heeds.
struct Signals {
    end: [Signal; 3],
    stop: Signal,
    go_on: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            end: [
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
                signal(SignalKind::interrupt())?,
            ],
            stop: signal(SignalKind::from_raw(SIGTSTP))?,
            go_on: signal(SignalKind::from_raw(SIGCONT))?,
        })
    }

    /// The next one. Cancel-safe, as each of them is.
    async fn next(&mut self) -> Wake {
        let [terminate, hangup, interrupt] = &mut self.end;
        tokio::select! {
            _ = terminate.recv() => Wake::End,
            _ = hangup.recv() => Wake::End,
            _ = interrupt.recv() => Wake::End,
            _ = self.stop.recv() => Wake::Stop,
            _ = self.go_on.recv() => Wake::GoOn,
        }
    }
}
