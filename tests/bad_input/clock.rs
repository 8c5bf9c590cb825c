//! A wall clock that nothing vouches for, as after a night without power: told, not followed, and believed when a peer's
//! clock agrees or a person says so.

use std::fs;

use claudefs_repl::clock::{Clock as _, ManualClock, SystemClock};
use claudefs_repl::disk::RealDisk;
use claudefs_repl::journal::LogOptions;
use claudefs_repl::sync::engine::{Engine, EngineConfig, Retention};

use super::site::{Lab, Site, wait_until};

const HOUR_US: u64 = 3_600_000_000;
const TOLD: &str = "the wall clock is far ahead";

/// The state that `site` would have if it had stopped an hour ago, and the machine had started anew since; and a file
/// that came meanwhile.
fn stopped_an_hour_ago(site: &Site) {
    let config = EngineConfig {
        dir: site.state.clone(),
        disk: RealDisk::shared(),
        clock: ManualClock::at(SystemClock.now_us() - HOUR_US),
        log: LogOptions::default(),
        site_id: 1,
        incarnation: 1 << 48 | 7,
        applies: true,
        sends: true,
        retention: Retention::default(),
        accept_clock: false,
        reclaim: None,
    };
    let mut engine = Engine::open(config).unwrap();
    engine.found("site-a").unwrap();
    engine.close().unwrap();
    fs::write(site.tree.join("f"), "x").unwrap();
}

fn wait_for_scan(site: &Site) {
    wait_until("the scan", || {
        !site.status()["tree"]["last_scan_us"].is_null()
    });
}

#[test]
fn a_clock_that_nothing_vouches_for_is_shown_and_followed_when_a_person_says_it_is_right() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    stopped_an_hour_ago(&site);
    site.start();
    site.wait_for_log(TOLD);
    site.wait_for_cause("cfs-repl run --accept-clock");
    site.stop();

    let mut command = site.command();
    site.start_as(command.arg("--accept-clock"));
    wait_for_scan(&site);
    assert!(!site.log().contains(TOLD), "{}", site.log());
    site.stop();

    site.start();
    wait_for_scan(&site);
    assert!(!site.log().contains(TOLD), "once is enough: {}", site.log());
    site.stop();
}

#[test]
fn a_clock_that_nothing_vouches_for_is_followed_when_a_peers_clock_agrees() {
    let lab = Lab::new();
    let mut a = lab.site(1, "site-a", (2, "site-b"), "");
    let mut b = lab.site(2, "site-b", (1, "site-a"), &a.address());
    stopped_an_hour_ago(&a);
    a.start();
    a.wait_for_cause("--accept-clock");
    b.start();
    a.wait_for_log("a peer's clock agrees");
    wait_until("the cause goes", || !a.causes().contains("--accept-clock"));
    wait_until("the file", || b.names() == ["f"]);
    b.stop();
    a.stop();
}
