//! The certificates of this site: read at the start, and again whenever an operator asks for it.
//!
//! Files that are not good are told and leave those in use as they are: a slip of the hand never cuts off a site that
//! runs. Standing connections keep what they were made with; every new one is made with the newest.

use std::sync::Arc;

use super::causes::{Causes, Topic};
use crate::clock::{SharedClock, rfc3339};
use crate::conduit::tls::{Tls, TlsFiles};
use crate::config::Config;
use crate::error::Result;

/// What `SIGHUP` reads again. Clones share it.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// None: the configuration has no `[tls]`.
    current: Option<(Arc<Tls>, TlsFiles)>,
    clock: SharedClock,
    causes: Causes,
}

impl Certificates {
    /// Reads the files that `config` names, and checks them as a peer would.
    ///
    /// # Errors
    /// Which file is wrong, why, and what to do.
    pub(super) fn load(config: &Config, clock: &SharedClock, causes: Causes) -> Result<Self> {
        let current = config.tls.as_ref().map(|paths| -> Result<_> {
            let files = TlsFiles {
                cert: paths.cert.clone(),
                key: paths.key.clone(),
                ca: paths.ca.clone(),
            };
            let (site, cluster) = (&config.site.name, &config.site.cluster);
            let tls = Tls::new(&files.read()?, &files, site, cluster, clock.now_us())?;
            Ok((tls, files))
        });
        Ok(Self {
            current: current.transpose()?,
            clock: Arc::clone(clock),
            causes,
        })
    }

    /// The TLS in use. None: the configuration has no `[tls]`.
    pub(super) fn tls(&self) -> Option<&Arc<Tls>> {
        self.current.as_ref().map(|(tls, _)| tls)
    }

    /// Reads the files again and takes them into use.
    ///
    /// # Errors
    /// Why the old ones stay, for people.
    pub fn reload(&self) -> std::result::Result<(), String> {
        let Some((tls, files)) = &self.current else {
            tracing::info!("asked to read the certificates again, the configuration has no [tls]");
            return Ok(());
        };
        let cert = files.cert.display();
        let read = files
            .read()
            .and_then(|material| tls.replace(&material, files, self.clock.now_us()));
        match read {
            Ok(()) => {
                let expires = rfc3339(tls.expires_us()).unwrap_or_default();
                tracing::info!(%cert, expires, "certificates were read again, new connections use them");
                self.causes.clear(Topic::Certificates);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "certificates were not taken, the old ones stay in use");
                let what =
                    format!("new certificates were not taken, the old ones stay in use: {error}");
                let next = "correct the file, then send SIGHUP to cfs-repl again";
                self.causes.set(Topic::Certificates, what.clone(), next);
                Err(what)
            }
        }
    }
}
