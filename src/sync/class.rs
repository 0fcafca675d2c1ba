//! What the classes of this layer share: instances with attributes and weak references, lists
//! of those who wait, timeouts.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use crate::greenlet::arguments::{given, seconds};
use crate::greenlet::define::{Definition, define};
use crate::greenlet::{self, gc};
use crate::hub::Parked;
use crate::reactor::now;
use crate::sched::{WaiterList, nanos_from_seconds};

/// Start of each instance: what upstream's classes, written in Python, offer to anybody.
#[repr(C)]
pub(super) struct Head {
    ob_base: PyObject,
    weakrefs: *mut PyObject,
    dict: *mut PyObject,
}

/// A class that offers nothing yet, and whose instances begin with a [`Head`].
pub(super) fn headed(name: &'static CStr, doc: &'static CStr, size: usize) -> Definition {
    Definition {
        weakrefs: Some(std::mem::offset_of!(Head, weakrefs)),
        dict: Some(std::mem::offset_of!(Head, dict)),
        ..define(name, doc, size)
    }
}

/// Visits the type, the attributes and `owned` (which may hold NULLs) of an instance.
///
/// # Safety
/// Called from a `tp_traverse` slot of a class that begins with [`Head`].
pub(super) unsafe fn traverse(
    op: *mut PyObject,
    owned: &[*mut PyObject],
    waiters: &WaiterList<Parked>,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: by contract.
    unsafe {
        let common = [ffi::Py_TYPE(op).cast(), (*op.cast::<Head>()).dict];
        let parked = waiters.iter().map(|parked| parked.greenlet().cast());
        let all = common
            .into_iter()
            .chain(owned.iter().copied())
            .chain(parked);
        gc::visit_all(all, visit, arg)
    }
}

/// Clears the attributes of an instance.
///
/// # Safety
/// Called from a `tp_clear` slot of a class that begins with [`Head`].
pub(super) unsafe fn clear(op: *mut PyObject) {
    // SAFETY: by contract.
    unsafe { greenlet::replace(&raw mut (*op.cast::<Head>()).dict, ptr::null_mut()) }
}

/// First steps of a `tp_dealloc` slot.
///
/// # Safety
/// The last reference to `op`, whose class begins with [`Head`], is gone.
pub(super) unsafe fn dying(op: *mut PyObject) {
    // SAFETY: by contract.
    unsafe { gc::dying(op, (*op.cast::<Head>()).weakrefs) }
}

/// When a wait of `timeout` seconds (NULL or None: without end) is over, in nanoseconds of the
/// monotonic clock. The outer None: an exception is set.
///
/// # Safety
/// `timeout` is live or NULL; the GIL is held. May run Python code.
#[inline]
#[expect(
    clippy::option_option,
    reason = "an error and an absent deadline differ"
)]
pub(super) unsafe fn deadline(timeout: *mut PyObject) -> Option<Option<u64>> {
    if !given(timeout) {
        return Some(None);
    }
    // SAFETY: by contract.
    let seconds = unsafe { seconds(timeout)? };
    Some(Some(after(seconds)))
}

/// A timeout in seconds; None within for none. None with an exception set if it is no number.
///
/// # Safety
/// As for [`deadline`].
#[expect(
    clippy::option_option,
    reason = "an error and an absent timeout differ"
)]
pub(super) unsafe fn limit(timeout: *mut PyObject) -> Option<Option<f64>> {
    if !given(timeout) {
        return Some(None);
    }
    // SAFETY: by contract.
    unsafe { seconds(timeout) }.map(Some)
}

/// The moment so many seconds from now.
pub(super) fn after(seconds: f64) -> u64 {
    now().saturating_add(nanos_from_seconds(seconds))
}

/// A deadline that is over.
pub(super) fn passed(deadline: Option<u64>) -> bool {
    deadline.is_some_and(|deadline| deadline <= now())
}

/// Borrowed objects as a new list; NULL with an exception set. They are asked for when the
/// list exists: to make it may run a collection, and that anything.
///
/// # Safety
/// The objects are live; the GIL is held.
pub(super) unsafe fn list_of<I: Iterator<Item = *mut PyObject>>(
    objects: impl FnOnce() -> I,
) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        let list = ffi::PyList_New(0);
        if list.is_null() {
            return list;
        }
        for object in objects() {
            if ffi::PyList_Append(list, object) < 0 {
                ffi::Py_DECREF(list);
                return ptr::null_mut();
            }
        }
        list
    }
}

/// The greenlets of those who wait, as a new list; NULL with an exception set.
///
/// # Safety
/// `waiters` is part of a live object; the GIL is held.
pub(super) unsafe fn greenlets_of(waiters: *const WaiterList<Parked>) -> *mut PyObject {
    // SAFETY: by contract; nothing runs while the list is read.
    unsafe { list_of(|| (*waiters).iter().map(|parked| parked.greenlet().cast())) }
}

/// The bare name of an object's class: `tp_name` holds the module of one made in C.
///
/// # Safety
/// `op` is live; the pointer is good as long as its class is.
pub(super) unsafe fn name(op: *mut PyObject) -> *const c_char {
    // SAFETY: `tp_name` is a C string that lives as long as the type.
    unsafe {
        let name = (*ffi::Py_TYPE(op)).tp_name;
        let bytes = CStr::from_ptr(name).to_bytes();
        name.add(
            bytes
                .iter()
                .rposition(|byte| *byte == b'.')
                .map_or(0, |dot| dot + 1),
        )
    }
}
