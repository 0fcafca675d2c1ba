//! asyncio's debug mode: who keeps the loop waiting.
//!
//! asyncio measures its callbacks, and a turn of the hub is one: whoever runs for long in it,
//! asyncio would name the hub. So the hub measures what it runs itself, one by one, and the
//! Python side reports it in asyncio's words (`eventlet.hubs._slow`). Green threads return to
//! the runner instead of switching to each other, then.

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::Core;
use super::looping::NEVER;
use crate::error::{raise, take_raised};
use crate::imports;
use crate::reactor::now;
use crate::sched::nanos_from_seconds;

/// Asks the loop, before a turn, whether and after what time something is slow.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held. Runs Python code.
pub(super) unsafe fn ask(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: by contract; the loop is cloned before it is used.
    unsafe {
        let Some(event_loop) = (*core).looping.attached.as_ref().map(|l| l.clone_ref(py)) else {
            return Ok(());
        };
        let name = pyo3::intern!(py, "get_debug").as_ptr();
        let debug = ffi::PyObject_CallMethodNoArgs(event_loop.as_ptr(), name);
        if !Bound::from_owned_ptr_or_err(py, debug)?.is_truthy()? {
            (*core).slow = NEVER;
            return Ok(());
        }
        let begins = (*core).slow == NEVER;
        let seconds: f64 =
            imports::named(event_loop.bind(py), c"slow_callback_duration")?.extract()?;
        (*core).slow = nanos_from_seconds(seconds).min(NEVER - 1);
        if begins {
            let hub: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, (*core).object);
            imports::call(&hub, c"_debug_begins")?;
        }
    }
    Ok(())
}

/// Something that the runner is about to run.
pub(super) struct Measured {
    begun: u64,
    /// Owned: what it is called.
    label: *mut PyObject,
    /// Owned.
    what: *mut PyObject,
}

/// Begins to measure `what`, a greenlet or a callback, in debug mode.
///
/// # Safety
/// `core` is this OS thread's hub, `what` is live; the GIL is held. Runs Python code.
#[inline]
pub(super) unsafe fn begin(core: *mut Core, what: *mut PyObject) -> Option<Measured> {
    // SAFETY: by contract.
    unsafe {
        if (*core).slow == NEVER {
            return None;
        }
        Some(named(core, what))
    }
}

#[cold]
unsafe fn named(core: *mut Core, what: *mut PyObject) -> Measured {
    // SAFETY: contract of `begin`. What is asked for the name must not disturb the turn.
    unsafe {
        let what = ffi::Py_NewRef(what);
        let label = call((*core).object, c"_debug_label", &[what]);
        Measured {
            begun: now(),
            label,
            what,
        }
    }
}

/// Reports what ran for too long. An exception that is set stays set.
///
/// # Safety
/// As for [`begin`], in the same turn.
#[cold]
pub(super) unsafe fn end(core: *mut Core, measured: Measured) {
    let Measured { begun, label, what } = measured;
    let passed = now().saturating_sub(begun);
    // SAFETY: by contract; the references are owned.
    unsafe {
        let pending = take_raised();
        if passed >= (*core).slow && !label.is_null() {
            let seconds = ffi::PyFloat_FromDouble(crate::sched::seconds_from_nanos(passed));
            if !seconds.is_null() {
                let result = call((*core).object, c"_debug_slow", &[label, what, seconds]);
                ffi::Py_XDECREF(result);
                ffi::Py_DECREF(seconds);
            }
        }
        ffi::Py_XDECREF(label);
        ffi::Py_DECREF(what);
        if !pending.is_null() {
            raise(pending);
        }
    }
}

/// Calls a method of the hub; an error is reported as unraisable.
unsafe fn call(hub: *mut PyObject, name: &std::ffi::CStr, args: &[*mut PyObject]) -> *mut PyObject {
    // SAFETY: the objects are live; the GIL is held.
    unsafe {
        let hub = ffi::Py_NewRef(hub);
        let method = ffi::PyObject_GetAttrString(hub, name.as_ptr());
        let result = if method.is_null() {
            ptr::null_mut()
        } else {
            ffi::PyObject_Vectorcall(method, args.as_ptr(), args.len(), ptr::null_mut())
        };
        if result.is_null() {
            ffi::PyErr_WriteUnraisable(hub);
        }
        ffi::Py_XDECREF(method);
        ffi::Py_DECREF(hub);
        result
    }
}
