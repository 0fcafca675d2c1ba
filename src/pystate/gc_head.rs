//! What the garbage collector notes in front of an object.

use pyo3::ffi::PyObject;

/// Mirror of `PyGC_Head`, the same from 3.10 to 3.15.
#[repr(C)]
struct GcHead {
    next: usize,
    /// The previous object in the list; during a collection a count and flags.
    prev: usize,
}

/// `_PyGC_PREV_MASK_COLLECTING`: the object is in the generation that is being collected, and
/// the collector has not found it reachable so far.
const COLLECTING: usize = 2;

/// Says whether a collection under way is judging this object.
///
/// # Safety
/// Attached; the object is of a type with `Py_TPFLAGS_HAVE_GC`, made by that type's
/// allocation.
#[inline]
pub(crate) unsafe fn being_judged(op: *mut PyObject) -> bool {
    // SAFETY: such an object has a head directly in front of it (_Py_AS_GC), from its
    // allocation until it is freed.
    unsafe { (*op.cast::<GcHead>().sub(1)).prev & COLLECTING != 0 }
}
