//! Pure: what can happen to the dashboard, and what it wants done about it.

use super::keys::Key;
use super::model::kept::Kept;
use super::model::{Now, Screen};
use crate::admin::client::Update;
use crate::admin::filter::AckRequest;
use crate::admin::filter::ConflictFilter;
use crate::admin::view::journal::EntryView;
use crate::admin::view::preview::SitePreview;
use crate::admin::view::{
    AckedView, ConflictDetail, ConflictView, EventView, ReloadedView, RestoredView, ResumedView,
    RightsView,
};
use crate::clock::TimestampUs;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Time went on.
    Tick(Now),
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The mouse pointed at something.
    Point(Target),
    /// The terminal has another size, in columns and rows.
    Resize(u16, u16),
    /// The daemon told something, or does not.
    Told(Box<Told>),
    /// An act is done.
    Done(Box<Done>),
    /// Where the replay is.
    Replayed(Player),
    /// The replay goes back: nothing is known.
    Forget,
    /// The replay goes back: after what was told again, this is known.
    Recall(Box<Kept>),
}

/// What the mouse can point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A tab.
    Tab(Screen),
    /// A row of the sites.
    Site(String),
    /// A row of the conflicts.
    Conflict(String),
    /// A row of the events.
    Event(u64),
    /// A cell of the heat map.
    Cell(String, u32),
    /// The heading of a list.
    Heading,
}

/// What comes from the daemon. This is what a record holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The daemon is asked at this address.
    Connecting {
        /// Where it is.
        address: String,
    },
    /// The stream ended, or there is none.
    Lost(Lost),
    /// What this user may do, told whenever a stream begins; none by a daemon that does not tell. Records are without
    /// it: of whoever plays one it says nothing.
    Rights(Option<RightsView>),
    /// A look, or what is different, at this time of the daemon.
    Update(TimestampUs, Update),
    /// An event.
    Event(EventView),
    /// The conflicts on record.
    Conflicts {
        /// Those that were listed, oldest first.
        list: Vec<ConflictView>,
        /// How many there are.
        found: u64,
    },
    /// One conflict with both versions.
    Detail(Box<ConflictDetail>),
    /// Both versions of a conflict as text, or why not.
    Texts {
        /// The conflict.
        id: String,
        /// The version that lost, and the file as it stands in the tree.
        texts: Result<[String; 2], String>,
    },
    /// What compaction would leave out.
    Preview(Vec<SitePreview>),
    /// The end of the journal, oldest first.
    Tail(Vec<EntryView>),
    /// A question was not answered.
    Unanswered(Failed),
}

/// Why there is no stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    /// What failed.
    pub failed: Failed,
    /// How often it was tried since.
    pub attempt: u64,
    /// Time until the next try.
    pub retry_us: u64,
}

/// A failure, as the command line tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failed {
    /// What failed.
    pub message: String,
    /// Why.
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// The caller may not do it.
    pub denied: bool,
    /// No answer came: whether it was done is not known.
    pub unknown: bool,
}

/// Something that an operator does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Acknowledges conflicts.
    Ack(AckRequest<ConflictFilter>),
    /// Puts a loser back.
    Restore {
        /// The conflict.
        id: String,
        /// Where to; none: where it was.
        as_path: Option<String>,
        /// It may take the place of a version that is later than the winner.
        over_later: bool,
    },
    /// Saves a loser to a new file.
    Save {
        /// The conflict.
        id: String,
        /// The file.
        file: String,
    },
    /// Stops the exchange with a site.
    Pause {
        /// The site.
        site: String,
        /// Why.
        note: String,
    },
    /// Lets a site go on.
    Resume {
        /// The site.
        site: String,
        /// What it deleted is meant.
        confirm: bool,
    },
    /// Connects to a site anew.
    Reconnect {
        /// The site.
        site: String,
    },
    /// Has configuration and certificates read.
    Reload,
    /// Changes what is logged; empty: as configured.
    LogLevel {
        /// The filter.
        filter: String,
    },
}

/// How an act ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// What was done.
    pub act: Act,
    /// What came of it.
    pub result: Result<Outcome, Failed>,
}

/// What came of an act.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Acknowledged.
    Acked(Vec<AckedView>),
    /// Put back.
    Restored(RestoredView),
    /// Saved, so many bytes.
    Saved(u64),
    /// Paused; whether that is a change.
    Paused(bool),
    /// Let go on.
    Resumed(ResumedView),
    /// Connecting.
    Reconnecting,
    /// Read again.
    Reloaded(ReloadedView),
    /// What is logged.
    Logging(String),
}

/// Where a replay is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Player {
    /// Time since the beginning of the record, in microseconds.
    pub at_us: u64,
    /// Length of the record.
    pub length_us: u64,
    /// How much faster than it was, in percent.
    pub speed_percent: u64,
    /// It stands still.
    pub paused: bool,
    /// What was before is still told.
    pub winding: bool,
}

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ends.
    Quit,
    /// Stops the process; the shell takes over.
    Suspend,
    /// Draws everything anew.
    Redraw,
    /// Puts text into the clipboard of the terminal.
    Copy(String),
    /// Writes what the screen shows to a file.
    Dump(String),
    /// Tries to reach the daemon at once.
    Retry,
    /// Asks the daemon.
    Ask(Ask),
    /// Does something.
    Act(Act),
    /// Steers the replay.
    Replay(Steer),
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The conflicts, at most so many of the latest.
    Conflicts {
        /// At most.
        limit: u64,
    },
    /// One conflict.
    Detail {
        /// Which.
        id: String,
    },
    /// Both versions of one.
    Texts {
        /// Which.
        id: String,
    },
    /// What compaction would leave out.
    Preview,
    /// The end of the journal.
    Tail {
        /// So many entries.
        last: u64,
    },
}

/// What is done to a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// Goes on, or stands still.
    PlayPause,
    /// Twice the speed.
    Faster,
    /// Half the speed.
    Slower,
    /// A jump by so many microseconds.
    Seek(i64),
}
