//! `cfs-repl pki`: a certificate authority for a lab, and certificates by it.
//!
//! Production keeps its own authority; what its certificates must say stands in the help.

use std::path::{Path, PathBuf};

use super::exit::{CliResult, Exit, Failure};
use super::ui::Ui;
use crate::clock::{Clock, SystemClock};
use crate::conduit::pki;
use crate::config::{NAME_RULE, is_name};

/// Longest life of a certificate in days; a lab that lives longer should learn to renew.
const DAYS_MAX: i64 = 3_650;

/// Make a certificate authority for a lab, and certificates by it
///
/// Example: cfs-repl pki init --cluster lab && cfs-repl pki issue --cluster lab --site fra-1
///
/// Any other authority will do: a certificate must be made out to the DNS name SITE.CLUSTER.cfs-repl, for use as server and as
/// client.
#[derive(Debug, clap::Args)]
pub(super) struct PkiArgs {
    #[command(subcommand)]
    command: PkiCommand,
}

#[derive(Debug, clap::Subcommand)]
enum PkiCommand {
    Init(InitArgs),
    Issue(IssueArgs),
}

/// Make the authority: ca.pem, which every site needs, and ca.key, which stays in its folder
#[derive(Debug, clap::Args)]
struct InitArgs {
    /// Name of the cluster
    #[arg(long, value_parser = name)]
    cluster: String,
    /// Folder of the authority; created when it is missing
    #[arg(long, value_name = "DIR", default_value = "tls")]
    dir: PathBuf,
}

/// Issue a certificate: SITE.pem and SITE.key, to be taken to that site with ca.pem
#[derive(Debug, clap::Args)]
struct IssueArgs {
    /// Name of the site
    #[arg(long, value_parser = name)]
    site: String,
    /// Name of the cluster, as when the authority was made
    #[arg(long, value_parser = name)]
    cluster: String,
    /// How long it is valid
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    days: u32,
    /// Folder of the authority
    #[arg(long, value_name = "DIR", default_value = "tls")]
    dir: PathBuf,
}

pub(super) fn run(ui: &mut Ui, args: PkiArgs) -> CliResult {
    match args.command {
        PkiCommand::Init(args) => init(ui, &args),
        PkiCommand::Issue(args) => issue(ui, &args),
    }
}

fn init(ui: &mut Ui, args: &InitArgs) -> CliResult {
    let files = pki::CaFiles::new(&args.dir);
    refuse_existing(&[&files.key, &files.cert])?;
    let files = pki::init_ca(&args.dir, &args.cluster, SystemClock.now_us())?;
    ui.detail(&format!("wrote {}", files.key.display()));
    ui.say(&format!("wrote {}", files.cert.display()));
    Ok(())
}

fn issue(ui: &mut Ui, args: &IssueArgs) -> CliResult {
    let ca = pki::CaFiles::new(&args.dir);
    if !ca.key.exists() {
        let shown = args.dir.display();
        let hint = if ca.cert.exists() {
            // The authority is there without its key: that of a site that joined, or a copy of what every site has.
            format!(
                "the site that holds ca.key issues it, and {0}.pem and {0}.key are brought here: cfs-repl help join",
                args.site
            )
        } else {
            "make one with: cfs-repl pki init, or name its folder with --dir".to_owned()
        };
        return Err(
            Failure::new(Exit::Failure, format!("no key of an authority in {shown}"))
                .cause(format!("{} does not exist", ca.key.display()))
                .hint(hint)
                .into(),
        );
    }
    let files = pki::issue(
        &args.dir,
        &args.site,
        &args.cluster,
        args.days,
        SystemClock.now_us(),
    )?;
    ui.detail(&format!("wrote {}", files.key.display()));
    ui.say(&format!("wrote {}", files.cert.display()));
    Ok(())
}

fn refuse_existing(files: &[&Path]) -> Result<(), Failure> {
    let Some(file) = files.iter().find(|file| file.symlink_metadata().is_ok()) else {
        return Ok(());
    };
    Err(Failure::new(Exit::Failure, format!("cannot write {}", file.display()))
        .cause("it exists, and an authority is never overwritten: its sites would no longer be believed")
        .hint("move it away, or name another folder with --dir"))
}

fn name(text: &str) -> Result<String, String> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("use {NAME_RULE}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::CliError;
    use crate::cli::render::Format;
    use crate::cli::ui::tests::captured;

    fn init_in(dir: &Path) -> (Exit, String) {
        let (mut ui, _, talk) = captured(Format::Table);
        let args = InitArgs {
            cluster: "lab".to_owned(),
            dir: dir.to_owned(),
        };
        let result: Result<(), CliError> = init(&mut ui, &args);
        (ui.finish(result), talk.text())
    }

    fn issue_in(dir: &Path, site: &str) -> (Exit, String) {
        let (mut ui, _, talk) = captured(Format::Table);
        let args = IssueArgs {
            site: site.to_owned(),
            cluster: "lab".to_owned(),
            days: 7,
            dir: dir.to_owned(),
        };
        let result = issue(&mut ui, &args);
        (ui.finish(result), talk.text())
    }

    #[test]
    fn an_authority_and_a_certificate_stand_where_init_expects_them() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tls");
        assert_eq!(init_in(&dir).0, Exit::Ok);
        let (exit, said) = issue_in(&dir, "fra-1");
        assert_eq!(exit, Exit::Ok, "{said}");
        for file in ["ca.pem", "fra-1.pem", "fra-1.key"] {
            assert!(dir.join(file).exists(), "{file}");
        }
    }

    #[test]
    fn neither_an_authority_nor_a_certificate_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        init_in(dir);
        issue_in(dir, "fra-1");
        let files = || {
            ["ca.pem", "ca.key", "fra-1.pem", "fra-1.key"]
                .map(|file| std::fs::read(dir.join(file)).unwrap())
        };
        let before = files();
        let (exit, said) = init_in(dir);
        assert_eq!(exit, Exit::Failure);
        assert!(said.contains("never overwritten"), "{said}");
        assert_eq!(issue_in(dir, "fra-1").0, Exit::Failure);
        assert_eq!(files(), before);
    }

    #[test]
    fn without_an_authority_the_command_that_makes_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (exit, said) = issue_in(dir.path(), "fra-1");
        assert_eq!(exit, Exit::Failure);
        assert!(said.contains("cfs-repl pki init"), "{said}");
        // As at a site that joined: no second authority is to be made there.
        std::fs::write(dir.path().join("ca.pem"), "").unwrap();
        let (exit, said) = issue_in(dir.path(), "fra-1");
        assert_eq!(exit, Exit::Failure);
        assert!(
            said.contains("the site that holds ca.key issues it"),
            "{said}"
        );
        assert!(!said.contains("pki init"), "{said}");
    }
}
