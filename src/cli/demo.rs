//! `cfs-repl demo`: two sites as real processes on this machine, and what they do with edits, a conflict and a crash.
//!
//! Everything lies in one folder, which goes away when all went well. Whatever happens, no process is left behind
//! that was not asked for with `--keep`.

mod copy;
mod folder;
mod samples;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::compare;
use super::exit::{CliError, CliResult};
use super::lab::child::{Daemon, check_log};
use super::lab::interrupt::Interrupt;
use super::lab::wait::{stop_all, until_equal};
use super::lab::{Lab, Site};
use super::ui::Ui;
use crate::clock::{Clock, SystemClock};
use crate::error::ReplError;
use folder::Folder;
use samples::Samples;

/// New files of the burst in which a daemon is killed.
const BURST_FILES: usize = 200;
/// How many of them are there when it is killed.
const BURST_BEFORE_KILL: usize = 100;
/// Between two files of the burst: long enough that the daemon notices some before it is killed.
const BURST_PAUSE: Duration = Duration::from_millis(5);
/// For an edit to be journaled before the other side's: beyond the time for which open files are put off
/// (`tree.settle`, 1 s). Without it nobody could say which of them is the later one.
const NOTICED: Duration = Duration::from_secs(2);

/// Start two sites on this machine and watch them keep in step
///
/// Two daemons with fresh certificates talk over loopback. Site A's tree is filled with real files, both sides are
/// edited, a conflict is made, one daemon is killed in the middle of a burst and started again, and both trees are
/// compared in full. Exits with 0 only if they are equal.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Fill site A's tree with a copy of this directory; by default with the checkout this is run in
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Leave both sites running, and print the commands to type next
    #[arg(long)]
    keep: bool,
    /// Folder for everything, which must be empty or missing; by default one below the folder for temporary files
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(ui: &mut Ui, args: &DemoArgs) -> CliResult {
    let mut interrupt = Interrupt::new()?;
    let source = copy::Source::find(args.from.as_deref())?;
    let folder = Folder::make(args.dir.as_deref(), source.as_ref())?;
    let result = play(ui, &mut interrupt, &folder, source.as_ref(), args.keep);
    let is_worth_a_look =
        matches!(result, Err(CliError::Failed(_) | CliError::Told(_))) && !is_interrupted(&result);
    if is_worth_a_look {
        let shown = folder.path().display();
        ui.say(&format!("kept for a look: {shown} (logs: a/log and b/log)"));
    } else if !(args.keep && result.is_ok()) {
        folder.remove()?;
    }
    result
}

fn is_interrupted(result: &CliResult) -> bool {
    matches!(result, Err(CliError::Told(super::exit::Exit::Interrupted)))
}

/// Plays the demo in `folder` and stops the sites, unless they are to be kept and all went well.
fn play(
    ui: &mut Ui,
    interrupt: &mut Interrupt,
    folder: &Folder,
    source: Option<&copy::Source>,
    keep: bool,
) -> CliResult {
    let trees = ["a", "b"].map(|site| folder.path().join(site).join("tree"));
    for tree in &trees {
        fs::create_dir_all(tree).map_err(|error| ReplError::io("create", tree, error))?;
    }
    let [tree_a, tree_b] = trees;
    let mut demo = Demo {
        ui,
        interrupt,
        lab: Lab::new(folder.path(), tree_a, tree_b)?,
        a: None,
        b: None,
        stays: keep,
        started: SystemClock.monotonic(),
    };
    let told = demo.tell(source);
    if keep && told.is_ok() {
        return demo.keep();
    }
    // Also after a failure both drain; the first failure is the one to tell.
    let stopped = stop_all(
        demo.a.take().into_iter().chain(demo.b.take()),
        demo.interrupt,
    );
    told.and(stopped)?;
    check_log(&demo.lab.a)?;
    check_log(&demo.lab.b)?;
    demo.step("both sites stopped; comparing the trees in full");
    let (a, b) = (&demo.lab.a.tree, &demo.lab.b.tree);
    compare::show(demo.ui, a, b, compare::SHOWN)
}

/// A demo under way.
struct Demo<'a> {
    ui: &'a mut Ui,
    interrupt: &'a mut Interrupt,
    lab: Lab,
    a: Option<Daemon>,
    b: Option<Daemon>,
    /// Both sites are to outlive the demo.
    stays: bool,
    /// By the monotonic clock.
    started: Duration,
}

impl Demo<'_> {
    fn step(&mut self, what: &str) {
        let seconds = (SystemClock.monotonic() - self.started).as_secs_f32();
        self.ui.say(&format!("{seconds:6.1} s  {what}"));
    }

    fn tell(&mut self, source: Option<&copy::Source>) -> CliResult {
        self.lab.prepare()?;
        let folder = self.lab.folder().display().to_string();
        self.step(&format!("certificates and configurations in {folder}"));
        self.fill(source)?;
        self.a = Some(Daemon::start(&self.lab.a, self.stays)?);
        self.b = Some(Daemon::start(&self.lab.b, self.stays)?);
        let ids = (self.pid(true), self.pid(false));
        self.step(&format!(
            "site-a runs as process {}, site-b as {}",
            ids.0, ids.1
        ));
        self.wait("first copy")?;
        self.edit()?;
        self.conflict()?;
        self.crash()
    }

    fn fill(&mut self, source: Option<&copy::Source>) -> CliResult {
        let tree = self.lab.a.tree.clone();
        match source {
            Some(source) => {
                let copied = copy::copy(source, &tree, self.interrupt)?;
                let from = source.top().display();
                self.step(&format!("site-a's tree: {copied} from {from}"));
            }
            None => self.step("no checkout here and no --from: only the samples"),
        }
        let left_out = self.samples(true).make()?;
        self.step("site-a's tree: a 20 MiB file, a hard link, a symbolic link, a sparse file,");
        self.step("  a name that is not UTF-8, an extended attribute, an empty directory");
        if let Some(left_out) = left_out {
            self.step(&format!("  left out: {left_out}"));
        }
        Ok(())
    }

    fn edit(&mut self) -> CliResult {
        self.samples(true).edit_at_a()?;
        self.samples(false).edit_at_b()?;
        self.step("site-a: created a file, appended to another, deleted a third");
        self.step("site-b: created a file, renamed a directory, made a script executable");
        self.wait("edits on both sides")
    }

    fn conflict(&mut self) -> CliResult {
        if let Some(daemon) = &mut self.b {
            daemon.stop(self.interrupt)?;
        }
        self.b = None;
        self.step("site-b stopped; the same file is edited at site-a, and then at site-b");
        self.samples(true).write_shared("site-a")?;
        self.interrupt.pause(NOTICED)?;
        self.samples(false).write_shared("site-b")?;
        self.b = Some(Daemon::start(&self.lab.b, self.stays)?);
        self.step("site-b started again");
        self.wait("conflict")?;
        let winner = self.samples(true).shared()?;
        let file = self.samples(true).shared_path();
        let file = file.strip_prefix(&self.lab.a.tree).unwrap_or(&file);
        self.step(&format!(
            "the same edit won at both: {} is \"{}\"",
            file.display(),
            winner.trim_end()
        ));
        if self.stays {
            let server = shell_word(&self.lab.a.server());
            self.step(&format!(
                "the loser is kept; to see it: cfs-repl conflicts list -s {server}"
            ));
        } else {
            self.step("the loser is kept; with --keep: cfs-repl conflicts list, show, restore");
        }
        Ok(())
    }

    fn crash(&mut self) -> CliResult {
        for n in 0..BURST_FILES {
            if n == BURST_BEFORE_KILL {
                if let Some(daemon) = &mut self.a {
                    daemon.kill()?;
                }
                self.a = None;
                self.step(&format!(
                    "site-a killed (kill -9) after {n} of {BURST_FILES} new files"
                ));
            }
            self.samples(true).burst_file(n)?;
            self.interrupt.pause(BURST_PAUSE)?;
        }
        self.a = Some(Daemon::start(&self.lab.a, self.stays)?);
        self.step("the other files written meanwhile; site-a started again");
        self.wait("crash")
    }

    fn wait(&mut self, after: &str) -> CliResult {
        let since = SystemClock.monotonic();
        let mut daemons: Vec<&mut Daemon> = self.a.iter_mut().chain(self.b.iter_mut()).collect();
        let found = until_equal(&self.lab, &mut daemons, self.interrupt)?;
        let took = (SystemClock.monotonic() - since).as_secs_f32();
        let verdict = compare::verdict(&found);
        self.step(&format!("after the {after}: {verdict}, {took:.1} s later"));
        Ok(())
    }

    /// Lets both sites go and says how to go on.
    fn keep(mut self) -> CliResult {
        let pids = (self.pid(true), self.pid(false));
        self.step("both sites keep running");
        let path = |path: &Path| shell_word(&path.to_string_lossy());
        let (a, b) = (&self.lab.a, &self.lab.b);
        let mut next = format!(
            "site-a: {}\nsite-b: {}\ncompare: cfs-repl compare {} {}\n",
            a.tree.display(),
            b.tree.display(),
            path(&a.tree),
            path(&b.tree),
        );
        for command in ["status", "lag", "conflicts list", "top"] {
            let first = command.split(' ').next().unwrap_or_default();
            if has_command(first) {
                let server = shell_word(&a.server());
                next.push_str(&format!("look: cfs-repl {command} -s {server}\n"));
            }
        }
        next.push_str(&format!(
            "logs: tail -f {} {}\nstop: kill {} {}\nremove, when they are stopped: rm -r {}\n",
            path(&a.log),
            path(&b.log),
            pids.0,
            pids.1,
            path(self.lab.folder()),
        ));
        let printed = self.ui.data(&next);
        for daemon in self.a.into_iter().chain(self.b) {
            daemon.let_go();
        }
        printed
    }

    fn samples(&self, at_a: bool) -> Samples {
        Samples::below(&self.site(at_a).tree)
    }

    const fn site(&self, at_a: bool) -> &Site {
        if at_a { &self.lab.a } else { &self.lab.b }
    }

    fn pid(&self, at_a: bool) -> u32 {
        let daemon = if at_a { &self.a } else { &self.b };
        daemon.as_ref().map_or(0, Daemon::id)
    }
}

/// Whether this build has the command: nothing is recommended that does not exist.
fn has_command(name: &str) -> bool {
    super::parser().find_subcommand(name).is_some()
}

/// The text as one word of a shell.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=+@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_command_can_be_pasted_into_a_shell() {
        assert_eq!(shell_word("/tmp/cfs-repl-demo-1"), "/tmp/cfs-repl-demo-1");
        assert_eq!(shell_word("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn only_commands_of_this_build_are_recommended() {
        assert!(has_command("compare"));
        assert!(!has_command("no-such-command"));
    }
}
