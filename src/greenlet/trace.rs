//! Who is told of a switch, in the greenlet entered: the function given to `settrace()`, and a
//! trace function of CPython's.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::arguments::{given, none, or_none};
use super::switch::Inbound;
use super::thread::{self, Thread};
use super::{Greenlet, decref, errors};
use crate::pystate;

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
            pystate::enter_tracing((*thread).tstate);
            let args = ffi::PyTuple_Pack(2, name, pair);
            if !args.is_null() {
                result = ffi::PyObject_Call(tracer, args, ptr::null_mut());
                ffi::Py_DECREF(args);
            }
            pystate::leave_tracing((*thread).tstate);
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

/// Shows a trace function written in C where the greenlet that was entered goes on: the call of
/// a function without code, and its return.
///
/// coverage.py's looks up whose frames it is told of at calls and returns only. A greenlet
/// that is left in a native call is entered without either, and its lines would be booked to
/// the one that was left.
///
/// Functions of Python, such as debuggers set with `sys.settrace()`, keep no such record, and
/// would stop there.
///
/// # Safety
/// As for [`call`]; no exception is set.
///
/// # Runs Python
/// What the trace function does.
#[cold]
pub(crate) unsafe fn show_arrival(ts: *mut ffi::PyThreadState, inbound: Inbound) -> Inbound {
    // SAFETY: by contract. What is called is held; whoever is called may set another one.
    unsafe {
        let Some(traced) = pystate::trace_function(ts) else {
            return inbound;
        };
        if is_of_python(traced.object) {
            return inbound;
        }
        let object = ffi::Py_XNewRef(traced.object);
        // A collection would run finalisers in the middle of a coroutine's step.
        let collecting = ffi::PyGC_Disable();
        let frame = frame_without_code(ts);
        let mut failed = frame.is_null();
        for event in [ffi::PyTrace_CALL, ffi::PyTrace_RETURN] {
            match pystate::trace_function(ts) {
                Some(traced) if !failed && ptr::eq(traced.object, object) => {
                    failed = !traced.call(ts, frame, event);
                }
                _ => break,
            }
        }
        if collecting != 0 {
            ffi::PyGC_Enable();
        }
        let inbound = if failed {
            // As CPython does: what failed is asked no more, and its error is raised here.
            let error = errors::take_raised();
            ffi::PyEval_SetTrace(None, ptr::null_mut());
            inbound.discard();
            Inbound::Error(error)
        } else {
            inbound
        };
        ffi::Py_XDECREF(frame);
        ffi::Py_XDECREF(object);
        inbound
    }
}

/// Says whether an object of a trace function is what `sys.settrace()` is commonly given.
unsafe fn is_of_python(object: *mut PyObject) -> bool {
    unsafe extern "C" {
        static mut PyMethod_Type: ffi::PyTypeObject;
    }
    // SAFETY: a live object or NULL.
    unsafe {
        !object.is_null()
            && (ffi::PyFunction_Check(object) != 0
                || ffi::Py_IS_TYPE(object, &raw mut PyMethod_Type) != 0
                || ffi::PyCFunction_Check(object) != 0)
    }
}

/// A new frame object whose file is none that anybody measures; NULL with an exception set.
unsafe fn frame_without_code(ts: *mut ffi::PyThreadState) -> *mut PyObject {
    static CODE: AtomicPtr<ffi::PyCodeObject> = AtomicPtr::new(ptr::null_mut());
    // SAFETY: the GIL is held, so that one code object is made, which is kept for good.
    unsafe {
        let mut code = CODE.load(Ordering::Relaxed);
        if code.is_null() {
            code = ffi::PyCode_NewEmpty(c"<green switch>".as_ptr(), c"switch".as_ptr(), 1);
            if code.is_null() {
                return ptr::null_mut();
            }
            CODE.store(code, Ordering::Relaxed);
        }
        let globals = ffi::PyDict_New();
        if globals.is_null() {
            return globals;
        }
        let frame = ffi::PyFrame_New(ts, code, globals, ptr::null_mut());
        ffi::Py_DECREF(globals);
        frame.cast()
    }
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
