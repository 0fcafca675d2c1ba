//! Links: functions called when a green thread ends.

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::{Fate, GreenThread};
use crate::greenlet::errors;
use crate::hub::control;

/// Adds a link; called at once if the green thread has ended already. False with an
/// exception set on failure.
///
/// # Safety
/// The GIL is held; `args` is a tuple, `kwargs` a dict or NULL, all borrowed.
pub(super) unsafe fn add(
    me: *mut GreenThread,
    function: *mut PyObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> bool {
    // SAFETY: by contract.
    unsafe {
        let named = if kwargs.is_null() {
            ffi::Py_None()
        } else {
            kwargs
        };
        let entry = ffi::PyTuple_Pack(3, function, args, named);
        if entry.is_null() {
            return false;
        }
        if (*me).links.is_null() {
            let fresh = ffi::PyList_New(0);
            if fresh.is_null() {
                ffi::Py_DECREF(entry);
                return false;
            }
            // What has run meanwhile may have added a link.
            if (*me).links.is_null() {
                (*me).links = fresh;
            } else {
                ffi::Py_DECREF(fresh);
            }
        }
        let added = ffi::PyList_Append((*me).links, entry) == 0;
        ffi::Py_DECREF(entry);
        if added && !matches!((*me).fate, Fate::Pending) {
            (*me).unclaimed = false;
            call(me);
        }
        added
    }
}

/// Removes a link that was added with equal function and arguments. 1 if there was one, 0
/// if not, -1 with an exception set.
///
/// # Safety
/// As for [`add`]. Runs Python code.
pub(super) unsafe fn remove(
    me: *mut GreenThread,
    function: *mut PyObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> i32 {
    // SAFETY: by contract; the list is held while comparisons run Python code.
    unsafe {
        if (*me).links.is_null() {
            return 0;
        }
        let named = if kwargs.is_null() {
            ffi::Py_None()
        } else {
            kwargs
        };
        let entry = ffi::PyTuple_Pack(3, function, args, named);
        if entry.is_null() {
            return -1;
        }
        let links = ffi::Py_NewRef((*me).links);
        let index = ffi::PySequence_Index(links, entry);
        let outcome = if index >= 0 {
            if ffi::PySequence_DelItem(links, index) == 0 {
                1
            } else {
                -1
            }
        } else if ffi::PyErr_ExceptionMatches(ffi::PyExc_ValueError) != 0 {
            ffi::PyErr_Clear();
            0
        } else {
            -1
        };
        ffi::Py_DECREF(links);
        ffi::Py_DECREF(entry);
        outcome
    }
}

/// Calls the links in order of their addition, each once, also those that links add. An
/// exception of a link is printed and does not keep the others from being called. True if
/// there was one.
///
/// # Safety
/// The GIL is held, no exception is set; the green thread has its outcome. Runs Python code.
pub(super) unsafe fn call(me: *mut GreenThread) -> bool {
    // SAFETY: by contract; the list is taken out before its entries are called.
    unsafe {
        let mut any = false;
        loop {
            let links = std::mem::replace(&mut (*me).links, ptr::null_mut());
            if links.is_null() {
                return any;
            }
            // An `unlink` that began before may still take an entry out.
            let mut i = 0;
            while i < ffi::PyList_Size(links) {
                any = true;
                let entry = ffi::Py_NewRef(ffi::PyList_GetItem(links, i));
                call_one(me, entry);
                ffi::Py_DECREF(entry);
                i += 1;
            }
            ffi::Py_DECREF(links);
        }
    }
}

unsafe fn call_one(me: *mut GreenThread, entry: *mut PyObject) {
    // SAFETY: `entry` is a tuple made by `add`, held by the caller.
    unsafe {
        let function = ffi::PyTuple_GET_ITEM(entry, 0);
        let given = ffi::PyTuple_GET_ITEM(entry, 1);
        let named = ffi::PyTuple_GET_ITEM(entry, 2);
        let kwargs = if named == ffi::Py_None() {
            ptr::null_mut()
        } else {
            named
        };
        let count = ffi::PyTuple_GET_SIZE(given);
        let args = ffi::PyTuple_New(count + 1);
        let mut result = ptr::null_mut();
        if !args.is_null() {
            ffi::PyTuple_SET_ITEM(args, 0, ffi::Py_NewRef(me.cast()));
            for i in 0..count {
                let arg = ffi::Py_NewRef(ffi::PyTuple_GET_ITEM(given, i));
                ffi::PyTuple_SET_ITEM(args, i + 1, arg);
            }
            result = ffi::PyObject_Call(function, args, kwargs);
            ffi::Py_DECREF(args);
        }
        if result.is_null() {
            let error = errors::take_raised();
            control::print(error);
            ffi::Py_DECREF(error);
        } else {
            ffi::Py_DECREF(result);
        }
    }
}
