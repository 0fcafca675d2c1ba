//! Names and asyncio objects that the bridge needs often.

use std::ptr;

use once_cell::sync::OnceCell;
use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

macro_rules! names {
    ($($name:ident $text:literal)*) => {
        /// Interned strings; NULL until [`init`].
        pub(super) struct Names { $(pub(super) $name: *mut PyObject,)* }

        pub(super) static mut NAMES: Names = Names { $($name: ptr::null_mut(),)* };

        /// Interns the names.
        ///
        /// # Safety
        /// Called once with the GIL held.
        pub(super) unsafe fn init() {
            // SAFETY: by contract; the literals end with NUL.
            unsafe { $(NAMES.$name = ffi::PyUnicode_InternFromString($text.as_ptr());)* }
        }
    };
}

names! {
    add_done_callback c"add_done_callback"
    call_soon c"call_soon"
    call_soon_threadsafe c"call_soon_threadsafe"
    cancel c"cancel"
    create_task c"create_task"
    fut_waiter c"_fut_waiter"
    coroutine c"_coro"
    get_loop c"get_loop"
    green_step c"_green_step"
    get_task_factory c"get_task_factory"
    is_closed c"is_closed"
    blocking c"_asyncio_future_blocking"
    cancelled c"cancelled"
    cancelling c"cancelling"
    close c"close"
    coro c"coro"
    cr_await c"cr_await"
    create_future c"create_future"
    done c"done"
    exception c"_exception"
    name c"__name__"
    outcome c"_result"
    qualname c"__qualname__"
    set_result c"set_result"
    throw c"throw"
    uncancel c"uncancel"
    value c"value"
    result c"result"
}

/// What is looked up in asyncio when it is first needed.
pub(super) struct Asyncio {
    pub(super) cancelled_error: Py<PyAny>,
    pub(super) invalid_state: Py<PyAny>,
    pub(super) is_coroutine: Py<PyAny>,
    pub(super) is_future: Py<PyAny>,
    pub(super) ensure_future: Py<PyAny>,
    pub(super) current_task: Py<PyAny>,
    pub(super) set_running: Py<PyAny>,
    /// ("loop",): the names of `ensure_future`'s.
    pub(super) loop_name: Py<PyAny>,
    /// ("context",): the names of `call_soon`'s named arguments.
    pub(super) context_name: Py<PyAny>,
}

static ASYNCIO: OnceCell<Asyncio> = OnceCell::new();

/// asyncio's objects; None with an exception set if they cannot be had.
pub(super) fn asyncio() -> Option<&'static Asyncio> {
    if let Some(found) = ASYNCIO.get() {
        return Some(found);
    }
    look_up()
}

#[cold]
fn look_up() -> Option<&'static Asyncio> {
    Python::attach(|py| match import(py) {
        Ok(found) => Some(ASYNCIO.get_or_init(|| found)),
        Err(error) => {
            error.restore(py);
            None
        }
    })
}

fn import(py: Python<'_>) -> PyResult<Asyncio> {
    let exceptions = py.import("asyncio.exceptions")?;
    let futures = py.import("asyncio.futures")?;
    let tasks = py.import("asyncio.tasks")?;
    Ok(Asyncio {
        cancelled_error: exceptions.getattr("CancelledError")?.unbind(),
        invalid_state: exceptions.getattr("InvalidStateError")?.unbind(),
        is_coroutine: py
            .import("asyncio.coroutines")?
            .getattr("iscoroutine")?
            .unbind(),
        is_future: futures.getattr("isfuture")?.unbind(),
        ensure_future: tasks.getattr("ensure_future")?.unbind(),
        current_task: tasks.getattr("current_task")?.unbind(),
        set_running: py
            .import("asyncio.events")?
            .getattr("_set_running_loop")?
            .unbind(),
        loop_name: ("loop",).into_pyobject(py)?.into_any().unbind(),
        context_name: ("context",).into_pyobject(py)?.into_any().unbind(),
    })
}
