//! The inbox: wake-ups posted by other OS threads.
//!
//! The receiver looks at it once per turn and almost never finds anything, so looking is one
//! atomic load. A lock around a vector does the rest: posting is rare, both sides hold the lock
//! for a few instructions, and unlike a lock-free list it allocates nothing in steady state.
//!
//! No wake-up is lost: `pending` changes only under the lock, together with the vector. A
//! sender that finds the flag set knows that the receiver was told and has not drained since.

#![forbid(unsafe_code)]

use std::sync::PoisonError;

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard, atomic::AtomicBool, atomic::Ordering};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard, atomic::AtomicBool, atomic::Ordering};

/// Messages from any thread to the one that owns the hub.
#[derive(Debug)]
pub struct Inbox<T> {
    messages: Mutex<Vec<T>>,
    pending: AtomicBool,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Inbox<T> {
    /// An empty inbox.
    pub fn new() -> Self {
        Self {
            messages: Mutex::new(Vec::new()),
            pending: AtomicBool::new(false),
        }
    }

    /// Adds a message; true if the receiver must be woken, that is, if there was none.
    ///
    /// Only the sender that gets true wakes the receiver: others would wake it in vain.
    #[must_use = "the receiver sleeps on unless it is woken when this is true"]
    pub fn post(&self, message: T) -> bool {
        let mut messages = self.lock();
        messages.push(message);
        !self.pending.swap(true, Ordering::Release)
    }

    /// Moves all messages to the end of `out`, in order of arrival.
    pub fn drain_into(&self, out: &mut Vec<T>) {
        let mut messages = self.lock();
        out.append(&mut messages);
        self.pending.store(false, Ordering::Release);
    }

    /// Whether there was nothing to drain a moment ago; one load.
    #[inline]
    pub fn is_empty(&self) -> bool {
        !self.pending.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        // A panic under the lock can only be a failed allocation in `push` or `append`,
        // which leaves the vector as it was.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::{Arc, mpsc};
    use std::thread;

    #[test]
    fn only_the_first_message_asks_to_wake_the_receiver() {
        let inbox = Inbox::new();
        assert!(inbox.is_empty());
        assert!(inbox.post(1));
        assert!(!inbox.post(2));
        assert!(!inbox.is_empty());
        let mut out = vec![0];
        inbox.drain_into(&mut out);
        assert_eq!(out, [0, 1, 2]);
        assert!(inbox.is_empty());
        assert!(inbox.post(3));
    }

    #[test]
    fn every_message_arrives_once_and_in_the_order_of_its_sender() {
        const SENDERS: usize = 4;
        const EACH: usize = if cfg!(miri) { 50 } else { 5000 };
        let inbox = Arc::new(Inbox::new());
        let (wake, woken) = mpsc::channel();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (inbox, wake) = (Arc::clone(&inbox), wake.clone());
                thread::spawn(move || {
                    for number in 0..EACH {
                        if inbox.post((sender, number)) {
                            wake.send(()).expect("the receiver outlives the senders");
                        }
                    }
                })
            })
            .collect();
        drop(wake);

        let mut got = Vec::new();
        // Ends when all senders are gone: a message without a wake-up would be missing.
        while woken.recv().is_ok() {
            inbox.drain_into(&mut got);
        }
        for sender in senders {
            sender.join().expect("senders do not panic");
        }
        assert!(inbox.is_empty());
        assert_eq!(got.len(), SENDERS * EACH);
        for sender in 0..SENDERS {
            let numbers = got.iter().filter(|(from, _)| *from == sender);
            assert!(numbers.map(|(_, number)| *number).eq(0..EACH));
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    #[test]
    fn a_message_is_seen_or_its_sender_wakes_the_receiver() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::new());
            let senders: Vec<_> = (0..2)
                .map(|sender| {
                    let inbox = Arc::clone(&inbox);
                    thread::spawn(move || inbox.post(sender))
                })
                .collect();
            let mut got = Vec::new();
            if !inbox.is_empty() {
                inbox.drain_into(&mut got);
            }
            let early = got.len();
            let wakes = senders
                .into_iter()
                .map(|sender| sender.join().expect("senders do not panic"))
                .filter(|wake| *wake)
                .count();
            // What the drain missed must be announced: by its own flag and by a wake-up
            // besides those that announced what was drained.
            assert_eq!(inbox.is_empty(), early == 2);
            assert_eq!(wakes, usize::from(early > 0) + usize::from(early < 2));
            inbox.drain_into(&mut got);
            got.sort_unstable();
            assert_eq!(got, [0, 1]);
        });
    }
}
