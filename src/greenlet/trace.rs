//! `settrace()`: a function that is told of each switch, in the greenlet entered.

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::arguments::{given, none, or_none};
use super::switch::Inbound;
use super::thread::{self, Thread};
use super::{Greenlet, decref, errors};

/// Tells the tracer, then goes on with what was sent. A tracer that raises is removed and
/// its exception takes the place of what was sent.
///
/// # Safety
/// The GIL is held; `me` is the running greenlet, `origin` owned or NULL, a tracer is set.
///
/// # Switches
/// If the tracer does. Runs Python code.
#[cold]
pub(crate) unsafe fn call(
    thread: *mut Thread,
    origin: *mut Greenlet,
    me: *mut Greenlet,
    inbound: Inbound,
) -> Inbound {
    // SAFETY: by contract; the tracer is held by a reference of our own while it runs.
    unsafe {
        if origin.is_null() {
            return inbound;
        }
        let event = if (*thread).throwing {
            c"throw"
        } else {
            c"switch"
        };
        let tracer = ffi::Py_NewRef((*thread).tracer);
        let name = ffi::PyUnicode_InternFromString(event.as_ptr());
        let pair = ffi::PyTuple_Pack(2, origin.cast::<PyObject>(), me.cast::<PyObject>());
        let mut result = ptr::null_mut();
        if !name.is_null() && !pair.is_null() {
            enter_tracing((*thread).tstate);
            let args = ffi::PyTuple_Pack(2, name, pair);
            if !args.is_null() {
                result = ffi::PyObject_Call(tracer, args, ptr::null_mut());
                ffi::Py_DECREF(args);
            }
            leave_tracing((*thread).tstate);
        }
        ffi::Py_XDECREF(name);
        ffi::Py_XDECREF(pair);
        ffi::Py_DECREF(tracer);
        decref(origin);
        if result.is_null() {
            let error = errors::take_raised();
            super::replace(&raw mut (*thread).tracer, ptr::null_mut());
            inbound.discard();
            return Inbound::Error(error);
        }
        ffi::Py_DECREF(result);
        inbound
    }
}

/// `sys.settrace()` functions do not see the frames of a greenlet tracer.
unsafe fn enter_tracing(ts: *mut ffi::PyThreadState) {
    #[cfg(Py_3_11)]
    // SAFETY: `ts` is this OS thread's state.
    unsafe {
        ffi::PyThreadState_EnterTracing(ts);
    }
    #[cfg(not(Py_3_11))]
    let _ = ts;
}

unsafe fn leave_tracing(ts: *mut ffi::PyThreadState) {
    #[cfg(Py_3_11)]
    // SAFETY: `ts` is this OS thread's state.
    unsafe {
        ffi::PyThreadState_LeaveTracing(ts);
    }
    #[cfg(not(Py_3_11))]
    let _ = ts;
}

/// `greenlet.settrace(callback)`: returns the former one.
pub(crate) unsafe extern "C" fn settrace(_: *mut PyObject, value: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; the tracer is owned by the thread record.
    unsafe {
        let thread = thread::this();
        if thread.is_null() {
            return ptr::null_mut();
        }
        let tracer = if given(value) {
            ffi::Py_NewRef(value)
        } else {
            ptr::null_mut()
        };
        let old = std::mem::replace(&mut (*thread).tracer, tracer);
        if old.is_null() { none() } else { old }
    }
}

/// `greenlet.gettrace()`.
pub(crate) unsafe extern "C" fn gettrace(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let thread = thread::this();
        if thread.is_null() {
            return ptr::null_mut();
        }
        or_none((*thread).tracer)
    }
}
