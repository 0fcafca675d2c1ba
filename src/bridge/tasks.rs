//! Which tasks run green coroutines: all of a loop that the hub owns, and elsewhere those made
//! by `spawn_for_awaitable` and by other green coroutines.
//!
//! They are wrapped on their way into the loop's `create_task`, an attribute of the loop's
//! instance: so a task factory that the application sets is called with the wrapped coroutine,
//! and `get_task_factory()` answers as it does without us.

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::coroutine_class;
use super::names::NAMES;
use crate::greenlet::arguments::{named, none};
use crate::greenlet::define::{fast, onearg};
use crate::hub::registry;

static mut ALWAYS: ffi::PyMethodDef = fast(c"create_task", create_always, c"create_task($self, coro, /, **kwargs)\n--\n\nRun a coroutine as a task, in which green calls may block.",
);

static mut CURRENT: ffi::PyMethodDef = fast(c"current_task", current_task, c"current_task($self, /, loop=None)\n--\n\nReturn the running task, or None: in callbacks, and in green code.",
);

/// Most arguments that `create_task` is given.
const MOST: usize = 12;

/// Module functions of this file.
pub(super) fn functions() -> Vec<ffi::PyMethodDef> {
    vec![onearg(c"_green_tasks", green_tasks, c"_green_tasks($module, create_task, /)\n--\n\nReturn a create_task() whose coroutines may make blocking green calls.",
    ), onearg(c"_current_task_beside", current_task_beside, c"_current_task_beside($module, current_task, /)\n--\n\nReturn a current_task() that gives None in green code.",
    )]
}

unsafe extern "C" fn green_tasks(_: *mut PyObject, create_task: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; the definition is never written.
    unsafe { ffi::PyCFunction_NewEx(&raw mut ALWAYS, create_task, ptr::null_mut()) }
}

unsafe extern "C" fn current_task_beside(
    _: *mut PyObject,
    current_task: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as for `green_tasks`.
    unsafe { ffi::PyCFunction_NewEx(&raw mut CURRENT, current_task, ptr::null_mut()) }
}

/// asyncio's own raises RuntimeError where no loop runs, which in green code is always so.
unsafe extern "C" fn current_task(
    own: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; arguments as for a fast function.
    unsafe {
        if count == 0 && names.is_null() && !registry::existing().is_null() {
            let running = crate::imports::visible_loop();
            if running.is_null() {
                return none();
            }
            ffi::Py_DECREF(running);
        }
        ffi::PyObject_Vectorcall(own, args, count as usize, names)
    }
}

unsafe extern "C" fn create_always(
    own: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; arguments as for a fast function.
    unsafe { create(own, args, count, names) }
}

/// Calls the loop's own method with a green coroutine in place of the coroutine.
unsafe fn create(
    own: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: contract of `create_always`.
    unsafe {
        let named = named(names);
        let total = (count + named) as usize;
        let Some(place) = place_of_coroutine(count, named, names).filter(|_| total <= MOST) else {
            return ffi::PyObject_Vectorcall(own, args, count as usize, names);
        };
        match coroutine_class::can_wrap(*args.add(place)) {
            0 => return ffi::PyObject_Vectorcall(own, args, count as usize, names),
            1 => {}
            _ => return ptr::null_mut(),
        }
        let green = coroutine_class::make(*args.add(place));
        if green.is_null() {
            return ptr::null_mut();
        }
        let mut given = [ptr::null_mut(); MOST];
        ptr::copy_nonoverlapping(args, given.as_mut_ptr(), total);
        given[place] = green.cast();
        let task = ffi::PyObject_Vectorcall(own, given.as_ptr(), count as usize, names);
        ffi::Py_DECREF(green.cast());
        task
    }
}

/// Where among the arguments the coroutine is.
unsafe fn place_of_coroutine(
    count: ffi::Py_ssize_t,
    named: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> Option<usize> {
    if count > 0 {
        return Some(0);
    }
    // SAFETY: contract of `create_always`.
    (0..named)
        .find(|&i| unsafe {
            ffi::PyUnicode_Compare(ffi::PyTuple_GET_ITEM(names, i), NAMES.coro) == 0
        })
        .map(|i| i as usize)
}
