//! What a task gets that awaits a green thread: asyncio's future protocol, natively.
//!
//! The object is the future and its own iterator: a task's step finds it done and takes the
//! result, or yields it and is called back by the loop of whoever awaits, in their OS thread.
//! It is pending until the green thread has ended, also after `cancel()`: that only asks the
//! green thread to end (see `cancel`).

use std::ffi::c_int;
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::{PyObject, PySendResult};
use pyo3::prelude::*;

use super::names::{NAMES, asyncio};
use super::{cancel, class, cycle};
use crate::error::raise_new;
use crate::greenlet::define::onearg;
use crate::greenlet::{self, Thread, errors, thread};
use crate::greenthread::{self, Awaiter, Fate, GreenThread};
use crate::hub::{looping, registry};

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    Pending,
    Value,
    Error,
    Cancelled,
}

/// A done callback and the context it runs in. Pointers are owned; the context may be NULL.
pub(super) struct Callback {
    pub(super) function: *mut PyObject,
    pub(super) context: *mut PyObject,
}

#[repr(C)]
pub(super) struct GreenFuture {
    ob_base: PyObject,
    pub(super) weakrefs: *mut PyObject,
    /// Owned while pending.
    pub(super) green: *mut GreenThread,
    /// Owned; NULL if no loop ran where the future was made.
    pub(super) event_loop: *mut PyObject,
    /// Counted reference: the OS thread of that loop.
    pub(super) home: *mut Thread,
    pub(super) callbacks: Vec<Callback>,
    /// Owned or NULL: value, exception, or the `CancelledError` once it has been made.
    pub(super) outcome: *mut PyObject,
    /// Owned or NULL: what `cancel()` was given.
    pub(super) message: *mut PyObject,
    pub(super) state: State,
    /// asyncio's sign that the future was yielded by `await`.
    pub(super) blocking: bool,
    /// A cancellation is on its way to the green thread.
    pub(super) asked: bool,
}

/// The green thread that a pending future waits for (borrowed), or NULL.
///
/// # Safety
/// `op` passed [`check`](class::check).
pub(super) unsafe fn green_of(op: *mut PyObject) -> *mut GreenThread {
    // SAFETY: by contract.
    unsafe { (*op.cast::<GreenFuture>()).green }
}

/// Module functions of this file.
pub(super) fn functions() -> Vec<ffi::PyMethodDef> {
    vec![onearg(c"greenlet_to_future", greenlet_to_future, c"greenlet_to_future($module, green_thread, /)\n--\n\nReturn a future with the outcome of a green thread.\n\nIt belongs to the running event loop, in green code to the hub's. Cancelling it kills the\ngreen thread. Not a switch point.",
    )]
}

/// A future for `g`, on `event_loop` (owned, may be NULL). NULL with an exception set.
///
/// # Safety
/// `g` is live; the GIL is held.
unsafe fn make(g: *mut GreenThread, event_loop: *mut PyObject) -> *mut GreenFuture {
    // SAFETY: by contract. The allocator zeroes; what zero does not express is written before
    // other code can see the object.
    unsafe {
        let home = thread::this();
        if home.is_null() || asyncio().is_none() {
            ffi::Py_XDECREF(event_loop);
            return ptr::null_mut();
        }
        let f = ffi::PyType_GenericAlloc(class::future_type(), 0).cast::<GreenFuture>();
        if f.is_null() {
            ffi::Py_XDECREF(event_loop);
            return ptr::null_mut();
        }
        (&raw mut (*f).callbacks).write(Vec::new());
        (&raw mut (*f).state).write(State::Pending);
        (*f).event_loop = event_loop;
        thread::retain(home);
        (*f).home = home;
        greenlet::incref(g.cast());
        (*f).green = g;
        (*g).unclaimed = false;
        if matches!((*g).fate, Fate::Pending) {
            let object = ffi::Py_NewRef(f.cast());
            (*g).awaiters.push(Awaiter {
                object,
                notify: ended,
            });
        } else {
            finish(f);
        }
        f
    }
}

/// `__await__` of GreenThread.
pub(super) unsafe extern "C" fn await_green_thread(op: *mut PyObject) -> *mut PyObject {
    let g = op.cast::<GreenThread>();
    // SAFETY: called by CPython with the GIL held on a live instance.
    unsafe {
        let f = make(g, crate::imports::visible_loop());
        if f.is_null() {
            return ptr::null_mut();
        }
        // Only a green thread that waits itself can wait for its own awaiter.
        if (*f).state == State::Pending
            && (!(*g).waits_for.is_null() || !super::awaiting::work_of(g).is_null())
            && awaits_itself(g)
        {
            drop_awaiter(g, f);
            ffi::Py_DECREF(f.cast());
            return raise_new(
                ffi::PyExc_RuntimeError,
                c"a green thread cannot await itself through a coroutine: it would wait for ever",
            );
        }
        f.cast()
    }
}

unsafe fn awaits_itself(g: *mut GreenThread) -> bool {
    // SAFETY: contract of `await_green_thread`.
    unsafe {
        let Some(asyncio) = asyncio() else {
            return false;
        };
        let task = ffi::PyObject_CallNoArgs(asyncio.current_task.as_ptr());
        if task.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        let found = task != ffi::Py_None() && cycle::leads_to(g, task, ptr::null_mut());
        ffi::Py_DECREF(task);
        found
    }
}

unsafe fn drop_awaiter(g: *mut GreenThread, f: *mut GreenFuture) {
    // SAFETY: contract of `await_green_thread`; the caller holds a reference of its own.
    unsafe {
        let position = (*g).awaiters.iter().position(|a| a.object == f.cast());
        if let Some(position) = position {
            let awaiter = (*g).awaiters.remove(position);
            ffi::Py_DECREF(awaiter.object);
        }
    }
}

unsafe extern "C" fn greenlet_to_future(_: *mut PyObject, op: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if !greenthread::class::check(op) {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"expected a GreenThread as returned by spawn(), not %s: other greenlets keep no outcome"
                    .as_ptr(),
                (*ffi::Py_TYPE(op)).tp_name,
            );
            return ptr::null_mut();
        }
        let core = registry::hub();
        if core.is_null() {
            return ptr::null_mut();
        }
        Python::attach(|py| match looping::event_loop(py, core) {
            Ok(Some(found)) => make(op.cast(), found.into_ptr()).cast(),
            Ok(None) => {
                super::awaiting::set_hub_error();
                ptr::null_mut()
            }
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        })
    }
}

/// The green thread has ended.
unsafe fn ended(object: *mut PyObject, _: *mut GreenThread) {
    // SAFETY: called by the green thread, which holds both, with the GIL held.
    unsafe { finish(object.cast()) }
}

/// Takes over the outcome and has the loop call the callbacks.
///
/// # Safety
/// `f` is live, and its green thread too, until the caller returns. Runs Python code.
pub(super) unsafe fn finish(f: *mut GreenFuture) {
    // SAFETY: by contract; callbacks are taken out before they are used.
    unsafe {
        if (*f).state != State::Pending {
            return;
        }
        let g = std::mem::replace(&mut (*f).green, ptr::null_mut());
        let (state, outcome) = if std::mem::take(&mut (*f).asked) {
            // It ended before it was told of the cancellation.
            (State::Cancelled, ptr::null_mut())
        } else {
            cancel::outcome_for_awaiter(g)
        };
        (*f).state = state;
        (*f).outcome = outcome;
        for callback in std::mem::take(&mut (*f).callbacks) {
            schedule(f, callback);
        }
        greenlet::decref(g.cast());
    }
}

/// Has the loop make one call. A closed loop makes none: nobody is there any more.
pub(super) unsafe fn schedule(f: *mut GreenFuture, callback: Callback) {
    // SAFETY: `f` is live; the callback is owned and given back here.
    unsafe {
        let Callback { function, context } = callback;
        let Some(asyncio) = asyncio() else {
            ffi::PyErr_Clear();
            return;
        };
        let name = if (*f).home == thread::existing() {
            NAMES.call_soon
        } else {
            NAMES.call_soon_threadsafe
        };
        let names = if context.is_null() {
            ptr::null_mut()
        } else {
            asyncio.context_name.as_ptr()
        };
        let args = [(*f).event_loop, function, f.cast(), context];
        let result = ffi::PyObject_VectorcallMethod(name, args.as_ptr(), 3, names);
        if result.is_null() {
            loop_failed((*f).event_loop, function);
        } else {
            ffi::Py_DECREF(result);
        }
        ffi::Py_DECREF(function);
        ffi::Py_XDECREF(context);
    }
}

#[cold]
unsafe fn loop_failed(event_loop: *mut PyObject, function: *mut PyObject) {
    // SAFETY: an exception is set; the objects are live.
    unsafe {
        let error = errors::take_raised();
        let closed = ffi::PyObject_CallMethodNoArgs(event_loop, NAMES.is_closed);
        if closed.is_null() {
            ffi::PyErr_Clear();
        }
        if closed == ffi::Py_True() {
            ffi::Py_DECREF(error);
        } else {
            errors::raise(error);
            ffi::PyErr_WriteUnraisable(function);
        }
        ffi::Py_XDECREF(closed);
    }
}

pub(super) unsafe fn release_callback(callback: Callback) {
    // SAFETY: owned.
    unsafe {
        ffi::Py_DECREF(callback.function);
        ffi::Py_XDECREF(callback.context);
    }
}

/// The `CancelledError` of a cancelled future (borrowed), made when it is first needed.
pub(super) unsafe fn cancelled_error(f: *mut GreenFuture) -> *mut PyObject {
    // SAFETY: `f` is live and Cancelled; the GIL is held.
    unsafe {
        if (*f).outcome.is_null()
            && let Some(asyncio) = asyncio()
        {
            let class = asyncio.cancelled_error.as_ptr();
            (*f).outcome = if (*f).message.is_null() {
                ffi::PyObject_CallNoArgs(class)
            } else {
                ffi::PyObject_CallOneArg(class, (*f).message)
            };
        }
        (*f).outcome
    }
}

/// Raises what `result()` raises; returns -1, or 0 if the future holds a value.
pub(super) unsafe fn raise(f: *mut GreenFuture) -> c_int {
    // SAFETY: `f` is live; the GIL is held.
    unsafe {
        match (*f).state {
            State::Value => return 0,
            State::Pending => not_done(),
            State::Error => errors::raise(ffi::Py_NewRef((*f).outcome)),
            State::Cancelled => {
                let error = cancelled_error(f);
                if !error.is_null() {
                    errors::raise(ffi::Py_NewRef(error));
                }
            }
        }
        -1
    }
}

unsafe fn not_done() {
    // SAFETY: the GIL is held by the callers.
    unsafe {
        if let Some(asyncio) = asyncio() {
            raise_new(
                asyncio.invalid_state.as_ptr(),
                c"the green thread has not ended",
            );
        }
    }
}

pub(super) unsafe fn no_loop() {
    // SAFETY: the GIL is held by the callers.
    unsafe {
        raise_new(
            ffi::PyExc_RuntimeError,
            c"no running event loop: await a green thread in a coroutine, wait() for it elsewhere",
        );
    }
}

/// One step of `await`: the value, an exception, or the future itself.
pub(super) unsafe extern "C" fn send(
    op: *mut PyObject,
    _: *mut PyObject,
    out: *mut *mut PyObject,
) -> PySendResult {
    let f = op.cast::<GreenFuture>();
    // SAFETY: called by CPython with the GIL held; `out` is valid for a write.
    unsafe {
        if (*f).state == State::Pending {
            (*f).blocking = true;
            *out = ffi::Py_NewRef(op);
            return PySendResult::PYGEN_NEXT;
        }
        if raise(f) < 0 {
            *out = ptr::null_mut();
            return PySendResult::PYGEN_ERROR;
        }
        *out = ffi::Py_NewRef((*f).outcome);
        PySendResult::PYGEN_RETURN
    }
}

/// The result of a step as a method returns it: a value, or NULL with an exception set.
pub(super) unsafe fn as_method(status: PySendResult, out: *mut PyObject) -> *mut PyObject {
    // SAFETY: `out` is owned, or NULL with an exception set.
    unsafe {
        match status {
            PySendResult::PYGEN_NEXT => out,
            PySendResult::PYGEN_ERROR => ptr::null_mut(),
            PySendResult::PYGEN_RETURN => {
                // Made by hand: a tuple or an exception as value would be unpacked.
                let stop = ffi::PyObject_CallOneArg(ffi::PyExc_StopIteration, out);
                ffi::Py_DECREF(out);
                if !stop.is_null() {
                    errors::raise(stop);
                }
                ptr::null_mut()
            }
        }
    }
}

pub(super) unsafe extern "C" fn next(op: *mut PyObject) -> *mut PyObject {
    let mut out = ptr::null_mut();
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let status = send(op, ptr::null_mut(), &raw mut out);
        as_method(status, out)
    }
}
