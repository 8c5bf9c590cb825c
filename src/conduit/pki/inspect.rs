//! What is wrong with the files that `[tls]` names, or soon will be: all of it, not only the first.

use std::path::Path;

use rcgen::{KeyPair, PublicKeyData as _};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use super::super::config::ConduitTlsConfig;
use super::super::tls::{Tls, TlsFiles, certificates, check_key_mode, read, refused, roots};
use crate::clock::TimestampUs;
use crate::config::TlsPaths;
use crate::error::Result;

/// What was found.
#[derive(Debug, Default)]
pub struct Inspection {
    /// What is wrong: the key of `[tls]` that names the file, and why, with what to do.
    pub errors: Vec<(&'static str, String)>,
    /// When the certificate, or an authority above it, expires. None: it cannot be used.
    pub expires_us: Option<TimestampUs>,
}

impl Inspection {
    fn keep<T>(&mut self, key: &'static str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.errors.push((key, error.to_string()));
                None
            }
        }
    }
}

/// Why others than its owner can use a key; none when they cannot, or when it cannot be looked at.
#[must_use]
pub fn open_key(key: &Path) -> Option<String> {
    let found = std::fs::metadata(key).is_ok();
    let refusal = check_key_mode(key).err()?;
    found.then(|| refusal.to_string())
}

/// Reads the files, and checks them as a peer of `site` would at `now_us`.
#[must_use]
pub fn inspect(paths: &TlsPaths, site: &str, cluster: &str, now_us: TimestampUs) -> Inspection {
    let mut found = Inspection::default();
    let cert = found.keep("cert", with(&paths.cert, certificates));
    let ca = found.keep("ca", with(&paths.ca, roots));
    let key = found.keep(
        "key",
        check_key_mode(&paths.key).and_then(|()| with(&paths.key, private_key)),
    );
    if let (Some((cert_pem, _)), Some((key_pem, _)), Some((ca_pem, _))) = (&cert, &key, &ca) {
        let material = ConduitTlsConfig {
            cert_pem: cert_pem.clone(),
            key_pem: key_pem.clone(),
            ca_pem: ca_pem.clone(),
        };
        let files = TlsFiles {
            cert: paths.cert.clone(),
            key: paths.key.clone(),
            ca: paths.ca.clone(),
        };
        let tls = found.keep("cert", Tls::new(&material, &files, site, cluster, now_us));
        found.expires_us = tls.map(|tls| tls.expires_us());
    }
    if let Some(ca_key) = &paths.ca_key {
        let authorities = ca.map(|(_, roots)| roots);
        found.keep("ca_key", authority_key(ca_key, authorities.as_ref()));
    }
    found
}

/// The bytes of a file, and what `parse` makes of them.
fn with<T>(path: &Path, parse: impl FnOnce(&[u8], &Path) -> Result<T>) -> Result<(Vec<u8>, T)> {
    let bytes = read(path)?;
    let parsed = parse(&bytes, path)?;
    Ok((bytes, parsed))
}

fn private_key(pem: &[u8], file: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|error| refused(file, format!("no private key in PEM: {error}")))
}

/// The key of an authority must belong to one that sites believe.
fn authority_key(file: &Path, authorities: Option<&rustls::RootCertStore>) -> Result<()> {
    check_key_mode(file)?;
    let pem = read(file)?;
    let key = KeyPair::from_pem(&String::from_utf8_lossy(&pem))
        .map_err(|error| refused(file, format!("no key of an authority in PEM: {error}")))?;
    let Some(authorities) = authorities else {
        return Ok(());
    };
    let mut all = authorities.roots.iter();
    if all.any(|one| one.subject_public_key_info.ends_with(key.der_bytes())) {
        return Ok(());
    }
    let what = "use the key of the authority of this cluster";
    Err(refused(
        file,
        format!("belongs to no authority in `tls.ca`: {what}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{CaFiles, init_ca, issue};
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    const NOW_US: TimestampUs = 1_795_370_089_000_000;
    const DAY_US: TimestampUs = 86_400_000_000;

    fn paths(dir: &Path) -> TlsPaths {
        let ca = init_ca(dir, "lab", NOW_US).unwrap();
        let files = issue(dir, "fra", "lab", 90, NOW_US).unwrap();
        TlsPaths {
            cert: files.cert,
            key: files.key,
            ca: files.ca,
            ca_key: Some(ca.key),
        }
    }

    fn told(paths: &TlsPaths, site: &str, now_us: TimestampUs) -> Vec<(&'static str, String)> {
        inspect(paths, site, "lab", now_us).errors
    }

    #[test]
    fn sound_files_are_told_with_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let found = inspect(&paths(dir.path()), "fra", "lab", NOW_US);
        assert!(found.errors.is_empty(), "{found:?}");
        let left = found.expires_us.unwrap() - NOW_US;
        assert!((89 * DAY_US..=90 * DAY_US).contains(&left), "{left}");
    }

    #[test]
    fn every_file_that_is_wrong_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        fs::remove_file(&paths.cert).unwrap();
        fs::write(&paths.ca, "no pem").unwrap();
        for key in [&paths.key, paths.ca_key.as_ref().unwrap()] {
            fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
        }
        let told = told(&paths, "fra", NOW_US);
        let keys: Vec<&str> = told.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["cert", "ca", "key", "ca_key"], "{told:?}");
        assert!(told[2].1.contains("chmod 600"), "{told:?}");
        assert!(open_key(&paths.key).unwrap().contains("mode 0644"));
        assert_eq!(open_key(&paths.cert), None);
    }

    #[test]
    fn a_wrong_name_and_a_wrong_time_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        for (site, now_us, why) in [
            ("iad", NOW_US, "this site is \"iad.lab.cfs-repl\""),
            ("fra", NOW_US + 91 * DAY_US, "expired on"),
            ("fra", NOW_US - 3 * DAY_US, "not valid before"),
        ] {
            let told = told(&paths, site, now_us);
            assert!(told[0].0 == "cert" && told[0].1.contains(why), "{told:?}");
        }
    }

    #[test]
    fn the_key_of_another_authority_is_told() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        init_ca(other.path(), "lab", NOW_US).unwrap();
        let paths = TlsPaths {
            ca_key: Some(CaFiles::new(other.path()).key),
            ..paths(dir.path())
        };
        let told = told(&paths, "fra", NOW_US);
        assert!(told[0].1.contains("belongs to no authority"), "{told:?}");
    }
}
