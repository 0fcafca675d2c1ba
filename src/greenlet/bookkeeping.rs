//! The module `greenlet._greenlet`, greenlet's extension module: no part of greenlet's public
//! API, but profilers look there for what is public (see `module.rs`), and greenlet's own
//! test suite for bookkeeping.
//!
//! Native, so that its dictionary is in no cycle and goes with the module at shutdown.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::thread;

static CLEANUP: AtomicBool = AtomicBool::new(true);

/// Choose what `get_clocks_used_doing_optional_cleanup` answers.
#[pyfunction]
fn enable_optional_cleanup(enabled: bool) {
    CLEANUP.store(enabled, Ordering::Relaxed);
}

/// Return 0, since stacks of ended threads are found without a search, or None.
#[pyfunction]
fn get_clocks_used_doing_optional_cleanup() -> Option<u64> {
    CLEANUP.load(Ordering::Relaxed).then_some(0)
}

/// Return how many greenlets wait for their own thread to end them.
#[pyfunction]
fn get_pending_cleanup_count() -> usize {
    thread::counts().1
}

/// Return how many threads have a main greenlet.
#[pyfunction]
fn get_total_main_greenlets() -> usize {
    thread::counts().0
}

/// Return 0: nested deallocations are saved with each stack.
#[pyfunction]
fn get_tstate_trash_delete_nesting() -> usize {
    0
}

/// Put an object into the dictionary of the running thread's state.
#[pyfunction]
fn set_thread_local(key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: the GIL is held; the dictionary is borrowed from the thread state.
    let dict = unsafe { ffi::PyThreadState_GetDict() };
    if dict.is_null() {
        return Err(PyRuntimeError::new_err("this thread has no state"));
    }
    // SAFETY: as above; both objects are live.
    if unsafe { ffi::PyDict_SetItem(dict, key.as_ptr(), value.as_ptr()) } < 0 {
        return Err(PyErr::fetch(key.py()));
    }
    Ok(())
}

/// Makes the module.
pub(crate) fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let module = PyModule::new(py, "greenlet._greenlet")?;
    module.add_function(wrap_pyfunction!(enable_optional_cleanup, &module)?)?;
    module.add_function(wrap_pyfunction!(
        get_clocks_used_doing_optional_cleanup,
        &module
    )?)?;
    module.add_function(wrap_pyfunction!(get_pending_cleanup_count, &module)?)?;
    module.add_function(wrap_pyfunction!(get_total_main_greenlets, &module)?)?;
    module.add_function(wrap_pyfunction!(get_tstate_trash_delete_nesting, &module)?)?;
    module.add_function(wrap_pyfunction!(set_thread_local, &module)?)?;
    module.add("CLOCKS_PER_SEC", 1_000_000)?;
    // No capsule: an extension that needs greenlet's C API says so.
    module.add("_C_API", module.py().None())?;
    for built_with in [
        "GREENLET_USE_CONTEXT_VARS",
        "GREENLET_USE_GC",
        "GREENLET_USE_STANDARD_THREADING",
        "GREENLET_USE_TRACING",
    ] {
        module.add(built_with, true)?;
    }
    Ok(module)
}
