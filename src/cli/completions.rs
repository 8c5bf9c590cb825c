//! `cfs-repl completions SHELL`: the script of a shell, and the answers when one asks while a line is typed.
//!
//! The script that `--dynamic` prints calls this program for every candidate, which then asks the daemon for the names
//! of sites, ids of conflicts and shards. A daemon that is down or slow has none, and nothing is ever said of it: it
//! would stand in the middle of the line that is typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap_complete::Shell;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::Shells;

use super::Global;
use super::exit::{CliResult, Exit, Failure};
use super::reach::{self, Reach};
use super::ui::Ui;
use crate::admin::client::Client;
use crate::admin::filter::ConflictFilter;
use crate::admin::view::{ConflictView, InvitationState, path_text};
use crate::config::DEFAULT_FILE;
use crate::text::printable;

/// The variable with which a shell asks; its value is the name of the shell.
const ASKED: &str = "CFS_REPL_COMPLETE";
/// How long the daemon may take: together with the start of this program nobody notices it.
const PATIENCE: Duration = Duration::from_millis(120);
/// Ids of conflicts that are offered, the latest ones.
const IDS_MAX: u64 = 50;
/// Commands whose sites are new ones.
const NAMING: [&str; 4] = [" pki", " peer", " join", " init"];

/// Print the completion script of a shell
///
/// For bash: cfs-repl completions bash > /etc/bash_completion.d/cfs-repl
///
/// With --dynamic the script asks the running daemon for sites, conflicts and shards. It belongs to this version, so it
/// is best read anew by every shell, in its startup file: source <(cfs-repl completions bash --dynamic)
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell that will read it
    #[arg(value_enum)]
    shell: Shell,
    /// A script that asks the daemon while a line is typed
    #[arg(long)]
    dynamic: bool,
}

pub(super) fn run(ui: &mut Ui, args: &CompletionsArgs) -> CliResult {
    let mut script = Vec::new();
    if args.dynamic {
        let name = args.shell.to_string();
        let shells = Shells::builtins();
        let Some(shell) = shells.completer(&name) else {
            let failure = Failure::new(Exit::Usage, format!("{name} asks for no candidates"));
            return Err(failure.hint("leave out --dynamic").into());
        };
        let own = "cfs-repl";
        let written = shell.write_registration(ASKED, own, own, own, &mut script);
        written
            .map_err(|error| Failure::new(Exit::Failure, "cannot make the script").cause(error))?;
    } else {
        clap_complete::generate(args.shell, &mut super::parser(), "cfs-repl", &mut script);
    }
    ui.data(&String::from_utf8_lossy(&script))
}

/// Answers a shell that asks. None: nobody does, and the words are a command.
pub(super) fn answer(args: &[OsString]) -> Option<Exit> {
    let shell = std::env::var(ASKED).ok().filter(|name| !name.is_empty())?;
    let words = args.iter().skip_while(|word| *word != "--").skip(1);
    if let Some(text) = candidates(&shell, words.cloned().collect()) {
        let mut ui = Ui::new(&Global::default());
        // Who went away wants no candidates.
        drop(ui.data(&text));
    }
    Some(Exit::Ok)
}

/// What may stand at the end of these words, as the shell reads it.
pub(super) fn candidates(shell: &str, words: Vec<OsString>) -> Option<String> {
    let place = Arc::new(Place::named_in(&words));
    let mut command = offering(super::parser(), "", &place);
    command.build();
    let mut text = Vec::new();
    let folder = std::env::current_dir().ok();
    let shells = Shells::builtins();
    let written =
        shells
            .completer(shell)?
            .write_complete(&mut command, words, folder.as_deref(), &mut text);
    written.ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The command, where every argument that names something of the daemon offers what there is.
fn offering(command: clap::Command, path: &str, place: &Arc<Place>) -> clap::Command {
    let command = command.mut_args(|arg| match Offer::of(path, arg.get_id().as_str()) {
        Some(offer) => {
            let place = Arc::clone(place);
            arg.add(ArgValueCandidates::new(move || offer.all(&place)))
        }
        None => arg,
    });
    command.mut_subcommands(|sub| {
        let path = format!("{path} {}", sub.get_name());
        offering(sub, &path, place)
    })
}

/// Where the daemon is of which the line speaks.
#[derive(Debug)]
struct Place {
    global: Global,
    reach: Reach,
}

impl Place {
    fn named_in(words: &[OsString]) -> Self {
        let value = |flags: &[&str], variable: &str| {
            let pairs = words.iter().zip(words.iter().skip(1));
            let apart = pairs
                .filter(|(flag, _)| flags.iter().any(|known| *flag == known))
                .map(|(_, value)| value.to_string_lossy().into_owned());
            let joined = words.iter().filter_map(|word| {
                let word = word.to_string_lossy();
                let (flag, value) = word.split_once('=')?;
                flags.contains(&flag).then(|| value.to_owned())
            });
            let given = apart.chain(joined).last();
            given.or_else(|| std::env::var(variable).ok())
        };
        let config = value(&["--config"], "CFS_REPL_CONFIG");
        Self {
            global: Global {
                server: value(&["-s", "--server"], "CFS_REPL_SERVER"),
                ..Global::default()
            },
            reach: Reach::of(config.map_or_else(|| PathBuf::from(DEFAULT_FILE), PathBuf::from)),
        }
    }

    fn ask<T, F>(&self, request: impl FnOnce(Client) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, crate::admin::client::ClientError>>,
    {
        reach::ask_quickly(&self.global, &self.reach, PATIENCE, request)
    }
}

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer {
    Site,
    Shard,
    OpenConflict,
    AckedConflict,
    AnyConflict,
    OpenInvitation,
}

impl Offer {
    /// None: nothing of the daemon.
    fn of(path: &str, argument: &str) -> Option<Self> {
        let is_naming = NAMING.iter().any(|own| path.starts_with(own));
        match (argument, path) {
            ("site", _) if !is_naming => Some(Self::Site),
            ("shard", _) => Some(Self::Shard),
            ("ids", " conflicts ack") => Some(Self::OpenConflict),
            ("ids", " conflicts unack") => Some(Self::AckedConflict),
            ("id", " conflicts show" | " conflicts restore") => Some(Self::AnyConflict),
            ("id", " peer revoke") => Some(Self::OpenInvitation),
            _ => None,
        }
    }

    fn all(self, place: &Place) -> Vec<CompletionCandidate> {
        match self {
            Self::Site => sites(place),
            Self::Shard => shards(place),
            Self::OpenConflict => conflicts(
                place,
                ConflictFilter {
                    open: true,
                    ..ConflictFilter::default()
                },
            ),
            Self::AckedConflict => conflicts(
                place,
                ConflictFilter {
                    acked: true,
                    ..ConflictFilter::default()
                },
            ),
            Self::AnyConflict => conflicts(place, ConflictFilter::default()),
            Self::OpenInvitation => invitations(place),
        }
    }
}

/// Those that can be withdrawn.
fn invitations(place: &Place) -> Vec<CompletionCandidate> {
    let found = place.ask(|client| async move { client.invitations().await });
    let all = found.map(|(_, all)| all).unwrap_or_default().into_iter();
    let known = all.filter(|one| one.state != InvitationState::Used && is_plain(&one.id));
    known
        .map(|one| {
            let name = one
                .name
                .map_or_else(String::new, |name| format!(" for {name}"));
            let told = printable(&format!("{}{name}, by {}", one.state, one.made_by));
            CompletionCandidate::new(one.id).help(Some(told.into()))
        })
        .collect()
}

fn sites(place: &Place) -> Vec<CompletionCandidate> {
    let status = place.ask(|client| async move { client.status().await });
    let sites = status.map(|status| status.sites).unwrap_or_default();
    let known = sites.into_iter().filter(|site| is_plain(&site.site));
    known
        .map(|site| CompletionCandidate::new(site.site).help(Some(site.state.to_string().into())))
        .collect()
}

fn shards(place: &Place) -> Vec<CompletionCandidate> {
    let lag = place.ask(|client| async move { client.lag(true).await });
    let sites = lag.map(|lag| lag.sites).unwrap_or_default();
    let shards = sites.iter().flat_map(|site| site.shards.iter());
    let numbers: std::collections::BTreeSet<u32> = shards.map(|shard| shard.shard).collect();
    let numbers = numbers.into_iter().map(|shard| shard.to_string());
    numbers.map(CompletionCandidate::new).collect()
}

/// The latest first.
fn conflicts(place: &Place, filter: ConflictFilter) -> Vec<CompletionCandidate> {
    let ask = |client: Client| async move { client.conflicts(filter, Some(IDS_MAX)).await };
    let found = place.ask(ask).map(|found| found.conflicts);
    let latest = found.unwrap_or_default().into_iter().rev();
    let known = latest.filter(|conflict| is_plain(&conflict.id));
    known
        .enumerate()
        .map(|(nth, conflict)| {
            let told = printable(&about(&conflict));
            CompletionCandidate::new(conflict.id)
                .help(Some(told.into()))
                .display_order(Some(nth))
        })
        .collect()
}

fn about(conflict: &ConflictView) -> String {
    let path = conflict.path.as_deref().map(path_text);
    path.unwrap_or_else(|| format!("inode {}", conflict.inode))
}

/// What a shell puts into a line as it is.
fn is_plain(word: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !word.is_empty() && word.chars().all(is_safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arguments_that_name_something_of_the_daemon_offer_it() {
        for (path, argument, expected) in [
            (" status", "site", Some(Offer::Site)),
            (" sites pause", "site", Some(Offer::Site)),
            (" pki issue", "site", None),
            (" peer invite", "site", None),
            (" lag", "shard", Some(Offer::Shard)),
            (" conflicts ack", "ids", Some(Offer::OpenConflict)),
            (" conflicts unack", "ids", Some(Offer::AckedConflict)),
            (" conflicts show", "id", Some(Offer::AnyConflict)),
            (" peer revoke", "id", Some(Offer::OpenInvitation)),
            (" status", "id", None),
        ] {
            assert_eq!(Offer::of(path, argument), expected, "{path} {argument}");
        }
    }

    #[test]
    fn the_daemon_is_the_one_that_the_line_names() {
        let server = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            Place::named_in(&words).global.server
        };
        assert_eq!(
            server(&["x", "-s", "unix:/a", "lag"]).as_deref(),
            Some("unix:/a")
        );
        assert_eq!(
            server(&["x", "lag", "--server=unix:/b"]).as_deref(),
            Some("unix:/b")
        );
        assert_eq!(server(&["x", "lag", "-s"]), None);
    }

    #[test]
    fn what_a_shell_would_read_otherwise_is_not_offered() {
        assert!(is_plain("iad-2") && is_plain("c-bygtc5qnmf"));
        assert!(!is_plain("") && !is_plain("a b") && !is_plain("$(x)") && !is_plain("a\u{1b}"));
    }
}
