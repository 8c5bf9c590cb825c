//! Pure: what a site needs to be reached and to reach others: its daemon, its address, the endpoints of its peers.

use std::path::Path;

use super::super::facts::{Call, Daemon, Facts, Listen, Peer, Site};
use super::{config_word, restart};
use crate::admin::view::{Finding, Rating, path_text};

/// Version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn daemon(facts: &Facts, site: &Site) -> Finding {
    const CHECK: &str = "daemon";
    let file = config_word(facts);
    if let Some(held) = held(site) {
        return held;
    }
    let running = match &site.daemon {
        Daemon::Stopped => {
            return Finding::bad(
                Rating::Warning,
                CHECK,
                format!(
                    "none runs with the state folder {}",
                    site.state_dir.display()
                ),
                format!("systemctl start cfs-repl, or: cfs-repl run --config {file}"),
            );
        }
        Daemon::Denied => {
            return Finding::bad(
                Rating::Unknown,
                CHECK,
                "this user may not ask it",
                format!("sudo cfs-repl doctor --config {file}"),
            );
        }
        Daemon::Silent(why) => {
            return Finding::bad(
                Rating::Critical,
                CHECK,
                format!("it does not answer: {why}"),
                "journalctl -u cfs-repl -n 50, then: systemctl restart cfs-repl",
            );
        }
        Daemon::Runs(running) => running,
    };
    let root = site.root.as_os_str().as_encoded_bytes();
    if running.site != site.name || running.root != root {
        let (other, tree) = (&running.site, path_text(&running.root));
        return Finding::bad(
            Rating::Critical,
            CHECK,
            format!(
                "it is site {other} with the tree {tree}, and the configuration says {} with {}",
                site.name,
                site.root.display()
            ),
            restart(site),
        );
    }
    if running.version != VERSION {
        let found = format!(
            "it is of version {}, and this program of {VERSION}",
            running.version
        );
        return Finding::bad(Rating::Warning, CHECK, found, restart(site));
    }
    Finding::ok(
        CHECK,
        format!("site {} answers, version {VERSION}", site.name),
    )
}

/// A process that holds the state folder and does not answer.
fn held(site: &Site) -> Option<Finding> {
    let process = site.holder?;
    let (found, fix) = match &site.daemon {
        Daemon::Runs(_) | Daemon::Denied => return None,
        Daemon::Stopped => (
            format!(
                "process {process} holds the state folder {}, and nobody answers on the admin socket",
                site.state_dir.display()
            ),
            format!(
                "it starts, or admin.socket was changed since it did: ps -o args= -p {process}, then {}",
                restart(site)
            ),
        ),
        Daemon::Silent(why) => (
            format!("process {process} does not answer: {why}"),
            format!(
                "ps -o stat=,args= -p {process}: a T is one that was stopped, kill -CONT {process} lets it go on; \
                 otherwise journalctl -u cfs-repl -n 50"
            ),
        ),
    };
    Some(Finding::bad(Rating::Critical, "daemon", found, fix))
}

pub(super) fn listen(facts: &Facts, site: &Site) -> Option<Finding> {
    const CHECK: &str = "listen";
    let (address, listen) = site.listen.as_ref()?;
    let port = address.port();
    let runs = matches!(site.daemon, Daemon::Runs(_));
    Some(match listen {
        Listen::Own => Finding::ok(CHECK, format!("this site answers on {address}")),
        Listen::Free if runs => Finding::bad(
            Rating::Critical,
            CHECK,
            format!("the daemon runs and does not listen on {address}"),
            restart(site),
        ),
        Listen::Free => Finding::ok(CHECK, format!("{address} is free")),
        Listen::Held => Finding::bad(
            Rating::Unknown,
            CHECK,
            format!("{address} is taken, maybe by this site's daemon"),
            format!("ss -ltnp 'sport = :{port}'"),
        ),
        Listen::Taken(why) => Finding::bad(
            Rating::Critical,
            CHECK,
            format!("{address} is taken, and not by this site: {why}"),
            format!(
                "ss -ltnp 'sport = :{port}': stop that program, or choose another conduit.listen in {}",
                facts.file.display()
            ),
        ),
        Listen::Refused(why) => Finding::bad(
            Rating::Critical,
            CHECK,
            format!("{address} cannot be had: {why}"),
            format!(
                "ip -br address: set conduit.listen in {} to an address of this machine, or to 0.0.0.0:{port}",
                facts.file.display()
            ),
        ),
    })
}

pub(super) fn peer(facts: &Facts, peer: &Peer) -> Finding {
    const CHECK: &str = "peer";
    let name = &peer.name;
    if peer.calls.is_empty() {
        let found = "no endpoint is configured: it dials this site";
        return Finding::ok(CHECK, found).of(name);
    }
    let told: Vec<String> = peer
        .calls
        .iter()
        .map(|(endpoint, call)| format!("{endpoint} {}", words(call)))
        .collect();
    let told = told.join("; ");
    let is_good = |call: &Call| matches!(call, Call::Answered | Call::Connected);
    let bad = peer.calls.iter().find(|(_, call)| !is_good(call));
    let Some((endpoint, call)) = bad else {
        return Finding::ok(CHECK, told).of(name);
    };
    let level = if peer.calls.iter().any(|(_, call)| is_good(call)) {
        Rating::Warning
    } else {
        Rating::Critical
    };
    Finding::bad(level, CHECK, told, fix(name, endpoint, call, &facts.file)).of(name)
}

fn words(call: &Call) -> String {
    match call {
        Call::Answered => "answers, and both believe each other".to_owned(),
        Call::Connected => "takes connections".to_owned(),
        Call::NoName(why) => format!("has a name that is not found: {why}"),
        Call::Refused(why) => format!("takes no connection: {why}"),
        Call::Silent => "does not answer".to_owned(),
        Call::Distrusted(why) => format!("takes connections, but: {why}"),
    }
}

fn fix(name: &str, endpoint: &str, call: &Call, file: &Path) -> String {
    let file = file.display();
    let (host, port) = endpoint.rsplit_once(':').unwrap_or((endpoint, ""));
    let host = host.trim_matches(['[', ']']);
    match call {
        Call::Answered | Call::Connected => String::new(),
        Call::NoName(_) => {
            format!(
                "getent hosts {host}: correct endpoints of {name} in {file}, or the resolver of this machine"
            )
        }
        Call::Refused(_) => {
            format!("at {name}: systemctl start cfs-repl, then: ss -ltn 'sport = :{port}'")
        }
        Call::Silent => {
            format!("let TCP port {port} through from here to {host}: nc -vz {host} {port}")
        }
        Call::Distrusted(_) => {
            format!(
                "cfs-repl doctor here and at {name}: certificates of both by one authority, and names as in {file}"
            )
        }
    }
}
