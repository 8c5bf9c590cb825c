//! Trees that the daemon may not read or write everywhere, or not watch: one file waits and is shown, the rest goes on.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use claudefs_repl::journal::codec::encode_change;
use claudefs_repl::journal::dot::ROOT_INODE;
use claudefs_repl::journal::op::{Attr, Name, Place};
use claudefs_repl::journal::{Change, JournalEntry, OpKind};
use rustix::fs::CWD;

use super::hostile::{Hostile, batch, create, entry, hello_at};
use super::site::{Lab, Site, wait_until};

/// The user that nothing belongs to.
const NOBODY: u32 = 65_534;

/// Hands everything below `path` to nobody.
fn hand_over(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            hand_over(&entry.unwrap().path());
        }
    }
}

/// Site A for an ordinary user, and the command that runs it as one; None when this process cannot change users.
fn as_nobody(lab: &Lab) -> Option<(Site, Command)> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: running a daemon as another user needs root");
        return None;
    }
    let site = lab.site_a();
    lab.issue("site-b");
    fs::set_permissions(lab.path(), fs::Permissions::from_mode(0o755)).unwrap();
    hand_over(lab.path());
    let own = site.command();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(own.get_program())
        .args(own.get_args())
        .env_clear();
    let can = Command::new("setpriv")
        .args(["--reuid=65534", "test", "-x"])
        .arg(own.get_program())
        .status();
    if !can.is_ok_and(|status| status.success()) {
        println!(
            "skipped: nobody may not run {}",
            own.get_program().display()
        );
        return None;
    }
    Some((site, command))
}

fn mkdir(seq: u64, name: &str) -> JournalEntry {
    let change = Change::MkDir {
        place: place(ROOT_INODE, name),
        attr: Attr {
            mode: Some(0o755),
            ..Attr::default()
        },
    };
    entry(seq, OpKind::MkDir, encode_change(&change).to_vec())
}

fn place(parent: u64, name: &str) -> Place {
    Place {
        parent,
        name: Name::new(name.as_bytes().to_vec()).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ordinary_user_may_not_write_is_parked_shown_and_applied_when_it_may() {
    let lab = Lab::new();
    let Some((mut site, mut command)) = as_nobody(&lab) else {
        return;
    };
    site.start_as(&mut command);
    let mut peer = Hostile::connect(&lab.tls("site-b"), &site.address(), hello_at(4)).await;
    let dir = mkdir(1, "closed");
    let inode = dir.inode;
    peer.send(batch(vec![dir])).await;
    peer.applied(1).await;
    chown(site.tree.join("closed"), Some(0), Some(0)).unwrap();
    let mut inside = create(2, "inside");
    inside.payload = encode_change(&Change::Create {
        place: place(inode, "inside"),
        attr: Attr::default(),
    });
    inside.crc32 = inside.compute_crc();
    peer.send(batch(vec![inside])).await;
    peer.send(batch(vec![create(3, "beside")])).await;
    wait_until("the other file", || site.tree.join("beside").exists());
    site.wait_for_cause("cannot be applied here");
    let status = site.status().to_string();
    assert!(status.contains("ermission denied"), "{status}");
    assert!(!site.tree.join("closed/inside").exists());
    chown(site.tree.join("closed"), Some(NOBODY), Some(NOBODY)).unwrap();
    wait_until("the parked file", || {
        site.tree.join("closed/inside").exists()
    });
    wait_until("the cause to go", || {
        !site.causes().contains("cannot be applied")
    });
    peer.hang_up().await;
    site.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ordinary_user_may_not_read_is_shown_and_the_rest_is_sent() {
    let lab = Lab::new();
    let Some((mut site, mut command)) = as_nobody(&lab) else {
        return;
    };
    let secret = site.tree.join("secret");
    for (name, bytes) in [("open", "x"), ("secret", "y")] {
        fs::write(site.tree.join(name), bytes).unwrap();
    }
    hand_over(&site.tree);
    chown(&secret, Some(0), Some(0)).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    site.start_as(&mut command);
    site.wait_for_cause("secret cannot be read and is not sent");
    assert!(
        site.causes().contains("ermission denied"),
        "{}",
        site.causes()
    );
    let mut peer = Hostile::connect(&lab.tls("site-b"), &site.address(), hello_at(0)).await;
    assert_eq!(created(&mut peer).await, "open");
    // Its owner lets it be read: that is a change like any other.
    chown(&secret, Some(NOBODY), Some(NOBODY)).unwrap();
    assert_eq!(created(&mut peer).await, "secret");
    peer.hang_up().await;
    site.stop();
}

/// The name of the next file that the daemon tells of.
async fn created(peer: &mut Hostile) -> String {
    loop {
        for entry in peer.entries().await {
            let change = claudefs_repl::journal::codec::decode_change(&entry).unwrap();
            if let Change::Create { place, .. } = change {
                return String::from_utf8_lossy(place.name.as_bytes()).into_owned();
            }
        }
    }
}

#[test]
fn what_is_no_part_of_replication_is_counted_and_named_in_the_status() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    let fifo = site.tree.join("pipe");
    fs::create_dir(site.tree.join("work")).unwrap();
    let _socket = UnixListener::bind(site.tree.join("work/socket")).unwrap();
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    site.start();
    wait_until("the scan", || {
        !site.status()["tree"]["last_scan_us"].is_null()
    });
    let tree = site.status()["tree"].clone();
    assert_eq!(tree["left_alone"], 2, "{tree:#}");
    assert_eq!(tree["left_alone_first"], fifo.to_str().unwrap());
    site.stop();
}

/// A filesystem of its own over a directory, until this goes.
struct Cover<'a>(&'a Path);

impl<'a> Cover<'a> {
    /// None where this process may not mount.
    fn new(dir: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "none"]).arg(dir);
        let is_done = mount.status().is_ok_and(|status| status.success());
        is_done.then_some(Self(dir))
    }
}

impl Drop for Cover<'_> {
    fn drop(&mut self) {
        let status = Command::new("umount").arg(self.0).status();
        if !status.is_ok_and(|status| status.success()) {
            println!("{} stays mounted", self.0.display());
        }
    }
}

#[test]
fn a_tree_that_is_mounted_over_is_told_and_left_alone_until_it_is_uncovered() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    fs::write(site.tree.join("f"), "x").unwrap();
    site.expects(&["another directory stands at its path"]);
    site.start();
    wait_until("the scan", || site.journaled() >= 2);
    let before = site.journaled();
    let tree = site.tree.clone();
    let Some(cover) = Cover::new(&tree) else {
        println!("skipped: mounting a filesystem needs root");
        site.stop();
        return;
    };
    site.wait_for_cause("mounted over");
    // It is no part of the tree: what is done there stays there.
    fs::write(tree.join("elsewhere"), "y").unwrap();
    assert_eq!(site.journaled(), before, "neither removed nor created");
    drop(cover);
    fs::write(tree.join("g"), "z").unwrap();
    wait_until("the look after it", || site.journaled() >= before + 2);
    assert_eq!(site.journaled(), before + 2, "a creation and its bytes");
    wait_until("no cause", || !site.causes().contains("mounted over"));
    site.stop();
}

#[test]
fn a_watch_limit_that_is_reached_is_said_and_the_tree_is_scanned_instead() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    for nth in 0..10 {
        fs::create_dir(site.tree.join(format!("d{nth}"))).unwrap();
        fs::write(site.tree.join(format!("d{nth}/f")), "x").unwrap();
    }
    let limited = "echo 4 > /proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"";
    let namespace = ["--user", "--map-root-user"];
    let tried = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-c", limited, "true"])
        .status();
    if !tried.is_ok_and(|status| status.success()) {
        println!("skipped: no user namespace with a limit of its own can be made here");
        return;
    }
    let own = site.command();
    let mut command = Command::new("unshare");
    command
        .args(namespace)
        .args(["sh", "-c", limited])
        .arg(own.get_program())
        .args(own.get_args())
        .env("PATH", "/usr/bin:/bin");
    site.start_as(&mut command);
    site.wait_for_cause("max_user_watches");
    site.wait_for_log("scanning instead");
    assert_eq!(site.status()["tree"]["watch"], "scanning");
    // Ten directories, ten files and their contents.
    wait_until("the scan", || site.journaled() >= 30);
    site.stop();
}
