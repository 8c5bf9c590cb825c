//! The gate before every service of the daemon: finds out who asks, and lets through who may.
//!
//! What a request may do goes with it, so that a service can tell a reader beforehand what it would be refused.
//!
//! Groups are asked of the system with each request (`getgrouplist(3)`, so that LDAP and the like count): who was
//! taken out of a group is out at the next one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo, UdsConnectInfo};
use tonic::{Code, Status};

use super::status;
use crate::admin::access::{Access, Caller, Right, wanted};
use crate::admin::view::RightsView;
use crate::conduit::tls::names_of;

/// Puts a [`Gate`] before a service.
#[derive(Debug, Clone)]
pub(super) struct GateLayer(pub(super) Arc<Access>);

impl<S> tower::Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        let access = Arc::clone(&self.0);
        Gate { inner, access }
    }
}

/// Lets requests through to `inner`; who asks goes with them as [`Caller`].
#[derive(Debug, Clone)]
pub(super) struct Gate<S> {
    inner: S,
    access: Arc<Access>,
}

impl<S> tower::Service<http::Request<Body>> for Gate<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The one that is ready answers; its clone may not be.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let access = Arc::clone(&self.access);
        let shown = shown(&request);
        Box::pin(async move {
            let caller = caller(shown, access.is_shared()).await;
            let path = request.uri().path();
            let wanted = wanted(path);
            if !access.permits(&caller, wanted) {
                tracing::warn!(%caller, path, "admin request refused");
                return Ok(refused(&access, &caller, wanted).into_http());
            }
            request.extensions_mut().insert(rights(&access, &caller));
            request.extensions_mut().insert(caller);
            inner.call(request).await
        })
    }
}

/// What kernel or certificate tell of a caller.
enum Shown {
    Certificate(Vec<String>),
    User { uid: u32, gid: u32 },
    Nothing,
}

fn shown(request: &http::Request<Body>) -> Shown {
    let extensions = request.extensions();
    if let Some(info) = extensions.get::<TlsConnectInfo<TcpConnectInfo>>() {
        let certificates = info.peer_certs();
        let leaf = certificates.as_ref().and_then(|all| all.first());
        return leaf.map_or(Shown::Nothing, |leaf| Shown::Certificate(names_of(leaf)));
    }
    let told = extensions.get::<UdsConnectInfo>();
    match told.and_then(|info| info.peer_cred) {
        Some(cred) => Shown::User {
            uid: cred.uid(),
            gid: cred.gid(),
        },
        None => Shown::Nothing,
    }
}

/// Who asks.
async fn caller(shown: Shown, asks_groups: bool) -> Caller {
    match shown {
        Shown::Nothing => Caller::Unknown,
        Shown::Certificate(names) => Caller::Certificate { names },
        Shown::User { uid, gid } => {
            // The system may have to ask a server for names and groups.
            let looked = tokio::task::spawn_blocking(move || user(uid, gid, asks_groups)).await;
            looked.unwrap_or_default()
        }
    }
}

fn user(uid: u32, gid: u32, asks_groups: bool) -> Caller {
    let user = uzers::get_user_by_uid(uid);
    let mut groups = vec![gid];
    if asks_groups && let Some(user) = &user {
        let all = uzers::get_user_groups(user.name(), user.primary_group_id());
        groups.extend(all.unwrap_or_default().iter().map(uzers::Group::gid));
    }
    Caller::User {
        uid,
        name: user.map(|user| user.name().to_string_lossy().into_owned()),
        groups,
    }
}

/// Why a request is refused, and what would help.
fn refused(access: &Access, caller: &Caller, wanted: Right) -> Status {
    let may_look = access.right_of(caller) == Some(Right::Look);
    let hint = hint(caller, may_look);
    let what = match wanted {
        Right::Act if may_look => format!("{caller} may look, and may not do this"),
        Right::Look | Right::Act => format!("{caller} may not ask this daemon"),
    };
    status(Code::PermissionDenied, what, Vec::new(), hint)
}

/// What lets somebody in, or act.
const fn hint(caller: &Caller, may_look: bool) -> &'static str {
    match caller {
        Caller::Certificate { .. } => {
            "add a DNS name of the certificate to admin.allow of the daemon, and restart it"
        }
        Caller::User { .. } | Caller::Unknown if may_look => {
            "run the command as a member of admin.write_group, as the user of the daemon, or as root"
        }
        Caller::User { .. } | Caller::Unknown => {
            "run the command as the user of the daemon, or as root; admin.read_group and \
             admin.write_group of the daemon let others in"
        }
    }
}

/// What a caller may do that was let through.
fn rights(access: &Access, caller: &Caller) -> RightsView {
    let act = access.right_of(caller) == Some(Right::Act);
    let hint = if act { "" } else { hint(caller, true) };
    RightsView {
        act,
        caller: caller.to_string(),
        hint: hint.to_owned(),
    }
}

/// What whoever asks may do, as the gate found. None: no gate stands before this service.
pub(super) fn rights_of(extensions: &tonic::Extensions) -> Option<RightsView> {
    extensions.get::<RightsView>().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_only_look_learns_so_and_what_would_help_and_who_may_act_learns_that() {
        let access = Access {
            own_uid: 900,
            look_gid: Some(50),
            act_gid: Some(60),
            ..Access::default()
        };
        let ana = |groups: &[u32]| Caller::User {
            uid: 1_001,
            name: Some("ana".to_owned()),
            groups: groups.to_vec(),
        };
        let looks = rights(&access, &ana(&[50]));
        assert!(!looks.act && looks.caller == "ana", "{looks:?}");
        assert!(looks.hint.contains("admin.write_group"), "{looks:?}");
        // What is refused later says the same.
        let later = refused(&access, &ana(&[50]), Right::Act);
        let details = String::from_utf8_lossy(later.details()).into_owned();
        assert!(details.contains(&looks.hint), "{details}");
        let acts = rights(&access, &ana(&[60]));
        assert!(acts.act && acts.hint.is_empty(), "{acts:?}");
    }
}
