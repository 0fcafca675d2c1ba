//! Exceptions of the greenlet API, beside what the layers above need of `error`.

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::arguments::given;
use crate::error::raise_new;
pub(crate) use crate::error::{join, raise, take_raised};

/// `greenlet.GreenletExit`, created by [`init`].
pub(crate) static mut GREENLET_EXIT: *mut PyObject = ptr::null_mut();
/// `greenlet.error`, created by [`init`].
pub(crate) static mut GREENLET_ERROR: *mut PyObject = ptr::null_mut();

/// Creates the two exception classes.
///
/// # Safety
/// Called once, with the GIL held, when the module is initialised.
pub(crate) unsafe fn init() -> Result<(), ()> {
    // SAFETY: the GIL is held by contract; the strings are static.
    unsafe {
        GREENLET_EXIT = ffi::PyErr_NewExceptionWithDoc(
            c"greenlet.GreenletExit".as_ptr(),
            c"Raised in a greenlet to end it; not an error, so never printed.".as_ptr(),
            ffi::PyExc_BaseException,
            ptr::null_mut(),
        );
        GREENLET_ERROR = ffi::PyErr_NewExceptionWithDoc(
            c"greenlet.error".as_ptr(),
            c"Raised on a switch that is impossible, such as one into another OS thread.".as_ptr(),
            ffi::PyExc_Exception,
            ptr::null_mut(),
        );
        if GREENLET_EXIT.is_null() || GREENLET_ERROR.is_null() {
            return Err(());
        }
    }
    Ok(())
}

/// Raises `greenlet.error` with a message.
///
/// # Safety
/// The GIL is held and [`init`] has run.
pub(crate) unsafe fn set_error(message: &CStr) {
    // SAFETY: by contract.
    unsafe { raise_new(GREENLET_ERROR, message) };
}

/// Tells whether `error` is an instance of the exception class `class`.
///
/// # Safety
/// Both are live objects and the GIL is held.
pub(crate) unsafe fn is_a(error: *mut PyObject, class: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe { ffi::PyErr_GivenExceptionMatches(error, class) != 0 }
}

/// A new `GreenletExit()`.
///
/// # Safety
/// The GIL is held and [`init`] has run. NULL with an exception set if memory runs out.
pub(crate) unsafe fn new_exit() -> *mut PyObject {
    // SAFETY: by contract.
    unsafe { ffi::PyObject_CallNoArgs(GREENLET_EXIT) }
}

/// One normalised exception of what `throw()` and `kill()` take: nothing, an instance, or a
/// class with an optional value; and an optional traceback. NULL with TypeError set.
///
/// # Safety
/// Borrowed references or NULL; the GIL is held. Runs Python code.
pub(crate) unsafe fn make_exception([kind, value, trace]: [*mut PyObject; 3]) -> *mut PyObject {
    // SAFETY: by contract; references are taken before they are handed on.
    unsafe {
        if given(trace) && ffi::PyTraceBack_Check(trace) == 0 {
            return raise_new(
                ffi::PyExc_TypeError,
                c"throw() third argument must be a traceback object",
            );
        }
        if kind.is_null() {
            return new_exit();
        }
        let kept = if given(trace) {
            ffi::Py_NewRef(trace)
        } else {
            ptr::null_mut()
        };
        if ffi::PyExceptionClass_Check(kind) != 0 {
            let value = if given(value) {
                ffi::Py_NewRef(value)
            } else {
                ptr::null_mut()
            };
            return join(ffi::Py_NewRef(kind), value, kept);
        }
        if ffi::PyExceptionInstance_Check(kind) != 0 {
            if given(value) {
                ffi::Py_XDECREF(kept);
                return raise_new(
                    ffi::PyExc_TypeError,
                    c"instance exception may not have a separate value",
                );
            }
            if !kept.is_null() {
                ffi::PyException_SetTraceback(kind, kept);
                ffi::Py_DECREF(kept);
            }
            return ffi::Py_NewRef(kind);
        }
        ffi::Py_XDECREF(kept);
        ffi::PyErr_Format(
            ffi::PyExc_TypeError,
            c"exceptions must be classes, or instances, not %s".as_ptr(),
            (*ffi::Py_TYPE(kind)).tp_name,
        );
        ptr::null_mut()
    }
}
