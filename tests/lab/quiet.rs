//! Waiting until nothing moves between two sites, and the verdict on their trees.
//!
//! First a file of each side must have reached the other: what was done before it was noticed by then. Then both
//! daemons must say, twice in a row, that nothing is behind and nothing waits. Only then the trees are compared.

use std::fs;
use std::path::Path;
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};
use claudefs_repl::tree::compare::{Difference, NOT_REPLICATED, compare};
use serde_json::Value;

use super::{Lab, comes};

/// How long everything may take to come to rest: several rounds of the slowest scan, on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// Differences that a failure lists.
const SHOWN: usize = 60;

impl Lab {
    /// Waits until everything came to rest and insists that the trees are equal, nothing is parked, no lag is left,
    /// and no daemon complained.
    pub(crate) fn assert_settles(&mut self, about: &str) {
        let started = SystemClock.monotonic();
        self.assert_marks_arrive(about);
        let mut calm = 0;
        let mut equal = false;
        let settled = comes(self.patience, || {
            let quiet =
                [&self.a, &self.b].map(|site| site.try_status().is_some_and(|s| is_quiet(&s)));
            calm = if quiet == [true, true] { calm + 1 } else { 0 };
            if calm < 2 {
                return false;
            }
            // A tree that changes under the comparison cannot be read: not settled yet.
            equal = compare(&self.a.tree, &self.b.tree, SHOWN).is_ok_and(|found| {
                let is_space = |one: &Difference| {
                    one.field == NOT_REPLICATED && one.left.contains("blocks taken")
                };
                let all_told = found.first.len() as u64 == found.differing;
                let is_space = self.may_take_space && all_told && found.first.iter().all(is_space);
                found.is_equal() || is_space
            });
            equal
        });
        if !settled {
            self.fail(about, "did not come to rest with equal trees");
        }
        for site in [&self.a, &self.b] {
            let errors = site.errors();
            assert!(errors.is_empty(), "{about}: {} says {errors:#?}", site.name);
            let lag = site.ask(&["lag"]);
            let lag = &lag["items"][0]["lag_us"];
            assert_eq!(lag, 0, "{about}: lag of {}", site.name);
        }
        let took = (SystemClock.monotonic() - started).as_millis();
        println!("{about}: settled after {took} ms");
    }

    /// A new file of each side reaches the other.
    fn assert_marks_arrive(&mut self, about: &str) {
        let stamp = SystemClock.now_us();
        for (from, to) in [(0, 1), (1, 0)] {
            let name = format!("mark-{from}");
            let text = format!("{stamp}-{from}");
            let sites = self.sites();
            fs::write(sites[from].tree.join(&name), &text).unwrap();
            let target = sites[to].tree.join(&name);
            let arrived = comes(self.patience, || {
                fs::read(&target).is_ok_and(|bytes| bytes == text.as_bytes())
            });
            if !arrived {
                self.fail(about, &format!("{name} did not arrive"));
            }
        }
    }

    /// Ends the test with everything that helps to find out why.
    pub(crate) fn fail(&mut self, about: &str, what: &str) -> ! {
        let mut told = format!("{about}: {what}\n");
        for site in self.sites() {
            let ended = site.ended();
            told += &format!("{} ended: {ended:?}\n", site.name);
            match site.try_status() {
                Some(status) => told += &format!("status of {}: {status:#}\n", site.name),
                None => told += &format!("{} does not answer\n", site.name),
            }
        }
        told += &differences(&self.a.tree, &self.b.tree);
        for site in self.sites() {
            told += &format!("errors: {:#?}\n{}\n", site.errors(), site.tail());
        }
        panic!("{told}");
    }
}

fn differences(a: &Path, b: &Path) -> String {
    match compare(a, b, SHOWN) {
        Ok(found) => format!("{found}\n"),
        Err(error) => format!("cannot compare: {error}\n"),
    }
}

/// Nothing behind, nothing waiting, nothing parked, nothing put off.
fn is_quiet(status: &Value) -> bool {
    let status = status.get("items").map_or(status, |items| &items[0]);
    let Some(sites) = status["sites"].as_array() else {
        return false;
    };
    let peers = sites.iter().all(|site| {
        site["state"] == "idle" && site["behind_entries"] == 0 && site["waiting_entries"] == 0
    });
    peers && status["tree"]["busy"] == 0 && status["tree"]["parked"] == 0
}
