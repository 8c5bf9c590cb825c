//! A scripted peer with a good certificate: it dials the daemon over the real conduit and says whatever a test wants.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a message that is not the one waited for is any other one"
)]

use std::sync::Arc;

use claudefs_repl::clock::{Clock as _, SystemClock};
use claudefs_repl::conduit::client::GrpcDialer;
use claudefs_repl::conduit::message::{
    Beat, CloseReason, Frame, Hello, Message, Nak, NakReason, PROTOCOL_MAX, PROTOCOL_MIN,
    SHARD_FUNCTION, StreamState,
};
use claudefs_repl::conduit::peer::{Dialer as _, Transport, TransportError};
use claudefs_repl::conduit::session::HEARTBEAT;
use claudefs_repl::conduit::tls::Tls;
use claudefs_repl::daemon::tasks::Tasks;
use claudefs_repl::journal::codec::encode_change;
use claudefs_repl::journal::dot::{ROOT_INODE, shard_of};
use claudefs_repl::journal::op::{Attr, Name, Place};
use claudefs_repl::journal::{Actor, Change, EntryBatch, JournalEntry, OpKind};

use super::site::{CLUSTER, PATIENCE};

/// The peer's journal.
pub(super) const ACTOR: Actor = Actor::new(2, 0x2222);
/// An inode of the peer whose stream the tests use.
pub(super) const INODE: u64 = 2 << 48 | 1;

/// The stream of [`INODE`].
pub(super) fn stream() -> u32 {
    shard_of(INODE)
}

/// Inodes of the peer in the stream of [`INODE`], from it on.
pub(super) fn inode(nth: usize) -> u64 {
    let all = (INODE..).filter(|inode| shard_of(*inode) == stream());
    all.into_iter().nth(nth).unwrap()
}

/// What site-b says of itself.
pub(super) fn hello() -> Hello {
    Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        actor: ACTOR,
        site_name: "site-b".to_owned(),
        cluster: CLUSTER.to_owned(),
        shard_function: SHARD_FUNCTION,
        ..Hello::default()
    }
}

/// The same, with a journal of the stream that ends with `head`.
pub(super) fn hello_at(head: u64) -> Hello {
    let streams = vec![StreamState {
        stream: stream(),
        tail: 1,
        head,
        chain_head: chain(head),
    }];
    Hello { streams, ..hello() }
}

/// The chain that the peer declares at `seq`.
pub(super) fn chain(seq: u64) -> [u8; 32] {
    if seq == 0 {
        return [0; 32];
    }
    *blake3::hash(&seq.to_le_bytes()).as_bytes()
}

/// An entry of the stream.
pub(super) fn entry(seq: u64, op: OpKind, payload: Vec<u8>) -> JournalEntry {
    let nth = usize::try_from(seq).unwrap() - 1;
    let stamp = SystemClock.now_us();
    let mut entry = JournalEntry::new(seq, stream(), 2, stamp, inode(nth), op, payload);
    entry.incarnation = ACTOR.incarnation;
    entry
}

/// An entry that creates the empty file `name` at the top of the tree.
pub(super) fn create(seq: u64, name: &str) -> JournalEntry {
    let change = Change::Create {
        place: Place {
            parent: ROOT_INODE,
            name: Name::new(name.as_bytes().to_vec()).unwrap(),
        },
        attr: Attr {
            mode: Some(0o644),
            ..Attr::default()
        },
    };
    entry(seq, OpKind::Create, encode_change(&change).to_vec())
}

/// The entries as one batch with its chain.
pub(super) fn batch(entries: Vec<JournalEntry>) -> EntryBatch {
    let mut batch = EntryBatch::new(2, entries, 0);
    batch.incarnation = ACTOR.incarnation;
    batch.chain_prev = chain(batch.first - 1);
    batch.chain_last = chain(batch.last);
    batch
}

/// A connection to the daemon.
pub(super) struct Hostile {
    tasks: Tasks,
    transport: Transport,
    batch_seq: u64,
    /// What the daemon said of itself.
    pub(super) theirs: Hello,
}

impl Hostile {
    /// Dials as the site of `tls`; the daemon's first message, its hello, is taken.
    pub(super) async fn dial(tls: &Arc<Tls>, address: &str) -> Result<Self, String> {
        let tasks = Tasks::new();
        let dialer = GrpcDialer {
            local_name: "whoever".to_owned(),
            remote_name: "site-a".to_owned(),
            tls: Some(Arc::clone(tls)),
            tasks: tasks.clone(),
            content: None,
        };
        let transport = dialer.dial(address.to_owned()).await?;
        let mut hostile = Self {
            tasks,
            transport,
            batch_seq: 0,
            theirs: Hello::default(),
        };
        match hostile.heard().await.unwrap() {
            Message::Hello(theirs) => hostile.theirs = *theirs,
            other => panic!("no hello: {other:?}"),
        }
        Ok(hostile)
    }

    /// Dials, says `hello`, and gives signs of life from then on.
    pub(super) async fn connect(tls: &Arc<Tls>, address: &str, hello: Hello) -> Self {
        let mut hostile = Self::dial(tls, address).await.unwrap();
        hostile.say(Message::Hello(Box::new(hello))).await;
        let (outgoing, token) = (
            hostile.transport.outgoing.clone(),
            hostile.tasks.token().clone(),
        );
        hostile.tasks.spawn("beat", async move {
            let mut every = tokio::time::interval(HEARTBEAT);
            loop {
                let beat = async {
                    every.tick().await;
                    outgoing.send(Message::Heartbeat(Beat::default())).await
                };
                tokio::select! {
                    () = token.cancelled() => return,
                    sent = beat => if sent.is_err() { return },
                }
            }
        });
        hostile
    }

    pub(super) async fn say(&mut self, message: Message) {
        self.transport.outgoing.send(message).await.unwrap();
    }

    /// Sends one batch as a frame, with the next number.
    pub(super) async fn send(&mut self, mut batch: EntryBatch) {
        self.batch_seq += 1;
        batch.batch_seq = self.batch_seq;
        let frame = Frame {
            batches: vec![batch],
            mark_us: 0,
        };
        self.say(Message::Frame(frame)).await;
    }

    /// The next thing that the daemon says, whatever it is.
    async fn next(&mut self) -> Result<Message, TransportError> {
        loop {
            match self.transport.incoming.recv().await {
                None => return Err(TransportError::Lost("ended".to_owned())),
                Some(heard) => {
                    if let Some(message) = heard?.message {
                        return Ok(message);
                    }
                }
            }
        }
    }

    /// What `wanted` makes of the messages that come: the first that it takes.
    async fn find<T>(
        &mut self,
        mut wanted: impl FnMut(Message) -> Option<T>,
    ) -> Result<T, TransportError> {
        let found = async {
            loop {
                if let Some(found) = wanted(self.next().await?) {
                    return Ok(found);
                }
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .expect("in time")
    }

    /// The daemon's answer to what was said: entries, signs of life and progress are left out.
    pub(super) async fn heard(&mut self) -> Result<Message, TransportError> {
        self.find(|message| match message {
            Message::Heartbeat(_) | Message::Receipts(_) | Message::Frame(_) => None,
            answer => Some(answer),
        })
        .await
    }

    /// The next entries of the daemon's own.
    pub(super) async fn entries(&mut self) -> Vec<JournalEntry> {
        let entries = self.find(|message| match message {
            Message::Frame(frame) if !frame.batches.is_empty() => {
                let batches = frame.batches.into_iter();
                Some(batches.flat_map(|batch| batch.entries).collect())
            }
            _ => None,
        });
        entries.await.unwrap()
    }

    /// The reason with which the daemon closes the connection.
    pub(super) async fn closed(&mut self) -> (CloseReason, String) {
        match self.heard().await.unwrap() {
            Message::Close(close) => (close.reason, close.detail),
            other => panic!("not closed: {other:?}"),
        }
    }

    /// The refusal of a batch.
    pub(super) async fn nak(&mut self) -> (NakReason, u64, String) {
        match self.heard().await.unwrap() {
            Message::Nak(Nak {
                reason,
                received,
                detail,
                ..
            }) => (reason, received, detail),
            other => panic!("no nak: {other:?}"),
        }
    }

    /// Waits until the daemon has the stream up to `seq`, on its tree too.
    pub(super) async fn applied(&mut self, seq: u64) {
        let applied = self.find(|message| match message {
            Message::Receipts(receipts) => {
                let here = receipts.receipts.iter().find(|r| r.stream == stream());
                here.is_some_and(|receipt| receipt.applied >= seq)
                    .then_some(())
            }
            Message::Heartbeat(_) | Message::Frame(_) => None,
            other => panic!("no receipt: {other:?}"),
        });
        applied.await.unwrap();
    }

    /// Closes the connection and waits for all tasks.
    pub(super) async fn hang_up(self) {
        let Self {
            tasks, transport, ..
        } = self;
        drop(transport);
        assert!(tasks.shutdown(PATIENCE).await.is_empty());
    }
}
