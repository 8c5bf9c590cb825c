//! Counts the memory that a piece of work takes: an allocator over the system's, and a high-water mark per thread.
//!
//! A package of its own because an allocator cannot be written without `unsafe`, which the tests' package forbids.
//! Where nothing is measured the count costs one thread-local addition per call. Whoever uses it declares
//! `#[global_allocator] static METER: Meter = Meter;`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The allocator.
#[derive(Debug)]
pub struct Meter;

thread_local! {
    // Neither has a destructor, so both are there until the thread ends.
    /// Bytes that this thread took, less those that it gave back; below zero when it gave back what others took.
    static NOW: Cell<isize> = const { Cell::new(0) };
    /// The highest that was.
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// What `work` returns, and how many bytes were taken at once at most on this thread, beyond those taken before.
/// A block that grows counts twice for a moment, as it does when it has to move. Not to be nested.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.get();
    PEAK.set(before);
    let result = work();
    let peak = PEAK.get().saturating_sub(before);
    (result, usize::try_from(peak).unwrap_or(0))
}

fn count(bytes: isize) {
    let now = NOW.get().wrapping_add(bytes);
    NOW.set(now);
    if now > PEAK.get() {
        PEAK.set(now);
    }
}

/// No layout is larger than `isize::MAX`.
const fn signed(bytes: usize) -> isize {
    bytes.cast_signed()
}

// SAFETY: every call goes to the system's allocator as it is; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(signed(size));
        count(-signed(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static METER: Meter = Meter;

    #[test]
    fn the_peak_is_what_was_held_at_once() {
        let (kept, peak) = peak_of(|| {
            drop(vec![1_u8; 5_000]);
            vec![1_u8; 2_000]
        });
        assert_eq!((kept.len(), peak), (2_000, 5_000));
        let (_, peak) = peak_of(|| drop(kept));
        assert_eq!(peak, 0);
    }

    #[test]
    fn a_block_that_grows_counts_twice_for_a_moment() {
        let ((), peak) = peak_of(|| {
            let mut grown = Vec::<u8>::with_capacity(1_000);
            grown.reserve_exact(1_500);
        });
        assert_eq!(peak, 2_500);
    }
}
