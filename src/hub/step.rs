//! Steps of coroutines that may block: where control goes, and how they go on.
//!
//! A task's step is run on a stack of its own by whoever steps the coroutine, its *home* (the
//! stack that runs the event loop, as a rule). Code in the step that blocks leaves for home, which
//! gives the task something to wait for. A wake-up does not enter the green code directly: it
//! completes what the task waits for, and the task's next step enters it. So a task that makes
//! a blocking green call looks to asyncio like one that awaits a future.
//!
//! Steps nest: a coroutine may create an eager task, and green code, too. `Thread::step` names
//! the innermost one in progress; a turn within it starts afresh.

use std::ptr;

use pyo3::ffi::PyObject;

use super::{Core, blocking, looping, registry, run, successor};
use crate::greenlet::{Greenlet, Inbound, Thread};

/// A step in progress; lies on the stack of its home.
pub(crate) struct Step {
    /// The step within which this one was begun, or NULL.
    pub(crate) outer: *mut Step,
    /// Borrowed: suspended until the step is over.
    pub(crate) home: *mut Greenlet,
    /// The coroutine (borrowed).
    pub(crate) owner: *mut PyObject,
    /// Who left for home in the middle of the step, or NULL (borrowed: the caller keeps it).
    pub(crate) parked: *mut Greenlet,
    /// It left to let others run, and will not be woken.
    pub(crate) passing: bool,
}

/// Wakes a coroutine (the object is a [`Step::owner`]): its next step enters the greenlet
/// with what it is sent. False with an exception set on failure.
pub(crate) type Wake = unsafe fn(*mut PyObject, *mut Greenlet, Inbound) -> bool;
/// Raises an exception (owned) in a coroutine that the greenlet stands for, wherever it waits.
pub(crate) type Raise = unsafe fn(*mut Greenlet, *mut PyObject) -> bool;

/// Whether the end of a green thread waits for what is done by the given event loop.
pub(crate) type NeedsLoop = unsafe fn(*mut Greenlet, *mut PyObject) -> bool;

/// What steps coroutines; a higher layer.
pub(crate) struct Stepping {
    pub(crate) needs_loop: NeedsLoop,
    pub(crate) wake: Wake,
    pub(crate) raise: Raise,
}

static mut STEPPING: Option<&'static Stepping> = None;

/// Says who steps coroutines.
///
/// # Safety
/// Called once with the GIL held, when the module is initialised.
pub(crate) unsafe fn set_stepping(stepping: &'static Stepping) {
    // SAFETY: by contract.
    unsafe { STEPPING = Some(stepping) }
}

/// The innermost step in progress, or NULL.
///
/// # Safety
/// `thread` is this OS thread's record; the GIL is held.
#[inline]
pub(crate) unsafe fn innermost(thread: *mut Thread) -> *mut Step {
    // SAFETY: by contract.
    unsafe { (*thread).step.cast() }
}

/// The greenlet whose stack the event loop is on: the running one, or the home of the
/// outermost step.
///
/// # Safety
/// As for [`innermost`].
pub(super) unsafe fn outermost_home(thread: *mut Thread) -> *mut Greenlet {
    // SAFETY: by contract; a step is live while it is linked.
    unsafe {
        let mut home = (*thread).current;
        let mut step = innermost(thread);
        while !step.is_null() {
            home = (*step).home;
            step = (*step).outer;
        }
        home
    }
}

/// The running greenlet leaves in the middle of a step: where to.
///
/// # Safety
/// `step` is the innermost one; the caller switches to the result at once.
#[inline]
pub(super) unsafe fn leave(thread: *mut Thread, step: *mut Step) -> *mut Greenlet {
    // SAFETY: by contract.
    unsafe {
        let me = (*thread).current;
        (*me).stepping = true;
        (*me).step = (*step).owner;
        (*step).parked = me;
        (*thread).throwing = false;
        (*step).home
    }
}

/// Where control goes when the running greenlet has sent something to another one that
/// only its own task's step may enter: on, if it runs the hub's callbacks; else to others. The
/// flag tells that it has ended.
///
/// # Safety
/// The GIL is held; the caller switches to the result at once.
pub(crate) unsafe fn give_way(thread: *mut Thread, ended: bool) -> *mut Greenlet {
    // SAFETY: by contract.
    unsafe {
        let step = innermost(thread);
        if !step.is_null() {
            return if ended {
                (*step).home
            } else {
                leave(thread, step)
            };
        }
        let me = (*thread).current;
        let core = registry::existing();
        if core.is_null() {
            return if ended { (*thread).main } else { me };
        }
        if (*core).in_turn && me != (*core).runner {
            return successor(core);
        }
        if !ended && (me == (*core).runner || run::on_the_loop(core)) {
            return me;
        }
        let runner = run::enter_runner(core);
        if runner.is_null() {
            pyo3::ffi::PyErr_Clear();
            return if ended { (*thread).main } else { me };
        }
        runner
    }
}

/// Wakes a greenlet that is parked in a step. False with an exception set on failure.
///
/// # Safety
/// `g` is live and `stepping`; `inbound` is owned; the GIL is held. Runs Python code.
pub(crate) unsafe fn wake(g: *mut Greenlet, inbound: Inbound) -> bool {
    // SAFETY: by contract.
    unsafe {
        match STEPPING {
            Some(stepping) if !(*g).step.is_null() => (stepping.wake)((*g).step, g, inbound),
            _ => {
                blocking::wake(g, inbound);
                true
            }
        }
    }
}

/// See [`NeedsLoop`].
///
/// # Safety
/// Both are live; the GIL is held. Runs Python code.
pub(super) unsafe fn needs_loop(g: *mut Greenlet, event_loop: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe { STEPPING.is_some_and(|stepping| (stepping.needs_loop)(g, event_loop)) }
}

/// Raises `error` in `g` if that goes on in steps only; None if it is any other greenlet.
///
/// # Safety
/// `g` is live, `error` owned, and consumed unless None is returned. Runs Python code.
pub(super) unsafe fn raise_in(g: *mut Greenlet, error: *mut PyObject) -> Option<bool> {
    // SAFETY: by contract.
    unsafe {
        if (*g).stepping {
            return Some(wake(g, Inbound::Error(error)));
        }
        match STEPPING {
            Some(stepping) if (*g).stands_for_coroutine() => Some((stepping.raise)(g, error)),
            _ => None,
        }
    }
}

/// After a step that was left in its middle: sees to it that the loop takes the hub's turns for
/// what was registered.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held; the caller is the step's home. Runs
/// Python code.
pub(crate) unsafe fn settle(core: *mut Core) {
    // SAFETY: by contract.
    unsafe {
        if (*core).in_turn || (*core).closed {
            return;
        }
        looping::attach_to_running(core);
        if !(*core).ready.is_empty() || looping::must_schedule(core) {
            run::request_turn(core);
        }
    }
}

/// Takes the steps in progress off, for a turn within them.
///
/// # Safety
/// As for [`innermost`]; the result is given to [`resume`] before the turn's stack returns.
#[inline]
pub(super) unsafe fn suspend(thread: *mut Thread) -> *mut std::ffi::c_void {
    // SAFETY: by contract.
    unsafe { std::mem::replace(&mut (*thread).step, ptr::null_mut()) }
}

/// Undoes [`suspend`].
///
/// # Safety
/// As for [`suspend`].
#[inline]
pub(super) unsafe fn resume(thread: *mut Thread, step: *mut std::ffi::c_void) {
    // SAFETY: by contract.
    unsafe { (*thread).step = step }
}
