//! The contextvars context of the running stack.

use pyo3::ffi::{self, PyObject, PyThreadState};

use super::mirror;

/// The running stack's context, borrowed; NULL if it has none yet.
///
/// # Safety
/// `ts` is the calling thread's state, attached; `check` succeeded.
pub(crate) unsafe fn current_context(ts: *mut PyThreadState) -> *mut PyObject {
    // SAFETY: P1 (see the layer's module).
    unsafe { mirror(ts).context }
}

/// Replaces the running stack's context.
///
/// # Runs Python
/// Finalizers of what only the old context held.
///
/// # Safety
/// As `current_context`; `context` is an owned reference or NULL.
#[inline]
pub(crate) unsafe fn set_current_context(ts: *mut PyThreadState, context: *mut PyObject) {
    // SAFETY: P1; the reference is not used after this block.
    let old = unsafe {
        let ts = mirror(ts);
        // Variables cache their value together with this number.
        ts.context_ver = ts.context_ver.wrapping_add(1);
        std::mem::replace(&mut ts.context, context)
    };
    // SAFETY: the thread state owned it.
    unsafe { ffi::Py_XDECREF(old) };
}
