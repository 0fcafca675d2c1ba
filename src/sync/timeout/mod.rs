//! `eventlet.timeout.Timeout`: an exception raised in the running green thread after a while.
//!
//! Nearly every timeout is cancelled before its time, a server's by the million: so starting one
//! is one entry of the timer heap, and cancelling takes it out again. The heap owns a reference
//! to the Timeout; the Timeout owns one to its green thread while it is pending, and both end
//! when it fires or is cancelled. No cycle is left then.
//!
//! A timeout of no time at all goes to the ready queue directly, behind what is ready already:
//! programs see (and upstream promises) that it fires before what is woken after it.

pub(super) mod class;

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::class::after;
use crate::greenlet::arguments::{given, none, seconds};
use crate::greenlet::errors::{self, make_exception};
use crate::greenlet::{self, Greenlet};
use crate::hub::{Core, Due, Ready, make_ready, registry, run};
use crate::reactor::now;
use crate::sched::TimerKey;

#[repr(C)]
struct Timeout {
    base: ffi::PyBaseExceptionObject,
    /// Owned: what was given as `seconds`; None: no timer.
    seconds: *mut PyObject,
    /// Owned: what to raise; None and booleans: the Timeout itself.
    exception: *mut PyObject,
    /// Owned while pending, else NULL: where to raise.
    greenlet: *mut Greenlet,
    deadline: u64,
    /// None: in the ready queue from the start.
    key: Option<TimerKey>,
}

/// How far from the front of the ready queue a timeout is looked for that is withdrawn when it is
/// due: those that became due in the same turn as what has just been woken.
const NEAR: usize = 64;

/// When a timeout is tried again whose coroutine has to raise something else first.
const POSTPONED_NANOS: u64 = 50_000;

/// Schedules the timeout for the running green thread. False with an exception set.
unsafe fn begin(me: *mut Timeout) -> bool {
    // SAFETY: contract of the callers: `me` is live, the GIL is held. The pending timer
    // owns one reference to `me`, which owns one to the running greenlet.
    unsafe {
        if !(*me).greenlet.is_null() {
            ffi::PyErr_Format(
                ffi::PyExc_AssertionError,
                c"%R is pending: cancel it before it is started again".as_ptr(),
                me.cast::<PyObject>(),
            );
            return false;
        }
        if !given((*me).seconds) {
            return true;
        }
        let given = ffi::Py_NewRef((*me).seconds);
        let seconds = seconds(given);
        ffi::Py_DECREF(given);
        let Some(seconds) = seconds else {
            return false;
        };
        let core = registry::hub();
        if core.is_null() {
            return false;
        }
        // In a coroutine the task's own, not the one whose stack serves this step.
        let g = greenlet::identity((*core).thread);
        if g.is_null() {
            return false;
        }
        if !(*me).greenlet.is_null() {
            // Started by what ran meanwhile: begins anew.
            end(me);
            return begin(me);
        }
        greenlet::incref(g);
        (*me).greenlet = g;
        ffi::Py_INCREF(me.cast());
        if seconds > 0.0 {
            (*me).deadline = after(seconds);
            (*me).key = Some(run::add_timer(core, (*me).deadline, Due::Expire(me.cast())));
            // The heap's reference keeps it alive whatever the collector finds, so while it
            // is pending there is nothing to find: a million live timeouts cost a
            // collection nothing.
            ffi::PyObject_GC_UnTrack(me.cast());
        } else {
            (*me).deadline = 0;
            (*me).key = None;
            make_ready(core, Ready::Expire(me.cast()));
        }
        true
    }
}

/// Shows a timeout that is no longer pending to the collector again.
unsafe fn track(me: *mut Timeout) {
    // SAFETY: contract of the callers: `me` is live, the GIL is held.
    unsafe {
        if ffi::PyObject_GC_IsTracked(me.cast()) == 0 {
            ffi::PyObject_GC_Track(me.cast());
        }
    }
}

/// Withdraws a pending timeout. Always true, as [`polite`] wants it.
unsafe fn end(me: *mut Timeout) -> bool {
    // SAFETY: contract of the callers: `me` is live and held by them, the GIL is held.
    unsafe {
        let g = std::mem::replace(&mut (*me).greenlet, ptr::null_mut());
        if g.is_null() {
            return true;
        }
        track(me);
        let core = (*(*g).thread).hub.cast::<Core>();
        if let Some(op) = withdraw(core, me) {
            // Not forgotten, handed on: the hub's reference is released here.
            ffi::Py_DECREF(op);
        }
        greenlet::decref(g);
        true
    }
}

/// Takes a timeout, with the reference that the hub has, out of the timers; or, if it was due in
/// this very moment, out of the beginning of the ready queue.
unsafe fn withdraw(core: *mut Core, me: *mut Timeout) -> Option<*mut PyObject> {
    // SAFETY: contract of `end`; the hub is that of the timeout's OS thread.
    unsafe {
        if core.is_null() {
            return None;
        }
        // The hub may have been replaced, and the key name somebody else's timer there.
        if let Some(key) = (*me).key
            && matches!((*core).timers.get(key), Some(Due::Expire(op)) if *op == me.cast())
        {
            return match (*core).timers.cancel(key) {
                Some(Due::Expire(op)) => Some(op),
                _ => None,
            };
        }
        let mine = |ready: &Ready| matches!(ready, Ready::Expire(op) if *op == me.cast());
        match (*core).ready.take(NEAR, mine) {
            Some(Ready::Expire(op)) => Some(op),
            _ => None,
        }
    }
}

/// Asked by the hub when a timer is due. One that was cancelled deep in the ready
/// queue is told by its state, one that was also started again by its deadline.
unsafe extern "C" fn expire(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Timeout>();
    // SAFETY: called with the GIL held.
    unsafe {
        if (*me).greenlet.is_null() || (*me).deadline > now() {
            return none();
        }
        let core: *mut Core = (*(*(*me).greenlet).thread).hub.cast();
        if !core.is_null() && greenlet::is_busy((*me).greenlet) {
            // What is raised first may leave the block that this one is for.
            (*me).deadline = now().saturating_add(POSTPONED_NANOS);
            ffi::Py_INCREF(me.cast());
            (*me).key = Some(run::add_timer(core, (*me).deadline, Due::Expire(me.cast())));
            return none();
        }
        track(me);
        let error = raised(me);
        let pair = ffi::PyTuple_New(2);
        // Taken last: what was called may have cancelled it.
        let g = std::mem::replace(&mut (*me).greenlet, ptr::null_mut());
        if pair.is_null() || g.is_null() {
            ffi::Py_XDECREF(error);
            ffi::Py_XDECREF(pair);
            if !g.is_null() {
                greenlet::decref(g);
                return ptr::null_mut();
            }
            return none();
        }
        ffi::PyTuple_SET_ITEM(pair, 0, g.cast());
        ffi::PyTuple_SET_ITEM(pair, 1, error);
        pair
    }
}

/// What to raise: owned. Runs Python code if a class was given.
unsafe fn raised(me: *mut Timeout) -> *mut PyObject {
    // SAFETY: contract of `expire`; what was given is held while it is called.
    unsafe {
        let what = (*me).exception;
        if !given(what) || ffi::PyBool_Check(what) != 0 {
            return ffi::Py_NewRef(me.cast());
        }
        let what = ffi::Py_NewRef(what);
        let is_exception =
            ffi::PyExceptionClass_Check(what) != 0 || ffi::PyExceptionInstance_Check(what) != 0;
        let error = if is_exception {
            make_exception([what, ptr::null_mut(), ptr::null_mut()])
        } else {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"a Timeout cannot raise %R: give it an exception class or instance, True, False or None"
                    .as_ptr(),
                what,
            );
            ptr::null_mut()
        };
        ffi::Py_DECREF(what);
        if error.is_null() {
            errors::take_raised()
        } else {
            error
        }
    }
}
