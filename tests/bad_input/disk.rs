//! Disks that fail: in memory under the logs of an engine, at every operation; on a small real filesystem and by
//! damaged files under the daemon. It stops cleanly, says where, and goes on when it can, with all it acknowledged.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use claudefs_repl::clock::ManualClock;
use claudefs_repl::content::chunk::hash_bytes;
use claudefs_repl::disk::{Disk as _, Fault, FaultyDisk};
use claudefs_repl::error::Result;
use claudefs_repl::journal::codec::encode_change;
use claudefs_repl::journal::dot::ROOT_INODE;
use claudefs_repl::journal::op::{Attr, Content, Name, Place};
use claudefs_repl::journal::{Change, JournalEntry, LogOptions, OpKind};
use claudefs_repl::sync::engine::{Engine, EngineConfig, Refusal, Retention};
use claudefs_repl::sync::port::{LocalOp, LocalTxn};

use super::hostile::{ACTOR, Hostile, batch, create, entry, hello_at, stream};
use super::site::{Lab, wait_until};

/// Time of the engines in memory.
const NOW_US: u64 = 1_800_000_000_000_000;
/// Operations of a workload on the engine.
const ROUNDS: u64 = 4;

/// An engine whose logs are on a disk in memory, and its state on a real one.
struct Site {
    config: EngineConfig,
    engine: Option<Engine>,
}

impl Site {
    fn new(folder: &Path, disk: &FaultyDisk) -> Self {
        let mut log = LogOptions::default();
        log.segment_bytes = 16 * 1024;
        let config = EngineConfig {
            dir: folder.to_owned(),
            disk: disk.shared(),
            clock: ManualClock::at(NOW_US),
            log,
            site_id: 1,
            incarnation: 1 << 48 | 7,
            applies: true,
            sends: true,
            retention: Retention::default(),
            accept_clock: false,
            reclaim: None,
        };
        Self {
            config,
            engine: None,
        }
    }

    /// Does `work`, again and again as the daemon would, until it succeeds; how often it failed.
    fn insist<T>(&mut self, work: impl Fn(&mut Engine) -> Result<Option<T>>) -> (T, u32) {
        let mut failures = 0;
        loop {
            assert!(failures < 5, "a fault that happens once");
            let opened = match self.engine.take() {
                Some(engine) => Ok(engine),
                None => Engine::open(self.config.clone()),
            };
            match opened.and_then(|mut engine| {
                let done = work(&mut engine);
                self.engine = Some(engine);
                done
            }) {
                Ok(Some(done)) => return (done, failures),
                Ok(None) => failures += 1,
                Err(error) => {
                    let (told, folder) = (error.to_string(), self.config.dir.to_str().unwrap());
                    assert!(
                        told.contains(folder) || told.contains("opened again"),
                        "{told}"
                    );
                    failures += 1;
                }
            }
        }
    }
}

fn place(name: &str) -> Place {
    Place {
        parent: ROOT_INODE,
        name: Name::new(name.as_bytes().to_vec()).unwrap(),
    }
}

fn new_file(inode: u64, name: &str) -> LocalTxn {
    let change = Change::Create {
        place: place(name),
        attr: Attr::default(),
    };
    let op = LocalOp {
        inode,
        link: inode,
        change,
        back_date_us: None,
        device: None,
    };
    LocalTxn { ops: vec![op] }
}

/// A stamp that the engine's clock believes.
fn received(seq: u64) -> JournalEntry {
    let mut entry = create(seq, &format!("theirs-{seq}"));
    entry.timestamp_us = NOW_US + seq;
    entry.hlc_us = entry.timestamp_us;
    entry.crc32 = entry.compute_crc();
    entry
}

/// Journals and receives; the inodes of what was journaled, and how many operations failed.
fn workload(site: &mut Site) -> (Vec<u64>, u32) {
    let (mut inodes, mut failures) = (Vec::new(), 0);
    for round in 1..=ROUNDS {
        let (inode, failed) = site.insist(|engine| {
            let inode = engine.mint()?;
            engine.submit(&[new_file(inode, &format!("ours-{round}-{inode}"))])?;
            Ok(Some(inode))
        });
        inodes.push(inode);
        failures += failed;
        let ((), failed) = site.insist(|engine| {
            let arrived = engine.receive(ACTOR, &[batch(vec![received(round)])], 0)?;
            if let Some(refusal) = &arrived.refusal {
                assert!(matches!(refusal, Refusal::NoSpace { .. }), "{refusal:?}");
            }
            Ok(arrived.refusal.is_none().then_some(()))
        });
        failures += failed;
    }
    (inodes, failures)
}

fn disk_for(folder: &Path, seed: u64) -> FaultyDisk {
    let disk = FaultyDisk::new(seed);
    let mut above: Vec<&Path> = folder.ancestors().collect();
    above.reverse();
    for dir in above.into_iter().filter(|dir| dir.parent().is_some()) {
        disk.create_dir(dir).unwrap();
        disk.sync_dir(dir.parent().unwrap()).unwrap();
    }
    disk
}

#[test]
fn a_failure_of_any_log_operation_is_reported_and_the_engine_goes_on_with_all_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let clean = disk_for(folder.path(), 0);
    let before = clean.operations();
    let (_, failures) = workload(&mut Site::new(folder.path(), &clean));
    assert_eq!(failures, 0);
    let operations = before..clean.operations();
    let mut reported = 0;
    for fault in [Fault::Io, Fault::Full] {
        for operation in operations.clone() {
            println!("{fault:?} at operation {operation}");
            let folder = tempfile::tempdir_in(folder.path()).unwrap();
            let disk = disk_for(folder.path(), operation);
            // The folders above differ in number from those of the clean run.
            disk.fail_at(disk.operations() + operation - before, fault);
            let mut site = Site::new(folder.path(), &disk);
            let (inodes, failures) = workload(&mut site);
            reported += u64::from(failures > 0);
            // As a kill would leave it, and then a power cut under the logs.
            drop(site.engine.take());
            disk.power_cut();
            disk.restart();
            let mut engine = Engine::open(site.config.clone()).unwrap();
            for inode in inodes {
                assert!(
                    engine.applied(inode).unwrap().is_some(),
                    "{inode:x} was acknowledged"
                );
            }
            let progress = engine.progress(ACTOR).unwrap();
            let theirs = progress.iter().find(|one| one.stream == stream()).unwrap();
            assert_eq!((theirs.received, theirs.merged), (ROUNDS, ROUNDS));
        }
    }
    // Else the faults hit nothing. What the store writes when it is closed, and removing a leftover that is not there, may
    // fail unseen.
    let tried = 2 * (operations.end - operations.start);
    assert!(reported * 10 > tried * 6, "{reported} of {tried}");
}

/// An ext4 filesystem of its own in a file; None where that is not allowed.
struct Volume {
    mounted: PathBuf,
}

impl Volume {
    fn new(at: &Path, mebibytes: u64) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: mounting a filesystem needs root");
            return None;
        }
        let image = at.with_extension("img");
        fs::File::create(&image)
            .unwrap()
            .set_len(mebibytes << 20)
            .unwrap();
        fs::create_dir_all(at).unwrap();
        let ran = |command: &mut Command| command.output().is_ok_and(|out| out.status.success());
        let made = ran(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0"])
            .arg(&image));
        let mounted = made
            && ran(Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(at));
        if !mounted {
            println!("skipped: no filesystem can be mounted here");
            return None;
        }
        Some(Self {
            mounted: at.to_owned(),
        })
    }

    /// Fills the filesystem with `file` but for about `left` bytes.
    fn fill(&self, file: &Path, left: u64) {
        let file = fs::File::create(file).unwrap();
        let block = [7; 64 * 1024];
        for nth in 0_u64.. {
            let stat = rustix::fs::statvfs(&self.mounted).unwrap();
            let is_full = stat.f_bavail * stat.f_frsize <= left;
            if is_full || file.write_all_at(&block, nth * block.len() as u64).is_err() {
                break;
            }
            // Space is taken when it is written back, not when it is written.
            file.sync_data().unwrap();
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.mounted).status();
        assert!(unmounted.unwrap().success() || std::thread::panicking());
    }
}

/// Two entries: a file, and 16 KiB in it that travel inside the entry.
fn file_of_16_kib(nth: u64) -> Vec<JournalEntry> {
    let seq = 2 * nth + 1;
    let inline = bytes::Bytes::from(vec![u8::try_from(nth % 256).unwrap(); 16 * 1024]);
    let content = Content {
        size: inline.len() as u64,
        manifest_root: hash_bytes(&inline).root,
        inline: Some(inline),
        ..Content::default()
    };
    let change = Change::Write {
        content,
        mode: None,
    };
    let born = create(seq, &format!("f{nth:03}"));
    let mut write = entry(seq + 1, OpKind::Write, encode_change(&change).to_vec());
    (write.inode, write.link) = (born.inode, born.link);
    write.crc32 = write.compute_crc();
    vec![born, write]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_tree_is_shown_and_filled_when_there_is_room() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    site.expects(&["no room for the tree"]);
    let Some(volume) = Volume::new(&site.tree, 8) else {
        return;
    };
    site.start();
    let filler = site.tree.join(".cfs-repl/filler");
    volume.fill(&filler, 200 * 1024);
    let mut peer = Hostile::connect(&lab.tls("site-b"), &site.address(), hello_at(60)).await;
    for nth in 0..30 {
        peer.send(batch(file_of_16_kib(nth))).await;
    }
    site.wait_for_cause("the disk of the tree is full");
    assert!(
        fs::read_dir(site.tree.join(".cfs-repl/staging"))
            .unwrap()
            .count()
            <= 1_000
    );
    fs::remove_file(filler).unwrap();
    peer.applied(60).await;
    peer.hang_up().await;
    for nth in 0..30_u8 {
        let bytes = fs::read(site.tree.join(format!("f{nth:03}"))).unwrap();
        assert_eq!(bytes, vec![nth; 16 * 1024]);
    }
    wait_until("the cause to go", || !site.causes().contains("is full"));
    site.stop();
    drop(volume);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_state_folder_stops_everything_cleanly_and_it_goes_on_when_there_is_room() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    site.expects(&["no room for"]);
    // Room for a segment of the journal, one of a received log, and some state.
    let Some(volume) = Volume::new(&site.state, 160) else {
        return;
    };
    rustix::fs::chmod(&site.state, rustix::fs::Mode::RWXU).unwrap();
    site.start();
    let (tls, address) = (lab.tls("site-b"), site.address());
    let mut peer = Hostile::connect(&tls, &address, hello_at(600)).await;
    peer.send(batch(file_of_16_kib(0))).await;
    peer.applied(2).await;
    let filler = site.state.join("filler");
    volume.fill(&filler, 0);
    // The state grows until it has no room.
    for nth in 0..4_000 {
        fs::write(site.tree.join(format!("own-{nth:04}")), b"x").unwrap();
    }
    site.wait_for_log("no room for state");
    fs::remove_file(filler).unwrap();
    wait_until("the state to be written", || {
        site.log().contains("there is room for state again")
    });
    peer.hang_up().await;
    let mut peer = Hostile::connect(&tls, &address, hello_at(600)).await;
    for nth in 1..20 {
        peer.send(batch(file_of_16_kib(nth))).await;
    }
    peer.applied(40).await;
    // All that was written meanwhile is journaled: each file, and what is in it.
    wait_until("the journal", || site.journaled() >= 2 * 4_000);
    peer.hang_up().await;
    site.stop();
    assert_eq!(site.names().len(), 4_000 + 20);
    drop(volume);
}

/// The first segment of the site's journal.
fn segment(state: &Path) -> PathBuf {
    let files = fs::read_dir(state.join("journal")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .find(|file| file.metadata().unwrap().len() > 1 << 20)
        .unwrap()
}

#[test]
fn a_torn_tail_of_a_journal_is_cut_reported_and_a_flipped_byte_refused_with_its_place() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    for nth in 0..20 {
        fs::write(site.tree.join(format!("f{nth}")), format!("{nth}")).unwrap();
    }
    site.start();
    site.wait_for_log("listening");
    wait_until("the first scan", || site.journaled() >= 40);
    site.stop();
    let file = segment(&site.state);
    let journal = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&file)
        .unwrap();
    let bytes = fs::read(&file).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    // What a power cut leaves of a record: its beginning, and garbage.
    journal.write_all_at(&bytes[100..150], end).unwrap();
    site.start();
    assert!(site.log().contains("cut_bytes: "), "{}", site.log());
    assert!(
        !site
            .log()
            .contains("opened journal recovery=Recovery { segments: 1, cut_bytes: 0"),
        "{}",
        site.log()
    );
    site.stop();
    let byte = bytes[end as usize / 2];
    journal.write_all_at(&[byte ^ 1], end / 2).unwrap();
    let (code, told) = site.run();
    assert_eq!(code, Some(1), "{told}");
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(
        told.contains(name) && told.contains("damaged at offset "),
        "{told}"
    );
    assert!(told.contains("nothing was changed"), "{told}");
    journal.write_all_at(&[byte], end / 2).unwrap();
    site.start();
    assert_eq!(site.names().len(), 20);
    site.stop();
}
