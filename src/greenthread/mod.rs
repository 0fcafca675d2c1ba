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

use crate::error::raise_new;
use crate::greenlet::arguments::none;
use crate::greenlet::{self, Greenlet, Hooks, Inbound, Outcome, Phase, errors, life};
use crate::hub::{Core, Parked, control, registry, run, step, successor, turn};
use crate::sched::{TimerKey, WaiterList};

/// An ended green thread's outcome. Pointers are owned.
pub(crate) enum Fate {
    Pending,
    Value(*mut PyObject),
    Error(*mut PyObject),
}

/// Somebody who waits otherwise than by parking; implemented by a higher layer.
pub(crate) struct Awaiter {
    /// Owned.
    pub(crate) object: *mut PyObject,
    /// Called once with the object and the green thread, which has its outcome. Runs Python code.
    pub(crate) notify: unsafe fn(*mut PyObject, *mut GreenThread),
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
    /// Told of the outcome once links have run.
    pub(crate) awaiters: Vec<Awaiter>,
    /// The green thread that this one waits for in `wait()`, or NULL (borrowed from that call).
    pub(crate) waits_for: *mut GreenThread,
    /// Owned or NULL: list of (function, args, kwargs) to call at the end.
    pub(crate) links: *mut PyObject,
    /// The links are being called: one that is added has its turn then.
    pub(crate) linking: bool,
    /// The pending start of `spawn_after`.
    pub(crate) timer: Option<TimerKey>,
    /// Entered by the hub: its end goes there, too.
    pub(crate) scheduled: bool,
    /// Holds an error that is reported if nobody takes it before the object dies.
    pub(crate) unclaimed: bool,
    /// Stands for a task that others look after: its outcome is looked at, not taken.
    pub(crate) onlooker: bool,
    /// Ended by `kill()` before it began: its error is not news.
    pub(crate) killed: bool,
    /// SystemExit or KeyboardInterrupt on its way to the main greenlet (owned or NULL).
    pub(crate) fatal: *mut PyObject,
}

/// For GreenThread objects.
static GREEN_THREAD: Hooks = Hooks {
    run: run_body,
    finish,
    next,
    abort: kill::never_run,
    kill: kill::kill_unstarted,
    begun,
    may_wait,
};
/// For the plain greenlets of `spawn_n`: no outcome, no links.
static SPAWNED: Hooks = Hooks {
    run: run_plain,
    finish: finish_plain,
    next: next_plain,
    abort: kill::never_run_plain,
    kill: kill::kill_unstarted,
    begun,
    may_wait,
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
                    raise_new(
                        ffi::PyExc_TypeError,
                        c"a GreenThread made by hand needs switch(function, args, kwargs)",
                    )
                } else if class::overrides_main(me) {
                    class::call_overridden_main(me)
                } else {
                    call_body(me)
                }
            }
        };
        life::outcome(result)
    }
}

/// Calls the function of a green thread that was spawned. It and its arguments are taken out:
/// `main()`, called by the function itself, releases what lies in the slots.
unsafe fn call_body(me: *mut GreenThread) -> *mut PyObject {
    // SAFETY: contract of `run_body`.
    unsafe {
        let take = |slot: *mut *mut PyObject| ptr::replace(slot, ptr::null_mut());
        let function = take(&raw mut (*me).function);
        let args = take(&raw mut (*me).args);
        let kwargs = take(&raw mut (*me).kwargs);
        let result = ffi::PyObject_Call(function, args, kwargs);
        // What dies here must not disturb an exception.
        let outcome = life::outcome(result);
        for object in [function, args, kwargs] {
            ffi::Py_XDECREF(object);
        }
        match outcome {
            Outcome::Value(value) => value,
            Outcome::Error(error) => {
                errors::raise(error);
                ptr::null_mut()
            }
        }
    }
}

/// Settles the outcome and reports an error that nobody takes.
pub(crate) unsafe fn finish(g: *mut Greenlet, outcome: Outcome) {
    let me = g.cast::<GreenThread>();
    // SAFETY: called once, with the GIL held.
    unsafe {
        let taken = settle(me, outcome);
        let Fate::Error(error) = (*me).fate else {
            return;
        };
        if errors::is_a(error, errors::GREENLET_EXIT) {
            return;
        }
        if turn::is_system(error) {
            greenlet::replace(&raw mut (*me).fatal, ffi::Py_NewRef(error));
        } else if !taken && !(*me).killed {
            report(error);
        }
    }
}

/// Records the outcome, wakes those who wait, calls links, tells awaiters. True if there was
/// anybody.
///
/// # Safety
/// The GIL is held, no exception is set; `me` is kept alive by the caller. Runs Python code.
pub(crate) unsafe fn settle(me: *mut GreenThread, outcome: Outcome) -> bool {
    // SAFETY: by contract; pointers are taken out before they are used.
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
            return true;
        }
        let mut taken = !(*me).waiters.is_empty();
        (*me).fate = match outcome {
            Outcome::Value(value) => Fate::Value(value),
            Outcome::Error(error) => Fate::Error(error),
        };
        while let Some(parked) = (*me).waiters.pop_front() {
            parked.wake(delivery(&(*me).fate));
        }
        taken |= links::call(me);
        if !(*me).awaiters.is_empty() {
            taken = true;
            for Awaiter { object, notify } in std::mem::take(&mut (*me).awaiters) {
                notify(object, me);
                ffi::Py_DECREF(object);
            }
        }
        taken
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

/// Reports the error that nobody took while the green thread lived.
///
/// # Safety
/// `me` is live or dying; the GIL is held. Runs Python code.
unsafe fn report_unclaimed(me: *mut GreenThread) {
    // SAFETY: by contract; the error is held while it is printed.
    unsafe {
        if !std::mem::take(&mut (*me).unclaimed) || crate::pystate::in_finalization() {
            return;
        }
        if let Fate::Error(error) = (*me).fate {
            let pending = errors::take_raised();
            let error = ffi::Py_NewRef(error);
            report(error);
            ffi::Py_DECREF(error);
            if !pending.is_null() {
                errors::raise(pending);
            }
        }
    }
}

/// Prints an error that nobody waits for, if this thread's hub prints exceptions.
///
/// # Safety
/// `error` is a live exception; the GIL is held. Runs Python code.
pub(crate) unsafe fn report(error: *mut PyObject) {
    let core = registry::existing();
    // SAFETY: the hub of this OS thread is live; the GIL is held by the callers.
    unsafe {
        let unreported = !core.is_null()
            && (!(*core).debug_exceptions
                || !(*core).unreported.is_null() && errors::is_a(error, (*core).unreported));
        if !unreported {
            control::print(error);
        }
    }
}

/// Who runs after a green thread.
///
/// # Safety
/// Called at the end of `g`, on its own stack, with the GIL held.
pub(crate) unsafe fn next(g: *mut Greenlet) -> *mut Greenlet {
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
pub(crate) unsafe fn after(g: *mut Greenlet, fatal: *mut PyObject) -> *mut Greenlet {
    let core: *mut Core = registry::existing();
    // SAFETY: contract of `next`.
    unsafe {
        if (*g).dying {
            // Entered by whoever dropped the last reference, who waits for this end.
            let outcome = if fatal.is_null() {
                Outcome::Value(none())
            } else {
                Outcome::Error(fatal)
            };
            return hand_over(g, outcome);
        }
        if !fatal.is_null() {
            if core.is_null() {
                return hand_over(g, Outcome::Error(fatal));
            }
            let main = control::to_main(core, fatal);
            if !main.is_null() {
                return main;
            }
            ffi::Py_DECREF(fatal);
        }
        if core.is_null() {
            return hand_over(g, Outcome::Value(none()));
        }
        let step = step::innermost((*core).thread);
        if !step.is_null() {
            return (*step).home;
        }
        if (*core).in_turn {
            return successor(core);
        }
        (*g).phase = Phase::Active;
        let runner = run::enter_runner(core);
        (*g).phase = Phase::Dead;
        if runner.is_null() {
            ffi::PyErr_Clear();
            return hand_over(g, Outcome::Value(none()));
        }
        runner
    }
}

/// Gives the outcome to the parent. An ancestor that was never started starts now, which may
/// run Python code that switches: so `g` counts as Active until then, and can be resumed.
unsafe fn hand_over(g: *mut Greenlet, outcome: Outcome) -> *mut Greenlet {
    // SAFETY: contract of `next`.
    unsafe {
        (*g).phase = Phase::Active;
        let parent = life::hand_to_parent(g, outcome);
        (*g).phase = Phase::Dead;
        parent
    }
}

/// A green thread that was entered with `switch()` returns to its parent.
unsafe fn to_parent(g: *mut Greenlet, me: *mut GreenThread, fatal: *mut PyObject) -> *mut Greenlet {
    // SAFETY: contract of `next`.
    unsafe {
        if !fatal.is_null() {
            return hand_over(g, Outcome::Error(fatal));
        }
        let outcome = match &(*me).fate {
            Fate::Error(error) if errors::is_a(*error, errors::GREENLET_EXIT) => {
                Outcome::Value(ffi::Py_NewRef(*error))
            }
            _ => Outcome::Value(none()),
        };
        hand_over(g, outcome)
    }
}

unsafe fn run_plain(g: *mut Greenlet, inbound: Inbound) -> Outcome {
    // SAFETY: as for `run_body`; spawn_n left the call in the inbound slot and the
    // function in `run`.
    unsafe {
        let run = std::mem::replace(&mut (*g).run, ptr::null_mut());
        if run.is_null() && !matches!(inbound, Inbound::Error(_)) {
            inbound.discard();
            raise_new(
                ffi::PyExc_AttributeError,
                c"run: it was deleted before the green thread started",
            );
            return life::outcome(ptr::null_mut());
        }
        let result = match inbound {
            Inbound::Error(error) => {
                errors::raise(error);
                ptr::null_mut()
            }
            Inbound::Call(args, kwargs) => {
                let result = ffi::PyObject_Call(run, args, kwargs);
                ffi::Py_DECREF(args);
                ffi::Py_XDECREF(kwargs);
                result
            }
            other => {
                other.discard();
                ffi::PyObject_CallNoArgs(run)
            }
        };
        ffi::Py_XDECREF(run);
        life::outcome(result)
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
        (*me).unclaimed = false;
        if !matches!((*me).fate, Fate::Pending) {
            return result(me);
        }
        let core = registry::hub();
        if core.is_null() {
            return ptr::null_mut();
        }
        let waiter = greenlet::known_identity((*core).thread);
        if waiter == me.cast() {
            return raise_new(
                ffi::PyExc_RuntimeError,
                c"a green thread cannot wait for itself: it would wait for ever",
            );
        }
        if !((*(*me).base.hooks).may_wait)(me.cast(), waiter) {
            return ptr::null_mut();
        }
        if !matches!((*me).fate, Fate::Pending) {
            // It ended while the hub was made, or while waits were looked at.
            return result(me);
        }
        let waiter: *mut GreenThread = if class::check(waiter.cast()) {
            waiter.cast()
        } else {
            ptr::null_mut()
        };
        let key = (*me).waiters.push_back(Parked::current((*core).thread));
        if !waiter.is_null() {
            (*waiter).waits_for = me;
        }
        let inbound = crate::hub::park::park_for(core, me.cast());
        if !waiter.is_null() {
            (*waiter).waits_for = ptr::null_mut();
        }
        if let Some(parked) = (*me).waiters.remove(key) {
            parked.release();
        }
        inbound.into_result()
    }
}

/// The work of a green thread is done on its stack.
unsafe fn begun(g: *mut Greenlet) -> bool {
    // SAFETY: `g` is live by contract of the hook.
    unsafe { (*g).phase != Phase::New }
}

unsafe fn may_wait(_: *mut Greenlet, _: *mut Greenlet) -> bool {
    true
}
