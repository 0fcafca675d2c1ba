//! Green coroutines: coroutines in which blocking green calls suspend their task alone.
//!
//! A task is given one of these objects in place of the coroutine. It behaves as the coroutine
//! does, but takes each step on the stack of a Stepper (see `stepper`). Where a green call
//! blocks, the step ends for the task as if the coroutine had awaited a future, the *blocker*. The
//! wake-up completes the blocker, and the task's next step goes on in the green call.
//! Cancelling the task cancels the blocker, so the next step raises `CancelledError` there. All
//! that asyncio does with tasks that await futures holds for them.
//!
//! ```text
//!   Idle ──step──▶ Running ──yields──▶ Idle
//!                    │ ▲ └──returns or raises──▶ Done
//!                    ▼ │ step
//!                   Parked
//! ```

use std::ffi::c_longlong;
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::{PyObject, PySendResult};

use super::hooks;
use super::names::NAMES;
use super::records;
use super::stepper::{self, Job};
use super::waking;
use crate::error::raise_new;
use crate::greenlet::arguments::none;
use crate::greenlet::switch::visit;
use crate::greenlet::{self, Greenlet, Inbound, errors, thread};
use crate::greenthread::GreenThread;
use crate::hub::registry;
use crate::hub::step::{self, Step};

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// Not begun, or at an `await`.
    Idle,
    Running,
    /// In a green call that blocks.
    Parked,
    Done,
}

/// Fields are ordered by use: a step that does not block touches the first cache line only.
#[repr(C)]
pub(super) struct Coroutine {
    ob_base: PyObject,
    /// Owned.
    pub(super) inner: *mut PyObject,
    /// Owned while Running or Parked: whose stack the step is on.
    pub(super) stepper: *mut Greenlet,
    /// Owned exceptions to raise at the next `await`, in place of a cancellation.
    pub(super) thrown: Vec<*mut PyObject>,
    pub(super) state: State,
    /// The blocker is done: `inbound` is final.
    pub(super) woken: bool,
    /// The next step finds it by its coroutine: see `records`.
    pub(super) listed: bool,
    /// Owns itself until the next step: nobody else does.
    held: bool,
    /// Owned or NULL: the green thread that code in the coroutine takes itself for.
    pub(super) face: *mut GreenThread,
    /// Owned or NULL: the task, once there is a face.
    pub(super) task: *mut PyObject,
    /// Owned while Parked: what the next step enters. The Stepper, or a greenlet that the
    /// coroutine has switched to.
    pub(super) parked: *mut Greenlet,
    /// Owned while Parked, except for one that only lets others run: what the task waits for.
    pub(super) blocker: *mut PyObject,
    /// What the green call will be given.
    pub(super) inbound: Inbound,
    /// How often the task was asked to cancel before we asked; see `waking`.
    pub(super) cancelling: c_longlong,
    pub(super) weakrefs: *mut PyObject,
}

impl Coroutine {
    /// Nothing is left of what has happened, but the coroutine.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self.state, State::Idle | State::Done)
            && self.face.is_null()
            && self.task.is_null()
            && self.parked.is_null()
            && self.blocker.is_null()
            && self.thrown.is_empty()
            && self.weakrefs.is_null()
    }

    /// The task knows the coroutine alone, and not this.
    #[inline]
    fn is_record(&self) -> bool {
        // SAFETY: the coroutine is live.
        unsafe { ffi::PyCoro_CheckExact(self.inner) != 0 }
    }
}

/// One step: sends `value` (borrowed), or throws `error` (owned or NULL).
///
/// # Safety
/// `w` is live; the GIL is held, no exception is set; `out` is valid for a write.
///
/// # Switches
/// To the stack of a Stepper, and back when the coroutine waits or ends.
pub(super) unsafe fn advance(
    w: *mut Coroutine,
    value: *mut PyObject,
    error: *mut PyObject,
    out: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: by contract.
    unsafe {
        let mut error = error;
        if !(*w).thrown.is_empty() && (*w).state == State::Idle {
            error = waking::due(w, error);
        }
        loop {
            let status = once(w, value, error, out);
            if status != PySendResult::PYGEN_NEXT
                || (*w).state != State::Idle
                || (*w).thrown.is_empty()
            {
                return status;
            }
            // It awaits something, and more is to be raised in it.
            ffi::Py_DECREF(*out);
            error = (*w).thrown.remove(0);
        }
    }
}

unsafe fn once(
    w: *mut Coroutine,
    value: *mut PyObject,
    error: *mut PyObject,
    out: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: contract of `advance`. The job lies on this stack, which is suspended while it
    // is linked.
    unsafe {
        let thread = thread::this();
        if thread.is_null() {
            ffi::Py_XDECREF(error);
            return PySendResult::PYGEN_ERROR;
        }
        let target = match (*w).state {
            State::Running => return refuse(error, c"coroutine already executing"),
            State::Parked if (*(*w).parked).thread != thread => {
                return refuse(
                    error,
                    c"the coroutine waits in a green call of another OS thread",
                );
            }
            State::Parked => unpark(w, error),
            State::Done => return inline(w, value, error, out),
            State::Idle => {
                let g = stepper::take(thread);
                if g.is_null() {
                    ffi::Py_XDECREF(error);
                    return PySendResult::PYGEN_ERROR;
                }
                (*w).stepper = g;
                g
            }
        };
        let resumed = (*w).state == State::Parked;
        if std::mem::replace(&mut (*w).held, false) {
            ffi::Py_DECREF(w.cast());
        }
        (*w).state = State::Running;
        let mut job = Job {
            step: Step {
                outer: step::innermost(thread),
                home: (*thread).current,
                owner: w.cast(),
                parked: ptr::null_mut(),
                passing: false,
            },
            inner: (*w).inner,
            value,
            error: if resumed { ptr::null_mut() } else { error },
            status: None,
            result: ptr::null_mut(),
        };
        ffi::Py_INCREF(w.cast());
        // A green thread that runs a loop may have no other reference while it is not current.
        greenlet::incref(job.step.home);
        (*thread).step = (&raw mut job).cast();
        let inbound = visit(thread, target);
        greenlet::decref(job.step.home);
        (*thread).step = job.step.outer.cast();
        if resumed {
            greenlet::decref(target);
        }
        let status = ended(w, &mut job, inbound, out);
        ffi::Py_DECREF(w.cast());
        status
    }
}

unsafe fn refuse(error: *mut PyObject, message: &std::ffi::CStr) -> PySendResult {
    // SAFETY: contract of `advance`.
    unsafe {
        ffi::Py_XDECREF(error);
        raise_new(ffi::PyExc_RuntimeError, message);
    }
    PySendResult::PYGEN_ERROR
}

/// A step on the caller's own stack.
unsafe fn inline(
    w: *mut Coroutine,
    value: *mut PyObject,
    error: *mut PyObject,
    out: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: contract of `advance`.
    unsafe {
        let status = if error.is_null() {
            hooks::send((*w).inner, value, out)
        } else {
            let status = stepper::throw((*w).inner, error, out);
            ffi::Py_DECREF(error);
            status
        };
        if status != PySendResult::PYGEN_NEXT {
            conclude(w);
        }
        status
    }
}

/// Prepares the greenlet that the step enters in the middle of a green call: owned.
unsafe fn unpark(w: *mut Coroutine, error: *mut PyObject) -> *mut Greenlet {
    // SAFETY: contract of `advance`; `w` is Parked.
    unsafe {
        let g = std::mem::replace(&mut (*w).parked, ptr::null_mut());
        (*g).stepping = false;
        (*g).step = ptr::null_mut();
        greenlet::replace(&raw mut (*g).keeps, ptr::null_mut());
        let inbound = (*w).inbound.take();
        let inbound = if error.is_null() {
            inbound
        } else {
            inbound.discard();
            Inbound::Error(error)
        };
        greenlet::replace(&raw mut (*w).blocker, ptr::null_mut());
        (*(*g).thread).throwing = matches!(inbound, Inbound::Error(_));
        std::mem::replace(&mut (*g).inbound, inbound).discard();
        g
    }
}

/// Home has control again.
unsafe fn ended(
    w: *mut Coroutine,
    job: &mut Job,
    inbound: Inbound,
    out: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: contract of `advance`.
    unsafe {
        let Some(status) = job.status else {
            return park(w, &job.step, inbound, out);
        };
        inbound.discard();
        (*w).state = State::Idle;
        stepper::give_back(std::mem::replace(&mut (*w).stepper, ptr::null_mut()));
        *out = job.result;
        match status {
            PySendResult::PYGEN_NEXT => {}
            PySendResult::PYGEN_RETURN => conclude(w),
            PySendResult::PYGEN_ERROR => {
                conclude(w);
                *out = ptr::null_mut();
                errors::raise(job.result);
            }
        }
        status
    }
}

/// The coroutine has ended: nobody takes himself for it any more.
unsafe fn conclude(w: *mut Coroutine) {
    // SAFETY: contract of `advance`; pointers are taken out before they are released.
    unsafe {
        (*w).state = State::Done;
        records::unlist(w);
        if (*w).face.is_null() {
            return;
        }
        let face = std::mem::replace(&mut (*w).face, ptr::null_mut());
        greenlet::replace(&raw mut (*face).base.callee, ptr::null_mut());
        greenlet::replace(&raw mut (*w).task, ptr::null_mut());
        greenlet::decref(face.cast());
        for late in std::mem::take(&mut (*w).thrown) {
            ffi::Py_DECREF(late);
        }
    }
}

/// The step was left in its middle: the task gets something to wait for.
unsafe fn park(
    w: *mut Coroutine,
    left: &Step,
    inbound: Inbound,
    out: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: contract of `advance`.
    unsafe {
        // Somebody who left without waiting for anything is entered by a switch to the face.
        let parked = if left.parked.is_null() {
            (*w).stepper
        } else {
            left.parked
        };
        (*parked).stepping = true;
        (*parked).step = w.cast();
        (*w).woken = false;
        (*w).state = State::Parked;
        wait_in(w, parked);
        if let Inbound::Error(error) = inbound {
            // Meant for whoever runs the loop: an interrupt of the program.
            errors::raise(error);
            return PySendResult::PYGEN_ERROR;
        }
        inbound.discard();
        if left.passing {
            (*w).woken = true;
            hold(w);
            *out = none();
            return PySendResult::PYGEN_NEXT;
        }
        let blocker = make_blocker();
        if blocker.is_null() {
            let error = errors::take_raised();
            return once(w, ffi::Py_None(), error, out);
        }
        (*w).blocker = blocker;
        if (*w).is_record() && ffi::PyObject_SetAttr(blocker, NAMES.green_step, w.cast()) < 0 {
            ffi::PyErr_Clear();
            hold(w);
        }
        wait_in(w, parked);
        *out = ffi::Py_NewRef(blocker);
        let core = registry::existing();
        if !core.is_null() {
            step::settle(core);
        }
        PySendResult::PYGEN_NEXT
    }
}

/// Keeps a record that the task does not know until its next step.
unsafe fn hold(w: *mut Coroutine) {
    // SAFETY: contract of `park`.
    unsafe {
        if (*w).is_record() && !(*w).held {
            (*w).held = true;
            ffi::Py_INCREF(w.cast());
        }
    }
}

/// Has the next step enter `g`, which keeps the blocker, and so the task, from now on.
///
/// # Safety
/// Both are live; the GIL is held.
pub(super) unsafe fn wait_in(w: *mut Coroutine, g: *mut Greenlet) {
    // SAFETY: by contract; what is released is not named any more.
    unsafe {
        greenlet::incref(g);
        greenlet::replace(&raw mut (*g).keeps, ffi::Py_XNewRef((*w).blocker));
        let former = std::mem::replace(&mut (*w).parked, g);
        if !former.is_null() {
            if former != g {
                greenlet::replace(&raw mut (*former).keeps, ptr::null_mut());
            }
            greenlet::decref(former);
        }
    }
}

/// A future of the running loop, marked as awaited; NULL with an exception set.
///
/// # Safety
/// The GIL is held. Runs Python code.
pub(super) unsafe fn make_blocker() -> *mut PyObject {
    // SAFETY: the GIL is held by the callers.
    unsafe {
        let event_loop = crate::imports::visible_loop();
        if event_loop.is_null() {
            return raise_new(
                ffi::PyExc_RuntimeError,
                c"a blocking green call in a coroutine needs a running event loop",
            );
        }
        let blocker = ffi::PyObject_CallMethodNoArgs(event_loop, NAMES.create_future);
        ffi::Py_DECREF(event_loop);
        if !blocker.is_null() && ffi::PyObject_SetAttr(blocker, NAMES.blocking, ffi::Py_True()) < 0
        {
            ffi::Py_DECREF(blocker);
            return ptr::null_mut();
        }
        blocker
    }
}

/// Ends a coroutine that is not needed any more, as `coroutine.close()` does.
///
/// # Safety
/// `w` is live; the GIL is held. False with an exception set.
///
/// # Switches
/// Into a coroutine that is parked.
pub(super) unsafe fn close(w: *mut Coroutine) -> bool {
    // SAFETY: by contract.
    unsafe {
        if (*w).state == State::Running {
            refuse(ptr::null_mut(), c"coroutine already executing");
            return false;
        }
        if (*w).state != State::Parked {
            let result = ffi::PyObject_CallMethodNoArgs((*w).inner, NAMES.close);
            conclude(w);
            ffi::Py_XDECREF(result);
            return !result.is_null();
        }
        let exit = ffi::PyObject_CallNoArgs(ffi::PyExc_GeneratorExit);
        if exit.is_null() {
            return false;
        }
        let mut result = ptr::null_mut();
        match once(w, ffi::Py_None(), exit, &raw mut result) {
            PySendResult::PYGEN_RETURN => {
                ffi::Py_DECREF(result);
                true
            }
            PySendResult::PYGEN_NEXT => {
                ffi::Py_DECREF(result);
                refuse(ptr::null_mut(), c"coroutine ignored GeneratorExit");
                false
            }
            PySendResult::PYGEN_ERROR => {
                let ended = ffi::PyErr_ExceptionMatches(ffi::PyExc_GeneratorExit) != 0
                    || ffi::PyErr_ExceptionMatches(ffi::PyExc_StopIteration) != 0;
                if ended {
                    ffi::PyErr_Clear();
                }
                ended
            }
        }
    }
}
