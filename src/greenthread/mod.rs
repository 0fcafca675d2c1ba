//! Green threads: greenlets run by the hub, with an outcome that others can wait for.
//!
//! A spawned green thread is entered by the hub and, when it ends, chooses its successor
//! itself. One that was made by hand (`GreenThread(parent)`) and entered with `switch()` ends in
//! its parent, like any greenlet.

pub(crate) mod class;
pub(crate) mod kill;
mod links;
pub(crate) mod spawn;

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use crate::greenlet::{self, Greenlet, Hooks, Inbound, Outcome, call, errors, switch};
use crate::hub::{Core, Parked, control, registry, run, successor, turn};
use crate::sched::{TimerKey, WaiterList};

/// An ended green thread's outcome. Pointers are owned.
pub(crate) enum Fate {
    Pending,
    Value(*mut PyObject),
    Error(*mut PyObject),
}

#[repr(C)]
pub(crate) struct GreenThread {
    pub(crate) base: Greenlet,
    /// Owned or NULL: what to call once entered.
    pub(crate) function: *mut PyObject,
    pub(crate) args: *mut PyObject,
    pub(crate) kwargs: *mut PyObject,
    pub(crate) fate: Fate,
    pub(crate) waiters: WaiterList<Parked>,
    /// Owned or NULL: list of (function, args, kwargs) to call at the end.
    pub(crate) links: *mut PyObject,
    /// The pending start of `spawn_after`.
    pub(crate) timer: Option<TimerKey>,
    /// Entered by the hub: its end goes there, too.
    pub(crate) scheduled: bool,
    /// Ended by `kill()` before it began: its error is not news.
    pub(crate) killed: bool,
    /// SystemExit or KeyboardInterrupt on its way to the main greenlet (owned or NULL).
    pub(crate) fatal: *mut PyObject,
}

/// For GreenThread objects.
pub(crate) static GREEN_THREAD: Hooks = Hooks {
    run: run_body,
    finish,
    next,
};
/// For the plain greenlets of `spawn_n`: no outcome, no links.
pub(crate) static SPAWNED: Hooks = Hooks {
    run: run_plain,
    finish: finish_plain,
    next: next_plain,
};

unsafe fn run_body(g: *mut Greenlet, inbound: Inbound) -> Outcome {
    let me = g.cast::<GreenThread>();
    // SAFETY: hooks are called on the green thread's own stack, with the GIL held.
    unsafe {
        let result = match inbound {
            Inbound::Error(error) => {
                errors::raise(error);
                ptr::null_mut()
            }
            Inbound::Call(args, kwargs) => {
                let result = class::call_main(me, args, kwargs);
                ffi::Py_DECREF(args);
                ffi::Py_XDECREF(kwargs);
                result
            }
            other => {
                other.discard();
                if (*me).function.is_null() {
                    ffi::PyErr_SetString(
                        ffi::PyExc_TypeError,
                        c"a GreenThread made by hand needs switch(function, args, kwargs)".as_ptr(),
                    );
                    ptr::null_mut()
                } else if class::overrides_main(me) {
                    class::call_overridden_main(me)
                } else {
                    call::call((*me).function, (*me).args, (*me).kwargs)
                }
            }
        };
        switch::outcome(result)
    }
}

/// Records the outcome, wakes those who wait, calls links, reports what nobody takes.
pub(crate) unsafe fn finish(g: *mut Greenlet, outcome: Outcome) {
    let me = g.cast::<GreenThread>();
    // SAFETY: called once, with the GIL held; pointers are taken out before they are used.
    unsafe {
        for slot in [
            &raw mut (*me).function,
            &raw mut (*me).args,
            &raw mut (*me).kwargs,
        ] {
            greenlet::replace(slot, ptr::null_mut());
        }
        if !matches!((*me).fate, Fate::Pending) {
            // main() of a subclass that called ours has recorded it.
            discard(outcome);
            return;
        }
        let taken = !(*me).waiters.is_empty();
        let error = match outcome {
            Outcome::Value(value) => {
                (*me).fate = Fate::Value(value);
                ptr::null_mut()
            }
            Outcome::Error(error) => {
                (*me).fate = Fate::Error(error);
                error
            }
        };
        while let Some(parked) = (*me).waiters.pop_front() {
            parked.wake(delivery(&(*me).fate));
        }
        let linked = links::call(me);
        if error.is_null() || errors::is_a(error, errors::GREENLET_EXIT) {
            return;
        }
        if turn::is_system(error) {
            (*me).fatal = ffi::Py_NewRef(error);
        } else if !taken && !linked && !(*me).killed {
            report(error);
        }
    }
}

/// A copy of an outcome to send to one waiter.
unsafe fn delivery(fate: &Fate) -> Inbound {
    // SAFETY: the objects are owned by the green thread.
    unsafe {
        match fate {
            Fate::Pending => Inbound::Nothing,
            Fate::Value(value) => Inbound::Value(ffi::Py_NewRef(*value)),
            Fate::Error(error) => Inbound::Error(ffi::Py_NewRef(*error)),
        }
    }
}

unsafe fn discard(outcome: Outcome) {
    // SAFETY: owned.
    unsafe {
        match outcome {
            Outcome::Value(object) | Outcome::Error(object) => ffi::Py_DECREF(object),
        }
    }
}

/// Prints an error that nobody waits for, if this thread's hub prints exceptions.
unsafe fn report(error: *mut PyObject) {
    let core = registry::existing();
    // SAFETY: the hub of this OS thread is live; the GIL is held by the callers.
    unsafe {
        if core.is_null() || (*core).debug_exceptions {
            control::print(error);
        }
    }
}

unsafe fn next(g: *mut Greenlet) -> *mut Greenlet {
    let me = g.cast::<GreenThread>();
    // SAFETY: hooks are called on the green thread's own stack, with the GIL held.
    unsafe {
        let fatal = std::mem::replace(&mut (*me).fatal, ptr::null_mut());
        if (*me).scheduled {
            after(g, fatal)
        } else {
            to_parent(g, me, fatal)
        }
    }
}

/// Who follows a green thread that the hub entered.
unsafe fn after(g: *mut Greenlet, fatal: *mut PyObject) -> *mut Greenlet {
    let core: *mut Core = registry::existing();
    // SAFETY: contract of `next`.
    unsafe {
        if (*g).dying {
            // Entered by whoever dropped the last reference, who waits for this end.
            let none = || Outcome::Value(ffi::Py_NewRef(ffi::Py_None()));
            let outcome = if fatal.is_null() {
                none()
            } else {
                Outcome::Error(fatal)
            };
            return switch::hand_to_parent(g, outcome);
        }
        if !fatal.is_null() {
            if core.is_null() {
                return switch::hand_to_parent(g, Outcome::Error(fatal));
            }
            let main = control::to_main(core, fatal);
            if !main.is_null() {
                return main;
            }
            ffi::Py_DECREF(fatal);
        }
        if core.is_null() {
            return switch::hand_to_parent(g, Outcome::Value(ffi::Py_NewRef(ffi::Py_None())));
        }
        if (*core).in_turn {
            return successor(core);
        }
        let runner = run::enter_runner(core);
        if runner.is_null() {
            ffi::PyErr_Clear();
            return switch::hand_to_parent(g, Outcome::Value(ffi::Py_NewRef(ffi::Py_None())));
        }
        runner
    }
}

/// A green thread that was entered with `switch()` returns to its parent.
unsafe fn to_parent(g: *mut Greenlet, me: *mut GreenThread, fatal: *mut PyObject) -> *mut Greenlet {
    // SAFETY: contract of `next`.
    unsafe {
        if !fatal.is_null() {
            return switch::hand_to_parent(g, Outcome::Error(fatal));
        }
        let outcome = match &(*me).fate {
            Fate::Error(error) if errors::is_a(*error, errors::GREENLET_EXIT) => {
                Outcome::Value(ffi::Py_NewRef(*error))
            }
            _ => Outcome::Value(ffi::Py_NewRef(ffi::Py_None())),
        };
        switch::hand_to_parent(g, outcome)
    }
}

unsafe fn run_plain(g: *mut Greenlet, inbound: Inbound) -> Outcome {
    // SAFETY: as for `run_body`; spawn_n left the call in the inbound slot and the
    // function in `run`.
    unsafe {
        let run = std::mem::replace(&mut (*g).run, ptr::null_mut());
        let result = match inbound {
            Inbound::Error(error) => {
                errors::raise(error);
                ptr::null_mut()
            }
            Inbound::Call(args, kwargs) => {
                let result = call::call(run, args, kwargs);
                ffi::Py_DECREF(args);
                ffi::Py_XDECREF(kwargs);
                result
            }
            other => {
                other.discard();
                call::call_no_args(run)
            }
        };
        ffi::Py_XDECREF(run);
        switch::outcome(result)
    }
}

unsafe fn finish_plain(g: *mut Greenlet, outcome: Outcome) {
    // SAFETY: as for `finish`.
    unsafe {
        let Outcome::Error(error) = outcome else {
            discard(outcome);
            return;
        };
        if turn::is_system(error) {
            // Carried to `next_plain` in the slot that nothing else uses any more.
            greenlet::replace(&raw mut (*g).run, error);
            return;
        }
        if !errors::is_a(error, errors::GREENLET_EXIT) {
            report(error);
        }
        ffi::Py_DECREF(error);
    }
}

unsafe fn next_plain(g: *mut Greenlet) -> *mut Greenlet {
    // SAFETY: as for `next`.
    unsafe {
        let fatal = std::mem::replace(&mut (*g).run, ptr::null_mut());
        after(g, fatal)
    }
}

/// The outcome as what `wait()` returns: owned, or NULL with the exception set.
///
/// # Safety
/// The green thread has ended; the GIL is held.
pub(crate) unsafe fn result(me: *mut GreenThread) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe { delivery(&(*me).fate).into_result() }
}

/// Waits for the outcome.
///
/// # Safety
/// The GIL is held and no exception is set. NULL with the exception on failure.
///
/// # Switches
/// Unless the green thread has ended.
pub(crate) unsafe fn wait(me: *mut GreenThread) -> *mut PyObject {
    // SAFETY: by contract; `me` is kept alive by the caller's reference.
    unsafe {
        if !matches!((*me).fate, Fate::Pending) {
            return result(me);
        }
        let core = registry::hub();
        if core.is_null() {
            return ptr::null_mut();
        }
        if (*(*core).thread).current == me.cast() {
            ffi::PyErr_SetString(
                ffi::PyExc_RuntimeError,
                c"a green thread cannot wait for itself: it would wait for ever".as_ptr(),
            );
            return ptr::null_mut();
        }
        let key = (*me).waiters.push_back(Parked::current((*core).thread));
        let inbound = crate::hub::park::park(core);
        if let Some(parked) = (*me).waiters.remove(key) {
            parked.release();
        }
        inbound.into_result()
    }
}
