//! `Queue`: a `LightQueue` that counts what is still to be done.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::Queue;
use super::class::{life, limit_of, new};
use crate::error::{raise_new, take_raised};
use crate::greenlet::Inbound;
use crate::greenlet::arguments::{arguments, none};
use crate::greenlet::define::{Definition, create, define, fast, noargs, property};
use crate::hub::{Parked, registry};
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
            fast(c"_interrupt", interrupt, c"_interrupt($self, error, /)\n--\n\nRaise an exception, given by its class, in all who wait to put or to get."),
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

unsafe extern "C" fn interrupt(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython on a queue; one borrow per statement. Each who is woken is
    // counted as served, and gives its claim up when it runs.
    unsafe {
        let Some([error]) = arguments(c"_interrupt", [c"error"], 1, args, count, names) else {
            return ptr::null_mut();
        };
        loop {
            let front = (*me).first.pop_front();
            let Some(parked) = front.or_else(|| (*me).getters.pop_front()) else {
                break;
            };
            (*me).notified += 1;
            if !raise_in(parked, error) {
                (*me).notified -= 1;
            }
        }
        while let Some(putter) = (*me).putters.pop_front() {
            (*me).granted += 1;
            if !raise_in(putter.parked, error) {
                (*me).granted -= 1;
            }
        }
        none()
    }
}

/// Wakes with an exception of the class `error`, each with its own. False: the waiter's OS
/// thread has ended.
unsafe fn raise_in(parked: Parked, error: *mut PyObject) -> bool {
    // SAFETY: contract of `interrupt`; a greenlet holds the record of its OS thread.
    unsafe {
        if (*(*parked.greenlet()).thread).hub.is_null() {
            parked.release();
            return false;
        }
        ffi::PyErr_SetNone(error);
        parked.wake(Inbound::Error(take_raised()));
        true
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
        serve_joiners(me);
        none()
    }
}

/// Wakes those who wait in `join` if there is nothing left to be done.
unsafe fn serve_joiners(me: *mut Queue) {
    // SAFETY: contract of the callers: `me` is a live queue, the GIL is held; one borrow per
    // statement.
    unsafe {
        if (*me).unfinished == 0 {
            while let Some(parked) = (*me).joiners.pop_front() {
                wake(parked);
            }
        }
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
        serve_joiners(op.cast());
    }
    0
}
