//! Event loops that green code runs, as `asyncio.run` in a green thread does.
//!
//! Such a loop runs callbacks on the green thread's stack, and sleeps in its selector. The
//! Python side replaces the selector for the time of the run: where it would sleep, the green
//! thread parks on the selector's own descriptor, so only that green thread waits.
//! Between two sleeps its greenlet is marked `in_loop`: what runs then is a coroutine or
//! a callback, which must not block.
//!
//! A loop of libuv (uvloop) parks its green thread where it would sleep, too: see `libuv`.
//!
//! A loop that can be stopped in neither way sleeps with the whole OS thread.
//! So the hub is lent to it: it is adopted, and the turn that entered the green thread is
//! set aside until the run ends. The hub's own loop stands still meanwhile.

use std::ffi::c_int;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::{Core, io, looping, park, registry, step};
use crate::greenlet::Inbound;
use crate::imports;
use crate::reactor::{Direction, now};
use crate::sched::nanos_from_seconds;

/// Whether the caller is green code that may block: not the loop's stack, not a coroutine.
#[pyfunction]
pub(crate) fn _in_green_code() -> bool {
    called_by_green_code()
}

fn called_by_green_code() -> bool {
    let core = registry::existing();
    if core.is_null() {
        return false;
    }
    // SAFETY: the hub of this OS thread; the GIL is held.
    unsafe { in_green_code(core) }
}

/// Whether the running code may block without stopping an event loop.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held.
pub(super) unsafe fn in_green_code(core: *mut Core) -> bool {
    // SAFETY: by contract.
    unsafe {
        let me = (*(*core).thread).current;
        (*core).in_turn
            && me != (*core).runner
            && !(*me).in_loop
            && step::innermost((*core).thread).is_null()
    }
}

/// Whether the caller is in a step of a coroutine in which green calls may block.
#[pyfunction]
pub(crate) fn _in_green_coroutine() -> bool {
    let core = registry::existing();
    // SAFETY: as for `_in_green_code`.
    !core.is_null() && unsafe { !step::innermost((*core).thread).is_null() }
}

/// Mark the running greenlet as one that runs an event loop, or not; return the former mark.
#[pyfunction]
pub(crate) fn _mark_in_loop(value: bool) -> bool {
    let core = registry::existing();
    if core.is_null() {
        return false;
    }
    // SAFETY: as for `_in_green_code`.
    unsafe { std::mem::replace(&mut (*(*(*core).thread).current).in_loop, value) }
}

/// Runs `wait` with the caller's loop hidden and its mark taken off.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held.
pub(super) unsafe fn outside(core: *mut Core, wait: impl FnOnce() -> Inbound) -> Inbound {
    // SAFETY: by contract; the running greenlet is the same before and after.
    unsafe {
        let me = (*(*core).thread).current;
        let marked = std::mem::replace(&mut (*me).in_loop, false);
        let hidden = imports::hide_loop();
        let inbound = wait();
        imports::show_loop(hidden);
        (*me).in_loop = marked;
        inbound
    }
}

/// Park a green thread that runs an event loop until the loop's descriptor is readable.
///
/// Without a descriptor it parks for `seconds`; with neither it only lets others run. A switch
/// point.
#[pyfunction]
#[pyo3(signature = (fd=None, seconds=None))]
pub(crate) fn _loop_waits(py: Python<'_>, fd: Option<c_int>, seconds: Option<f64>) -> PyResult<()> {
    // SAFETY: the GIL is held; nothing of `core` is borrowed across the switch.
    unsafe {
        let core = registry::hub();
        if core.is_null() {
            return Err(PyErr::fetch(py));
        }
        let deadline = seconds.map(|s| now().saturating_add(nanos_from_seconds(s)));
        let inbound = outside(core, || match fd {
            Some(fd) => io::wait_for(core, fd, Direction::Read, deadline),
            None if deadline.is_some() => park::park_until(core, deadline),
            None => park::yield_once(core),
        });
        Bound::from_owned_ptr_or_err(py, inbound.into_result()).map(drop)
    }
}

/// Have a loop that begins to run, on the caller's stack, run the hub's turns.
///
/// Nothing happens if this OS thread has no hub, or one that runs already.
#[pyfunction]
pub(crate) fn _adopt(event_loop: &Bound<'_, PyAny>) {
    let core = registry::existing();
    if core.is_null() {
        return;
    }
    // SAFETY: as for `_in_green_code`.
    unsafe { looping::adopt_starting(event_loop, core) }
}

/// Stop the loop that runs the hub beneath green code, so that the caller can close it.
///
/// False if it is not the hub's own, or the caller is no green code. A switch point.
#[pyfunction]
pub(crate) fn _release(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    // SAFETY: the GIL is held.
    unsafe { looping::release(py, event_loop) }
}

/// Let a loop that sleeps with the whole OS thread run the hub's turns; see `_take_back`.
#[pyfunction]
pub(crate) fn _lend() -> PyResult<()> {
    let core = registry::existing();
    if !called_by_green_code() {
        return Err(PyRuntimeError::new_err(
            "only green code that may block can lend the hub",
        ));
    }
    // SAFETY: as for `_in_green_code`, which says that a turn is in progress.
    unsafe {
        (*core)
            .lent
            .push(std::mem::replace(&mut (*core).runner, std::ptr::null_mut()));
        (*core).in_turn = false;
    }
    Ok(())
}

/// Go on with the turn that `_lend` set aside.
#[pyfunction]
pub(crate) fn _take_back(py: Python<'_>) -> PyResult<()> {
    let core = registry::existing();
    if core.is_null() {
        return Ok(());
    }
    // SAFETY: the hub of this OS thread; the reference moves back.
    unsafe {
        let Some(runner) = (*core).lent.pop() else {
            return Ok(());
        };
        let former = std::mem::replace(&mut (*core).runner, runner);
        (*core).in_turn = true;
        (*core).turn_requested = false;
        if !former.is_null() {
            crate::greenlet::decref(former);
        }
        looping::attach_owned(py, core)
    }
}
