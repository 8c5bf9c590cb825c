//! Records that are made, not taken: what a daemon would tell in situations that are hard to bring about on purpose.
//!
//! They are kept as the files that `cfs-repl top --replay` plays, and made anew with `CFS_REPL_REGENERATE=1`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::message::{Failed, Lost, Message, Told};
use super::model::{Choice, Model, Now};
use super::record;
use super::update::{settle, update};
use crate::admin::client::Update;
use crate::admin::delta::Delta;
use crate::admin::view::preview::{OpPreview, Outcome, SitePreview, Sums, WhyView};
use crate::admin::view::{
    AtRisk, BytesAt, Cause, ConflictCounts, ConflictDetail, ConflictView, EventView, InboundLag,
    JournalView, Lag, LagView, Level, Overview, Severity, ShardLag, SiteLag, SiteState, SiteView,
    Stage, StageLag, StatusView, TreeView, ValueView, Verdict, VersionView, Watch,
};

/// 2026-11-22T17:57:03Z.
pub(super) const END_US: u64 = 1_795_370_223_000_000;
/// Length of every record.
pub(super) const LENGTH_US: u64 = 900 * S;
const S: u64 = 1_000_000;

/// What was told, and when since the beginning.
pub(super) type Script = Vec<(u64, Told)>;

/// Makes a record.
type Make = fn() -> Script;

/// Every situation.
pub(super) const ALL: [(&str, Make); 8] = [
    ("all-well", all_well),
    ("expired-certificate", expired_certificate),
    ("catching-up", catching_up),
    ("stalled", stalled),
    ("thousand-conflicts", thousand_conflicts),
    ("sixteen-sites", sixteen_sites),
    ("daemon-lost", daemon_lost),
    ("first-start", first_start),
];

/// A peer: its state, and how far it is behind.
struct Peer {
    name: &'static str,
    id: u64,
    state: SiteState,
    lag: Lag,
    entries: Option<u64>,
    bytes: Option<u64>,
    /// Of a hundred shards, so many are behind.
    shards: u32,
}

const fn peer(name: &'static str, id: u64, state: SiteState, lag_us: u64, entries: u64) -> Peer {
    Peer {
        name,
        id,
        state,
        lag: Lag::Known(lag_us),
        entries: Some(entries),
        bytes: Some(entries * 8_093),
        shards: if entries == 0 { 0 } else { 20 },
    }
}

impl Peer {
    fn site(&self) -> SiteView {
        let is_up = !matches!(self.state, SiteState::Backoff | SiteState::NeverConnected);
        SiteView {
            site: self.name.to_owned(),
            site_id: self.id,
            state: self.state,
            endpoint: Some(format!("repl.{}.example.net:7443", self.name)),
            last_error: (self.state == SiteState::Backoff).then(|| {
                "peer refused our certificate: it expired at 2026-11-22T17:54:49Z".to_owned()
            }),
            lag: self.lag,
            behind_entries: self.entries,
            behind_bytes: self.bytes,
            waiting_entries: Some(0),
            clock_skew_us: is_up.then_some(i64::try_from(self.id).unwrap() * 7_000 - 21_000),
            round_trip_us: is_up.then_some(self.id * 41_300),
            unnoticed_us: is_up.then_some(300_000),
            ..SiteView::default()
        }
    }

    fn lag(&self) -> SiteLag {
        let is_known = self.entries.is_some();
        let entries = self.entries.unwrap_or(0);
        let stage = |stage: &Stage| StageLag {
            stage: *stage,
            entries,
            lag: self.lag,
        };
        SiteLag {
            site: self.name.to_owned(),
            site_id: self.id,
            state: self.state,
            lag: self.lag,
            behind_entries: self.entries,
            behind_bytes: self.bytes,
            oldest_unacked_us: (entries > 0).then(|| END_US - self.lag.us().unwrap_or(0)),
            clock_skew_us: None,
            unnoticed_us: Some(300_000),
            inbound: InboundLag {
                lag: if is_known {
                    Lag::Known(200_000)
                } else {
                    Lag::Unknown
                },
                waiting_entries: Some(0),
                unnoticed_us: Some(400_000),
            },
            applied_per_s: is_known.then_some(entries / 10),
            catch_up_eta_us: (self.state == SiteState::CatchingUp).then_some(12 * S),
            stages: if is_known {
                Stage::ALL.iter().map(stage).collect()
            } else {
                Vec::new()
            },
            shards: if is_known {
                self.shards(entries)
            } else {
                Vec::new()
            },
        }
    }

    fn shards(&self, entries: u64) -> Vec<ShardLag> {
        let is_behind = |shard: u32| (shard * 37 + 11) % 100 < self.shards;
        let many = (0..256).filter(|shard| is_behind(*shard)).count().max(1) as u64;
        (0..256)
            .map(|shard| {
                let head = 36_000 + u64::from(shard) * 7;
                let behind = if is_behind(shard) {
                    (entries / many).max(1)
                } else {
                    0
                };
                let part = u64::from(shard % 16) + 1;
                ShardLag {
                    shard,
                    head,
                    sent: head - behind / 2,
                    received: head - behind.min(head),
                    merged: head - behind.min(head),
                    applied: head - behind.min(head),
                    behind_entries: behind,
                    lag: match (behind, self.lag) {
                        (0, _) => Lag::Known(0),
                        (_, Lag::Known(us)) => Lag::Known(us * part / 16),
                        (_, lag @ (Lag::Unknown | Lag::AtLeast(_))) => lag,
                    },
                }
            })
            .collect()
    }
}

fn look(verdict: Verdict, summary: &str, peers: &[Peer], causes: Vec<Cause>) -> Overview {
    let mut sites: Vec<SiteView> = peers.iter().map(Peer::site).collect();
    sites.sort_by(|a, b| a.site.cmp(&b.site));
    let mut lags: Vec<SiteLag> = peers.iter().map(Peer::lag).collect();
    lags.sort_by(|a, b| a.site.cmp(&b.site));
    let entries = peers
        .iter()
        .filter_map(|peer| peer.entries)
        .min()
        .unwrap_or(0);
    let at_risk = AtRisk {
        lag: Lag::Known(if entries == 0 { 0 } else { 400_000 }),
        entries,
        journal_bytes: Some(entries * 8_093),
    };
    let status = StatusView {
        certificate_expires_us: None,
        verdict,
        summary: summary.to_owned(),
        causes,
        site: "fra-1".to_owned(),
        site_id: 1,
        sites,
        journal: JournalView {
            bytes: 12 << 30,
            budget_bytes: Some(20 << 30),
            head_entries: 9_153_607,
            last_failure: None,
            pinned_bytes: peers.iter().filter_map(|peer| peer.bytes).max(),
        },
        conflicts: ConflictCounts::default(),
        tree: TreeView {
            root: b"/srv/media".to_vec(),
            watch: Watch::Inotify,
            last_scan_us: Some(END_US - 600 * S),
            unnoticed_us: Some(300_000),
            ..TreeView::default()
        },
        version: "0.1.0".to_owned(),
        at_risk,
        uptime_us: 12 * 86_400 * S + 4 * 3_600 * S,
        engine_age_us: 1_500,
    };
    let lag = LagView {
        site: "fra-1".to_owned(),
        sites: lags,
        at_risk,
    };
    Overview { status, lag }
}

fn event(
    number: u64,
    before_us: u64,
    level: Level,
    name: &str,
    site: Option<&str>,
    text: &str,
) -> EventView {
    EventView {
        number,
        at_us: END_US - before_us,
        level,
        name: name.to_owned(),
        site: site.map(str::to_owned),
        text: text.to_owned(),
        fields: BTreeMap::new(),
    }
}

/// Lags that come to what the look says, with a gap of two minutes in which nothing was told.
fn steps(look: &Overview, journal_bytes: u64) -> Script {
    let mut told = Script::new();
    for step in 1..60 {
        let lags = look.lag.sites.iter().map(|site| {
            let us = site.lag.us().unwrap_or(0);
            let wave = (step * 7 + site.site_id * 13) % 11;
            let lag = if us > 60 * S && step < 50 {
                Lag::Known(300_000 + wave * 40_000)
            } else if us > 60 * S {
                Lag::AtLeast(us * (step - 49) / 10)
            } else {
                Lag::Known(us * (wave + 5) / 15)
            };
            SiteLag {
                lag: if site.lag == Lag::Unknown {
                    Lag::Unknown
                } else {
                    lag
                },
                stages: Vec::new(),
                shards: Vec::new(),
                ..site.clone()
            }
        });
        let delta = Delta {
            lags: lags.collect(),
            journal: Some(JournalView {
                bytes: journal_bytes + step * (50 << 20),
                head_entries: look.status.journal.head_entries - (60 - step) * 4_600,
                ..look.status.journal.clone()
            }),
            uptime_us: look.status.uptime_us,
            engine_age_us: 1_500,
            ..Delta::default()
        };
        // Nothing was told for two minutes: charts show a gap.
        if !(20..28).contains(&step) {
            let at_us = step * 15 * S;
            told.push((
                at_us,
                Told::Update(END_US - LENGTH_US + at_us, Update::Delta(Box::new(delta))),
            ));
        }
    }
    told
}

/// A record with a look at its beginning, lags that come to what the look says, and the look again at its end.
fn script(look: Overview, events: Vec<EventView>, conflicts: Vec<ConflictView>) -> Script {
    let address = "unix:/run/cfs-repl/admin.sock".to_owned();
    let mut told = vec![(0, Told::Connecting { address })];
    for event in events {
        told.push((0, Told::Event(event)));
    }
    let mut first = look.clone();
    first.status.journal.bytes -= 3 << 30;
    for site in &mut first.lag.sites {
        site.lag = Lag::Known(300_000);
        site.shards.clear();
    }
    let snapshot = |look: &Overview| Update::Snapshot(Box::new(look.clone()));
    told.push((0, Told::Update(END_US - LENGTH_US, snapshot(&first))));
    told.extend(steps(&look, first.status.journal.bytes));
    told.push((LENGTH_US - 1, Told::Update(END_US, snapshot(&look))));
    let found = conflicts.len() as u64;
    told.push((
        LENGTH_US - 1,
        Told::Conflicts {
            list: conflicts,
            found,
        },
    ));
    told.push((
        LENGTH_US - 1,
        Told::Preview(
            look.status
                .sites
                .iter()
                .map(|site| preview(&site.site, site.behind_entries.unwrap_or(0)))
                .collect(),
        ),
    ));
    told
}

fn preview(site: &str, entries: u64) -> SitePreview {
    let op = |op: &str, part: u64, dropped: u64, why: &str| {
        let of = entries * part / 100;
        let gone = of * dropped / 100;
        OpPreview {
            op: op.to_owned(),
            sums: Sums {
                in_entries: of,
                out_entries: of - gone,
                dropped_entries: gone,
                in_bytes: of * 8_000,
                out_bytes: (of - gone) * 8_000,
            },
            why: vec![WhyView {
                outcome: if gone > 0 {
                    Outcome::Dropped
                } else {
                    Outcome::Kept
                },
                why: why.to_owned(),
                entries: of,
            }],
        }
    };
    let ops = vec![
        op("write", 75, 57, "covered by a later write"),
        op("setattr", 15, 65, "superseded"),
        op("create", 10, 0, "structural, always kept"),
    ];
    let mut total = Sums::default();
    ops.iter().for_each(|op| total.add(&op.sums));
    SitePreview {
        site: Some(site.to_owned()),
        site_id: Some(2),
        batches: entries / 500,
        total,
        ops: ops
            .into_iter()
            .filter(|op| op.sums.in_entries > 0)
            .collect(),
        notes: Vec::new(),
    }
}

fn conflict(nth: u64, path: &[u8], lost: Option<u64>) -> ConflictView {
    let version = |site: &str, id: u64, us: u64| VersionView {
        site: Some(site.to_owned()),
        site_id: id,
        stream: u32::try_from(nth % 256).unwrap(),
        seq: 36_988 + nth,
        timestamp_us: us,
    };
    let at_us = END_US - 15 * S - nth * 17 * S;
    ConflictView {
        id: format!("c-{:010}", nth * 7_654_321),
        kind: "register".to_owned(),
        path: Some(path.to_vec()),
        gone: false,
        inode: 14_993 + nth,
        register: if lost.is_some() { "content" } else { "mode" }.to_owned(),
        winner: Some(version("sin-1", 3, at_us)),
        loser: version("fra-1", 1, at_us - 41_193),
        gap_us: Some(41_193),
        detected_us: at_us + 2_000,
        lost_bytes: lost,
        superseded: false,
        ack: None,
    }
}

/// Conflicts with names that would steer a terminal, turn a line around, and are no text.
fn conflicts() -> Vec<ConflictView> {
    let paths: [(&[u8], Option<u64>); 7] = [
        (b"home/bo/d", None),
        (b"media/x.log", Some(0)),
        (b"www/\xff\xfe-no-text", Some(1_204)),
        ("www/\u{202e}gpj.exe".as_bytes(), None),
        (b"media/\x1b[2J\x1b]0;owned\x07.txt", Some(2_201_600)),
        ("media/日本語の長い名前のファイル.txt".as_bytes(), Some(512)),
        (b"media/plan.xlsx", Some(18_201)),
    ];
    (1..=7)
        .rev()
        .zip(paths)
        .map(|(nth, (path, lost))| conflict(nth, path, lost))
        .collect()
}

fn detail(conflict: &ConflictView) -> ConflictDetail {
    ConflictDetail {
        conflict: conflict.clone(),
        lost: Some(ValueView {
            size_bytes: Some(18_201),
            root: Some([0x77; 32]),
            ..ValueView::default()
        }),
        shown: Some(ValueView {
            size_bytes: Some(18_944),
            root: Some([0x5c; 32]),
            mtime_us: Some(END_US - 15 * S),
            ..ValueView::default()
        }),
        shown_is_winner: Some(true),
        bytes_at: BytesAt::Here,
        why: "the winner is stamped later".to_owned(),
        skew_bound_us: Some(62_000),
        order_certain: Some(false),
        diff: None,
        no_diff: None,
    }
}

const IAD: Peer = Peer {
    lag: Lag::AtLeast(134_204_110),
    shards: 100,
    ..peer("iad-2", 2, SiteState::Backoff, 0, 41_203)
};

fn started() -> EventView {
    event(
        1,
        12 * 86_400 * S,
        Level::Info,
        "daemon.started",
        None,
        "cfs-repl 0.1.0 started",
    )
}

fn up(number: u64, site: &str) -> EventView {
    let text = format!("{site} is connected");
    event(
        number,
        6 * 86_400 * S,
        Level::Info,
        "site.up",
        Some(site),
        &text,
    )
}

fn all_well() -> Script {
    let peers = [
        peer("gru-1", 4, SiteState::Streaming, 400_000, 12),
        peer("iad-2", 2, SiteState::Idle, 0, 0),
        peer("sin-1", 3, SiteState::Idle, 0, 0),
    ];
    let events = vec![started(), up(2, "gru-1"), up(3, "iad-2"), up(4, "sin-1")];
    script(
        look(Verdict::Ok, "3 peers in step", &peers, Vec::new()),
        events,
        Vec::new(),
    )
}

fn events_of_expiry() -> Vec<EventView> {
    let mut down = event(
        6,
        134 * S,
        Level::Error,
        "site.down",
        Some("iad-2"),
        "iad-2 is not connected: peer refused our certificate",
    );
    down.fields = [("from", "streaming"), ("to", "backoff")]
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .into();
    vec![
        started(),
        up(2, "gru-1"),
        up(3, "iad-2"),
        up(4, "sin-1"),
        event(
            5,
            1_011 * S,
            Level::Warn,
            "certificate.expiring",
            None,
            "the certificate of fra-1 ends at 2026-11-22T17:54:49Z",
        ),
        down,
        event(
            7,
            32 * S,
            Level::Warn,
            "conflict.lossy",
            Some("sin-1"),
            "media/\u{1b}[2J\u{1b}]0;owned\u{7}.txt: sin-1 won, 2 MiB lost",
        ),
        event(
            8,
            15 * S,
            Level::Warn,
            "conflict.lossy",
            Some("sin-1"),
            "media/plan.xlsx: sin-1 won over fra-1, 17.7 KiB lost",
        ),
    ]
}

fn expired_certificate() -> Script {
    let peers = [
        IAD,
        peer("sin-1", 3, SiteState::CatchingUp, 8_400_000, 3_310),
        peer("gru-1", 4, SiteState::Streaming, 400_000, 12),
    ];
    let causes = vec![
        Cause {
            site: Some("iad-2".to_owned()),
            severity: Severity::Critical,
            text:
                "not connected: peer refused our certificate, which expired at 2026-11-22T17:54:49Z"
                    .to_owned(),
            next: "put a new certificate into /etc/cfs-repl/tls/fra-1.pem, then: cfs-repl reload"
                .to_owned(),
        },
        Cause {
            site: None,
            severity: Severity::Warning,
            text: "7 conflicts in which something lost, and nobody acknowledged them".to_owned(),
            next: "cfs-repl conflicts list --unacked".to_owned(),
        },
    ];
    let mut look = look(
        Verdict::Degraded,
        "1 of 3 peers is not connected",
        &peers,
        causes,
    );
    let list = conflicts();
    look.status.conflicts = ConflictCounts { open: 7, total: 7 };
    let events = events_of_expiry();
    let last = list.last().unwrap().clone();
    let mut script = script(look, events, list);
    script.push((LENGTH_US - 1, Told::Detail(Box::new(detail(&last)))));
    let texts = Ok([
        "budget\n1\n2\n3\nour line\nend\n".to_owned(),
        "budget\n1\n2\n3\ntheir line\nanother\nend\n".to_owned(),
    ]);
    script.push((LENGTH_US - 1, Told::Texts { id: last.id, texts }));
    script
}

fn catching_up() -> Script {
    let peers = [
        peer("gru-1", 4, SiteState::CatchingUp, 41_000_000, 120_400),
        peer("iad-2", 2, SiteState::Streaming, 300_000, 9),
    ];
    let events = vec![
        started(),
        up(2, "iad-2"),
        event(
            3,
            90 * S,
            Level::Info,
            "site.up",
            Some("gru-1"),
            "gru-1 is connected",
        ),
    ];
    script(
        look(
            Verdict::CatchingUp,
            "1 of 2 peers fetches what it missed",
            &peers,
            Vec::new(),
        ),
        events,
        Vec::new(),
    )
}

fn stalled() -> Script {
    let peers = [
        peer("iad-2", 2, SiteState::Stalled, 194_000_000, 812),
        Peer {
            lag: Lag::Unknown,
            entries: None,
            bytes: None,
            ..peer("new-1", 5, SiteState::NeverConnected, 0, 0)
        },
    ];
    let causes = vec![Cause {
        site: Some("iad-2".to_owned()),
        severity: Severity::Critical,
        text: "connected, and nothing was applied there for 3m14s: its disk is full".to_owned(),
        next: "make room at iad-2".to_owned(),
    }];
    let events = vec![
        started(),
        up(2, "iad-2"),
        event(
            3,
            194 * S,
            Level::Error,
            "site.stalled",
            Some("iad-2"),
            "iad-2 has work and makes no progress",
        ),
    ];
    script(
        look(
            Verdict::Stalled,
            "1 of 2 peers makes no progress",
            &peers,
            causes,
        ),
        events,
        Vec::new(),
    )
}

fn thousand_conflicts() -> Script {
    let peers = [
        peer("iad-2", 2, SiteState::Idle, 0, 0),
        peer("sin-1", 3, SiteState::Idle, 0, 0),
    ];
    let list: Vec<ConflictView> = (1..=1_000)
        .rev()
        .map(|nth| {
            let path = format!("projects/p{}/render-{nth:04}.exr", nth % 23);
            conflict(nth, path.as_bytes(), (nth % 3 != 0).then_some(nth * 977))
        })
        .collect();
    let causes = vec![Cause {
        site: None,
        severity: Severity::Warning,
        text: "1000 conflicts in which something lost, and nobody acknowledged them".to_owned(),
        next: "cfs-repl conflicts list --unacked".to_owned(),
    }];
    let mut look = look(
        Verdict::Degraded,
        "2 peers in step, 1000 conflicts open",
        &peers,
        causes,
    );
    look.status.conflicts = ConflictCounts {
        open: 1_000,
        total: 1_000,
    };
    script(look, vec![started(), up(2, "iad-2"), up(3, "sin-1")], list)
}

fn sixteen_sites() -> Script {
    const NAMES: [&str; 16] = [
        "ams-1", "bom-1", "cdg-1", "dub-1", "ewr-1", "fra-2", "gru-1", "hkg-1", "iad-2", "jnb-1",
        "kix-1", "lhr-1", "mad-1", "nrt-1", "ord-1", "sin-1",
    ];
    let peers: Vec<Peer> = (2..)
        .zip(NAMES)
        .map(|(id, name)| match name {
            "iad-2" => Peer { id, ..IAD },
            "hkg-1" => peer(name, id, SiteState::CatchingUp, 12_000_000, 4_200),
            "lhr-1" => peer(name, id, SiteState::Paused, 3_600_000_000, 90_112),
            "dub-1" => peer(name, id, SiteState::Streaming, 500_000, 31),
            _ => peer(name, id, SiteState::Idle, 0, 0),
        })
        .collect();
    let causes = vec![
        Cause {
            site: Some("iad-2".to_owned()),
            severity: Severity::Critical,
            text: "not connected: connection refused".to_owned(),
            next: "start cfs-repl at iad-2".to_owned(),
        },
        Cause {
            site: Some("lhr-1".to_owned()),
            severity: Severity::Warning,
            text: "paused by ana".to_owned(),
            next: "cfs-repl sites resume lhr-1".to_owned(),
        },
    ];
    let mut events = vec![started()];
    events.extend((2..).zip(NAMES).map(|(number, name)| up(number, name)));
    events.push(event(
        18,
        134 * S,
        Level::Error,
        "site.down",
        Some("iad-2"),
        "iad-2 is not connected: connection refused",
    ));
    events.push(event(
        19,
        60 * S,
        Level::Info,
        "site.paused",
        Some("lhr-1"),
        "ana paused lhr-1",
    ));
    script(
        look(
            Verdict::Degraded,
            "1 of 16 peers is not connected",
            &peers,
            causes,
        ),
        events,
        Vec::new(),
    )
}

fn daemon_lost() -> Script {
    let mut told = expired_certificate();
    let last = LENGTH_US - 14 * S;
    for (t_us, _) in &mut told {
        *t_us = (*t_us).min(last);
    }
    let lost = |attempt, retry_us| Lost {
        failed: Failed {
            message: "cannot reach the daemon at unix:/run/cfs-repl/admin.sock".to_owned(),
            causes: vec!["connection refused (the socket exists, no process listens)".to_owned()],
            hint: Some("systemctl status cfs-repl".to_owned()),
            denied: false,
        },
        attempt,
        retry_us,
    };
    told.push((last, Told::Lost(lost(1, 200_000))));
    told.push((LENGTH_US - S, Told::Lost(lost(4, 1_600_000))));
    told
}

fn first_start() -> Script {
    let mut look = look(Verdict::Ok, "no peers", &[], Vec::new());
    (look.status.journal.bytes, look.status.journal.head_entries) = (4 << 30, 300_000);
    script(
        look,
        vec![event(
            1,
            9 * S,
            Level::Info,
            "daemon.started",
            None,
            "cfs-repl 0.1.0 started",
        )],
        Vec::new(),
    )
}

fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/top/fixtures");
    folder.join(format!("{name}.jsonl"))
}

/// The record as it is kept.
pub(super) fn kept(name: &str) -> record::Record {
    let text = std::fs::read_to_string(file(name)).unwrap();
    record::read(&text).unwrap()
}

/// A dashboard that looked at the whole record.
pub(super) fn played(name: &str) -> Model {
    let record = kept(name);
    let mut model = Model {
        choice: Choice {
            range: 1,
            ..Choice::default()
        },
        program: "cfs-repl".to_owned(),
        size: (120, 36),
        ..Model::default()
    };
    let at = |t_us: u64| {
        Message::Tick(Now {
            wall_us: record.head.at_us + t_us,
            mono_us: t_us,
        })
    };
    for (t_us, told) in record.told.clone() {
        update(&mut model, at(t_us));
        update(&mut model, Message::Told(Box::new(told)));
    }
    update(&mut model, at(LENGTH_US));
    settle(&mut model);
    model
}

#[test]
fn the_fixtures_are_what_the_code_makes_and_a_record_comes_back_as_it_was() {
    for (name, script) in ALL {
        let told = script();
        let mut text = record::head(END_US - LENGTH_US);
        for (t_us, told) in &told {
            text.push_str(&record::lines(*t_us, told.clone()));
        }
        let file = file(name);
        if std::env::var_os("CFS_REPL_REGENERATE").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        assert!(
            std::fs::read_to_string(&file).is_ok_and(|kept| kept == text),
            "{} is not what the code makes; run CFS_REPL_REGENERATE=1 cargo test the_fixtures",
            file.display()
        );
        let mut sorted = told;
        sorted.retain(|(_, told)| *told != Told::Preview(Vec::new()));
        sorted.sort_by_key(|(t_us, told)| (*t_us, matches!(told, Told::Preview(_))));
        assert_eq!(record::read(&text).unwrap().told, sorted, "{name}");
    }
}

#[test]
fn a_record_that_was_cut_off_is_played_and_one_that_is_none_is_told() {
    let text = std::fs::read_to_string(file("all-well")).unwrap();
    let whole = record::read(&text).unwrap().told.len();
    let cut: String = text.chars().take(text.len() - 40).collect();
    assert!(record::read(&cut).unwrap().told.len() < whole);
    let broken = text.replacen("\"kind\"", "\"k", 1);
    let error = record::read(&broken).unwrap_err().to_string();
    assert!(error.starts_with("line 2 cannot be read"), "{error}");
    assert!(matches!(
        record::read("{}\n"),
        Err(record::RecordError::NoRecord)
    ));
    let newer = text.replacen("/v1", "/v9", 1);
    assert!(matches!(
        record::read(&newer),
        Err(record::RecordError::Format { .. })
    ));
    // What a later version adds is skipped.
    let more = text + "{\"t_us\":1,\"kind\":\"forecast\",\"says\":\"rain\",\"x\":1}\n";
    assert_eq!(record::read(&more).unwrap().told.len(), whole);
}

/// Writes two records for measurements into the folder that `CFS_REPL_HEAVY` names: 16 sites with 256 shards each and
/// 10 000 conflicts, once with a heartbeat a second and once with 1 000 events a second and shards that all move.
#[test]
#[ignore = "it makes what is measured by hand"]
fn heavy_records_are_made() {
    let folder = PathBuf::from(std::env::var_os("CFS_REPL_HEAVY").unwrap());
    let list = (1..=10_000).rev().map(|nth| {
        let path = format!("projects/p{}/render-{nth:05}.exr", nth % 23);
        conflict(nth % 1_000 + nth * 1_000, path.as_bytes(), Some(nth * 977))
    });
    let told = Told::Conflicts {
        list: list.collect(),
        found: 10_000,
    };
    let calm = sixteen_sites()
        .into_iter()
        .rev()
        .find_map(|(_, told)| match told {
            Told::Update(_, Update::Snapshot(look)) => Some(look),
            _ => None,
        });
    let mut look = *calm.unwrap();
    let mut quiet = record::head(END_US);
    let snapshot = Told::Update(END_US, Update::Snapshot(Box::new(look.clone())));
    quiet.push_str(&record::lines(0, snapshot));
    quiet.push_str(&record::lines(0, told));
    let mut loud = quiet.clone();
    for second in 1..=120 {
        let beat = Update::Heartbeat {
            uptime_us: second * S,
            engine_age_us: 1_000,
        };
        quiet.push_str(&record::lines(
            second * S,
            Told::Update(END_US + second * S, beat),
        ));
    }
    for half in 1..=60_u64 {
        let at_us = half * S / 2;
        let mut shards = BTreeMap::new();
        for site in &mut look.lag.sites {
            site.lag = Lag::Known(half * 100_000);
            for shard in &mut site.shards {
                (shard.head, shard.behind_entries) = (shard.head + 7, half);
            }
            shards.insert(site.site.clone(), site.shards.clone());
        }
        let delta = Delta {
            lags: look
                .lag
                .sites
                .iter()
                .map(|site| SiteLag {
                    shards: Vec::new(),
                    ..site.clone()
                })
                .collect(),
            shards,
            ..Delta::default()
        };
        loud.push_str(&record::lines(
            at_us,
            Told::Update(END_US + at_us, Update::Delta(Box::new(delta))),
        ));
        for nth in 0..500 {
            let number = half * 500 + nth;
            let event = event(
                number,
                0,
                Level::Info,
                "conflict.recorded",
                Some("iad-2"),
                "a conflict was recorded",
            );
            loud.push_str(&record::lines(at_us + nth * 1_000, Told::Event(event)));
        }
    }
    std::fs::write(folder.join("quiet.jsonl"), quiet).unwrap();
    std::fs::write(folder.join("loud.jsonl"), loud).unwrap();
}
