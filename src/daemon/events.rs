//! What happened: the last events in memory and in two files of the state folder, and told to whoever follows.
//!
//! Events are for people who ask what happened an hour ago, and for alerts. Nothing depends on them: a disk that takes
//! none loses history and stops nothing, and who reads too slowly misses some and hears so.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, mpsc};

use super::tasks::Tasks;
use crate::admin::view::{EventFilter, EventView};
use crate::clock::SharedClock;
use crate::error::{ReplError, Result};

/// Events in memory: some days of an ordinary site, about 4 MiB.
const KEPT_MAX: usize = 10_000;
/// Events that a reader may be behind.
const FOLLOWED_MAX: usize = 1_024;
/// Events that wait for the disk.
const UNWRITTEN_MAX: usize = 1_024;
/// Bytes of the file that is written before it becomes the old one, whose place it takes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Bytes of one event that are read back; a longer one is no event of ours.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// The files: the one that is written, and the one before it.
const FILE: &str = "events.jsonl";
const OLD_FILE: &str = "events.1.jsonl";

/// Takes in events and hands them out. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Events {
    kept: Arc<Mutex<Kept>>,
    told: broadcast::Sender<Arc<EventView>>,
    unwritten: mpsc::Sender<Arc<EventView>>,
    clock: SharedClock,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Arc<EventView>>,
    last: u64,
}

impl Events {
    /// Reads what the files hold, and starts the task that writes.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn open(tasks: &Tasks, folder: &Path, clock: SharedClock) -> Result<Self> {
        let mut kept = Kept::default();
        for name in [OLD_FILE, FILE] {
            kept.read(&folder.join(name))?;
        }
        let (unwritten, written) = mpsc::channel(UNWRITTEN_MAX);
        let writer = Writer::open(folder)?;
        tasks.spawn("events", writer.run(tasks.clone(), written));
        let (told, _) = broadcast::channel(FOLLOWED_MAX);
        Ok(Self {
            kept: Arc::new(Mutex::new(kept)),
            told,
            unwritten,
            clock,
        })
    }

    /// Takes in an event; number and time are given here.
    pub(super) fn tell(&self, event: EventView) {
        let event = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.last += 1;
            let event = Arc::new(EventView {
                number: kept.last,
                at_us: self.clock.now_us(),
                ..event
            });
            kept.push(Arc::clone(&event));
            // In order, so that who follows hears them by number. Nobody may follow.
            drop(self.told.send(Arc::clone(&event)));
            event
        };
        if self.unwritten.try_send(event).is_err() {
            tracing::debug!("an event was not written: the disk is slow");
        }
    }

    /// The kept events that `filter` lets through, oldest first, and where those that follow are told.
    pub(super) fn since(
        &self,
        filter: &EventFilter,
    ) -> (Vec<EventView>, broadcast::Receiver<Arc<EventView>>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let through = kept
            .events
            .iter()
            .filter(|event| filter.lets_through(event));
        let past = through.map(|event| EventView::clone(event)).collect();
        (past, self.told.subscribe())
    }
}

impl Kept {
    fn push(&mut self, event: Arc<EventView>) {
        if self.events.len() == KEPT_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Takes in the events of a file; what is no event, such as half of one after a power loss, is left out.
    fn read(&mut self, path: &Path) -> Result<()> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(ReplError::io("read events", path, error)),
        };
        let mut lines = BufReader::new(file);
        loop {
            let mut line = Vec::new();
            let read = (&mut lines)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line);
            if read.map_err(|error| ReplError::io("read events", path, error))? == 0 {
                return Ok(());
            }
            if let Ok(event) = serde_json::from_slice::<EventView>(&line) {
                self.last = self.last.max(event.number);
                self.push(Arc::new(event));
            }
        }
    }
}

/// Writes events to their file.
struct Writer {
    path: PathBuf,
    old: PathBuf,
    file: File,
    bytes: u64,
}

impl Writer {
    fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let (file, bytes) =
            append(&path).map_err(|error| ReplError::io("open events", &path, error))?;
        Ok(Self {
            old: folder.join(OLD_FILE),
            path,
            file,
            bytes,
        })
    }

    async fn run(mut self, tasks: Tasks, mut unwritten: mpsc::Receiver<Arc<EventView>>) {
        let mut batch = Vec::new();
        loop {
            // Cancel-safe: what was not taken is still there.
            let taken = tokio::select! {
                biased;
                taken = unwritten.recv_many(&mut batch, UNWRITTEN_MAX) => taken,
                () = tasks.token().cancelled() => 0,
            };
            if taken == 0 {
                return;
            }
            let events = std::mem::take(&mut batch);
            let written = tokio::task::spawn_blocking(move || {
                let written = self.write(&events);
                (self, written)
            });
            let Ok((writer, written)) = written.await else {
                return;
            };
            self = writer;
            if let Err(error) = written {
                tracing::warn!(%error, "events were not written");
            }
        }
    }

    fn write(&mut self, events: &[Arc<EventView>]) -> io::Result<()> {
        let mut text = Vec::new();
        for event in events {
            serde_json::to_writer(&mut text, &**event)?;
            text.push(b'\n');
        }
        if self.bytes + text.len() as u64 > FILE_BYTES_MAX && self.bytes > 0 {
            fs::rename(&self.path, &self.old)?;
            (self.file, self.bytes) = append(&self.path)?;
        }
        self.file.write_all(&text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }
}

/// Opens a file to append to it; half of a line at its end, after a power loss, is ended.
fn append(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let mut bytes = file.metadata()?.len();
    let ends_well = match bytes.checked_sub(1) {
        None => true,
        Some(last) => {
            let mut end = [0];
            let mut whole = File::open(path)?;
            io::Seek::seek(&mut whole, io::SeekFrom::Start(last))?;
            whole.read_exact(&mut end)?;
            end == *b"\n"
        }
    };
    if !ends_well {
        file.write_all(b"\n")?;
        bytes += 1;
    }
    Ok((file, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::transitions::event;
    use crate::admin::view::Level;
    use crate::clock::ManualClock;

    fn numbers(events: &Events) -> Vec<u64> {
        let (past, _) = events.since(&EventFilter::default());
        past.iter().map(|event| event.number).collect()
    }

    async fn end(tasks: Tasks) {
        let left = tasks.shutdown(std::time::Duration::from_secs(10)).await;
        assert!(left.is_empty(), "{left:?}");
    }

    #[tokio::test]
    async fn events_outlive_a_restart_and_go_on_with_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(7);
        let tell = |events: &Events, name: &str| {
            events.tell(event(
                Level::Warn,
                name,
                Some("b"),
                "x\n\u{1b}[2J".to_owned(),
            ));
        };
        let tasks = Tasks::new();
        let events = Events::open(&tasks, folder.path(), clock.clone()).unwrap();
        let (_, mut followed) = events.since(&EventFilter::default());
        tell(&events, "site.down");
        tell(&events, "site.up");
        assert_eq!(followed.recv().await.unwrap().number, 1);
        assert_eq!(followed.recv().await.unwrap().name, "site.up");
        end(tasks).await;
        // Half of a line, as a power loss leaves it.
        let path = folder.path().join(FILE);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"number\":9").unwrap();
        let tasks = Tasks::new();
        let events = Events::open(&tasks, folder.path(), clock.clone()).unwrap();
        assert_eq!(numbers(&events), [1, 2]);
        tell(&events, "site.down");
        end(tasks).await;
        let tasks = Tasks::new();
        let events = Events::open(&tasks, folder.path(), clock).unwrap();
        assert_eq!(numbers(&events), [1, 2, 3]);
        let filter = EventFilter {
            names: vec!["site.up".to_owned()],
            ..EventFilter::default()
        };
        let (found, _) = events.since(&filter);
        assert_eq!((found.len(), found[0].at_us), (1, 7));
        end(tasks).await;
    }

    #[test]
    fn a_full_file_becomes_the_old_one_and_memory_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path()).unwrap();
        let text = "x".repeat(1_000);
        let mut kept = Kept::default();
        for number in 1..=10_050 {
            let one = Arc::new(EventView {
                number,
                text: text.clone(),
                ..EventView::default()
            });
            writer.write(std::slice::from_ref(&one)).unwrap();
            kept.push(one);
        }
        assert_eq!(kept.events.len(), KEPT_MAX);
        let size = |name: &str| fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(size(FILE) <= FILE_BYTES_MAX && size(OLD_FILE) <= FILE_BYTES_MAX);
        let mut read = Kept::default();
        read.read(&folder.path().join(OLD_FILE)).unwrap();
        read.read(&folder.path().join(FILE)).unwrap();
        assert_eq!(read.last, 10_050);
        let numbers = read.events.iter().map(|event| event.number);
        assert!(
            numbers
                .clone()
                .zip(numbers.skip(1))
                .all(|(a, b)| a + 1 == b)
        );
    }
}
