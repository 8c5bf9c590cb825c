//! Pure: everything that the dashboard knows and shows, without a word of how it is drawn.
//!
//! What comes from the daemon is [`Data`]; what the person chose is [`Choice`]. A frozen picture is a copy of the data:
//! the choices still work on it, and the live data goes on underneath. Selections name what they mean (a site, an id),
//! so that a new order, a reconnect or a filter never moves them to something else.

pub mod history;
pub mod kept;
pub mod rows;
mod varint;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::keys::Action;
use super::message::{Act, Failed, Lost, Player};
use crate::admin::view::journal::EntryView;
use crate::admin::view::preview::SitePreview;
use crate::admin::view::{
    ConflictDetail, ConflictView, EventView, Level, Overview, RightsView, SiteState, SiteView,
};
use crate::clock::TimestampUs;
use history::History;

/// Most events that are kept: as many as a daemon keeps.
pub const EVENTS_MAX: usize = 10_000;
/// Most conflicts that are asked for, the latest ones.
pub const CONFLICTS_MAX: u64 = 10_000;
/// A heartbeat comes every second; when three are missing, what is shown is old.
pub const STALE_US: u64 = 3_000_000;

/// A point in time, by two clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since 1970, which may jump.
    pub wall_us: TimestampUs,
    /// Microseconds that never go back.
    pub mono_us: u64,
}

/// What fills the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Screen {
    /// Everything at a glance.
    #[default]
    Overview,
    /// One site.
    Site,
    /// The heat map.
    Shards,
    /// What lost.
    Conflicts,
    /// What happened.
    Events,
    /// The journal.
    Journal,
}

impl Screen {
    /// Every one, in the order of the tabs.
    pub const ALL: [Self; 6] = [
        Self::Overview,
        Self::Site,
        Self::Shards,
        Self::Conflicts,
        Self::Events,
        Self::Journal,
    ];

    /// The word on the tab.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Site => "Site",
            Self::Shards => "Shards",
            Self::Conflicts => "Conflicts",
            Self::Events => "Events",
            Self::Journal => "Journal",
        }
    }

    /// How many panels Tab goes around.
    #[must_use]
    pub const fn panels(self) -> usize {
        match self {
            Self::Overview => 4,
            Self::Site => 5,
            Self::Shards | Self::Conflicts => 2,
            Self::Events | Self::Journal => 3,
        }
    }
}

/// Whether the daemon is heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Link {
    /// It is asked for the first time.
    #[default]
    Connecting,
    /// It tells.
    Live,
    /// It does not.
    Lost {
        /// Why, and when it is tried again.
        lost: Lost,
        /// Since when, by the monotonic clock.
        since_us: u64,
        /// When that was told, by the same clock.
        told_us: u64,
    },
}

/// The conflicts on record.
#[derive(Debug, Clone, Default)]
pub struct Inbox {
    /// Those that were listed, oldest first. None: not asked yet.
    pub list: Option<Arc<Vec<ConflictView>>>,
    /// How many there are.
    pub found: u64,
    /// A question is under way.
    pub asked: bool,
    /// When the list came, by the monotonic clock; zero: another one is wanted without waiting.
    pub as_of_us: u64,
    /// Something changed since.
    pub is_old: bool,
    /// What is counted in the list: it is long, and pictures are many.
    pub tally: Tally,
}

/// How many of the listed conflicts are open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub open: u64,
    /// Those that lost bytes.
    pub lossy: u64,
    /// By the sites whose versions took part.
    pub by_site: BTreeMap<String, u64>,
}

impl Tally {
    fn of(list: &[ConflictView]) -> Self {
        let mut tally = Self::default();
        for conflict in list.iter().filter(|one| one.is_open()) {
            tally.open += 1;
            tally.lossy += u64::from(conflict.lost_bytes.is_some_and(|lost| lost > 0));
            let winner = conflict.winner.as_ref().and_then(|won| won.site.as_deref());
            for name in winner.into_iter().chain(conflict.loser.site.as_deref()) {
                match tally.by_site.get_mut(name) {
                    Some(number) => *number += 1,
                    None => drop(tally.by_site.insert(name.to_owned(), 1)),
                }
            }
        }
        tally
    }
}

impl Inbox {
    /// Takes a list in.
    pub fn lists(&mut self, list: Vec<ConflictView>) {
        self.tally = Tally::of(&list);
        self.list = Some(Arc::new(list));
    }
}

/// Both versions of a conflict as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// The conflict.
    pub id: String,
    /// Lines that differ and those around them, or why there are none.
    pub lines: Result<Arc<Vec<super::diff::Line>>, String>,
}

/// What the daemon told.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// When it is looked at.
    pub now: Now,
    /// Where the daemon is.
    pub address: String,
    /// Whether it is heard.
    pub link: Link,
    /// When the stream said something last. None: never.
    pub heard: Option<Now>,
    /// Status and lag. None: nothing was told yet.
    pub look: Option<Arc<Overview>>,
    /// The daemon cannot tell: why, and what to do.
    pub unreadable: Option<(String, String)>,
    /// What charts show.
    pub history: History,
    /// What happened, oldest first.
    pub events: VecDeque<EventView>,
    /// How many events came.
    pub events_seen: u64,
    /// The conflicts.
    pub inbox: Inbox,
    /// The conflict that was opened last.
    pub detail: Option<ConflictDetail>,
    /// The one for which it was asked.
    pub detail_asked: Option<String>,
    /// Its versions as text.
    pub texts: Option<Texts>,
    /// What compaction would leave out, and when that was found.
    pub preview: Option<(u64, Vec<SitePreview>)>,
    /// A preview is under way.
    pub preview_asked: bool,
    /// The end of the journal, oldest first, and when it was asked for.
    pub tail: Option<(u64, Vec<EntryView>)>,
    /// It is under way.
    pub tail_asked: bool,
    /// The last question that was not answered.
    pub unanswered: Option<Failed>,
}

impl Data {
    /// Age of what is shown, in microseconds. None: nothing was told yet.
    #[must_use]
    pub fn age_us(&self) -> Option<u64> {
        let heard = self.heard?;
        Some(self.now.mono_us.saturating_sub(heard.mono_us))
    }

    /// What is shown is not current.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        let is_lost = matches!(self.link, Link::Lost { .. });
        self.unreadable.is_some() || is_lost || self.age_us().is_some_and(|age| age > STALE_US)
    }

    /// The site of that name.
    #[must_use]
    pub fn site(&self, name: &str) -> Option<&SiteView> {
        let sites = &self.look.as_ref()?.status.sites;
        sites.iter().find(|site| site.site == name)
    }
}

/// Whether nothing is measured of a site at present: it is not connected, or connected and silent.
#[must_use]
pub const fn is_unmeasured(state: SiteState) -> bool {
    matches!(
        state,
        SiteState::Unknown
            | SiteState::Backoff
            | SiteState::Connecting
            | SiteState::NeverConnected
            | SiteState::Paused
            | SiteState::Fenced
    )
}

/// What the charts show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Units {
    /// Lag in time.
    #[default]
    Time,
    /// Entries behind.
    Entries,
    /// Bytes behind.
    Bytes,
}

impl Units {
    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Time => Self::Entries,
            Self::Entries => Self::Bytes,
            Self::Bytes => Self::Time,
        }
    }
}

/// What the heat map shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Metric {
    /// Age of the oldest entry that is not applied.
    #[default]
    Age,
    /// Entries that are not applied.
    Entries,
    /// Bytes of the journal that are not applied.
    Bytes,
    /// Entries that are not safe at the peer.
    Unsafe,
}

impl Metric {
    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Age => Self::Entries,
            Self::Entries => Self::Bytes,
            Self::Bytes => Self::Unsafe,
            Self::Unsafe => Self::Age,
        }
    }

    /// For people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Age => "age of the oldest",
            Self::Entries => "entries behind",
            Self::Bytes => "bytes behind",
            Self::Unsafe => "entries not safe there",
        }
    }
}

/// How sites are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SiteSort {
    /// Worst first.
    #[default]
    Worst,
    /// By name.
    Name,
    /// The greatest lag first.
    Lag,
    /// Most entries first.
    Entries,
}

impl SiteSort {
    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Worst => Self::Name,
            Self::Name => Self::Lag,
            Self::Lag => Self::Entries,
            Self::Entries => Self::Worst,
        }
    }

    /// For people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Worst => "worst first",
            Self::Name => "name",
            Self::Lag => "lag",
            Self::Entries => "entries",
        }
    }
}

/// How conflicts are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConflictSort {
    /// The latest first.
    #[default]
    Latest,
    /// The most bytes first.
    Loss,
    /// By path.
    Path,
}

impl ConflictSort {
    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Latest => Self::Loss,
            Self::Loss => Self::Path,
            Self::Path => Self::Latest,
        }
    }

    /// For people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Latest => "latest first",
            Self::Loss => "loss",
            Self::Path => "path",
        }
    }
}

/// How the picture is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ThemeName {
    /// For dark terminals.
    #[default]
    Dark,
    /// For light terminals.
    Light,
    /// Sixteen colours at most, and bold.
    HighContrast,
    /// No colours.
    Mono,
}

impl ThemeName {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Dark, Self::Light, Self::HighContrast, Self::Mono];

    /// The word on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::HighContrast => "high-contrast",
            Self::Mono => "mono",
        }
    }

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::HighContrast,
            Self::HighContrast => Self::Mono,
            Self::Mono => Self::Dark,
        }
    }
}

/// What a question needs before it is answered with yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Enter alone.
    Enter,
    /// This word.
    Word(String),
}

/// A field that is typed into.
#[derive(Debug, Clone, Default)]
pub struct Field {
    /// The text and the cursor.
    pub input: tui_input::Input,
}

impl Field {
    /// With text in it, and the cursor behind it.
    #[must_use]
    pub fn with(text: &str) -> Self {
        Self {
            input: tui_input::Input::new(text.to_owned()),
        }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.input.value()
    }
}

/// An act that is asked about.
#[derive(Debug, Clone)]
pub struct Question {
    /// What is asked.
    pub title: String,
    /// What it means, line by line.
    pub lines: Vec<String>,
    /// The act; what is typed goes into it.
    pub act: Act,
    /// What it needs.
    pub need: Need,
    /// A word that has to be typed, if one has to.
    pub word: Field,
    /// A text that goes with it: a note, a file, a filter.
    pub text: Option<(&'static str, Field)>,
    /// The text is typed into, and not the word.
    pub in_text: bool,
}

/// What stands over the screen.
#[derive(Debug, Clone)]
pub enum Overlay {
    /// The keys, what they are filtered by, and the first line that is shown.
    Help(Field, usize),
    /// The palette: what was typed, and which of the commands that fit is chosen.
    Palette(Field, usize),
    /// The filter of this screen is typed.
    Filter(Field),
    /// An act is asked about.
    Ask(Box<Question>),
    /// A text to read: its title, its lines, and what `y` copies.
    Text {
        /// Its title.
        title: String,
        /// Its lines.
        lines: Vec<String>,
        /// What is copied.
        copy: String,
        /// It tells of a failure.
        is_bad: bool,
    },
}

/// A line that goes by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toast {
    /// What it says.
    pub text: String,
    /// It is a failure.
    pub is_bad: bool,
    /// Until when, by the monotonic clock.
    pub until_us: u64,
}

/// What the person chose.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// What fills the window.
    pub screen: Screen,
    /// The panel that has the focus.
    pub panel: usize,
    /// The panel stands alone.
    pub zoom: bool,
    /// The site.
    pub site: Option<String>,
    /// The order of sites.
    pub site_sort: SiteSort,
    /// The conflict.
    pub conflict: Option<String>,
    /// The row at which it was seen last.
    pub conflict_row: usize,
    /// Conflicts that are marked.
    pub marked: BTreeSet<String>,
    /// Where the range begins.
    pub mark_from: Option<String>,
    /// Conflicts that need nobody, too.
    pub all_conflicts: bool,
    /// The order of conflicts.
    pub conflict_sort: ConflictSort,
    /// The first line of the difference that is shown.
    pub diff_scroll: usize,
    /// The first column of its lines that is shown.
    pub diff_column: usize,
    /// The difference is shown, and not both versions.
    pub diff: bool,
    /// The event. None: the latest one is followed.
    pub event: Option<u64>,
    /// The row at which it was seen last.
    pub event_row: usize,
    /// How bad an event has to be.
    pub level: Level,
    /// The shard of the heat map.
    pub shard: u32,
    /// What the heat map shows.
    pub metric: Metric,
    /// What charts show.
    pub units: Units,
    /// How far charts reach back: an index of [`RANGES_US`].
    pub range: usize,
    /// Filters of sites, conflicts, events.
    pub filters: [String; 3],
    /// The problem to which `!` jumped last.
    pub problem: usize,
    /// Colours.
    pub theme: ThemeName,
    /// Glyphs of ASCII alone.
    pub ascii: bool,
    /// Times in the zone of this machine.
    pub local: bool,
    /// What stands above.
    pub overlay: Option<Overlay>,
}

/// How far charts can reach back.
pub const RANGES_US: [u64; 4] = [
    300 * 1_000_000,
    900 * 1_000_000,
    3_600 * 1_000_000,
    21_600 * 1_000_000,
];

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// What is known.
    pub data: Data,
    /// What is shown instead, while the picture is held.
    pub frozen: Option<Box<Data>>,
    /// What the person chose.
    pub choice: Choice,
    /// A line that goes by itself.
    pub toast: Option<Toast>,
    /// Why nothing may be changed, as it was wanted. None: it may.
    pub read_only: Option<String>,
    /// What this user may do, as the daemon tells, or as a refusal showed. None: it is not known.
    pub rights: Option<RightsView>,
    /// The replay, if it is one.
    pub player: Option<Player>,
    /// Columns and rows.
    pub size: (u16, u16),
    /// The program and the flags by which this daemon is reached, for command lines.
    pub program: String,
    /// Zone of this machine.
    pub zone: Option<jiff::tz::TimeZone>,
    /// The picture is not what it should be.
    pub dirty: bool,
    /// What is listed on the screens of conflicts and events.
    pub rows: rows::Rows,
    /// What is listed has to be found anew.
    pub rows_old: bool,
}

impl Model {
    /// Why an action is not possible. None: it is, as far as anybody knows.
    #[must_use]
    pub fn refuses(&self, action: Action) -> Option<String> {
        if action.is_act()
            && let Some(why) = &self.read_only
        {
            return Some(why.clone());
        }
        self.lacks_right().filter(|_| action.needs_right())
    }

    /// Why this user may only look. None: it may act, as far as anybody knows.
    #[must_use]
    pub fn lacks_right(&self) -> Option<String> {
        let rights = self.rights.as_ref().filter(|rights| !rights.act)?;
        let caller = &rights.caller;
        Some(format!("{caller} may look at this daemon, and may not act"))
    }

    /// What is shown.
    #[must_use]
    pub fn shown(&self) -> &Data {
        self.frozen.as_deref().unwrap_or(&self.data)
    }

    /// The range of the charts.
    #[must_use]
    pub fn range_us(&self) -> u64 {
        RANGES_US
            .get(self.choice.range)
            .copied()
            .unwrap_or(RANGES_US[1])
    }

    /// The filter of the screen, if it has one.
    #[must_use]
    pub fn filter_slot(&self) -> Option<usize> {
        match self.choice.screen {
            Screen::Overview | Screen::Site | Screen::Shards | Screen::Journal => Some(0),
            Screen::Conflicts => Some(1),
            Screen::Events => Some(2),
        }
    }

    /// The filter of the screen.
    #[must_use]
    pub fn filter(&self) -> &str {
        let slot = self
            .filter_slot()
            .and_then(|at| self.choice.filters.get(at));
        slot.map_or("", String::as_str)
    }

    /// The site that is selected, as it is.
    #[must_use]
    pub fn selected_site(&self) -> Option<&SiteView> {
        self.shown().site(self.choice.site.as_deref()?)
    }

    /// The conflict that is selected.
    #[must_use]
    pub fn selected_conflict(&self) -> Option<&ConflictView> {
        let id = self.choice.conflict.as_deref()?;
        let list = self.shown().inbox.list.as_ref()?;
        list.iter().find(|conflict| conflict.id == id)
    }

    /// The event that is selected; the latest one, while events are followed.
    #[must_use]
    pub fn selected_event(&self) -> Option<&EventView> {
        let number = match self.choice.event {
            Some(number) => number,
            None => *self.rows.events.front()?,
        };
        rows::event(&self.shown().events, number)
    }
}
