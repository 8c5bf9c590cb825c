//! Pure: the keys as one table, which feeds the handler, the footer, the help and the tests.

use super::model::Screen;

/// A key as it is pressed, without what terminals call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A character, in the case that it has.
    Char(char),
    /// A letter with Ctrl.
    Ctrl(char),
    /// Enter.
    Enter,
    /// Esc.
    Esc,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// Deletes to the left.
    Backspace,
    /// Deletes to the right.
    Delete,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Ends the dashboard; the daemon goes on.
    Quit,
    /// Hands the terminal back to the shell.
    Suspend,
    /// Draws everything anew.
    Redraw,
    /// Shows a screen.
    Show(Screen),
    /// Shows the keys.
    Help,
    /// Opens the palette of commands.
    Palette,
    /// Filters the list.
    Filter,
    /// One step back: closes what is open, clears the filter, returns to the overview.
    Back,
    /// Opens what is selected.
    Open,
    /// The row above.
    Up,
    /// The row below.
    Down,
    /// The cell, or moment, to the left.
    Left,
    /// The cell, or moment, to the right.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// The first row.
    Top,
    /// The last row.
    Bottom,
    /// The next panel.
    NextPanel,
    /// The panel before.
    PreviousPanel,
    /// The next site.
    NextSite,
    /// The site before.
    PreviousSite,
    /// The worst problem; again: the next one.
    Worst,
    /// The next problem in this list.
    NextProblem,
    /// The problem before in this list.
    PreviousProblem,
    /// Another order.
    Sort,
    /// Time, entries or bytes.
    Units,
    /// What the heat map shows.
    Metric,
    /// The panel alone.
    Zoom,
    /// Holds the picture, or lets it go on.
    Freeze,
    /// Another theme.
    Theme,
    /// UTC or the zone of this machine.
    Zone,
    /// A longer range of time.
    Wider,
    /// A shorter range of time.
    Narrower,
    /// Follows what happens.
    Follow,
    /// How bad an event has to be to be listed.
    Level,
    /// Conflicts that need nobody, too, or not.
    All,
    /// Marks a conflict.
    Mark,
    /// Marks from the last marked conflict to this one.
    MarkRange,
    /// Compares both versions as text.
    Diff,
    /// Acknowledges what is selected or marked.
    Ack,
    /// Acknowledges everything that is listed.
    AckAll,
    /// Puts the loser back.
    Restore,
    /// Saves the loser to a file.
    SaveLoser,
    /// Pauses a site, or lets it go on.
    Pause,
    /// Lets a site go on.
    Resume,
    /// Makes the connection to a site anew.
    Reconnect,
    /// Has the daemon read configuration and certificates.
    Reload,
    /// Changes what the daemon logs.
    LogLevel,
    /// Copies what is selected.
    Copy,
    /// Shows the equal command line.
    Command,
    /// Writes what the screen shows as text to a file.
    Dump,
    /// Replay: goes on, or pauses.
    PlayPause,
    /// Replay: faster.
    Faster,
    /// Replay: slower.
    Slower,
    /// Replay: a step back.
    SeekBack,
    /// Replay: a step forward.
    SeekForward,
}

/// Where keys stand in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Getting about.
    Move,
    /// What is shown, and how.
    View,
    /// What changes something.
    Act,
    /// Taking something along.
    Share,
    /// Playing a record.
    Replay,
}

impl Group {
    /// Every one, in the order of the help.
    pub const ALL: [Self; 5] = [Self::Move, Self::View, Self::Act, Self::Share, Self::Replay];

    /// The heading.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Move => "MOVE",
            Self::View => "VIEW",
            Self::Act => "ACT  (asks first)",
            Self::Share => "COPY AND SHARE",
            Self::Replay => "REPLAY",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Any of these.
    pub keys: &'static [Key],
    /// How the keys are written.
    pub shown: &'static str,
    /// What they do.
    pub action: Action,
    /// Where; empty: everywhere.
    pub screens: &'static [Screen],
    /// Where it stands in the help.
    pub group: Group,
    /// What it does, for the help.
    pub what: &'static str,
    /// The same in a word or two, for the footer; empty: not there.
    pub short: &'static str,
}

const EVERYWHERE: &[Screen] = &[];
/// Screens on which a site is selected.
const SITES: &[Screen] = &[
    Screen::Overview,
    Screen::Site,
    Screen::Shards,
    Screen::Journal,
];
const CONFLICTS: &[Screen] = &[Screen::Conflicts];
const EVENTS: &[Screen] = &[Screen::Events];

macro_rules! bindings {
    ($($group:ident, $screens:expr, $shown:literal, [$($key:expr),*], $action:expr, $short:literal, $what:literal;)+) => {
        &[$(Binding {
            keys: &[$($key),*],
            shown: $shown,
            action: $action,
            screens: $screens,
            group: Group::$group,
            what: $what,
            short: $short,
        },)+]
    };
}

use Action as A;
use Key::{Char, Ctrl};

/// Every key. The first row that fits holds.
pub const BINDINGS: &[Binding] = bindings! {
    Move, EVERYWHERE, "↑ ↓ j k", [Key::Up, Char('k')], A::Up, "select", "select a row";
    Move, EVERYWHERE, "", [Key::Down, Char('j')], A::Down, "", "";
    Move, EVERYWHERE, "← → h l", [Key::Left, Char('h')], A::Left, "", "cell, or moment on the timeline";
    Move, EVERYWHERE, "", [Key::Right, Char('l')], A::Right, "", "";
    Move, EVERYWHERE, "g G", [Char('g'), Key::Home], A::Top, "", "first, last";
    Move, EVERYWHERE, "", [Char('G'), Key::End], A::Bottom, "", "";
    Move, EVERYWHERE, "PgUp PgDn", [Key::PageUp, Ctrl('b')], A::PageUp, "", "a page";
    Move, EVERYWHERE, "", [Key::PageDown, Ctrl('f')], A::PageDown, "", "";
    Move, EVERYWHERE, "Tab S-Tab", [Key::Tab], A::NextPanel, "", "next, previous panel";
    Move, EVERYWHERE, "", [Key::BackTab], A::PreviousPanel, "", "";
    Move, EVERYWHERE, "Enter", [Key::Enter], A::Open, "open", "open what is selected";
    Move, EVERYWHERE, "Esc", [Key::Esc, Key::Backspace], A::Back, "", "back, clear the filter";
    Move, EVERYWHERE, "1 … 6", [Char('1')], A::Show(Screen::Overview), "", "screens";
    Move, EVERYWHERE, "", [Char('2')], A::Show(Screen::Site), "", "";
    Move, EVERYWHERE, "", [Char('3')], A::Show(Screen::Shards), "", "";
    Move, EVERYWHERE, "", [Char('4')], A::Show(Screen::Conflicts), "", "";
    Move, EVERYWHERE, "", [Char('5')], A::Show(Screen::Events), "", "";
    Move, EVERYWHERE, "", [Char('6')], A::Show(Screen::Journal), "", "";
    Move, EVERYWHERE, "[ ]", [Char('[')], A::PreviousSite, "", "previous, next site";
    Move, EVERYWHERE, "", [Char(']')], A::NextSite, "", "";
    Move, EVERYWHERE, "!", [Char('!')], A::Worst, "worst", "the worst problem; again: the next one";
    Move, EVERYWHERE, "n N", [Char('n')], A::NextProblem, "", "next, previous problem in the list";
    Move, EVERYWHERE, "", [Char('N')], A::PreviousProblem, "", "";
    View, EVERYWHERE, "/", [Char('/')], A::Filter, "", "filter; ! in front inverts";
    View, EVERYWHERE, ":", [Char(':')], A::Palette, "", "command palette";
    View, EVERYWHERE, "?", [Char('?')], A::Help, "", "this help";
    View, EVERYWHERE, "s", [Char('s')], A::Sort, "", "sort by another column";
    View, EVERYWHERE, "u", [Char('u')], A::Units, "", "charts in time, entries or bytes";
    View, EVERYWHERE, "m", [Char('m')], A::Metric, "", "heat map by age, entries, bytes, or entries not safe there";
    View, EVERYWHERE, "z", [Char('z')], A::Zoom, "", "zoom the panel";
    View, EVERYWHERE, "f", [Char('f')], A::Freeze, "", "hold the picture, or go on";
    View, EVERYWHERE, "t T", [Char('t')], A::Theme, "", "theme; T: UTC or local time";
    View, EVERYWHERE, "", [Char('T')], A::Zone, "", "";
    View, EVERYWHERE, "+ -", [Char('+'), Char('=')], A::Wider, "", "range of the charts, 5m … 6h";
    View, EVERYWHERE, "", [Char('-')], A::Narrower, "", "";
    View, EVENTS, "F", [Char('F')], A::Follow, "follow", "follow what happens";
    View, EVENTS, "v", [Char('v')], A::Level, "level", "events: at least info, warn, error";
    View, CONFLICTS, "o", [Char('o')], A::All, "all/open", "conflicts that need nobody, too";
    View, CONFLICTS, "Space v", [Char(' ')], A::Mark, "mark", "mark; v: up to here";
    View, CONFLICTS, "", [Char('v')], A::MarkRange, "", "";
    View, CONFLICTS, "d", [Char('d')], A::Diff, "diff", "compare both versions as text";
    Act, CONFLICTS, "a", [Char('a')], A::Ack, "ack", "acknowledge the conflict, or those that are marked";
    Act, CONFLICTS, "A", [Char('A')], A::AckAll, "ack all", "acknowledge all that are listed: type how many";
    Act, CONFLICTS, "R", [Char('R')], A::Restore, "restore", "put the losing version back";
    Act, CONFLICTS, "S", [Char('S')], A::SaveLoser, "save loser", "save the losing version to a file";
    Act, SITES, "p", [Char('p')], A::Pause, "pause", "pause a site, or let it go on: type its name";
    Act, SITES, ":resume", [], A::Resume, "", "let a site go on that is paused or held";
    Act, SITES, "r", [Char('r')], A::Reconnect, "reconnect", "connect to a site anew, at once";
    Act, EVERYWHERE, "r", [Char('r')], A::Reconnect, "", "";
    Act, EVERYWHERE, "C", [Char('C')], A::Reload, "", "read configuration and certificates again";
    Act, EVERYWHERE, "L", [Char('L')], A::LogLevel, "", "change what the daemon logs";
    Share, EVERYWHERE, "y", [Char('y')], A::Copy, "copy", "copy what is selected (OSC 52)";
    Share, EVERYWHERE, "x", [Char('x')], A::Command, "CLI", "show the equal command line";
    Share, EVERYWHERE, "w", [Char('w')], A::Dump, "", "write this screen to a text file";
    Share, EVERYWHERE, "q Ctrl-C", [Char('q'), Ctrl('c')], A::Quit, "", "quit; the daemon goes on";
    Share, EVERYWHERE, "Ctrl-L", [Ctrl('l')], A::Redraw, "", "draw everything anew";
    Share, EVERYWHERE, "Ctrl-Z", [Ctrl('z')], A::Suspend, "", "back to the shell; fg returns";
};

/// Keys that hold while a record is played; they stand in front of the others.
pub const REPLAY_BINDINGS: &[Binding] = bindings! {
    Replay, EVERYWHERE, "Space", [Char(' ')], A::PlayPause, "play/pause", "go on, or pause";
    Replay, EVERYWHERE, "← →", [Key::Left], A::SeekBack, "seek", "ten seconds back, forward";
    Replay, EVERYWHERE, "", [Key::Right], A::SeekForward, "", "";
    Replay, EVERYWHERE, "< >", [Char('>')], A::Faster, "speed", "slower, faster";
    Replay, EVERYWHERE, "", [Char('<')], A::Slower, "", "";
};

/// The rows that hold on a screen, the first of equal keys first.
pub fn on(screen: Screen, replays: bool) -> impl Iterator<Item = &'static Binding> {
    let replay = if replays { REPLAY_BINDINGS } else { &[] };
    replay
        .iter()
        .chain(BINDINGS)
        .filter(move |binding| binding.screens.is_empty() || binding.screens.contains(&screen))
}

/// What a key does on a screen.
#[must_use]
pub fn action(screen: Screen, replays: bool, key: Key) -> Option<Action> {
    on(screen, replays)
        .find(|binding| binding.keys.contains(&key))
        .map(|binding| binding.action)
}

impl Action {
    /// It changes something at the daemon.
    #[must_use]
    pub fn is_act(self) -> bool {
        self.stands_in(Group::Act) && self != Self::SaveLoser
    }

    /// A daemon does it for those alone who may act: that is whatever changes something, or gives bytes of files.
    #[must_use]
    pub fn needs_right(self) -> bool {
        self.stands_in(Group::Act) || self == Self::Diff
    }

    fn stands_in(self, group: Group) -> bool {
        BINDINGS
            .iter()
            .any(|binding| binding.group == group && binding.action == self)
    }

    /// The name by which the palette finds it.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(_, action)| *action == self)
            .map(|(name, _)| *name)
    }
}

/// Commands of the palette.
pub const NAMES: &[(&str, Action)] = &[
    ("overview", A::Show(Screen::Overview)),
    ("site", A::Show(Screen::Site)),
    ("shards", A::Show(Screen::Shards)),
    ("conflicts", A::Show(Screen::Conflicts)),
    ("events", A::Show(Screen::Events)),
    ("journal", A::Show(Screen::Journal)),
    ("worst", A::Worst),
    ("filter", A::Filter),
    ("sort", A::Sort),
    ("units", A::Units),
    ("metric", A::Metric),
    ("zoom", A::Zoom),
    ("freeze", A::Freeze),
    ("theme", A::Theme),
    ("zone", A::Zone),
    ("wider", A::Wider),
    ("narrower", A::Narrower),
    ("ack", A::Ack),
    ("ack-all", A::AckAll),
    ("restore", A::Restore),
    ("save-loser", A::SaveLoser),
    ("diff", A::Diff),
    ("pause", A::Pause),
    ("resume", A::Resume),
    ("reconnect", A::Reconnect),
    ("reload", A::Reload),
    ("log-level", A::LogLevel),
    ("copy", A::Copy),
    ("command", A::Command),
    ("dump", A::Dump),
    ("help", A::Help),
    ("quit", A::Quit),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_on_a_screen_but_for_reconnect() {
        for screen in Screen::ALL {
            let mut seen = std::collections::BTreeMap::new();
            for binding in on(screen, false) {
                for key in binding.keys {
                    let before = seen.insert(*key, binding.action);
                    assert!(
                        before.is_none_or(|before| before == binding.action),
                        "{screen:?} {key:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_act_has_a_name_in_the_palette() {
        for binding in BINDINGS {
            if binding.group == Group::Act {
                assert!(binding.action.name().is_some(), "{:?}", binding.action);
            }
        }
    }
}
