//! Settings of one conduit. A caller names what it cares about and takes the rest from `Default`.

use std::fmt;
use std::time::Duration;

use super::link::Reconnect;
use super::session::{HEARTBEAT, SILENCE_MAX, SessionLimits};
use super::window::{WINDOW_BYTES, WINDOW_ENTRIES, WindowLimits};
use crate::journal::batch::BATCH_ENTRIES_MAX;

/// Certificate, key and authority of one site, PEM.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ConduitTlsConfig {
    /// The site's certificate and what stands between it and the authority.
    pub cert_pem: Vec<u8>,
    /// Its private key.
    pub key_pem: Vec<u8>,
    /// The authorities whose certificates are believed.
    pub ca_pem: Vec<u8>,
}

impl fmt::Debug for ConduitTlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConduitTlsConfig")
            .field("cert_pem", &format_args!("{} bytes", self.cert_pem.len()))
            .field("key_pem", &"(hidden)")
            .field("ca_pem", &format_args!("{} bytes", self.ca_pem.len()))
            .finish()
    }
}

/// Settings of one conduit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConduitConfig {
    /// This site, 1..=65535.
    pub local_site_id: u64,
    /// The site at the other end.
    pub remote_site_id: u64,
    /// Where it is dialled, `host:port`, in order; the next one after each failure. Empty: it dials us.
    pub remote_addrs: Vec<String>,
    /// Default: None, plaintext, for tests only.
    pub tls: Option<ConduitTlsConfig>,
    /// Most entries of one batch; larger ones are cut. Default and maximum: 1024. Minimum: 1.
    pub max_batch_size: usize,
    /// Smallest delay between attempts to connect. Default: 100.
    pub reconnect_delay_ms: u64,
    /// Largest delay. Default: 30000.
    pub max_reconnect_delay_ms: u64,
    /// Most entries sent and not receipted. Default: 4096.
    pub window_entries: usize,
    /// Most bytes sent and not receipted. Default: 8 MiB.
    pub window_bytes: usize,
    /// Time between heartbeats. Default: 1000.
    pub heartbeat_ms: u64,
    /// Silence after which the peer is gone. Default: 15000.
    pub silence_max_ms: u64,
    /// Cluster, in the certificates. Default: `local`.
    pub cluster: String,
    /// Name of this site, in its certificate. Default: empty, `site-<id>`.
    pub local_name: String,
    /// Name of the other site. Default: empty, `site-<id>`.
    pub remote_name: String,
    /// The journal whose entries are sent; they carry the same. Default: 0, entries made by `JournalEntry::new`.
    pub incarnation: u64,
    /// Seed of the jitter between attempts. Default: 0, from the system.
    pub seed: u64,
}

impl Default for ConduitConfig {
    fn default() -> Self {
        Self {
            local_site_id: 0,
            remote_site_id: 0,
            remote_addrs: Vec::new(),
            tls: None,
            max_batch_size: BATCH_ENTRIES_MAX,
            reconnect_delay_ms: 100,
            max_reconnect_delay_ms: 30_000,
            window_entries: WINDOW_ENTRIES,
            window_bytes: WINDOW_BYTES,
            heartbeat_ms: millis(HEARTBEAT),
            silence_max_ms: millis(SILENCE_MAX),
            cluster: "local".to_owned(),
            local_name: String::new(),
            remote_name: String::new(),
            incarnation: 0,
            seed: 0,
        }
    }
}

impl ConduitConfig {
    /// Settings between two sites, the rest by default.
    #[must_use]
    pub fn new(local_site_id: u64, remote_site_id: u64) -> Self {
        Self {
            local_site_id,
            remote_site_id,
            ..Self::default()
        }
    }

    /// Name of this site.
    #[must_use]
    pub fn local_name(&self) -> String {
        name(&self.local_name, self.local_site_id)
    }

    /// Name of the other site.
    #[must_use]
    pub fn remote_name(&self) -> String {
        name(&self.remote_name, self.remote_site_id)
    }

    /// Times and limits of the session.
    #[must_use]
    pub fn limits(&self) -> SessionLimits {
        SessionLimits {
            window: WindowLimits {
                entries: self.window_entries.max(1),
                bytes: self.window_bytes.max(1),
            },
            heartbeat: Duration::from_millis(self.heartbeat_ms.max(1)),
            silence_max: Duration::from_millis(self.silence_max_ms.max(1)),
        }
    }

    /// Delays between attempts.
    #[must_use]
    pub fn reconnect(&self) -> Reconnect {
        Reconnect {
            min: Duration::from_millis(self.reconnect_delay_ms),
            max: Duration::from_millis(self.max_reconnect_delay_ms),
            seed: if self.seed == 0 { random() } else { self.seed },
        }
    }
}

fn name(given: &str, site_id: u64) -> String {
    if given.is_empty() {
        format!("site-{site_id}")
    } else {
        given.to_owned()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A number that other processes do not have; the clock's start will do when the system has none to give.
fn random() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(8) => u64::from_le_bytes(bytes),
        Ok(_) | Err(_) => u64::from(std::process::id()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_design() {
        let config = ConduitConfig::new(1, 2);
        assert_eq!((config.local_site_id, config.remote_site_id), (1, 2));
        assert_eq!(
            (config.reconnect_delay_ms, config.max_reconnect_delay_ms),
            (100, 30_000)
        );
        assert_eq!(
            (config.window_entries, config.window_bytes),
            (4_096, 8 << 20)
        );
        assert_eq!(config.limits(), SessionLimits::default());
        assert_eq!(
            (config.local_name(), config.remote_name()),
            ("site-1".into(), "site-2".into())
        );
        assert!(config.tls.is_none() && config.max_batch_size == 1_024);
        assert_ne!(config.reconnect().seed, config.reconnect().seed);
    }

    #[test]
    fn debug_never_prints_the_key() {
        let config = ConduitConfig {
            tls: Some(ConduitTlsConfig {
                cert_pem: b"CERT".to_vec(),
                key_pem: b"SECRET".to_vec(),
                ca_pem: b"CA".to_vec(),
            }),
            ..ConduitConfig::new(1, 2)
        };
        let shown = format!("{config:?}");
        let secret = format!("{:?}", b"SECRET");
        assert!(
            shown.contains("hidden") && shown.contains("4 bytes"),
            "{shown}"
        );
        assert!(
            !shown.contains("SECRET") && !shown.contains(&secret),
            "{shown}"
        );
    }
}
