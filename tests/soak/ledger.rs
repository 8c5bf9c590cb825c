//! What must never be lost, written down as it is written: files that nobody removes, and files that one side alone
//! edits.
//!
//! A kill takes nothing from the disk of a living machine, so every line of the ledger has to be in the tree in the
//! end, whether its entry was journaled at the kill or not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::work::{LARGE, is_wanted};
use crate::lab::{Lab, read_all};
use crate::rng::Rng;

/// What moving the ledger's folders is called among the kinds of work.
pub(super) const MOVES: &str = "mv of the ledger";
/// Files that are edited again and again.
const OWN: u64 = 12;
/// Folders that are moved with what is in them.
const BOXES: u64 = 3;
/// Pause between two lines of one side.
const PAUSE: Duration = Duration::from_millis(60);

/// Lines of one side.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    side: &'static str,
    /// Written once, removed never; moved with their folder.
    once: BTreeSet<Vec<u8>>,
    /// Last bytes of the files that this side alone edits.
    own: BTreeMap<PathBuf, Vec<u8>>,
}

/// Writes the lines.
#[derive(Debug)]
pub(super) struct Writer {
    root: PathBuf,
    rng: Rng,
    count: u64,
    moves: bool,
    large: bool,
    ledger: Ledger,
}

impl Writer {
    pub(super) fn new(side: &'static str, tree: &Path, seed: u64, only: &[&str]) -> Self {
        let root = tree.join("keep");
        for n in 0..BOXES {
            fs::create_dir_all(root.join(side).join(format!("box{n}-0"))).unwrap();
        }
        fs::create_dir_all(root.join("shared")).unwrap();
        Self {
            root,
            rng: Rng::new(seed ^ u64::from(side.as_bytes()[0])),
            count: 0,
            moves: is_wanted(only, MOVES),
            large: is_wanted(only, LARGE),
            ledger: Ledger {
                side,
                ..Ledger::default()
            },
        }
    }

    /// Writes until `stop` is set.
    pub(super) fn work(mut self, stop: &AtomicBool) -> Ledger {
        while !stop.load(Ordering::SeqCst) {
            self.count += 1;
            match self.rng.below(10) {
                0..=3 => self.write_once(),
                4 => self.write_shared(),
                5 if self.moves => self.move_box(),
                _ => self.edit_own(),
            }
            // The pace of users; nothing is waited for.
            std::thread::sleep(PAUSE);
        }
        self.ledger
    }

    fn bytes(&mut self) -> Vec<u8> {
        let line = format!("ledger of {}, line {}\n", self.ledger.side, self.count);
        let times = if self.rng.one_in(12) && self.large {
            1_500
        } else {
            1
        };
        line.repeat(times).into_bytes()
    }

    fn a_box(&mut self) -> PathBuf {
        let own = self.root.join(self.ledger.side);
        let start = format!("box{}-", self.rng.below(BOXES));
        let entries = fs::read_dir(own).unwrap().map(|entry| entry.unwrap());
        let mut found = entries.filter(|e| e.file_name().to_string_lossy().starts_with(&start));
        found.next().expect("nobody else moves it").path()
    }

    fn write_once(&mut self) {
        let path = self.a_box().join(format!("line{}", self.count));
        let bytes = self.bytes();
        fs::File::create_new(path)
            .unwrap()
            .write_all(&bytes)
            .unwrap();
        self.ledger.once.insert(bytes);
    }

    /// Both sides use these names; nobody ever writes over one that is there.
    fn write_shared(&mut self) {
        let path = self
            .root
            .join("shared")
            .join(format!("s{}", self.count / 4));
        let bytes = self.bytes();
        if let Ok(mut file) = fs::File::create_new(path) {
            file.write_all(&bytes).unwrap();
            self.ledger.once.insert(bytes);
        }
    }

    fn move_box(&mut self) {
        let from = self.a_box();
        let name = from.file_name().unwrap().to_str().unwrap();
        let (start, _) = name.split_once('-').unwrap();
        fs::rename(
            &from,
            from.with_file_name(format!("{start}-{}", self.count)),
        )
        .unwrap();
    }

    /// In place, as a whole by rename, or at its end: whatever was seen last must be there.
    fn edit_own(&mut self) {
        let name = format!("own-{}-{}", self.ledger.side, self.rng.below(OWN));
        let path = self.root.join(&name);
        let mut bytes = self.bytes();
        match self.rng.below(3) {
            0 => fs::write(&path, &bytes).unwrap(),
            1 => {
                let temporary = self.root.join(format!(".{name}.tmp"));
                fs::write(&temporary, &bytes).unwrap();
                fs::rename(temporary, &path).unwrap();
            }
            _ => {
                let mut options = fs::File::options();
                let mut file = options.append(true).create(true).open(&path).unwrap();
                file.write_all(&bytes).unwrap();
                let known = self.ledger.own.get(&PathBuf::from(&name));
                let mut all = known.cloned().unwrap_or_default();
                all.append(&mut bytes);
                bytes = all;
            }
        }
        self.ledger.own.insert(name.into(), bytes);
    }
}

impl Ledger {
    /// Insists that every line is in the tree. Both trees are equal by then.
    pub(super) fn assert_kept(&self, lab: &mut Lab) {
        let there: BTreeSet<Vec<u8>> = read_all(&lab.a.tree.join("keep"))
            .into_iter()
            .map(|(_, bytes)| bytes)
            .collect();
        let lost: Vec<&Vec<u8>> = self.once.difference(&there).collect();
        let keep = lab.a.tree.join("keep");
        let undone = self
            .own
            .iter()
            .filter(|(name, bytes)| fs::read(keep.join(name)).ok().as_ref() != Some(*bytes));
        let undone: Vec<&PathBuf> = undone.map(|(name, _)| name).collect();
        println!(
            "ledger of {}: {} lines, {} files of its own",
            self.side,
            self.once.len(),
            self.own.len()
        );
        if lost.is_empty() && undone.is_empty() {
            return;
        }
        let mut told = format!("lost lines of {}:\n", self.side);
        for bytes in lost {
            let text = String::from_utf8_lossy(bytes);
            let line = text.lines().next().unwrap_or_default().to_owned();
            let sites = lab.seen();
            let trash = sites.iter().map(|site| in_trash(&site.tree, bytes));
            let trash: Vec<bool> = trash.collect();
            told += &format!("  {line}, in the trash of each: {trash:?}\n");
        }
        told += &format!("edits of {} undone: {undone:?}\n", self.side);
        for name in undone {
            let now = fs::read(keep.join(name)).unwrap_or_default();
            told += &format!("  {}: {} bytes\n", name.display(), now.len());
        }
        lab.fail("ledger", &told);
    }
}

fn in_trash(tree: &Path, bytes: &[u8]) -> bool {
    let trash = tree.join(".cfs-repl");
    read_all(&trash).iter().any(|(_, found)| found == bytes)
}
