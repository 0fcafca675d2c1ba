//! Waiting for descriptors: the hub's polls, `trampoline`, listeners, closes.

use std::ffi::{CString, c_int};
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::ffi;
use pyo3::prelude::*;

use super::{Core, Driver, Parked, Ready, Visit, Watcher, has_work, park, registry, signals};
use crate::greenlet::arguments::none;
use crate::greenlet::{self, Inbound, errors};
use crate::imports;
use crate::reactor::{Direction, Readiness, Watch, WatchError, now};
use crate::sched::nanos_from_seconds;

/// Polls without waiting and moves what is ready to the ready queue. False with an
/// exception set if the kernel refuses.
///
/// # Safety
/// Called by a turn.
pub(super) unsafe fn poll_now(core: *mut Core) -> bool {
    // SAFETY: by contract.
    unsafe {
        (*core).stirred = false;
        let mut events = std::mem::take(&mut (*core).events);
        let result = (*core).reactor.poll(Some(Duration::ZERO), &mut events);
        collect(core, events);
        match result {
            Ok(_) => true,
            Err(error) => {
                set_os_error(error.raw_os_error().unwrap_or(libc::EIO));
                false
            }
        }
    }
}

/// Polls without waiting, for a green thread that leaves while nobody is ready. True if that
/// has changed. What the kernel refuses is left to the runner to report.
///
/// # Safety
/// A turn is in progress; the GIL is held. Runs no code of the application.
pub(super) unsafe fn poll_before_leaving(core: *mut Core) -> bool {
    // SAFETY: by contract.
    unsafe {
        if (*core).quiet {
            (*core).polled = true;
            return false;
        }
        if !poll_now(core) {
            ffi::PyErr_Clear();
            return false;
        }
        (*core).polled = (*core).ready.is_empty();
        (*core).quiet = (*core).polled && (*core).driver == Driver::Asyncio;
        !(*core).polled
    }
}

/// Sleeps in the reactor's poll for at most `nanos`, without the GIL. Raises what a signal
/// handler raises.
///
/// # Safety
/// Called by the hub greenlet outside a turn.
pub(super) unsafe fn wait(py: Python<'_>, core: *mut Core, nanos: u64) -> PyResult<()> {
    // SAFETY: by contract; while the GIL is released only this thread touches the reactor:
    // other threads use inbox and waker. Listeners are copied, which counts references, so
    // events are handed out under the GIL.
    unsafe {
        let naps = (*core).in_main_thread && nanos > signals::NAP_NANOS;
        let mut slept = sleep(py, core, if naps { signals::NAP_NANOS } else { nanos });
        if naps && slept.is_ok() && (*core).reactor.found_nothing() {
            let listening = signals::Listening::begin(py, core);
            if ffi::PyErr_CheckSignals() != 0 {
                listening.map(|listening| listening.end(py));
                return Err(PyErr::fetch(py));
            }
            // Nothing tells if the number of the poller names another one by now.
            let mended = (*core).reactor.mend()?;
            if !mended && !has_work(core) {
                let due = (*core).timers.next_deadline().unwrap_or(u64::MAX);
                let nap = nanos - signals::NAP_NANOS;
                slept = sleep(py, core, due.saturating_sub(now()).min(nap));
            }
            listening.map(|listening| listening.end(py));
        }
        if slept.is_ok() {
            let mut events = std::mem::take(&mut (*core).events);
            (*core).reactor.hand_out(&mut events);
            collect(core, events);
        }
        for fd in std::mem::take(&mut (*core).gone) {
            let _ = close_descriptor(core, fd);
        }
        slept?;
        py.check_signals()
    }
}

/// Asks the kernel, without the GIL; see [`wait`].
unsafe fn sleep(py: Python<'_>, core: *mut Core, nanos: u64) -> std::io::Result<()> {
    // SAFETY: contract of `wait`.
    unsafe {
        let shared = Shared(core);
        (*core).polling = true;
        let slept = py.detach(|| {
            let shared = &shared;
            (*shared.0).reactor.sleep(Some(Duration::from_nanos(nanos)))
        });
        (*core).polling = false;
        slept
    }
}

/// Carries the pointer into the region without the GIL.
struct Shared(*mut Core);
// SAFETY: the closure that gets it runs on the same OS thread.
unsafe impl Sync for Shared {}
// SAFETY: as for Sync.
unsafe impl Send for Shared {}

/// What a poll has found goes behind the round that is under way, and before all that has become
/// ready since it began.
unsafe fn collect(core: *mut Core, mut events: Vec<(Watcher, Readiness)>) {
    // SAFETY: contract of the callers; each watcher owns what it names.
    unsafe {
        let found = events.drain(..).map(|(watcher, readiness)| match watcher {
            Watcher::Parked(parked) => {
                let inbound = match readiness {
                    Readiness::Ready(_) => Inbound::Value(none()),
                    Readiness::Gone(_) => gone(),
                };
                Ready::Resume(parked, inbound)
            }
            Watcher::Listener(object) => Ready::Call(object),
        });
        (*core).ready.insert_behind_round(found);
        (*core).events = events;
        if (*core).ready.round_is_over() {
            (*core).ready.begin_round();
        }
    }
}

/// Fruitless polls of a turn after which rounds go without: 1, 3, 7 and in the end 63 of them,
/// unless a socket of ours was touched. What else makes descriptors ready is other processes'
/// doing, which is not urgent, or a write that went past us.
const PATIENT: u32 = 4;

/// Begins a round of the ready queue. Descriptors that have become ready come first: a green
/// thread that waits for one goes on after what was ready then, and not after all that they
/// make ready. What the kernel refuses is left to the runner to report.
///
/// # Safety
/// A turn is in progress; the last round is over; the GIL is held. Runs no code of the application.
#[inline]
pub(super) unsafe fn begin_round(core: *mut Core) {
    // SAFETY: by contract.
    unsafe {
        let waits = (*core).reactor.readers() + (*core).reactor.writers() > 0;
        if waits && !(*core).ready.is_empty() {
            if (*core).stirred || (*core).unpolled == 0 {
                look_between_rounds(core);
                return;
            }
            (*core).unpolled -= 1;
        }
        (*core).ready.begin_round();
    }
}

#[cold]
unsafe fn look_between_rounds(core: *mut Core) {
    // SAFETY: contract of `begin_round`.
    unsafe {
        let before = (*core).ready.len();
        if !poll_now(core) {
            ffi::PyErr_Clear();
        }
        (*core).lull = if (*core).ready.len() > before {
            0
        } else {
            (*core).lull + 1
        };
        let beyond = (*core).lull.saturating_sub(PATIENT).min(6);
        (*core).unpolled = (1 << beyond) - 1;
        (*core).ready.begin_round();
    }
}

/// What a waiter is sent whose descriptor was closed.
unsafe fn gone() -> Inbound {
    // SAFETY: the GIL is held.
    unsafe {
        set_os_error(libc::EBADF);
        Inbound::Error(errors::take_raised())
    }
}

/// Raises OSError for an errno.
///
/// # Safety
/// The GIL is held.
pub(crate) unsafe fn set_os_error(errno: c_int) {
    // SAFETY: by contract; errno is this OS thread's.
    unsafe {
        *libc::__errno_location() = errno;
        ffi::PyErr_SetFromErrno(ffi::PyExc_OSError);
    }
}

/// Parks the running green thread until a descriptor is ready. `Inbound::Nothing`: the
/// deadline passed.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held, no exception is set.
///
/// # Switches
/// Unless the descriptor is always ready or cannot be watched.
pub(crate) unsafe fn wait_for(
    core: *mut Core,
    fd: c_int,
    direction: Direction,
    deadline: Option<u64>,
) -> Inbound {
    // SAFETY: by contract.
    unsafe {
        let watcher = Watcher::Parked(Parked::current((*core).thread));
        let key = match (*core).reactor.watch(fd, direction, watcher) {
            Ok(Watch::Parked(key)) => key,
            Ok(Watch::AlwaysReady) => {
                greenlet::decref((*(*core).thread).current);
                return Inbound::Value(none());
            }
            Err(error) => {
                greenlet::decref((*(*core).thread).current);
                set_os_error(error.errno());
                return Inbound::Error(errors::take_raised());
            }
        };
        let visit = Visit::new(core);
        let inbound = park::park_until(core, deadline);
        if visit.lasts()
            && let Some(Watcher::Parked(parked)) = (*core).reactor.unwatch(key)
        {
            parked.release();
        }
        inbound
    }
}

/// `trampoline()`: waits until a descriptor can be read or written; returns its number.
///
/// # Errors
/// `timeout_exc` after `timeout` seconds; OSError for a descriptor that cannot be watched
/// or is closed meanwhile; TypeError for what is no descriptor and has no `fileno()`, ValueError
/// for a negative one; RuntimeError for both directions at once, and for a second reader of one
/// descriptor, unless that is allowed.
///
/// # Switches
/// Unless the descriptor is always ready.
#[pyfunction]
#[pyo3(signature = (fd, read=None, write=None, timeout=None, timeout_exc=None, mark_as_closed=None))]
pub(crate) fn trampoline(
    py: Python<'_>,
    fd: &Bound<'_, PyAny>,
    read: Option<&Bound<'_, PyAny>>,
    write: Option<&Bound<'_, PyAny>>,
    timeout: Option<f64>,
    timeout_exc: Option<&Bound<'_, PyAny>>,
    mark_as_closed: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    drop(mark_as_closed);
    let truth = |value: Option<&Bound<'_, PyAny>>| {
        value.map_or(Ok(false), pyo3::types::PyAnyMethods::is_truthy)
    };
    let (reads, writes) = (truth(read)?, truth(write)?);
    if reads && writes {
        return Err(PyRuntimeError::new_err(
            "not allowed to trampoline for reading and writing",
        ));
    }
    if !reads && !writes {
        return Err(pyo3::exceptions::PyAssertionError::new_err(
            "either read or write must be specified",
        ));
    }
    // SAFETY: the GIL is held.
    let number = unsafe { ffi::PyObject_AsFileDescriptor(fd.as_ptr()) };
    if number < 0 {
        return Err(PyErr::fetch(py));
    }
    let direction = if reads {
        Direction::Read
    } else {
        Direction::Write
    };
    // SAFETY: the GIL is held; nothing of `core` is borrowed across the switch.
    unsafe {
        let core = registry::hub();
        if core.is_null() {
            return Err(PyErr::fetch(py));
        }
        refuse_second(core, number, direction)?;
        let deadline = timeout.map(|t| now().saturating_add(nanos_from_seconds(t)));
        match wait_for(core, number, direction, deadline) {
            Inbound::Nothing => Err(timed_out(py, timeout_exc)),
            Inbound::Value(ready) if ready == ffi::Py_None() => {
                ffi::Py_DECREF(ready);
                Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromLong(number.into()))
                    .map(Bound::unbind)
            }
            other => Bound::from_owned_ptr_or_err(py, other.into_result()).map(Bound::unbind),
        }
    }
}

fn timed_out(py: Python<'_>, class: Option<&Bound<'_, PyAny>>) -> PyErr {
    let raise = |class: &Bound<'_, PyAny>| -> PyResult<PyErr> {
        if class.is_instance_of::<pyo3::exceptions::PyBaseException>() {
            return Ok(PyErr::from_value(class.clone()));
        }
        // SAFETY: the class is live; the GIL is held, as the token shows.
        let error =
            unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyObject_CallNoArgs(class.as_ptr()))? };
        Ok(PyErr::from_value(error))
    };
    let result = match class {
        Some(class) => raise(class),
        None => timeout_class(py).and_then(|class| raise(&class)),
    };
    result.unwrap_or_else(|error| error)
}

/// `eventlet.Timeout`.
fn timeout_class(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    imports::named(&imports::module(py, c"eventlet.timeout")?, c"Timeout")
}

/// Two readers of one descriptor are most often a mistake: refused unless the hub allows it.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held.
pub(super) unsafe fn refuse_second(
    core: *mut Core,
    fd: c_int,
    direction: Direction,
) -> PyResult<()> {
    // SAFETY: contract of `trampoline`.
    unsafe {
        if !(*core).one_reader || (*core).reactor.waiting(fd, direction).next().is_none() {
            return Ok(());
        }
    }
    let (one, verb) = match direction {
        Direction::Read => ("read", "reading from"),
        Direction::Write => ("write", "writing to"),
    };
    let text = format!(
        "Second simultaneous {one} on fileno {fd} detected. Unless you really know what you're \
         doing, make sure that only one green thread is {verb} any particular socket: use a \
         pools.Pool or a queue.Queue. If you do know, call \
         eventlet.debug.hub_prevent_multiple_readers(False)"
    );
    let text = CString::new(text).unwrap_or_default();
    // SAFETY: by contract.
    unsafe {
        ffi::PyErr_SetString(ffi::PyExc_RuntimeError, text.as_ptr());
        Err(PyErr::fetch(Python::assume_attached()))
    }
}

/// A listener could not be added.
fn watch_error(error: &WatchError) -> PyErr {
    PyOSError::new_err((error.errno(), error.to_string()))
}

/// A registration of `hub.add()`.
#[pyclass(frozen, module = "eventlet_asyncio._core")]
pub(crate) struct Registration {
    /// None for a descriptor that is always ready and so is not watched.
    key: Option<crate::reactor::Key>,
}

/// Calls `callback` at each poll that finds the descriptor ready, until it is removed.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held.
pub(super) unsafe fn listen(
    core: *mut Core,
    fd: c_int,
    write: bool,
    callback: &Bound<'_, PyAny>,
) -> PyResult<Registration> {
    let direction = if write {
        Direction::Write
    } else {
        Direction::Read
    };
    // SAFETY: by contract; the reactor owns the callback from here on, unless it refuses.
    unsafe {
        let object = callback.clone().into_ptr();
        match (*core)
            .reactor
            .listen(fd, direction, Watcher::Listener(object))
        {
            Ok(key) => {
                if !(*core).in_turn {
                    super::run::request_turn(core);
                }
                Ok(Registration { key: Some(key) })
            }
            Err(WatchError::NotPollable) => {
                // Always ready: called once per registration, as soon as possible.
                super::make_ready(core, Ready::Call(object));
                Ok(Registration { key: None })
            }
            Err(error) => {
                ffi::Py_DECREF(object);
                Err(watch_error(&error))
            }
        }
    }
}

/// Removes a listener; true if it was still there.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held. Runs Python code if the callback dies.
pub(super) unsafe fn unlisten(core: *mut Core, registration: &Registration) -> bool {
    // SAFETY: by contract.
    unsafe {
        let Some(watcher) = registration
            .key
            .and_then(|key| (*core).reactor.unlisten(key))
        else {
            return false;
        };
        watcher.release();
        true
    }
}

/// A descriptor is about to be closed: whoever waits for it is woken with EBADF. True if
/// there were listeners, whose bookkeeping is the Python side's.
///
/// # Safety
/// `core` is a live hub, of this OS thread or not `polling`; the GIL is held. Runs Python code
/// if a callback dies.
pub(super) unsafe fn close_descriptor(core: *mut Core, fd: c_int) -> bool {
    let mut listened = false;
    // SAFETY: by contract.
    unsafe {
        (*core).stirred = true;
        for watcher in (*core).reactor.close_fd(fd) {
            match watcher {
                Watcher::Parked(parked) => parked.wake(gone()),
                Watcher::Listener(object) => {
                    listened = true;
                    ffi::Py_DECREF(object);
                }
            }
        }
    }
    listened
}

/// Wake whoever waits, in other OS threads, for a descriptor that is about to be closed.
///
/// Returns their hubs that may have listeners for it, or None.
#[pyfunction]
pub(crate) fn _close_elsewhere(py: Python<'_>, fd: c_int) -> Option<Vec<Py<PyAny>>> {
    // SAFETY: the GIL is held. Each hub is kept while it is used; one that was closed by
    // code that runs meanwhile has nothing registered any more.
    unsafe {
        let others = registry::others(py)?;
        let mut listening = Vec::new();
        for (core, hub) in others {
            if (*core).polling {
                (*core).gone.push(fd);
                (*core).waker.wake();
                listening.push(hub);
            } else if close_descriptor(core, fd) {
                listening.push(hub);
            }
        }
        Some(listening)
    }
}
