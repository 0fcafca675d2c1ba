//! Timers of `schedule_call_global` and `schedule_call_local`, from any OS thread.

use pyo3::ffi;
use pyo3::prelude::*;

use super::{Core, Due, run};
use crate::greenlet::thread;
use crate::reactor::now;
use crate::sched::{TimerKey, nanos_from_seconds, seconds_from_nanos};

/// A timer of this hub, as returned by `_add_timer`.
#[pyclass(frozen, module = "eventlet_asyncio._core")]
pub(crate) struct TimerHandle {
    key: TimerKey,
    /// Of its hub: another one may have a timer with the same key.
    serial: u64,
}

/// Has the hub call `callback` after so many seconds.
///
/// # Safety
/// `core` is an open hub; the GIL is held.
pub(super) unsafe fn add(core: *mut Core, seconds: f64, callback: Py<PyAny>) -> TimerHandle {
    let deadline = now().saturating_add(nanos_from_seconds(seconds));
    let due = Due::Call(callback.into_ptr());
    // SAFETY: by contract; the heap owns the callback from here on. The hub's own thread never
    // gives the GIL up while it uses the heap.
    unsafe {
        let key = if (*core).thread == thread::existing() {
            run::add_timer(core, deadline, due)
        } else {
            let key = (*core).timers.insert(deadline, due);
            (*core).waker.wake();
            key
        };
        let serial = (*core).serial;
        TimerHandle { key, serial }
    }
}

/// Cancels a timer; true if it had not fired.
///
/// # Safety
/// `core` is live; the GIL is held. Runs Python code: the callback's finaliser.
pub(super) unsafe fn cancel(core: *mut Core, handle: &TimerHandle) -> bool {
    // SAFETY: by contract; what the heap gives back is owned.
    unsafe {
        if (*core).serial != handle.serial {
            return false;
        }
        match (*core).timers.cancel(handle.key) {
            Some(Due::Call(callback)) => {
                ffi::Py_DECREF(callback);
                true
            }
            _ => false,
        }
    }
}

/// What has not fired, as (deadline in seconds, callable or greenlet).
///
/// # Safety
/// `core` is live; the GIL is held.
pub(super) unsafe fn pending(py: Python<'_>, core: *mut Core) -> Vec<(f64, Py<PyAny>)> {
    // SAFETY: by contract; no Python code runs while the heap is borrowed.
    unsafe {
        let pending = (*core).timers.iter().map(|(deadline, due)| {
            let object = match due {
                Due::Resume(parked) => parked.greenlet().cast(),
                Due::Start(g) => (*g).cast(),
                Due::Expire(object) | Due::Call(object) => *object,
            };
            (
                seconds_from_nanos(deadline),
                Bound::from_borrowed_ptr(py, object).unbind(),
            )
        });
        pending.collect()
    }
}
