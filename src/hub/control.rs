//! What the runner does for entries that run Python code: timeouts, callbacks, and the
//! report of what went wrong in them.

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::{Core, rehearsal, slow, step, turn};
use crate::greenlet::{self, Greenlet, Inbound, Kind, Outcome, Phase, class, errors, life};

/// A Timeout's time has come: asks it whom to raise what in, and does so.
///
/// # Safety
/// Called by a turn; `timeout` is owned.
pub(super) unsafe fn expire(core: *mut Core, timeout: *mut PyObject) -> bool {
    // SAFETY: `_expire` returns None, or a tuple of a greenlet and an exception instance;
    // a subclass may return anything, so that is checked.
    unsafe {
        let target = ffi::PyObject_CallMethodNoArgs(timeout, crate::imports::expire_name());
        ffi::Py_DECREF(timeout);
        if target.is_null() {
            return report(core);
        }
        let mut fine = true;
        if ffi::PyTuple_Check(target) != 0 && ffi::PyTuple_GET_SIZE(target) == 2 {
            let g = ffi::PyTuple_GET_ITEM(target, 0);
            let error = ffi::PyTuple_GET_ITEM(target, 1);
            if class::check(g) && ffi::PyExceptionInstance_Check(error) != 0 {
                fine = raise_in(core, g.cast(), ffi::Py_NewRef(error));
            }
        }
        ffi::Py_DECREF(target);
        fine
    }
}

/// Raises `error` in a suspended green thread, from the runner.
///
/// # Safety
/// Called by a turn; `error` is owned, `g` live.
pub(crate) unsafe fn raise_in(core: *mut Core, g: *mut Greenlet, error: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe {
        if (*g).thread == (*core).thread
            && (*g).needs_step()
            && let Some(fine) = step::raise_in(g, error)
        {
            return fine || report(core);
        }
        if (*g).thread != (*core).thread || g == (*core).runner || (*g).phase == Phase::Dead {
            ffi::Py_DECREF(error);
            return true;
        }
        if (*g).phase == Phase::New
            && let Err(failed) = life::start(g)
        {
            ffi::Py_DECREF(error);
            if (*g).phase == Phase::New {
                stillborn(g, failed);
            } else {
                ffi::Py_DECREF(failed);
            }
            return true;
        }
        if (*g).phase != Phase::Active {
            // The lookup of its `run` has run it to its end.
            ffi::Py_DECREF(error);
            return true;
        }
        turn::enter(core, g, Inbound::Error(error))
    }
}

/// Calls a timer's or listener's callback on the runner's stack.
///
/// # Safety
/// Called by a turn; `callback` is owned.
pub(super) unsafe fn call(core: *mut Core, callback: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe {
        let measured = slow::begin(core, callback);
        let result = ffi::PyObject_CallNoArgs(callback);
        if let Some(measured) = measured {
            slow::end(core, measured);
        }
        ffi::Py_DECREF(callback);
        if result.is_null() {
            return report(core);
        }
        ffi::Py_DECREF(result);
        true
    }
}

/// Deals with the exception set by a callback: SystemExit and KeyboardInterrupt end the
/// turn (false, still set), others are printed if the hub prints exceptions.
///
/// # Safety
/// The GIL is held and an exception is set.
pub(super) unsafe fn report(core: *mut Core) -> bool {
    // SAFETY: by contract.
    unsafe {
        let error = errors::take_raised();
        if turn::is_system(error) || (*core).closed {
            // What ends a hub that was suspended in a callback ends its turn, too.
            errors::raise(error);
            return false;
        }
        if (*core).debug_exceptions && !errors::is_a(error, errors::GREENLET_EXIT) {
            print(error);
        }
        ffi::Py_DECREF(error);
        true
    }
}

/// Prints an exception with its traceback to sys.stderr.
///
/// # Safety
/// `error` is a live exception; the GIL is held. Runs Python code.
pub(crate) unsafe fn print(error: *mut PyObject) {
    // SAFETY: by contract. Printing must not disturb the caller: its errors are dropped.
    unsafe {
        rehearsal::before_report(error);
        let module = ffi::PyImport_ImportModule(c"traceback".as_ptr());
        if module.is_null() {
            ffi::PyErr_Clear();
            return;
        }
        let trace = ffi::PyException_GetTraceback(error);
        let result = ffi::PyObject_CallMethod(
            module,
            c"print_exception".as_ptr(),
            c"OOO".as_ptr(),
            ffi::Py_TYPE(error).cast::<PyObject>(),
            error,
            if trace.is_null() {
                ffi::Py_None()
            } else {
                trace
            },
        );
        if result.is_null() {
            ffi::PyErr_Clear();
        }
        ffi::Py_XDECREF(result);
        ffi::Py_XDECREF(trace);
        ffi::Py_DECREF(module);
    }
}

/// A green thread that could not be given a stack ends before it began.
///
/// # Safety
/// `g` is live and New; `error` is owned; the GIL is held.
pub(super) unsafe fn stillborn(g: *mut Greenlet, error: *mut PyObject) {
    // SAFETY: by contract; a scheduled greenlet has hooks.
    unsafe {
        (*g).phase = Phase::Dead;
        let inbound = (*g).inbound.take();
        inbound.discard();
        if (*g).kind == Kind::Scheduled {
            greenlet::incref(g);
            ((*(*g).hooks).finish)(g, Outcome::Error(error));
            greenlet::decref(g);
        } else {
            print(error);
            ffi::Py_DECREF(error);
        }
    }
}

/// An exception that must reach the main greenlet of this OS thread, wherever that is
/// suspended: it runs next. Returns NULL, and the caller goes on, if main cannot take it.
///
/// # Safety
/// The GIL is held; `error` is owned and consumed unless NULL is returned.
pub(crate) unsafe fn to_main(core: *mut Core, error: *mut PyObject) -> *mut Greenlet {
    // SAFETY: by contract; main lives as long as its thread.
    unsafe {
        let thread = (*core).thread;
        let main = (*thread).main;
        if (*thread).current == main {
            return ptr::null_mut();
        }
        super::deliver(core, main, Inbound::Error(error));
        main
    }
}
