//! What runs the turns: an asyncio loop (owned or adopted), the reactor's own poll, or
//! `wait()` of a Python hub.
//!
//! The asyncio side is in `looping`.
//!
//! One way to ask for a turn, from a callback, a signal handler or another OS thread:
//! wake the reactor. Its descriptor is a reader of the event loop, so the loop calls
//! `looping::asyncio_turn` wherever it sleeps; `call_soon` would not wake a loop from a signal
//! handler. A loop that sleeps in a `selector` of ours looks at the hub before it does: in its own
//! OS thread nothing has to be woken.

use std::ptr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyAny;

pub(crate) use super::looping::attach_to_running;
use super::looping::{idle, run_loop};
use super::{Core, Driver, Due, blocking, rehearsal, timer, turn};
use crate::error::raise_new;
use crate::greenlet::{self, Greenlet, Kind, Phase, class, errors, life};
use crate::reactor::now;
use crate::sched::TimerKey;

/// Longest sleep of a hub with nothing to do, in nanoseconds.
const IDLE_NANOS: u64 = 60_000_000_000;

/// Sees to it that a turn comes soon, wherever the loop is now.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held. Called outside a turn.
pub(super) unsafe fn request_turn(core: *mut Core) {
    // SAFETY: by contract.
    unsafe {
        if attach_to_running(core) {
            wake_loop(core);
        }
    }
}

/// What of [`request_turn`] runs no Python code: for a hub that is attached to its loop.
///
/// # Safety
/// As for [`request_turn`].
pub(crate) unsafe fn wake_loop(core: *mut Core) {
    // SAFETY: by contract.
    unsafe {
        if !(*core).turn_requested {
            (*core).turn_requested = true;
            if (*core).looping.selector.is_none() {
                (*core).waker.wake();
            }
        }
    }
}

/// Adds a timer; a loop that sleeps until later is told.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held; `due` is owned.
#[inline]
pub(crate) unsafe fn add_timer(core: *mut Core, deadline: u64, due: Due) -> TimerKey {
    // SAFETY: by contract.
    unsafe {
        let key = (*core).timers.insert(deadline, due);
        if !(*core).in_turn && deadline < (*core).looping.scheduled {
            request_turn(core);
        }
        if timer::recording() {
            timer::record(core, key);
        }
        key
    }
}

/// Whether the running greenlet is the one whose stack the event loop runs on, outside a
/// turn: in a coroutine or a callback.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held.
pub(super) unsafe fn on_the_loop(core: *mut Core) -> bool {
    // SAFETY: by contract.
    unsafe {
        let me = (*(*core).thread).current;
        if me == (*core).greenlet {
            return true;
        }
        if (*core).driver != Driver::Asyncio {
            return false;
        }
        let running = crate::imports::visible_loop();
        if running.is_null() {
            return false;
        }
        ffi::Py_DECREF(running);
        (*core).runner.is_null() || (*core).runner == me
    }
}

/// Who runs the turns, for a greenlet that wants to leave outside a turn: the runner of a loop
/// that runs, else the hub greenlet. NULL with an exception if blocking is impossible here,
/// and without one if the call blocks the loop: see [`blocking`].
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held. Runs Python code. After NULL, `core` must
/// not be used: it may have been replaced and freed.
#[cold]
pub(crate) unsafe fn enter_runner(core: *mut Core) -> *mut Greenlet {
    // SAFETY: by contract; the object, and with it the core, is held while Python code runs.
    unsafe {
        let object = ffi::Py_NewRef((*core).object);
        let mut runner = find_runner(core);
        if !runner.is_null() && ((*core).closed || (*runner).phase != Phase::Active) {
            hub_has_gone();
            runner = ptr::null_mut();
        }
        if runner.is_null() {
            let error = errors::take_raised();
            ffi::Py_DECREF(object);
            if !error.is_null() {
                errors::raise(error);
            }
        } else {
            // The thread's record holds the object of a hub that is open.
            ffi::Py_DECREF(object);
        }
        runner
    }
}

/// Raises the error for a wait whose hub was closed by what ran when it began.
#[cold]
fn hub_has_gone() {
    // SAFETY: called with the GIL held.
    unsafe {
        raise_new(
            ffi::PyExc_RuntimeError,
            c"the hub of this OS thread was closed while a green thread began to wait: wait again",
        );
    }
}

/// See [`enter_runner`], which checks what this has found.
unsafe fn find_runner(core: *mut Core) -> *mut Greenlet {
    // SAFETY: contract of `enter_runner`.
    unsafe {
        let me = (*(*core).thread).current;
        if (*core).in_turn {
            return raise_new(
                ffi::PyExc_RuntimeError,
                c"Cannot switch to MAINLOOP from MAINLOOP: a callback of the hub must not block; \
                  let it spawn a green thread that does",
            )
            .cast();
        }
        if (*core).driver == Driver::Asyncio {
            let running = crate::imports::visible_loop();
            if !running.is_null() {
                ffi::Py_DECREF(running);
                let runner = (*core).runner;
                if !runner.is_null() && runner != me && (*runner).phase == Phase::Active {
                    return runner;
                }
                return blocking::refuse();
            }
        }
        if !ensure_greenlet(core) {
            return ptr::null_mut();
        }
        let hub_greenlet = (*core).greenlet;
        if hub_greenlet == me {
            return raise_new(
                ffi::PyExc_RuntimeError,
                c"Cannot switch to MAINLOOP from MAINLOOP",
            )
            .cast();
        }
        if (*hub_greenlet).phase == Phase::New
            && let Err(error) = life::start(hub_greenlet)
        {
            errors::raise(error);
            return ptr::null_mut();
        }
        hub_greenlet
    }
}

/// Makes a new hub greenlet if there is none or it has died; the dead one hands what still
/// comes to it to the new one. False with an exception set on failure. The hub's object is
/// held by the caller.
pub(crate) unsafe fn ensure_greenlet(core: *mut Core) -> bool {
    // SAFETY: contract of `enter_runner`; the main greenlet lives as long as its thread.
    unsafe {
        let former = (*core).greenlet;
        if !former.is_null() && (*former).phase != Phase::Dead {
            return true;
        }
        let run = ffi::PyObject_GetAttrString((*core).object, c"run".as_ptr());
        if run.is_null() {
            return false;
        }
        let g = class::alloc(class::greenlet_type());
        if g.is_null() {
            ffi::Py_DECREF(run);
            return false;
        }
        if (*core).closed || (*core).greenlet != former {
            // What has run meanwhile has closed the hub, or made one already.
            ffi::Py_DECREF(run);
            greenlet::decref(g);
            if (*core).closed {
                hub_has_gone();
                return false;
            }
            return ensure_greenlet(core);
        }
        debug_assert!((*g).kind == Kind::Plain);
        (*g).run = run;
        let thread = (*core).thread;
        class::adopt(g, thread, (*thread).main);
        (*core).greenlet = g;
        if !former.is_null() {
            greenlet::incref(g);
            greenlet::decref(std::mem::replace(&mut (*former).parent, g));
            greenlet::decref(former);
        }
        true
    }
}

/// Body of the hub greenlet: runs turns until `stopping` is set.
///
/// # Switches
/// For as long as the hub lives.
pub(crate) unsafe fn run(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: called on the hub greenlet's stack, in the hub's OS thread.
    unsafe {
        if (*core).running {
            return Err(PyRuntimeError::new_err("Already running!"));
        }
        (*core).running = true;
        (*core).stopping = false;
        // Whichever way it ends: another greenlet may run the hub after this one.
        let ended = Ended(core);
        let result = run_until_stopped(py, core);
        if result.is_ok() {
            drop_timers(core);
        }
        drop(ended);
        result
    }
}

/// Says at its end that the hub is not run any more.
struct Ended(*mut Core);

impl Drop for Ended {
    fn drop(&mut self) {
        // SAFETY: made by `run`, whose caller holds the hub; the GIL is held.
        unsafe {
            (*self.0).running = false;
            (*self.0).stopping = false;
        }
    }
}

/// A hub that was stopped forgets its timers, as upstream's does.
unsafe fn drop_timers(core: *mut Core) {
    // SAFETY: contract of `run`.
    unsafe {
        let due = (*core).timers.drain();
        for (_, due) in due {
            due.release();
        }
    }
}

unsafe fn run_until_stopped(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: contract of `run`.
    unsafe {
        loop {
            if (*core).stopping {
                return Ok(());
            }
            match (*core).driver {
                Driver::Asyncio => run_loop(py, core)?,
                Driver::Poll => {
                    take_turn(py, core)?;
                    if !(*core).stopping {
                        let nanos = rehearsal::before_sleep(py, pause(core))?;
                        super::io::wait(py, core, nanos)?;
                    }
                }
                Driver::Custom => {
                    take_turn(py, core)?;
                    if !(*core).stopping {
                        let seconds = crate::sched::seconds_from_nanos(pause(core));
                        let hub: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, (*core).object);
                        call_method(&crate::imports::named(&hub, c"wait")?, Some(seconds))?;
                    }
                }
            }
        }
    }
}

/// Calls a method that runs for as long as the hub sleeps.
pub(super) unsafe fn call_method(method: &Bound<'_, PyAny>, seconds: Option<f64>) -> PyResult<()> {
    let py = method.py();
    // SAFETY: the GIL is held by the callers; the result is owned.
    unsafe {
        let result = match seconds {
            Some(seconds) => {
                let seconds = ffi::PyFloat_FromDouble(seconds);
                let seconds = Bound::from_owned_ptr_or_err(py, seconds)?;
                ffi::PyObject_CallOneArg(method.as_ptr(), seconds.as_ptr())
            }
            None => ffi::PyObject_CallNoArgs(method.as_ptr()),
        };
        Bound::from_owned_ptr_or_err(py, result).map(drop)
    }
}

unsafe fn take_turn(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: contract of `run`.
    if unsafe { turn::turn(core) } {
        Ok(())
    } else {
        Err(PyErr::fetch(py))
    }
}

/// How long the hub may sleep, in nanoseconds.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held.
pub(super) unsafe fn pause(core: *mut Core) -> u64 {
    // SAFETY: contract of `run`.
    unsafe {
        if !(*core).ready.is_empty() || !(*core).inbox.is_empty() || (*core).turn_requested {
            return 0;
        }
        let instant = now();
        idle(core, instant);
        let deadline = (*core).timers.next_deadline();
        deadline.map_or(IDLE_NANOS, |d| d.saturating_sub(instant).min(IDLE_NANOS))
    }
}
