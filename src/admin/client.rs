//! Asks a running daemon: the only way by which command line and dashboard learn anything of it.
//!
//! Every request ends within the patience that the caller names, and every failure says what was tried, why it
//! failed and what to do, as far as that is known.

use std::io;
use std::time::Duration;

use prost::Message as _;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::filter::{AckRequest, ConflictFilter, RestoreRequest};
use super::view::journal::{EntryView, TailRequest};
use super::view::preview::{PreviewPiece, PreviewRequest};
use super::view::{
    AckedView, ConflictDetail, ConflictView, EventFilter, EventView, InvitationView, InviteView,
    InviteWish, LagView, ReloadedView, RemovedView, RestoredView, ResumedView, RightsView,
    StatusView,
};
use super::wire;
pub use super::wire::Update;
use crate::clock::TimestampUs;
use crate::proto::admin as pb;
use pb::admin_client::AdminClient;

mod address;
mod dial;

pub use crate::conduit::tls::TlsFiles;
pub use address::{Address, Network};

/// Largest answer in bytes; a status with a thousand peers, each with a hundred parked paths, stays below it.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is none.
    #[error("\"{text}\" is no address of a daemon")]
    Address {
        /// As it was given.
        text: String,
    },
    /// Nobody answers there.
    #[error("cannot reach the daemon at {address}")]
    Unreachable {
        /// What was tried.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon was reached and did not answer in time.
    #[error("the daemon at {address} does not answer")]
    TimedOut {
        /// What was tried.
        address: Address,
        /// How long was waited.
        after: Duration,
    },
    /// The daemon refused, or broke off.
    #[error("{message}")]
    Refused {
        /// What kind of refusal.
        code: Code,
        /// What it refused.
        message: String,
        /// Why, from the near cause to the deepest one.
        causes: Vec<String>,
        /// What to do about it.
        hint: Option<String>,
    },
    /// What was answered cannot be put where it was wanted.
    #[error("cannot write what the daemon sends")]
    NotTaken {
        /// What the system said.
        source: io::Error,
    },
    /// The answer lacks a part: the daemon is of another version.
    #[error("the answer of the daemon lacks \"{missing}\"")]
    Malformed {
        /// The part.
        missing: &'static str,
    },
}

/// What is said of a connection that ended.
const BROKE: &str = "the connection to the daemon broke";
/// What is said of an answerer that has no such question.
const UNKNOWN: &str = "what answers there does not know this question";
/// Whoever refuses a certificate in TLS 1.3 says so only when the connection stands, and often by ending it.
const SHOWN: &str = "the daemon may have refused the certificate that is shown: --identity has to be of an authority in \
                     its tls.ca, and valid; else see whether the daemon runs, and its log";
/// What may be at a port where no daemon answers commands.
const OTHER_PORT: &str = "this may be the port of the exchange between sites (conduit.listen): commands are answered at \
                          admin.listen; else the daemon is older than this program: update it";

type Result<T, E = ClientError> = std::result::Result<T, E>;

/// Conflicts that were found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundConflicts {
    /// Name of the site that answers.
    pub site: String,
    /// How many there are; more than are listed when there was a limit.
    pub found: u64,
    /// Oldest first.
    pub conflicts: Vec<ConflictView>,
}

/// A connection to a daemon.
#[derive(Debug, Clone)]
pub struct Client {
    inner: AdminClient<Channel>,
    address: Address,
    patience: Duration,
}

impl Client {
    /// Connects, and gives every request this much time.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::TimedOut`].
    pub async fn connect(address: Address, patience: Duration) -> Result<Self> {
        let channel = dial::dial(&address, patience).await?;
        Ok(Self {
            inner: AdminClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX),
            address,
            patience,
        })
    }

    /// Gives every request at least this much time.
    #[must_use]
    pub fn patient(mut self, at_least: Duration) -> Self {
        self.patience = self.patience.max(at_least);
        self
    }

    /// What an operator asks first.
    ///
    /// # Errors
    /// All requests: [`ClientError`].
    pub async fn status(&self) -> Result<StatusView> {
        let mut inner = self.inner.clone();
        let reply = self.wait(inner.status(pb::StatusRequest {})).await?;
        wire::status_from(reply.into_inner()).map_err(malformed)
    }

    /// How far each peer is behind; with `shards` in every shard, too.
    pub async fn lag(&self, shards: bool) -> Result<LagView> {
        let mut inner = self.inner.clone();
        let request = pb::LagRequest { shards };
        let reply = self.wait(inner.lag(request)).await?;
        Ok(wire::lags_from(reply.into_inner()))
    }

    /// The conflicts that `filter` lets through, the latest `limit` of them.
    pub async fn conflicts(
        &self,
        filter: ConflictFilter,
        limit: Option<u64>,
    ) -> Result<FoundConflicts> {
        let mut all: Option<FoundConflicts> = None;
        let take = |mut page: FoundConflicts| {
            match &mut all {
                Some(all) => all.conflicts.extend(page.conflicts),
                None => {
                    // What a list leaves behind while it grows is as large as the list.
                    let coming = page.found.min(limit.unwrap_or(0));
                    let coming = usize::try_from(coming).unwrap_or(0);
                    let more = coming.saturating_sub(page.conflicts.len());
                    page.conflicts.reserve_exact(more);
                    all = Some(page);
                }
            }
            true
        };
        self.wait_all(self.conflict_pages(filter, limit, take))
            .await?;
        all.ok_or(ClientError::Malformed { missing: "site" })
    }

    /// The same page by page, oldest first; never more than one is in memory. There is at least one, each is waited for
    /// by itself, and `take` says whether it wants another one.
    pub async fn conflict_pages(
        &self,
        filter: ConflictFilter,
        limit: Option<u64>,
        mut take: impl FnMut(FoundConflicts) -> bool,
    ) -> Result<()> {
        let mut inner = self.inner.clone();
        let filter = Some(wire::filter_to(filter));
        let request = pb::ConflictsRequest { filter, limit };
        let stream = self.wait(inner.conflicts(request)).await?;
        let mut stream = stream.into_inner();
        while let Some(page) = self.wait(stream.message()).await? {
            let pb::ConflictsPage {
                site,
                conflicts,
                found,
            } = page;
            let views = conflicts.into_iter().map(wire::conflict_from);
            let page = FoundConflicts {
                site,
                found,
                conflicts: views.collect::<Result<_, _>>().map_err(malformed)?,
            };
            if !take(page) {
                break;
            }
        }
        Ok(())
    }

    /// Name of the site that answers, and one conflict with both versions.
    pub async fn show(&self, id: &str) -> Result<(String, ConflictDetail)> {
        let mut inner = self.inner.clone();
        let request = pb::ShowConflictRequest { id: id.to_owned() };
        let reply = self.wait(inner.show_conflict(request)).await?;
        wire::detail_from(reply.into_inner()).map_err(malformed)
    }

    /// Calls `take` with the bytes that lost in a conflict, piece by piece; returns how many they are.
    pub async fn loser(
        &self,
        id: &str,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<u64> {
        let mut inner = self.inner.clone();
        let request = pb::ReadLoserRequest { id: id.to_owned() };
        let taking = async move {
            let stream = inner.read_loser(request).await?.into_inner();
            take_all(stream, |piece| piece.bytes, &mut take).await
        };
        self.wait(taking).await?
    }

    /// Calls `take` with the bytes that are shown where the loser lost, piece by piece; returns how many they are.
    /// A file of more than `bytes_max` is refused.
    pub async fn shown(
        &self,
        id: &str,
        bytes_max: u64,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<u64> {
        let mut inner = self.inner.clone();
        let request = pb::ReadShownRequest {
            id: id.to_owned(),
            bytes_max: Some(bytes_max),
        };
        let taking = async move {
            let stream = inner.read_shown(request).await?.into_inner();
            take_all(stream, |piece| piece.bytes, &mut take).await
        };
        self.wait(taking).await?
    }

    /// Puts the loser of a conflict back.
    pub async fn restore(&self, wanted: RestoreRequest<'_>) -> Result<RestoredView> {
        let mut inner = self.inner.clone();
        let request = pb::RestoreConflictRequest {
            id: wanted.id.to_owned(),
            as_path: wanted.as_path.map(bytes::Bytes::copy_from_slice),
            over_later: wanted.over_later,
        };
        let reply = self.wait(inner.restore_conflict(request)).await?;
        Ok(wire::restored_from(reply.into_inner()))
    }

    /// Acknowledges conflicts for all sites, or takes that back.
    pub async fn ack(&self, wanted: AckRequest<ConflictFilter>) -> Result<Vec<AckedView>> {
        let mut inner = self.inner.clone();
        let request = pb::AckConflictsRequest {
            ids: wanted.ids,
            note: wanted.note,
            dry_run: wanted.dry_run,
            filter: wanted.filter.map(wire::filter_to),
            expect: wanted.expect,
            undo: wanted.undo,
        };
        let reply = self.wait(inner.ack_conflicts(request)).await?;
        Ok(wire::acked_from(reply.into_inner()))
    }

    /// Lets a site go on that is held or paused; `confirm`: what it deleted is meant.
    pub async fn resume(&self, site: &str, confirm: bool) -> Result<ResumedView> {
        let mut inner = self.inner.clone();
        let request = pb::ResumeSiteRequest {
            site: site.to_owned(),
            confirm,
        };
        let reply = self.wait(inner.resume_site(request)).await?;
        Ok(wire::resumed_from(reply.into_inner()))
    }

    /// Stops the exchange with a site. Returns whether that is a change.
    pub async fn pause(&self, site: &str, note: &str) -> Result<bool> {
        let mut inner = self.inner.clone();
        let request = pb::PauseSiteRequest {
            site: site.to_owned(),
            note: note.to_owned(),
        };
        let reply = self.wait(inner.pause_site(request)).await?;
        Ok(reply.into_inner().changed)
    }

    /// Makes the connection to a site anew.
    pub async fn reconnect(&self, site: &str) -> Result<()> {
        let mut inner = self.inner.clone();
        let request = pb::ReconnectSiteRequest {
            site: site.to_owned(),
        };
        self.wait(inner.reconnect_site(request)).await?;
        Ok(())
    }

    /// Takes a site out for good.
    pub async fn remove(&self, site: &str) -> Result<RemovedView> {
        let mut inner = self.inner.clone();
        let request = pb::RemoveSiteRequest {
            site: site.to_owned(),
        };
        let reply = self.wait(inner.remove_site(request)).await?.into_inner();
        Ok(RemovedView {
            configured: reply.configured,
            journals: reply.journals,
        })
    }

    /// Reads configuration and certificates again.
    pub async fn reload(&self) -> Result<ReloadedView> {
        let mut inner = self.inner.clone();
        let reply = self.wait(inner.reload(pb::ReloadRequest {})).await?;
        let pb::ReloadReply {
            applied,
            needs_restart,
        } = reply.into_inner();
        Ok(ReloadedView {
            applied,
            needs_restart,
        })
    }

    /// Changes what the daemon logs; an empty filter: as configured. Returns what holds.
    pub async fn set_log_level(&self, filter: &str) -> Result<String> {
        let mut inner = self.inner.clone();
        let request = pb::SetLogLevelRequest {
            filter: filter.to_owned(),
        };
        let reply = self.wait(inner.set_log_level(request)).await?;
        Ok(reply.into_inner().filter)
    }

    /// Makes an invitation for a new site. Name of the site that answers, and the invitation.
    pub async fn invite(&self, wish: InviteWish) -> Result<(String, InviteView)> {
        let mut inner = self.inner.clone();
        let reply = self.wait(inner.invite(wire::invite::wish_to(wish))).await?;
        let mut reply = reply.into_inner();
        let site = std::mem::take(&mut reply.site);
        Ok((site, wire::invite::invite_from(reply)))
    }

    /// Name of the site that answers, and the invitations that it keeps, oldest first.
    pub async fn invitations(&self) -> Result<(String, Vec<InvitationView>)> {
        let mut inner = self.inner.clone();
        let request = pb::InvitationsRequest {};
        let reply = self.wait(inner.invitations(request)).await?.into_inner();
        let all = reply.invitations.into_iter();
        Ok((reply.site, all.map(wire::invite::invitation_from).collect()))
    }

    /// Withdraws an invitation; its whole id.
    pub async fn revoke(&self, id: &str) -> Result<String> {
        let mut inner = self.inner.clone();
        let request = pb::RevokeInvitationRequest { id: id.to_owned() };
        let reply = self.wait(inner.revoke_invitation(request)).await?;
        Ok(reply.into_inner().id)
    }

    /// Status and lag, then what changes of them. The stream begins within the patience of this client; every further
    /// update is waited for by whoever reads.
    pub async fn watch(&self, interval: Duration, shards: bool) -> Result<Updates> {
        let mut inner = self.inner.clone();
        let request = pb::WatchRequest {
            interval_us: Some(crate::clock::micros(interval)),
            shards,
        };
        let reply = self.wait(inner.watch(request)).await?;
        Ok(Updates {
            stream: reply.into_inner(),
            rights: None,
        })
    }

    /// What happened, oldest first, at most the latest `limit`; with `follow` what happens from here on, too.
    pub async fn events(
        &self,
        filter: EventFilter,
        follow: bool,
        limit: Option<u64>,
    ) -> Result<EventStream> {
        let mut inner = self.inner.clone();
        let request = wire::events_to(filter, follow, limit);
        let reply = self.wait(inner.events(request)).await?;
        Ok(EventStream(reply.into_inner()))
    }

    /// Calls `take` with what compaction makes of what is to be sent to peers, piece by piece, until it returns false.
    pub async fn preview(
        &self,
        wanted: PreviewRequest,
        mut take: impl FnMut(PreviewPiece) -> bool,
    ) -> Result<()> {
        let mut inner = self.inner.clone();
        let request = wire::preview::request_to(wanted);
        let taking = async move {
            let mut stream = inner.compact_preview(request).await?.into_inner();
            while let Some(piece) = stream.message().await? {
                let piece = match wire::preview::piece_from(piece) {
                    Ok(piece) => piece,
                    Err(missing) => return Ok(Err(malformed(missing))),
                };
                if !take(piece) {
                    break;
                }
            }
            Ok(Ok(()))
        };
        self.wait(taking).await?
    }

    /// The end of the journal of the answering site; with `follow` what comes from here on, too.
    pub async fn journal_tail(&self, request: TailRequest) -> Result<EntryStream> {
        let mut inner = self.inner.clone();
        let request = wire::tail::request_to(request);
        let reply = self.wait(inner.journal_tail(request)).await?;
        Ok(EntryStream(reply.into_inner()))
    }

    /// Gives several requests together the time of one.
    async fn wait_all<T>(&self, requests: impl Future<Output = Result<T>>) -> Result<T> {
        let waited = tokio::time::timeout(self.patience, requests).await;
        waited.unwrap_or_else(|_| {
            Err(ClientError::TimedOut {
                address: self.address.clone(),
                after: self.patience,
            })
        })
    }

    async fn wait<T>(&self, request: impl Future<Output = Result<T, Status>>) -> Result<T> {
        match tokio::time::timeout(self.patience, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(status)) => Err(refused_at(&status, &self.address)),
            Err(_) => Err(ClientError::TimedOut {
                address: self.address.clone(),
                after: self.patience,
            }),
        }
    }
}

/// Hands pieces of a file on until its end; returns their bytes.
async fn take_all<P>(
    mut stream: tonic::Streaming<P>,
    bytes_of: impl Fn(P) -> bytes::Bytes,
    take: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<Result<u64>, Status> {
    let mut size = 0;
    while let Some(piece) = stream.message().await? {
        let bytes = bytes_of(piece);
        if let Err(source) = take(&bytes) {
            return Ok(Err(ClientError::NotTaken { source }));
        }
        size += bytes.len() as u64;
    }
    Ok(Ok(size))
}

/// Looks of a daemon as they change.
#[derive(Debug)]
pub struct Updates {
    stream: tonic::Streaming<pb::WatchUpdate>,
    rights: Option<RightsView>,
}

impl Updates {
    /// The next one with the daemon's time. None: the daemon ended. Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError`]; nothing follows it.
    pub async fn next(&mut self) -> Result<Option<(TimestampUs, Update)>> {
        loop {
            let message = self.stream.message().await;
            let Some(mut update) = message.map_err(|status| refused(&status))? else {
                return Ok(None);
            };
            let at_us = update.at_us;
            if let Some(rights) = update.rights.take() {
                self.rights = Some(wire::rights_from(rights));
            }
            // What this build does not know is skipped: a newer daemon.
            if let Some(update) = wire::update_from(update).map_err(malformed)? {
                return Ok(Some((at_us, update)));
            }
        }
    }

    /// What the caller may do: told with the first update. None: not told yet, or by a daemon that does not tell.
    #[must_use]
    pub const fn rights(&self) -> Option<&RightsView> {
        self.rights.as_ref()
    }
}

/// Events of a daemon.
#[derive(Debug)]
pub struct EventStream(tonic::Streaming<pb::Event>);

impl EventStream {
    /// The next one. None: that was all, or the daemon ended. Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError`]; nothing follows it.
    pub async fn next(&mut self) -> Result<Option<EventView>> {
        let event = self.0.message().await.map_err(|status| refused(&status))?;
        Ok(event.map(wire::event_from))
    }
}

/// Entries of the journal as they come.
#[derive(Debug)]
pub struct EntryStream(tonic::Streaming<pb::JournalEntries>);

impl EntryStream {
    /// The next ones. None: that was all, or the daemon ended. Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError`]; nothing follows it.
    pub async fn next(&mut self) -> Result<Option<Vec<EntryView>>> {
        let some = self.0.message().await.map_err(|status| refused(&status))?;
        Ok(some.map(|some| {
            let entries = some.entries.into_iter();
            entries.map(wire::tail::entry_from).collect()
        }))
    }
}

fn malformed(missing: wire::Missing) -> ClientError {
    ClientError::Malformed { missing: missing.0 }
}

fn refused(status: &Status) -> ClientError {
    // What the daemon says has no source here; what the connection says has one.
    if let Some(source) = std::error::Error::source(status) {
        let mut deepest = source;
        while let Some(cause) = deepest.source() {
            deepest = cause;
        }
        return ClientError::Refused {
            code: Code::Unavailable,
            message: BROKE.to_owned(),
            causes: vec![deepest.to_string()],
            hint: Some("see whether the daemon runs, and its log".to_owned()),
        };
    }
    // Details that do not decode are those of someone else; the message stands by itself.
    let details = pb::Refusal::decode(status.details()).unwrap_or_default();
    let message = match status.message() {
        "" if status.code() == Code::Unimplemented => UNKNOWN.to_owned(),
        "" => format!("the daemon refused: {:?}", status.code()),
        message => message.to_owned(),
    };
    ClientError::Refused {
        code: status.code(),
        message,
        causes: details.causes,
        hint: Some(details.hint).filter(|hint| !hint.is_empty()),
    }
}

/// The same, with what it may mean over the network: there a certificate is shown, and other services listen.
fn refused_at(status: &Status, address: &Address) -> ClientError {
    let mut error = refused(status);
    if let (Address::Network(_), ClientError::Refused { message, hint, .. }) = (address, &mut error)
    {
        if message == BROKE {
            *hint = Some(SHOWN.to_owned());
        } else if message == UNKNOWN {
            *hint = Some(OTHER_PORT.to_owned());
        }
    }
    error
}

/// What the system said, from the depths of a transport error.
fn io_cause(error: &(dyn std::error::Error + 'static)) -> Option<io::Error> {
    let mut source = Some(error);
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref::<io::Error>() {
            return Some(found.raw_os_error().map_or_else(
                || io::Error::new(found.kind(), found.to_string()),
                io::Error::from_raw_os_error,
            ));
        }
        source = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_the_network_an_end_or_an_unknown_question_has_more_causes() {
        let network: Address = "tls:fra:7443/fra-1.lab.cfs-repl".parse().unwrap();
        let told = |status: &Status, address: &Address| {
            let ClientError::Refused { message, hint, .. } = refused_at(status, address) else {
                panic!("no refusal");
            };
            (message, hint.unwrap_or_default())
        };
        let unknown = Status::new(Code::Unimplemented, "");
        let (message, hint) = told(&unknown, &network);
        assert_eq!(message, UNKNOWN);
        assert!(
            hint.contains("admin.listen") && hint.contains("older"),
            "{hint}"
        );
        assert_eq!(told(&unknown, &Address::socket("/x")).1, "");
        let broke = Status::from_error(Box::new(io::Error::other("connection closed")));
        let (message, hint) = told(&broke, &network);
        assert_eq!(message, BROKE);
        assert!(hint.contains("--identity"), "{hint}");
        let (_, hint) = told(&broke, &Address::socket("/x"));
        assert_eq!(hint, "see whether the daemon runs, and its log");
    }

    #[test]
    fn details_of_another_making_leave_the_message_alone() {
        let status = Status::with_details(Code::NotFound, "no site", vec![0xff; 3].into());
        let ClientError::Refused {
            code,
            message,
            causes,
            hint,
        } = refused(&status)
        else {
            panic!("no refusal");
        };
        assert_eq!((code, message.as_str()), (Code::NotFound, "no site"));
        assert_eq!((causes, hint), (Vec::new(), None));
    }
}
