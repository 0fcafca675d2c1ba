//! `spawn()`, `spawn_n()`, `spawn_after()`, `sleep()`.

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::{GreenThread, SPAWNED, class};
use crate::error::raise_new;
use crate::greenlet::arguments::{arguments, collect, named, seconds};
use crate::greenlet::define::{Fast, fast};
use crate::greenlet::hook::Hook;
use crate::greenlet::{self, Greenlet, Inbound, Kind, class as greenlet_class, thread};
use crate::hub::{Core, Due, Ready, make_ready, park, registry, run};
use crate::reactor::now;
use crate::sched::nanos_from_seconds;

/// Whether new green threads start in a copy of the spawner's context; see
/// `EVENTLET_ASYNCIO_CONTEXT`.
static mut COPY_CONTEXT: bool = true;

/// Called with each new green thread.
static SPAWNING: Hook = Hook::new();

/// Have a function called with each green thread that is spawned, by its spawner; None for none.
///
/// For tests, which want to know who made what is left over. What it raises is reported as
/// unraisable. It must not switch.
#[pyfunction]
pub(crate) fn _set_spawn_hook(hook: Option<Py<PyAny>>) {
    SPAWNING.set(hook);
}

#[cold]
unsafe fn tell_hook(green: *mut PyObject) {
    // SAFETY: the callers hold the GIL and a reference to the green thread.
    Python::attach(|py| unsafe {
        let green = Bound::from_borrowed_ptr(py, green);
        if let Some(hook) = SPAWNING.get(py)
            && let Err(error) = hook.call1((green,))
        {
            error.write_unraisable(py, Some(&hook));
        }
    });
}

/// Chooses the context of new green threads: a copy of the spawner's, or an empty one.
pub(crate) fn set_copy_context(copy: bool) {
    // SAFETY: called with the GIL held, when the package is imported.
    unsafe { COPY_CONTEXT = copy }
}

/// The module functions of this file.
pub(crate) fn functions() -> Vec<ffi::PyMethodDef> {
    vec![
        fast(c"spawn", spawn, c"spawn($module, func, *args, **kwargs)\n--\n\nRun func(*args, **kwargs) in a new green thread; return the GreenThread.\n\nIt starts when the caller next waits. Not a switch point."),
        fast(c"spawn_n", spawn_n, c"spawn_n($module, func, *args, **kwargs)\n--\n\nLike spawn(), without an outcome to wait for; return the greenlet."),
        fast(c"spawn_after", spawn_after, c"spawn_after($module, seconds, func, *args, **kwargs)\n--\n\nLike spawn(), but start after the given number of seconds. cancel() withdraws it."),
        fast(c"sleep", sleep, c"sleep($module, /, seconds=0)\n--\n\nLet others run for at least the given number of seconds.\n\n0 yields to everything that is ready. Always a switch point."),
        fast(c"kill", super::kill::kill_function, c"kill($module, g, /, *throw_args)\n--\n\nRaise GreenletExit, or the given exception, in a green thread. A switch point."),
        fast(c"cancel", super::kill::cancel_function, c"cancel($module, g, /, *throw_args)\n--\n\nKill a green thread that has not started yet; otherwise do nothing."),
    ]
}

/// A GreenThread that will call args[0](*args[1:], **names), not yet scheduled.
///
/// # Safety
/// Arguments as CPython passes them to a fast function.
unsafe fn prepare(
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut GreenThread {
    // SAFETY: by contract; everything stored is owned.
    unsafe {
        let Some(Inbound::Call(tuple, dict)) = collect(args.add(1), count - 1, names) else {
            return ptr::null_mut();
        };
        let me = class::alloc(class::green_thread_type());
        if me.is_null() {
            ffi::Py_DECREF(tuple);
            ffi::Py_XDECREF(dict);
            return ptr::null_mut();
        }
        (*me).function = ffi::Py_NewRef(*args);
        (*me).args = tuple;
        (*me).kwargs = dict;
        (*me).scheduled = true;
        if !settle_in(me.cast()) {
            ffi::Py_DECREF(me.cast());
            return ptr::null_mut();
        }
        me
    }
}

/// Makes a New greenlet one of this OS thread's hub, in the context it starts in. False with
/// an exception set.
///
/// Making a greenlet and a context may collect, and so run anything: the hub is looked up
/// after the one, and by the callers after the other.
unsafe fn settle_in(g: *mut Greenlet) -> bool {
    // SAFETY: the GIL is held; `g` is New and was just allocated.
    unsafe {
        let thread = thread::existing();
        let core: *mut Core = registry::existing();
        let parent = if core.is_null() || (*core).greenlet.is_null() {
            (*thread).main
        } else {
            (*core).greenlet
        };
        greenlet_class::adopt(g, thread, parent);
        if SPAWNING.is_set() {
            tell_hook(g.cast());
        }
        if COPY_CONTEXT {
            (*g).context = ffi::PyContext_CopyCurrent();
            return !(*g).context.is_null();
        }
        true
    }
}

/// Calls `function` again with the parameters in `wanted` by position: some were given by name.
///
/// # Safety
/// Arguments as CPython passes them to a fast function; fewer than `wanted` are positional.
#[cold]
unsafe fn by_name(
    function: Fast,
    wanted: &[&CStr],
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: by contract; the vector borrows references that the caller of the caller holds.
    unsafe {
        let given = count.unsigned_abs();
        let named = named(names).unsigned_abs();
        let mut values = std::slice::from_raw_parts(args, given).to_vec();
        let mut rest = Vec::new();
        for parameter in &wanted[given..] {
            let place = (0..named).find(|&at| is_named(names, at, parameter));
            let Some(place) = place else {
                return raise_new(
                    ffi::PyExc_TypeError,
                    c"missing argument: the function to run in the green thread",
                );
            };
            values.push(*args.add(given + place));
        }
        for at in 0..named {
            if !wanted[given..].iter().any(|name| is_named(names, at, name)) {
                values.push(*args.add(given + at));
                rest.push(at);
            }
        }
        let left = ffi::PyTuple_New(rest.len().cast_signed());
        if left.is_null() {
            return ptr::null_mut();
        }
        for (to, from) in rest.into_iter().enumerate() {
            let name = ffi::PyTuple_GET_ITEM(names, from.cast_signed());
            ffi::PyTuple_SET_ITEM(left, to.cast_signed(), ffi::Py_NewRef(name));
        }
        let count = wanted.len().cast_signed();
        let result = function(ptr::null_mut(), values.as_ptr(), count, left);
        ffi::Py_DECREF(left);
        result
    }
}

/// Hands `g`, which the caller owns, to the hub with a reference of its own, and returns it.
unsafe fn schedule(g: *mut Greenlet, hand: impl FnOnce(*mut Core)) -> *mut PyObject {
    // SAFETY: the GIL is held by the callers.
    unsafe {
        let core = registry::hub();
        if core.is_null() {
            greenlet::decref(g);
            return ptr::null_mut();
        }
        greenlet::incref(g);
        hand(core);
        g.cast()
    }
}

/// Whether the keyword at a place has this name.
unsafe fn is_named(names: *mut PyObject, at: usize, name: &CStr) -> bool {
    // SAFETY: the GIL is held by the callers; `names` is a tuple of strings, longer than `at`.
    unsafe {
        let keyword = ffi::PyTuple_GET_ITEM(names, at.cast_signed());
        ffi::PyUnicode_CompareWithASCIIString(keyword, name.as_ptr()) == 0
    }
}

unsafe extern "C" fn spawn(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if count < 1 {
            return by_name(spawn, &[c"func"], args, count, names);
        }
        if registry::hub().is_null() {
            return ptr::null_mut();
        }
        let me = prepare(args, count, names);
        if me.is_null() {
            return ptr::null_mut();
        }
        schedule(me.cast(), |core| {
            make_ready(core, Ready::Start(me.cast()));
        })
    }
}

unsafe extern "C" fn spawn_n(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if count < 1 {
            return by_name(spawn_n, &[c"func"], args, count, names);
        }
        if registry::hub().is_null() {
            return ptr::null_mut();
        }
        let Some(call) = collect(args.add(1), count - 1, names) else {
            return ptr::null_mut();
        };
        let g = greenlet_class::alloc(greenlet_class::greenlet_type());
        if g.is_null() {
            call.discard();
            return ptr::null_mut();
        }
        (*g).inbound = call;
        (*g).run = ffi::Py_NewRef(*args);
        (*g).kind = Kind::Scheduled;
        (*g).hooks = &raw const SPAWNED;
        if !settle_in(g) {
            greenlet::decref(g);
            return ptr::null_mut();
        }
        schedule(g, |core| make_ready(core, Ready::Start(g)))
    }
}

unsafe extern "C" fn spawn_after(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if count < 2 {
            return by_name(spawn_after, &[c"seconds", c"func"], args, count, names);
        }
        let Some(seconds) = seconds(*args) else {
            return ptr::null_mut();
        };
        if registry::hub().is_null() {
            return ptr::null_mut();
        }
        let me = prepare(args.add(1), count - 1, names);
        if me.is_null() {
            return ptr::null_mut();
        }
        schedule(me.cast(), |core| {
            if seconds > 0.0 {
                let deadline = now().saturating_add(nanos_from_seconds(seconds));
                (*me).timer = Some(run::add_timer(core, deadline, Due::Start(me.cast())));
            } else {
                // As for timers of the hub: due already, so behind what is ready now.
                make_ready(core, Ready::Start(me.cast()));
            }
        })
    }
}

unsafe extern "C" fn sleep(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let Some([given]) = arguments(c"sleep", [c"seconds"], 0, args, count, names) else {
            return ptr::null_mut();
        };
        let seconds = if given.is_null() {
            0.0
        } else {
            let Some(seconds) = seconds(given) else {
                return ptr::null_mut();
            };
            seconds
        };
        park::sleep(seconds)
    }
}
