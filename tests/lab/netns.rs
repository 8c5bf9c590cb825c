//! Network namespaces: a machine of its own for each site as far as the network goes, a pair of virtual devices between
//! any two of them, and packets that are dropped where they arrive.
//!
//! Needs root, `ip` of iproute2 and `nft` of nftables; says what is missing otherwise. Installs nothing.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{program, run};

/// Networks that this process made.
static MADE: AtomicU64 = AtomicU64::new(0);

/// The namespaces of the sites 1 to `count`.
#[derive(Debug)]
pub(crate) struct Network {
    ip: PathBuf,
    nft: PathBuf,
    names: Vec<String>,
    /// Who does not hear whom.
    deaf: BTreeSet<(u64, u64)>,
    /// Of a hundred packets, so many are lost wherever they arrive.
    lost: u32,
}

impl Network {
    /// Namespaces in which all hear all, or why there can be none.
    pub(crate) fn new(count: u64) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("network namespaces need root".to_owned());
        }
        let found = |name, package| {
            program(name).ok_or_else(|| format!("{name} is missing (package {package})"))
        };
        let mut network = Self {
            ip: found("ip", "iproute2")?,
            nft: found("nft", "nftables")?,
            names: Vec::new(),
            deaf: BTreeSet::new(),
            lost: 0,
        };
        let nth = MADE.fetch_add(1, Ordering::SeqCst);
        for id in 1..=count {
            let name = format!("cfs-repl-{}-{nth}-{id}", std::process::id());
            network.try_ip(&["netns", "add", &name])?;
            network.names.push(name);
        }
        for one in 1..=count {
            network.try_ip(&["-n", network.name(one), "link", "set", "lo", "up"])?;
            for other in one + 1..=count {
                network.connect(one, other)?;
            }
        }
        network.rule()?;
        Ok(network)
    }

    /// What stands before a command that runs where the site is.
    pub(crate) fn launch(&self, id: u64) -> Vec<String> {
        let ip = self.ip.display().to_string();
        let words = ["netns", "exec", self.name(id)].map(str::to_owned);
        std::iter::once(ip).chain(words).collect()
    }

    /// Where `from` reaches `to`: every pair has a network of its own.
    pub(crate) fn address(from: u64, to: u64) -> Ipv4Addr {
        let [low, high, host] = [from.min(to), from.max(to), to].map(|n| u8::try_from(n).unwrap());
        Ipv4Addr::new(10, 200 + low, high, host)
    }

    /// From here on `who` hears nothing of `whom`.
    pub(crate) fn deafen(&mut self, who: u64, whom: u64) {
        self.deaf.insert((who, whom));
        self.rule().unwrap();
    }

    /// From here on so many of a hundred packets are lost.
    pub(crate) fn lose(&mut self, percent: u32) {
        self.lost = percent;
        self.rule().unwrap();
    }

    /// All hear all again.
    pub(crate) fn heal(&mut self) {
        self.deaf.clear();
        self.lost = 0;
        self.rule().unwrap();
    }

    fn name(&self, id: u64) -> &str {
        &self.names[usize::try_from(id - 1).unwrap()]
    }

    fn try_ip(&self, words: &[&str]) -> Result<(), String> {
        let output = Command::new(&self.ip).args(words).output().unwrap();
        if output.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("ip {}: {}", words.join(" "), why.trim()))
    }

    fn connect(&self, one: u64, other: u64) -> Result<(), String> {
        let (here, there) = (self.name(one), self.name(other));
        let (device, peer) = (format!("to{other}"), format!("to{one}"));
        let words = ["link", "add", &device, "netns", here, "type", "veth"];
        self.try_ip(&[&words[..], &["peer", "name", &peer, "netns", there]].concat())?;
        let own = format!("{}/24", Self::address(other, one));
        let its = format!("{}/24", Self::address(one, other));
        for (name, device, address) in [(here, &device, own), (there, &peer, its)] {
            self.try_ip(&["-n", name, "addr", "add", &address, "dev", device])?;
            self.try_ip(&["-n", name, "link", "set", device, "up"])?;
        }
        Ok(())
    }

    /// Brings the rules of all namespaces to what is wanted.
    fn rule(&self) -> Result<(), String> {
        for id in 1..=self.names.len() as u64 {
            let mut rules = String::new();
            for (_, whom) in self.deaf.iter().filter(|(who, _)| *who == id) {
                rules += &format!("iifname \"to{whom}\" drop\n");
            }
            if self.lost > 0 {
                rules += &format!("numgen random mod 100 < {} drop\n", self.lost);
            }
            let text = format!(
                "flush ruleset\ntable inet lab {{\nchain heard {{\ntype filter hook input priority 0\n{rules}}}\n}}\n"
            );
            let launch = self.launch(id);
            let mut nft = Command::new(&launch[0]);
            nft.args(&launch[1..]).arg(&self.nft).args(["-f", "-"]);
            nft.stdin(Stdio::piped()).stderr(Stdio::piped());
            let mut child = nft.spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(text.as_bytes()).unwrap();
            drop(stdin);
            let output = child.wait_with_output().unwrap();
            if !output.status.success() {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(format!("nft: {}", why.trim()));
            }
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            // With the last process in it the namespace goes, and its devices with it.
            run(Command::new(&self.ip).args(["netns", "del", name]));
        }
    }
}
