//! What becomes of a cancellation.
//!
//! | the awaiter of g is cancelled | and then |
//! |---|---|
//! | g was never entered | g ends with GreenletExit and never runs |
//! | g is suspended | GreenletExit is raised in it by its hub, in the next turn |
//! | g stands for a task | the task is cancelled; g ends when the task has |
//! | g ends before it was told | the awaiter is cancelled, g's outcome stays |
//!
//! | g ends with | its awaiter gets |
//! |---|---|
//! | a value | the value, even after it was cancelled |
//! | GreenletExit | CancelledError |
//! | StopIteration | RuntimeError from it: a coroutine cannot raise StopIteration |
//! | any other exception | that object |

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::future::{self, GreenFuture, State};
use super::names::asyncio;
use super::{awaiting, class};
use crate::error::raise_new;
use crate::greenlet::arguments::none;
use crate::greenlet::define::noargs;
use crate::greenlet::{self, Phase, errors, thread};
use crate::greenthread::{Fate, GreenThread, kill};
use crate::hub::{Core, Ready, make_ready, park};

static mut DELIVER: ffi::PyMethodDef = noargs(
    c"_deliver_cancellation",
    deliver,
    c"Raise GreenletExit in the green thread that is awaited.",
);

/// Has the green thread behind `f` ended. False with an exception set on failure.
///
/// # Safety
/// `f` is live and pending; the GIL is held. Runs Python code; not a switch point.
pub(super) unsafe fn request(f: *mut GreenFuture) -> bool {
    // SAFETY: by contract; the green thread is held while links may run.
    unsafe {
        let g = (*f).green;
        let base = g.cast::<greenlet::Greenlet>();
        greenlet::incref(base);
        let fine = if !thread::same(base, thread::existing()) {
            (*f).asked = true;
            elsewhere(f, (*base).thread)
        } else if !awaiting::work_of(g).is_null() {
            awaiting::request_cancel(g);
            true
        } else if (*base).phase == Phase::New {
            abort(g)
        } else {
            (*f).asked = true;
            here(f, (*(*base).thread).hub.cast())
        };
        greenlet::decref(base);
        fine
    }
}

unsafe fn abort(g: *mut GreenThread) -> bool {
    // SAFETY: contract of `request`.
    unsafe {
        let exit = errors::new_exit();
        if exit.is_null() {
            return false;
        }
        let result = kill::raise_in(g.cast(), exit);
        ffi::Py_XDECREF(result);
        !result.is_null()
    }
}

/// A callback that delivers the request; NULL with an exception set.
unsafe fn callback(f: *mut GreenFuture) -> *mut PyObject {
    // SAFETY: contract of `request`; the definition is never written.
    unsafe { ffi::PyCFunction_NewEx(&raw mut DELIVER, f.cast(), ptr::null_mut()) }
}

unsafe fn here(f: *mut GreenFuture, core: *mut Core) -> bool {
    // SAFETY: contract of `request`.
    unsafe {
        let call = callback(f);
        if call.is_null() {
            return false;
        }
        if core.is_null() {
            // No hub: nothing will run it any more.
            ffi::Py_DECREF(call);
            future::finish(f);
        } else {
            make_ready(core, Ready::Call(call));
        }
        true
    }
}

unsafe fn elsewhere(f: *mut GreenFuture, home: *mut thread::Thread) -> bool {
    // SAFETY: contract of `request`; a thread record outlives the greenlets that name it.
    unsafe {
        let core: *mut Core = (*home).hub.cast();
        if !(*home).alive || core.is_null() {
            return here(f, ptr::null_mut());
        }
        let call = callback(f);
        if call.is_null() {
            return false;
        }
        park::post(core, Ready::Call(call));
        true
    }
}

/// Runs on the hub's stack, in the green thread's OS thread.
unsafe extern "C" fn deliver(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by the hub with the GIL held; `f` is held by the callback.
    unsafe {
        let g = (*f).green;
        if !(*f).asked || g.is_null() {
            return none();
        }
        // One exception answers everybody who has asked so far.
        for awaiter in &(*g).awaiters {
            if class::check(awaiter.object) {
                (*awaiter.object.cast::<GreenFuture>()).asked = false;
            }
        }
        greenlet::incref(g.cast());
        let result = if awaiting::work_of(g).is_null() {
            let exit = errors::new_exit();
            if exit.is_null() {
                ptr::null_mut()
            } else {
                kill::raise_in(g.cast(), exit)
            }
        } else {
            awaiting::request_cancel(g);
            none()
        };
        greenlet::decref(g.cast());
        result
    }
}

/// What an awaiter gets for the outcome of a green thread: an owned object, or NULL for a
/// `CancelledError` yet to be made.
///
/// # Safety
/// `g` is live and has ended; the GIL is held.
pub(super) unsafe fn outcome_for_awaiter(g: *mut GreenThread) -> (State, *mut PyObject) {
    // SAFETY: by contract.
    unsafe {
        match (*g).fate {
            Fate::Value(value) => (State::Value, ffi::Py_NewRef(value)),
            Fate::Pending => (State::Cancelled, ptr::null_mut()),
            Fate::Error(error) => {
                if errors::is_a(error, errors::GREENLET_EXIT) {
                    (State::Cancelled, ptr::null_mut())
                } else if asyncio().is_some_and(|a| errors::is_a(error, a.cancelled_error.as_ptr()))
                {
                    (State::Cancelled, ffi::Py_NewRef(error))
                } else if errors::is_a(error, ffi::PyExc_StopIteration) {
                    (State::Error, without_stop_iteration(error))
                } else {
                    ffi::PyErr_Clear();
                    (State::Error, ffi::Py_NewRef(error))
                }
            }
        }
    }
}

unsafe fn without_stop_iteration(error: *mut PyObject) -> *mut PyObject {
    // SAFETY: `error` is live; both setters take over a reference.
    unsafe {
        raise_new(
            ffi::PyExc_RuntimeError,
            c"the awaited green thread raised StopIteration",
        );
        let wrapper = errors::take_raised();
        ffi::PyException_SetCause(wrapper, ffi::Py_NewRef(error));
        ffi::PyException_SetContext(wrapper, ffi::Py_NewRef(error));
        wrapper
    }
}
