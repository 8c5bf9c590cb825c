//! The faulty disk must be as unkind as it says, else the tests on it prove nothing.

use super::*;

fn read(disk: &FaultyDisk, path: &Path) -> Option<Vec<u8>> {
    let file = disk.open(path).ok()?;
    let mut bytes = vec![0; index(file.size().unwrap())];
    file.read_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

/// A disk with `/d/f`, durable, 2 KiB of ones.
fn prepared(seed: u64) -> (FaultyDisk, SharedFile) {
    let disk = FaultyDisk::new(seed);
    disk.create_dir(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let file = disk.create(Path::new("/d/f")).unwrap();
    file.write_at(&[1; 2048], 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    (disk, file)
}

#[test]
fn unsynced_sectors_are_kept_or_lost_each_by_itself_and_synced_ones_never_lost() {
    let mut mixtures = BTreeSet::new();
    for seed in 0..64 {
        let (disk, file) = prepared(seed);
        file.write_at(&[2; 1024], 512).unwrap();
        disk.power_cut();
        assert!(disk.open(Path::new("/d/f")).is_err());
        disk.restart();
        assert!(file.size().is_err(), "handles of the former life are dead");
        let bytes = read(&disk, Path::new("/d/f")).unwrap();
        assert_eq!((bytes[0], bytes[2047]), (1, 1), "seed {seed}");
        mixtures.insert((bytes[512], bytes[1024]));
    }
    assert_eq!(mixtures.len(), 4);
}

#[test]
fn names_need_the_sync_of_their_directory() {
    let (mut kept, mut renamed, mut removed) = (0, 0, 0);
    for seed in 0..64 {
        let (disk, _) = prepared(seed);
        disk.create(Path::new("/d/new")).unwrap();
        disk.power_cut();
        disk.restart();
        kept += i32::from(read(&disk, Path::new("/d/new")).is_some());
        disk.rename(Path::new("/d/f"), Path::new("/d/g")).unwrap();
        disk.power_cut();
        disk.restart();
        let at = ["/d/f", "/d/g"].map(|path| read(&disk, Path::new(path)).is_some());
        assert!(at[0] != at[1], "a rename is whole");
        renamed += i32::from(at[1]);
        let left = Path::new(if at[0] { "/d/f" } else { "/d/g" });
        disk.remove(left).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.power_cut();
        disk.restart();
        removed += i32::from(read(&disk, left).is_none());
    }
    assert!((1..64).contains(&kept) && (1..64).contains(&renamed));
    assert_eq!(removed, 64);
}

#[test]
fn a_failed_sync_loses_its_sectors_though_they_read_back() {
    let (disk, file) = prepared(1);
    file.write_at(&[2; 512], 0).unwrap();
    disk.fail_at(disk.operations(), Fault::Io);
    assert!(file.sync_data().is_err());
    assert_eq!(read(&disk, Path::new("/d/f")).unwrap()[0], 2);
    file.sync_data().unwrap();
    disk.power_cut();
    disk.restart();
    assert_eq!(read(&disk, Path::new("/d/f")).unwrap()[0], 1);
}

#[test]
fn a_full_disk_refuses_growth_only_and_says_so() {
    let (disk, file) = prepared(1);
    disk.set_capacity(2048);
    file.write_at(&[3; 10], 0).unwrap();
    assert!(file.write_at(&[3; 10], 2040).unwrap_err().is_disk_full());
    assert!(file.allocate(4096).unwrap_err().is_disk_full());
    assert_eq!(disk.free_bytes(Path::new("/d")).unwrap(), 0);
    disk.set_capacity(4096);
    file.allocate(4096).unwrap();
}

#[test]
fn a_crash_stops_the_operation_and_everything_after_it() {
    let (disk, file) = prepared(1);
    disk.crash_at(disk.operations() + 1);
    file.write_at(b"x", 0).unwrap();
    assert!(file.sync_data().is_err());
    assert!(disk.is_down() && file.write_at(b"x", 0).is_err());
    disk.restart();
    assert!(disk.open(Path::new("/d/f")).is_ok());
}
