//! The scanner of the migration kit, for the command line.
//!
//! A layer of its own that knows of no interpreter; here it is only called.

#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;

/// Answer a request of the command line, both as JSON.
///
/// Never raises: what goes wrong is told in the answer.
#[pyfunction]
fn _scan(py: Python<'_>, request: &str) -> String {
    py.detach(|| {
        catch_unwind(AssertUnwindSafe(|| eventlet_scan::handle(request))).unwrap_or_else(|_| {
            r#"{"exit": 2, "out": "", "err": "eventlet-asyncio: internal error, please report it [EA901: docs/reference/errors.md#ea901]\n"}"#
                .to_owned()
        })
    })
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_scan, module)?)
}
