//! Whom code in a green coroutine takes itself for.
//!
//! `getcurrent()` in a coroutine gives a green thread that stands for the task: the one that
//! `spawn_for_awaitable` returned, else one that is made when somebody first asks. Locals,
//! thread identities and timeouts hang on it. It has no stack; its slot `callee` holds the
//! coroutine until that has ended.

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::awaiting;
use super::coroutine::{Coroutine, State};
use super::names::asyncio;
use super::stepper::Job;
use super::waking;
use crate::greenlet::{Greenlet, Inbound, Steps, Thread, errors, incref, thread};
use crate::greenthread::GreenThread;
use crate::hub::step::{self, Stepping};
use crate::hub::{Core, registry};

static STEPS: Steps = Steps {
    identity,
    known,
    stack,
    frame,
    busy,
    route,
};

static STEPPING: Stepping = Stepping {
    needs_loop: super::cycle::needs_loop,
    wake: waking::wake,
    raise,
};

/// Tells the layers below who steps coroutines.
///
/// # Safety
/// Called once with the GIL held, when the module is initialised.
pub(super) unsafe fn init() {
    // SAFETY: by contract; nothing runs yet.
    unsafe {
        crate::greenlet::STEPS = Some(&STEPS);
        step::set_stepping(&STEPPING);
    }
}

/// The coroutine whose step is in progress, if the running greenlet is its Stepper.
unsafe fn running(thread: *mut Thread) -> *mut Coroutine {
    // SAFETY: contract of the hooks: a step that is linked is live, and so is its owner.
    unsafe {
        let job: *mut Job = (*thread).step.cast();
        if job.is_null() {
            return ptr::null_mut();
        }
        let w = (*job).step.owner.cast::<Coroutine>();
        if (*w).stepper == (*thread).current {
            w
        } else {
            ptr::null_mut()
        }
    }
}

unsafe fn known(thread: *mut Thread) -> *mut Greenlet {
    // SAFETY: contract of the hook.
    unsafe {
        let w = running(thread);
        if w.is_null() || (*w).face.is_null() {
            (*thread).current
        } else {
            (*w).face.cast()
        }
    }
}

unsafe fn identity(thread: *mut Thread) -> *mut Greenlet {
    // SAFETY: contract of the hook.
    unsafe {
        let w = running(thread);
        if w.is_null() {
            return (*thread).current;
        }
        if (*w).face.is_null() && !make(w) {
            return ptr::null_mut();
        }
        (*w).face.cast()
    }
}

/// Makes the green thread that stands for the running task. False with an exception set.
#[cold]
unsafe fn make(w: *mut Coroutine) -> bool {
    // SAFETY: contract of the hook; `w` is held by its step.
    unsafe {
        let core: *mut Core = registry::hub();
        let Some(asyncio) = asyncio() else {
            return false;
        };
        if core.is_null() {
            return false;
        }
        Python::attach(|py| {
            // Outside a task, where somebody steps the coroutine by hand, there is none.
            let task = asyncio.current_task.bind(py).call0().ok();
            let task = task.filter(|task| !task.is_none());
            match awaiting::stand_for(py, core, task.as_ref()) {
                Ok(g) => {
                    put_on(w, g, task.map_or(ptr::null_mut(), Bound::into_ptr));
                    true
                }
                Err(error) => {
                    error.restore(py);
                    false
                }
            }
        })
    }
}

/// Has `g` (owned) stand for the coroutine, which `task` (owned or NULL) runs.
///
/// # Safety
/// The coroutine has no face yet and has not ended; `g` stands for its task.
pub(super) unsafe fn put_on(w: *mut Coroutine, g: *mut GreenThread, task: *mut PyObject) {
    // SAFETY: by contract.
    unsafe {
        (*g).base.callee = ffi::Py_NewRef(w.cast());
        (*w).face = g;
        (*w).task = task;
    }
}

unsafe fn coroutine_of(g: *mut Greenlet) -> *mut Coroutine {
    // SAFETY: `g` stands for a coroutine by contract of the hooks.
    unsafe { (*g).callee.cast() }
}

unsafe fn stack(g: *mut Greenlet) -> *mut Greenlet {
    // SAFETY: contract of the hook.
    unsafe { (*coroutine_of(g)).stepper }
}

unsafe fn frame(g: *mut Greenlet) -> *mut PyObject {
    // SAFETY: contract of the hook; the coroutine is held while Python code runs.
    unsafe {
        let w = coroutine_of(g);
        if (*w).state != State::Idle {
            return ptr::null_mut();
        }
        Python::attach(|py| {
            let inner = Bound::from_borrowed_ptr(py, (*w).inner);
            innermost_frame(inner).map_or(ptr::null_mut(), Bound::into_ptr)
        })
    }
}

/// The frame in which a chain of suspended coroutines and generators waits, if it has begun.
fn innermost_frame(mut awaiting: Bound<'_, PyAny>) -> Option<Bound<'_, PyAny>> {
    let mut innermost = None;
    loop {
        let found = [
            ("cr_frame", "cr_await"),
            ("gi_frame", "gi_yieldfrom"),
            ("ag_frame", "ag_await"),
        ]
        .into_iter()
        .find_map(|(frame, next)| Some((awaiting.getattr(frame).ok()?, next)));
        // What is awaited at the end is a future, or something else without a frame.
        let Some((frame, next)) = found else {
            return innermost;
        };
        let next = awaiting.getattr(next).ok().filter(|next| !next.is_none());
        // The outermost one that awaits nothing has not begun.
        if innermost.is_some() || next.is_some() {
            innermost = Some(frame);
        }
        match next {
            Some(next) => awaiting = next,
            None => return innermost,
        }
    }
}

unsafe fn busy(g: *mut Greenlet) -> bool {
    // SAFETY: contract of the hook.
    unsafe {
        let w: *mut Coroutine = if (*g).stepping {
            (*g).step.cast()
        } else {
            coroutine_of(g)
        };
        // Who blocks an event loop is in no step.
        !w.is_null() && waking::is_busy(w)
    }
}

unsafe fn raise(g: *mut Greenlet, error: *mut PyObject) -> bool {
    // SAFETY: contract of the hook; the coroutine is held while Python code runs.
    unsafe {
        let w = coroutine_of(g);
        ffi::Py_INCREF(w.cast());
        let fine = waking::raise_in(w, error);
        ffi::Py_DECREF(w.cast());
        fine
    }
}

/// `switch()` and `throw()` to a coroutine, and the end of a greenlet whose parent it is.
unsafe fn route(g: *mut Greenlet, inbound: &mut Inbound, ended: bool) -> *mut Greenlet {
    // SAFETY: contract of the hook.
    unsafe {
        let here = thread::existing();
        if (*g).stepping && (*g).step.is_null() {
            step::wake(g, as_value(inbound.take()));
            return step::give_way(here, ended);
        }
        let (w, target) = if (*g).stepping {
            ((*g).step.cast::<Coroutine>(), g)
        } else {
            let w = coroutine_of(g);
            (w, (*w).stepper)
        };
        if (*w).state == State::Running {
            // In its own step: a switch like any other.
            return target;
        }
        incref(g);
        ffi::Py_INCREF(w.cast());
        let next = if send(w, target, inbound) {
            step::give_way(here, ended)
        } else if ended {
            // Nobody is there to be told.
            ffi::PyErr_WriteUnraisable(g.cast());
            step::give_way(here, true)
        } else {
            *inbound = Inbound::Error(errors::take_raised());
            (*here).current
        };
        ffi::Py_DECREF(w.cast());
        crate::greenlet::decref(g);
        next
    }
}

/// What `switch()` gives for what it was called with.
unsafe fn as_value(sent: Inbound) -> Inbound {
    match sent {
        Inbound::Call(args, kwargs) => {
            // SAFETY: contract of `route`; both are owned.
            Inbound::Value(unsafe { crate::greenlet::switch::single(args, kwargs) })
        }
        other => other,
    }
}

/// Has the task's next step enter `target` with what is sent. False with an exception set.
unsafe fn send(w: *mut Coroutine, target: *mut Greenlet, inbound: &mut Inbound) -> bool {
    // SAFETY: contract of `route`.
    unsafe {
        match inbound.take() {
            sent if (*w).state == State::Parked => waking::wake(w.cast(), target, as_value(sent)),
            Inbound::Error(error) => waking::raise_in(w, error),
            sent => {
                sent.discard();
                errors::set_error(
                    c"a coroutine that awaits something cannot be switched to: complete what it awaits",
                );
                false
            }
        }
    }
}
