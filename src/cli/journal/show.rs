//! `cfs-repl journal show SHARD SEQ`: one entry with everything that the log knows of it.

use std::fmt::Write as _;

use super::At;
use crate::admin::view::journal::{EntryDetail, RegisterView};
use crate::admin::view::{path_text, root_text};
use crate::cli::exit::{CliError, CliResult, Exit, Failure};
use crate::cli::human;
use crate::cli::render::{Format, Row, View};
use crate::cli::status::item;
use crate::cli::ui::Ui;
use crate::clock::rfc3339;
use crate::text::printable;

/// Show one entry in full
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Its shard; 256 is the control stream
    #[arg(value_name = "SHARD", value_parser = clap::value_parser!(u32).range(0..=256))]
    stream: u32,
    /// Its position in the shard
    seq: u64,
    #[command(flatten)]
    at: At,
}

pub(super) fn run(ui: &mut Ui, format: Format, args: &ShowArgs) -> CliResult {
    let log = args.at.log()?;
    let Some(detail) = log.show(args.stream, args.seq)? else {
        let (stream, seq) = (args.stream, args.seq);
        let failure = Failure::new(Exit::NotFound, format!("no entry {seq} in shard {stream}"));
        let failure = match log.kept(stream) {
            Some((first, last)) => failure.cause(format!("kept are {first} to {last}")),
            None => failure.cause("nothing of this shard is kept"),
        };
        let hint = format!("cfs-repl journal tail --shard {stream} shows the last ones");
        return Err(failure.hint(hint).into());
    };
    match format {
        Format::Table | Format::Wide => ui.data(&text(&detail)),
        Format::Json | Format::Jsonl | Format::Yaml | Format::Csv | Format::Name => {
            ui.show(&view(&detail)?)
        }
    }
}

fn view(detail: &EntryDetail) -> Result<View, CliError> {
    Ok(View {
        command: "journal-entry",
        site: None,
        columns: super::COLUMNS,
        rows: vec![Row {
            name: format!("{} {}", detail.entry.stream, detail.entry.seq),
            cells: super::cells(&detail.entry),
            item: item(detail)?,
        }],
    })
}

/// Lines of a head and what belongs under it.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, head: &str, what: &str) {
        let line = format!("{head:<11}{}", printable(what));
        writeln!(self.0, "{}", line.trim_end()).unwrap_or_default();
    }

    fn add_known(&mut self, head: &str, what: Option<String>) {
        if let Some(what) = what {
            self.add(head, &what);
        }
    }
}

fn text(detail: &EntryDetail) -> String {
    let mut lines = Lines::default();
    let entry = &detail.entry;
    let number = || format!("site {}", entry.site_id);
    let author = entry.site.clone().unwrap_or_else(number);
    let of = format!("{} of {}", entry.seq, shard(entry.stream));
    lines.add(
        "entry",
        &format!("{of}, {author}, journal {:016x}", entry.incarnation),
    );
    let times = format!(
        "{}  hybrid clock {}",
        time(entry.timestamp_us),
        time(detail.hlc_us)
    );
    lines.add("time", &times);
    lines.add("op", &entry.op);
    lines.add_known("inode", entry.inode.map(|inode| inode.to_string()));
    if detail.link != entry.inode {
        lines.add_known("link", detail.link.map(|link| link.to_string()));
    }
    let place = entry.name.as_deref().zip(entry.parent);
    lines.add_known(
        "name",
        place.map(|(name, parent)| format!("{} in directory {parent}", path_text(name))),
    );
    change(&mut lines, detail);
    lines.add(
        "payload",
        &format!("{} B, BLAKE3 {}", detail.payload_bytes, detail.payload_hash),
    );
    let crc = if detail.crc_ok { "right" } else { "WRONG" };
    lines.add("crc", &format!("{}, {crc}", detail.crc32));
    lines.add("bytes", &format!("{} in the log", entry.entry_bytes));
    let (file, offset) = (path_text(&detail.file), detail.offset_bytes);
    lines.add("at", &format!("{file}, offset {offset}"));
    causes(&mut lines, detail);
    lines.add_known(
        "on device",
        detail.device.as_ref().map(|device| {
            let size = human::bytes(device.size_bytes);
            let mtime = time(device.mtime_us);
            format!("inode {}, {size}, mtime {mtime}", device.ino)
        }),
    );
    lines.0
}

/// What its author had seen, and what it stands for.
fn causes(lines: &mut Lines, detail: &EntryDetail) {
    if detail.first_seq != detail.entry.seq {
        lines.add("folded", &format!("from seq {} on", detail.first_seq));
    }
    for folded in &detail.folded {
        let stamp = time(folded.timestamp_us);
        let register = &folded.register;
        lines.add("", &format!("{register} of seq {}, {stamp}", folded.seq));
    }
    lines.add_known(
        "operation",
        detail.txn.as_ref().map(|txn| {
            format!(
                "part {} of {} of number {}",
                txn.part + 1,
                txn.parts,
                txn.id
            )
        }),
    );
    versions(lines, "replaced", &detail.prev);
    versions(lines, "overrides", &detail.overrides);
    for (at, seen) in detail.context.iter().enumerate() {
        let head = if at == 0 { "had seen" } else { "" };
        let (site_id, journal) = (seen.site_id, seen.incarnation);
        lines.add(
            head,
            &format!("site {site_id}, journal {journal:016x}, to {}", seen.seq),
        );
    }
    let touched = format!("{} entries of other sites before", detail.merge_gen);
    lines.add("touched by", &touched);
}

fn time(us: u64) -> String {
    human::known(rfc3339(us), |text| text)
}

fn shard(stream: u32) -> String {
    if stream == super::CONTROL_STREAM {
        "the control stream".to_owned()
    } else {
        format!("shard {stream}")
    }
}

fn versions(lines: &mut Lines, head: &str, versions: &[RegisterView]) {
    for (at, version) in versions.iter().enumerate() {
        let RegisterView {
            register,
            site_id,
            incarnation,
            seq,
        } = version;
        let head = if at == 0 { head } else { "" };
        let what = format!("{register} of site {site_id}, journal {incarnation:016x}, seq {seq}");
        lines.add(head, &what);
    }
}

/// What the operation does.
fn change(lines: &mut Lines, detail: &EntryDetail) {
    let change = &detail.change;
    lines.add_known("not known", change.fault.clone());
    lines.add_known(
        "size",
        detail
            .entry
            .size_bytes
            .map(|size| format!("{} ({size} B)", human::bytes(size))),
    );
    lines.add_known(
        "content",
        change.root.map(|root| format!("root {}", root_text(&root))),
    );
    lines.add_known(
        "inline",
        change.inline_bytes.map(|count| format!("{count} B")),
    );
    if change.dir == Some(true) {
        lines.add("directory", "yes");
    }
    lines.add_known("target", change.target.as_deref().map(path_text));
    lines.add_known("mode", change.mode.map(|mode| format!("{mode:04o}")));
    lines.add_known(
        "owner",
        change
            .uid
            .zip(change.gid)
            .map(|(uid, gid)| format!("{uid}:{gid}")),
    );
    lines.add_known("mtime", change.mtime_us.and_then(rfc3339));
    lines.add_known("flags", change.flags.map(|flags| format!("{flags:#x}")));
    lines.add_known("xattr", change.xattr.as_deref().map(path_text));
    lines.add_known(
        "value",
        change.xattr_value_bytes.map(|count| format!("{count} B")),
    );
    if let (Some(conflict), Some(acked)) = (&change.conflict, change.acked) {
        let verb = if acked { "acknowledged" } else { "taken back" };
        let by = change.by.as_deref().unwrap_or_default();
        lines.add("conflict", &format!("{conflict} {verb} by {by}"));
    }
    let note = change.note.clone().filter(|note| !note.is_empty());
    lines.add_known("note", note);
    lines.add_known(
        "member",
        change.member.as_ref().map(|member| {
            let (name, id, state) = (&member.name, member.site_id, &member.state);
            format!(
                "{name}, site {id}, journal {:016x}: {state}",
                member.incarnation
            )
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::journal::tests::entry_detail;

    #[test]
    fn everything_that_is_known_of_an_entry_is_told_and_steers_no_terminal() {
        let mut detail = entry_detail();
        detail.change.target = Some(b"\x1b]0;x\x07".to_vec());
        let text = text(&detail);
        for told in [
            "entry      18446744073709551615 of shard 17, fra-1, journal 00000000000000a1\n",
            "name       a\\xff\\u{1b}[2J in directory 1\n",
            "target     \\u{1b}]0;x\\u{7}\n",
            "crc        0011aabb, right\n",
            "bytes      88 in the log\n",
            "replaced   xattr user.a of site 2, journal 0000000000000009, seq 4\n",
            "had seen   site 2, journal 0000000000000009, to 300\n",
            "operation  part 2 of 2 of number 5\n",
            "conflict   c-bygtc5qnmf acknowledged by ana\n",
            "member     sin-1, site 3, journal 00000000000000b2: active\n",
            "mode       0644\n",
        ] {
            assert!(text.contains(told), "{told}\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
        let bare = super::text(&EntryDetail::default());
        assert!(
            !bare.contains("mode") && !bare.contains("replaced"),
            "{bare}"
        );
        assert!(bare.contains("WRONG"), "{bare}");
    }
}
