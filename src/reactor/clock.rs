//! The real clock.
//!
//! `std::time::Instant` keeps its number to itself, but deadlines come from Python code that
//! computed them from `time.monotonic()`. So the same kernel clock is read here.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sched::Clock;
use crate::sched::clock::NANOS_PER_SECOND;

/// The clock behind Python's `time.monotonic()`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic;

#[cfg(not(target_vendor = "apple"))]
const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
/// CPython reads `mach_absolute_time()`, which this clock reports in nanoseconds.
#[cfg(target_vendor = "apple")]
const CLOCK: libc::clockid_t = libc::CLOCK_UPTIME_RAW;

impl Clock for Monotonic {
    #[inline]
    fn now(&self) -> u64 {
        read(CLOCK)
    }
}

/// Nanoseconds of CPU time that this OS thread has used. A system call, unlike the clock.
pub fn cpu_time() -> u64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

#[inline]
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec to a live local. It cannot fail: the clocks
    // exist on every system we build for and the pointer is valid.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * NANOS_PER_SECOND + time.tv_nsec as u64
}

/// Where the clock stands; 0 while it runs.
static STANDS_AT: AtomicU64 = AtomicU64::new(0);

/// Stops the clock of the whole process at a moment, for tests; None lets it run.
pub fn stand_at(nanos: Option<u64>) {
    STANDS_AT.store(nanos.map_or(0, |nanos| nanos.max(1)), Ordering::Relaxed);
}

/// The real time, or where a test has stopped the clock.
#[inline]
pub fn shown() -> u64 {
    match STANDS_AT.load(Ordering::Relaxed) {
        0 => Monotonic.now(),
        nanos => nanos,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_clock_never_goes_back_and_runs_at_the_speed_of_the_standard_library() {
        // Each clock is read inside the other's interval, so that no pause breaks the bounds.
        let outer = Instant::now();
        let first = Monotonic.now();
        let inner = Instant::now();
        let mut last = first;
        while inner.elapsed().as_millis() < 5 {
            let now = Monotonic.now();
            assert!(now >= last);
            last = now;
        }
        let least = inner.elapsed().as_nanos();
        let passed = u128::from(Monotonic.now() - first);
        assert!(passed >= least);
        assert!(passed <= outer.elapsed().as_nanos());
    }
}
