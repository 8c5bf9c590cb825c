//! A certificate authority for labs and tests: one key in one folder. Production keeps its own authority.
//!
//! Every authority gets a name of its own, made of its key: two of the same name make a peer report a broken signature
//! where it should say that the authority is unknown. Nothing is ever overwritten.

pub mod inspect;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::config::ConduitTlsConfig;
use super::tls::{TlsConfigs, TlsFiles, dns_name};
use crate::clock::TimestampUs;
use crate::error::{ReplError, Result};
use crate::topology::check_name;

/// What the name of an authority begins with; its cluster and a print of its key follow.
const CA_NAME: &str = "cfs-repl lab CA ";
/// How long a lab authority lives.
const CA_DAYS: u32 = 3_650;
/// How much earlier than now a certificate starts: clocks of a lab differ.
const EARLIER_DAYS: i64 = 1;

/// Files of an authority in its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaFiles {
    /// The certificate: every site's `tls.ca`.
    pub cert: PathBuf,
    /// The key: stays here.
    pub key: PathBuf,
}

impl CaFiles {
    /// The files of the authority in `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            cert: dir.join("ca.pem"),
            key: dir.join("ca.key"),
        }
    }
}

/// Makes an authority for `cluster` in `dir`, which is created when it is missing.
///
/// # Errors
/// [`ReplError::Io`] when a file exists or cannot be written, [`ReplError::SiteUnknown`] for a bad cluster name.
pub fn init_ca(dir: &Path, cluster: &str, now_us: TimestampUs) -> Result<CaFiles> {
    check_name(cluster)?;
    let files = CaFiles::new(dir);
    let key = KeyPair::generate().map_err(failed)?;
    let params = ca_params(&key, cluster, now_us)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let folder = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    folder.map_err(|error| ReplError::io("create folder", dir, error))?;
    write_new(&files.key, key.serialize_pem().as_bytes(), 0o600)?;
    write_new(&files.cert, certificate.pem().as_bytes(), 0o644)?;
    Ok(files)
}

/// Issues a certificate for `site` of `cluster`, valid for `days`, by the authority in `dir`.
///
/// # Errors
/// [`ReplError::Io`] when there is no authority, or a file of the site exists; [`ReplError::Serialization`] when
/// the authority is of another cluster, which it names, or is none of ours.
pub fn issue(
    dir: &Path,
    site: &str,
    cluster: &str,
    days: u32,
    now_us: TimestampUs,
) -> Result<TlsFiles> {
    check_name(site)?;
    check_name(cluster)?;
    let ca = CaFiles::new(dir);
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path);
        text.map_err(|error| ReplError::io("read authority", path, error))
    };
    let (ca_pem, ca_key) = (read(&ca.cert)?, read(&ca.key)?);
    if let Some(other) = cluster_of(ca_pem.as_bytes()).filter(|own| own != cluster) {
        let shown = dir.display();
        return Err(ReplError::serialization(
            "certificate",
            format!(
                "the authority in {shown} is of cluster {other}, and the certificate would be of cluster {cluster}: \
                 name the cluster {other}, or the folder of another authority"
            ),
        ));
    }
    let issuer = issuer(&ca_key, cluster, now_us)?;
    let key = KeyPair::generate().map_err(failed)?;
    let params = site_params(site, cluster, days, now_us)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    let material = ConduitTlsConfig {
        cert_pem: certificate.pem().into_bytes(),
        key_pem: key.serialize_pem().into_bytes(),
        ca_pem: ca_pem.into_bytes(),
    };
    let files = TlsFiles {
        cert: dir.join(format!("{site}.pem")),
        key: dir.join(format!("{site}.key")),
        ca: ca.cert,
    };
    // An authority that was not made here may have another name than its key says, and would sign what nobody believes.
    TlsConfigs::new(&material, &files, site, cluster, now_us)?;
    write_new(&files.key, &material.key_pem, 0o600)?;
    write_new(&files.cert, &material.cert_pem, 0o644)?;
    Ok(files)
}

/// A key for a new site, in PEM, and its certificate signing request, PKCS #10 in DER.
///
/// # Errors
/// [`ReplError::SiteUnknown`] for a bad name.
pub fn request(site: &str, cluster: &str, now_us: TimestampUs) -> Result<(String, Vec<u8>)> {
    check_name(site)?;
    check_name(cluster)?;
    let key = KeyPair::generate().map_err(failed)?;
    // When it begins and ends, and by whom it is issued, is up to the issuer.
    let mut params = site_params(site, cluster, 1, now_us)?;
    params.use_authority_key_identifier_extension = false;
    let request = params.serialize_request(&key).map_err(failed)?;
    Ok((key.serialize_pem(), request.der().to_vec()))
}

/// Issues a certificate for the key of a signing request. Everything else of the request is ignored: what the
/// certificate says is decided here.
///
/// # Errors
/// [`ReplError::Serialization`] when the request is not signed by its key, or the authority's files do not belong
/// together.
pub fn sign(
    (ca_pem, ca_key_pem): (&str, &str),
    request: &[u8],
    (site, cluster): (&str, &str),
    days: u32,
    now_us: TimestampUs,
) -> Result<String> {
    check_name(site)?;
    check_name(cluster)?;
    let issuer = issuer(ca_key_pem, cluster, now_us)?;
    let request = CertificateSigningRequestParams::from_der(&request.into()).map_err(failed)?;
    let request = CertificateSigningRequestParams {
        params: site_params(site, cluster, days, now_us)?,
        public_key: request.public_key,
    };
    let certificate = request.signed_by(&issuer).map_err(failed)?;
    // A key of another authority would sign what nobody believes.
    believed(&certificate, ca_pem, &dns_name(site, cluster), now_us)?;
    Ok(certificate.pem())
}

/// Checks a fresh certificate as a peer would.
fn believed(
    certificate: &Certificate,
    ca_pem: &str,
    name: &str,
    now_us: TimestampUs,
) -> Result<()> {
    let refused = |why: String| {
        ReplError::serialization(
            "certificate",
            format!("the authority's key is another one's: {why}"),
        )
    };
    super::tls::verify_chain(
        &[certificate.der().clone()],
        ca_pem.as_bytes(),
        name,
        now_us,
    )
    .map_err(|error| refused(error.to_string()))
}

fn issuer(
    ca_key_pem: &str,
    cluster: &str,
    now_us: TimestampUs,
) -> Result<Issuer<'static, KeyPair>> {
    let key = KeyPair::from_pem(ca_key_pem).map_err(failed)?;
    Ok(Issuer::new(ca_params(&key, cluster, now_us)?, key))
}

/// What stands in the certificate of a site.
fn site_params(
    site: &str,
    cluster: &str,
    days: u32,
    now_us: TimestampUs,
) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(vec![dns_name(site, cluster)]).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{site} ({cluster})"));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, now_us, i64::from(days))?;
    Ok(params)
}

/// The cluster that an authority was made for, if it was made here: the last thing in its subject is its name.
fn cluster_of(ca_pem: &[u8]) -> Option<String> {
    let certificate = CertificateDer::from_pem_slice(ca_pem).ok()?;
    let anchor = webpki::anchor_from_trusted_cert(&certificate).ok()?;
    let name = String::from_utf8_lossy(&anchor.subject).into_owned();
    let (_, rest) = name.split_once(CA_NAME)?;
    let (cluster, _) = rest.split_once(' ')?;
    Some(cluster.to_owned())
}

/// Name and use of an authority follow from its key and cluster, so that they need not be read from its certificate.
fn ca_params(key: &KeyPair, cluster: &str, now_us: TimestampUs) -> Result<CertificateParams> {
    let print = blake3::hash(key.der_bytes()).to_hex();
    let short: String = print.chars().take(12).collect();
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    let name = format!("{CA_NAME}{cluster} {short}");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now_us, i64::from(CA_DAYS))?;
    Ok(params)
}

fn valid(params: &mut CertificateParams, now_us: TimestampUs, days: i64) -> Result<()> {
    let (year, month, date) = day(now_us, -EARLIER_DAYS)?;
    params.not_before = date_time_ymd(year, month, date);
    let (year, month, date) = day(now_us, days)?;
    params.not_after = date_time_ymd(year, month, date);
    Ok(())
}

/// Year, month and day, that many days from now.
fn day(now_us: TimestampUs, days: i64) -> Result<(i32, u8, u8)> {
    let outside = |_| ReplError::serialization("certificate", "its end is outside the calendar");
    let now = i64::try_from(now_us / 1_000_000).unwrap_or(i64::MAX);
    let moved = now.saturating_add(days.saturating_mul(86_400));
    let at = jiff::Timestamp::from_second(moved).map_err(outside)?;
    let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let part = |value: i8| u8::try_from(value).unwrap_or(1);
    Ok((i32::from(date.year()), part(date.month()), part(date.day())))
}

/// Writes a file that does not exist, durably.
///
/// # Errors
/// [`ReplError::Io`] when it exists, or the disk refuses.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let failed = |error| ReplError::io("create", path, error);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let mut file = file.map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.sync_all().map_err(failed)
}

fn failed(error: rcgen::Error) -> ReplError {
    ReplError::serialization("certificate", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn an_issued_certificate_is_for_its_site_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock.now_us();
        let ca = init_ca(dir.path(), "lab", now).unwrap();
        let files = issue(dir.path(), "fra", "lab", 90, now).unwrap();
        let material = files.read().unwrap();
        TlsConfigs::new(&material, &files, "fra", "lab", now).unwrap();
        for key in [&ca.key, &files.key] {
            let mode = std::fs::metadata(key).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock.now_us();
        init_ca(dir.path(), "lab", now).unwrap();
        let before = std::fs::read(CaFiles::new(dir.path()).key).unwrap();
        assert!(init_ca(dir.path(), "lab", now).is_err());
        assert_eq!(std::fs::read(CaFiles::new(dir.path()).key).unwrap(), before);
        issue(dir.path(), "fra", "lab", 90, now).unwrap();
        let error = issue(dir.path(), "fra", "lab", 90, now)
            .unwrap_err()
            .to_string();
        assert!(error.contains("fra.key"), "{error}");
    }

    #[test]
    fn an_authority_of_another_cluster_issues_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock.now_us();
        init_ca(dir.path(), "lab", now).unwrap();
        let error = issue(dir.path(), "fra", "prod", 90, now)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("is of cluster lab") && error.contains("of cluster prod"),
            "{error}"
        );
        assert!(!dir.path().join("fra.pem").exists());
        assert!(issue(dir.path(), "Fra", "lab", 90, now).is_err());
    }
}
