//! Exceptions of the greenlet API, beside what the layers above need of `error`.

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

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
    unsafe { ffi::PyErr_SetString(GREENLET_ERROR, message.as_ptr()) }
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
