//! `kill()` and `cancel()`: raising an exception in somebody else's green thread.

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::{GreenThread, class};
use crate::error::raise_new;
use crate::greenlet::arguments::{none, up_to_three};
use crate::greenlet::errors::make_exception;
use crate::greenlet::{Greenlet, Inbound, Kind, Outcome, Phase, errors, switch_to, thread};
use crate::hub::{
    Core, Parked, Ready, Visit, discard, make_ready, park, registry, run, step, turn,
};

/// Raises GreenletExit, or what `args` say, in a greenlet, before it returns; the caller goes on
/// after everything that was ready. A callback of the hub goes on as soon as the greenlet has
/// ended or waits again.
///
/// # Safety
/// `g` is live, `args` holds `count` borrowed objects; the GIL is held. Returns None, or
/// NULL with an exception set.
///
/// # Switches
/// Unless the greenlet has ended, or the caller is the hub.
pub(crate) unsafe fn kill(
    g: *mut Greenlet,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        if count > 3 {
            return raise_new(
                ffi::PyExc_TypeError,
                c"kill() takes at most an exception's type, value and traceback",
            );
        }
        let error = make_exception(up_to_three(args, count));
        if error.is_null() {
            return ptr::null_mut();
        }
        if (*g).phase == Phase::New
            && (*g).kind == Kind::Scheduled
            && thread::same(g, thread::existing())
        {
            return ((*(*g).hooks).kill)(g, error);
        }
        raise_in(g, error)
    }
}

/// [`Hooks::kill`](crate::greenlet::Hooks) of green threads with a stack of their own: ends it
/// before it began, then lets others run, as the kill of a suspended one does.
pub(super) unsafe fn kill_unstarted(g: *mut Greenlet, error: *mut PyObject) -> *mut PyObject {
    // SAFETY: contract of the hook; `g` is kept alive by the caller.
    unsafe {
        if !end_unstarted(g, error) {
            return ptr::null_mut();
        }
        give_turn()
    }
}

/// Lets everything run that is ready, unless the caller is the hub: None, or NULL with what was
/// raised in the caller meanwhile.
///
/// # Safety
/// The GIL is held, no exception is set.
///
/// # Switches
/// Unless the caller is a callback of the hub or of the loop.
pub(crate) unsafe fn give_turn() -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        let core: *mut Core = registry::existing();
        if core.is_null() {
            return none();
        }
        match park::yield_once(core) {
            Inbound::Error(error) => {
                errors::raise(error);
                ptr::null_mut()
            }
            other => {
                other.discard();
                none()
            }
        }
    }
}

/// [`kill`] with an exception that is ready (owned, consumed).
///
/// # Safety
/// As for [`kill`].
///
/// # Switches
/// As [`kill`], but not if the greenlet never ran.
pub(crate) unsafe fn raise_in(g: *mut Greenlet, error: *mut PyObject) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        if (*g).phase == Phase::Dead {
            ffi::Py_DECREF(error);
            return none();
        }
        if (*g).phase == Phase::New && thread::same(g, thread::existing()) {
            return if end_unstarted(g, error) {
                none()
            } else {
                ptr::null_mut()
            };
        }
        let core = registry::hub();
        if core.is_null() {
            ffi::Py_DECREF(error);
            return ptr::null_mut();
        }
        if (*g).phase == Phase::Dead {
            // Ended while the hub was made.
            ffi::Py_DECREF(error);
            return none();
        }
        let thread = (*core).thread;
        if (*g).thread != thread {
            // Its own hub raises it: nobody switches into a foreign OS thread's stack.
            crate::greenlet::incref(g);
            let home = (*(*g).thread).hub.cast::<Core>();
            if home.is_null() {
                discard(Ready::Raise(g, error));
            } else {
                park::post(home, Ready::Raise(g, error));
            }
            return none();
        }
        let me = (*thread).current;
        if !step::innermost(thread).is_null() {
            return from_step(core, g, error);
        }
        if g == me {
            errors::raise(error);
            return ptr::null_mut();
        }
        if g == (*core).runner && (*core).in_turn && !(*g).stepping {
            ffi::Py_DECREF(error);
            return raise_new(
                ffi::PyExc_RuntimeError,
                c"the greenlet that runs the event loop cannot be killed: stop the loop instead",
            );
        }
        // All that runs Python code comes first, then what it has changed is looked at.
        let visit = Visit::new(core);
        if !(*g).stepping {
            (*g).inbound.take().discard();
        }
        let in_turn = visit.lasts() && (*core).in_turn && me != (*core).runner;
        let parks = in_turn
            || visit.lasts() && from_runner(core) && run::attach_to_running(core) && visit.lasts();
        if !visit.lasts()
            || (*g).phase != Phase::Active
            || !(*g).stepping && !matches!((*g).inbound, Inbound::Nothing)
        {
            return raise_in(g, error);
        }
        if !parks {
            return enter(core, g, error);
        }
        (*core).ready.push(Ready::Resume(
            Parked::current(thread),
            Inbound::Value(none()),
        ));
        if !in_turn {
            run::wake_loop(core);
        }
        if (*g).stepping {
            // Its own task's next step raises it; the caller yields to all that is ready.
            if !step::wake(g, Inbound::Error(error)) {
                ffi::PyErr_WriteUnraisable(g.cast());
            }
            return park::park(core).into_result();
        }
        (*g).inbound = Inbound::Error(error);
        (*thread).throwing = true;
        // A coroutine of a loop that green code runs: that loop is hidden meanwhile.
        let in_loop = std::mem::replace(&mut (*me).in_loop, false);
        let hidden = if in_loop {
            crate::imports::hide_loop()
        } else {
            ptr::null_mut()
        };
        let result = switch_to(thread, g).into_result();
        crate::imports::show_loop(hidden);
        (*me).in_loop = in_loop;
        result
    }
}

/// A coroutine that may block kills: the hub's next turn does it, and wakes the caller.
unsafe fn from_step(core: *mut Core, g: *mut Greenlet, error: *mut PyObject) -> *mut PyObject {
    // SAFETY: contract of `raise_in`.
    unsafe {
        let thread = (*core).thread;
        if g == (*thread).current {
            errors::raise(error);
            return ptr::null_mut();
        }
        crate::greenlet::incref(g);
        make_ready(core, Ready::Raise(g, error));
        make_ready(
            core,
            Ready::Resume(Parked::current(thread), Inbound::Value(none())),
        );
        park::park(core).into_result()
    }
}

/// Whether the caller, outside a turn, may park and be resumed by a turn. False for code
/// that runs on the loop: a callback or a coroutine.
unsafe fn from_runner(core: *mut Core) -> bool {
    // SAFETY: contract of `kill`.
    unsafe {
        if (*core).in_turn {
            return false;
        }
        let running = crate::imports::visible_loop();
        if !running.is_null() {
            ffi::Py_DECREF(running);
            return false;
        }
        let object = ffi::Py_NewRef((*core).object);
        let fine = run::ensure_greenlet(core) && (*core).greenlet != (*(*core).thread).current;
        if !fine {
            ffi::PyErr_Clear();
        }
        ffi::Py_DECREF(object);
        fine
    }
}

/// A callback or coroutine kills: the green thread is entered in a turn of its own.
unsafe fn enter(core: *mut Core, g: *mut Greenlet, error: *mut PyObject) -> *mut PyObject {
    // SAFETY: contract of `kill`; the caller runs on the loop's stack.
    unsafe {
        let fine = if (*g).stepping {
            step::wake(g, Inbound::Error(error))
        } else if (*core).in_turn {
            turn::visit(core, g, Inbound::Error(error))
        } else {
            turn::single(core, g, Inbound::Error(error))
        };
        if fine { none() } else { ptr::null_mut() }
    }
}

/// Ends a greenlet before it began: its function never runs.
unsafe fn end_unstarted(g: *mut Greenlet, error: *mut PyObject) -> bool {
    // SAFETY: contract of `kill`; `g` is kept alive by the caller.
    unsafe {
        if (*g).kind == Kind::Scheduled {
            ((*(*g).hooks).abort)(g, error)
        } else {
            never_run_plain(g, error)
        }
    }
}

/// [`Hooks::abort`](crate::greenlet::Hooks) of GreenThread objects.
pub(super) unsafe fn never_run(g: *mut Greenlet, error: *mut PyObject) -> bool {
    // SAFETY: contract of the hook.
    unsafe {
        (*g).phase = Phase::Dead;
        (*g).inbound.take().discard();
        let me = g.cast::<GreenThread>();
        class::drop_timer(me);
        quiet(me);
        super::finish(g, Outcome::Error(error));
    }
    true
}

/// [`Hooks::abort`](crate::greenlet::Hooks) of greenlets without an outcome.
pub(super) unsafe fn never_run_plain(g: *mut Greenlet, error: *mut PyObject) -> bool {
    // SAFETY: contract of the hook.
    unsafe {
        (*g).phase = Phase::Dead;
        (*g).inbound.take().discard();
        crate::greenlet::replace(&raw mut (*g).run, ptr::null_mut());
        ffi::Py_DECREF(error);
    }
    true
}

/// The killer knows of the error: it is not reported as one that nobody takes.
unsafe fn quiet(me: *mut GreenThread) {
    // SAFETY: `me` is live.
    unsafe { (*me).killed = true }
}

/// `cancel()`: kills what has not started; a started one is left alone.
///
/// # Safety
/// As for [`kill`].
pub(crate) unsafe fn cancel(
    g: *mut Greenlet,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        let begun =
            (*g).phase != Phase::New || (*g).kind == Kind::Scheduled && ((*(*g).hooks).begun)(g);
        if !begun {
            return kill(g, args, count);
        }
        none()
    }
}

/// The functions `kill(g, *throw_args)` and `cancel(g, *throw_args)` of `eventlet.greenthread`.
pub(super) unsafe extern "C" fn kill_function(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    _names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { on_first(c"kill", kill, args, count) }
}

/// See [`kill_function`].
pub(super) unsafe extern "C" fn cancel_function(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    _names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { on_first(c"cancel", cancel, args, count) }
}

/// Calls `act` for the first argument, a greenlet, with the others.
unsafe fn on_first(
    name: &CStr,
    act: unsafe fn(*mut Greenlet, *const *mut PyObject, ffi::Py_ssize_t) -> *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: arguments as CPython passes them to a fast function.
    unsafe {
        if thread::this().is_null() {
            return ptr::null_mut();
        }
        if count < 1 || !crate::greenlet::class::check(*args) {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"%s() needs a greenlet as its first argument".as_ptr(),
                name.as_ptr(),
            );
            return ptr::null_mut();
        }
        act((*args).cast(), args.add(1), count - 1)
    }
}
