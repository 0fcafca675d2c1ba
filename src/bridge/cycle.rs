//! Finds waits that could never end: a green thread that awaits itself through a coroutine.
//!
//! The chain from a green thread goes to the one it waits for in `wait()`; from one that stands
//! for a task to what the task awaits; from that, if it is one of our futures, to its green
//! thread; and so on. It is looked at only when a green thread is awaited that is inside
//! `wait()` itself, or waits for a task: rare beside the waits that just end.

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::names::NAMES;
use super::{awaiting, class, future};
use crate::greenlet::Greenlet;
use crate::greenthread::{self, GreenThread};

/// Longest chain that is followed.
const LONGEST: usize = 10_000;

/// Tells whether the wait chain from `start` leads to `task` or to `green` (either may be NULL).
///
/// # Safety
/// `start` is live; the GIL is held, no exception is set. Runs Python code.
pub(super) unsafe fn leads_to(
    start: *mut GreenThread,
    task: *mut PyObject,
    green: *mut GreenThread,
) -> bool {
    // SAFETY: by contract. Each link is held while it is looked at: lookups may run anything.
    unsafe {
        let mut link = start;
        ffi::Py_INCREF(link.cast());
        let mut found = false;
        for _ in 0..LONGEST {
            found = link == green;
            if found {
                break;
            }
            let work = awaiting::work_of(link);
            // Also a coroutine that waits in a green call.
            let next = if work.is_null() || !(*link).waits_for.is_null() {
                ffi::Py_XNewRef((*link).waits_for.cast())
            } else if let Some(next) = green_behind(work, task) {
                next.cast()
            } else {
                found = true;
                break;
            };
            ffi::Py_DECREF(std::mem::replace(&mut link, next.cast()).cast());
            if link.is_null() {
                return false;
            }
        }
        ffi::Py_DECREF(link.cast());
        found
    }
}

/// The green thread that a task awaits, through other tasks or not; NULL if it awaits
/// something else; None if it is, or awaits, `goal`. Owned.
unsafe fn green_behind(work: *mut PyObject, goal: *mut PyObject) -> Option<*mut GreenThread> {
    // SAFETY: contract of `leads_to`; what is awaited is held while it is looked at: an
    // attribute may be made when it is asked for.
    unsafe {
        let mut work = ffi::Py_NewRef(work);
        let mut found = Some(ptr::null_mut());
        for _ in 0..LONGEST {
            if work == goal {
                found = None;
                break;
            }
            if class::check(work) {
                found = Some(ffi::Py_XNewRef(future::green_of(work).cast()).cast());
                break;
            }
            let next = ffi::PyObject_GetAttr(work, NAMES.fut_waiter);
            if next.is_null() {
                ffi::PyErr_Clear();
                break;
            }
            ffi::Py_DECREF(std::mem::replace(&mut work, next));
            if next == ffi::Py_None() {
                break;
            }
        }
        ffi::Py_DECREF(work);
        found
    }
}

/// [`NeedsLoop`](crate::hub::step::NeedsLoop): follows the wait chain from `g` to a task of the
/// event loop.
///
/// # Safety
/// Both are live; the GIL is held, no exception is set. Runs Python code.
pub(super) unsafe fn needs_loop(g: *mut Greenlet, event_loop: *mut PyObject) -> bool {
    // SAFETY: by contract. Each link is held while it is looked at.
    unsafe {
        if !greenthread::class::check(g.cast()) {
            return false;
        }
        let mut link = ffi::Py_NewRef(g.cast()).cast::<GreenThread>();
        let mut found = false;
        for _ in 0..LONGEST {
            let work = awaiting::work_of(link);
            if !work.is_null() {
                found = is_of(work, event_loop);
                if found {
                    break;
                }
            }
            let next = ffi::Py_XNewRef((*link).waits_for.cast());
            ffi::Py_DECREF(std::mem::replace(&mut link, next.cast()).cast());
            if link.is_null() {
                break;
            }
        }
        ffi::Py_XDECREF(link.cast());
        found
    }
}

/// Whether a future is one of an event loop's.
unsafe fn is_of(work: *mut PyObject, event_loop: *mut PyObject) -> bool {
    // SAFETY: contract of `needs_loop`; the future is held while Python code runs.
    unsafe {
        ffi::Py_INCREF(work);
        let own = ffi::PyObject_CallMethodNoArgs(work, NAMES.get_loop);
        ffi::Py_DECREF(work);
        if own.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        ffi::Py_DECREF(own);
        own == event_loop
    }
}
