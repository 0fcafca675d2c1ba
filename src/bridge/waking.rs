//! How a green coroutine that waits is made to go on: with what it waited for, or with an
//! exception.
//!
//! In a green call the coroutine is sent the exception as a green thread is. At an `await` the
//! exception takes the way of a cancellation, since that is how asyncio ends a wait: the task is
//! asked to cancel, and the step that would raise `CancelledError` raises the exception in
//! its place. The request is not left in the task's count.

use std::ffi::c_longlong;
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::coroutine::{self, Coroutine, State};
use super::names::{NAMES, asyncio};
use crate::greenlet::{Greenlet, Inbound, errors};

/// Before CPython 3.11 a task does not count.
const UNCOUNTED: c_longlong = -1;
/// The task was about to go on anyway.
const UNASKED: c_longlong = -2;

/// [`Wake`](crate::hub::step::Wake): the next step of the task enters `g`.
///
/// # Safety
/// `owner` is a live Coroutine, `g` live; `inbound` is owned. Runs Python code.
pub(super) unsafe fn wake(owner: *mut PyObject, g: *mut Greenlet, inbound: Inbound) -> bool {
    let w = owner.cast::<Coroutine>();
    // SAFETY: by contract.
    unsafe {
        if (*w).state != State::Parked {
            inbound.discard();
            return true;
        }
        if (*w).woken {
            return late(w, inbound);
        }
        let blocker = (*w).blocker;
        if !blocker.is_null() && is_done(blocker) {
            // Cancelled: the next step raises that.
            inbound.discard();
            return true;
        }
        (*w).woken = true;
        // Other wake-ups for this wait are stale from here on.
        (*g).resumes = (*g).resumes.wrapping_add(1);
        (*w).inbound = inbound;
        if g != (*w).parked {
            coroutine::wait_in(w, g);
        }
        if blocker.is_null() {
            return true;
        }
        let blocker = ffi::Py_NewRef(blocker);
        let result = ffi::PyObject_CallMethodOneArg(blocker, NAMES.set_result, ffi::Py_None());
        let fine = !result.is_null() || loop_is_closed(blocker);
        ffi::Py_XDECREF(result);
        ffi::Py_DECREF(blocker);
        fine
    }
}

/// Whether a future is done; one that does not tell is not.
unsafe fn is_done(future: *mut PyObject) -> bool {
    // SAFETY: contract of `wake`.
    unsafe {
        let done = ffi::PyObject_CallMethodNoArgs(future, NAMES.done);
        if done.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        ffi::Py_DECREF(done);
        done == ffi::Py_True()
    }
}

/// Whether the next step raises something already.
///
/// # Safety
/// `w` is live; the GIL is held. Runs Python code.
pub(super) unsafe fn is_busy(w: *mut Coroutine) -> bool {
    // SAFETY: by contract.
    unsafe {
        match (*w).state {
            State::Parked if (*w).woken => matches!((*w).inbound, Inbound::Error(_)),
            State::Parked => !(*w).blocker.is_null() && is_done((*w).blocker),
            State::Idle => !(*w).thrown.is_empty(),
            State::Running | State::Done => false,
        }
    }
}

/// A coroutine that is about to go on is sent something else. An exception takes the place of
/// what it was woken with, as with green threads; after another exception it is raised at
/// the next `await`.
unsafe fn late(w: *mut Coroutine, inbound: Inbound) -> bool {
    // SAFETY: contract of `wake`.
    unsafe {
        match inbound {
            Inbound::Error(error) if matches!((*w).inbound, Inbound::Error(_)) => {
                (*w).cancelling = UNASKED;
                (*w).thrown.push(error);
            }
            Inbound::Error(error) => {
                std::mem::replace(&mut (*w).inbound, Inbound::Error(error)).discard();
            }
            other => other.discard(),
        }
        true
    }
}

/// The task's loop was closed, so it will never go on: that is no error of who wakes it.
#[cold]
unsafe fn loop_is_closed(blocker: *mut PyObject) -> bool {
    // SAFETY: contract of `wake`; an exception is set.
    unsafe {
        let error = errors::take_raised();
        let event_loop = ffi::PyObject_CallMethodNoArgs(blocker, NAMES.get_loop);
        let closed = if event_loop.is_null() {
            ptr::null_mut()
        } else {
            ffi::PyObject_CallMethodNoArgs(event_loop, NAMES.is_closed)
        };
        ffi::Py_XDECREF(event_loop);
        let is_closed = closed == ffi::Py_True();
        ffi::Py_XDECREF(closed);
        ffi::PyErr_Clear();
        if is_closed {
            ffi::Py_DECREF(error);
        } else {
            errors::raise(error);
        }
        is_closed
    }
}

/// Raises `error` (owned) where the coroutine waits: in its green call, or at its `await`, by
/// way of a cancellation that is not counted. False with an exception set on failure.
///
/// # Safety
/// `w` is live; the GIL is held. Runs Python code.
pub(super) unsafe fn raise_in(w: *mut Coroutine, error: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe {
        match (*w).state {
            State::Parked => wake(w.cast(), (*w).parked, Inbound::Error(error)),
            State::Idle if !(*w).task.is_null() => {
                (*w).thrown.push(error);
                (*w).thrown.len() > 1 || interrupt(w)
            }
            State::Idle | State::Running | State::Done => {
                ffi::Py_DECREF(error);
                true
            }
        }
    }
}

/// Has the task take its next step soon, with a cancellation that [`due`] replaces. One that
/// does so anyway, perhaps with a cancellation by others, is left alone.
unsafe fn interrupt(w: *mut Coroutine) -> bool {
    // SAFETY: contract of `raise_in`; the task is held while Python code runs.
    unsafe {
        let task = ffi::Py_NewRef((*w).task);
        let fine = if awaits_something(task) {
            (*w).cancelling = count(task, NAMES.cancelling);
            let asked = ffi::PyObject_CallMethodNoArgs(task, NAMES.cancel);
            ffi::Py_XDECREF(asked);
            !asked.is_null()
        } else {
            (*w).cancelling = UNASKED;
            true
        };
        ffi::Py_DECREF(task);
        fine
    }
}

/// The task waits for a future that is not done.
unsafe fn awaits_something(task: *mut PyObject) -> bool {
    // SAFETY: contract of `raise_in`.
    unsafe {
        let waiter = ffi::PyObject_GetAttr(task, NAMES.fut_waiter);
        if waiter.is_null() {
            // A task of another make tells nothing.
            ffi::PyErr_Clear();
            return true;
        }
        let awaits = waiter != ffi::Py_None() && !is_done(waiter);
        ffi::Py_DECREF(waiter);
        awaits
    }
}

/// What to throw in place of a cancellation that we asked for (consumed, may be NULL).
///
/// # Safety
/// `w` is Idle, and something is to be raised in it; the GIL is held. Runs Python code.
#[cold]
pub(super) unsafe fn due(w: *mut Coroutine, error: *mut PyObject) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        let cancelled = !error.is_null()
            && asyncio().is_some_and(|a| errors::is_a(error, a.cancelled_error.as_ptr()));
        if !error.is_null() && !cancelled {
            return error;
        }
        let others = match (*w).cancelling {
            UNASKED => cancelled,
            UNCOUNTED => false,
            before => count((*w).task, NAMES.uncancel) > before,
        };
        if cancelled && others {
            // Somebody else has cancelled it, which comes first.
            for late in std::mem::take(&mut (*w).thrown) {
                ffi::Py_DECREF(late);
            }
            return error;
        }
        ffi::Py_XDECREF(error);
        (*w).thrown.remove(0)
    }
}

/// A number that a method of the task returns; `UNCOUNTED` where there is no such method.
unsafe fn count(task: *mut PyObject, name: *mut PyObject) -> c_longlong {
    // SAFETY: contract of the callers.
    unsafe {
        let number = ffi::PyObject_CallMethodNoArgs(task, name);
        if number.is_null() {
            ffi::PyErr_Clear();
            return UNCOUNTED;
        }
        let found = ffi::PyLong_AsLongLong(number);
        ffi::Py_DECREF(number);
        found
    }
}
