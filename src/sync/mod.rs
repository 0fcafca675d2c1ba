//! Synchronisation primitives of green threads, each over a `sched::WaiterList`.
//!
//! Rules that all of them keep:
//! - Waiters are served in order of arrival, and a newcomer never overtakes them.
//! - Who is off the list when it runs has been served; who still is on it has not (its time
//!   ran out, or an exception was raised in it) and takes itself off. The wake-up itself
//!   carries nothing that could be lost.
//! - A served waiter in which an exception is raised before it runs passes on what it was
//!   given.
//! - A wake-up goes to the hub of the waiter's own OS thread, so any thread may release, send
//!   or put. The GIL makes each step atomic.
//! - Nothing is borrowed across a switch or while Python code runs: one borrow per statement
//!   (invariant H2 of `hub`).

mod asking;
mod class;
mod event;
mod lock;
mod queue;
mod rlock;
mod semaphore;
mod timeout;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::greenlet::Inbound;
use crate::hub::{Core, Parked, Ready, make_ready, park, registry};
use crate::sched::{WaiterKey, WaiterList};

/// Adds the classes of this layer to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // SAFETY: called once, with the GIL held, when the module is initialised.
    unsafe {
        add(module, "Timeout", timeout::class::init())?;
        add(module, "Event", event::init())?;
        let (plain, bounded) = semaphore::init();
        add(module, "Semaphore", plain)?;
        add(module, "BoundedSemaphore", bounded)?;
        add(module, "Lock", lock::init(plain))?;
        add(module, "RLock", rlock::init())?;
        let (light, full) = queue::class::init();
        add(module, "LightQueue", light)?;
        add(module, "Queue", full)
    }
}

/// Adds a class that was just made, or passes its error on.
///
/// # Safety
/// `made` lives as long as the process, or is NULL with an exception set.
unsafe fn add(
    module: &Bound<'_, PyModule>,
    name: &str,
    made: *mut ffi::PyTypeObject,
) -> PyResult<()> {
    let py = module.py();
    if made.is_null() {
        return Err(PyErr::take(py)
            .unwrap_or_else(|| PyRuntimeError::new_err(format!("the class {name} was not made"))));
    }
    // SAFETY: by contract.
    let class: Bound<'_, PyAny> = unsafe { Bound::from_borrowed_ptr(py, made.cast()) };
    module.add(name, class)
}

/// Waits in a list, and tells what it was woken with and whether it was served: taken off the
/// list by somebody else.
///
/// # Safety
/// `core` is the hub of this OS thread; the GIL is held. The caller holds what the list is
/// part of.
///
/// # Switches
/// Always.
#[inline]
unsafe fn wait_in(
    list: *mut WaiterList<Parked>,
    core: *mut Core,
    deadline: Option<u64>,
) -> (Inbound, bool) {
    // SAFETY: by contract; one borrow per statement, none across the switch.
    unsafe {
        let key = (*list).push_back(Parked::current((*core).thread));
        let inbound = park::park_until(core, deadline);
        (inbound, leave(list, key))
    }
}

/// [`wait_in`] for no longer than all that is ready takes for one turn: a wait of no time.
///
/// # Safety
/// As for [`wait_in`].
///
/// # Switches
/// Always.
unsafe fn wait_one_turn(list: *mut WaiterList<Parked>, core: *mut Core) -> (Inbound, bool) {
    // SAFETY: as for `wait_in`.
    unsafe {
        let parked = Parked::current((*core).thread);
        let key = (*list).push_back(parked.duplicate());
        make_ready(core, Ready::Resume(parked, Inbound::Nothing));
        let inbound = park::park(core);
        (inbound, leave(list, key))
    }
}

/// Leaves a list; whether somebody else had taken the waiter off it.
#[inline]
unsafe fn leave(list: *mut WaiterList<Parked>, key: WaiterKey) -> bool {
    // SAFETY: contract of `wait_in`.
    unsafe {
        let left = (*list).remove(key);
        let served = left.is_none();
        if let Some(parked) = left {
            parked.release();
        }
        served
    }
}

/// Wakes a waiter that was taken off its list. False if its OS thread has ended, so that it
/// will never run: then whatever it was given is somebody else's.
///
/// # Safety
/// The GIL is held. Not a switch point.
#[inline]
unsafe fn wake(parked: Parked) -> bool {
    // SAFETY: by contract; a greenlet holds the record of its OS thread.
    unsafe {
        if (*(*parked.greenlet()).thread).hub.is_null() {
            parked.release();
            return false;
        }
        parked.wake(Inbound::Nothing);
        true
    }
}

/// [`wake`], and if the caller is a callback of the hub, the waiter runs before all that is
/// ready: programs rely on having changed the world when a callback's non-blocking get
/// returns.
///
/// # Safety
/// As for [`wake`].
unsafe fn wake_soon(parked: Parked) {
    // SAFETY: by contract; the hub of this OS thread is live.
    unsafe {
        let core: *mut Core = registry::existing();
        let g = parked.greenlet();
        let in_callback = !core.is_null()
            && (*core).in_turn
            && (*(*core).thread).current == (*core).runner
            && (*g).thread == (*core).thread;
        if in_callback {
            (*core)
                .ready
                .push_front(Ready::Resume(parked, Inbound::Nothing));
        } else {
            wake(parked);
        }
    }
}
