//! Green threads that stand for an awaitable: `spawn_for_awaitable`.
//!
//! Such a green thread has no stack and is never entered. Its function slot holds the asyncio
//! future that does the work; the future's done callback settles the outcome, in a turn of
//! the hub, so that whoever waits goes on at once. It counts as New until then, and as begun.
//!
//! A kill ends the green thread at once and asks the task to end; the killer goes on when the
//! coroutine has seen that. The task's cleanup takes its time, and what comes of it is nobody's any more. A cancelled awaiter asks the task only,
//! and goes on when that has ended, as with any task.

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::cycle;
use super::names::{NAMES, asyncio};
use crate::error::raise_new;
use crate::greenlet::arguments::none;
use crate::greenlet::define::{noargs, onearg};
use crate::greenlet::{self, Greenlet, Hooks, Inbound, Outcome, Phase, errors, life, thread};
use crate::greenthread::{self, Fate, GreenThread, class};
use crate::hub::{Core, Ready, looping, park};
use crate::imports;

/// For green threads without a stack.
static AWAITING: Hooks = Hooks {
    run: entered,
    finish,
    next: greenthread::next,
    abort,
    kill,
    begun,
    may_wait,
};

static mut DONE: ffi::PyMethodDef = onearg(
    c"_task_done",
    done,
    c"Take over the outcome of an asyncio future.",
);

static mut DELIVER: ffi::PyMethodDef = noargs(
    c"_deliver_outcome",
    deliver,
    c"Take over the outcome of an asyncio future of another OS thread.",
);

/// The asyncio future that a green thread stands for (borrowed), or NULL.
///
/// # Safety
/// `g` is live.
#[inline]
pub(super) unsafe fn work_of(g: *mut GreenThread) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        if ptr::eq((*g).base.hooks, &AWAITING) {
            (*g).function
        } else {
            ptr::null_mut()
        }
    }
}

/// Says that the hub in use has no asyncio.
pub(super) fn set_hub_error() {
    // SAFETY: called with the GIL held.
    unsafe {
        raise_new(
            ffi::PyExc_RuntimeError,
            c"this hub runs without asyncio: set EVENTLET_HUB=asyncio, or call \
              eventlet.hubs.use_hub(\"asyncio\") before the first green call",
        );
    }
}

/// A green thread that stands for a task which others look after, or for none.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held. Runs Python code.
pub(super) unsafe fn stand_for(
    py: Python<'_>,
    core: *mut Core,
    task: Option<&Bound<'_, PyAny>>,
) -> PyResult<*mut GreenThread> {
    // SAFETY: by contract.
    unsafe {
        let event_loop = match task {
            Some(task) => loop_of(py, task)?,
            None => None,
        };
        let g = make(py, core, event_loop.as_ref().zip(task))?;
        (*g).onlooker = true;
        Ok(g)
    }
}

/// A green thread for work that is done on an event loop.
///
/// # Safety
/// As for [`stand_for`].
pub(super) unsafe fn make(
    py: Python<'_>,
    core: *mut Core,
    work: Option<(&Bound<'_, PyAny>, &Bound<'_, PyAny>)>,
) -> PyResult<*mut GreenThread> {
    // SAFETY: contract of `spawn_for_awaitable`.
    unsafe {
        let g = class::alloc(class::green_thread_type());
        if g.is_null() {
            return Err(PyErr::fetch(py));
        }
        (*g).base.hooks = &raw const AWAITING;
        (*g).scheduled = true;
        greenlet::class::adopt(g.cast(), (*core).thread, (*core).greenlet);
        let owned: Bound<'_, PyAny> = Bound::from_owned_ptr(py, g.cast());
        if let Some((event_loop, work)) = work {
            watch(py, g, event_loop, work)?;
            (*g).function = work.clone().into_ptr();
        }
        Ok(owned.into_ptr().cast())
    }
}

/// Has `g` told when the work is done, in whatever OS thread that is.
unsafe fn watch(
    py: Python<'_>,
    g: *mut GreenThread,
    event_loop: &Bound<'_, PyAny>,
    work: &Bound<'_, PyAny>,
) -> PyResult<()> {
    // SAFETY: contract of `spawn_for_awaitable`; the definition is never written.
    unsafe {
        let callback = ffi::PyCFunction_NewEx(&raw mut DONE, g.cast(), ptr::null_mut());
        let callback: Bound<'_, PyAny> = Bound::from_owned_ptr_or_err(py, callback)?;
        let own = loop_of(py, work)?;
        if let Some(own) = own.filter(|own| !own.is(event_loop)) {
            // Its loop may run in another OS thread, which alone may touch the future.
            (*g).args = own.clone().into_ptr();
            let add = imports::attribute(work, NAMES.add_done_callback)?;
            imports::call_with(&own, c"call_soon_threadsafe", [&add, &callback])?;
            return Ok(());
        }
        let result = ffi::PyObject_CallMethodOneArg(
            work.as_ptr(),
            NAMES.add_done_callback,
            callback.as_ptr(),
        );
        Bound::from_owned_ptr_or_err(py, result).map(drop)
    }
}

unsafe fn loop_of<'py>(
    py: Python<'py>,
    work: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    // SAFETY: contract of `spawn_for_awaitable`.
    unsafe {
        let found = ffi::PyObject_CallMethodNoArgs(work.as_ptr(), NAMES.get_loop);
        if !found.is_null() {
            return Ok(Some(Bound::from_owned_ptr(py, found)));
        }
        let error = PyErr::fetch(py);
        if error.is_instance_of::<pyo3::exceptions::PyAttributeError>(py) {
            return Ok(None);
        }
        Err(error)
    }
}

/// Asks the work to end. If it ends by that, the green thread was killed.
///
/// # Safety
/// `g` stands for a future; the GIL is held. Runs Python code.
pub(super) unsafe fn request_cancel(g: *mut GreenThread) {
    // SAFETY: by contract; both are held while Python code runs.
    unsafe {
        let work = ffi::Py_XNewRef((*g).function);
        let own = ffi::Py_XNewRef((*g).args);
        if work.is_null() {
            return;
        }
        (*g).killed = true;
        let result = if own.is_null() {
            ffi::PyObject_CallMethodNoArgs(work, NAMES.cancel)
        } else {
            let call = ffi::PyObject_GetAttr(work, NAMES.cancel);
            let result = if call.is_null() {
                ptr::null_mut()
            } else {
                ffi::PyObject_CallMethodOneArg(own, NAMES.call_soon_threadsafe, call)
            };
            ffi::Py_XDECREF(call);
            result
        };
        if result.is_null() {
            ffi::PyErr_WriteUnraisable(work);
        } else {
            ffi::Py_DECREF(result);
        }
        ffi::Py_XDECREF(own);
        ffi::Py_DECREF(work);
    }
}

/// The done callback of the work.
unsafe extern "C" fn done(op: *mut PyObject, work: *mut PyObject) -> *mut PyObject {
    let g = op.cast::<GreenThread>();
    // SAFETY: called by a loop with the GIL held; the callback holds `g`.
    unsafe {
        let home = (*g).base.thread;
        if home != thread::existing() {
            return post(g, work);
        }
        let core: *mut Core = (*home).hub.cast();
        Python::attach(|py| match looping::event(py, core, || take_over(g, work)) {
            Ok(()) => none(),
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        })
    }
}

/// The work was done in another OS thread: the green thread's own hub takes its outcome.
unsafe fn post(g: *mut GreenThread, work: *mut PyObject) -> *mut PyObject {
    // SAFETY: contract of `done`.
    unsafe {
        let core: *mut Core = (*(*g).base.thread).hub.cast();
        if core.is_null() || !(*(*g).base.thread).alive {
            return none();
        }
        let pair = ffi::PyTuple_Pack(2, g.cast::<PyObject>(), work);
        if pair.is_null() {
            return ptr::null_mut();
        }
        let call = ffi::PyCFunction_NewEx(&raw mut DELIVER, pair, ptr::null_mut());
        ffi::Py_DECREF(pair);
        if call.is_null() {
            return ptr::null_mut();
        }
        park::post(core, Ready::Call(call));
        none()
    }
}

unsafe extern "C" fn deliver(pair: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the hub with the GIL held; the tuple was made by `post`.
    unsafe {
        take_over(
            ffi::PyTuple_GET_ITEM(pair, 0).cast(),
            ffi::PyTuple_GET_ITEM(pair, 1),
        );
        none()
    }
}

/// Gives `g` the outcome of its work. Once it has been killed, the outcome is only looked at,
/// so that asyncio does not report it as one that nobody took.
unsafe fn take_over(g: *mut GreenThread, work: *mut PyObject) {
    // SAFETY: contract of `done`.
    unsafe {
        let result = if (*g).onlooker && !is_awaited(g) {
            peek(work)
        } else {
            ffi::PyObject_CallMethodNoArgs(work, NAMES.result)
        };
        let outcome = life::outcome(result);
        if (*g).base.phase == Phase::Dead {
            match outcome {
                Outcome::Value(object) | Outcome::Error(object) => ffi::Py_DECREF(object),
            }
            return;
        }
        (*g).base.phase = Phase::Dead;
        conclude(g, killed_if_cancelled(g, outcome));
    }
}

/// Somebody waits for the outcome.
unsafe fn is_awaited(g: *mut GreenThread) -> bool {
    // SAFETY: `g` is live.
    unsafe { !(*g).waiters.is_empty() || !(*g).awaiters.is_empty() || !(*g).links.is_null() }
}

/// The result of a future that is done, or its exception raised, without taking it: if nobody
/// does, asyncio reports it.
unsafe fn peek(work: *mut PyObject) -> *mut PyObject {
    // SAFETY: contract of `done`.
    unsafe {
        let cancelled = ffi::PyObject_CallMethodNoArgs(work, NAMES.cancelled);
        if cancelled.is_null() {
            return cancelled;
        }
        ffi::Py_DECREF(cancelled);
        if cancelled == ffi::Py_True() {
            return ffi::PyObject_CallMethodNoArgs(work, NAMES.result);
        }
        let error = ffi::PyObject_GetAttr(work, NAMES.exception);
        if error.is_null() || ffi::PyExceptionInstance_Check(error) == 0 {
            ffi::Py_XDECREF(error);
            ffi::PyErr_Clear();
            return ffi::PyObject_GetAttr(work, NAMES.outcome);
        }
        errors::raise(error);
        ptr::null_mut()
    }
}

/// The task's end that a cancelled awaiter asked for is a kill of the green thread.
unsafe fn killed_if_cancelled(g: *mut GreenThread, outcome: Outcome) -> Outcome {
    // SAFETY: the outcome is owned.
    unsafe {
        let Outcome::Error(error) = outcome else {
            return outcome;
        };
        if (*g).killed && is_cancelled(error) {
            let exit = errors::new_exit();
            if !exit.is_null() {
                ffi::PyException_SetContext(exit, error);
                return Outcome::Error(exit);
            }
            ffi::PyErr_Clear();
        }
        Outcome::Error(error)
    }
}

unsafe fn is_cancelled(error: *mut PyObject) -> bool {
    // SAFETY: `error` is live; the GIL is held.
    unsafe {
        let Some(asyncio) = asyncio() else {
            ffi::PyErr_Clear();
            return false;
        };
        errors::is_a(error, asyncio.cancelled_error.as_ptr())
    }
}

/// Settles the outcome; an error that nobody has taken yet may still be taken.
unsafe fn conclude(g: *mut GreenThread, outcome: Outcome) {
    // SAFETY: called once, with the GIL held; `g` is held by the callers.
    unsafe {
        let taken = greenthread::settle(g, outcome);
        if let Fate::Error(error) = (*g).fate
            && !taken
            && !(*g).onlooker
            && !(*g).killed
            && !errors::is_a(error, errors::GREENLET_EXIT)
            && !is_cancelled(error)
            && !crate::hub::turn::is_system(error)
        {
            (*g).unclaimed = true;
        }
    }
}

/// `kill()` of a green thread whose work is not done.
unsafe fn abort(g: *mut Greenlet, error: *mut PyObject) -> bool {
    let me = g.cast::<GreenThread>();
    // SAFETY: contract of the hook.
    unsafe {
        (*g).phase = Phase::Dead;
        (*g).inbound.take().discard();
        request_cancel(me);
        conclude(me, Outcome::Error(error));
    }
    true
}

/// `kill()` by a caller who may wait: goes on when the coroutine has seen the cancellation. A
/// coroutine that kills its own green thread sees it at its next `await`, and one that awaits the
/// killer has that cancelled first.
unsafe fn kill(g: *mut Greenlet, error: *mut PyObject) -> *mut PyObject {
    let me = g.cast::<GreenThread>();
    // SAFETY: contract of the hook; the work is held while Python code runs.
    unsafe {
        let here = thread::existing();
        let killer = greenlet::known_identity(here);
        let elsewhere = !(*me).args.is_null()
            || killer == g
            || class::check(killer.cast()) && cycle::leads_to(me, ptr::null_mut(), killer.cast());
        let work = ffi::Py_XNewRef((*me).function);
        let waits_for = if work.is_null() || elsewhere {
            ptr::null_mut()
        } else {
            ffi::PyObject_GetAttr(work, NAMES.fut_waiter)
        };
        ffi::PyErr_Clear();
        abort(g, error);
        let core: *mut Core = (*here).hub.cast();
        let result = if work.is_null() || elsewhere || core.is_null() || !park::may_wait(core) {
            none()
        } else {
            Python::attach(|py| match see(py, core, work, waits_for) {
                Ok(()) => none(),
                Err(error) => {
                    error.restore(py);
                    ptr::null_mut()
                }
            })
        };
        ffi::Py_XDECREF(waits_for);
        ffi::Py_XDECREF(work);
        result
    }
}

/// Waits until the cancelled `work` has been told; has others run once if its loop is not one
/// that runs while the caller waits.
unsafe fn see(
    py: Python<'_>,
    core: *mut Core,
    work: *mut PyObject,
    waits_for: *mut PyObject,
) -> PyResult<()> {
    // SAFETY: contract of `kill`: `work` is held, `waits_for` is NULL if there is nothing.
    unsafe {
        let work: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, work);
        let runs = !imports::call(&work, c"done")?.is_truthy()?
            && match loop_of(py, &work)? {
                Some(own) => {
                    looping::event_loop(py, core)?.is_some_and(|hub| hub.is(&own))
                        || imports::call(&own, c"is_running")?.is_truthy()?
                }
                None => false,
            };
        if runs {
            let none = ffi::Py_None();
            let waits_for = if waits_for.is_null() { none } else { waits_for };
            let waits_for = Bound::from_borrowed_ptr(py, waits_for);
            let cancelled = imports::module(py, c"eventlet.hubs._cancelled")?;
            imports::call_with(&cancelled, c"wait_until_seen", [&work, &waits_for])?;
        } else {
            let result = greenthread::kill::give_turn();
            Bound::from_owned_ptr_or_err(py, result)?;
        }
        Ok(())
    }
}

/// Refuses a wait for a task that awaits the waiter.
unsafe fn may_wait(g: *mut Greenlet, waiter: *mut Greenlet) -> bool {
    // SAFETY: contract of the hook.
    unsafe {
        if !class::check(waiter.cast())
            || !cycle::leads_to(g.cast(), ptr::null_mut(), waiter.cast())
        {
            return true;
        }
        raise_new(
            ffi::PyExc_RuntimeError,
            c"a green thread cannot wait for a coroutine that awaits it: it would wait for ever",
        );
        false
    }
}

unsafe fn begun(g: *mut Greenlet) -> bool {
    // SAFETY: contract of the hook.
    unsafe { (*g).phase == Phase::New }
}

/// Somebody entered it with `switch()` or `throw()`, on a stack that it does not need.
unsafe fn entered(g: *mut Greenlet, inbound: Inbound) -> Outcome {
    let me = g.cast::<GreenThread>();
    // SAFETY: contract of the hook.
    unsafe {
        request_cancel(me);
        if let Inbound::Error(error) = inbound {
            return Outcome::Error(error);
        }
        inbound.discard();
        errors::set_error(
            c"a green thread that stands for an awaitable cannot be switched to: wait() for it",
        );
        Outcome::Error(errors::take_raised())
    }
}

unsafe fn finish(g: *mut Greenlet, outcome: Outcome) {
    // SAFETY: contract of the hook.
    unsafe { conclude(g.cast(), outcome) }
}
