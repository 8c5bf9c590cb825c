//! The other sites that this daemon exchanges with: a table that grows and shrinks while it runs.
//!
//! Whoever looks takes the table of that moment; one that is added or goes meanwhile is in the next one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::peer::PeerView;
use crate::conduit::link::Link;
use crate::topology::SiteId;

/// A peer and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct PeerHandle {
    pub(super) name: String,
    pub(super) link: Link,
    pub(super) view: Arc<Mutex<PeerView>>,
    /// Ends its tasks.
    pub(super) stop: CancellationToken,
}

impl PeerHandle {
    /// What is known of it at this moment.
    pub(super) fn seen(&self) -> PeerView {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.clone()
    }
}

/// Something of each site, by its number. Clones share it.
pub(super) struct Table<T>(Arc<ArcSwap<BTreeMap<SiteId, T>>>);

impl<T: Clone> Table<T> {
    /// The table of this moment.
    pub(super) fn all(&self) -> Arc<BTreeMap<SiteId, T>> {
        self.0.load_full()
    }

    /// Adds a site, or puts another one in its place.
    pub(super) fn insert(&self, site: SiteId, what: T) {
        self.0.rcu(|table| {
            let mut table = BTreeMap::clone(table);
            table.insert(site, what.clone());
            table
        });
    }

    /// Takes a site out.
    pub(super) fn remove(&self, site: SiteId) -> Option<T> {
        let before = self.0.rcu(|table| {
            let mut table = BTreeMap::clone(table);
            table.remove(&site);
            table
        });
        before.get(&site).cloned()
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Arc::new(ArcSwap::from_pointee(BTreeMap::new())))
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sites: Vec<SiteId> = self.0.load().keys().copied().collect();
        f.debug_tuple("Table").field(&sites).finish()
    }
}

/// All peers.
pub(super) type Peers = Table<PeerHandle>;

impl Peers {
    /// The peer of that name.
    pub(super) fn named(&self, name: &str) -> Option<(SiteId, PeerHandle)> {
        let all = self.all();
        let found = all.iter().find(|(_, peer)| peer.name == name);
        found.map(|(id, peer)| (*id, peer.clone()))
    }

    /// The name of a peer.
    pub(super) fn name_of(&self, site: SiteId) -> Option<String> {
        self.all().get(&site).map(|peer| peer.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_table_and_who_holds_one_keeps_it_as_it_was() {
        let table = Table::default();
        let shared = table.clone();
        table.insert(1, "a");
        let before = shared.all();
        assert_eq!(table.remove(1), Some("a"));
        assert_eq!(table.remove(1), None);
        assert_eq!(before.get(&1), Some(&"a"));
        assert!(shared.all().is_empty());
    }
}
