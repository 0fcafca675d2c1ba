//! Exceptions being handled, as CPython keeps them since 3.11.

use std::ptr;

use pyo3::ffi::PyObject;

/// Mirror of `_PyErr_StackItem`: one `except` block's worth of a function or generator.
///
/// Items form a chain from the innermost one to the bottom of the stack.
#[repr(C)]
pub(super) struct ExcItem {
    pub(super) exc_value: *mut PyObject,
    pub(super) previous_item: *mut ExcItem,
}

impl ExcItem {
    pub(super) const EMPTY: Self = Self {
        exc_value: ptr::null_mut(),
        previous_item: ptr::null_mut(),
    };

    /// The references this item owns.
    pub(super) fn values(&self) -> [*mut PyObject; 1] {
        [self.exc_value]
    }
}
