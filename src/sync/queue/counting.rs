//! `Queue`: a `LightQueue` that counts what is still to be done.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::Queue;
use super::class::{life, limit_of, new};
use crate::error::raise_new;
use crate::greenlet::Inbound;
use crate::greenlet::arguments::none;
use crate::greenlet::define::{Definition, create, define, noargs, property};
use crate::hub::registry;
use crate::sync::{wait_in, wake};

/// Creates the class; NULL with an exception set on failure.
///
/// # Safety
/// Called once with the GIL held; `base` is the class `LightQueue`.
pub(super) unsafe fn create_class(base: *mut ffi::PyTypeObject) -> *mut ffi::PyTypeObject {
    let class = Definition {
        base,
        slots: life(new_counting),
        methods: vec![
            noargs(c"task_done", task_done, c"task_done($self, /)\n--\n\nSay that an item taken has been dealt with; see `join`.\n\nRaises:\n    ValueError: If called more often than items were put."),
            noargs(c"join", join, c"join($self, /)\n--\n\nWait until `task_done` was called for each item put.\n\nA switch point unless that is so already."),
        ],
        properties: vec![property(
            c"unfinished_tasks",
            get_unfinished,
            Some(set_unfinished),
            c"Items put for which `task_done` was not called yet.",
        )],
        ..define(
            c"eventlet.queue.Queue",
            c"Queue(maxsize=None)\n--\n\nA `LightQueue` that counts what is still to be done; see `join`.",
            std::mem::size_of::<Queue>(),
        )
    };
    // SAFETY: by contract; tables and size fit.
    unsafe { create(class) }
}

unsafe extern "C" fn new_counting(
    kind: *mut ffi::PyTypeObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython.
    unsafe {
        let op = new(kind, args, kwargs);
        if !op.is_null() {
            (*op.cast::<Queue>()).counting = true;
        }
        op
    }
}

/// Counts an item that was put.
///
/// # Safety
/// `me` is live, the GIL is held.
#[inline]
pub(super) unsafe fn add(me: *mut Queue) {
    // SAFETY: by contract.
    unsafe {
        if (*me).counting {
            (*me).unfinished = (*me).unfinished.saturating_add(1);
        }
    }
}

unsafe extern "C" fn task_done(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython on a queue; one borrow per statement.
    unsafe {
        if (*me).unfinished <= 0 {
            return raise_new(ffi::PyExc_ValueError, c"task_done() called too many times");
        }
        (*me).unfinished -= 1;
        if (*me).unfinished == 0 {
            while let Some(parked) = (*me).joiners.pop_front() {
                wake(parked);
            }
        }
        none()
    }
}

/// # Switches
/// If there is a task that is not done.
unsafe extern "C" fn join(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a queue, which is held through the switch.
    unsafe {
        ffi::Py_INCREF(op);
        let fine = wait_for_tasks(op.cast());
        ffi::Py_DECREF(op);
        if fine { none() } else { ptr::null_mut() }
    }
}

/// False with an exception set.
unsafe fn wait_for_tasks(me: *mut Queue) -> bool {
    // SAFETY: contract of `join`; one borrow per statement, none across the switch.
    unsafe {
        while (*me).unfinished > 0 {
            // Asked for anew: the hub may have been replaced during the wait.
            let core = registry::existing();
            if core.is_null() {
                if registry::hub().is_null() {
                    return false;
                }
                // Other OS threads ran while the hub was made: look again.
                continue;
            }
            let (inbound, done) = wait_in(&raw mut (*me).joiners, core, None);
            if let Inbound::Error(_) = inbound {
                inbound.into_result();
                return false;
            }
            inbound.discard();
            if done {
                return true;
            }
        }
        true
    }
}

unsafe extern "C" fn get_unfinished(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython on a queue.
    unsafe { ffi::PyLong_FromSsize_t((*op.cast::<Queue>()).unfinished) }
}

unsafe extern "C" fn set_unfinished(
    op: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    // SAFETY: called by CPython on a queue.
    unsafe {
        let Some(count) = limit_of(value) else {
            return -1;
        };
        (*op.cast::<Queue>()).unfinished = count.max(0);
    }
    0
}
