//! Many histories, shared by threads, and what is said of those that a check refused.

use std::ops::Range;

/// Threads that share histories: the machines that run this have two cores.
const THREADS: u64 = 2;
/// Refused histories of a thread after which it gives up.
const REFUSED_MAX: usize = 20;

/// A history that a check refused.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) seed: u64,
    pub(crate) ops: u64,
    pub(crate) fault: String,
    /// What happened, for people.
    pub(crate) story: String,
}

/// How often histories met what they are for.
pub(crate) trait Counted: Default + Send {
    fn add(&mut self, other: &Self);
}

/// What `each` refuses of the seeds, and what happened in all others.
pub(crate) fn shared<C: Counted>(
    seeds: Range<u64>,
    each: impl Fn(u64, &mut C) -> Option<Refused> + Sync,
) -> (C, Vec<Refused>) {
    std::thread::scope(|scope| {
        let (seeds, each) = (&seeds, &each);
        let run = move |thread| {
            let mut counts = C::default();
            let seeds = (seeds.start + thread..seeds.end).step_by(THREADS as usize);
            let refused = seeds.filter_map(|seed| each(seed, &mut counts));
            let refused: Vec<_> = refused.take(REFUSED_MAX).collect();
            (counts, refused)
        };
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        let mut all = (C::default(), Vec::new());
        for thread in threads {
            let (counts, refused) = thread.join().expect("no panic in a history");
            all.0.add(&counts);
            all.1.extend(refused);
        }
        all
    })
}

/// Fails with the shortest of the refused histories and the names of the others; `variable` runs one again.
pub(crate) fn none_refused(variable: &str, refused: &[Refused]) {
    for one in refused {
        let first = one.fault.lines().next().unwrap_or_default();
        let (seed, ops) = (one.seed, one.ops);
        println!("{variable}={seed} after {ops} operations: {first}");
    }
    if let Some(one) = refused.iter().min_by_key(|one| one.ops) {
        panic!("{variable}={}\n{}\n{}", one.seed, one.story, one.fault);
    }
}

/// A number of the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
