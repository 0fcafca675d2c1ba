//! Where the hub's own loop would sleep: turns are taken there, as long as nothing concerns
//! the loop itself.
//!
//! A pass of the loop costs several times what a turn does, and with one connection there would
//! be a pass for each message. So the loop's selector is asked natively, and if all it has to
//! say is that the hub's descriptors are ready, the turn is taken on the spot. The loop gets
//! control back for anything else: a descriptor or a timeout of its own, a callback or a
//! timer that green code has added, a stop.

use std::ffi::c_int;
use std::os::fd::AsRawFd;

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::{Core, looping, turn};
use crate::imports;
use crate::reactor::now;
use crate::sched::nanos_from_seconds;

/// What the loop has to do that is not ours.
struct OfLoop<'py> {
    event_loop: Bound<'py, PyAny>,
    ready: Bound<'py, PyAny>,
    timers: Bound<'py, PyList>,
    timers_before: usize,
}

impl OfLoop<'_> {
    /// Whether it must go on: what is scheduled never becomes less while it sleeps.
    fn is_due(&self) -> PyResult<bool> {
        let py = self.event_loop.py();
        Ok(self.timers.len() != self.timers_before
            || self.ready.len()? != 0
            || self
                .event_loop
                .getattr(pyo3::intern!(py, "_stopping"))?
                .is_truthy()?
            || self
                .event_loop
                .getattr(pyo3::intern!(py, "_debug"))?
                .is_truthy()?)
    }
}

/// Sleeps until the loop has something to do, for `timeout` seconds at most, and takes turns
/// meanwhile. Returns whether descriptors of the loop's are ready.
///
/// `epoll` is the descriptor of the loop's selector.
///
/// # Safety
/// `core` is this OS thread's hub and held by the caller; the GIL is held. Called by the loop
/// where it would select.
///
/// # Switches
/// As turns do.
pub(super) unsafe fn sleep(
    core: *mut Core,
    event_loop: &Bound<'_, PyAny>,
    epoll: c_int,
    timeout: Option<f64>,
) -> PyResult<bool> {
    // SAFETY: by contract. Green code does not see the loop, so it is hidden all the time.
    unsafe {
        let hidden = imports::hide_loop();
        let slept = take_turns(core, event_loop, epoll, timeout);
        imports::show_loop(hidden);
        slept
    }
}

/// See [`sleep`].
unsafe fn take_turns(
    core: *mut Core,
    event_loop: &Bound<'_, PyAny>,
    epoll: c_int,
    timeout: Option<f64>,
) -> PyResult<bool> {
    let py = event_loop.py();
    let deadline = timeout.map(|seconds| now().saturating_add(nanos_from_seconds(seconds)));
    let timers = event_loop
        .getattr(pyo3::intern!(py, "_scheduled"))?
        .cast_into::<PyList>()?;
    let of_loop = OfLoop {
        event_loop: event_loop.clone(),
        ready: event_loop.getattr(pyo3::intern!(py, "_ready"))?,
        timers_before: timers.len(),
        timers,
    };
    loop {
        let (count, first) = wait(py, epoll, deadline)?;
        // SAFETY: by contract; a turn may close the hub, which `is_ours` sees.
        unsafe {
            if count == 0 || of_loop.is_due()? {
                return Ok(count > 0);
            }
            if count > 1 || (*core).in_turn || !is_ours(core, event_loop, first) {
                return Ok(true);
            }
            let fine = turn::turn(core);
            looping::after(py, core, fine)?;
            // Green threads that are always ready must not keep the loop from its timers.
            let is_over = deadline.is_some_and(|deadline| now() >= deadline);
            if is_over || of_loop.is_due()? || !is_ours(core, event_loop, first) {
                return Ok(false);
            }
        }
    }
}

/// Whether the hub is served by this loop, which watches it by that descriptor.
unsafe fn is_ours(core: *mut Core, event_loop: &Bound<'_, PyAny>, fd: u64) -> bool {
    // SAFETY: contract of `sleep`.
    unsafe {
        // In debug mode a turn is measured as a callback of the loop.
        !(*core).closed
            && (*core).slow == looping::NEVER
            && looping::is_attached(core, event_loop.as_ptr())
            && (*core).reactor.as_raw_fd() as u64 == fd
    }
}

/// Waits for descriptors of an epoll set: how many are ready, two at most, and the first one.
/// A signal ends the wait with none: its handler runs when the loop has control again.
fn wait(py: Python<'_>, epoll: c_int, deadline: Option<u64>) -> PyResult<(c_int, u64)> {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2];
    let milliseconds = deadline.map_or(-1, |deadline| {
        let left = deadline.saturating_sub(now()).div_ceil(1_000_000);
        c_int::try_from(left).unwrap_or(c_int::MAX)
    });
    let start = events.as_mut_ptr() as usize;
    let count = py.detach(|| {
        // SAFETY: the array outlives the call, and has two places.
        unsafe { libc::epoll_wait(epoll, start as *mut libc::epoll_event, 2, milliseconds) }
    });
    if count >= 0 {
        // Python puts the descriptor's number there; the upper half is not always clean.
        return Ok((count, events[0].u64 & 0xffff_ffff));
    }
    let error = std::io::Error::last_os_error();
    if error.kind() != std::io::ErrorKind::Interrupted {
        return Err(error.into());
    }
    Ok((0, 0))
}
