//! Synchronisation primitives of green threads, each over a `sched::WaiterList`.

use pyo3::prelude::*;

/// Adds the classes of this layer to the module.
pub(crate) fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
