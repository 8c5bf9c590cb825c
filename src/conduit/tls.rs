//! Who is at the other end: TLS 1.3 with certificates on both sides, exchangeable while connections stand.
//!
//! A site is the DNS name `<site>.<cluster>.cfs-repl` in its certificate, wherever it is dialled. The stock
//! verifiers of rustls check it, at load time too, with the words that a peer would have said hours later. Sessions
//! are never resumed: a ticket would outlive the certificate that earned it.

use std::error::Error as StdError;
use std::fmt;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::config::ConduitTlsConfig;
use crate::clock::TimestampUs;
use crate::error::{ReplError, Result};
use crate::topology::check_name;

/// What a new site says instead of HTTP/2 when it has no certificate yet (ALPN, RFC 7301).
pub const JOIN_PROTOCOL: &[u8] = b"cfs-join/1";
/// What every name in a certificate ends with.
pub const NAME_SUFFIX: &str = "cfs-repl";
/// Certificate, key and authority files above this are not read: a bundle of the whole Web PKI takes 300 KiB.
const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Far enough to lie behind the end of any certificate: asks the verifier when the chain expires.
const FAR_FUTURE: Duration = Duration::from_secs(250 * 365 * 86_400);

/// The name of a site in its certificate.
#[must_use]
pub fn dns_name(site: &str, cluster: &str) -> String {
    format!("{site}.{cluster}.{NAME_SUFFIX}")
}

/// The site of this cluster that a certificate was issued to.
#[must_use]
pub fn site_of(certificate: &CertificateDer<'_>, cluster: &str) -> Option<String> {
    let end = format!(".{cluster}.{NAME_SUFFIX}");
    let site = |name: &String| name.strip_suffix(&end).map(str::to_owned);
    names_of(certificate).iter().find_map(site)
}

/// All DNS names of a certificate, for a refusal.
#[must_use]
pub fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    match webpki::EndEntityCert::try_from(certificate) {
        Ok(parsed) => parsed.valid_dns_names().map(str::to_owned).collect(),
        Err(_) => Vec::new(),
    }
}

/// Where certificate, key and authority come from: files, or memory for tests and the plain library API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate of the site.
    pub cert: PathBuf,
    /// Its key; nobody else may read it.
    pub key: PathBuf,
    /// Authorities.
    pub ca: PathBuf,
}

impl TlsFiles {
    /// Names to show when the material came from memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            cert: "tls.cert".into(),
            key: "tls.key".into(),
            ca: "tls.ca".into(),
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// [`ReplError::Io`], or [`ReplError::Serialization`] for a key that others can read.
    pub fn read(&self) -> Result<ConduitTlsConfig> {
        check_key_mode(&self.key)?;
        Ok(ConduitTlsConfig {
            cert_pem: read(&self.cert)?,
            key_pem: read(&self.key)?,
            ca_pem: read(&self.ca)?,
        })
    }
}

/// Refuses a key that others than its owner can use.
pub(super) fn check_key_mode(key: &Path) -> Result<()> {
    let metadata = std::fs::metadata(key).map_err(|error| ReplError::io("read key", key, error))?;
    let mode = metadata.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let (mode, owner, shown) = (mode & 0o7777, metadata.uid(), key.display());
    Err(refused(
        key,
        format!("mode {mode:04o} lets others than user {owner} use the key: chmod 600 {shown}"),
    ))
}

/// Checked configurations of both roles.
pub struct TlsConfigs {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    join: Arc<ServerConfig>,
    authority: CertificateDer<'static>,
    expires_us: TimestampUs,
}

impl fmt::Debug for TlsConfigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfigs")
            .field("expires_us", &self.expires_us)
            .finish_non_exhaustive()
    }
}

impl TlsConfigs {
    /// Checks the material of `site` the way a peer will at `now_us`, and makes configurations of it.
    ///
    /// # Errors
    /// [`ReplError::Serialization`] with the file, what is wrong, and what to do.
    pub fn new(
        material: &ConduitTlsConfig,
        files: &TlsFiles,
        site: &str,
        cluster: &str,
        now_us: TimestampUs,
    ) -> Result<Self> {
        check_name(site)?;
        check_name(cluster)?;
        let provider = Arc::new(default_provider());
        let chain = certificates(&material.cert_pem, &files.cert)?;
        let roots = Arc::new(roots(&material.ca_pem, &files.ca)?);
        let authorities = certificates(&material.ca_pem, &files.ca)?;
        let nobody = || refused(&files.ca, "no certificate in PEM".to_owned());
        let authority = authorities.first().cloned().ok_or_else(nobody)?;
        let key = PrivateKeyDer::from_pem_slice(&material.key_pem)
            .map_err(|error| refused(&files.key, format!("no private key in PEM: {error}")))?;
        let certified = CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider);
        certified.map_err(|error| explain_key(&error, files))?;
        let name = dns_name(site, cluster);
        let now = UnixTime::since_unix_epoch(Duration::from_micros(now_us));
        let verify = Verify {
            chain: &chain,
            roots: &roots,
            provider: &provider,
            name: &name,
        };
        verify
            .at(now)
            .map_err(|error| explain_certificate(&error, files, &name))?;
        Ok(Self {
            expires_us: verify.expires_us(now),
            server: Arc::new(server_config(files, &roots, &provider, &chain, &key)?),
            join: Arc::new(join_config(
                files,
                &provider,
                [chain.clone(), authorities].concat(),
                &key,
            )?),
            authority,
            client: Arc::new(client_config(files, &roots, &provider, &chain, &key)?),
        })
    }
}

type Chain = [CertificateDer<'static>];

fn server_config(
    files: &TlsFiles,
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    chain: &Chain,
    key: &PrivateKeyDer<'static>,
) -> Result<ServerConfig> {
    let failed = |error: rustls::Error| refused(&files.cert, error.to_string());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| refused(&files.ca, error.to_string()))?;
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(failed)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.to_vec(), key.clone_key())
        .map_err(failed)?;
    server.alpn_protocols = vec![b"h2".to_vec()];
    server.send_tls13_tickets = 0;
    server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(server)
}

/// For new sites, which have no certificate yet: the authorities are sent along, since they have no copy of them.
fn join_config(
    files: &TlsFiles,
    provider: &Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<ServerConfig> {
    let failed = |error: rustls::Error| refused(&files.cert, error.to_string());
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(failed)?
        .with_no_client_auth()
        .with_single_cert(chain, key.clone_key())
        .map_err(failed)?;
    server.alpn_protocols = vec![JOIN_PROTOCOL.to_vec()];
    server.send_tls13_tickets = 0;
    server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(server)
}

fn client_config(
    files: &TlsFiles,
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    chain: &Chain,
    key: &PrivateKeyDer<'static>,
) -> Result<ClientConfig> {
    let failed = |error: rustls::Error| refused(&files.cert, error.to_string());
    let mut client = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(failed)?
        .with_root_certificates(roots.clone())
        .with_client_auth_cert(chain.to_vec(), key.clone_key())
        .map_err(failed)?;
    client.alpn_protocols = vec![b"h2".to_vec()];
    client.resumption = rustls::client::Resumption::disabled();
    Ok(client)
}

/// For whoever is no site, such as an operator: shows its certificate and believes these authorities.
///
/// # Errors
/// [`ReplError::Serialization`] with the file, what is wrong, and what to do.
pub fn client(material: &ConduitTlsConfig, files: &TlsFiles) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(default_provider());
    let chain = certificates(&material.cert_pem, &files.cert)?;
    let roots = Arc::new(roots(&material.ca_pem, &files.ca)?);
    let key = PrivateKeyDer::from_pem_slice(&material.key_pem)
        .map_err(|error| refused(&files.key, format!("no private key in PEM: {error}")))?;
    let certified = CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider);
    certified.map_err(|error| explain_key(&error, files))?;
    client_config(files, &roots, &provider, &chain, &key).map(Arc::new)
}

/// The TLS of this site: the configurations in use, exchangeable at any time. Standing connections keep theirs.
pub struct Tls {
    site: String,
    cluster: String,
    current: ArcSwap<TlsConfigs>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("site", &self.site)
            .field("cluster", &self.cluster)
            .field("current", &*self.current.load())
            .finish()
    }
}

impl Tls {
    /// Checks the material of `site` and takes it into use.
    ///
    /// # Errors
    /// See [`TlsConfigs::new`].
    pub fn new(
        material: &ConduitTlsConfig,
        files: &TlsFiles,
        site: &str,
        cluster: &str,
        now_us: TimestampUs,
    ) -> Result<Arc<Self>> {
        let configs = TlsConfigs::new(material, files, site, cluster, now_us)?;
        Ok(Arc::new(Self {
            site: site.to_owned(),
            cluster: cluster.to_owned(),
            current: ArcSwap::from_pointee(configs),
        }))
    }

    /// Checks new material and takes it into use for the connections to come. On an error the old stays.
    ///
    /// # Errors
    /// See [`TlsConfigs::new`].
    pub fn replace(
        &self,
        material: &ConduitTlsConfig,
        files: &TlsFiles,
        now_us: TimestampUs,
    ) -> Result<()> {
        let configs = TlsConfigs::new(material, files, &self.site, &self.cluster, now_us)?;
        self.current.store(Arc::new(configs));
        Ok(())
    }

    /// The cluster whose sites are believed.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// When the certificate, or an authority above it, expires.
    #[must_use]
    pub fn expires_us(&self) -> TimestampUs {
        self.current.load().expires_us
    }

    /// For the next connection that this site dials.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current.load().client)
    }

    /// For the next new site that comes with an invitation.
    #[must_use]
    pub fn join(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().join)
    }

    /// The first certificate of the authorities: the one that issues.
    #[must_use]
    pub fn authority(&self) -> CertificateDer<'static> {
        self.current.load().authority.clone()
    }

    /// For the next connection that this site accepts.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().server)
    }
}

/// What went wrong in a handshake, for an operator: walks the sources down to what rustls says.
#[must_use]
pub fn explain(error: &(dyn StdError + 'static)) -> String {
    let mut next = Some(error);
    let mut last = error.to_string();
    while let Some(current) = next {
        let tls = current.downcast_ref::<rustls::Error>();
        let inner = current
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(found) = tls.or(inner) {
            return explain_tls(found);
        }
        last = current.to_string();
        next = current.source();
    }
    explain_text(last)
}

fn explain_tls(error: &rustls::Error) -> String {
    if let rustls::Error::AlertReceived(alert) = error {
        return explain_alert(*alert);
    }
    if matches!(error, rustls::Error::NoCertificatesPresented) {
        return "the peer has no certificate: set its `tls.cert`".to_owned();
    }
    if matches!(error, rustls::Error::InvalidMessage(_)) {
        return format!("what answers there is no peer: it does not speak TLS ({error})");
    }
    if !matches!(error, rustls::Error::InvalidCertificate(_)) {
        return format!("no TLS connection: {error}");
    }
    let why = explain_refused(error).unwrap_or_else(|| error.to_string());
    format!("we refused the peer's certificate: {why}")
}

/// What is wrong with a peer's certificate, where rustls says it in the words of its code.
fn explain_refused(error: &rustls::Error) -> Option<String> {
    let rustls::Error::InvalidCertificate(why) = error else {
        return None;
    };
    if *why == CertificateError::UnknownIssuer {
        return Some("its authority is not in our `tls.ca`".to_owned());
    }
    if *why == CertificateError::BadSignature {
        let told = "its key, or that of its authority, is not the one that it names (BadSignature)";
        return Some(told.to_owned());
    }
    if let CertificateError::NotValidForNameContext {
        expected,
        presented,
    } = why
    {
        let (of, dialled) = (names_in(presented), expected.to_str());
        return Some(format!("it is of {of}, and we dialled {dialled}"));
    }
    None
}

/// The names alone, without what rustls writes around each of them: `DnsName("fra-1.lab.cfs-repl")`.
fn names_in(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.strip_prefix("DnsName(\"");
        let inner = inner.and_then(|rest| rest.strip_suffix("\")"));
        inner.unwrap_or(name).to_owned()
    };
    presented.iter().map(bare).collect::<Vec<_>>().join(", ")
}

/// What an operator should know of an alert that a peer answers a certificate with.
const ALERTS: [(AlertDescription, &str); 7] = [
    (
        AlertDescription::CertificateExpired,
        "it expired, issue a new one (or a clock is wrong)",
    ),
    (
        AlertDescription::UnknownCA,
        "its authority is not in the peer's `tls.ca`",
    ),
    (
        AlertDescription::DecryptError,
        "its authority has the same name as the peer's, but another key",
    ),
    (
        AlertDescription::CertificateRequired,
        "none was sent, set `tls.cert`",
    ),
    (
        AlertDescription::CertificateRevoked,
        "it was revoked, issue a new one",
    ),
    (
        AlertDescription::AccessDenied,
        "the peer does not admit this site",
    ),
    (
        AlertDescription::BadCertificate,
        "it is malformed, not valid yet, or not for this use",
    ),
];

fn explain_alert(alert: AlertDescription) -> String {
    if alert == AlertDescription::ProtocolVersion {
        return "the peer speaks no TLS 1.3".to_owned();
    }
    match ALERTS.iter().find(|(known, _)| *known == alert) {
        Some((_, words)) => format!("the peer refused our certificate: {words}"),
        None => format!("the peer ended the TLS connection: {alert:?}"),
    }
}

/// What rustls says of a connection that ended without the goodbye of TLS, as that of a killed process does.
const NO_GOODBYE: &str = "without sending TLS close_notify";

/// HTTP/2 keeps only the text of what broke its connection; what it was is found by the words of rustls.
fn explain_text(text: String) -> String {
    if text.contains(NO_GOODBYE) {
        return "the peer ended without a goodbye".to_owned();
    }
    let said = |alert: &AlertDescription| {
        text.ends_with(&rustls::Error::AlertReceived(*alert).to_string())
    };
    let known = ALERTS.iter().map(|(alert, _)| *alert);
    let found = known.chain([AlertDescription::ProtocolVersion]).find(said);
    found.map_or(text.clone(), explain_alert)
}

/// Checks a certificate for `name` as a peer that believes these authorities would.
///
/// # Errors
/// What the peer would say.
pub fn verify_chain(
    chain: &[CertificateDer<'static>],
    ca_pem: &[u8],
    name: &str,
    now_us: TimestampUs,
) -> Result<()> {
    let files = TlsFiles::in_memory();
    let roots = Arc::new(roots(ca_pem, &files.ca)?);
    let provider = Arc::new(default_provider());
    let verify = Verify {
        chain,
        roots: &roots,
        provider: &provider,
        name,
    };
    verify
        .at(UnixTime::since_unix_epoch(Duration::from_micros(now_us)))
        .map_err(|error| explain_certificate(&error, &files, name))
}

/// Asks the verifiers that a peer uses, in both roles.
struct Verify<'a> {
    chain: &'a [CertificateDer<'static>],
    roots: &'a Arc<RootCertStore>,
    provider: &'a Arc<CryptoProvider>,
    name: &'a str,
}

impl Verify<'_> {
    fn at(&self, now: UnixTime) -> Result<(), rustls::Error> {
        let Some((leaf, rest)) = self.chain.split_first() else {
            return Err(rustls::Error::NoCertificatesPresented);
        };
        let other = |error: &dyn fmt::Display| rustls::Error::General(error.to_string());
        let name = ServerName::try_from(self.name).map_err(|error| other(&error))?;
        let (roots, provider) = (self.roots, self.provider);
        WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| other(&error))?
            .verify_server_cert(leaf, rest, &name, &[], now)?;
        WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| other(&error))?
            .verify_client_cert(leaf, rest, now)?;
        Ok(())
    }

    /// What expires first in the chain.
    fn expires_us(&self, now: UnixTime) -> TimestampUs {
        let far = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + FAR_FUTURE);
        match self.at(far) {
            Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after,
                ..
            })) => not_after.as_secs().saturating_mul(1_000_000),
            Ok(()) | Err(_) => u64::MAX,
        }
    }
}

fn explain_certificate(error: &rustls::Error, files: &TlsFiles, name: &str) -> ReplError {
    let rustls::Error::InvalidCertificate(why) = error else {
        return refused(&files.cert, error.to_string());
    };
    if let CertificateError::ExpiredContext { not_after, .. } = why {
        let date = date(*not_after);
        return refused(
            &files.cert,
            format!("expired on {date}: issue a new certificate"),
        );
    }
    if let CertificateError::NotValidYetContext { not_before, .. } = why {
        let date = date(*not_before);
        let what = "check the clock of this machine, or wait";
        return refused(&files.cert, format!("not valid before {date}: {what}"));
    }
    if let CertificateError::NotValidForNameContext { presented, .. } = why {
        let has = names_in(presented);
        let what = "check `site.name` and `cluster`, or issue a certificate for this site";
        return refused(
            &files.cert,
            format!("is for {has}, this site is {name:?}: {what}"),
        );
    }
    if matches!(
        why,
        CertificateError::UnknownIssuer | CertificateError::BadSignature
    ) {
        let ca = files.ca.display();
        let what = "use the certificate and the CA of the same cluster";
        return refused(
            &files.cert,
            format!("was not issued by the authority in {ca}: {what}"),
        );
    }
    if matches!(
        why,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. }
    ) {
        let what = "issue it for server and client authentication";
        return refused(
            &files.cert,
            format!("is not for both ends of a connection: {what}"),
        );
    }
    refused(&files.cert, format!("{why}: issue a new certificate"))
}

fn explain_key(error: &rustls::Error, files: &TlsFiles) -> ReplError {
    if matches!(error, rustls::Error::InconsistentKeys(_)) {
        let cert = files.cert.display();
        let what = "both must come from the same issue";
        return refused(
            &files.key,
            format!("is not the key of the certificate in {cert}: {what}"),
        );
    }
    refused(&files.key, format!("cannot be used: {error}"))
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.to_string(),
        Err(_) => format!("second {seconds}"),
    }
}

pub(super) fn certificates(pem: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| refused(file, format!("no certificate in PEM: {error}")))?;
    if all.is_empty() {
        return Err(refused(file, "holds no certificate in PEM"));
    }
    Ok(all)
}

pub(super) fn roots(pem: &[u8], file: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, file)? {
        let added = roots.add(certificate);
        added.map_err(|error| refused(file, format!("is not an authority: {error}")))?;
    }
    Ok(roots)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |error| ReplError::io("read certificate file", path, error);
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > PEM_BYTES_MAX {
        return Err(refused(
            path,
            format!("{bytes} bytes are above {PEM_BYTES_MAX}"),
        ));
    }
    std::fs::read(path).map_err(failed)
}

pub(super) fn refused(file: &Path, reason: impl fmt::Display) -> ReplError {
    ReplError::serialization("tls", format!("{}: {reason}", file.display()))
}

#[cfg(test)]
mod tests;
