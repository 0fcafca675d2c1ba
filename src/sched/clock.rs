//! Time as the scheduler sees it: nanoseconds in a `u64`.
//!
//! A `u64` compares in one instruction and lasts 584 years from any origin. Floats appear
//! only at the border to Python. The real clock is not here, since reading it needs a system
//! call: see `reactor::clock`.

#![forbid(unsafe_code)]

use std::cell::Cell;

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A source of monotonic time.
pub trait Clock {
    /// Nanoseconds since an origin of the clock's choice; never decreases.
    fn now(&self) -> u64;
}

/// A clock that stands still until it is told to move, for tests.
#[derive(Debug, Default)]
pub struct Virtual {
    now: Cell<u64>,
}

impl Virtual {
    /// A clock that starts at `now` nanoseconds.
    pub const fn new(now: u64) -> Self {
        Self {
            now: Cell::new(now),
        }
    }

    /// Moves the clock forward; it stops at the end of time instead of wrapping.
    pub fn advance(&self, nanos: u64) {
        self.now.set(self.now.get().saturating_add(nanos));
    }
}

impl Clock for Virtual {
    #[inline]
    fn now(&self) -> u64 {
        self.now.get()
    }
}

/// Converts seconds to nanoseconds.
///
/// Rounds up, so that a delay never ends before the seconds asked for. Negative numbers and
/// NaN give 0 ("now"), whatever is too large gives `u64::MAX` ("never").
#[inline]
pub fn nanos_from_seconds(seconds: f64) -> u64 {
    // A float cast saturates at both ends and takes NaN to 0.
    (seconds * 1e9).ceil() as u64
}

/// Converts nanoseconds to seconds, to the 53 bits a float has.
#[inline]
#[expect(
    clippy::cast_precision_loss,
    reason = "Python's own clock returns the same float"
)]
pub fn seconds_from_nanos(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_convert_with_saturation_at_both_ends() {
        assert_eq!(nanos_from_seconds(0.0), 0);
        assert_eq!(nanos_from_seconds(-0.0), 0);
        assert_eq!(nanos_from_seconds(-1.5), 0);
        assert_eq!(nanos_from_seconds(f64::NAN), 0);
        assert_eq!(nanos_from_seconds(f64::NEG_INFINITY), 0);
        assert_eq!(nanos_from_seconds(f64::INFINITY), u64::MAX);
        assert_eq!(nanos_from_seconds(1e300), u64::MAX);
        assert_eq!(nanos_from_seconds(1.5), 1_500_000_000);
        assert_eq!(nanos_from_seconds(0.1), 100_000_000);
    }

    #[test]
    fn a_positive_delay_never_becomes_zero() {
        assert_eq!(nanos_from_seconds(1e-12), 1);
        assert_eq!(nanos_from_seconds(f64::MIN_POSITIVE), 1);
    }

    #[test]
    fn nanoseconds_convert_back() {
        assert!((seconds_from_nanos(1_500_000_000) - 1.5).abs() < f64::EPSILON);
        assert_eq!(
            nanos_from_seconds(seconds_from_nanos(123_456_789)),
            123_456_789
        );
    }

    #[test]
    fn virtual_clock_moves_only_when_told() {
        let clock = Virtual::new(5);
        assert_eq!((clock.now(), clock.now()), (5, 5));
        clock.advance(10);
        assert_eq!(clock.now(), 15);
        clock.advance(u64::MAX);
        assert_eq!(clock.now(), u64::MAX);
    }
}
