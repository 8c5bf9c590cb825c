//! Invitations: made for operators, used up by new sites.
//!
//! An invitation is kept by the print of its secret alone, so that who reads the file cannot join. Being used up is
//! on disk before the new site hears of it; one that asks again for the same key, because it heard nothing, gets the
//! same answer.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::rand::{GetRandomFlags, getrandom};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::events::Events;
use super::reload::Reloader;
use crate::admin::transitions::event;
use crate::admin::view::{InvitationState, InvitationView, InviteView, InviteWish, Level};
use crate::admin::{AdminError, Result};
use crate::clock::{SharedClock, TimestampUs, rfc3339};
use crate::conduit::join::{Admit, Admitted, Invitation, Refused, SECRET_BYTES, Wish, print_of};
use crate::conduit::pki;
use crate::config::units::Endpoint;
use crate::config::{Config, PeerConfig, SITE_ID_MAX, is_name, peers};
use crate::sync::engine::{Engine, Handle};

/// The file in the state folder.
const FILE: &str = "invitations.json";
/// How long an invitation holds unless told otherwise, and at most: a token in a mail should not work for months.
const VALID_US: u64 = 3_600 * 1_000_000;
const VALID_MAX_US: u64 = 30 * 86_400 * 1_000_000;
/// How ids of invitations begin, and how many digits of the print follow: of 100 no two are likely to be equal.
const ID_PREFIX: &str = "i-";
const ID_DIGITS: usize = 10;
/// Invitations that are kept: used and ended ones go first.
const KEPT_MAX: usize = 100;
/// How long the certificate of a new site is good for, in days.
const CERTIFICATE_DAYS: u32 = 365;
/// Endpoints that a new site may name.
const ENDPOINTS_MAX: usize = 16;

/// Makes invitations and takes new sites in. Clones share it.
#[derive(Clone)]
pub(super) struct Inviter {
    pub(super) engine: Handle,
    pub(super) reloader: Reloader,
    pub(super) events: Events,
    pub(super) clock: SharedClock,
    /// One at a time; the file is the truth.
    pub(super) turn: Arc<Mutex<()>>,
}

/// An invitation as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// BLAKE3 of the secret, in hexadecimal.
    print: String,
    name: Option<String>,
    made_by: String,
    expires_us: TimestampUs,
    used: Option<Used>,
}

/// By whom an invitation was used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Used {
    at_us: TimestampUs,
    site_id: u64,
    name: String,
    /// BLAKE3 of the signing request, in hexadecimal: the same request gets the same answer.
    request: String,
}

impl Kept {
    /// How operators name it: nobody finds the secret by it.
    fn id(&self) -> String {
        let digits = self.print.chars().take(ID_DIGITS);
        ID_PREFIX.chars().chain(digits).collect()
    }

    fn view(&self, now_us: TimestampUs) -> InvitationView {
        let state = if self.used.is_some() {
            InvitationState::Used
        } else if self.expires_us <= now_us {
            InvitationState::Ended
        } else {
            InvitationState::Open
        };
        InvitationView {
            id: self.id(),
            state,
            name: self.name.clone(),
            made_by: self.made_by.clone(),
            expires_us: self.expires_us,
            used_by: self.used.as_ref().map(|used| used.name.clone()),
            used_us: self.used.as_ref().map(|used| used.at_us),
        }
    }
}

/// The place of the only one that `id` means; it may be the beginning of an id.
fn named(all: &[Kept], id: &str) -> Result<usize> {
    let is_meant = |one: &Kept| id.len() > ID_PREFIX.len() && one.id().starts_with(id);
    let found = all.iter().enumerate().filter(|(_, one)| is_meant(one));
    let found: Vec<usize> = found.map(|(at, _)| at).collect();
    match found.as_slice() {
        [at] => Ok(*at),
        [] => Err(AdminError::InvitationUnknown { id: id.to_owned() }),
        _ => Err(AdminError::Invalid {
            what: format!("several invitations have ids that begin with \"{id}\""),
            hint: "give more of the id: cfs-repl peer invitations".to_owned(),
        }),
    }
}

/// What signs.
struct Authority {
    pem: String,
    key_pem: String,
    certificate: CertificateDer<'static>,
}

impl Inviter {
    /// Makes an invitation.
    pub(super) async fn invite(&self, wish: InviteWish, by: &str) -> Result<InviteView> {
        let _turn = self.turn.lock().await;
        let config = self.reloader.current();
        let authority = authority(&config)?;
        let endpoints = endpoints(&config, &wish)?;
        if let Some(name) = &wish.site {
            free_name(&config, name).map_err(|what| AdminError::Taken {
                what,
                hint: "choose another name with --name".to_owned(),
            })?;
        }
        let valid_us = wish.valid_us.unwrap_or(VALID_US);
        check_valid(valid_us)?;
        let expires_us = self.clock.now_us().saturating_add(valid_us);
        let mut view = InviteView {
            id: None,
            token: None,
            expires_us,
            endpoints: endpoints.clone(),
            others: config.peers.iter().map(|peer| peer.name.clone()).collect(),
        };
        if wish.dry_run {
            return Ok(view);
        }
        let mut secret = [0; SECRET_BYTES];
        getrandom(&mut secret, GetRandomFlags::empty())
            .map_err(|error| failed("read random numbers", &error.into()))?;
        let mut all = self
            .read(&config)
            .map_err(|e| failed("read invitations", &e))?;
        let kept = Kept {
            print: print(&secret),
            name: wish.site.clone(),
            made_by: by.to_owned(),
            expires_us,
            used: None,
        };
        let id = kept.id();
        all.push(kept);
        self.keep(&config, all)
            .map_err(|e| failed("keep the invitation", &e))?;
        let invitation = Invitation {
            cluster: config.site.cluster.clone(),
            site: config.site.name.clone(),
            endpoints,
            authority: print_of(&authority.certificate),
            secret,
            expires_us,
            name: wish.site,
        };
        view.token = Some(invitation.token());
        view.id = Some(id.clone());
        let until = rfc3339(expires_us).unwrap_or_default();
        tracing::warn!(by, until, "invitation for a new site made");
        let text = format!("invitation for a new site made by {by}, until {until}");
        self.record("invitation.made", text, &id, by);
        Ok(view)
    }

    /// The invitations that are kept, oldest first.
    pub(super) async fn list(&self) -> Result<Vec<InvitationView>> {
        let _turn = self.turn.lock().await;
        let all = self.read(&self.reloader.current());
        let all = all.map_err(|e| failed("read invitations", &e))?;
        let now_us = self.clock.now_us();
        Ok(all.iter().map(|one| one.view(now_us)).collect())
    }

    /// Withdraws an invitation; its whole id. What is not kept lets nobody in.
    pub(super) async fn revoke(&self, id: &str, by: &str) -> Result<String> {
        let _turn = self.turn.lock().await;
        let config = self.reloader.current();
        let mut all = self
            .read(&config)
            .map_err(|e| failed("read invitations", &e))?;
        let at = named(&all, id)?;
        let gone = all.remove(at);
        let id = gone.id();
        if let Some(used) = &gone.used {
            let name = &used.name;
            return Err(AdminError::NotPossible {
                what: format!("site {name} joined with the invitation {id}"),
                hint: format!("to take it out: cfs-repl sites remove {name}"),
            });
        }
        self.keep(&config, all)
            .map_err(|e| failed("keep invitations", &e))?;
        tracing::warn!(by, id, "invitation for a new site withdrawn");
        let text = format!("invitation {id} withdrawn by {by}");
        self.record("invitation.revoked", text, &id, by);
        Ok(id)
    }

    fn record(&self, name: &str, text: String, id: &str, by: &str) {
        let mut told = event(Level::Info, name, None, text);
        let fields = [("by", by), ("invitation", id)];
        let fields = fields.map(|(key, value)| (key.to_owned(), value.to_owned()));
        told.fields.extend(fields);
        self.events.tell(told);
    }

    fn path(config: &Config) -> PathBuf {
        config.state.dir.join(FILE)
    }

    fn read(&self, config: &Config) -> io::Result<Vec<Kept>> {
        match fs::read(Self::path(config)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file; what nobody can use goes first when there are too many.
    fn keep(&self, config: &Config, mut all: Vec<Kept>) -> io::Result<()> {
        let now_us = self.clock.now_us();
        while all.len() > KEPT_MAX {
            let of_no_use = |one: &Kept| one.used.is_some() || one.expires_us <= now_us;
            let at = all.iter().position(of_no_use).unwrap_or(0);
            all.remove(at);
        }
        let bytes = serde_json::to_vec_pretty(&all).map_err(io::Error::other)?;
        peers::replace(&Self::path(config), &bytes).map_err(io::Error::other)
    }

    async fn take_in(&self, secret: &[u8], wish: Wish) -> Result<Admitted, Refused> {
        let config = self.reloader.current();
        let now_us = self.clock.now_us();
        let cannot = |what: &str| {
            let what = what.to_owned();
            move |error: String| {
                Refused::Failed(format!("the site that invited cannot {what}: {error}"))
            }
        };
        let mut all = self
            .read(&config)
            .map_err(|e| cannot("read its invitations")(e.to_string()))?;
        let given = largest_given(&all);
        let found = all.iter_mut().find(|one| one.print == print(secret));
        let invitation = found.ok_or_else(|| {
            Refused::NotInvited("the site that invited knows of no such invitation".to_owned())
        })?;
        let request = print(&wish.request);
        let again = used_by(invitation, &wish, &request)?;
        let site_id = match again {
            Some(site_id) => site_id,
            None => {
                refuse_unfit(&config, invitation, &wish, now_us)?;
                self.refuse_second_tree(&wish).await?;
                let heard = self.engine.ask(Engine::largest_site_id).await;
                let heard = heard.map_err(|error| Refused::Failed(error.to_string()))?;
                free_id(&config, given.max(Some(heard)))?
            }
        };
        let authority =
            authority(&config).map_err(|error| cannot("issue certificates")(error.to_string()))?;
        let certificate = pki::sign(
            (&authority.pem, &authority.key_pem),
            &wish.request,
            (&wish.name, &config.site.cluster),
            CERTIFICATE_DAYS,
            now_us,
        )
        .map_err(|error| Refused::Unreadable(error.to_string()))?;
        let mut admitted = Admitted {
            site_id,
            certificate: String::new(),
            authority: authority.pem,
            sites: sites(&config, site_id),
        };
        if wish.dry_run {
            return Ok(admitted);
        }
        admitted.certificate = certificate;
        if again.is_none() {
            let endpoints = read_endpoints(&wish.endpoints).map_err(Refused::Unreadable)?;
            let peer = PeerConfig {
                id: site_id,
                name: wish.name.clone(),
                endpoints,
            };
            // Used up first: a second use is worse than a site that has to be invited again.
            invitation.used = Some(Used {
                at_us: now_us,
                site_id,
                name: wish.name.clone(),
                request,
            });
            self.keep(&config, all)
                .map_err(|e| cannot("keep its invitations")(e.to_string()))?;
            peers::append(&config.state.dir, &peer)
                .map_err(|e| cannot("keep the new site")(e.to_string()))?;
            // One that asks again was told before.
            self.welcome(&wish.name, site_id).await;
        }
        Ok(admitted)
    }

    /// The new site is a peer from here on; it is on disk, so a failure only means: after a restart.
    async fn welcome(&self, name: &str, site_id: u64) {
        if let Err(error) = self.reloader.reload_config("an invitation").await {
            tracing::error!(%error, site = name, "a new site joined, and is a peer only after a restart");
        }
        tracing::warn!(
            site = name,
            number = site_id,
            "new site joined by invitation"
        );
        let text = format!("{name} joined by invitation, as number {site_id}");
        self.events
            .tell(event(Level::Info, "site.added", Some(name), text));
    }

    /// Two trees that both hold files have no common history, and are not merged.
    async fn refuse_second_tree(&self, wish: &Wish) -> Result<(), Refused> {
        let heads = self.engine.ask(Engine::heads).await;
        let heads = heads.map_err(|error| Refused::Failed(error.to_string()))?;
        if wish.has_files && !heads.is_empty() {
            return Err(Refused::NotPossible(
                "the tree of the new site and that of this cluster both hold files, and trees without a common \
                 history are not merged; the invitation was not used"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl Admit for Inviter {
    async fn admit(&self, cluster: &str, secret: &[u8], wish: Wish) -> Result<Admitted, Refused> {
        let _turn = self.turn.lock().await;
        let own = self.reloader.current().site.cluster;
        if cluster != own {
            return Err(Refused::NotPossible(format!(
                "the invitation is for cluster {cluster}, and this site is of cluster {own}"
            )));
        }
        let (name, dry_run) = (wish.name.clone(), wish.dry_run);
        let taken = self.take_in(secret, wish).await;
        if let Err(refused) = &taken {
            tracing::warn!(site = name, ?refused, dry_run, "new site not taken in");
        }
        taken
    }
}

/// The number that the same request got, if it came before. An invitation that another one used up is refused.
fn used_by(invitation: &Kept, wish: &Wish, request: &str) -> Result<Option<u64>, Refused> {
    let Some(used) = &invitation.used else {
        return Ok(None);
    };
    if used.request == request && used.name == wish.name {
        return Ok(Some(used.site_id));
    }
    let at = rfc3339(used.at_us).unwrap_or_default();
    let name = &used.name;
    Err(Refused::NotInvited(format!(
        "the invitation was used at {at}, by site {name}"
    )))
}

/// What an invitation does not let through.
fn refuse_unfit(
    config: &Config,
    invitation: &Kept,
    wish: &Wish,
    now_us: TimestampUs,
) -> Result<(), Refused> {
    if invitation.expires_us <= now_us {
        let at = rfc3339(invitation.expires_us).unwrap_or_default();
        return Err(Refused::NotInvited(format!("the invitation ended at {at}")));
    }
    if !is_name(&wish.name) {
        return Err(Refused::Unreadable(format!(
            "\"{}\" is no name of a site",
            wish.name
        )));
    }
    if let Some(name) = invitation.name.as_ref().filter(|name| **name != wish.name) {
        return Err(Refused::NotInvited(format!(
            "the invitation is for a site of the name {name}"
        )));
    }
    read_endpoints(&wish.endpoints).map_err(Refused::Unreadable)?;
    free_name(config, &wish.name).map_err(Refused::Taken)
}

fn read_endpoints(all: &[String]) -> Result<Vec<Endpoint>, String> {
    if all.len() > ENDPOINTS_MAX {
        return Err(format!("a site has at most {ENDPOINTS_MAX} endpoints"));
    }
    let parse = |text: &String| text.parse::<Endpoint>().map_err(|refusal| refusal.what);
    all.iter().map(parse).collect()
}

fn check_valid(valid_us: u64) -> Result<()> {
    let (what, hint) = match valid_us {
        1..=VALID_MAX_US => return Ok(()),
        0 => ("an invitation for no time at all cannot be used", "longer"),
        _ => ("an invitation holds for at most 30 days", "shorter"),
    };
    Err(AdminError::Invalid {
        what: what.to_owned(),
        hint: format!("choose a {hint} time with --valid"),
    })
}

fn free_name(config: &Config, name: &str) -> Result<(), String> {
    if config.site.name == name || config.peers.iter().any(|peer| peer.name == name) {
        return Err(format!("there is a site of the name {name}"));
    }
    Ok(())
}

/// The largest number that a new site got.
fn largest_given(all: &[Kept]) -> Option<u64> {
    let used = all.iter().filter_map(|one| one.used.as_ref());
    used.map(|used| used.site_id).max()
}

/// The number behind the largest that is configured, or that any site is known to have had: who has entries of a site
/// that is gone refuses another one of its number.
fn free_id(config: &Config, ever: Option<u64>) -> Result<u64, Refused> {
    let known = config.peers.iter().map(|peer| peer.id).chain(ever);
    let largest = known.chain([config.site.id]).max().unwrap_or(0);
    let free = largest.saturating_add(1);
    if free > SITE_ID_MAX {
        return Err(Refused::NotPossible(
            "all numbers of sites are taken".to_owned(),
        ));
    }
    Ok(free)
}

/// The sites of the cluster as the new one is told, this one first; it is among them when it asks again.
fn sites(config: &Config, new: u64) -> Vec<(u64, String, Vec<String>)> {
    let own = (config.site.id, config.site.name.clone(), Vec::new());
    let others = config.peers.iter().filter(|peer| peer.id != new);
    let others = others.map(|peer| {
        let endpoints = peer.endpoints.iter().map(ToString::to_string).collect();
        (peer.id, peer.name.clone(), endpoints)
    });
    std::iter::once(own).chain(others).collect()
}

fn print(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn failed(what: &str, error: &io::Error) -> AdminError {
    AdminError::NotPossible {
        what: format!("cannot {what}: {error}"),
        hint: "look at the disk of the state folder".to_owned(),
    }
}

/// Where the new site reaches this one.
fn endpoints(config: &Config, wish: &InviteWish) -> Result<Vec<String>> {
    let Some(listen) = config.conduit.listen else {
        return Err(AdminError::NotPossible {
            what: "this site does not listen, so no new site can reach it".to_owned(),
            hint: "set listen in [conduit], and start it again; or invite from a site that listens"
                .to_owned(),
        });
    };
    if !wish.endpoints.is_empty() {
        let read = read_endpoints(&wish.endpoints).map_err(|what| AdminError::Invalid {
            what,
            hint: "write them as host:7443 or [2001:db8::1]:7443".to_owned(),
        })?;
        return Ok(read.iter().map(ToString::to_string).collect());
    }
    if listen.ip().is_unspecified() {
        // The name of the machine is the best guess, and the operator sees it.
        let name = rustix::system::uname();
        let name = name.nodename().to_string_lossy().into_owned();
        return Ok(vec![format!("{name}:{}", listen.port())]);
    }
    Ok(vec![listen.to_string()])
}

/// What signs here.
fn authority(config: &Config) -> Result<Authority> {
    let refuse = |what: String| {
        Err(AdminError::NotPossible {
            what,
            hint: "set ca_key in [tls] to the key of the authority, mode 0600, at one site of the cluster; \
                   certificates of another authority are issued there: cfs-repl pki --help"
                .to_owned(),
        })
    };
    let Some((tls, key)) = config
        .tls
        .as_ref()
        .and_then(|tls| Some((tls, tls.ca_key.as_ref()?)))
    else {
        return refuse("this site cannot issue certificates: tls.ca_key is not set".to_owned());
    };
    let read = |path: &PathBuf| fs::read_to_string(path);
    let (pem, key_pem) = match (read(&tls.ca), read(key)) {
        (Ok(pem), Ok(key_pem)) => (pem, key_pem),
        (Err(error), _) => return refuse(format!("cannot read {}: {error}", tls.ca.display())),
        (_, Err(error)) => return refuse(format!("cannot read {}: {error}", key.display())),
    };
    match CertificateDer::from_pem_slice(pem.as_bytes()) {
        Ok(certificate) => Ok(Authority {
            pem,
            key_pem,
            certificate,
        }),
        Err(error) => refuse(format!(
            "{} holds no certificate: {error}",
            tls.ca.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_too_short_or_too_long_is_told_which() {
        let hint = |valid_us| match check_valid(valid_us) {
            Err(AdminError::Invalid { hint, .. }) => hint,
            other => format!("{other:?}"),
        };
        assert_eq!(hint(0), "choose a longer time with --valid");
        assert_eq!(hint(VALID_MAX_US + 1), "choose a shorter time with --valid");
        check_valid(1).unwrap();
        check_valid(VALID_MAX_US).unwrap();
    }

    fn kept(print: &str, used: Option<&str>) -> Kept {
        Kept {
            print: print.to_owned(),
            name: None,
            made_by: "ana".to_owned(),
            expires_us: 7,
            used: used.map(|name| Used {
                at_us: 3,
                site_id: 2,
                name: name.to_owned(),
                request: String::new(),
            }),
        }
    }

    #[test]
    fn an_id_or_enough_of_it_means_one_invitation_and_tells_no_secret() {
        let all = [
            kept("0123456789abcdef", None),
            kept("0123999999abcdef", None),
        ];
        assert_eq!(all[0].id(), "i-0123456789");
        assert_eq!(named(&all, "i-0123456789").unwrap(), 0);
        assert_eq!(named(&all, "i-01239").unwrap(), 1);
        assert!(matches!(
            named(&all, "i-01"),
            Err(AdminError::Invalid { .. })
        ));
        for unknown in ["", "i-", "i", "0123", "i-7", "i-0123456789a"] {
            let refused = named(&all, unknown);
            let is_unknown = matches!(refused, Err(AdminError::InvitationUnknown { .. }));
            assert!(is_unknown, "{unknown}");
        }
    }

    #[test]
    fn a_state_is_that_of_the_moment() {
        let state = |used, now_us| kept("00", used).view(now_us).state;
        assert_eq!(state(None, 6), InvitationState::Open);
        assert_eq!(state(None, 7), InvitationState::Ended);
        assert_eq!(state(Some("iad-2"), 8), InvitationState::Used);
        let used = kept("00", Some("iad-2")).view(8);
        assert_eq!(
            (used.used_by.as_deref(), used.used_us),
            (Some("iad-2"), Some(3))
        );
    }

    #[test]
    fn what_is_no_endpoint_is_said_once() {
        let refused = read_endpoints(&["blah".to_owned()]).unwrap_err();
        assert_eq!(refused, "\"blah\" is no endpoint: the port is missing");
        assert!(read_endpoints(&vec!["a:1".to_owned(); ENDPOINTS_MAX + 1]).is_err());
        assert_eq!(read_endpoints(&["a:1".to_owned()]).unwrap().len(), 1);
    }
}
