//! Proves that real trees converge: engines, connectors and directories of two or three sites in one process.
//!
//! Each history draws from a seed what users do to the trees, when a site looks, sends, merges and applies, and where
//! it stops as if killed. In the end everything is delivered and applied. Checked: it comes to rest; the trees are
//! equal in everything that is replicated; nothing waits, is parked or staged; the open conflicts are the same
//! everywhere; and no bytes that a site ever saw are gone: each is in the trees, was replaced by a user who saw it, or
//! is with a conflict. A failing history prints its seed. `CFS_SEED=n` runs one history again and tells its story,
//! `CFS_TREES=n` runs more of them, from `CFS_TREES_FROM` on, `CFS_TREES_DIR` names a folder to run them in (default: memory, where it is fast).

mod ledger;
mod site;
mod users;
mod world;

use world::World;

/// Histories of one run: about half a minute on two cores.
const HISTORIES: u64 = 150;
/// Threads that share them: the machines that run this have two cores.
const THREADS: u64 = 2;

/// What went wrong, with all that is needed to see it again.
fn history(seed: u64) -> Result<u64, String> {
    let mut world = World::new(seed);
    world.run().map(|()| world.ops()).map_err(|fault| {
        let story = world.story();
        format!("seed {seed}: {fault}\n{story}")
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn real_trees_converge_and_nothing_is_lost() {
    if let Some(seed) = number("CFS_SEED") {
        tracing_subscriber::fmt()
            .with_env_filter("warn,claudefs_repl::tree=trace")
            .init();
        history(seed).map_err(|fault| eprintln_of(&fault)).unwrap();
        return;
    }
    let histories = number("CFS_TREES").unwrap_or(HISTORIES);
    let from = number("CFS_TREES_FROM").unwrap_or(0);
    let run = |thread: u64| -> (u64, Vec<String>) {
        let (mut ops, mut faults) = (0, Vec::new());
        for seed in (from..from + histories).filter(|seed| seed % THREADS == thread) {
            match history(seed) {
                Ok(done) => ops += done,
                Err(fault) => faults.push(fault),
            }
        }
        (ops, faults)
    };
    let results: Vec<(u64, Vec<String>)> = std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let ops: u64 = results.iter().map(|(ops, _)| ops).sum();
    let mut faults: Vec<String> = results.into_iter().flat_map(|(_, faults)| faults).collect();
    faults.sort_by_key(String::len);
    println!(
        "{histories} histories, {ops} operations of users, {} refused",
        faults.len()
    );
    let told: Vec<&str> = faults
        .iter()
        .map(|f| f.lines().next().unwrap_or(""))
        .collect();
    assert!(
        faults.is_empty(),
        "{}\n\nthe shortest:\n{}",
        told.join("\n"),
        faults.first().unwrap()
    );
}

/// A fault as a panic shows it: in lines.
fn eprintln_of(fault: &str) -> String {
    println!("{fault}");
    fault.lines().next().unwrap_or_default().to_owned()
}
