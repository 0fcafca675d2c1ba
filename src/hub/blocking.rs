//! Green calls that block an asyncio loop: in a callback, or in a task whose step is not one
//! that can be left.
//!
//! Such a call does what it does on a hub without asyncio: its loop stands still, and green
//! threads run on. If green code runs the loop, its green thread parks. Else the loop is on the
//! stack that turns run on, and nobody else could take them: so the caller does, on its own
//! stack, and sleeps in the poller of the hub, until somebody wakes it. It counts as a greenlet
//! that is not entered by a switch meanwhile, since it is there already.

use std::ptr;
use std::sync::Arc;

use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::{Core, Parked, Ready, Visit, io, nested, run, step, turn};
use crate::error::raise_new;
use crate::greenlet::{Greenlet, Inbound, errors};

/// A caller that takes the turns itself; lies on its stack.
pub(super) struct Block {
    /// Borrowed: it runs.
    caller: *mut Greenlet,
    /// Its resume count when it began to wait: the turns that it takes count as well.
    ticket: u64,
    /// What it was woken with.
    woken: Option<Inbound>,
    /// The loop that stands still meanwhile (owned), or NULL.
    event_loop: *mut PyObject,
    /// The greenlet for whose end it waits (borrowed), or NULL.
    awaited: *mut Greenlet,
    /// One further down, whose turn has entered this caller.
    outer: *mut Block,
}

/// What warns of such a call; None: it is refused. Set once.
static mut WARN: Option<Py<PyAny>> = None;
/// The warning is being given, which may block as well.
static mut WARNING: bool = false;

fn given() -> *const Option<Py<PyAny>> {
    &raw const WARN
}

/// Let green calls block an event loop, after a call of `warn`; None has them refused.
#[pyfunction]
#[pyo3(signature = (warn=None))]
pub(crate) fn _block_loops(warn: Option<Py<PyAny>>) {
    // SAFETY: the GIL is held; called once, before there is a hub.
    unsafe { WARN = warn }
}

/// For a caller that cannot leave where it is: NULL without an exception, or with the error for a
/// blocking call if those are refused.
///
/// # Safety
/// The GIL is held.
#[cold]
pub(super) unsafe fn refuse() -> *mut Greenlet {
    // SAFETY: by contract; written once.
    unsafe {
        if (*given()).is_some() {
            return ptr::null_mut();
        }
        raise_new(
            ffi::PyExc_RuntimeError,
            c"a blocking green call would stop the asyncio event loop that runs this code, which \
              EVENTLET_ASYNCIO_PLAIN_TASKS=error forbids: make the call in a coroutine of a task that \
              was started after `import eventlet`; or await a green thread that makes it (await \
              eventlet.spawn(function, ...)); or await asyncio.to_thread(function, ...)",
        )
        .cast()
    }
}

/// [`super::park::park`] where [`refuse`] was asked. `awaited` is the greenlet for whose end the
/// caller waits, or NULL.
///
/// # Safety
/// As for `park`.
///
/// # Switches
/// Always, unless an exception is set already.
#[cold]
pub(super) unsafe fn park(core: *mut Core, awaited: *mut Greenlet) -> Inbound {
    // SAFETY: by contract; the core is held while Python code runs.
    unsafe {
        if !ffi::PyErr_Occurred().is_null() {
            return Inbound::Error(errors::take_raised());
        }
        let visit = Visit::new(core);
        let event_loop = crate::imports::visible_loop();
        let needed = needs_loop(awaited, event_loop);
        ffi::Py_XDECREF(event_loop);
        if needed {
            raise_needed();
            return Inbound::Error(errors::take_raised());
        }
        if !warn() {
            return Inbound::Error(errors::take_raised());
        }
        if !visit.lasts() {
            raise_gone();
            return Inbound::Error(errors::take_raised());
        }
        if (*core).in_turn {
            // Green code runs the loop.
            return nested::outside(core, || super::park::park(core));
        }
        take_turns(core, awaited)
    }
}

/// `sleep(0)` on the stack that runs the loop: one turn.
///
/// # Safety
/// As for [`park`].
pub(super) unsafe fn yield_once(core: *mut Core) -> Inbound {
    // SAFETY: by contract.
    unsafe {
        super::make_ready(
            core,
            Ready::Resume(Parked::current((*core).thread), Inbound::Nothing),
        );
        take_turns(core, ptr::null_mut())
    }
}

/// Takes turns until the caller is woken.
unsafe fn take_turns(core: *mut Core, awaited: *mut Greenlet) -> Inbound {
    // SAFETY: contract of `park`; the block is linked while this function runs only.
    unsafe {
        let object = ffi::Py_NewRef((*core).object);
        let caller = (*(*core).thread).current;
        let mut block = Block {
            caller,
            ticket: (*caller).resumes,
            woken: None,
            event_loop: crate::imports::visible_loop(),
            awaited,
            outer: (*core).blocked,
        };
        // The one way to it from here on: a closure that named it would borrow it, and what
        // wakes the caller meanwhile would not be seen.
        let this = &raw mut block;
        (*core).blocked = this;
        (*caller).stepping = true;
        let hidden = crate::imports::hide_loop();
        let inbound = Python::attach(|py| until_woken(py, core, this));
        crate::imports::show_loop(hidden);
        (*caller).stepping = false;
        (*core).blocked = (*this).outer;
        // Other wake-ups for this wait are stale from here on.
        (*caller).resumes = (*caller).resumes.wrapping_add(1);
        if let Some(late) = (*this).woken.take() {
            late.discard();
        }
        step::settle(core);
        ffi::Py_XDECREF((*this).event_loop);
        ffi::Py_DECREF(object);
        inbound
    }
}

unsafe fn until_woken(py: Python<'_>, core: *mut Core, block: *mut Block) -> Inbound {
    // SAFETY: contract of `take_turns`.
    unsafe {
        loop {
            if let Some(inbound) = (*block).woken.take() {
                return inbound;
            }
            if (*core).closed {
                raise_gone();
                return Inbound::Error(errors::take_raised());
            }
            if ffi::PyErr_CheckSignals() < 0 || !turn::turn(core) {
                return Inbound::Error(errors::take_raised());
            }
            if (*block).woken.is_some() || (*core).closed {
                continue;
            }
            if needs_loop((*block).awaited, (*block).event_loop) || nobody_wakes(core) {
                raise_needed();
                return Inbound::Error(errors::take_raised());
            }
            if let Err(error) = io::wait(py, core, run::pause(core)) {
                error.restore(py);
                return Inbound::Error(errors::take_raised());
            }
        }
    }
}

/// Whether a wake-up is for a caller that takes turns itself, at the switch point where it does.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held.
#[cold]
pub(super) unsafe fn is_meant(core: *mut Core, parked: &Parked) -> bool {
    // SAFETY: by contract; a block is linked while it lives.
    unsafe {
        let block = find(core, parked.greenlet());
        !block.is_null() && (*block).ticket == parked.ticket()
    }
}

/// The innermost block of a greenlet, or NULL.
unsafe fn find(core: *mut Core, g: *mut Greenlet) -> *mut Block {
    // SAFETY: contract of `is_meant`.
    unsafe {
        let mut block = if core.is_null() {
            ptr::null_mut()
        } else {
            (*core).blocked
        };
        while !block.is_null() && (*block).caller != g {
            block = (*block).outer;
        }
        block
    }
}

/// Wakes a caller that takes turns itself; the first one counts, but an exception comes before
/// a value.
///
/// # Safety
/// `g` is live, `stepping`, and in no step; `inbound` is owned; the GIL is held.
pub(super) unsafe fn wake(g: *mut Greenlet, inbound: Inbound) {
    // SAFETY: by contract.
    unsafe {
        let core: *mut Core = (*(*g).thread).hub.cast();
        let block = find(core, g);
        if block.is_null() {
            inbound.discard();
            return;
        }
        let before = match &(*block).woken {
            None => true,
            Some(Inbound::Error(_)) => false,
            Some(_) => matches!(inbound, Inbound::Error(_)),
        };
        if !before {
            inbound.discard();
            return;
        }
        (*core).budget.exhaust();
        if let Some(former) = (*block).woken.replace(inbound) {
            former.discard();
        }
    }
}

/// Gives the warning. False with an exception set if it is turned into an error.
unsafe fn warn() -> bool {
    // SAFETY: the GIL is held by the callers.
    unsafe {
        let Some(warn) = &*given() else {
            return true;
        };
        if WARNING {
            return true;
        }
        WARNING = true;
        let result = ffi::PyObject_CallNoArgs(warn.as_ptr());
        WARNING = false;
        ffi::Py_XDECREF(result);
        !result.is_null()
    }
}

/// Whether `awaited` ends only if the loop runs on; either may be NULL.
unsafe fn needs_loop(awaited: *mut Greenlet, event_loop: *mut PyObject) -> bool {
    // SAFETY: contract of `park`.
    unsafe { !awaited.is_null() && !event_loop.is_null() && step::needs_loop(awaited, event_loop) }
}

/// Nothing is due, watched or ready, and there is nobody else in the process.
unsafe fn nobody_wakes(core: *mut Core) -> bool {
    // SAFETY: contract of `take_turns`.
    unsafe {
        if !(*core).timers.is_empty()
            || !(*core).ready.is_empty()
            || !(*core).inbox.is_empty()
            || (*core).turn_requested
            || (*core).reactor.iter().next().is_some()
            || Arc::strong_count(&(*core).inbox) > 1
        {
            return false;
        }
        let first = ffi::PyInterpreterState_ThreadHead(ffi::PyInterpreterState_Get());
        ffi::PyThreadState_Next(first).is_null()
    }
}

#[cold]
fn raise_needed() {
    // SAFETY: called with the GIL held.
    unsafe {
        raise_new(
            ffi::PyExc_RuntimeError,
            c"this green call would wait for ever: it blocks the asyncio event loop that would have to \
              run on for it to end; use await",
        );
    }
}

#[cold]
fn raise_gone() {
    // SAFETY: called with the GIL held.
    unsafe {
        raise_new(
            ffi::PyExc_RuntimeError,
            c"the hub of this OS thread was closed while a green call blocked an event loop: \
              make the call again",
        );
    }
}
