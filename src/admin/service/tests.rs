//! Service and client over a real socket, with a source that says what the test wants.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Mutex;
use std::{fs, io};

use tokio::net::UnixStream;
use tokio::sync::broadcast;

use super::super::client::{Address, Client, ClientError};
use super::super::filter::ConflictFilter;
use super::super::view::journal::tests::entry;
use super::super::view::journal::{EntryView, TailRequest};
use super::super::view::preview::tests::{fate, preview};
use super::super::view::preview::{Outcome, PreviewPiece, PreviewRequest};
use super::super::view::tests::{conflict, detail, lag, status as status_view};
use super::super::view::{
    AckView, AckedView, ConflictDetail, ConflictView, EventFilter, EventView, InvitationState,
    InvitationView, InviteView, InviteWish, Overview, ReloadedView, RemovedView, RestoredView,
    ResumedView,
};
use super::super::{AdminError, Entries, Pieces, Previews, Result as AdminResult};
use super::*;
use crate::config::SOCKET_BYTES_MAX;

const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon that knows the sample views, one held site and one conflict that can be restored.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    /// Conflicts besides the sample.
    pub(crate) more: Vec<ConflictView>,
    /// Never answers.
    pub(crate) hangs: bool,
    /// What is seen at the first looks; later always the same.
    pub(crate) looks: Mutex<VecDeque<AdminResult<Overview>>>,
    /// What happened.
    pub(crate) past: Vec<EventView>,
    /// Tells what happens.
    pub(crate) told: Told,
}

/// Where events are told.
#[derive(Debug)]
pub(crate) struct Told(broadcast::Sender<Arc<EventView>>);

impl Default for Told {
    fn default() -> Self {
        Self(broadcast::channel(4).0)
    }
}

impl std::ops::Deref for Told {
    type Target = broadcast::Sender<Arc<EventView>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

#[tonic::async_trait]
impl Source for Fake {
    fn site(&self) -> String {
        "fra-1".to_owned()
    }

    async fn overview(&self) -> AdminResult<Overview> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let mut looks = self.looks.lock().unwrap();
        if let Some(look) = looks.pop_front() {
            return look;
        }
        Ok(Overview {
            status: status_view(),
            lag: lag(),
        })
    }

    fn events(
        &self,
        filter: &EventFilter,
    ) -> (Vec<EventView>, broadcast::Receiver<Arc<EventView>>) {
        let past = self.past.iter().filter(|event| filter.lets_through(event));
        (past.cloned().collect(), self.told.subscribe())
    }

    async fn pause(&self, site: &str, note: &str, by: &str) -> AdminResult<bool> {
        Ok((site, note) == ("iad-2", "why") && by != "unknown")
    }

    async fn reconnect(&self, site: &str, _: &str) -> AdminResult<()> {
        match site {
            "iad-2" => Ok(()),
            _ => Err(AdminError::NotPossible {
                what: "paused".to_owned(),
                hint: "resume".to_owned(),
            }),
        }
    }

    async fn remove(&self, site: &str, by: &str) -> AdminResult<RemovedView> {
        self.reconnect(site, by).await?;
        Ok(RemovedView::default())
    }

    async fn reload(&self, _: &str) -> AdminResult<ReloadedView> {
        Ok(ReloadedView {
            applied: vec!["peer".to_owned()],
            needs_restart: vec!["tree".to_owned()],
        })
    }

    async fn set_log_level(&self, filter: &str, _: &str) -> AdminResult<String> {
        match filter {
            "debug" => Ok("debug".to_owned()),
            _ => Err(AdminError::Invalid {
                what: "no filter".to_owned(),
                hint: "debug".to_owned(),
            }),
        }
    }

    async fn invite(&self, wish: InviteWish, _: &str) -> AdminResult<InviteView> {
        if wish.site.as_deref() == Some("iad-2") {
            return Err(AdminError::Taken {
                what: "taken".to_owned(),
                hint: "another".to_owned(),
            });
        }
        Ok(InviteView {
            id: (!wish.dry_run).then(|| "i-7".to_owned()),
            token: (!wish.dry_run).then(|| format!("{:?}", wish.valid_us)),
            expires_us: 7,
            endpoints: wish.endpoints,
            others: vec!["sin-1".to_owned()],
        })
    }

    async fn invitations(&self) -> AdminResult<Vec<InvitationView>> {
        Ok(vec![
            InvitationView {
                id: "i-0123456789".to_owned(),
                state: InvitationState::Used,
                name: Some("iad-2".to_owned()),
                made_by: "ana".to_owned(),
                expires_us: 7,
                used_by: Some("iad-2".to_owned()),
                used_us: Some(3),
            },
            InvitationView {
                id: "i-7".to_owned(),
                state: InvitationState::Open,
                made_by: "x\u{1b}[2J".to_owned(),
                ..InvitationView::default()
            },
        ])
    }

    async fn revoke(&self, id: &str, _: &str) -> AdminResult<String> {
        match id {
            "i" | "i-7" => Ok("i-7".to_owned()),
            _ => Err(AdminError::InvitationUnknown { id: id.to_owned() }),
        }
    }

    async fn find_conflicts(&self, filter: &Matcher) -> AdminResult<Vec<ConflictId>> {
        let all = std::iter::once(conflict()).chain(self.more.clone());
        let through = all.enumerate().filter(|(_, one)| {
            filter.lets_through_apart_from_path(one)
                && filter.lets_path_through(one.path.as_deref())
        });
        Ok(through.map(|(nth, _)| numbered(nth)).collect())
    }

    async fn conflicts(&self, ids: &[ConflictId]) -> AdminResult<Vec<ConflictView>> {
        let all = std::iter::once(conflict()).chain(self.more.clone());
        let wanted = all
            .enumerate()
            .filter(|(nth, _)| ids.contains(&numbered(*nth)));
        Ok(wanted.map(|(_, one)| one).collect())
    }

    async fn show(&self, id: &str) -> AdminResult<ConflictDetail> {
        match id {
            "c-bygtc5qnmf" => Ok(detail()),
            _ => Err(AdminError::ConflictUnknown { id: id.to_owned() }),
        }
    }

    async fn loser(&self, id: &str) -> AdminResult<Pieces> {
        let (tell, pieces) = mpsc::channel(4);
        for piece in ["what ", "lost"] {
            tell.try_send(Ok(Bytes::from(piece))).unwrap();
        }
        match id {
            "c-bygtc5qnmf" => {}
            "c-torn" => {
                let error = io::Error::other("bad sector");
                tell.try_send(Err(ReplError::io("read", "/x", error)))
                    .unwrap();
            }
            _ => return Err(AdminError::ConflictUnknown { id: id.to_owned() }),
        }
        Ok(pieces)
    }

    async fn shown(&self, id: &str, bytes_max: Option<u64>) -> AdminResult<Pieces> {
        let (tell, pieces) = mpsc::channel(4);
        for piece in ["what ", "is shown"] {
            tell.try_send(Ok(Bytes::from(piece))).unwrap();
        }
        match (id, bytes_max) {
            ("c-bygtc5qnmf", None | Some(13..)) => Ok(pieces),
            ("c-bygtc5qnmf", Some(_)) => Err(AdminError::NotPossible {
                what: "it has more bytes".to_owned(),
                hint: "look at the tree".to_owned(),
            }),
            _ => Err(AdminError::ConflictUnknown { id: id.to_owned() }),
        }
    }

    async fn restore(&self, wanted: RestoreRequest<'_>, _: &str) -> AdminResult<RestoredView> {
        let id = wanted.id.to_owned();
        match id.as_str() {
            "c-lost" => Err(AdminError::NotPossible {
                what: "nothing is kept of c-lost".to_owned(),
                hint: "look at the other sites".to_owned(),
            }),
            "c" => Err(AdminError::ConflictAmbiguous {
                id,
                found: vec!["c-bygtc5qnmf".to_owned(), "c-lost".to_owned()],
            }),
            "c-later" if !wanted.over_later => Err(AdminError::NotPossible {
                what: "a later version stands there".to_owned(),
                hint: "--over-later".to_owned(),
            }),
            "c-later" => Ok(RestoredView {
                id,
                path: b"later".to_vec(),
            }),
            "c-bygtc5qnmf" => Ok(RestoredView {
                id,
                path: wanted.as_path.unwrap_or(b"old\xff").to_vec(),
            }),
            _ => Err(AdminError::ConflictUnknown { id }),
        }
    }

    async fn ack(&self, request: AckRequest<Matcher>, by: &str) -> AdminResult<Vec<AckedView>> {
        let AckRequest {
            mut ids,
            filter,
            expect,
            note,
            dry_run,
            undo,
        } = request;
        if let Some(filter) = filter {
            let found = self.find_conflicts(&filter).await?.len() as u64;
            if let Some(expected) = expect.filter(|expected| *expected != found) {
                return Err(AdminError::Unexpected { expected, found });
            }
            ids.extend((0..found).map(|_| "c-second".to_owned()));
        }
        let known = |id: &str| ["c-bygtc5qnmf", "c-second"].contains(&id);
        if let Some(id) = ids.iter().find(|id| !known(id)) {
            return Err(AdminError::ConflictUnknown { id: id.clone() });
        }
        let acked = ids.iter().map(|id| AckedView {
            id: id.clone(),
            changed: (id != "c-bygtc5qnmf") != undo,
            ack: match conflict().ack {
                _ if undo => None,
                Some(ack) if id == "c-bygtc5qnmf" => Some(ack),
                _ => Some(AckView {
                    by: by.to_owned(),
                    note: format!("{note}{}", if dry_run { " (dry)" } else { "" }),
                    at_us: 7,
                }),
            },
        });
        Ok(acked.collect())
    }

    async fn resume(&self, site: &str, confirm: bool, _: &str) -> AdminResult<ResumedView> {
        let name = site.to_owned();
        match site {
            "iad-2" if !confirm => Err(AdminError::NotPossible {
                what: "iad-2 is held".to_owned(),
                hint: "cfs-repl sites resume iad-2 --confirm".to_owned(),
            }),
            "iad-2" | "sin-1" => Ok(ResumedView {
                changed: name == "iad-2",
                site: name,
            }),
            "disk" => {
                let full = io::Error::from(io::ErrorKind::StorageFull);
                Err(ReplError::io("write state", "/state", full).into())
            }
            _ => Err(AdminError::SiteUnknown {
                name,
                known: vec!["iad-2".to_owned(), "sin-1".to_owned()],
            }),
        }
    }

    async fn tail(&self, request: TailRequest) -> AdminResult<Entries> {
        if request.name.is_some() {
            return Err(AdminError::Invalid {
                what: "no pattern".to_owned(),
                hint: "*".to_owned(),
            });
        }
        let (tell, entries) = mpsc::channel(2);
        tell.try_send(Ok(vec![entry(), entry()])).unwrap();
        if request.follow {
            tell.try_send(Ok(vec![EntryView::default()])).unwrap();
        }
        Ok(entries)
    }

    async fn preview(&self, request: PreviewRequest) -> AdminResult<Previews> {
        if let Some(name) = request.site.filter(|name| name != "iad-2") {
            let known = vec!["iad-2".to_owned()];
            return Err(AdminError::SiteUnknown { name, known });
        }
        let (tell, previews) = mpsc::channel(2);
        if request.show.is_some() {
            tell.try_send(Ok(PreviewPiece::Fates(vec![fate()])))
                .unwrap();
        }
        tell.try_send(Ok(PreviewPiece::Site(preview()))).unwrap();
        Ok(previews)
    }
}

fn loser(id: &str) -> RestoreRequest<'_> {
    RestoreRequest {
        id,
        ..RestoreRequest::default()
    }
}

fn numbered(nth: usize) -> ConflictId {
    let mut id = ConflictId::default();
    id.0[..8].copy_from_slice(&(nth as u64).to_be_bytes());
    id
}

/// A socket for the own user alone.
pub(crate) fn doors(socket: PathBuf) -> Doors {
    let access = Access {
        own_uid: rustix::process::geteuid().as_raw(),
        ..Access::default()
    };
    Doors {
        socket,
        access,
        network: None,
    }
}

/// A served fake in a folder of its own.
struct Served {
    tasks: Tasks,
    folder: tempfile::TempDir,
}

impl Served {
    fn start(fake: Fake) -> Self {
        let served = Self {
            tasks: Tasks::new(),
            folder: tempfile::tempdir().unwrap(),
        };
        serve(&served.tasks, doors(served.socket()), Arc::new(fake)).unwrap();
        served
    }

    fn socket(&self) -> PathBuf {
        self.address().path().unwrap().to_owned()
    }

    fn address(&self) -> Address {
        Address::in_state(self.folder.path())
    }

    async fn client(&self) -> Client {
        Client::connect(self.address(), PATIENCE).await.unwrap()
    }
}

#[tokio::test]
async fn an_acknowledgement_carries_the_name_of_the_user_that_the_kernel_tells() {
    let served = Served::start(Fake::default());
    let client = served.client().await;
    let wanted = |ids: &[&str]| AckRequest {
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        note: "seen".to_owned(),
        dry_run: true,
        ..AckRequest::default()
    };
    let acked = client
        .ack(wanted(&["c-second", "c-bygtc5qnmf"]))
        .await
        .unwrap();
    let told: Vec<_> = acked.iter().map(|a| (a.id.as_str(), a.changed)).collect();
    assert_eq!(told, [("c-second", true), ("c-bygtc5qnmf", false)]);
    let me = uzers::get_user_by_uid(rustix::process::geteuid().as_raw());
    let me = me.unwrap().name().to_string_lossy().into_owned();
    let first = acked[0].ack.as_ref().unwrap();
    assert_eq!((&first.by, first.note.as_str()), (&me, "seen (dry)"));
    let unknown = client.ack(wanted(&["c-x"])).await;
    let refused = unknown.unwrap_err();
    assert!(
        matches!(
            refused,
            ClientError::Refused {
                code: Code::NotFound,
                ..
            }
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn every_request_brings_back_what_the_source_says() {
    let served = Served::start(Fake::default());
    let client = served.client().await;
    assert_eq!(client.status().await.unwrap(), status_view());
    assert_eq!(client.lag(true).await.unwrap(), lag());
    let all = client
        .conflicts(ConflictFilter::default(), None)
        .await
        .unwrap();
    assert_eq!((all.site.as_str(), all.found), ("fra-1", 1));
    assert_eq!(all.conflicts, [conflict()]);
    let (site, shown) = client.show("c-bygtc5qnmf").await.unwrap();
    assert_eq!((site.as_str(), shown), ("fra-1", detail()));
    let mut bytes = Vec::new();
    let take = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    assert_eq!(client.shown("c-bygtc5qnmf", 13, take).await.unwrap(), 13);
    assert_eq!(bytes, b"what is shown");
    let refused = client.shown("c-bygtc5qnmf", 12, |_| Ok(())).await;
    let code = Code::FailedPrecondition;
    assert!(matches!(refused, Err(ClientError::Refused { code: told, .. }) if told == code));
    let restored = client.restore(loser("c-bygtc5qnmf")).await.unwrap();
    assert_eq!(restored.path, b"old\xff");
    let new = RestoreRequest {
        as_path: Some(b"new"),
        ..loser("c-bygtc5qnmf")
    };
    assert_eq!(client.restore(new).await.unwrap().path, b"new");
    let refused = client.restore(loser("c-later")).await;
    assert!(matches!(refused, Err(ClientError::Refused { code: told, .. }) if told == code));
    let over = RestoreRequest {
        over_later: true,
        ..loser("c-later")
    };
    assert_eq!(client.restore(over).await.unwrap().path, b"later");
    let resumed = client.resume("iad-2", true).await.unwrap();
    assert!(resumed.changed && resumed.site == "iad-2");
    assert!(!client.resume("sin-1", false).await.unwrap().changed);
}

#[tokio::test]
async fn conflicts_come_in_pages_whole_and_in_order_and_only_open_ones_when_asked() {
    let more = (0..2 * PAGE_CONFLICTS as u64).map(|inode| ConflictView {
        inode,
        ack: None,
        ..conflict()
    });
    let served = Served::start(Fake {
        more: more.clone().collect(),
        hangs: false,
        ..Fake::default()
    });
    let client = served.client().await;
    let list = async |filter, limit| client.conflicts(filter, limit).await.unwrap();
    let none = ConflictFilter::default;
    let all = list(none(), None).await;
    assert_eq!(all.conflicts.len(), 2 * PAGE_CONFLICTS + 1);
    let open = ConflictFilter {
        open: true,
        ..none()
    };
    let more: Vec<ConflictView> = more.collect();
    assert_eq!(list(open.clone(), None).await.conflicts, more);
    let latest = list(open, Some(2)).await;
    assert_eq!(latest.conflicts, more[more.len() - 2..]);
    assert_eq!(latest.found, more.len() as u64);
    let nobody = ConflictFilter {
        site: Some("x".to_owned()),
        ..none()
    };
    let nothing = list(nobody, None).await;
    assert_eq!((nothing.site.as_str(), nothing.found), ("fra-1", 0));
}

#[tokio::test]
async fn what_is_expected_of_a_filter_is_checked_and_a_bad_pattern_refused() {
    let served = Served::start(Fake::default());
    let client = served.client().await;
    let wanted = |path: &str, expect| AckRequest {
        filter: Some(ConflictFilter {
            path: Some(path.to_owned()),
            ..ConflictFilter::default()
        }),
        expect: Some(expect),
        ..AckRequest::default()
    };
    assert_eq!(client.ack(wanted("*.xlsx", 1)).await.unwrap().len(), 1);
    for (path, code) in [("*.txt", Code::Aborted), ("a[", Code::InvalidArgument)] {
        let error = client.ack(wanted(path, 1)).await.unwrap_err();
        assert!(
            matches!(&error, ClientError::Refused { code: found, .. } if *found == code),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn the_bytes_that_lost_come_whole_or_with_an_error() {
    let served = Served::start(Fake::default());
    let client = served.client().await;
    let mut bytes = Vec::new();
    let taken = client.loser("c-bygtc5qnmf", |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    });
    assert_eq!(taken.await.unwrap(), 9);
    assert_eq!(bytes, b"what lost");
    let torn = client.loser("c-torn", |_| Ok(())).await.unwrap_err();
    assert!(torn.to_string().contains("bad sector"), "{torn}");
    let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
    let error = client.loser("c-bygtc5qnmf", |_| full()).await.unwrap_err();
    assert!(matches!(error, ClientError::NotTaken { .. }), "{error:?}");
}

#[tokio::test]
async fn a_refusal_keeps_its_code_its_causes_and_what_to_do() {
    let served = Served::start(Fake::default());
    let client = served.client().await;
    let told = |error: ClientError| {
        let ClientError::Refused {
            code,
            message,
            causes,
            hint,
        } = error
        else {
            panic!("{error:?}");
        };
        (code, message, causes.join("; "), hint.unwrap_or_default())
    };
    let cases = [
        (
            client.resume("nope", false).await.unwrap_err(),
            Code::NotFound,
            "no site \"nope\"",
            "iad-2, sin-1",
            "status",
        ),
        (
            client.resume("disk", false).await.unwrap_err(),
            Code::ResourceExhausted,
            "write state /state",
            "no storage space",
            "log of the daemon",
        ),
        (
            client.restore(loser("c-x")).await.unwrap_err(),
            Code::NotFound,
            "no conflict \"c-x\"",
            "",
            "conflicts list",
        ),
        (
            client.restore(loser("c")).await.unwrap_err(),
            Code::InvalidArgument,
            "several conflicts",
            "the first of them: c-bygtc5qnmf, c-lost",
            "more of the id",
        ),
        (
            client.restore(loser("c-lost")).await.unwrap_err(),
            Code::FailedPrecondition,
            "nothing is kept",
            "",
            "other sites",
        ),
    ];
    for (error, expected, message, cause, hint) in cases {
        let (code, what, causes, next) = told(error);
        assert_eq!(code, expected, "{what}");
        assert!(
            what.contains(message) && causes.contains(cause),
            "{what}: {causes}"
        );
        assert!(next.contains(hint), "{what}: {next}");
    }
}

#[tokio::test]
async fn a_daemon_that_hangs_runs_into_the_patience_of_the_caller() {
    let served = Served::start(Fake {
        hangs: true,
        more: Vec::new(),
        ..Fake::default()
    });
    let patience = Duration::from_millis(50);
    let client = Client::connect(served.address(), patience).await.unwrap();
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { after, .. } if after == patience));
}

#[tokio::test]
async fn the_socket_is_the_owners_alone_and_goes_with_the_daemon() {
    let served = Served::start(Fake::default());
    let metadata = fs::symlink_metadata(served.socket()).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, SOCKET_MODE);
    assert!(served.tasks.shutdown(PATIENCE).await.is_empty());
    assert!(!served.socket().exists());
    let error = Client::connect(served.address(), PATIENCE)
        .await
        .unwrap_err();
    let ClientError::Unreachable { source, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_socket_that_took_the_place_of_ours_stays() {
    let served = Served::start(Fake::default());
    fs::remove_file(served.socket()).unwrap();
    let _other = StdListener::bind(served.socket()).unwrap();
    assert!(served.tasks.shutdown(PATIENCE).await.is_empty());
    assert!(served.socket().exists());
}

#[tokio::test]
async fn the_socket_of_a_dead_daemon_is_replaced_and_says_refused_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let address = Address::in_state(folder.path());
    drop(StdListener::bind(address.path().unwrap()).unwrap());
    let error = Client::connect(address.clone(), PATIENCE)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ClientError::Unreachable { source, .. }
            if source.kind() == io::ErrorKind::ConnectionRefused),
        "{error:?}"
    );
    let tasks = Tasks::new();
    serve(
        &tasks,
        doors(address.path().unwrap().to_owned()),
        Arc::new(Fake::default()),
    )
    .unwrap();
    let client = Client::connect(address, PATIENCE).await.unwrap();
    assert!(client.status().await.is_ok());
}

#[tokio::test]
async fn a_living_daemon_is_not_pushed_aside() {
    let served = Served::start(Fake::default());
    let error = serve(
        &Tasks::new(),
        doors(served.socket()),
        Arc::new(Fake::default()),
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("another daemon answers"),
        "{error}"
    );
    assert!(served.client().await.status().await.is_ok());
}

#[tokio::test]
async fn what_is_no_socket_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("admin.sock");
    fs::write(&file, "precious").unwrap();
    let error = serve(
        &Tasks::new(),
        doors(file.clone()),
        Arc::new(Fake::default()),
    )
    .unwrap_err();
    assert!(error.to_string().contains("no socket"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[tokio::test]
async fn a_path_that_no_socket_can_have_is_refused_with_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let room = SOCKET_BYTES_MAX - folder.path().as_os_str().len() - 1;
    let fits = folder.path().join("s".repeat(room));
    let tasks = Tasks::new();
    serve(&tasks, doors(fits), Arc::new(Fake::default())).unwrap();
    let too_long = folder.path().join("s".repeat(room + 1));
    let error = serve(&tasks, doors(too_long.clone()), Arc::new(Fake::default())).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("108 bytes") && text.contains("shorter"),
        "{text}"
    );
    let error = Client::connect(Address::socket(too_long), PATIENCE)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
}

#[test]
fn a_failing_part_never_looks_like_a_daemon_that_is_not_there() {
    let io = |kind| ReplError::io("x", "/x", io::Error::from(kind));
    let cases = [
        (io(io::ErrorKind::PermissionDenied), Code::Internal),
        (io(io::ErrorKind::StorageFull), Code::ResourceExhausted),
        (ReplError::network("iad-2", "lost"), Code::Internal),
        (ReplError::serialization("x", "y"), Code::Internal),
        (ReplError::Shutdown, Code::Unavailable),
    ];
    for (error, code) in cases {
        assert_eq!(code_of(&error), code, "{error}");
    }
}

mod journal;
mod network;
mod standard;
mod watch;
