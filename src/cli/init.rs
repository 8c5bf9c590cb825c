//! `cfs-repl init`: a commented configuration and a state folder.
//!
//! Nothing that exists is overwritten. The text is checked as the daemon would check it before a byte is written, and
//! the configuration comes last: a file that is there is complete.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::exit::{CliError, CliResult, Exit, Failure};
use super::ui::Ui;
use crate::clock::{Clock as _, SystemClock};
use crate::conduit::pki;
use crate::config::units::{Endpoint, parse_listen};
use crate::config::{
    Config, DEFAULT_FILE, Example, ExamplePeer, NAME_RULE, Role, SITE_ID_MAX, is_name,
};
use crate::error::ReplError;

/// Bits of a mode that let others than the owner in.
const OTHERS: u32 = 0o077;

/// Write a commented configuration and create the state folder
///
/// Example: cfs-repl init --site-id 1 --name fra-1 --cluster prod --root /srv/media
/// --listen 0.0.0.0:7443 --peer 2=iad-2@iad.example.net:7443
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// Number of this site, different on every site; 1 with --new-authority, if not given
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..=SITE_ID_MAX),
        required_unless_present = "new_authority")]
    site_id: Option<u64>,
    /// Name of this site, as in its certificate
    #[arg(long, value_parser = site_name)]
    name: String,
    /// Name of the cluster, the same on every site
    #[arg(long, value_parser = site_name)]
    cluster: String,
    /// What this site does: bidirectional sends and applies, primary sends only, replica applies only
    #[arg(long, default_value = Role::Bidirectional.as_str(), value_parser = roles(), hide_possible_values = true)]
    role: Role,
    /// With --role replica: the site that it follows
    #[arg(long, value_name = "ID", required_if_eq("role", "replica"))]
    primary_site_id: Option<u64>,
    /// Top of the directory tree to keep in step; must exist
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Folder for the journal and the state, outside the tree
    #[arg(long, value_name = "DIR", default_value = "/var/lib/cfs-repl")]
    state: PathBuf,
    /// Address on which other sites are accepted; without it this site only dials
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_listen)]
    listen: Option<SocketAddr>,
    /// Another site, and where it listens; without endpoints it dials this one. May be repeated
    #[arg(long = "peer", value_name = "ID=NAME[@HOST:PORT,...]", value_parser = peer)]
    peers: Vec<ExamplePeer>,
    /// Folder of ca.pem, NAME.pem and NAME.key; by default "tls" beside the configuration
    #[arg(long, value_name = "DIR")]
    tls: Option<PathBuf>,
    /// Make the authority of a new cluster and the certificate of this site, too: it can invite the other sites then
    #[arg(long)]
    new_authority: bool,
    /// File to write
    #[arg(long, value_name = "FILE", env = "CFS_REPL_CONFIG", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

pub(super) fn run(ui: &mut Ui, args: InitArgs) -> CliResult {
    let file = absolute(&args.config)?;
    let state = absolute(&args.state)?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let tls = absolute(&args.tls.unwrap_or_else(|| folder.join("tls")))?;
    let example = Example {
        site_id: args.site_id.unwrap_or(1),
        name: &args.name,
        cluster: &args.cluster,
        role: args.role,
        primary_site_id: args.primary_site_id,
        existing: crate::config::Existing::Bring,
        root: &absolute(&args.root)?,
        state: &state,
        listen: args.listen,
        tls: (!args.peers.is_empty() || args.listen.is_some() || args.new_authority)
            .then_some(&tls),
        ca_key: args.new_authority,
        peers: &args.peers,
    };
    check(&example, &file)?;
    // What can fail for want of a folder fails before keys are made, which are not made twice.
    create_state(&state)?;
    if args.new_authority {
        make_authority(ui, &tls, &example)?;
    }
    lay_down(ui, &example, &file)?;
    if args.new_authority {
        ui.say("then: cfs-repl run, and for each other site: cfs-repl peer invite");
    } else if args.peers.is_empty() {
        ui.say("note: no peer is named, so nothing will be sent or taken; add one to the file, as its last lines show");
    }
    Ok(())
}

/// Looks whether the configuration could be written and would hold.
pub(super) fn check(example: &Example<'_>, file: &Path) -> CliResult {
    if file.symlink_metadata().is_ok() {
        return Err(exists(file).into());
    }
    let text = Config::example(example);
    Config::verify(&text, file).map_err(|error| refused(&error))?;
    Ok(())
}

/// Creates the state folder and writes the configuration, in this order.
pub(super) fn lay_down(ui: &mut Ui, example: &Example<'_>, file: &Path) -> CliResult {
    let text = Config::example(example);
    create_state(example.state)?;
    let state = example.state.display();
    ui.detail(&format!("state folder {state} is there, mode 0700"));
    let folder = file.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .create(folder)
        .map_err(|error| ReplError::io("create folder", folder, error))?;
    write_new(file, &text)?;
    ui.say(&format!("wrote {}", file.display()));
    Ok(())
}

/// Makes an authority, and a certificate by it.
fn make_authority(ui: &mut Ui, tls: &Path, example: &Example<'_>) -> CliResult {
    let now_us = SystemClock.now_us();
    let authority = pki::init_ca(tls, example.cluster, now_us)?;
    ui.say(&format!("wrote {}", authority.cert.display()));
    let days = 365;
    let files = pki::issue(tls, example.name, example.cluster, days, now_us)?;
    ui.say(&format!(
        "wrote {}, valid for {days} days",
        files.cert.display()
    ));
    Ok(())
}

/// What is wrong with the values, without the places of a file that nobody has seen.
fn refused(error: &crate::config::ConfigError) -> Failure {
    let mut failure = Failure::new(Exit::Config, "cannot make a configuration of these values")
        .hint("correct the flags; nothing was written");
    for problem in &error.problems {
        failure = failure.cause(format!("{}; {}", problem.what, problem.hint));
    }
    failure
}

fn exists(file: &Path) -> Failure {
    Failure::new(Exit::Failure, format!("cannot write {}", file.display()))
        .cause("it exists, and init never overwrites")
        .hint("edit it, move it away, or name another file with --config")
}

/// Creates the state folder for its owner alone; one that is there must be so already.
pub(super) fn create_state(dir: &Path) -> Result<(), CliError> {
    let io = |action| move |error: io::Error| ReplError::io(action, dir, error);
    if !dir.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(io("create state folder"))?;
    }
    let metadata = fs::metadata(dir).map_err(io("look at state folder"))?;
    let mode = metadata.permissions().mode();
    if !metadata.is_dir() || mode & OTHERS != 0 {
        let shown = dir.display();
        let mode = mode & 0o7777;
        return Err(Failure::new(
            Exit::Failure,
            format!("cannot use the state folder {shown}"),
        )
        .cause(format!(
            "it must be a folder for its owner alone; its mode is {mode:04o}"
        ))
        .hint(format!(
            "chmod 700 {shown}, or name another folder with --state"
        ))
        .into());
    }
    Ok(())
}

/// Writes a file that does not exist, wholly and durably or not at all.
fn write_new(file: &Path, text: &str) -> Result<(), CliError> {
    let mut output = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(file)
        .map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                return CliError::from(exists(file));
            }
            ReplError::io("create configuration", file, error).into()
        })?;
    let written = output
        .write_all(text.as_bytes())
        .and_then(|()| output.sync_all());
    written.map_err(|error| {
        // What is half written must not pass for a configuration; the first error is the one to tell.
        drop(fs::remove_file(file));
        ReplError::io("write configuration", file, error).into()
    })
}

/// The absolute path, which has to be UTF-8 because TOML is.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    let absolute = std::path::absolute(path)
        .map_err(|error| ReplError::io("find the absolute path of", path, error))?;
    if absolute.to_str().is_none() {
        let shown = absolute.display();
        return Err(Failure::new(
            Exit::Usage,
            format!("cannot write {shown} into a configuration"),
        )
        .cause("the path is not UTF-8, and TOML knows nothing else")
        .hint("use a symbolic link with a UTF-8 name")
        .into());
    }
    Ok(absolute)
}

/// The words of the configuration.
fn roles() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::as_str)).map(|word| {
        let role = Role::ALL.into_iter().find(|role| role.as_str() == word);
        role.unwrap_or_default()
    })
}

pub(super) fn site_name(text: &str) -> Result<String, String> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("use {NAME_RULE}"))
    }
}

/// Reads `2=iad-2@iad:7443,10.0.0.2:7443`.
fn peer(text: &str) -> Result<ExamplePeer, String> {
    let (id, rest) = text
        .split_once('=')
        .ok_or("write it as 2=iad-2@iad.example.net:7443")?;
    let id = id
        .parse()
        .ok()
        .filter(|id| (1..=SITE_ID_MAX).contains(id))
        .ok_or_else(|| format!("the id is a number from 1 to {SITE_ID_MAX}"))?;
    let (name, endpoints) = match rest.split_once('@') {
        Some((name, endpoints)) => (
            name,
            endpoints
                .split(',')
                .map(|text| text.parse::<Endpoint>().map_err(|why| why.to_string()))
                .collect(),
        ),
        None => (rest, Ok(Vec::new())),
    };
    Ok(ExamplePeer {
        id,
        name: site_name(name)?,
        endpoints: endpoints?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::Format;
    use crate::cli::ui::tests::captured;

    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("tree")).unwrap();
            Self { dir }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn args(&self) -> InitArgs {
            InitArgs {
                site_id: Some(1),
                new_authority: false,
                name: "fra-1".to_owned(),
                cluster: "prod".to_owned(),
                role: Role::Bidirectional,
                primary_site_id: None,
                root: self.path("tree"),
                state: self.path("state"),
                listen: "127.0.0.1:7443".parse().ok(),
                peers: vec![peer("2=iad-2@iad:7443").unwrap()],
                tls: None,
                config: self.path("etc/config.toml"),
            }
        }

        /// Runs it and returns the exit code and what was said.
        fn run(&self, change: impl FnOnce(&mut InitArgs)) -> (Exit, String) {
            let mut args = self.args();
            change(&mut args);
            let (mut ui, data, talk) = captured(Format::Table);
            let result = run(&mut ui, args);
            let exit = ui.finish(result);
            assert_eq!(data.text(), "", "init has no data to print");
            (exit, talk.text())
        }
    }

    #[test]
    fn init_writes_what_the_daemon_reads_and_a_private_state_folder() {
        let place = Place::new();
        let (exit, said) = place.run(|_| ());
        let file = place.path("etc/config.toml");
        assert_eq!(
            (exit, said),
            (Exit::Ok, format!("wrote {}\n", file.display()))
        );
        let config = Config::load(&file).unwrap();
        assert_eq!((config.site.id, config.peers.len()), (1, 1));
        assert_eq!(config.tree.root, place.path("tree"));
        assert_eq!(config.tls.unwrap().cert, place.path("etc/tls/fra-1.pem"));
        let mode = fs::metadata(place.path("state"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o700);
    }

    #[test]
    fn a_replica_is_written_with_the_site_that_it_follows() {
        let place = Place::new();
        let (exit, said) = place.run(|args| {
            (args.role, args.primary_site_id) = (Role::Replica, Some(2));
        });
        assert_eq!(exit, Exit::Ok, "{said}");
        let site = Config::load(&place.path("etc/config.toml")).unwrap().site;
        assert_eq!((site.role, site.primary_site_id), (Role::Replica, Some(2)));
    }

    #[test]
    fn init_never_overwrites() {
        let place = Place::new();
        place.run(|_| ());
        fs::write(place.path("etc/config.toml"), "mine").unwrap();
        let (exit, said) = place.run(|_| ());
        assert_eq!(exit, Exit::Failure);
        assert!(said.contains("init never overwrites"), "{said}");
        assert_eq!(fs::read(place.path("etc/config.toml")).unwrap(), b"mine");
    }

    #[test]
    fn what_the_daemon_would_refuse_is_refused_before_anything_is_written() {
        let place = Place::new();
        let (exit, said) = place.run(|args| {
            args.root = args.root.join("none");
            args.peers.push(peer("1=fra-1@iad:7443").unwrap());
        });
        assert_eq!(exit, Exit::Config);
        for why in [
            "cannot use",
            "has the id of this site",
            "has the name of this site",
        ] {
            assert!(said.contains(why), "{said}");
        }
        assert!(!place.path("state").exists() && !place.path("etc").exists());
    }

    #[test]
    fn a_state_folder_that_others_can_enter_is_refused() {
        let place = Place::new();
        fs::create_dir(place.path("state")).unwrap();
        fs::set_permissions(place.path("state"), fs::Permissions::from_mode(0o750)).unwrap();
        let (exit, said) = place.run(|args| args.new_authority = true);
        assert_eq!(exit, Exit::Failure);
        assert!(
            said.contains("its mode is 0750") && said.contains("chmod 700"),
            "{said}"
        );
        assert!(!place.path("etc").exists());
    }

    #[test]
    fn a_site_without_peers_is_told_that_it_has_none() {
        let place = Place::new();
        let (exit, said) = place.run(|args| args.peers.clear());
        assert_eq!(exit, Exit::Ok, "{said}");
        assert!(said.contains("no peer is named"), "{said}");
    }

    #[test]
    fn a_peer_is_an_id_a_name_and_endpoints() {
        let two = peer("2=iad-2@iad:7443,[::1]:7").unwrap();
        assert_eq!(
            (two.id, two.name.as_str(), two.endpoints.len()),
            (2, "iad-2", 2)
        );
        assert!(peer("3=gru-3").unwrap().endpoints.is_empty());
        for text in [
            "iad-2", "0=a", "65536=a", "x=a", "2=", "2=A", "2=a@", "2=a@b", "2=a@b:1,",
        ] {
            assert!(peer(text).is_err(), "{text}");
        }
    }
}
