//! `cfs-repl conflicts show ID`: both versions, why one won, where the bytes of the other are, and what differs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::super::exit::{CliError, CliResult, Exit, Failure};
use super::super::look::Look;
use super::super::reach::{self, Reach};
use super::super::render::{Format, Row, View};
use super::super::status::item;
use super::super::ui::Ui;
use super::super::{Global, human};
use super::diff::{self, BYTES_MAX};
use super::{LOSER_MAX, author, gap, shown_path};
use crate::admin::client::Client;
use crate::admin::view::{
    BytesAt, ConflictDetail, SavedView, ValueView, VersionView, path_text, root_text,
};
use crate::text::printable;

/// Hexadecimal digits of a hash that are shown to people.
const HASH_DIGITS: usize = 16;

/// Show one conflict: both versions, why one won, and where the bytes are that lost
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Id of the conflict, or the beginning of one
    id: String,
    /// Write the bytes that lost to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    save_loser: Option<PathBuf>,
    /// Show what differs between what lost and what is shown, where both are text of 1 MiB at most
    #[arg(long, conflicts_with = "save_loser")]
    diff: bool,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &ShowArgs) -> CliResult {
    if let Some(file) = &args.save_loser {
        return save(ui, global, args, file);
    }
    let ask = |client: Client| async move { client.show(&args.id).await };
    let (site, mut detail) = reach::ask(global, &args.reach, ask)?;
    if args.diff {
        match compare(global, args, &detail)? {
            Ok(diff) => detail.diff = Some(diff),
            Err(why) => detail.no_diff = Some(why),
        }
    }
    match global.format() {
        Format::Table | Format::Wide => ui.data(&text(&detail, &ui.look())),
        Format::Json | Format::Jsonl | Format::Yaml | Format::Csv | Format::Name => {
            ui.show(&View {
                command: "conflict",
                site: Some(site),
                columns: super::COLUMNS,
                rows: vec![Row {
                    name: detail.conflict.id.clone(),
                    cells: super::cells(&detail.conflict),
                    item: item(&detail)?,
                }],
            })
        }
    }
}

/// The diff of the loser against what is shown, or why there is none.
fn compare(
    global: &Global,
    args: &ShowArgs,
    detail: &ConflictDetail,
) -> Result<Result<String, String>, CliError> {
    if let Some(why) = diff::impossible(detail) {
        return Ok(Err(why));
    }
    let (mut lost, mut shown) = (Vec::new(), Vec::new());
    let into = (&mut lost, &mut shown);
    let ask = |client: Client| async move {
        let client = client.patient(LOSER_MAX);
        // Both may have changed since they were told of: neither is read further than was agreed.
        let keep = |to: &mut Vec<u8>, bytes: &[u8]| {
            to.extend_from_slice(bytes);
            let fits = to.len() as u64 <= BYTES_MAX;
            fits.then_some(())
                .ok_or_else(|| io::Error::other("it has more bytes than the daemon said before"))
        };
        client.loser(&args.id, |bytes| keep(into.0, bytes)).await?;
        let take = |bytes: &[u8]| keep(into.1, bytes);
        client.shown(&args.id, BYTES_MAX, take).await
    };
    reach::ask(global, &args.reach, ask)?;
    Ok(diff::unified(detail, &lost, &shown))
}

/// Why a file cannot be made, with the code that a daemon's answer has where it cannot put one back.
fn not_made(told: &str, error: &io::Error) -> Failure {
    let is_lost = matches!(
        error.kind(),
        ErrorKind::AlreadyExists
            | ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
    );
    let exit = if is_lost {
        Exit::PreconditionLost
    } else if error.kind() == ErrorKind::PermissionDenied {
        Exit::NotPermitted
    } else {
        Exit::Failure
    };
    Failure::new(exit, format!("cannot make {told}"))
        .cause(error)
        .hint("name a file that does not exist, in a directory that does")
}

/// Writes the loser to `path`. What is not whole goes again.
fn save(ui: &mut Ui, global: &Global, args: &ShowArgs, path: &Path) -> CliResult {
    if path.as_os_str().is_empty() {
        let failure = Failure::new(Exit::Usage, "an empty path names no file for the loser");
        return Err(failure.hint("such as --save-loser loser").into());
    }
    let told = printable(&path.display().to_string());
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        // They may be of a file that others could not read.
        .mode(0o600)
        .open(path)
        .map_err(|error| not_made(&told, &error))?;
    let saved = fetch(global, args, &mut file).and_then(|size| {
        let view = saved_view(global, args, path, size)?;
        Ok((size, view))
    });
    if saved.is_err()
        && let Err(error) = fs::remove_file(path)
    {
        ui.say(&format!(
            "{told} is not whole and cannot be removed: {error}"
        ));
    }
    let (size, view) = saved?;
    if let Some(view) = view {
        ui.show(&view)?;
    }
    ui.say(&format!("saved {} as {told}", human::bytes(size)));
    Ok(())
}

/// What was saved, for scripts. None: people read, and are told in words.
fn saved_view(
    global: &Global,
    args: &ShowArgs,
    path: &Path,
    size_bytes: u64,
) -> Result<Option<View>, CliError> {
    if global.format().is_for_people() {
        return Ok(None);
    }
    let ask = |client: Client| async move { client.show(&args.id).await };
    let (site, detail) = reach::ask(global, &args.reach, ask)?;
    let id = detail.conflict.id;
    let saved = SavedView {
        id: id.clone(),
        path: path.as_os_str().as_bytes().to_vec(),
        size_bytes,
    };
    Ok(Some(View {
        command: "conflict-saved",
        site: Some(site),
        columns: &["ID", "PATH", "BYTES"],
        rows: vec![Row {
            cells: vec![
                id.clone(),
                path_text(&saved.path),
                saved.size_bytes.to_string(),
            ],
            name: id,
            item: item(&saved)?,
        }],
    }))
}

fn fetch(global: &Global, args: &ShowArgs, file: &mut File) -> Result<u64, CliError> {
    let writing = &mut *file;
    let ask = |client: Client| async move {
        let client = client.patient(LOSER_MAX);
        client
            .loser(&args.id, |bytes| writing.write_all(bytes))
            .await
    };
    let size = reach::ask(global, &args.reach, ask)?;
    file.sync_all()
        .map_err(|error| Failure::new(Exit::Failure, "cannot write the file").cause(error))?;
    Ok(size)
}

fn text(detail: &ConflictDetail, look: &Look) -> String {
    let conflict = &detail.conflict;
    let mut text = String::new();
    let mut line = |head: &str, what: &str| {
        let told = format!("{head:<9}{}", printable(what));
        text.push_str(told.trim_end());
        text.push('\n');
    };
    line(
        "conflict",
        &format!(
            "{}  {} of {}",
            conflict.id, conflict.kind, conflict.register
        ),
    );
    line("path", &shown_path(conflict));
    line("inode", &conflict.inode.to_string());
    line("noticed", &look.at(conflict.detected_us));
    line("state", &state(detail, look));
    line("", "");
    match &conflict.winner {
        Some(winner) => line("winner", &version(winner, look)),
        None => line("winner", "none"),
    }
    // Of a clash of names, and of changes that both stand, what is shown is the loser.
    let is_clash = conflict.is_clash();
    let is_losers = is_clash || conflict.is_merged();
    if let Some(shown) = detail.shown.as_ref().filter(|_| !is_losers) {
        let head = match detail.shown_is_winner {
            Some(true) => "",
            Some(false) => "shown here, a later version: ",
            None => "shown here: ",
        };
        line("", &format!("{head}{}", value(shown, look)));
    }
    line("loser", &version(&conflict.loser, look));
    match &detail.lost {
        Some(lost) if is_clash => line(
            "",
            &format!("the name that it did not get: {}", value(lost, look)),
        ),
        Some(lost) => line("", &value(lost, look)),
        None if conflict.is_merged() => {}
        None => line("", "what it was is not known here"),
    }
    if let Some(shown) = detail.shown.as_ref().filter(|_| is_losers) {
        line("", &format!("it stands: {}", value(shown, look)));
    }
    if let Some(at) = bytes_at(detail.bytes_at) {
        line("", at);
    }
    line("", "");
    line("why", &detail.why);
    if let Some(told) = order(detail) {
        line("", &told);
    }
    for (nth, next) in next(detail).iter().enumerate() {
        line(if nth == 0 { "next" } else { "" }, next);
    }
    if let Some(why) = &detail.no_diff {
        line("", "");
        line("diff", &format!("none: {why}"));
    }
    if let Some(diff) = &detail.diff {
        text.push('\n');
        text.push_str(&diff::painted(diff, look));
    }
    text
}

/// Whether somebody still has to look.
fn state(detail: &ConflictDetail, look: &Look) -> String {
    let conflict = &detail.conflict;
    match &conflict.ack {
        Some(ack) => {
            let at = look.at(ack.at_us);
            let note = match ack.note.as_str() {
                "" => String::new(),
                note => format!(" (\"{note}\")"),
            };
            format!("acknowledged by {} at {at}{note}", ack.by)
        }
        None if conflict.superseded => "superseded: nobody has to look".to_owned(),
        None if conflict.is_open() => "open: nobody acknowledged it".to_owned(),
        None => "for information: nothing was lost".to_owned(),
    }
}

fn version(version: &VersionView, look: &Look) -> String {
    let at = look.at(version.timestamp_us);
    if version.seq == 0 {
        return format!("{}  {at}  never journaled", author(version));
    }
    let (stream, seq) = (version.stream, version.seq);
    format!("{}  {at}  stream {stream}, seq {seq}", author(version))
}

/// What a register held, in one line.
fn value(value: &ValueView, look: &Look) -> String {
    let mut parts = Vec::new();
    if value.removed {
        parts.push("removed".to_owned());
    }
    if let Some(path) = &value.path {
        parts.push(path_text(path));
    }
    if let Some(size) = value.size_bytes {
        let exact = if size < 1_024 {
            String::new()
        } else {
            format!(" ({} bytes)", human::count(size))
        };
        parts.push(format!("{}{exact}", human::bytes(size)));
    }
    if let Some(root) = &value.root {
        let digits = root_text(root);
        parts.push(format!(
            "hash {}",
            digits.get(..HASH_DIGITS).unwrap_or(&digits)
        ));
    }
    if let Some(mode) = value.mode {
        parts.push(format!("mode {mode:04o}"));
    }
    if let (Some(uid), Some(gid)) = (value.uid, value.gid) {
        parts.push(format!("owner {uid}:{gid}"));
    }
    if let Some(us) = value.mtime_us {
        parts.push(format!("mtime {}", look.at(us)));
    }
    if let Some(flags) = value.flags {
        parts.push(format!("flags {flags:#x}"));
    }
    if let Some(name) = &value.xattr {
        parts.push(path_text(name));
    }
    if let Some(bytes) = &value.xattr_value {
        parts.push(format!("= \"{}\"", path_text(bytes)));
    }
    parts.join(", ")
}

const fn bytes_at(at: BytesAt) -> Option<&'static str> {
    match at {
        BytesAt::Unknown => Some("where its bytes are is not known"),
        BytesAt::None => None,
        BytesAt::Here => Some("its bytes are kept here"),
        BytesAt::Elsewhere => {
            Some("its bytes are not here yet, or only where they were written: that site is asked")
        }
        BytesAt::Gone => Some("its bytes are gone"),
    }
}

/// What the stamps are worth.
fn order(detail: &ConflictDetail) -> Option<String> {
    let apart = gap(detail.conflict.gap_us?);
    Some(match (detail.order_certain, detail.skew_bound_us) {
        (Some(true), Some(bound)) => {
            format!(
                "{apart} apart, and the clocks differ by {} at most",
                gap(bound)
            )
        }
        (Some(false), Some(bound)) => format!(
            "{apart} apart, but the clocks may differ by {}: the order is not certain",
            gap(bound)
        ),
        (_, None) | (None, _) => {
            format!("{apart} apart; how far the clocks differ is not known now")
        }
    })
}

/// What to type.
fn next(detail: &ConflictDetail) -> Vec<String> {
    let conflict = &detail.conflict;
    let id = &conflict.id;
    let mut next = Vec::new();
    match detail.bytes_at {
        BytesAt::Here | BytesAt::Elsewhere => {
            next.push(format!(
                "look at the loser:  cfs-repl conflicts show {id} --save-loser FILE"
            ));
            let to = if conflict.gone { " --as PATH" } else { "" };
            // What had seen both may be that it was put back.
            if !conflict.superseded {
                next.push(format!(
                    "put it back:        cfs-repl conflicts restore {id}{to}"
                ));
            }
        }
        BytesAt::Unknown | BytesAt::None | BytesAt::Gone => {}
    }
    if conflict.is_open() {
        next.push(format!(
            "all is well:        cfs-repl conflicts ack {id} --note TEXT"
        ));
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::tests::detail;

    #[test]
    fn both_versions_are_told_with_why_and_what_to_type() {
        let mut shown = detail();
        shown.conflict.gone = false;
        shown.conflict.ack = None;
        assert_eq!(
            text(&shown, &Look::plain(0)),
            "\
conflict c-bygtc5qnmf  register of content
path     plän.xlsx
inode    14993
noticed  2026-11-22T17:56:48.413000Z
state    open: nobody acknowledged it

winner   sin-1  2026-11-22T17:56:48.411204Z  stream 17, seq 36990
         18.5 KiB (18,944 bytes), hash 5c5c5c5c5c5c5c5c, mtime 2026-11-22T17:56:48.413000Z
loser    site 1  2026-11-22T17:56:48.370011Z  stream 17, seq 36988
         17.7 KiB (18,201 bytes), hash 7777777777777777
         its bytes are kept here

why      the winner is stamped later
         41ms apart, but the clocks may differ by 62ms: the order is not certain
next     look at the loser:  cfs-repl conflicts show c-bygtc5qnmf --save-loser FILE
         put it back:        cfs-repl conflicts restore c-bygtc5qnmf
         all is well:        cfs-repl conflicts ack c-bygtc5qnmf --note TEXT
"
        );
    }

    #[test]
    fn of_a_clash_the_loser_is_where_it_stands_and_of_a_removal_the_winner_is_nothing() {
        let place = |path: &[u8], removed| {
            Some(ValueView {
                path: Some(path.to_vec()),
                removed,
                ..ValueView::default()
            })
        };
        let mut clash = detail();
        clash.conflict.kind = "name_clash".to_owned();
        (clash.lost, clash.shown) = (place(b"new", false), place(b"new.cfs-conflict-1", false));
        let told = text(&clash, &Look::plain(0));
        let (_, of_loser) = told.split_once("\nloser ").unwrap();
        assert!(
            of_loser.contains("the name that it did not get: new\n"),
            "{told}"
        );
        assert!(
            of_loser.contains("it stands: new.cfs-conflict-1\n"),
            "{told}"
        );
        let mut removal = detail();
        removal.shown = Some(ValueView {
            removed: true,
            ..ValueView::default()
        });
        removal.shown_is_winner = None;
        assert!(text(&removal, &Look::plain(0)).contains("shown here: removed\n"));
        removal.conflict.superseded = true;
        assert!(!text(&removal, &Look::plain(0)).contains("conflicts restore"));
    }

    #[test]
    fn a_place_that_is_taken_or_missing_is_told_from_one_that_may_not_be_written() {
        let code = |kind| {
            let error = io::Error::from(kind);
            not_made("x", &error).exit.code()
        };
        for kind in [
            ErrorKind::AlreadyExists,
            ErrorKind::NotFound,
            ErrorKind::NotADirectory,
        ] {
            assert_eq!(code(kind), 8, "{kind:?}");
        }
        assert_eq!(code(ErrorKind::PermissionDenied), 5);
        assert_eq!(code(ErrorKind::StorageFull), 1);
    }

    #[test]
    fn hostile_names_and_values_steer_no_terminal() {
        let mut hostile = detail();
        hostile.conflict.path = Some(b"\x1b[2J\nwinner   me".to_vec());
        hostile.shown = None;
        hostile.lost = Some(ValueView {
            xattr: Some(b"user.\x1b]0;x\x07".to_vec()),
            xattr_value: Some(b"\xff\x1b[31m".to_vec()),
            path: Some(b"a\rb".to_vec()),
            removed: true,
            ..ValueView::default()
        });
        let text = text(&hostile, &Look::plain(0));
        assert!(!text.contains(['\x1b', '\x07', '\r']), "{text}");
        assert_eq!(
            text.lines()
                .filter(|line| line.starts_with("winner"))
                .count(),
            1
        );
    }

    #[test]
    fn stamps_further_apart_than_the_clocks_tell_an_order_and_unknown_clocks_none() {
        let told = |order_certain, skew_bound_us| {
            let detail = ConflictDetail {
                order_certain,
                skew_bound_us,
                ..detail()
            };
            order(&detail).unwrap()
        };
        assert!(told(Some(true), Some(5)).ends_with("differ by 5us at most"));
        assert!(told(None, None).contains("not known"));
    }
}
