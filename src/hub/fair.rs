//! Giving way: what a green thread does whose operations never have to wait.
//!
//! A native loop that reads, writes, parses or inflates calls [`pay`] for each operation,
//! before it makes it: what is done already could get lost if the green thread is killed, or
//! its Timeout raised, while others run. Nothing is paid for at a switch, and an operation
//! that waits needs no more than the others, since the turn that follows begins anew.

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;

use super::{Core, Visit, io, park, registry, turn};
use crate::greenlet::{Inbound, errors};
use crate::reactor::{cpu_time, now};
use crate::sched::LightCount;

/// Pays for one operation that may not have to wait. False with an exception set if one was
/// raised in this green thread while others ran.
///
/// # Safety
/// The GIL is held, no exception is set, and nothing of the caller's is borrowed.
///
/// # Switches
/// If the turn's allowance is used up.
#[inline]
pub(crate) unsafe fn pay() -> bool {
    // SAFETY: by contract; the hub of this OS thread is live.
    unsafe {
        let core = registry::existing();
        if core.is_null() || (*core).allowance.spend((*core).in_turn, now, cpu_time) {
            return true;
        }
        give_way()
    }
}

/// Pays for an operation without a system call, of which only the time counts. False if the
/// green thread has to [`give_way`] first.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(crate) unsafe fn afford_light() -> bool {
    // SAFETY: by contract, and used with the GIL held alone.
    let due = unsafe {
        let count = &raw mut LIGHT;
        (*count).is_due()
    };
    // SAFETY: by contract.
    !due || unsafe { look_at_light() }
}

/// See [`afford_light`].
static mut LIGHT: LightCount = LightCount::new();

#[cold]
unsafe fn look_at_light() -> bool {
    // SAFETY: contract of `afford_light`; the hub of this OS thread is live.
    unsafe {
        let count = &raw mut LIGHT;
        let count = &mut *count;
        let core = registry::existing();
        if core.is_null() {
            *count = LightCount::new();
            return true;
        }
        (*core)
            .allowance
            .spend_light(count, (*core).in_turn, now, cpu_time)
    }
}

/// [`pay`] for an operation on a descriptor whose number the caller has found out already: fails
/// with EBADF if it is closed while others run, for the number may be another file's then.
///
/// # Safety
/// As for [`pay`]; each close and each reuse of the number is reported to the hub.
///
/// # Switches
/// As [`pay`].
#[inline]
pub(crate) unsafe fn pay_for(fd: c_int) -> bool {
    // SAFETY: by contract; the hub of this OS thread is live.
    unsafe {
        let core = registry::existing();
        if core.is_null() || (*core).allowance.spend((*core).in_turn, now, cpu_time) {
            return true;
        }
        give_way_with(core, fd)
    }
}

#[cold]
unsafe fn give_way_with(core: *mut Core, fd: c_int) -> bool {
    // SAFETY: contract of `pay_for`.
    unsafe {
        let Ok(handle) = (*core).reactor.trusted(fd) else {
            // The operation will say what is wrong with it.
            (*core).allowance.start(now());
            return true;
        };
        let visit = Visit::new(core);
        if !give_way() {
            return false;
        }
        if visit.lasts() && !(*core).reactor.lives(handle) {
            io::set_os_error(libc::EBADF);
            return false;
        }
        true
    }
}

/// Lets everything run that is ready or due, and ends the turn. False with an exception set
/// if one was raised in this green thread meanwhile.
///
/// # Safety
/// As for [`pay`]; there is a hub.
///
/// # Switches
/// Always, unless on the stack of the loop.
#[cold]
pub(crate) unsafe fn give_way() -> bool {
    // SAFETY: by contract.
    unsafe {
        let core = registry::existing();
        if (*core).in_turn {
            // Who has become ready meanwhile goes before the one that was served so long.
            turn::take_due(core);
            if !io::poll_now(core) {
                // The runner polls again, and reports it.
                ffi::PyErr_Clear();
            }
            (*core).budget.exhaust();
        }
        let inbound = park::yield_once(core);
        let core = registry::existing();
        if !core.is_null() {
            // Where nobody can be let run (a callback of the loop), it is not tried at each
            // operation from now on.
            (*core).allowance.start(now());
            // For the operation that was to be paid.
            (*core).allowance.spend(true, now, cpu_time);
        }
        match inbound {
            Inbound::Error(error) => {
                errors::raise(error);
                false
            }
            other => {
                other.discard();
                true
            }
        }
    }
}

/// Pay for one operation that need not wait, such as one of a loop over what was received.
///
/// Others run now and then: after 256 operations or 10 ms without a turn of the hub. Call it
/// before the operation. Switch point then.
///
/// Args:
///     weight: As how many operations it counts: more than 1 if it makes work for others.
#[pyfunction]
#[pyo3(signature = (weight=1, /))]
pub(crate) fn pay_operation(py: Python<'_>, weight: u32) -> PyResult<()> {
    // SAFETY: the GIL is held; called from Python, without an exception set. The hub of this
    // OS thread is live.
    unsafe {
        if !pay() {
            return Err(PyErr::fetch(py));
        }
        let core = registry::existing();
        if weight > 1 && !core.is_null() {
            (*core).allowance.burden(weight - 1);
        }
    }
    Ok(())
}
