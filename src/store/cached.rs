//! Decoded values over one table of the store, by inode: encoded when they are written out, not at every change.
//!
//! A merge reads and writes the same few nodes again and again: the file of a batch, and the directories above it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::key::{Key, Table};
use super::kv::Kv;
use crate::error::Result;

/// Changed values that are kept until they are encoded, and values of each generation that were read; a node takes
/// some 3 KiB.
const VALUES_MAX: usize = 512;

/// Values of one table.
pub(super) struct Cached<T> {
    table: Table,
    encode: fn(&T) -> Vec<u8>,
    decode: fn(u64, &[u8]) -> Result<T>,
    /// Not in the store yet; None is removed.
    changed: BTreeMap<u64, Option<Arc<T>>>,
    /// As in the store.
    read: RefCell<Generations<T>>,
}

/// Two generations: what was not asked for while the younger one filled up is forgotten.
#[derive(Debug)]
struct Generations<T> {
    young: BTreeMap<u64, Arc<T>>,
    old: BTreeMap<u64, Arc<T>>,
}

impl<T> std::fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cached")
            .field("table", &self.table)
            .field("changed", &self.changed.len())
            .finish_non_exhaustive()
    }
}

impl<T> Cached<T> {
    pub(super) const fn new(
        table: Table,
        encode: fn(&T) -> Vec<u8>,
        decode: fn(u64, &[u8]) -> Result<T>,
    ) -> Self {
        let generations = Generations {
            young: BTreeMap::new(),
            old: BTreeMap::new(),
        };
        Self {
            table,
            encode,
            decode,
            changed: BTreeMap::new(),
            read: RefCell::new(generations),
        }
    }

    /// The value of `inode`.
    pub(super) fn get(&self, kv: &Kv, inode: u64) -> Result<Option<Arc<T>>> {
        if let Some(changed) = self.changed.get(&inode) {
            return Ok(changed.clone());
        }
        let mut read = self.read.borrow_mut();
        if let Some(value) = read.get(inode) {
            return Ok(Some(value));
        }
        let Some(bytes) = kv.get(&self.key(inode))? else {
            return Ok(None);
        };
        let value = Arc::new((self.decode)(inode, &bytes)?);
        read.put(inode, Arc::clone(&value));
        Ok(Some(value))
    }

    /// Sets or removes the value of `inode`.
    pub(super) fn set(&mut self, kv: &mut Kv, inode: u64, value: Option<T>) {
        self.changed.insert(inode, value.map(Arc::new));
        if self.changed.len() >= VALUES_MAX {
            self.flush(kv);
        }
    }

    /// Nothing waits for [`Cached::flush`].
    pub(super) fn is_clean(&self) -> bool {
        self.changed.is_empty()
    }

    /// Hands everything that was changed to the store.
    pub(super) fn flush(&mut self, kv: &mut Kv) {
        let read = self.read.get_mut();
        for (inode, value) in std::mem::take(&mut self.changed) {
            let key = Key::of(self.table).u64(inode).done();
            kv.put(key, value.as_deref().map(self.encode));
            match value {
                Some(value) => read.put(inode, value),
                None => read.forget(inode),
            }
        }
    }

    fn key(&self, inode: u64) -> Vec<u8> {
        Key::of(self.table).u64(inode).done()
    }
}

impl<T> Generations<T> {
    fn get(&mut self, inode: u64) -> Option<Arc<T>> {
        if let Some(value) = self.young.get(&inode) {
            return Some(Arc::clone(value));
        }
        let value = self.old.remove(&inode)?;
        self.put(inode, Arc::clone(&value));
        Some(value)
    }

    fn put(&mut self, inode: u64, value: Arc<T>) {
        if self.young.len() >= VALUES_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&inode);
        self.young.insert(inode, value);
    }

    fn forget(&mut self, inode: u64) {
        self.young.remove(&inode);
        self.old.remove(&inode);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::RealDisk;

    fn numbers() -> Cached<u64> {
        Cached::new(
            Table::Node,
            |number| number.to_be_bytes().to_vec(),
            |_, bytes| crate::store::key::number(bytes),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_read_is_what_was_set_last_whether_it_was_written_out_or_not(
            ops in proptest::collection::vec((0u64..3_000, proptest::option::of(any::<u64>()), any::<bool>()), 1..6_000),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state.redb");
            let mut kv = Kv::open(&RealDisk::shared(), &path).unwrap();
            let (mut cached, mut model) = (numbers(), BTreeMap::new());
            for (nth, (inode, value, reads)) in ops.iter().enumerate() {
                if *reads {
                    let read = cached.get(&kv, *inode).unwrap().map(|value| *value);
                    prop_assert_eq!(read, model.get(inode).copied());
                } else {
                    cached.set(&mut kv, *inode, *value);
                    match value {
                        Some(value) => model.insert(*inode, *value),
                        None => model.remove(inode),
                    };
                }
                if nth % 1_500 == 1_499 {
                    cached.flush(&mut kv);
                    kv.commit().unwrap();
                }
            }
            let of_model = |inode: u64| model.get(&inode).copied();
            for inode in 0..3_000 {
                let read = cached.get(&kv, inode).unwrap().map(|value| *value);
                prop_assert_eq!(read, of_model(inode));
            }
            cached.flush(&mut kv);
            kv.commit().unwrap();
            drop(kv);
            let (kv, again) = (Kv::open(&RealDisk::shared(), &path).unwrap(), numbers());
            for inode in 0..3_000 {
                let read = again.get(&kv, inode).unwrap().map(|value| *value);
                prop_assert_eq!(read, of_model(inode));
            }
        }
    }
}
