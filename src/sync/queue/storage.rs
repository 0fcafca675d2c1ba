//! Where the items of a queue are, and how a subclass in Python replaces that.
//!
//! Items are stored natively until somebody looks at the attribute `queue`, as programs do that
//! clear it or search it: from then on they are in a `collections.deque` that both see. A
//! subclass that overrides `_put`, `_get` or `_qsize` is asked for each item.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::Queue;
use crate::error::raise_new;
use crate::greenlet::arguments::{arguments, none};
use crate::greenlet::replace;
use crate::sync::class;

/// How many items a subclass or the deque holds; None with an exception set.
///
/// # Safety
/// `me` is held by the caller; the GIL is held. Runs Python code.
#[cold]
pub(super) unsafe fn container_len(me: *mut Queue) -> Option<usize> {
    // SAFETY: by contract.
    unsafe {
        if !(*me).overridden.storage {
            let container = ffi::Py_NewRef((*me).container);
            let size = ffi::PyObject_Size(container);
            ffi::Py_DECREF(container);
            return usize::try_from(size).ok();
        }
        let size = ffi::PyObject_CallMethod(me.cast(), c"_qsize".as_ptr(), ptr::null());
        if size.is_null() {
            return None;
        }
        let number = ffi::PyLong_AsSsize_t(size);
        ffi::Py_DECREF(size);
        if number == -1 && !ffi::PyErr_Occurred().is_null() {
            return None;
        }
        Some(number.max(0) as usize)
    }
}

/// Gives an item to the subclass's `_put`, or to the deque. False with an exception set.
///
/// # Safety
/// As for [`container_len`].
pub(super) unsafe fn container_put(me: *mut Queue, item: *mut PyObject) -> bool {
    // SAFETY: by contract; what is called is held by the instance's class or by us.
    unsafe {
        let result = if (*me).overridden.storage {
            ffi::PyObject_CallMethod(me.cast(), c"_put".as_ptr(), c"(O)".as_ptr(), item)
        } else {
            let container = ffi::Py_NewRef((*me).container);
            let result =
                ffi::PyObject_CallMethod(container, c"append".as_ptr(), c"(O)".as_ptr(), item);
            ffi::Py_DECREF(container);
            result
        };
        ffi::Py_XDECREF(result);
        !result.is_null()
    }
}

/// Takes the next item from the subclass or the deque: owned, or NULL with an exception set.
///
/// # Safety
/// As for [`container_len`].
pub(super) unsafe fn container_get(me: *mut Queue) -> *mut PyObject {
    // SAFETY: as for `container_put`.
    unsafe {
        if (*me).overridden.storage {
            return ffi::PyObject_CallMethod(me.cast(), c"_get".as_ptr(), ptr::null());
        }
        if (*me).container.is_null() {
            // Asking it for its length has deleted it.
            return storage_get(me.cast(), ptr::null_mut());
        }
        let container = ffi::Py_NewRef((*me).container);
        let item = ffi::PyObject_CallMethod(container, c"popleft".as_ptr(), ptr::null());
        ffi::Py_DECREF(container);
        item
    }
}

/// Moves the items to a deque, which holds them from now on. False with an exception set.
unsafe fn materialise(me: *mut Queue) -> bool {
    // SAFETY: contract of the callers: `me` is held by them, the GIL is held. The items are
    // taken over once the deque exists; making it may run Python code, so that is checked.
    unsafe {
        if !(*me).container.is_null() {
            return true;
        }
        let module = ffi::PyImport_ImportModule(c"collections".as_ptr());
        if module.is_null() {
            return false;
        }
        let deque = ffi::PyObject_CallMethod(module, c"deque".as_ptr(), ptr::null());
        ffi::Py_DECREF(module);
        if deque.is_null() || !(*me).container.is_null() {
            ffi::Py_XDECREF(deque);
            return !(*me).container.is_null();
        }
        loop {
            let list = class::list_of(|| (*me).items.iter().copied());
            if list.is_null() || !call(deque, c"clear", ptr::null_mut()) {
                ffi::Py_XDECREF(list);
                ffi::Py_DECREF(deque);
                return false;
            }
            let copied = call(deque, c"extend", list);
            // Copying may run Python code, too, which may have taken an item or put one.
            let same = ffi::PyList_Size(list) as usize == (*me).items.len()
                && (*me)
                    .items
                    .iter()
                    .enumerate()
                    .all(|(i, item)| ffi::PyList_GetItem(list, i as ffi::Py_ssize_t) == *item);
            if copied && same && (*me).container.is_null() {
                (*me).container = deque;
                ffi::Py_DECREF(list);
                drop_items(me);
                return true;
            }
            ffi::Py_DECREF(list);
            if !copied || !(*me).container.is_null() {
                ffi::Py_DECREF(deque);
                return copied;
            }
        }
    }
}

/// Calls a method with one argument, or none (NULL). False with an exception set.
unsafe fn call(op: *mut PyObject, name: &std::ffi::CStr, argument: *mut PyObject) -> bool {
    // SAFETY: contract of `materialise`.
    unsafe {
        let result = if argument.is_null() {
            ffi::PyObject_CallMethod(op, name.as_ptr(), ptr::null())
        } else {
            ffi::PyObject_CallMethod(op, name.as_ptr(), c"(O)".as_ptr(), argument)
        };
        ffi::Py_XDECREF(result);
        !result.is_null()
    }
}

/// Releases the items that are stored natively.
///
/// # Safety
/// As for [`container_len`].
pub(super) unsafe fn drop_items(me: *mut Queue) {
    // SAFETY: contract of the callers; taken out before they are released.
    unsafe {
        for item in std::mem::take(&mut (*me).items) {
            ffi::Py_DECREF(item);
        }
    }
}

pub(super) unsafe extern "C" fn storage_init(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython on a queue.
    unsafe {
        if arguments(c"_init", [c"maxsize"], 0, args, count, names).is_none() {
            return ptr::null_mut();
        }
        drop_items(me);
        replace(&raw mut (*me).container, ptr::null_mut());
        none()
    }
}

pub(super) unsafe extern "C" fn storage_qsize(
    op: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython on a queue.
    unsafe {
        let container = (*me).container;
        let size = if container.is_null() {
            (*me).items.len() as ffi::Py_ssize_t
        } else {
            ffi::PyObject_Size(container)
        };
        if size < 0 {
            ptr::null_mut()
        } else {
            ffi::PyLong_FromSsize_t(size)
        }
    }
}

pub(super) unsafe extern "C" fn storage_put(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython on a queue; the deque is held while it is called.
    unsafe {
        let Some([item]) = arguments(c"_put", [c"item"], 1, args, count, names) else {
            return ptr::null_mut();
        };
        if (*me).container.is_null() {
            (*me).items.push_back(ffi::Py_NewRef(item));
            return none();
        }
        let container = ffi::Py_NewRef((*me).container);
        let result = ffi::PyObject_CallMethod(container, c"append".as_ptr(), c"(O)".as_ptr(), item);
        ffi::Py_DECREF(container);
        result
    }
}

pub(super) unsafe extern "C" fn storage_get(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython on a queue; the deque is held while it is called.
    unsafe {
        if (*me).container.is_null() {
            return if let Some(item) = (*me).items.pop_front() {
                item
            } else {
                raise_new(ffi::PyExc_IndexError, c"nothing is stored in this queue")
            };
        }
        let container = ffi::Py_NewRef((*me).container);
        let item = ffi::PyObject_CallMethod(container, c"popleft".as_ptr(), ptr::null());
        ffi::Py_DECREF(container);
        item
    }
}

pub(super) unsafe extern "C" fn get_container(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython on a queue.
    unsafe {
        if materialise(me) {
            ffi::Py_NewRef((*me).container)
        } else {
            ptr::null_mut()
        }
    }
}

pub(super) unsafe extern "C" fn set_container(
    op: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython on a queue.
    unsafe {
        replace(&raw mut (*me).container, ffi::Py_XNewRef(value));
        drop_items(me);
    }
    0
}
