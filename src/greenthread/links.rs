//! Links: functions called when a green thread ends.

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::{Fate, GreenThread};
use crate::greenlet::{self, Phase, errors};
use crate::hub::turn;

unsafe fn or_none(object: *mut PyObject) -> *mut PyObject {
    if object.is_null() {
        // SAFETY: the GIL is held by the callers.
        unsafe { ffi::Py_None() }
    } else {
        object
    }
}

/// Adds a link; called at once if the green thread has ended already, or by whoever calls
/// its links just then. False with an exception set on failure, or if the link raises one.
///
/// # Safety
/// The GIL is held; `args` is a tuple, `kwargs` a dict or NULL, all borrowed.
///
/// # Switches
/// If the green thread has ended and the function does.
pub(super) unsafe fn add(
    me: *mut GreenThread,
    function: *mut PyObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> bool {
    // SAFETY: by contract.
    unsafe {
        let entry = ffi::PyTuple_Pack(3, function, args, or_none(kwargs));
        if entry.is_null() {
            return false;
        }
        let fine = append(me, entry)
            && (matches!((*me).fate, Fate::Pending) || {
                (*me).unclaimed = false;
                (*me).linking || resolve(me, entry).1
            });
        ffi::Py_DECREF(entry);
        fine
    }
}

/// Adds a link that looks after its caller's own books: an outcome that nobody else takes is
/// reported as if there were no link.
///
/// # Safety
/// The GIL is held; `function` is borrowed.
pub(super) unsafe fn add_bookkeeping(me: *mut GreenThread, function: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe {
        let none = ffi::Py_None();
        let args = ffi::PyTuple_New(0);
        if args.is_null() {
            return false;
        }
        let entry = ffi::PyTuple_Pack(BOOKKEEPING, function, args, none, none);
        ffi::Py_DECREF(args);
        if entry.is_null() {
            return false;
        }
        let fine = append(me, entry);
        ffi::Py_DECREF(entry);
        if fine && !matches!((*me).fate, Fate::Pending) && !(*me).linking {
            call(me);
        }
        fine
    }
}

/// The size of an entry that takes no outcome; others have three members.
const BOOKKEEPING: ffi::Py_ssize_t = 4;

unsafe fn append(me: *mut GreenThread, entry: *mut PyObject) -> bool {
    // SAFETY: contract of `add`.
    unsafe {
        if (*me).links.is_null() {
            let fresh = ffi::PyList_New(0);
            if fresh.is_null() {
                return false;
            }
            // What has run meanwhile may have added a link.
            if (*me).links.is_null() {
                (*me).links = fresh;
            } else {
                ffi::Py_DECREF(fresh);
            }
        }
        ffi::PyList_Append((*me).links, entry) == 0
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
        let entry = ffi::PyTuple_Pack(3, function, args, or_none(kwargs));
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

/// Calls the links of a green thread that ends. True if there were any that take its outcome.
///
/// # Safety
/// The GIL is held, no exception is set; the green thread has its outcome. Runs Python code.
pub(super) unsafe fn call(me: *mut GreenThread) -> bool {
    // SAFETY: by contract.
    unsafe { resolve(me, ptr::null_mut()).0 }
}

/// Calls the links in order of their addition, each once, also those that links add. What a
/// link raises does not keep the others from being called: it is reported, but that of the
/// entry `own` (borrowed or NULL) is raised in the end.
///
/// Tells whether there were links that take the outcome, and, false with an exception set,
/// whether `own` went well.
unsafe fn resolve(me: *mut GreenThread, own: *mut PyObject) -> (bool, bool) {
    // SAFETY: contract of `call`; each entry is taken out before it is called.
    unsafe {
        let mut any = false;
        let mut failure = ptr::null_mut();
        (*me).linking = true;
        while let Some(entry) = take_first(me) {
            any |= ffi::PyTuple_GET_SIZE(entry) != BOOKKEEPING;
            let error = call_one(me, entry);
            if entry == own {
                failure = error;
            } else if !error.is_null() {
                failed(me, error);
            }
            ffi::Py_DECREF(entry);
        }
        (*me).linking = false;
        if failure.is_null() {
            return (any, true);
        }
        errors::raise(failure);
        (any, false)
    }
}

/// Takes the oldest entry out (owned): a link may still unlink later ones.
unsafe fn take_first(me: *mut GreenThread) -> Option<*mut PyObject> {
    // SAFETY: contract of `call`; nothing but the deletion, of what is held, comes between.
    unsafe {
        let links = (*me).links;
        if links.is_null() {
            return None;
        }
        if ffi::PyList_Size(links) == 0 {
            greenlet::replace(&raw mut (*me).links, ptr::null_mut());
            return None;
        }
        let entry = ffi::Py_NewRef(ffi::PyList_GetItem(links, 0));
        if ffi::PyList_SetSlice(links, 0, 1, ptr::null_mut()) < 0 {
            // No memory to do without: it is called all the same, and once.
            ffi::PyErr_Clear();
            (*me).links = ptr::null_mut();
            ffi::Py_DECREF(links);
        }
        Some(entry)
    }
}

/// What a link has raised (owned) that nobody is there to take.
unsafe fn failed(me: *mut GreenThread, error: *mut PyObject) {
    // SAFETY: contract of `call`.
    unsafe {
        let ending = (*me).base.phase != Phase::Dead;
        if turn::is_system(error) && ending {
            greenlet::replace(&raw mut (*me).fatal, error);
            return;
        }
        if !errors::is_a(error, errors::GREENLET_EXIT) {
            super::report(error);
        }
        ffi::Py_DECREF(error);
    }
}

/// Calls what an entry stands for; returns what that raised (owned), or NULL.
unsafe fn call_one(me: *mut GreenThread, entry: *mut PyObject) -> *mut PyObject {
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
            return errors::take_raised();
        }
        ffi::Py_DECREF(result);
        ptr::null_mut()
    }
}
