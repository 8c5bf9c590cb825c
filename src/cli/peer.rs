//! `cfs-repl peer invite|invitations|revoke` and `cfs-repl join`: a new site by one token.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::{CliError, CliResult, Exit, Failure};
use super::init::{absolute, check, lay_down, site_name};
use super::reach::{self, Reach};
use super::render::{Format, Row, View};
use super::status::item;
use super::ui::Ui;
use super::{Global, human, parse_duration};
use crate::admin::client::Client;
use crate::admin::view::{InviteView, InviteWish};
use crate::clock::{Clock as _, SystemClock, micros, rfc3339};
use crate::conduit::join::{self, Admitted, Invitation, Wish};
use crate::conduit::pki;
use crate::config::units::{Endpoint, parse_listen};
use crate::config::{DEFAULT_FILE, Example, ExamplePeer, Existing, Role};
use crate::error::ReplError;
use crate::text::printable;
use crate::tree::policy::Policy;
use crate::tree::populated::first_file;

mod before;
mod invitations;
mod others;
mod refused;

/// Bring new sites in
#[derive(Debug, clap::Args)]
pub(super) struct PeerArgs {
    #[command(subcommand)]
    command: PeerCommand,
}

#[derive(Debug, clap::Subcommand)]
enum PeerCommand {
    Invite(InviteArgs),
    Invitations(invitations::InvitationsArgs),
    Revoke(invitations::RevokeArgs),
}

/// Print a token with which one machine joins as a new site
///
/// Example: cfs-repl peer invite --name iad-2 --valid 30m
///
/// At the new machine the token goes to the command join. It is a secret and works once; peer revoke withdraws it. This
/// site has to hold the key of the authority (tls.ca_key), as after init --new-authority.
#[derive(Debug, clap::Args)]
pub(super) struct InviteArgs {
    /// Name that the new site is to have; it chooses one, if not given
    #[arg(long, value_parser = site_name)]
    name: Option<String>,
    /// How long the token works; at most 30 days
    #[arg(long, value_parser = parse_duration, default_value = "1h", value_name = "DURATION")]
    valid: Duration,
    /// Where the new site reaches this one; by default what conduit.listen says, with the name of this machine where
    /// that is all addresses. May be repeated
    #[arg(long = "endpoint", value_name = "HOST:PORT")]
    endpoints: Vec<String>,
    /// Only say whether it could be made
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &PeerArgs) -> CliResult {
    match &args.command {
        PeerCommand::Invite(args) => invite(ui, global, args),
        PeerCommand::Invitations(args) => invitations::list(ui, global, args),
        PeerCommand::Revoke(args) => invitations::revoke(ui, global, args),
    }
}

fn invite(ui: &mut Ui, global: &Global, args: &InviteArgs) -> CliResult {
    let wish = InviteWish {
        site: args.name.clone(),
        valid_us: Some(micros(args.valid)),
        endpoints: args.endpoints.clone(),
        dry_run: args.dry_run,
    };
    let ask = |client: Client| async move { client.invite(wish).await };
    let (site, made) = reach::ask(global, &args.reach, ask)?;
    let endpoints = printable(&made.endpoints.join(", "));
    let until = rfc3339(made.expires_us).unwrap_or_default();
    show(ui, global.format(), site, &made)?;
    if args.dry_run {
        ui.say(&format!(
            "would invite a new site, which would reach this one at {endpoints}"
        ));
        return Ok(());
    }
    ui.say(&format!(
        "works once, until {until}; the new site reaches this one at {endpoints}"
    ));
    ui.say("at the new machine: cfs-repl join TOKEN --root DIR, then: cfs-repl run");
    if !made.others.is_empty() {
        let names = made.others.join(", ");
        ui.say(&printable(&format!(
            "note: {names} will have to be told of the new site by hand; join says what to add there"
        )));
    }
    if let Some(id) = &made.id {
        ui.say(&printable(&format!(
            "to withdraw it: cfs-repl peer revoke {id}"
        )));
    }
    Ok(())
}

/// The token, or the whole; under --dry-run there is no token.
fn show(ui: &mut Ui, format: Format, site: String, made: &InviteView) -> CliResult {
    match (format, &made.token) {
        // Bare, so that it can be piped to where it is typed.
        (Format::Table | Format::Wide, Some(token)) => ui.data(&format!("{}\n", printable(token))),
        (Format::Table | Format::Wide | Format::Name, None) => Ok(()),
        (Format::Json | Format::Jsonl | Format::Yaml | Format::Csv | Format::Name, _) => {
            ui.show(&invitation_view(site, made)?)
        }
    }
}

fn invitation_view(site: String, made: &InviteView) -> Result<View, CliError> {
    Ok(View {
        command: "invitation",
        // An older daemon does not say who it is.
        site: Some(site).filter(|site| !site.is_empty()),
        columns: &["TOKEN", "EXPIRES", "ENDPOINTS"],
        rows: vec![Row {
            name: made.token.clone().unwrap_or_default(),
            cells: vec![
                made.token.clone().unwrap_or_else(|| "-".to_owned()),
                rfc3339(made.expires_us).unwrap_or_default(),
                made.endpoints.join(" "),
            ],
            item: item(made)?,
        }],
    })
}

/// Join a cluster as a new site, with a token that a site of it printed
///
/// Example: cfs-repl join cfsjoin1.CgRwcm9k --root /srv/media && cfs-repl run
///
/// Makes a key, which stays here, gets a certificate for it over a connection that is pinned to the authority of the
/// token, and writes the configuration. Nothing that exists is overwritten. The tree should be empty: it is filled
/// from the others. Two trees that both hold files are refused, unless --match is given: equal files are then taken for
/// those of the cluster and are not sent again, others give way to the cluster's and stay as losers of conflicts
/// (cfs-repl conflicts restore), and what only this site has is added for all.
#[derive(Debug, clap::Args)]
pub(super) struct JoinArgs {
    /// What cfs-repl peer invite printed
    token: String,
    /// Top of the directory tree to keep in step; must exist
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Name of this site; by default that of the token, or of the machine
    #[arg(long, value_parser = site_name)]
    name: Option<String>,
    /// Folder for the journal and the state, outside the tree
    #[arg(long, value_name = "DIR", default_value = "/var/lib/cfs-repl")]
    state: PathBuf,
    /// Address on which other sites are accepted; without it this site only dials
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_listen)]
    listen: Option<SocketAddr>,
    /// Where other sites reach this one; by default what --listen says. May be repeated
    #[arg(long = "endpoint", value_name = "HOST:PORT", requires = "listen")]
    endpoints: Vec<Endpoint>,
    /// Folder for key and certificates; by default "tls" beside the configuration
    #[arg(long, value_name = "DIR")]
    tls: Option<PathBuf>,
    /// File to write
    #[arg(long, value_name = "FILE", env = "CFS_REPL_CONFIG", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Compare the files that are there with the cluster's tree instead of refusing them (tree.existing)
    #[arg(long = "match")]
    matches: bool,
    /// Ask whether it would be taken in, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Where everything goes.
struct Places {
    file: PathBuf,
    state: PathBuf,
    root: PathBuf,
    tls: PathBuf,
    name: String,
}

pub(super) fn join(ui: &mut Ui, args: &JoinArgs) -> CliResult {
    let invitation = Invitation::read(&args.token).map_err(|why| {
        Failure::new(Exit::Usage, "this is no token of an invitation")
            .cause(why)
            .hint("print one at a site of the cluster: cfs-repl peer invite")
    })?;
    let now_us = SystemClock.now_us();
    if invitation.expires_us <= now_us {
        let age = human::duration(now_us - invitation.expires_us);
        return Err(Failure::new(Exit::NotPermitted, "the invitation has ended")
            .cause(format!("it ended {age} ago, by the clock of this machine"))
            .hint("print a new one at a site of the cluster: cfs-repl peer invite")
            .into());
    }
    let places = places(args, &invitation)?;
    let (root, name) = (&places.root, &places.name);
    // What would stand in the way later is told before the invitation is used up.
    let sites = vec![ExamplePeer {
        id: 2,
        name: invitation.site.clone(),
        endpoints: parsed(&invitation.endpoints),
    }];
    check(
        &example(args, &places, &invitation, 1, &sites),
        &places.file,
    )?;
    before::check(&places, args.listen)?;
    // What is compared with the cluster's tree is none that this site brings.
    let has_files = !args.matches && first_file(root, &Policy::excluding::<&str>(&[])?)?.is_some();
    let own = own_key(&places, &invitation, args.dry_run)?;
    let wish = Wish {
        name: name.clone(),
        request: own.request.clone(),
        endpoints: endpoints(args),
        has_files,
        dry_run: args.dry_run,
    };
    let asked = reach::runtime()?.block_on(join::join(&invitation, &wish));
    let admitted = asked.map_err(|error| {
        if error.is_final() {
            own.discard();
        }
        refused::told(error, &invitation, &wish, &places)
    })?;
    if args.dry_run {
        let number = admitted.site_id;
        ui.say(&format!(
            "would join {} as {name}, number {number}; nothing was written",
            printable(&invitation.cluster)
        ));
        return Ok(());
    }
    settle(ui, args, &places, &invitation, &admitted).map_err(|e| is_in(e, admitted.site_id))?;
    drop(fs::remove_file(own.key.with_extension("csr")));
    let (cluster, number) = (printable(&invitation.cluster), admitted.site_id);
    let shown = places.file.display();
    ui.say(&format!(
        "joined {cluster} as {name}, number {number}; then: cfs-repl run --config {shown}"
    ));
    others::tell(ui, args, &places, &admitted);
    if has_files {
        ui.say("note: this tree holds files, and so it becomes the tree of the cluster");
    } else if args.matches {
        ui.say("note: the files that are there are compared with the cluster's at the first start");
    }
    Ok(())
}

/// What fails behind the admission: the invitation is used up, and whoever asks again with the same key is answered.
fn is_in(error: CliError, number: u64) -> CliError {
    match error {
        CliError::Failed(failure) => {
            let before = failure.hint.as_deref().unwrap_or("mend it");
            let hint = format!(
                "{before}; the site was taken in as number {number}, so type the same command again"
            );
            failure.hint(hint).into()
        }
        other @ (CliError::Told(_) | CliError::OutputClosed) => other,
    }
}

fn places(args: &JoinArgs, invitation: &Invitation) -> Result<Places, CliError> {
    let file = absolute(&args.config)?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let tls = args.tls.clone().unwrap_or_else(|| folder.join("tls"));
    let named = args.name.clone().or_else(|| invitation.name.clone());
    let name = match named {
        Some(name) => name,
        None => machine_name()?,
    };
    Ok(Places {
        state: absolute(&args.state)?,
        root: absolute(&args.root)?,
        tls: absolute(&tls)?,
        file,
        name,
    })
}

/// The name of this machine, as far as it can name a site.
fn machine_name() -> Result<String, CliError> {
    let system = rustix::system::uname();
    let whole = system.nodename().to_string_lossy().to_ascii_lowercase();
    let first = whole.split('.').next().unwrap_or_default().to_owned();
    site_name(&first).map_err(|why| {
        Failure::new(
            Exit::Usage,
            format!("the name of this machine, {first:?}, cannot name a site"),
        )
        .cause(why)
        .hint("choose one: --name NAME")
        .into()
    })
}

fn parsed(endpoints: &[String]) -> Vec<Endpoint> {
    endpoints
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect()
}

fn endpoints(args: &JoinArgs) -> Vec<String> {
    let given = args.endpoints.iter().map(ToString::to_string);
    match args.listen {
        Some(listen) if args.endpoints.is_empty() && !listen.ip().is_unspecified() => {
            vec![listen.to_string()]
        }
        Some(_) | None => given.collect(),
    }
}

fn example<'a>(
    args: &JoinArgs,
    places: &'a Places,
    invitation: &'a Invitation,
    site_id: u64,
    peers: &'a [ExamplePeer],
) -> Example<'a> {
    Example {
        site_id,
        name: &places.name,
        cluster: &invitation.cluster,
        role: Role::Bidirectional,
        primary_site_id: None,
        existing: if args.matches {
            Existing::Match
        } else {
            Existing::Bring
        },
        root: &places.root,
        state: &places.state,
        listen: args.listen,
        tls: Some(&places.tls),
        ca_key: false,
        peers,
    }
}

/// The key of this site.
struct OwnKey {
    key: PathBuf,
    /// Its signing request.
    request: Vec<u8>,
    /// This run made both files.
    is_new: bool,
    /// And their folder.
    is_folder_new: bool,
}

impl OwnKey {
    /// Takes away again what this run made. What cannot be removed is in nobody's way.
    fn discard(&self) {
        if !self.is_new {
            return;
        }
        for file in [&self.key, &self.key.with_extension("csr")] {
            drop(fs::remove_file(file));
        }
        if self.is_folder_new {
            drop(self.key.parent().map(fs::remove_dir));
        }
    }
}

/// The key of this site and its signing request. Both are kept until the site is taken in: who asks again for the same
/// key gets the same answer, whatever became of the first one.
fn own_key(places: &Places, invitation: &Invitation, dry_run: bool) -> Result<OwnKey, CliError> {
    let key = places.tls.join(format!("{}.key", places.name));
    let csr = key.with_extension("csr");
    if let (true, Ok(request)) = (key.exists(), fs::read(&csr)) {
        return Ok(OwnKey {
            key,
            request,
            is_new: false,
            is_folder_new: false,
        });
    }
    if key.exists() && !dry_run {
        let failure = Failure::new(Exit::Failure, format!("cannot write {}", key.display()));
        let cause = "it exists, and join never overwrites";
        let hint = "choose another folder with --tls, or another name with --name";
        return Err(failure.cause(cause).hint(hint).into());
    }
    let now_us = SystemClock.now_us();
    let is_folder_new = !places.tls.exists();
    let (pem, request) = pki::request(&places.name, &invitation.cluster, now_us)?;
    if !dry_run {
        let mut folder = fs::DirBuilder::new();
        let made = folder.recursive(true).mode(0o700).create(&places.tls);
        made.map_err(|error| ReplError::io("create folder", &places.tls, error))?;
        pki::write_new(&key, pem.as_bytes(), 0o600)?;
        pki::write_new(&csr, &request, 0o600)?;
    }
    Ok(OwnKey {
        key,
        request,
        is_new: !dry_run,
        is_folder_new,
    })
}

/// Writes what was got, the configuration last.
fn settle(
    ui: &mut Ui,
    args: &JoinArgs,
    places: &Places,
    invitation: &Invitation,
    admitted: &Admitted,
) -> CliResult {
    let peer = |(nth, (id, name, endpoints)): (usize, &(u64, String, Vec<String>))| {
        // How the first one is reached was in the token.
        let known = if nth == 0 {
            &invitation.endpoints
        } else {
            endpoints
        };
        others::can_meet(args, known).then(|| ExamplePeer {
            id: *id,
            name: name.clone(),
            endpoints: parsed(known),
        })
    };
    let peers = admitted.sites.iter().enumerate().filter_map(peer);
    let peers: Vec<ExamplePeer> = peers.collect();
    for (name, text) in [
        (format!("{}.pem", places.name), &admitted.certificate),
        ("ca.pem".to_owned(), &admitted.authority),
    ] {
        let path = places.tls.join(name);
        // One from the first attempt is the same, or is told by the daemon when it does not fit.
        if !path.exists() {
            pki::write_new(&path, text.as_bytes(), 0o644)?;
            ui.say(&format!("wrote {}", path.display()));
        }
    }
    let example = example(args, places, invitation, admitted.site_id, &peers);
    lay_down(ui, &example, &places.file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_run_made_goes_again_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("tls");
        let key = folder.join("iad-2.key");
        let made = |is_new| {
            fs::create_dir_all(&folder).unwrap();
            for name in ["iad-2.key", "iad-2.csr"] {
                fs::write(folder.join(name), "").unwrap();
            }
            OwnKey {
                key: key.clone(),
                request: Vec::new(),
                is_new,
                is_folder_new: true,
            }
        };
        made(false).discard();
        assert!(key.exists(), "an earlier run made it");
        made(true).discard();
        assert!(!folder.exists());
        let mut own = made(true);
        own.is_folder_new = false;
        own.discard();
        assert!(!key.exists() && folder.exists());
        let own = made(true);
        fs::write(folder.join("ca.pem"), "").unwrap();
        own.discard();
        assert!(!key.exists() && folder.join("ca.pem").exists());
    }

    #[test]
    fn a_failure_behind_the_admission_says_that_the_site_is_in() {
        let failure = Failure::new(Exit::Failure, "cannot write").hint("make room");
        let CliError::Failed(told) = is_in(failure.into(), 7) else {
            panic!("not told");
        };
        assert_eq!(
            told.hint.as_deref(),
            Some("make room; the site was taken in as number 7, so type the same command again")
        );
    }
}
