//! Pure: which sites there are, where they are reached and what each of them does with entries.
//!
//! A site's id and its name belong together for ever: entries, inodes and certificates carry one or the other, so a
//! topology never holds two sites with one id, or with one name.

use std::collections::BTreeMap;

use crate::error::{ReplError, Result};
use crate::journal::dot::SITE_ID_MAX;

/// Number of a site, 1..=65535; 0 is reserved.
pub type SiteId = u64;
/// Number of a machine within a site.
pub type NodeId = u64;

/// Longest name of a site or cluster in bytes: one label of a DNS name, because both stand in the certificate.
pub const NAME_BYTES_MAX: usize = 63;

/// What a site does with entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplicationRole {
    /// Sends, and refuses entries of others.
    Primary,
    /// Applies only; what changes there is not journaled.
    Replica {
        /// The site that it follows.
        primary_site_id: SiteId,
    },
    /// Sends and applies.
    #[default]
    Bidirectional,
}

impl ReplicationRole {
    /// Whether entries of other sites are taken.
    #[must_use]
    pub const fn applies(self) -> bool {
        match self {
            Self::Primary => false,
            Self::Replica { .. } | Self::Bidirectional => true,
        }
    }

    /// Whether own entries are sent.
    #[must_use]
    pub const fn sends(self) -> bool {
        match self {
            Self::Primary | Self::Bidirectional => true,
            Self::Replica { .. } => false,
        }
    }
}

/// One site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteInfo {
    /// 1..=65535.
    pub site_id: SiteId,
    /// Its name, as in its certificate; see [`check_name`].
    pub name: String,
    /// Where its conduit listens, `host:port`, tried in this order. Empty: the site only dials.
    pub conduit_addrs: Vec<String>,
    /// What it does with entries.
    pub role: ReplicationRole,
    /// Whether entries are exchanged with it.
    pub active: bool,
    /// How far it is behind, in microseconds. None: not known, which is not zero.
    pub lag_us: Option<u64>,
}

impl SiteInfo {
    /// An active, bidirectional site of unknown lag.
    #[must_use]
    pub fn new(site_id: SiteId, name: impl Into<String>, conduit_addrs: Vec<String>) -> Self {
        Self {
            site_id,
            name: name.into(),
            conduit_addrs,
            role: ReplicationRole::default(),
            active: true,
            lag_us: None,
        }
    }
}

/// The sites of a cluster as one of them sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationTopology {
    local_site_id: SiteId,
    sites: BTreeMap<SiteId, SiteInfo>,
}

impl ReplicationTopology {
    /// A topology without sites, seen from `local_site_id`.
    #[must_use]
    pub const fn new(local_site_id: SiteId) -> Self {
        Self {
            local_site_id,
            sites: BTreeMap::new(),
        }
    }

    /// The site that this is seen from.
    #[must_use]
    pub const fn local_site_id(&self) -> SiteId {
        self.local_site_id
    }

    /// Adds a site, or replaces what is known of one with the same id and name.
    ///
    /// # Errors
    /// [`ReplError::SiteUnknown`] when the id is outside its range, the name is not one, or either of them belongs
    /// to another site.
    pub fn add_site(&mut self, site: SiteInfo) -> Result<()> {
        if site.site_id == 0 || site.site_id > SITE_ID_MAX {
            let got = site.site_id;
            return Err(unknown(format!("{got} (outside 1..={SITE_ID_MAX})")));
        }
        check_name(&site.name)?;
        let (id, name) = (site.site_id, &site.name);
        let taken = self
            .sites
            .values()
            .find(|other| (other.site_id == id) != (other.name == *name));
        if let Some(other) = taken {
            let (other_id, other_name) = (other.site_id, &other.name);
            return Err(unknown(format!(
                "{id} ({name}): site {other_id} is {other_name}"
            )));
        }
        self.sites.insert(id, site);
        Ok(())
    }

    /// The site with this id.
    #[must_use]
    pub fn site(&self, site_id: SiteId) -> Option<&SiteInfo> {
        self.sites.get(&site_id)
    }

    /// The site with this id, to change its lag, role or activity.
    pub fn site_mut(&mut self, site_id: SiteId) -> Option<&mut SiteInfo> {
        self.sites.get_mut(&site_id)
    }

    /// The site with this name.
    #[must_use]
    pub fn site_by_name(&self, name: &str) -> Option<&SiteInfo> {
        self.sites.values().find(|site| site.name == name)
    }

    /// All sites, by id.
    pub fn sites(&self) -> impl Iterator<Item = &SiteInfo> {
        self.sites.values()
    }

    /// The sites with which entries are exchanged, by id.
    pub fn active_sites(&self) -> impl Iterator<Item = &SiteInfo> {
        self.sites.values().filter(|site| site.active)
    }

    /// The active sites other than the local one, by id.
    pub fn remote_sites(&self) -> impl Iterator<Item = &SiteInfo> {
        self.active_sites()
            .filter(|site| site.site_id != self.local_site_id)
    }

    /// Forgets a site and returns what was known of it.
    pub fn remove_site(&mut self, site_id: SiteId) -> Option<SiteInfo> {
        self.sites.remove(&site_id)
    }
}

/// Checks the name of a site or cluster: 1..=63 of `a-z`, `0-9` and `-`, not at either end.
///
/// # Errors
/// [`ReplError::SiteUnknown`] with the name.
pub fn check_name(name: &str) -> Result<()> {
    let letters = name
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let length = (1..=NAME_BYTES_MAX).contains(&name.len());
    if letters && length && !name.starts_with('-') && !name.ends_with('-') {
        return Ok(());
    }
    Err(unknown(format!(
        "{name:?} (a name is 1..={NAME_BYTES_MAX} of a-z, 0-9 and inner dashes)"
    )))
}

const fn unknown(site_id: String) -> ReplError {
    ReplError::SiteUnknown { site_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(site_id: SiteId, name: &str) -> SiteInfo {
        SiteInfo::new(site_id, name, vec!["127.0.0.1:7400".to_owned()])
    }

    #[test]
    fn sites_are_found_by_id_and_by_name() {
        let mut topology = ReplicationTopology::new(1);
        topology.add_site(site(2, "fra-1")).unwrap();
        topology.add_site(site(1, "iad-2")).unwrap();
        assert_eq!(topology.site(2).unwrap().name, "fra-1");
        assert_eq!(topology.site_by_name("iad-2").unwrap().site_id, 1);
        assert_eq!(topology.remote_sites().count(), 1);
        topology.site_mut(2).unwrap().active = false;
        assert_eq!(topology.active_sites().count(), 1);
        assert!(topology.remove_site(2).is_some() && topology.site(2).is_none());
    }

    #[test]
    fn an_id_and_a_name_belong_together() {
        let mut topology = ReplicationTopology::new(1);
        topology.add_site(site(2, "fra")).unwrap();
        topology.add_site(site(2, "fra")).unwrap();
        let error = topology.add_site(site(2, "ber")).unwrap_err().to_string();
        assert!(error.contains("site 2 is fra"), "{error}");
        assert!(topology.add_site(site(3, "fra")).is_err());
    }

    #[test]
    fn ids_and_names_outside_their_range_are_refused() {
        let mut topology = ReplicationTopology::new(1);
        for id in [0, SITE_ID_MAX + 1] {
            assert!(topology.add_site(site(id, "x")).is_err());
        }
        let long = "a".repeat(64);
        for name in ["", "A", "a.b", "-a", "a-", "a_b", "\u{e9}", &long] {
            assert!(check_name(name).is_err(), "{name}");
        }
        for name in ["a", "iad-2", "0", "a".repeat(63).as_str()] {
            check_name(name).unwrap();
        }
    }

    #[test]
    fn roles_say_who_sends_and_who_applies() {
        let replica = ReplicationRole::Replica { primary_site_id: 1 };
        assert!(!replica.sends() && replica.applies());
        assert!(ReplicationRole::Primary.sends() && !ReplicationRole::Primary.applies());
        assert_eq!(ReplicationRole::default(), ReplicationRole::Bidirectional);
    }
}
