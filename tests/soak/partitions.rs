//! Three sites in network namespaces of their own, under random work at all of them: one does not hear another that
//! hears it, none hears any, packets are lost; and all is well when that is over.

use std::fs;
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};

use super::wires::{is_down, is_up};
use super::{Plan, options, soak};
use crate::lab::netns::Network;
use crate::lab::{Lab, LabOptions, comes};

/// Longest wait for something to be seen: silence is 15 s, a try to dial 10 s, and a busy machine.
const SEEN: Duration = Duration::from_secs(90);
/// Of a hundred packets.
const LOST: u32 = 5;
const NAMES: [&str; 3] = ["site-a", "site-b", "site-c"];

#[test]
fn partitions_and_loss_under_random_work_end_in_equal_trees() {
    let mut network = match Network::new(3) {
        Ok(network) => network,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let mut lab = Lab::started(&LabOptions {
        has_third: true,
        launch: (1..=3).map(|id| network.launch(id)).collect(),
        address: Some(Network::address),
        ..options("10s", "on")
    });
    let plan = Plan::new(10, 0);
    soak(&plan, &mut lab, |lab, is_over| {
        let mut phases = Phases {
            network: &mut network,
            lab,
            is_over,
            done: Vec::new(),
        };
        phases.all_connected("start");
        phases.one_is_deaf();
        phases.all_are_deaf();
        phases.packets_are_lost(plan.time);
        phases.done
    });
    // Daemons first: a namespace goes with the last of its processes.
    drop(lab);
}

struct Phases<'a> {
    network: &'a mut Network,
    lab: &'a mut Lab,
    is_over: &'a dyn Fn() -> bool,
    done: Vec<String>,
}

impl Phases<'_> {
    /// Site b hears nothing of site a, which hears it.
    fn one_is_deaf(&mut self) {
        self.network.deafen(2, 1);
        // Who hears nothing ends the connection; who hears that end does not get through any more.
        self.comes("b is deaf", |lab| {
            let told = lab.b.of_peer("site-a");
            let error = told["last_error"].as_str().unwrap_or_default();
            is_down(&told) && (error.contains("nothing heard") || error.contains("no answer"))
        });
        self.comes("a is not reached", |lab| is_down(&lab.a.of_peer("site-b")));
        // Both go on with the third, which is told all by each: nobody relays.
        self.comes("c is reached", |lab| {
            let told = [lab.a.of_peer("site-c"), lab.b.of_peer("site-c")];
            told.iter().all(is_up)
        });
        for (which, text) in [(0, "of a"), (1, "of b")] {
            let tree = &self.lab.seen()[which].tree;
            fs::write(tree.join(format!("deaf-{which}")), text).unwrap();
            self.comes("c has it", |lab| {
                let at_c = lab.seen()[2].tree.join(format!("deaf-{which}"));
                fs::read(at_c).is_ok_and(|bytes| bytes == text.as_bytes())
            });
        }
        let at_b = self.lab.b.tree.join("deaf-0");
        assert!(!at_b.exists(), "b heard of it");
        self.heal("one was deaf");
    }

    /// Nobody hears anybody, and all write.
    fn all_are_deaf(&mut self) {
        for who in 1..=3 {
            for whom in (1..=3).filter(|whom| *whom != who) {
                self.network.deafen(who, whom);
            }
        }
        self.comes("all are down", |lab| {
            lab.seen().iter().all(|site| {
                let told = site.told().unwrap_or_default();
                told["verdict"] == "down"
            })
        });
        self.heal("all were deaf");
    }

    fn packets_are_lost(&mut self, time: Duration) {
        self.network.lose(LOST);
        let until = SystemClock.monotonic() + time;
        self.comes("packets are lost", |_| SystemClock.monotonic() >= until);
        self.all_connected("although packets are lost");
        self.heal("packets were lost");
    }

    fn heal(&mut self, about: &str) {
        self.network.heal();
        self.all_connected(about);
    }

    fn all_connected(&mut self, about: &str) {
        self.comes(about, |lab| {
            lab.seen().iter().all(|site| {
                let mut others = NAMES.iter().filter(|name| **name != site.name);
                others.all(|name| is_up(&site.of_peer(name)))
            })
        });
    }

    fn comes(&mut self, about: &str, is: impl Fn(&Lab) -> bool) {
        let since = SystemClock.monotonic();
        let mut is_over = false;
        let seen = comes(SEEN, || {
            is_over = (self.is_over)();
            is_over || is(self.lab)
        });
        assert!(!is_over, "{about}: the work is over");
        if !seen {
            self.lab.fail(about, "is not seen");
        }
        let took = (SystemClock.monotonic() - since).as_millis();
        self.done.push(format!("{about} after {took} ms"));
    }
}
