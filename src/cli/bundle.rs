//! `cfs-repl support-bundle`: what somebody who helps needs to know, in one file, without secrets.
//!
//! A part that cannot be had is no failure: the daemon may be down, and that may be the very thing. The manifest says
//! what is missing and why. Keys are never opened for it, and what is written is for its owner alone.

mod redact;

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::columns::Heading;
use super::exit::{CliError, CliResult, Exit, Failure};
use super::reach::{self, Reach};
use super::render::{Format, View, render};
use super::ui::Ui;
use super::{Global, conflicts, doctor, human, lag, status, version};
use crate::admin::client::Client;
use crate::admin::filter::ConflictFilter;
use crate::admin::metrics;
use crate::clock::{Clock as _, SystemClock, TimestampUs, compact, rfc3339};
use crate::daemon::doctor::examine;
use crate::error::ReplError;

/// Conflicts that are put in, the latest ones.
const CONFLICTS_MAX: u64 = 1_000;
/// Bytes of a log that are put in, its end.
const LOG_BYTES_MAX: u64 = 1 << 20;
/// The same in lines, where the system's journal has it.
const LOG_LINES_MAX: &str = "5000";

/// Collect what somebody who helps needs to know, in one file
///
/// Configuration without comments and secrets, doctor, versions, and of a running daemon status, lag, conflicts and
/// metrics; the end of the log where it is known. No keys, and without --with-names no names of files of the tree.
/// Look through it before you send it: tar -xf FILE
#[derive(Debug, clap::Args)]
pub(super) struct BundleArgs {
    /// File to write; must not exist. cfs-repl-SITE-TIME.tar in this directory, if not given
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    /// Put names of files in, too: paths, exclude patterns, notes
    #[arg(long)]
    with_names: bool,
    /// Log of the daemon, where systemd has it not: its end is put in
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

/// A file of the bundle, or why there is none.
struct Part {
    name: &'static str,
    content: Result<String, String>,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &BundleArgs) -> CliResult {
    if let Some(file) = &args.output_file
        && file.symlink_metadata().is_ok()
    {
        return Err(exists(file).into());
    }
    let now_us = SystemClock.now_us();
    let (site, parts) = parts(global, args, now_us);
    let time = compact(now_us).unwrap_or_default();
    let stem = format!("cfs-repl-{}-{time}", site.as_deref().unwrap_or("unknown"));
    let default = || PathBuf::from(format!("{stem}.tar"));
    let file = args.output_file.clone().unwrap_or_else(default);
    let manifest = manifest(&parts, args.with_names, now_us);
    write_new(&file, &stem, &manifest, &parts, now_us)?;
    let missing = parts.iter().filter(|part| part.content.is_err()).count();
    let shown = file.display();
    ui.say(&match missing {
        0 => format!("wrote {shown}"),
        missing => format!("wrote {shown}; {missing} parts are missing, its MANIFEST says why"),
    });
    Ok(())
}

/// Name of the site, if it is known, and all parts.
fn parts(global: &Global, args: &BundleArgs, now_us: TimestampUs) -> (Option<String>, Vec<Part>) {
    let how = (args.with_names, now_us);
    let config = fs::read_to_string(args.reach.config());
    let config = config
        .map_err(|error| error.to_string())
        .and_then(|text| redact::config(&text, args.with_names));
    let report = examine(args.reach.config(), global.timeout);
    let ask = |client: Client| async move {
        let latest = client.conflicts(ConflictFilter::default(), Some(CONFLICTS_MAX));
        let conflicts = latest.await;
        Ok((client.status().await, client.lag(false).await, conflicts))
    };
    let asked = reach::ask(global, &args.reach, ask).map_err(|error| why(&error));
    let (status, lag, conflicts) = match asked {
        Ok((status, lag, conflicts)) => (
            status.map_err(|error| why(&error.into())),
            lag.map_err(|error| why(&error.into())),
            conflicts.map_err(|error| why(&error.into())),
        ),
        Err(why) => (Err(why.clone()), Err(why.clone()), Err(why)),
    };
    let of_config = report.as_ref().ok().and_then(|report| report.site.clone());
    let site = status.as_ref().ok().map(|status| status.site.clone());
    let part = |name, content| Part { name, content };
    let parts = vec![
        part("version.json", document(how, version::view())),
        part("config.toml", config),
        part(
            "doctor.json",
            report
                .map_err(|error| error.to_string())
                .and_then(|report| document(how, doctor::view(&report))),
        ),
        part(
            "metrics.txt",
            status.as_ref().map(metrics::text).map_err(Clone::clone),
        ),
        part(
            "status.json",
            status.and_then(|all| document(how, status::whole(&all))),
        ),
        part(
            "lag.json",
            lag.and_then(|all| document(how, lag::view(&all))),
        ),
        part(
            "conflicts.json",
            conflicts.and_then(|all| document(how, conflicts::view(all.site, &all.conflicts))),
        ),
        part("log.txt", log(args)),
    ];
    (site.or(of_config), parts)
}

/// What a command would print with `-o json`.
fn document<C: Heading>(
    (with_names, now_us): (bool, TimestampUs),
    view: Result<View<C>, CliError>,
) -> Result<String, String> {
    let mut view = view.map_err(|error| why(&error))?;
    if !with_names {
        for row in &mut view.rows {
            redact::without_names(&mut row.item);
        }
    }
    Ok(render(&view, Format::Json, now_us))
}

/// A failure in one line.
fn why(error: &CliError) -> String {
    match error {
        CliError::Failed(failure) => {
            let mut words = vec![failure.message.clone()];
            words.extend(failure.causes.iter().cloned());
            words.join(": ")
        }
        CliError::Told(exit) => exit.meaning().to_owned(),
        CliError::OutputClosed => "the output was closed".to_owned(),
    }
}

/// The end of the log of the daemon.
fn log(args: &BundleArgs) -> Result<String, String> {
    let text = match &args.log {
        Some(file) => end_of(file).map_err(|error| format!("{}: {error}", file.display()))?,
        None => journal()?,
    };
    if args.with_names {
        return Ok(text);
    }
    let lines = text.lines().map(redact::without_paths);
    Ok(lines.collect::<Vec<_>>().join("\n") + "\n")
}

fn end_of(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LOG_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn journal() -> Result<String, String> {
    let output = Command::new("journalctl")
        .args([
            "--unit=cfs-repl",
            "--no-pager",
            "--quiet",
            "--output=short-iso",
            "--lines",
        ])
        .arg(LOG_LINES_MAX)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("journalctl: {error}; name the log with --log FILE"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.trim().is_empty() {
        let hint = "the journal shows nothing of the unit cfs-repl to this user; name the log with --log FILE";
        return Err(hint.to_owned());
    }
    Ok(text)
}

fn manifest(parts: &[Part], with_names: bool, now_us: TimestampUs) -> String {
    let names = if with_names {
        "names of files are in"
    } else {
        "names of files of the tree, patterns and notes are left out"
    };
    let mut text = format!(
        "cfs-repl {} support bundle of {}\nno keys and no secrets; {names}\n\n",
        env!("CARGO_PKG_VERSION"),
        human::known(rfc3339(now_us), |text| text)
    );
    for part in parts {
        let told = match &part.content {
            Ok(content) => human::bytes(content.len() as u64),
            Err(why) => format!("missing: {why}"),
        };
        writeln!(text, "{:<16}{}", part.name, crate::text::printable(&told)).unwrap_or_default();
    }
    text
}

fn exists(file: &Path) -> Failure {
    Failure::new(Exit::Failure, format!("cannot write {}", file.display()))
        .cause("it exists, and nothing is overwritten")
        .hint("move it away, or name another file with --output-file")
}

/// Writes a bundle that does not exist, wholly and for its owner alone, or not at all.
fn write_new(
    file: &Path,
    stem: &str,
    manifest: &str,
    parts: &[Part],
    now_us: TimestampUs,
) -> CliResult {
    let mut options = OpenOptions::new();
    let output = options.write(true).create_new(true).mode(0o600).open(file);
    let output = output.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return CliError::from(exists(file));
        }
        ReplError::io("create bundle", file, error).into()
    })?;
    let written = pack(output, stem, manifest, parts, now_us);
    written.map_err(|error| {
        // The first error is the one to tell.
        drop(fs::remove_file(file));
        ReplError::io("write bundle", file, error).into()
    })
}

fn pack(
    output: File,
    stem: &str,
    manifest: &str,
    parts: &[Part],
    now_us: TimestampUs,
) -> io::Result<()> {
    let mut archive = tar::Builder::new(output);
    let good = parts
        .iter()
        .filter_map(|part| Some((part.name, part.content.as_deref().ok()?)));
    for (name, content) in std::iter::once(("MANIFEST", manifest)).chain(good) {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now_us / 1_000_000);
        archive.append_data(&mut header, format!("{stem}/{name}"), content.as_bytes())?;
    }
    archive.into_inner()?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn unpack(file: &Path) -> Vec<(String, String)> {
        let mut archive = tar::Archive::new(File::open(file).unwrap());
        let read = |entry: io::Result<tar::Entry<'_, File>>| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.path().unwrap().display().to_string(), text)
        };
        archive.entries().unwrap().map(read).collect()
    }

    #[test]
    fn a_bundle_is_its_owners_alone_and_says_what_is_missing_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.tar");
        let part = |name, content: Result<&str, &str>| Part {
            name,
            content: content.map(str::to_owned).map_err(str::to_owned),
        };
        let parts = [
            part("lag.json", Ok("{}")),
            part("log.txt", Err("no\u{1b}ne")),
        ];
        let manifest = manifest(&parts, false, 0);
        write_new(&file, "s", &manifest, &parts, 0).unwrap();
        let found = unpack(&file);
        assert_eq!(found[0].0, "s/MANIFEST");
        assert!(
            found[0]
                .1
                .contains("log.txt         missing: no\\u{1b}ne\n"),
            "{}",
            found[0].1
        );
        assert_eq!(found[1..], [("s/lag.json".to_owned(), "{}".to_owned())]);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let before = fs::read(&file).unwrap();
        let Err(CliError::Failed(failure)) = write_new(&file, "t", "", &[], 0) else {
            panic!("it was overwritten");
        };
        assert!(failure.causes[0].contains("nothing is overwritten"));
        assert_eq!(fs::read(&file).unwrap(), before);
    }

    #[test]
    fn only_the_end_of_a_long_log_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        let long = "a".repeat(usize::try_from(LOG_BYTES_MAX).unwrap()) + "end";
        fs::write(&file, &long).unwrap();
        let end = end_of(&file).unwrap();
        assert_eq!(end.len() as u64, LOG_BYTES_MAX);
        assert!(end.ends_with("aend"));
    }
}
