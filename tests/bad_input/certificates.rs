//! Certificates as a peer presents them, over raw TLS, because our own code refuses to present bad ones: whoever dials,
//! the daemon refuses, says why, and goes on.

use std::path::Path;
use std::sync::Arc;

use claudefs_repl::clock::{Clock as _, SystemClock};
use claudefs_repl::conduit::pki::{init_ca, issue};
use claudefs_repl::conduit::tls::{Tls, TlsFiles};
use claudefs_repl::proto::v1::conduit_client::ConduitClient;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::{Channel, Endpoint};

use super::site::{CLUSTER, Lab};

const DAY_US: u64 = 86_400_000_000;

/// Runs `said` on a client of the daemon without the limits of our own dialer.
pub(super) async fn say_raw<F, R>(
    tls: &Arc<Tls>,
    address: &str,
    said: impl FnOnce(ConduitClient<Channel>) -> F,
) -> R
where
    F: Future<Output = R>,
{
    let (config, dialled) = (tls.client(), address.to_owned());
    let connector = tower::service_fn(move |_: http::Uri| {
        let (config, address) = (Arc::clone(&config), dialled.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            let stream = tokio_rustls::TlsConnector::from(config).connect(site_a(), stream);
            Ok::<_, std::io::Error>(TokioIo::new(stream.await?))
        }
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    said(ConduitClient::new(channel)).await
}

fn site_a() -> ServerName<'static> {
    ServerName::try_from("site-a.lab.cfs-repl").unwrap()
}

/// A certificate and a key, whether or not they belong together.
fn certified(cert: &Path, key: &Path) -> Arc<SingleCertAndKey> {
    let chain = CertificateDer::pem_file_iter(cert).unwrap();
    let chain = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let key = default_provider()
        .key_provider
        .load_private_key(key)
        .unwrap();
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))
}

/// What is said of a certificate of another authority.
const NOT_OURS: &str = "its authority is not in our `tls.ca`";

/// What a peer presents, and what the operator of the daemon reads when it dials, and when the daemon dials.
struct Case {
    cert: TlsFiles,
    key: TlsFiles,
    refused_as_client: &'static str,
    refused_as_server: &'static str,
}

fn cases(lab: &Lab) -> Vec<Case> {
    let (past, now) = (SystemClock.now_us() - 30 * DAY_US, SystemClock.now_us());
    let foreign = lab.path().join("foreign");
    init_ca(&foreign, CLUSTER, now).unwrap();
    let foreign = issue(&foreign, "site-b", CLUSTER, 90, now).unwrap();
    let (good, other) = (lab.issue("site-b"), lab.issue("site-x"));
    let expired = lab.expired("site-old", past);
    let case = |cert: &TlsFiles, key: &TlsFiles, refused_as_client, refused_as_server| Case {
        cert: cert.clone(),
        key: key.clone(),
        refused_as_client,
        refused_as_server,
    };
    vec![
        case(
            &expired,
            &expired,
            "certificate expired",
            "certificate expired",
        ),
        case(&foreign, &foreign, NOT_OURS, NOT_OURS),
        case(&good, &other, "BadSignature", "BadSignature"),
        case(&other, &other, "", "and we dialled site-b"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_a_dialling_peer_presents_is_refused_with_the_reason_in_the_log() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    site.start();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&site.tls.ca).unwrap())
        .unwrap();
    for case in cases(&lab) {
        if case.refused_as_client.is_empty() {
            continue;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_client_cert_resolver(certified(&case.cert.cert, &case.key.key));
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(site.address()).await.unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(site_a(), stream);
        // With TLS 1.3 the connection stands before the certificate was looked at: the refusal is what is read.
        let mut stream = stream.await.unwrap();
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer).await;
        assert!(ended.is_err(), "{:?}: accepted", case.refused_as_client);
        site.wait_for_log(case.refused_as_client);
    }
    assert!(site.log().contains("handshake refused"), "{}", site.log());
    site.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_a_dialled_peer_presents_is_refused_with_the_reason_in_status() {
    let lab = Lab::new();
    for case in cases(&lab) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut site = lab.site(1, "site-a", (2, "site-b"), &address);
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(certified(&case.cert.cert, &case.key.key));
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let server = async {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    // Refused by now, or about to be.
                    drop(stream.shutdown().await);
                }
            }
        };
        let words = case.refused_as_server;
        let asked = tokio::task::spawn_blocking(move || {
            site.start();
            site.wait_for_cause("we refused the peer's certificate");
            site.wait_for_cause(words);
            site.stop();
        });
        tokio::select! {
            () = server => {}
            asked = asked => asked.unwrap(),
        }
    }
}
