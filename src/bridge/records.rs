//! Records of the coroutines of tasks, by coroutine: what outlasts a step.
//!
//! Most steps leave nothing behind, so a step that finds no record takes a spare one. It is
//! listed only if somebody has come to know it: the green thread that stands for the task, or
//! what the task waits for while it is in a green call.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ptr;

use once_cell::sync::OnceCell;
use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::coroutine::{Coroutine, State};
use super::coroutine_class;

/// Addresses are distinct enough, but for the bits that alignment leaves at zero.
#[derive(Default)]
struct Address(u64);

impl Hasher for Address {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_usize(&mut self, address: usize) {
        self.0 = (address as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

type Records = HashMap<usize, *mut Coroutine, BuildHasherDefault<Address>>;

/// Borrowed: a record takes itself out when it dies. Touched with the GIL held, and never while
/// Python code runs.
static mut RECORDS: OnceCell<Records> = OnceCell::new();

/// Owned or NULL: a record without work.
static mut SPARE: *mut Coroutine = ptr::null_mut();

fn cell() -> *mut OnceCell<Records> {
    &raw mut RECORDS
}

unsafe fn records() -> *mut Records {
    // SAFETY: the GIL is held by the callers; a borrow ends before Python code runs.
    unsafe {
        (*cell()).get_or_init(Records::default);
        (*cell()).get_mut().map_or(ptr::null_mut(), ptr::from_mut)
    }
}

/// The listed record of a coroutine (borrowed), or NULL.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(super) unsafe fn find(inner: *mut PyObject) -> *mut Coroutine {
    // SAFETY: by contract.
    unsafe {
        let records = records();
        if (*records).is_empty() {
            return ptr::null_mut();
        }
        let found = (*records).get(&(inner as usize));
        found.copied().unwrap_or(ptr::null_mut())
    }
}

/// The record of a coroutine (owned) for a step, listed or not; NULL with an exception set.
///
/// # Safety
/// `inner` is a coroutine (borrowed); the GIL is held.
#[inline]
pub(super) unsafe fn take(inner: *mut PyObject) -> *mut Coroutine {
    // SAFETY: by contract.
    unsafe {
        let found = find(inner);
        if !found.is_null() {
            ffi::Py_INCREF(found.cast());
            return found;
        }
        let spare = SPARE;
        SPARE = ptr::null_mut();
        if spare.is_null() {
            let made = coroutine_class::make(inner);
            if !made.is_null() {
                // Until it is listed, only its step knows it.
                ffi::PyObject_GC_UnTrack(made.cast());
            }
            return made;
        }
        (*spare).inner = ffi::Py_NewRef(inner);
        (*spare).state = State::Idle;
        spare
    }
}

/// Gives a record back (owned) after a step: nobody else knows it, or it is listed.
///
/// # Safety
/// The GIL is held. Runs Python code if the coroutine dies.
#[inline]
pub(super) unsafe fn give_back(w: *mut Coroutine) {
    // SAFETY: by contract; pointers are taken out before they are released.
    unsafe {
        if ffi::Py_REFCNT(w.cast()) == 1 && !(*w).listed && (*w).is_blank() {
            let inner = std::mem::replace(&mut (*w).inner, ptr::null_mut());
            if SPARE.is_null() {
                SPARE = w;
            } else {
                (*w).state = State::Done;
                ffi::Py_DECREF(w.cast());
            }
            ffi::Py_DECREF(inner);
            return;
        }
        if (*w).state != State::Done {
            list(w);
        }
        ffi::Py_DECREF(w.cast());
    }
}

/// Has the next step of its coroutine find the record.
///
/// # Safety
/// The GIL is held; `w` is live and its coroutine's only record.
pub(super) unsafe fn list(w: *mut Coroutine) {
    // SAFETY: by contract.
    unsafe {
        if !(*w).listed {
            (*w).listed = true;
            ffi::PyObject_GC_Track(w.cast());
            (*records()).insert((*w).inner as usize, w);
        }
    }
}

/// Undoes [`list`].
///
/// # Safety
/// The GIL is held; the record has its coroutine still.
#[inline]
pub(super) unsafe fn unlist(w: *mut Coroutine) {
    // SAFETY: by contract.
    unsafe {
        if std::mem::replace(&mut (*w).listed, false) {
            ffi::PyObject_GC_UnTrack(w.cast());
            (*records()).remove(&((*w).inner as usize));
        }
    }
}
