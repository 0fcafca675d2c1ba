//! Scheduling data structures: ready queue, timers, waiter lists, inbox, clock.
//!
//! Nothing here knows Python, switches a stack or makes a system call, so every promise
//! below is tested without an interpreter, under miri, and (the inbox) under loom. What an
//! entry *is* stays open: each structure is generic over a payload that higher layers choose.
//!
//! # Order
//!
//! Who runs next is decided by these rules and by nothing else; users can rely on them.
//!
//! - The [`ReadyQueue`] is first in, first out. Whoever is made ready goes to its end, also a
//!   green thread that only gives way: with n others ready it runs again after n switches.
//! - The [`TimerHeap`] fires by `(deadline, sequence)`: earlier deadlines first, equal ones in
//!   order of creation. A later deadline never fires before an earlier one, however late both are.
//! - A [`WaiterList`] is served in order of arrival. Leaving it (a timeout, a kill) does not
//!   change the order of the others.
//! - The [`Inbox`] keeps the order of each sender. Between senders the lock decides.
//!
//! # Fairness
//!
//! Green threads that wake each other without end must starve neither timers nor
//! descriptors nor the asyncio loop that shares the OS thread. A turn therefore runs under a
//! [`Budget`] of switches and time. The clock costs as much as a quarter of a switch, so it
//! is read at every 16th switch only: the time limit is approximate, the switch limit exact.
//!
//! A green thread whose operations never have to wait does not switch either. It pays for each
//! from the turn's [`Allowance`], and gives way when that is used up.
//!
//! # Cost
//!
//! In steady state no operation allocates: the structures keep the capacity they once
//! needed. Removal from the middle is lazy (cancelled timers and waiters leave a hole behind
//! that is skipped later); holes are swept when they outnumber the living, so that memory is
//! bounded by the living and each sweep is paid for by the removals before it.

#![forbid(unsafe_code)]

pub mod allowance;
pub mod clock;
pub mod inbox;
pub mod ready;
pub mod shuffle;
pub mod timers;
pub mod waiters;

pub use allowance::{Allowance, LightCount};
pub use clock::{Clock, Virtual, nanos_from_seconds, seconds_from_nanos};
pub use inbox::Inbox;
pub use ready::{Budget, ReadyQueue};
pub use shuffle::Shuffle;
pub use timers::{TimerHeap, TimerKey};
pub use waiters::{WaiterKey, WaiterList};

#[cfg(test)]
pub(crate) mod prng {
    /// Deterministic numbers for randomised tests (xorshift64*, Vigna 2016).
    pub(crate) struct Prng(u64);

    impl Prng {
        pub(crate) fn new(seed: u64) -> Self {
            Self(seed | 1)
        }

        pub(crate) fn next(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
        }

        /// A number below `bound`.
        pub(crate) fn below(&mut self, bound: u64) -> u64 {
            (self.next() >> 16) % bound
        }
    }
}
