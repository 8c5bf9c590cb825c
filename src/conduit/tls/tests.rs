//! What an operator reads when certificate, key or authority are wrong; the material is made by the lab authority.

use super::super::pki::{init_ca, issue};
use super::*;
use crate::clock::{Clock as _, SystemClock};

const DAY_US: u64 = 86_400_000_000;

struct Lab {
    dir: tempfile::TempDir,
    now: u64,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock.now_us();
        init_ca(dir.path(), "lab", now).unwrap();
        Self { dir, now }
    }

    fn issue(&self, site: &str) -> TlsFiles {
        issue(self.dir.path(), site, "lab", 90, self.now).unwrap()
    }
}

/// The material with one part of it exchanged.
fn with(good: &ConduitTlsConfig, change: impl FnOnce(&mut ConduitTlsConfig)) -> ConduitTlsConfig {
    let mut changed = good.clone();
    change(&mut changed);
    changed
}

fn refusal(material: &ConduitTlsConfig, files: &TlsFiles, site: &str, now: u64) -> String {
    TlsConfigs::new(material, files, site, "lab", now)
        .unwrap_err()
        .to_string()
}

#[test]
fn good_material_loads_and_knows_when_it_expires() {
    let lab = Lab::new();
    let files = lab.issue("a");
    let tls = Tls::new(&files.read().unwrap(), &files, "a", "lab", lab.now).unwrap();
    let days = (tls.expires_us() - lab.now) / DAY_US;
    assert!((88..=90).contains(&days), "{days}");
    assert!(!format!("{tls:?}").contains("PRIVATE"));
}

#[test]
fn every_fault_names_the_file_the_reason_and_what_to_do() {
    let (lab, foreign) = (Lab::new(), Lab::new());
    let (a, b, x) = (lab.issue("a"), lab.issue("b"), foreign.issue("a"));
    let (good, other, strange) = (a.read().unwrap(), b.read().unwrap(), x.read().unwrap());
    let foreign_ca = with(&good, |m| m.ca_pem = strange.ca_pem);
    let foreign_key = with(&good, |m| m.key_pem = other.key_pem);
    let no_cert = with(&good, |m| m.cert_pem = vec![]);
    let no_key = with(&good, |m| m.key_pem = vec![]);
    let (now, late, early) = (lab.now, lab.now + 91 * DAY_US, lab.now - 9 * DAY_US);
    let cases = [
        (&good, "a", late, "a.pem: expired on 2", "issue a new"),
        (&good, "a", early, "a.pem: not valid before 2", "clock"),
        (
            &good,
            "c",
            now,
            "a.pem: is for a.lab.cfs-repl, ",
            "`site.name`",
        ),
        (
            &foreign_ca,
            "a",
            now,
            "a.pem: was not issued by the authority",
            "same cluster",
        ),
        (
            &foreign_key,
            "a",
            now,
            "a.key: is not the key of the certificate",
            "same issue",
        ),
        (&no_cert, "a", now, "a.pem: holds no certificate", "PEM"),
        (&no_key, "a", now, "a.key: no private key", "PEM"),
    ];
    for (material, site, now, what, advice) in cases {
        let text = refusal(material, &a, site, now);
        assert!(text.contains(what) && text.contains(advice), "{text}");
        assert!(!text.contains("PRIVATE"), "{text}");
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let files = Lab::new().issue_in_place("a");
    std::fs::set_permissions(&files.1.key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = files.1.read().unwrap_err().to_string();
    assert!(
        error.contains("mode 0640") && error.contains("chmod 600"),
        "{error}"
    );
}

impl Lab {
    fn issue_in_place(self, site: &str) -> (Self, TlsFiles) {
        let files = self.issue(site);
        (self, files)
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = TlsFiles::in_memory().read().unwrap_err().to_string();
    assert!(error.contains("tls.key"), "{error}");
}

#[test]
fn bad_material_does_not_replace_good() {
    let lab = Lab::new();
    let files = lab.issue("a");
    let good = files.read().unwrap();
    let tls = Tls::new(&good, &files, "a", "lab", lab.now).unwrap();
    let before = tls.server();
    let bad = ConduitTlsConfig {
        cert_pem: vec![],
        ..good.clone()
    };
    assert!(tls.replace(&bad, &files, lab.now).is_err());
    assert!(Arc::ptr_eq(&before, &tls.server()));
    tls.replace(&good, &files, lab.now).unwrap();
    assert!(!Arc::ptr_eq(&before, &tls.server()));
}

#[test]
fn the_site_is_read_from_the_certificate_of_the_own_cluster_only() {
    let lab = Lab::new();
    let material = lab.issue("a").read().unwrap();
    let certificate = &certificates(&material.cert_pem, Path::new("x")).unwrap()[0];
    assert_eq!(site_of(certificate, "lab").as_deref(), Some("a"));
    assert_eq!(site_of(certificate, "prod"), None);
    assert_eq!(names_of(certificate), ["a.lab.cfs-repl"]);
    assert!(names_of(&CertificateDer::from(vec![1, 2])).is_empty());
}

#[test]
fn alerts_are_explained_from_any_depth() {
    let alert = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
    let nested = std::io::Error::other(alert);
    assert!(
        explain(&nested).contains("`tls.ca`"),
        "{}",
        explain(&nested)
    );
    let only_text = std::io::Error::other("received fatal alert: CertificateExpired");
    assert!(
        explain(&only_text).contains("it expired"),
        "{}",
        explain(&only_text)
    );
    let old = std::io::Error::other("received fatal alert: ProtocolVersion");
    assert_eq!(explain(&old), "the peer speaks no TLS 1.3");
    let other = rustls::Error::AlertReceived(AlertDescription::InternalError);
    assert!(
        !explain(&other).contains("certificate"),
        "{}",
        explain(&other)
    );
    let plain = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "refused");
    assert_eq!(explain(&plain), "refused");
}

#[test]
fn who_speaks_no_tls_or_ends_without_a_goodbye_is_not_said_to_have_a_bad_certificate() {
    let no_tls = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
    let told = explain(&std::io::Error::other(no_tls));
    assert!(told.contains("does not speak TLS"), "{told}");
    let killed = std::io::Error::other(
        "connection error: peer closed connection without sending TLS close_notify: and where to read of it",
    );
    assert_eq!(explain(&killed), "the peer ended without a goodbye");
    let incompatible = explain(&rustls::Error::HandshakeNotComplete);
    assert!(!incompatible.contains("certificate"), "{incompatible}");
}
