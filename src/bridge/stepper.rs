//! The greenlets that lend their stacks to steps of coroutines.
//!
//! A coroutine has no C stack between two steps, so one Stepper serves all coroutines of an
//! OS thread in turn, and stays warm: a step costs a switch there and one back. Only a coroutine that
//! blocks in the middle of a step keeps its Stepper, until that step is over.

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::{PyObject, PySendResult};

use super::coroutine::Coroutine;
use super::hooks;
use super::names::NAMES;
use crate::greenlet::arguments::none;
use crate::greenlet::{
    self, Greenlet, Hooks, Inbound, Kind, Outcome, Phase, Thread, class, errors, life, switch_to,
};
use crate::greenthread;
use crate::hub::step::Step;

/// How many Steppers without work an OS thread keeps.
const SPARE: usize = 16;

static STEPPER: Hooks = Hooks {
    run: serve,
    finish,
    next,
    abort,
    kill,
    begun,
    may_wait,
};

/// One step of a coroutine, as its home sees it. All pointers are borrowed, unless it says
/// otherwise.
#[repr(C)]
pub(super) struct Job {
    pub(super) step: Step,
    /// What is stepped.
    pub(super) inner: *mut PyObject,
    /// What is sent to it.
    pub(super) value: *mut PyObject,
    /// What is thrown into it instead (owned), or NULL.
    pub(super) error: *mut PyObject,
    /// None until it has yielded, returned or raised.
    pub(super) status: Option<PySendResult>,
    /// Owned: what it yielded, returned or raised.
    pub(super) result: *mut PyObject,
}

/// A Stepper without work: owned, or NULL with an exception set.
///
/// # Safety
/// `thread` is this OS thread's record; the GIL is held.
#[inline]
pub(super) unsafe fn take(thread: *mut Thread) -> *mut Greenlet {
    // SAFETY: by contract.
    unsafe {
        while let Some(g) = (*thread).steppers.pop() {
            if (*g).phase == Phase::Active {
                return g;
            }
            // Somebody has found it, and ended it.
            greenlet::decref(g);
        }
        make(thread)
    }
}

#[cold]
unsafe fn make(thread: *mut Thread) -> *mut Greenlet {
    // SAFETY: contract of `take`.
    unsafe {
        let g = class::alloc(class::greenlet_type());
        if g.is_null() {
            return g;
        }
        (*g).kind = Kind::Stepper;
        (*g).hooks = &raw const STEPPER;
        class::adopt(g, thread, (*thread).main);
        if let Err(error) = life::start(g) {
            greenlet::decref(g);
            errors::raise(error);
            return ptr::null_mut();
        }
        g
    }
}

/// Takes back a Stepper (owned) whose work is done. One too many ends.
///
/// # Safety
/// `g` is suspended in [`serve`]; the GIL is held.
///
/// # Switches
/// Into one that ends.
#[inline]
pub(super) unsafe fn give_back(g: *mut Greenlet) {
    // SAFETY: by contract.
    unsafe {
        let thread = (*g).thread;
        if (*thread).steppers.len() < SPARE {
            (*thread).steppers.push(g);
        } else {
            greenlet::decref(g);
        }
    }
}

/// The body: one job after the other, until something is raised between two of them.
unsafe fn serve(g: *mut Greenlet, inbound: Inbound) -> Outcome {
    // SAFETY: hooks are called on the greenlet's own stack with the GIL held. A job lies on
    // the stack of its home, which is suspended while the job is the innermost step.
    unsafe {
        let thread = (*g).thread;
        let mut inbound = inbound;
        loop {
            let job: *mut Job = (*thread).step.cast();
            if matches!(inbound, Inbound::Error(_)) || job.is_null() {
                inbound.discard();
                return Outcome::Value(none());
            }
            inbound.discard();
            let home = perform(thread, g, job);
            if home.is_null() {
                return Outcome::Value(none());
            }
            inbound = switch_to(thread, home);
        }
    }
}

/// Does the job, in one step or in several with waits between. Returns the home of the last.
unsafe fn perform(thread: *mut Thread, g: *mut Greenlet, job: *mut Job) -> *mut Greenlet {
    // SAFETY: contract of `serve`. The job that was begun may be gone when the coroutine
    // comes back from a wait: what is read before is copied, and the last one is looked up.
    unsafe {
        let ts = (*thread).tstate;
        (*g).state.work_for(ts, &(*(*job).step.home).state);
        let inner = ffi::Py_NewRef((*job).inner);
        let error = std::mem::replace(&mut (*job).error, ptr::null_mut());
        let mut result = ptr::null_mut();
        let mut status = if error.is_null() {
            hooks::send(inner, (*job).value, &raw mut result)
        } else {
            let thrown = throw(inner, error, &raw mut result);
            ffi::Py_DECREF(error);
            thrown
        };
        if status == PySendResult::PYGEN_ERROR {
            result = errors::take_raised();
            if result.is_null() {
                // A coroutine not of CPython's own may return without an exception.
                status = PySendResult::PYGEN_RETURN;
                result = none();
            }
        }
        ffi::Py_DECREF(inner);
        let mut job: *mut Job = (*thread).step.cast();
        if job.is_null() {
            job = orphaned(thread, g);
        }
        if job.is_null() {
            // Ended as green code, its task being gone.
            ffi::Py_XDECREF(result);
            return ptr::null_mut();
        }
        let home = (*job).step.home;
        (*g).state.stop_working(ts, &mut (*home).state);
        (*job).status = Some(status);
        (*job).result = result;
        (*thread).throwing = false;
        home
    }
}

/// In a forked child: the job that was in progress at the fork, on this stack, if it was one of
/// a loop that the parent runs. NULL otherwise.
unsafe fn orphaned(thread: *mut Thread, g: *mut Greenlet) -> *mut Job {
    // SAFETY: contract of `perform`. Its home has waited since the fork.
    unsafe {
        let job: *mut Job = (*thread).orphan.cast();
        if job.is_null() || (*(*job).step.owner.cast::<Coroutine>()).stepper != g {
            return ptr::null_mut();
        }
        (*thread).orphan = ptr::null_mut();
        (*thread).step = job.cast();
        job
    }
}

/// Raises `error` where the coroutine waits.
pub(super) unsafe fn throw(
    inner: *mut PyObject,
    error: *mut PyObject,
    result: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: contract of `perform`.
    unsafe {
        let yielded = ffi::PyObject_CallMethodOneArg(inner, NAMES.throw, error);
        if !yielded.is_null() {
            *result = yielded;
            return PySendResult::PYGEN_NEXT;
        }
        if ffi::PyErr_ExceptionMatches(ffi::PyExc_StopIteration) == 0 {
            return PySendResult::PYGEN_ERROR;
        }
        let stop = errors::take_raised();
        let value = ffi::PyObject_GetAttr(stop, NAMES.value);
        ffi::Py_DECREF(stop);
        if value.is_null() {
            return PySendResult::PYGEN_ERROR;
        }
        *result = value;
        PySendResult::PYGEN_RETURN
    }
}

unsafe fn finish(_: *mut Greenlet, outcome: Outcome) {
    // SAFETY: the outcome is owned.
    unsafe {
        match outcome {
            Outcome::Value(object) | Outcome::Error(object) => ffi::Py_DECREF(object),
        }
    }
}

/// Ended by its last owner, who waits for that, or in the place of a green thread.
unsafe fn next(g: *mut Greenlet) -> *mut Greenlet {
    // SAFETY: contract of the hook.
    unsafe {
        if (*g).dying {
            let none = Outcome::Value(none());
            return life::hand_to_parent(g, none);
        }
        greenthread::after(g, ptr::null_mut())
    }
}

unsafe fn abort(_: *mut Greenlet, error: *mut PyObject) -> bool {
    // SAFETY: the exception is owned. A Stepper is never New where others can name it.
    unsafe { ffi::Py_DECREF(error) }
    true
}

unsafe fn kill(g: *mut Greenlet, error: *mut PyObject) -> *mut PyObject {
    // SAFETY: contract of the hook.
    unsafe {
        abort(g, error);
        none()
    }
}

unsafe fn begun(_: *mut Greenlet) -> bool {
    true
}

unsafe fn may_wait(_: *mut Greenlet, _: *mut Greenlet) -> bool {
    true
}
