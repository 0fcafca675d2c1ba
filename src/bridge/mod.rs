//! Between the two worlds: green threads that wait for awaitables, coroutines that wait for
//! green threads.
//!
//! - `await green_thread` gives the task a [`future`]: an object of its own, since asyncio's
//!   Future ends at once when it is cancelled, while a green thread that is killed has
//!   cleaning up to do before its awaiter may go on.
//! - `spawn_for_awaitable` makes a green thread without a stack ([`awaiting`]): the work is
//!   done by an asyncio task, and its outcome becomes the green thread's.
//! - Coroutines of our tasks may make blocking green calls: [`coroutine`] steps them on stacks
//!   of their own, which [`stepper`] lends; [`face`] is whom their code takes itself for, and
//!   [`tasks`] sees to it that tasks are made of them.
//!
//! Whatever crosses OS threads goes through the hub's inbox in one direction and
//! `call_soon_threadsafe` in the other.

pub(crate) mod awaiting;
mod cancel;
mod class;
mod coroutine;
mod coroutine_class;
mod cycle;
mod face;
pub(crate) mod future;
mod hooks;
mod names;
mod records;
mod spawning;
mod stepper;
mod tasks;
mod waking;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::greenlet::define::slot;

/// Slots that this layer adds to GreenThread.
pub(crate) fn slots() -> Vec<ffi::PyType_Slot> {
    vec![slot(
        ffi::Py_am_await,
        future::await_green_thread as *mut std::ffi::c_void,
    )]
}

/// Functions that this layer adds to the module.
pub(crate) fn functions() -> Vec<ffi::PyMethodDef> {
    let mut functions = spawning::functions();
    functions.extend(future::functions());
    functions.extend(tasks::functions());
    functions.extend(hooks::functions());
    functions
}

/// Adds the classes of this layer to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // SAFETY: called once, with the GIL held, when the module is initialised.
    unsafe {
        names::init();
        face::init();
        if class::init().is_err() || coroutine_class::init().is_err() {
            return Err(PyErr::fetch(module.py()));
        }
        let class = Bound::from_borrowed_ptr(module.py(), class::future_type().cast());
        module.add("GreenFuture", class)?;
        let class = Bound::from_borrowed_ptr(module.py(), coroutine_class::coroutine_type().cast());
        module.add("GreenCoroutine", class)
    }
}
