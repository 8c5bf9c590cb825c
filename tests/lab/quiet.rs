//! Waiting until nothing moves between the sites, and the verdict on their trees.
//!
//! First a file of each side must have reached the others: what was done before it was noticed by then. Then all
//! daemons must say, twice in a row, that nothing is behind and nothing waits. Only then the trees are compared.

use std::fs;
use std::path::{Path, PathBuf};
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
            let sites = self.seen();
            let mut told = sites.iter().map(|site| site.try_status());
            let quiet = told.all(|status| status.is_some_and(|status| is_quiet(&status)));
            calm = if quiet { calm + 1 } else { 0 };
            if calm < 2 {
                return false;
            }
            // A tree that changes under the comparison cannot be read: not settled yet.
            let mut others = sites.iter().skip(1);
            equal = others.all(|other| self.is_equal(&self.a.tree, &other.tree));
            equal
        });
        if !settled {
            self.fail(about, "did not come to rest with equal trees");
        }
        let peers = self.seen().len() - 1;
        for site in self.seen() {
            let errors = site.errors();
            assert!(errors.is_empty(), "{about}: {} says {errors:#?}", site.name);
            let lag = site.ask(&["lag"]);
            let lags = lag["items"].as_array().unwrap();
            assert_eq!(lags.len(), peers, "{about}: {lag}");
            let is_zero = |lag: &Value| lag["lag_us"] == 0;
            assert!(lags.iter().all(is_zero), "{about}: at {}: {lag}", site.name);
        }
        let took = (SystemClock.monotonic() - started).as_millis();
        println!("{about}: settled after {took} ms");
    }

    fn is_equal(&self, one: &Path, other: &Path) -> bool {
        compare(one, other, SHOWN).is_ok_and(|found| {
            let is_space =
                |one: &Difference| one.field == NOT_REPLICATED && one.left.contains("blocks taken");
            let all_told = found.first.len() as u64 == found.differing;
            let is_space = self.may_take_space && all_told && found.first.iter().all(is_space);
            found.is_equal() || is_space
        })
    }

    /// A new file of each side reaches all others.
    fn assert_marks_arrive(&mut self, about: &str) {
        let stamp = SystemClock.now_us();
        let trees: Vec<PathBuf> = self.seen().iter().map(|site| site.tree.clone()).collect();
        for (from, tree) in trees.iter().enumerate() {
            let name = format!("mark-{from}");
            let text = format!("{stamp}-{from}");
            fs::write(tree.join(&name), &text).unwrap();
            let arrived = comes(self.patience, || {
                let mut read = trees.iter().map(|tree| fs::read(tree.join(&name)));
                read.all(|bytes| bytes.is_ok_and(|bytes| bytes == text.as_bytes()))
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
        for other in self.seen().iter().skip(1) {
            told += &differences(&self.a.tree, &other.tree);
        }
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
