//! How many nested C calls a stack may hold: CPython 3.12 and 3.13.
//!
//! These versions count C calls down from a constant chosen for the stack of a main thread.
//! A smaller stack gets its share of it, so that CPython raises `RecursionError` before
//! the guard is hit. The constant has changed in patch releases and is not exported, so it is
//! read from a thread state made for the purpose.

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use pyo3::ffi::{self, PyThreadState};

use super::Bounds;
use super::layout::mismatch;
use super::version::ThreadState;

/// Stack the constant stands for: the usual size of a main thread's.
const MAIN_STACK: usize = 8 << 20;

/// Below this CPython would only defer deallocations and never get to them
/// (`Py_TRASHCAN_HEADROOM` is 50, and twice that is needed to resume).
const LEAST: c_int = 256;

static LIMIT: AtomicI32 = AtomicI32::new(LEAST);

/// C calls to allow on a stack of this size.
#[inline]
pub(super) fn budget(bounds: &Bounds) -> c_int {
    let limit = LIMIT.load(Relaxed);
    let size = (bounds.top - bounds.limit).min(MAIN_STACK);
    let share = (limit as u64 * size as u64 / MAIN_STACK as u64) as c_int;
    share.max(LEAST)
}

/// Reads CPython's constant from a new thread state.
///
/// # Safety
/// `ts` must be the current thread state and have the mirrored layout.
pub(super) unsafe fn prepare(ts: *mut PyThreadState) -> Result<(), String> {
    // SAFETY: attached; the new thread state is never made current and deleted at once.
    let limit = unsafe {
        let fresh = ffi::PyThreadState_New((*ts.cast::<ThreadState>()).interp);
        if fresh.is_null() {
            return Err("eventlet-asyncio: no memory for a thread state".into());
        }
        let limit = (*fresh.cast::<ThreadState>()).c_recursion_remaining;
        ffi::PyThreadState_Clear(fresh);
        ffi::PyThreadState_Delete(fresh);
        limit
    };
    // From 500 (debug builds) to 10000, by platform.
    if !(LEAST..=1_000_000).contains(&limit) {
        return Err(mismatch("c_recursion_remaining"));
    }
    LIMIT.store(limit, Relaxed);
    Ok(())
}
