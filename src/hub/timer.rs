//! Timers of `schedule_call_global` and `schedule_call_local`, from any OS thread.

use std::collections::HashMap;
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::{Core, Due, run};
use crate::greenlet::thread;
use crate::reactor::now;
use crate::sched::{TimerKey, nanos_from_seconds, seconds_from_nanos};

/// Owned or NULL: gives the text that says where a timer is made.
static mut RECORDER: *mut PyObject = ptr::null_mut();

/// Where timers were made, while that is recorded. Entries of those that are gone are dropped
/// as others are added.
#[derive(Default)]
pub(crate) struct Origins(HashMap<TimerKey, Py<PyAny>>);

/// Whether it is to be recorded where timers are made.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(super) unsafe fn recording() -> bool {
    // SAFETY: by contract.
    unsafe { !RECORDER.is_null() }
}

/// Notes that a timer is made by the code that runs.
///
/// # Safety
/// `core` is live; the GIL is held; no exception is set. Runs Python code.
#[cold]
pub(super) unsafe fn record(core: *mut Core, key: TimerKey) {
    // SAFETY: by contract. The recorder is held while it runs, and nothing is borrowed then.
    unsafe {
        let recorder = ffi::Py_NewRef(RECORDER);
        let text = ffi::PyObject_CallNoArgs(recorder);
        ffi::Py_DECREF(recorder);
        if text.is_null() {
            ffi::PyErr_WriteUnraisable(RECORDER);
            return;
        }
        Python::attach(|py| {
            let text = Bound::from_owned_ptr(py, text).unbind();
            let timers = &(*core).timers;
            let origins = &mut (*core).origins.0;
            if origins.len() > 2 * timers.total() + 64 {
                origins.retain(|key, _| timers.get(*key).is_some());
            }
            origins.insert(key, text);
        });
    }
}

/// Have `recorder()` called whenever a timer is made, for what `Hub._timers` shows; None ends it.
#[pyfunction]
pub(crate) fn _record_timers(recorder: Option<Bound<'_, PyAny>>) {
    let recorder = recorder.map_or(ptr::null_mut(), Bound::into_ptr);
    // SAFETY: the GIL is held.
    unsafe { ffi::Py_XDECREF(ptr::replace(&raw mut RECORDER, recorder)) };
}

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

/// A timer as Python sees it: deadline in seconds, callable or greenlet, where it was made.
pub(super) type Pending = (f64, Py<PyAny>, Option<Py<PyAny>>);

/// What has not fired.
///
/// # Safety
/// `core` is live; the GIL is held.
pub(super) unsafe fn pending(py: Python<'_>, core: *mut Core) -> Vec<Pending> {
    // SAFETY: by contract; no Python code runs while the heap is borrowed.
    unsafe {
        let pending = (*core).timers.iter().map(|(key, deadline, due)| {
            let object = match due {
                Due::Resume(parked) => parked.greenlet().cast(),
                Due::Start(g) => (*g).cast(),
                Due::Expire(object) | Due::Call(object) => *object,
            };
            (
                seconds_from_nanos(deadline),
                Bound::from_borrowed_ptr(py, object).unbind(),
                (*core).origins.0.get(&key).map(|text| text.clone_ref(py)),
            )
        });
        pending.collect()
    }
}
