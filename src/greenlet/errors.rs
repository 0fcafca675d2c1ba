//! Exceptions of the greenlet API, and exceptions as plain owned objects.
//!
//! Between stacks an exception travels as one normalised object with its traceback, the
//! form CPython itself uses from 3.12 on.

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

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

/// Takes the exception being raised, as one normalised object that carries its traceback.
///
/// # Safety
/// The GIL is held. NULL is returned if nothing is being raised.
pub(crate) unsafe fn take_raised() -> *mut PyObject {
    #[cfg(Py_3_12)]
    {
        // SAFETY: the GIL is held.
        unsafe { ffi::PyErr_GetRaisedException() }
    }
    #[cfg(not(Py_3_12))]
    {
        let (mut kind, mut value, mut trace) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: the GIL is held; the three pointers are valid for writes.
        unsafe { ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut trace) };
        if kind.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: the triple was just fetched.
        unsafe { join(kind, value, trace) }
    }
}

/// Makes one normalised exception of an owned (type, value, traceback) triple.
///
/// # Safety
/// The GIL is held; `kind` is not NULL; the references are owned and consumed.
pub(crate) unsafe fn join(
    mut kind: *mut PyObject,
    mut value: *mut PyObject,
    mut trace: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the triple is owned by contract; normalising keeps it owned.
    unsafe {
        ffi::PyErr_NormalizeException(&raw mut kind, &raw mut value, &raw mut trace);
        if !trace.is_null() && !value.is_null() {
            ffi::PyException_SetTraceback(value, trace);
        }
        ffi::Py_XDECREF(kind);
        ffi::Py_XDECREF(trace);
    }
    value
}

/// Raises `error` as it is: no context is chained, unlike `PyErr_SetObject`.
///
/// # Safety
/// The GIL is held; `error` is an owned exception instance and is consumed.
pub(crate) unsafe fn raise(error: *mut PyObject) {
    #[cfg(Py_3_12)]
    {
        // SAFETY: by contract.
        unsafe { ffi::PyErr_SetRaisedException(error) }
    }
    #[cfg(not(Py_3_12))]
    {
        // SAFETY: by contract `error` is an exception instance.
        unsafe {
            let kind = ffi::Py_TYPE(error).cast::<PyObject>();
            ffi::Py_INCREF(kind);
            let trace = ffi::PyException_GetTraceback(error);
            ffi::PyErr_Restore(kind, error, trace);
        }
    }
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
