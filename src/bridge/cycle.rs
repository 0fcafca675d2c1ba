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
use crate::greenthread::GreenThread;

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
    // SAFETY: by contract. Each link is held by the one before it while that waits; nothing
    // ends meanwhile, since only attribute lookups run.
    unsafe {
        let mut link = start;
        for _ in 0..LONGEST {
            if link.is_null() {
                return false;
            }
            if link == green {
                return true;
            }
            let work = awaiting::work_of(link);
            link = if work.is_null() || !(*link).waits_for.is_null() {
                // Also a coroutine that waits in a green call.
                (*link).waits_for
            } else {
                match green_behind(work, task) {
                    Some(next) => next,
                    None => return true,
                }
            };
        }
        false
    }
}

/// The green thread that a task awaits, through other tasks or not; NULL if it awaits
/// something else; None if it is, or awaits, `goal`.
unsafe fn green_behind(work: *mut PyObject, goal: *mut PyObject) -> Option<*mut GreenThread> {
    // SAFETY: contract of `leads_to`; what is awaited is held by its awaiter.
    unsafe {
        let mut work = work;
        for _ in 0..LONGEST {
            if work == goal {
                return None;
            }
            if class::check(work) {
                return Some(future::green_of(work));
            }
            let next = ffi::PyObject_GetAttr(work, NAMES.fut_waiter);
            if next.is_null() {
                ffi::PyErr_Clear();
                break;
            }
            ffi::Py_DECREF(next);
            if next == ffi::Py_None() {
                break;
            }
            work = next;
        }
        Some(ptr::null_mut())
    }
}
