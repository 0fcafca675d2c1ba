//! Trace functions: what `sys.settrace()` and its C counterpart have set for the OS thread.

use std::ffi::{c_int, c_void};
use std::mem;

use pyo3::ffi::{self, PyObject, PyThreadState};

use super::mirror;

type Function = unsafe extern "C" fn(*mut PyObject, *mut PyObject, c_int, *mut PyObject) -> c_int;

/// A function as given to `PyEval_SetTrace`, and the object it is called with (borrowed).
pub(crate) struct Traced {
    function: Function,
    pub(crate) object: *mut PyObject,
}

/// Says whether this OS thread has a trace function.
///
/// # Safety
/// As the module says.
#[inline]
pub(crate) unsafe fn is_traced(ts: *mut PyThreadState) -> bool {
    // SAFETY: P1.
    unsafe { !mirror(ts).c_tracefunc.is_null() }
}

/// Ends tracing and profiling of an OS thread whose state is being cleared. CPython does so
/// too, but later: what dies in between is no call that could be asked whose it is.
///
/// # Safety
/// As the module says.
pub(crate) unsafe fn end_tracing(ts: *mut PyThreadState) {
    // SAFETY: P1; the use of the mirror ends before the call.
    unsafe {
        let watched = !mirror(ts).c_tracefunc.is_null() || !mirror(ts).c_profilefunc.is_null();
        if watched {
            enter_tracing(ts);
        }
    }
}

/// The trace function of this OS thread; None also while it is running.
///
/// # Safety
/// As the module says.
pub(crate) unsafe fn trace_function(ts: *mut PyThreadState) -> Option<Traced> {
    // SAFETY: P1; the field holds a function of this signature.
    unsafe {
        let ts = mirror(ts);
        if ts.c_tracefunc.is_null() || ts.tracing != 0 {
            return None;
        }
        Some(Traced {
            function: mem::transmute::<*mut c_void, Function>(ts.c_tracefunc),
            object: ts.c_traceobj,
        })
    }
}

impl Traced {
    /// Tells it of an event. False with an exception set if it failed: then CPython takes
    /// it away.
    ///
    /// # Runs Python
    /// What the function does, which is not traced itself.
    ///
    /// # Safety
    /// The GIL is held, no exception is set, `frame` is a frame object, `object` alive.
    pub(crate) unsafe fn call(
        &self,
        ts: *mut PyThreadState,
        frame: *mut PyObject,
        event: c_int,
    ) -> bool {
        // SAFETY: by contract.
        unsafe {
            enter_tracing(ts);
            let failed = (self.function)(self.object, frame, event, ffi::Py_None());
            leave_tracing(ts);
            failed == 0
        }
    }
}

/// From here to [`leave_tracing`] no trace or profile function is called.
///
/// # Safety
/// As the module says.
pub(crate) unsafe fn enter_tracing(ts: *mut PyThreadState) {
    #[cfg(Py_3_11)]
    // SAFETY: by contract.
    unsafe {
        ffi::PyThreadState_EnterTracing(ts);
    }
    #[cfg(not(Py_3_11))]
    // SAFETY: P1; a running thread has an innermost interpreter loop.
    unsafe {
        super::version::trace(mirror(ts), 1);
    }
}

/// Ends [`enter_tracing`].
///
/// # Safety
/// As the module says.
pub(crate) unsafe fn leave_tracing(ts: *mut PyThreadState) {
    #[cfg(Py_3_11)]
    // SAFETY: by contract.
    unsafe {
        ffi::PyThreadState_LeaveTracing(ts);
    }
    #[cfg(not(Py_3_11))]
    // SAFETY: as above.
    unsafe {
        super::version::trace(mirror(ts), -1);
    }
}
