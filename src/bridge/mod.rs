//! Between the two worlds: green threads that wait for awaitables, coroutines that wait for
//! green threads.

use pyo3::ffi;
use pyo3::prelude::*;

/// Methods that this layer adds to GreenThread.
pub(crate) fn methods() -> Vec<ffi::PyMethodDef> {
    Vec::new()
}

/// Adds the classes and functions of this layer to the module.
pub(crate) fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
