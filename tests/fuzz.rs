//! What must hold whatever bytes come: no panic, no more memory than twice a limit, and what each target claims.
//!
//! One function for each target, called by `fuzz/` with bytes that a fuzzer makes up, and here with those that it kept
//! ([`replay`]): `fuzz/corpus/<target>/`. A target fails by a panic.

mod admin;
mod config;
mod content;
mod cursors;
mod hello;
mod hostile;
mod input;
mod join;
mod logs;
mod manifest;
mod message;
mod names;
mod payload;
mod records;
mod session;

#[cfg(test)]
mod replay;
#[cfg(test)]
mod seeds;

/// A target: its name, which is that of its corpus, and what it does; it tells whether the bytes were taken for what
/// they are meant to be.
pub(crate) type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub(crate) const TARGETS: [Target; 17] = [
    ("batch", message::batch),
    ("message", message::message),
    ("session", session::session),
    ("payload", payload::payload),
    ("entry", payload::entry),
    ("journal", logs::journal),
    ("received", logs::received),
    ("content", content::content),
    ("manifest", manifest::manifest),
    ("hello", hello::hello),
    ("join", join::join),
    ("config", config::config),
    ("names", names::names),
    ("admin", admin::admin),
    ("cursors", cursors::cursors),
    ("records", records::records),
    ("hostile", hostile::hostile),
];

/// Runs a target on `bytes`; whether they were taken.
pub(crate) fn run(target: &str, bytes: &[u8]) -> bool {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, work) = found.expect("a target of this name");
    work(bytes)
}

/// Runs `work`, which must not take more than twice `limit` bytes of memory at once.
fn within<T>(limit: usize, work: impl FnOnce() -> T) -> T {
    let (result, peak) = cfs_repl_meter::peak_of(work);
    assert!(
        peak <= 2 * limit,
        "{peak} bytes of memory were taken, with a limit of {limit}"
    );
    result
}
