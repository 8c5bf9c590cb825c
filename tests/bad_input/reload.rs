//! SIGHUP: certificates are exchanged under a running daemon, and bad ones never are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use claudefs_repl::clock::{Clock as _, SystemClock};
use claudefs_repl::conduit::pki::{init_ca, issue};
use claudefs_repl::conduit::tls::{Tls, TlsFiles};
use rustix::process::Signal;

use super::hostile::{Hostile, batch, create, hello_at};
use super::site::{CLUSTER, Lab, Site};

/// What the daemon logs when it keeps the old ones.
const KEPT: &str = "certificates were not taken, the old ones stay in use";
/// What it logs when it takes new ones.
const TAKEN: &str = "certificates were read again";

/// Puts other files in the place of those that the daemon uses, each as a whole, as a certificate manager does.
fn replace(site: &Site, with: &TlsFiles) {
    let pairs = [
        (&with.cert, &site.tls.cert),
        (&with.key, &site.tls.key),
        (&with.ca, &site.tls.ca),
    ];
    for (from, to) in pairs {
        let new = to.with_extension("new");
        fs::copy(from, &new).unwrap();
        fs::rename(new, to).unwrap();
    }
}

fn count(site: &Site, words: &str) -> usize {
    site.log().matches(words).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_are_taken_on_sighup_and_standing_connections_stay() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    site.start();
    let old = lab.tls("site-b");
    let mut standing = Hostile::connect(&old, &site.address(), hello_at(2)).await;
    standing.send(batch(vec![create(1, "one")])).await;
    standing.applied(1).await;
    let next = lab.path().join("next");
    let now = SystemClock.now_us();
    init_ca(&next, CLUSTER, now).unwrap();
    replace(&site, &issue(&next, "site-a", CLUSTER, 90, now).unwrap());
    site.signal(Signal::HUP);
    site.wait_for_log(TAKEN);
    assert!(
        Hostile::dial(&old, &site.address()).await.is_err(),
        "the old authority is believed"
    );
    standing.send(batch(vec![create(2, "two")])).await;
    standing.applied(2).await;
    standing.hang_up().await;
    let files = issue(&next, "site-b", CLUSTER, 90, now).unwrap();
    let new = Tls::new(&files.read().unwrap(), &files, "site-b", CLUSTER, now).unwrap();
    let fresh = Hostile::connect(&new, &site.address(), hello_at(2)).await;
    fresh.hang_up().await;
    assert_eq!(site.names(), ["one", "two"]);
    site.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_certificates_are_told_and_the_old_ones_stay_until_they_are_mended() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    site.expects(&[KEPT]);
    let peer = lab.tls("site-b");
    site.start();
    let good = ["cert", "key", "ca"].map(|name| lab.path().join(format!("good.{name}")));
    let paths = [
        site.tls.cert.clone(),
        site.tls.key.clone(),
        site.tls.ca.clone(),
    ];
    for (from, to) in paths.iter().zip(&good) {
        fs::copy(from, to).unwrap();
    }
    let other = lab.issue("site-x");
    let cases: [(&dyn Fn(), &str); 3] = [
        (
            &|| fs::write(&paths[0], "no certificate").unwrap(),
            "holds no certificate",
        ),
        (
            &|| assert!(fs::copy(&other.key, &paths[1]).is_ok()),
            "both must come from the same issue",
        ),
        (
            &|| fs::set_permissions(&paths[1], fs::Permissions::from_mode(0o640)).unwrap(),
            "chmod 600",
        ),
    ];
    for (nth, (spoil, words)) in cases.into_iter().enumerate() {
        spoil();
        site.signal(Signal::HUP);
        super::site::wait_until("the refusal", || count(&site, KEPT) == nth + 1);
        site.wait_for_cause(words);
        site.wait_for_cause("send SIGHUP to cfs-repl again");
        Hostile::connect(&peer, &site.address(), hello_at(0))
            .await
            .hang_up()
            .await;
        for (to, from) in paths.iter().zip(&good) {
            fs::copy(from, to).unwrap();
            fs::set_permissions(to, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    site.signal(Signal::HUP);
    site.wait_for_log(TAKEN);
    assert!(!site.causes().contains("certificates"), "{}", site.causes());
    site.stop();
}
