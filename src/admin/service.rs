//! Serves a [`Source`] on a unix socket, and over the network to those who show a listed certificate.
//!
//! Who may ask what is decided with each request by what the kernel or the certificate tells (see [`super::access`]); the
//! mode of the socket only keeps those out early who may do nothing anyway.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::Connected;
use tonic::{Code, Request, Response, Status};

use super::access::{Access, Caller};
use super::filter::{AckRequest, Matcher, RestoreRequest};
use super::{AdminError, Source, wire};
use crate::conduit::accept::accept;
use crate::conduit::slots::{Held, Slots};
use crate::conduit::tls::{Tls, names_of};
use crate::daemon::tasks::Tasks;
use crate::error::{ReplError, Result};
use crate::proto::admin as pb;
use crate::sync::conflict::ConflictId;
use pb::admin_server::{Admin, AdminServer};

mod gate;
mod socket;
mod standard;
mod watch;

/// Conflicts in one page: some 300 bytes each, far below the 4 MiB that a gRPC message may have.
pub const PAGE_CONFLICTS: usize = 256;
/// Accepted connections that wait for the server, and requests under way on one connection. A handful of operators
/// and scripts; more only slow each other down.
const REQUESTS_MAX: usize = 32;
/// Connections at once, besides those of the daemon's own user and of root.
const CONNECTIONS_MAX: usize = 128;
/// Those of one user, or of one certificate.
const OF_ONE_MAX: usize = 32;
/// Those of all certificates together that may do nothing.
const STRANGERS_MAX: usize = 8;
/// Longest that a request may take. A restore copies a file; everything else is quick.
const REQUEST_MAX: Duration = Duration::from_secs(300);
/// How long requests under way may take to end when the daemon does; those who only watch stay as long as they may.
const GOODBYE: Duration = Duration::from_secs(2);
/// Owner alone, as for everything in the state folder.
const SOCKET_MODE: u32 = 0o600;
/// Everybody who reaches it: with groups, who asks decides and not the file, which could have one group only.
const SHARED_SOCKET_MODE: u32 = 0o666;

/// Where a daemon is asked, and by whom.
#[derive(Debug)]
pub struct Doors {
    /// Path of the unix socket.
    pub socket: PathBuf,
    /// Who may do what.
    pub access: Access,
    /// Where it is asked over the network, with certificates on both sides. None: nowhere.
    pub network: Option<(TcpListener, Arc<Tls>)>,
}

/// Serves `source` at these `doors` until `tasks` ends, which removes the socket. Within a Tokio runtime.
///
/// # Errors
/// The path is too long, something else than a dead socket stands there, a daemon answers on it, or the system
/// refuses.
pub fn serve(tasks: &Tasks, doors: Doors, source: Arc<dyn Source>) -> Result<()> {
    let Doors {
        socket,
        access,
        network,
    } = doors;
    let mode = if access.is_shared() {
        SHARED_SOCKET_MODE
    } else {
        SOCKET_MODE
    };
    let listener = socket::bind(&socket, mode)?;
    let bound = socket::mark(&socket);
    let (ready, incoming) = mpsc::channel(REQUESTS_MAX);
    let own = tasks.clone();
    let own_uid = access.own_uid;
    tasks.spawn("admin accept", async move {
        let accepting = socket::accept(listener, ready, own_uid);
        let ended = own.token().run_until_cancelled(accepting).await;
        if ended.is_some() {
            tracing::debug!("admin server ended before its accept loop");
        }
        socket::remove(&socket, bound);
    });
    let service = Service {
        source,
        tasks: tasks.clone(),
    };
    let service = Arc::new(service);
    let access = Arc::new(access);
    let gate = gate::GateLayer(Arc::clone(&access));
    run(tasks, (&service, &gate), incoming)?;
    if let Some((listener, tls)) = network {
        let (ready, incoming) = mpsc::channel(REQUESTS_MAX);
        let handshake = move |stream| {
            let acceptor = tokio_rustls::TlsAcceptor::from(tls.server());
            acceptor.accept(stream)
        };
        let slots = Slots::new(CONNECTIONS_MAX);
        let sort = move |stream: TlsStream<TcpStream>, _| {
            let certificates = stream.get_ref().1.peer_certificates();
            let names = certificates.and_then(|all| all.first()).map(names_of);
            let names = names.unwrap_or_default();
            let known = names
                .into_iter()
                .find(|name| access.certificates.contains(name));
            // Who may do nothing is told so, and shares a few places with all others of that kind.
            let most = known.as_ref().map_or(STRANGERS_MAX, |_| OF_ONE_MAX);
            let slot = slots.take(known, most)?;
            Some((ready.clone(), Held::new(stream, Some(slot))))
        };
        accept(tasks, listener, handshake, sort);
        run(tasks, (&service, &gate), incoming)?;
    }
    Ok(())
}

/// Answers on the connections of one door.
fn run<I>(
    tasks: &Tasks,
    (service, gate): (&Arc<Service>, &gate::GateLayer),
    incoming: mpsc::Receiver<std::io::Result<I>>,
) -> Result<()>
where
    I: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let (reporter, health) = tonic_health::server::health_reporter();
    let router = tonic::transport::Server::builder()
        .concurrency_limit_per_connection(REQUESTS_MAX)
        .timeout(REQUEST_MAX)
        .layer(gate.clone())
        .add_service(AdminServer::from_arc(Arc::clone(service)))
        .add_service(health)
        .add_service(standard::reflection()?)
        .add_service(standard::reflection_alpha()?);
    let stop = tasks.token().clone();
    tasks.spawn("admin server", async move {
        standard::tell(&reporter, true).await;
        let stopped = stop.clone().cancelled_owned();
        let incoming = ReceiverStream::new(incoming);
        let serving = router.serve_with_incoming_shutdown(incoming, stopped);
        let goodbye = async {
            stop.cancelled().await;
            standard::tell(&reporter, false).await;
            // Whoever watches does not keep the daemon from ending.
            tokio::time::sleep(GOODBYE).await;
        };
        tokio::select! {
            served = serving => if let Err(error) = served {
                tracing::error!(%error, "admin server ended");
            },
            () = goodbye => {}
        }
    });
    Ok(())
}

struct Service {
    source: Arc<dyn Source>,
    tasks: Tasks,
}

type Reply<T> = Result<Response<T>, Status>;
type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Admin for Service {
    type ConflictsStream = Replies<pb::ConflictsPage>;
    type ReadLoserStream = Replies<pb::LoserPiece>;
    type ReadShownStream = Replies<pb::ShownPiece>;
    type WatchStream = Replies<pb::WatchUpdate>;
    type EventsStream = Replies<pb::Event>;
    type CompactPreviewStream = Replies<pb::CompactPreviewPiece>;
    type JournalTailStream = Replies<pb::JournalEntries>;

    async fn status(&self, _: Request<pb::StatusRequest>) -> Reply<pb::StatusReply> {
        let look = self.source.overview().await.map_err(refusal)?;
        Ok(Response::new(wire::status_to(look.status)))
    }

    async fn lag(&self, request: Request<pb::LagRequest>) -> Reply<pb::LagReply> {
        let mut lag = self.source.overview().await.map_err(refusal)?.lag;
        if !request.into_inner().shards {
            for site in &mut lag.sites {
                site.shards.clear();
            }
        }
        Ok(Response::new(wire::lags_to(lag)))
    }

    async fn watch(&self, request: Request<pb::WatchRequest>) -> Reply<Self::WatchStream> {
        let source = Arc::clone(&self.source);
        let rights = gate::rights_of(request.extensions());
        let updates = watch::watch(&self.tasks, source, request.get_ref(), rights);
        Ok(Response::new(updates))
    }

    async fn events(&self, request: Request<pb::EventsRequest>) -> Reply<Self::EventsStream> {
        let events = watch::events(&self.tasks, &self.source, request.into_inner());
        Ok(Response::new(events))
    }

    async fn conflicts(
        &self,
        request: Request<pb::ConflictsRequest>,
    ) -> Reply<Self::ConflictsStream> {
        let pb::ConflictsRequest { filter, limit } = request.into_inner();
        let filter = matcher(filter.unwrap_or_default())?;
        let mut ids = self.source.find_conflicts(&filter).await.map_err(refusal)?;
        let found = ids.len() as u64;
        let limit = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        ids.drain(..ids.len().saturating_sub(limit));
        let source = Arc::clone(&self.source);
        // A page is looked up when the one before was taken: the daemon never holds all of them.
        let pages = tokio_stream::iter(pages(ids)).then(move |ids| {
            let source = Arc::clone(&source);
            async move {
                let views = source.conflicts(&ids).await.map_err(refusal)?;
                Ok(pb::ConflictsPage {
                    site: source.site(),
                    conflicts: views.into_iter().map(wire::conflict_to).collect(),
                    found,
                })
            }
        });
        Ok(Response::new(Box::pin(pages)))
    }

    async fn show_conflict(
        &self,
        request: Request<pb::ShowConflictRequest>,
    ) -> Reply<pb::ShowConflictReply> {
        let shown = self.source.show(&request.into_inner().id).await;
        let detail = shown.map_err(refusal)?;
        Ok(Response::new(wire::detail_to(self.source.site(), detail)))
    }

    async fn read_loser(
        &self,
        request: Request<pb::ReadLoserRequest>,
    ) -> Reply<Self::ReadLoserStream> {
        let pieces = self.source.loser(&request.into_inner().id).await;
        let pieces = ReceiverStream::new(pieces.map_err(refusal)?).map(|piece| {
            let bytes = piece.map_err(|error| refusal(error.into()))?;
            Ok(pb::LoserPiece { bytes })
        });
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn read_shown(
        &self,
        request: Request<pb::ReadShownRequest>,
    ) -> Reply<Self::ReadShownStream> {
        let pb::ReadShownRequest { id, bytes_max } = request.into_inner();
        let pieces = self.source.shown(&id, bytes_max).await;
        let pieces = ReceiverStream::new(pieces.map_err(refusal)?).map(|piece| {
            let bytes = piece.map_err(|error| refusal(error.into()))?;
            Ok(pb::ShownPiece { bytes })
        });
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn restore_conflict(
        &self,
        request: Request<pb::RestoreConflictRequest>,
    ) -> Reply<pb::RestoreConflictReply> {
        let by = caller(&request);
        let request = request.into_inner();
        let wanted = RestoreRequest {
            id: &request.id,
            as_path: request.as_path.as_deref(),
            over_later: request.over_later,
        };
        let restored = self.source.restore(wanted, &by).await;
        let view = restored.map_err(refusal)?;
        // Without its path: names stay out of the log.
        tracing::info!(conflict = view.id, by, "loser of a conflict restored");
        Ok(Response::new(wire::restored_to(view)))
    }

    async fn ack_conflicts(
        &self,
        request: Request<pb::AckConflictsRequest>,
    ) -> Reply<pb::AckConflictsReply> {
        let by = caller(&request);
        let request = request.into_inner();
        let pb::AckConflictsRequest { dry_run, undo, .. } = request;
        let wanted = AckRequest {
            ids: request.ids,
            filter: request.filter.map(matcher).transpose()?,
            expect: request.expect,
            note: request.note,
            dry_run,
            undo,
        };
        let views = self.source.ack(wanted, &by).await.map_err(refusal)?;
        for view in views.iter().filter(|view| view.changed && !dry_run) {
            let conflict = &view.id;
            if undo {
                tracing::info!(conflict, by, "acknowledgement of a conflict taken back");
            } else {
                tracing::info!(conflict, by, "conflict acknowledged");
            }
        }
        Ok(Response::new(wire::acked_to(views)))
    }

    async fn resume_site(
        &self,
        request: Request<pb::ResumeSiteRequest>,
    ) -> Reply<pb::ResumeSiteReply> {
        let by = caller(&request);
        let pb::ResumeSiteRequest { site, confirm } = request.into_inner();
        let resumed = self.source.resume(&site, confirm, &by).await;
        let view = resumed.map_err(refusal)?;
        if view.changed {
            tracing::info!(site = view.site, by, "site resumed by an operator");
        }
        Ok(Response::new(wire::resumed_to(view)))
    }

    async fn pause_site(
        &self,
        request: Request<pb::PauseSiteRequest>,
    ) -> Reply<pb::PauseSiteReply> {
        let by = caller(&request);
        let pb::PauseSiteRequest { site, note } = request.into_inner();
        let paused = self.source.pause(&site, &note, &by).await;
        let changed = paused.map_err(refusal)?;
        if changed {
            tracing::warn!(site, by, "site paused by an operator");
        }
        Ok(Response::new(pb::PauseSiteReply { site, changed }))
    }

    async fn reconnect_site(
        &self,
        request: Request<pb::ReconnectSiteRequest>,
    ) -> Reply<pb::ReconnectSiteReply> {
        let by = caller(&request);
        let pb::ReconnectSiteRequest { site } = request.into_inner();
        self.source.reconnect(&site, &by).await.map_err(refusal)?;
        tracing::info!(site, by, "connection made anew by an operator");
        Ok(Response::new(pb::ReconnectSiteReply { site }))
    }

    async fn remove_site(
        &self,
        request: Request<pb::RemoveSiteRequest>,
    ) -> Reply<pb::RemoveSiteReply> {
        let by = caller(&request);
        let pb::RemoveSiteRequest { site } = request.into_inner();
        let removed = self.source.remove(&site, &by).await.map_err(refusal)?;
        tracing::warn!(site, by, "site taken out by an operator");
        Ok(Response::new(pb::RemoveSiteReply {
            site,
            configured: removed.configured,
            journals: removed.journals,
        }))
    }

    async fn reload(&self, request: Request<pb::ReloadRequest>) -> Reply<pb::ReloadReply> {
        let reloaded = self.source.reload(&caller(&request)).await;
        let view = reloaded.map_err(refusal)?;
        Ok(Response::new(pb::ReloadReply {
            applied: view.applied,
            needs_restart: view.needs_restart,
        }))
    }

    async fn set_log_level(
        &self,
        request: Request<pb::SetLogLevelRequest>,
    ) -> Reply<pb::SetLogLevelReply> {
        let by = caller(&request);
        let wanted = request.into_inner().filter;
        let set = self.source.set_log_level(&wanted, &by).await;
        let filter = set.map_err(refusal)?;
        tracing::warn!(filter, by, "what is logged was changed by an operator");
        Ok(Response::new(pb::SetLogLevelReply { filter }))
    }

    async fn invite(&self, request: Request<pb::InviteRequest>) -> Reply<pb::InviteReply> {
        let by = caller(&request);
        let wish = wire::invite::wish_from(request.into_inner());
        let made = self.source.invite(wish, &by).await.map_err(refusal)?;
        let reply = wire::invite::invite_to(self.source.site(), made);
        Ok(Response::new(reply))
    }

    async fn invitations(&self, _: Request<pb::InvitationsRequest>) -> Reply<pb::InvitationsReply> {
        let all = self.source.invitations().await.map_err(refusal)?;
        let all = all.into_iter().map(wire::invite::invitation_to);
        Ok(Response::new(pb::InvitationsReply {
            site: self.source.site(),
            invitations: all.collect(),
        }))
    }

    async fn revoke_invitation(
        &self,
        request: Request<pb::RevokeInvitationRequest>,
    ) -> Reply<pb::RevokeInvitationReply> {
        let by = caller(&request);
        let revoked = self.source.revoke(&request.into_inner().id, &by).await;
        let id = revoked.map_err(refusal)?;
        Ok(Response::new(pb::RevokeInvitationReply { id }))
    }

    async fn compact_preview(
        &self,
        request: Request<pb::CompactPreviewRequest>,
    ) -> Reply<Self::CompactPreviewStream> {
        let request = wire::preview::request_from(request.into_inner());
        let pieces = self.source.preview(request).await.map_err(refusal)?;
        let pieces = ReceiverStream::new(pieces).map(|piece| {
            let piece = piece.map_err(|error| refusal(error.into()))?;
            Ok(wire::preview::piece_to(piece))
        });
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn journal_tail(
        &self,
        request: Request<pb::JournalTailRequest>,
    ) -> Reply<Self::JournalTailStream> {
        let request = wire::tail::request_from(request.into_inner());
        let entries = self.source.tail(request).await.map_err(refusal)?;
        let entries = ReceiverStream::new(entries).map(|some| {
            let some = some.map_err(|error| refusal(error.into()))?.into_iter();
            let entries = some.map(wire::tail::entry_to).collect();
            Ok(pb::JournalEntries { entries })
        });
        Ok(Response::new(Box::pin(entries)))
    }
}

/// Who asks, for the record.
fn caller<T>(request: &Request<T>) -> String {
    let caller = request.extensions().get::<Caller>();
    caller.cloned().unwrap_or_default().to_string()
}

/// At least one page, so that the reader always learns who answers.
fn pages(ids: Vec<ConflictId>) -> Vec<Vec<ConflictId>> {
    if ids.is_empty() {
        return vec![ids];
    }
    ids.chunks(PAGE_CONFLICTS).map(<[_]>::to_vec).collect()
}

/// The filter, ready to be asked.
fn matcher(filter: pb::ConflictFilter) -> Result<Matcher, Status> {
    let pattern = filter.path.clone().unwrap_or_default();
    wire::filter_from(filter).matcher().map_err(|why| {
        let what = format!("\"{pattern}\" is no pattern for paths");
        let hint = "`*` and `?` stand for what is within a name, `**` for any directories";
        status(Code::InvalidArgument, what, vec![why], hint)
    })
}

/// A refusal as a status: what in its message, why and what to do in its details.
fn refusal(error: AdminError) -> Status {
    let what = error.to_string();
    match error {
        AdminError::SiteUnknown { known, .. } => {
            let cause = match known.as_slice() {
                [] => "no peers are configured".to_owned(),
                known => format!("peers are: {}", known.join(", ")),
            };
            let hint = "cfs-repl status lists the sites";
            status(Code::NotFound, what, vec![cause], hint)
        }
        AdminError::ConflictUnknown { .. } => {
            let hint = "cfs-repl conflicts list shows those there are";
            status(Code::NotFound, what, Vec::new(), hint)
        }
        AdminError::InvitationUnknown { .. } => {
            let hint = "cfs-repl peer invitations shows those there are";
            status(Code::NotFound, what, Vec::new(), hint)
        }
        AdminError::ConflictAmbiguous { found, .. } => {
            let first = vec![format!("the first of them: {}", found.join(", "))];
            status(Code::InvalidArgument, what, first, "give more of the id")
        }
        AdminError::Unexpected { .. } => {
            let hint = "look at them again: cfs-repl conflicts list";
            status(Code::Aborted, what, Vec::new(), hint)
        }
        AdminError::NotPossible { hint, .. } => {
            status(Code::FailedPrecondition, what, Vec::new(), &hint)
        }
        AdminError::Invalid { hint, .. } => status(Code::InvalidArgument, what, Vec::new(), &hint),
        AdminError::Taken { hint, .. } => status(Code::AlreadyExists, what, Vec::new(), &hint),
        AdminError::Unreadable(error) => failed(&error, what),
        AdminError::Failed(error) => failed(&error, what),
    }
}

fn failed(error: &ReplError, what: String) -> Status {
    tracing::warn!(%error, "admin request failed");
    let mut causes = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    status(code_of(error), what, causes, "see the log of the daemon")
}

/// The code of a failing part. None of them says that the daemon cannot be reached unless it is about to be so.
fn code_of(error: &ReplError) -> Code {
    match error {
        ReplError::SiteUnknown { .. } => Code::NotFound,
        ReplError::WalCorrupted { .. } => Code::DataLoss,
        ReplError::ConflictDetected { .. } => Code::Aborted,
        ReplError::VersionMismatch { .. } => Code::FailedPrecondition,
        ReplError::Shutdown => Code::Unavailable,
        ReplError::Io { .. } if error.is_disk_full() => Code::ResourceExhausted,
        ReplError::Io { .. }
        | ReplError::Journal { .. }
        | ReplError::NetworkError { .. }
        | ReplError::Serialization { .. } => Code::Internal,
    }
}

fn status(code: Code, what: String, causes: Vec<String>, hint: &str) -> Status {
    let details = pb::Refusal {
        causes,
        hint: hint.to_owned(),
    };
    Status::with_details(code, what, Bytes::from(details.encode_to_vec()))
}

#[cfg(test)]
pub(crate) mod tests;
