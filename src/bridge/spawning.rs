//! `spawn_for_awaitable`: finds or makes the asyncio future for something to await, and has a
//! green thread stand for it.

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::awaiting;
use super::coroutine::{Coroutine, State};
use super::names::{NAMES, asyncio};
use super::{coroutine_class, face, records};
use crate::greenlet::define::onearg;
use crate::greenlet::{self, thread};
use crate::greenthread::GreenThread;
use crate::hub::{Core, looping, registry};

/// Module functions of this file.
pub(super) fn functions() -> Vec<ffi::PyMethodDef> {
    vec![onearg(c"spawn_for_awaitable", spawn_for_awaitable, c"spawn_for_awaitable($module, awaitable, /)\n--\n\nRun a coroutine, or wait for a future, in asyncio; return a GreenThread for it.\n\nIts wait() gives the outcome, its kill() cancels the task. A coroutine sees the context\nvariables of the caller. Not a switch point.\n\nRaises:\n    TypeError: For what cannot be awaited.\n    RuntimeError: On a hub without asyncio.",
    )]
}

unsafe extern "C" fn spawn_for_awaitable(
    _: *mut PyObject,
    awaitable: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let core = registry::hub();
        if core.is_null() {
            return ptr::null_mut();
        }
        Python::attach(|py| match spawn(py, core, awaitable) {
            Ok(g) => g.cast(),
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        })
    }
}

unsafe fn spawn(
    py: Python<'_>,
    core: *mut Core,
    awaitable: *mut PyObject,
) -> PyResult<*mut GreenThread> {
    // SAFETY: contract of `spawn_for_awaitable`.
    unsafe {
        let Some(event_loop) = looping::event_loop(py, core)? else {
            awaiting::set_hub_error();
            return Err(PyErr::fetch(py));
        };
        let (work, coroutine) = work_for(py, &event_loop, awaitable)?;
        let w: *mut Coroutine = coroutine
            .as_ref()
            .map_or(ptr::null_mut(), |w| w.as_ptr().cast());
        if !w.is_null() && !(*w).face.is_null() {
            // An eager task: its first step has asked for it already.
            let g = (*w).face;
            (*g).onlooker = false;
            greenlet::incref(g.cast());
            return Ok(g);
        }
        let g = awaiting::make(py, core, Some((&event_loop, &work)))?;
        if !w.is_null() && (*w).state != State::Done {
            greenlet::incref(g.cast());
            face::put_on(w, g, work.into_ptr());
        }
        Ok(g)
    }
}

/// The future that does the work: a task of `event_loop`, with the green coroutine that it
/// steps, or the future that was given.
unsafe fn work_for<'py>(
    py: Python<'py>,
    event_loop: &Bound<'py, PyAny>,
    awaitable: *mut PyObject,
) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>)> {
    // SAFETY: contract of `spawn_for_awaitable`.
    unsafe {
        let Some(asyncio) = asyncio() else {
            return Err(PyErr::fetch(py));
        };
        let awaitable: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, awaitable);
        if ffi::PyCoro_CheckExact(awaitable.as_ptr()) == 0 {
            if one_argument(asyncio.is_future.bind(py), &awaitable)?.is_truthy()? {
                return Ok((awaitable, None));
            }
            if !one_argument(asyncio.is_coroutine.bind(py), &awaitable)?.is_truthy()? {
                // Wraps what has __await__, and refuses the rest with a TypeError.
                return with_loop(event_loop, || {
                    let (function, positional) = (
                        asyncio.ensure_future.as_ptr(),
                        [awaitable.as_ptr(), event_loop.as_ptr()],
                    );
                    let work = ffi::PyObject_Vectorcall(
                        function,
                        positional.as_ptr(),
                        1,
                        asyncio.loop_name.as_ptr(),
                    );
                    Bound::from_owned_ptr_or_err(py, work)
                })
                .map(|work| (work, None));
            }
        }
        let is_own = ffi::PyCoro_CheckExact(awaitable.as_ptr()) != 0;
        let coroutine: Bound<'_, PyAny> = if is_own {
            let record = records::take(awaitable.as_ptr());
            let record = Bound::from_owned_ptr_or_err(py, record.cast())?;
            records::list(record.as_ptr().cast());
            record
        } else if coroutine_class::check(awaitable.as_ptr()) {
            awaitable.clone()
        } else {
            let coroutine = coroutine_class::make(awaitable.as_ptr());
            Bound::from_owned_ptr_or_err(py, coroutine.cast())?
        };
        let given = if is_own { &awaitable } else { &coroutine };
        let task = with_loop(event_loop, || {
            let task = ffi::PyObject_CallMethodOneArg(
                event_loop.as_ptr(),
                NAMES.create_task,
                given.as_ptr(),
            );
            Bound::from_owned_ptr_or_err(py, task)
        })?;
        Ok((task, Some(coroutine)))
    }
}

/// `function(argument)`; raises where an allocation fails.
fn one_argument<'py>(
    function: &Bound<'py, PyAny>,
    argument: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: both are live; the GIL is held, as they show.
    unsafe {
        let result = ffi::PyObject_CallOneArg(function.as_ptr(), argument.as_ptr());
        Bound::from_owned_ptr_or_err(function.py(), result)
    }
}

/// Makes a task. A task factory may be an eager one, which runs the coroutine's first step at
/// once: so the loop is visible meanwhile. Green calls that block are refused unless the
/// coroutine is a green one.
unsafe fn with_loop<'py>(
    event_loop: &Bound<'py, PyAny>,
    create: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    // SAFETY: contract of `spawn_for_awaitable`; the running greenlet is the same before and
    // after, since it is marked as one that must not switch.
    unsafe {
        let factory = ffi::PyObject_CallMethodNoArgs(event_loop.as_ptr(), NAMES.get_task_factory);
        let factory = Bound::from_owned_ptr_or_err(py, factory)?;
        if factory.is_none() {
            return create();
        }
        let visible = crate::imports::visible_loop();
        if !visible.is_null() {
            ffi::Py_DECREF(visible);
            return create();
        }
        let Some(asyncio) = asyncio() else {
            return Err(PyErr::fetch(py));
        };
        let set_running = asyncio.set_running.bind(py);
        let me = (*thread::this()).current;
        one_argument(set_running, event_loop)?;
        let marked = std::mem::replace(&mut (*me).in_loop, true);
        let task = create();
        (*me).in_loop = marked;
        one_argument(set_running, &py.None().into_bound(py))?;
        task
    }
}
