//! A fork and the threads of the pool: they do not exist in the child, so none of them may be
//! in the middle of what the child goes on with.
//!
//! A thread that hands over an outcome holds [`HAND_OVER`], and so does who forks, until the
//! fork is over on both sides: the child finds jobs, and the inboxes that wake-ups go to,
//! whole and unlocked.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

static HAND_OVER: Mutex<()> = Mutex::new(());
/// From before a fork until after it; used with the GIL held.
static mut HELD: Option<MutexGuard<'static, ()>> = None;

/// Holds off forks as long as the result lives.
pub(super) fn hold_off() -> MutexGuard<'static, ()> {
    // It guards nothing of its own that a panic could have left half done.
    HAND_OVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wait until no thread hands over an outcome, and keep them from it: a fork follows.
#[pyfunction]
pub(super) fn _before_fork() {
    // SAFETY: the GIL is held, and hooks of one fork run one after the other. Those who hold
    // the lock need no GIL.
    unsafe {
        let held = std::ptr::replace(&raw mut HELD, None);
        HELD = held.or_else(|| Some(hold_off()));
    }
}

/// Let threads hand over outcomes again: the fork is over.
#[pyfunction]
pub(super) fn _after_fork_in_parent() {
    release();
}

pub(super) fn release() {
    // SAFETY: as for `_before_fork`; by the thread that holds it, which is also the one that
    // a child begins with.
    unsafe { drop(std::ptr::replace(&raw mut HELD, None)) }
}
