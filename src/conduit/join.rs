//! How a new site gets its certificate: tokens, the service of the site that invited, and the new site's side of it.
//!
//! The token holds the print of the authority, so the new site knows whom it talks to before it says anything; the
//! site that invited knows the new one by a secret that works once. The new site's key never leaves it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs::default_provider, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Response, Status};

use super::client::CONNECT_MAX;
use super::codec::Weighed;
use super::tls::{JOIN_PROTOCOL, dns_name, explain};
use crate::clock::TimestampUs;
use crate::journal::codec::{Field, Inside, weight};
use crate::proto::join as pb;
use crate::topology::SiteId;
use pb::join_client::JoinClient;
use pb::join_server::{Join, JoinServer};

/// What a token begins with: its kind and version.
const PREFIX: &str = "cfsjoin1.";
/// Longest token that is looked at: a dozen endpoints take a quarter.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Bytes of a secret: nobody guesses 128 bits.
pub const SECRET_BYTES: usize = 16;
/// What is said of a site whose authority has another print than the one in the token.
const OTHER_AUTHORITY: &str =
    "the site that answers is not of the authority that the invitation names";
/// Largest message of the service.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// Most memory that a token takes when it is read.
const TOKEN_MEMORY_MAX: usize = 2 * TOKEN_BYTES_MAX;
/// A text: its place in a list, and room of its own.
const TEXT_BYTES: usize = size_of::<String>() + 32;
/// Lists of a token.
const TOKEN_LISTS: &[Field] = &[(3, Inside::Items(TEXT_BYTES, &[]))];

impl Weighed for pb::JoinRequest {
    const FIELDS: &'static [Field] = &[(5, Inside::Items(TEXT_BYTES, &[]))];
    const MEMORY_MAX: usize = 2 * MESSAGE_BYTES_MAX;
}

impl Weighed for pb::JoinReply {
    const FIELDS: &'static [Field] = &[(
        4,
        Inside::Items(
            size_of::<pb::Site>(),
            &[(3, Inside::Items(TEXT_BYTES, &[]))],
        ),
    )];
    const MEMORY_MAX: usize = 2 * MESSAGE_BYTES_MAX;
}

/// What a token says.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the site that invited.
    pub site: String,
    /// Where it is reached, in order.
    pub endpoints: Vec<String>,
    /// Print of the authority.
    pub authority: [u8; 32],
    /// What proves that the holder was invited.
    pub secret: [u8; SECRET_BYTES],
    /// Until when.
    pub expires_us: TimestampUs,
    /// Name that the new site is to have. None: it chooses.
    pub name: Option<String>,
}

impl fmt::Debug for Invitation {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation")
            .field("cluster", &self.cluster)
            .field("site", &self.site)
            .field("endpoints", &self.endpoints)
            .field("expires_us", &self.expires_us)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Invitation {
    /// As a token: what is typed at the new site.
    #[must_use]
    pub fn token(&self) -> String {
        let message = pb::Invitation {
            cluster: self.cluster.clone(),
            site: self.site.clone(),
            endpoints: self.endpoints.clone(),
            authority: Bytes::copy_from_slice(&self.authority),
            secret: Bytes::copy_from_slice(&self.secret),
            expires_us: self.expires_us,
            name: self.name.clone().unwrap_or_default(),
        };
        let mut bytes = message.encode_to_vec();
        // What is cut off by a copy that went wrong is told as that.
        let print = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&print.to_be_bytes());
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(token: &str) -> Result<Self, &'static str> {
        let token = token.trim();
        if token.len() > TOKEN_BYTES_MAX {
            return Err("it is too long for a token");
        }
        let text = token
            .strip_prefix(PREFIX)
            .ok_or("a token begins with cfsjoin1. and is printed by: cfs-repl peer invite")?;
        let cut = "it is not whole: copy all of it, in one line";
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| cut)?;
        let (message, print) = bytes.split_last_chunk::<4>().ok_or(cut)?;
        if crc32fast::hash(message) != u32::from_be_bytes(*print) {
            return Err(cut);
        }
        if weight(message, TOKEN_LISTS) > TOKEN_MEMORY_MAX {
            return Err("it names too many endpoints");
        }
        let message = pb::Invitation::decode(message).map_err(|_| cut)?;
        let newer = "it was made by another version of cfs-repl";
        Ok(Self {
            cluster: message.cluster,
            site: message.site,
            endpoints: message.endpoints,
            authority: message.authority.as_ref().try_into().map_err(|_| newer)?,
            secret: message.secret.as_ref().try_into().map_err(|_| newer)?,
            expires_us: message.expires_us,
            name: Some(message.name).filter(|name| !name.is_empty()),
        })
    }
}

/// The print of an authority's certificate.
#[must_use]
pub fn print_of(authority: &CertificateDer<'_>) -> [u8; 32] {
    *blake3::hash(authority).as_bytes()
}

/// What a new site asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// Its certificate signing request, PKCS #10 in DER.
    pub request: Vec<u8>,
    /// Where it is reached. Empty: it only dials.
    pub endpoints: Vec<String>,
    /// Its tree holds files.
    pub has_files: bool,
    /// Only asks what would be done.
    pub dry_run: bool,
}

/// A new site is taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Its number.
    pub site_id: SiteId,
    /// Its certificate in PEM. Empty: a dry run.
    pub certificate: String,
    /// Certificates of the authority in PEM.
    pub authority: String,
    /// The other sites, the one that answers first: number, name, endpoints.
    pub sites: Vec<(SiteId, String, Vec<String>)>,
}

/// Why a new site is not taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no such invitation, or it was used, or it ended.
    NotInvited(String),
    /// It is for another cluster, or both trees hold files.
    NotPossible(String),
    /// The name is taken.
    Taken(String),
    /// What is asked for cannot be read.
    Unreadable(String),
    /// This site failed.
    Failed(String),
}

/// Decides about new sites.
#[tonic::async_trait]
pub trait Admit: Send + Sync + 'static {
    /// Takes a site in that shows the secret of an invitation for `cluster`.
    async fn admit(&self, cluster: &str, secret: &[u8], wish: Wish) -> Result<Admitted, Refused>;
}

/// The service over `admit`.
pub(super) fn service(admit: Arc<dyn Admit>) -> JoinServer<impl Join> {
    JoinServer::new(Service(admit))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

struct Service(Arc<dyn Admit>);

#[tonic::async_trait]
impl Join for Service {
    async fn join(
        &self,
        request: Request<pb::JoinRequest>,
    ) -> Result<Response<pb::JoinReply>, Status> {
        let request = request.into_inner();
        let wish = Wish {
            name: request.name,
            request: request.request.to_vec(),
            endpoints: request.endpoints,
            has_files: request.has_files,
            dry_run: request.dry_run,
        };
        let admitted = self.0.admit(&request.cluster, &request.secret, wish).await;
        let admitted = admitted.map_err(|refused| match refused {
            Refused::NotInvited(why) => Status::permission_denied(why),
            Refused::NotPossible(why) => Status::failed_precondition(why),
            Refused::Taken(why) => Status::already_exists(why),
            Refused::Unreadable(why) => Status::invalid_argument(why),
            Refused::Failed(why) => Status::internal(why),
        })?;
        let site = |(site_id, name, endpoints)| pb::Site {
            site_id,
            name,
            endpoints,
        };
        Ok(Response::new(pb::JoinReply {
            site_id: admitted.site_id,
            certificate: admitted.certificate,
            authority: admitted.authority,
            sites: admitted.sites.into_iter().map(site).collect(),
        }))
    }
}

/// Why a new site did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No endpoint was reached.
    #[error("no endpoint of the invitation was reached")]
    Unreached {
        /// Each endpoint with its reason.
        failures: Vec<(String, String)>,
        /// One of them was asked and did not answer: it may have taken the site in.
        asked: bool,
    },
    /// No endpoint was reached, and at one of them somebody answers who is of another authority.
    #[error("{OTHER_AUTHORITY}")]
    OtherAuthority {
        /// Each endpoint with its reason.
        failures: Vec<(String, String)>,
        /// One of the others was asked and did not answer: it may have taken the site in.
        asked: bool,
    },
    /// The site that invited says no.
    #[error("{why}")]
    Refused {
        /// What kind of refusal.
        code: Code,
        /// In its words.
        why: String,
    },
}

impl JoinError {
    /// Whether the site was certainly not taken in.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            // What failed may have failed behind the point where the invitation was used up.
            Self::Refused { code, .. } => *code != Code::Internal,
            Self::Unreached { asked, .. } | Self::OtherAuthority { asked, .. } => !asked,
        }
    }
}

/// What became of the endpoints when none of them answered.
fn unreached(failures: Vec<(String, String)>, asked: bool) -> JoinError {
    if failures
        .iter()
        .any(|(_, why)| why.contains(OTHER_AUTHORITY))
    {
        return JoinError::OtherAuthority { failures, asked };
    }
    JoinError::Unreached { failures, asked }
}

/// Joins: asks the endpoints of the invitation in order, each within [`CONNECT_MAX`].
///
/// # Errors
/// [`JoinError`].
pub async fn join(invitation: &Invitation, wish: &Wish) -> Result<Admitted, JoinError> {
    let (mut failures, mut is_asked) = (Vec::new(), false);
    for endpoint in &invitation.endpoints {
        let channel = match connect(invitation, endpoint).await {
            Ok(channel) => channel,
            Err(why) => {
                failures.push((endpoint.clone(), why));
                continue;
            }
        };
        let request = pb::JoinRequest {
            cluster: invitation.cluster.clone(),
            secret: Bytes::copy_from_slice(&invitation.secret),
            name: wish.name.clone(),
            request: Bytes::copy_from_slice(&wish.request),
            endpoints: wish.endpoints.clone(),
            has_files: wish.has_files,
            dry_run: wish.dry_run,
        };
        let mut client = JoinClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        is_asked = true;
        let asked = tokio::time::timeout(CONNECT_MAX, client.join(request)).await;
        match asked {
            Ok(Ok(reply)) => return Ok(admitted(reply.into_inner())),
            Ok(Err(status)) if is_said(&status) => {
                return Err(JoinError::Refused {
                    code: status.code(),
                    why: status.message().to_owned(),
                });
            }
            Ok(Err(status)) => failures.push((endpoint.clone(), explain(&status))),
            Err(_) => failures.push((endpoint.clone(), "it does not answer".to_owned())),
        }
    }
    Err(unreached(failures, is_asked))
}

/// The site itself said it, not the transport.
fn is_said(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::AlreadyExists
            | Code::InvalidArgument
            | Code::Internal
    ) && std::error::Error::source(status).is_none()
}

fn admitted(reply: pb::JoinReply) -> Admitted {
    let sites = reply.sites.into_iter();
    Admitted {
        site_id: reply.site_id,
        certificate: reply.certificate,
        authority: reply.authority,
        sites: sites
            .map(|site| (site.site_id, site.name, site.endpoints))
            .collect(),
    }
}

async fn connect(
    invitation: &Invitation,
    endpoint: &str,
) -> Result<tonic::transport::Channel, String> {
    let tls = pinned(invitation.authority).map_err(|error| error.to_string())?;
    let name = dns_name(&invitation.site, &invitation.cluster);
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
    let address = endpoint.to_owned();
    let dial = tower::service_fn(move |_: http::Uri| {
        let (connector, name, address) = (connector.clone(), name.clone(), address.clone());
        async move {
            let socket = TcpStream::connect(address).await?;
            let stream = connector.connect(name, socket).await?;
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    let channel = Endpoint::from_static("http://join");
    let connecting = channel.connect_with_connector(dial);
    match tokio::time::timeout(CONNECT_MAX, connecting).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(explain(&error)),
        Err(_) => Err(format!("no answer within {} s", CONNECT_MAX.as_secs())),
    }
}

/// TLS that believes the authority with this print and nobody else, and shows no certificate.
fn pinned(authority: [u8; 32]) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(default_provider());
    let verifier = Pinned {
        authority,
        provider: Arc::clone(&provider),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![JOIN_PROTOCOL.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// The stock verifier of rustls, with the authority that has the print as its only root: it is sent along, since the
/// new site has no copy of it yet.
#[derive(Debug)]
struct Pinned {
    authority: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = intermediates
            .iter()
            .find(|certificate| print_of(certificate) == self.authority);
        let Some(root) = found else {
            return Err(rustls::Error::General(OTHER_AUTHORITY.to_owned()));
        };
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn invitation() -> Invitation {
        Invitation {
            cluster: "prod".to_owned(),
            site: "fra-1".to_owned(),
            endpoints: vec!["fra.example.net:7443".to_owned()],
            authority: [7; 32],
            secret: [9; SECRET_BYTES],
            expires_us: 5,
            name: Some("iad-2".to_owned()),
        }
    }

    #[test]
    fn a_token_comes_back_as_it_was_and_tells_no_secret_to_a_log() {
        let token = invitation().token();
        assert_eq!(Invitation::read(&token), Ok(invitation()));
        assert_eq!(Invitation::read(&format!(" {token}\n")), Ok(invitation()));
        assert!(
            token.len() < 250 && !token.contains(['=', '+', '/', ' ']),
            "{token}"
        );
        assert!(!format!("{:?}", invitation()).contains('9'));
    }

    #[test]
    fn what_is_no_token_or_not_whole_is_told_so() {
        let token = invitation().token();
        let cut = |at: usize| token.chars().take(at).collect::<String>();
        for (text, why) in [
            (cut(token.len() - 1).as_str(), "not whole"),
            (cut(12).as_str(), "not whole"),
            ("cfsjoin1.", "not whole"),
            ("hello", "begins with"),
            ("", "begins with"),
        ] {
            let said = Invitation::read(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
        let long = format!("{PREFIX}{}", "A".repeat(TOKEN_BYTES_MAX));
        assert!(Invitation::read(&long).is_err());
    }

    #[test]
    fn a_stranger_is_told_from_a_network_and_what_is_certain_from_what_is_not() {
        let failure = |why: &str| ("fra:7443".to_owned(), why.to_owned());
        let network = unreached(vec![failure("connection refused")], false);
        assert!(matches!(network, JoinError::Unreached { .. }) && network.is_final());
        let why = explain(&rustls::Error::General(OTHER_AUTHORITY.to_owned()));
        let both = vec![failure("connection refused"), failure(&why)];
        let stranger = unreached(both, true);
        assert!(matches!(stranger, JoinError::OtherAuthority { .. }) && !stranger.is_final());
        let refused = |code| JoinError::Refused {
            code,
            why: String::new(),
        };
        assert!(refused(Code::AlreadyExists).is_final() && !refused(Code::Internal).is_final());
    }

    proptest! {
        #[test]
        fn no_changed_letter_goes_unnoticed(at in 0usize..200, letter in "[A-Za-z0-9_-]") {
            let token = invitation().token();
            let at = PREFIX.len() + at % (token.len() - PREFIX.len());
            let mut other = token.clone();
            other.replace_range(at..=at, &letter);
            if other != token {
                prop_assert!(Invitation::read(&other).is_err());
            }
        }
    }
}
