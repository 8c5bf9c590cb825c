//! A small filesystem on a loop device that goes away with its test, and a switch that cuts its power.
//!
//! The crate forbids unsafe code, and an ioctl of one's own needs it: perl or python3 of the system call it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Flush;
use crate::lab::{comes, has_program, run};

/// Size of the filesystem: above the least of XFS, 300 MiB.
const BYTES: u64 = 400 << 20;
/// `_IOR('X', 125, __u32)`, from linux/fs.h and xfs_fs.h: FS_IOC_SHUTDOWN.
const SHUTDOWN: &str = "0x8004587d";

/// What is made of a loop device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filesystem {
    Ext4,
    Xfs,
}

impl Filesystem {
    /// Its mkfs, and the package that has it.
    const fn maker(self) -> (&'static str, &'static str) {
        match self {
            Self::Ext4 => ("mkfs.ext4", "e2fsprogs"),
            Self::Xfs => ("mkfs.xfs", "xfsprogs"),
        }
    }
}

/// The file, and the loop device that it is attached to.
#[derive(Debug)]
pub(super) struct Loopback {
    folder: tempfile::TempDir,
    device: String,
}

/// Where it is mounted.
#[derive(Debug)]
pub(super) struct Mount(PathBuf);

impl Mount {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A daemon that was killed lets go of it a moment later.
        let gone = comes(std::time::Duration::from_secs(10), || unmount(&self.0));
        if !gone {
            println!("{} stays mounted", self.0.display());
        }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        Command::new("losetup")
            .arg("-d")
            .arg(&self.device)
            .status()
            .ok();
    }
}

impl Loopback {
    /// A new filesystem, or why there can be none.
    pub(super) fn new(filesystem: Filesystem) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("needs root".to_owned());
        }
        let (maker, package) = filesystem.maker();
        for program in ["losetup", "mount", "umount"] {
            if !has_program(program) {
                return Err(format!("{program} is missing"));
            }
        }
        if !has_program(maker) {
            return Err(format!("{maker} is missing (package {package})"));
        }
        if !tells_mounts_apart() {
            return Err(
                "Linux 6.8 is needed to tell a disk that was mounted again without a reboot"
                    .to_owned(),
            );
        }
        if !has_program("perl") && !has_program("python3") {
            return Err("perl or python3 is needed for an ioctl".to_owned());
        }
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        File::create(&image).unwrap().set_len(BYTES).unwrap();
        run(Command::new(maker).arg("-q").arg(&image));
        let attached = Command::new("losetup")
            .args(["--show", "-f"])
            .arg(&image)
            .output()
            .unwrap();
        if !attached.status.success() {
            let why = String::from_utf8_lossy(&attached.stderr).into_owned();
            return Err(format!("no loop device: {why}"));
        }
        let device = String::from_utf8(attached.stdout)
            .unwrap()
            .trim()
            .to_owned();
        Ok(Self { folder, device })
    }

    /// Mounts it.
    pub(super) fn mount(&self) -> Mount {
        let at = self.folder.path().join("mount");
        fs::create_dir_all(&at).unwrap();
        run(Command::new("mount").arg(&self.device).arg(&at));
        Mount(at)
    }

    /// Unmounts what is left after a failure and mounts it again, which plays back the log.
    pub(super) fn remount(&self, mount: &Mount) {
        assert!(comes(std::time::Duration::from_secs(10), || unmount(
            &mount.0
        )));
        run(Command::new("mount").arg(&self.device).arg(&mount.0));
    }

    /// Cuts the power of the filesystem: from here on nothing reaches the disk.
    pub(super) fn shut_down(&self, mount: &Mount, flush: Flush) {
        let flags = match flush {
            Flush::Log => "1",
            Flush::Nothing => "2",
        };
        let mut command = if has_program("perl") {
            let mut perl = Command::new("perl");
            let script = "open(my $f, '<', $ARGV[0]) or die $!; \
                 ioctl($f, hex($ARGV[1]), pack('L', $ARGV[2])) or die $!;";
            perl.args(["-e", script]);
            perl
        } else {
            let mut python = Command::new("python3");
            let script = "import fcntl, os, struct, sys; \
                 fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), int(sys.argv[2], 16), \
                 struct.pack('I', int(sys.argv[3])))";
            python.args(["-c", script]);
            python
        };
        run(command.arg(&mount.0).args([SHUTDOWN, flags]));
    }
}

fn tells_mounts_apart() -> bool {
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>());
    let version = (numbers.next(), numbers.next());
    matches!(version, (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (6, 8))
}

fn unmount(at: &Path) -> bool {
    let output = Command::new("umount").arg(at).output().unwrap();
    output.status.success()
}
