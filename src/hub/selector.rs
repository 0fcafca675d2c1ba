//! The sleep of an asyncio loop: turns of the hub begin there, without a callback.
//!
//! A selector loop sleeps in its selector's `select`. The loop that carries the hub gets
//! another selector, with the same descriptors behind it, which knows of the hub: it sleeps
//! no longer than until the hub's next timer, and if only the hub has something to do, it
//! takes a turn on the spot and sleeps again. A pass of the loop, with the callback and
//! the timer that tell the hub, costs several times what a turn for one descriptor does.
//! Meanwhile asking for a turn costs nothing, since the hub is looked at before each sleep.
//!
//! The reader that other loops use stays in place: it is what ends the sleep.

use std::ffi::c_int;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};

use pyo3::exceptions::PyAttributeError;
use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::looping::{self, NEVER};
use super::signals::{Listening, NAP_NANOS};
use super::{Core, has_work, registry, rehearsal};
use crate::imports;
use crate::reactor::now;
use crate::sched::nanos_from_seconds;

/// Descriptors asked of the kernel at once; more of them wait there for the next pass.
const EVENTS: usize = 256;

/// `selectors.EVENT_READ` and `EVENT_WRITE`.
const READ: c_int = 1;
const WRITE: c_int = 2;

/// The selector of a loop that carries a hub.
#[pyclass(frozen, name = "_LoopSelector", module = "eventlet_asyncio._core")]
pub(crate) struct LoopSelector {
    /// asyncio's own.
    selector: Py<PyAny>,
    /// What that knows of each descriptor.
    keys: Py<PyDict>,
    /// Its descriptor; -1 once it is closed.
    epoll: AtomicI32,
}

#[pymethods]
impl LoopSelector {
    /// Return what is ready, after at most `timeout` seconds. A switch point.
    #[pyo3(signature = (timeout=None))]
    fn select(slf: &Bound<'_, Self>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let deadline = match timeout {
            None => NEVER,
            Some(seconds) if seconds <= 0.0 => 0,
            Some(seconds) => now().saturating_add(nanos_from_seconds(seconds)),
        };
        // SAFETY: the GIL is held; `serves` finds the hub of this OS thread, and nothing of it
        // is borrowed across a turn.
        unsafe {
            let core = registry::existing();
            if serves(core, slf) {
                return select(slf, core, deadline)
                    .map(Bound::unbind)
                    .map(Py::into_any);
            }
        }
        let own = &slf.get().selector;
        let timeout = match timeout {
            None => py.None().into_bound(py),
            // SAFETY: the GIL is held, as the token shows.
            Some(seconds) => unsafe {
                Bound::from_owned_ptr_or_err(py, ffi::PyFloat_FromDouble(seconds))?
            },
        };
        imports::call_with(own.bind(py), c"select", [&timeout]).map(Bound::unbind)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.epoll.store(-1, Ordering::Relaxed);
        imports::call(self.selector.bind(py), c"close").map(drop)
    }

    /// asyncio's own selector.
    #[getter]
    fn _own(&self, py: Python<'_>) -> Py<PyAny> {
        self.selector.clone_ref(py)
    }

    /// Everything else is the own selector's.
    fn __getattr__<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.selector.bind(name.py()).getattr(name)
    }

    // Cycles are broken elsewhere: the loop and its handlers can be cleared.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.selector)?;
        visit.call(&self.keys)
    }
}

impl LoopSelector {
    /// What asyncio is to be told of events, as `EpollSelector.select` would, and that `called` can
    /// be read.
    fn found<'py>(
        &self,
        py: Python<'py>,
        events: &[libc::epoll_event],
        called: Option<c_int>,
    ) -> PyResult<Bound<'py, PyList>> {
        let found = empty(py)?;
        let keys = self.keys.as_ptr();
        let tell = |fd: c_int, mask: c_int| -> PyResult<()> {
            // Not by PyO3, which panics where an allocation fails.
            // SAFETY: the GIL is held, as the token shows; what is made is owned at once.
            unsafe {
                let number = Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromLong(fd.into()))?;
                let key = ffi::PyDict_GetItemWithError(keys, number.as_ptr());
                let Some(key) = Bound::from_borrowed_ptr_or_opt(py, key) else {
                    return PyErr::take(py).map_or(Ok(()), Err);
                };
                let wanted: c_int = key.cast::<PyTuple>()?.get_item(2)?.extract()?;
                let mask = ffi::PyLong_FromLong((mask & wanted).into());
                let mask = Bound::from_owned_ptr_or_err(py, mask)?;
                let pair = ffi::PyTuple_Pack(2, key.as_ptr(), mask.as_ptr());
                let pair = Bound::from_owned_ptr_or_err(py, pair)?;
                if ffi::PyList_Append(found.as_ptr(), pair.as_ptr()) < 0 {
                    return Err(PyErr::fetch(py));
                }
                Ok(())
            }
        };
        for event in events {
            let fd = descriptor(event);
            let bits = event.events as c_int;
            let mut mask = 0;
            if bits & !libc::EPOLLIN != 0 {
                mask |= WRITE;
            }
            if bits & !libc::EPOLLOUT != 0 {
                mask |= READ;
            }
            if called != Some(fd) {
                tell(fd, mask)?;
            }
        }
        if let Some(fd) = called {
            tell(fd, READ)?;
        }
        Ok(found)
    }
}

fn descriptor(event: &libc::epoll_event) -> c_int {
    // CPython fills the lower half alone.
    event.u64 as c_int
}

/// Gives a loop that carries the hub this selector, if it sleeps as asyncio's own do.
///
/// # Safety
/// `core` is this OS thread's hub and attached to `event_loop`; the GIL is held. Runs Python
/// code.
pub(super) unsafe fn install(core: *mut Core, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    for name in [c"_ready", c"_scheduled", c"_stopping", c"_selector"] {
        match imports::named(event_loop, name) {
            Ok(_) => {}
            Err(error) if error.is_instance_of::<PyAttributeError>(py) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    let selector = imports::named(event_loop, c"_selector")?;
    if let Ok(installed) = selector.cast::<LoopSelector>() {
        // Left in place by a hub that did not detach, as in a forked child.
        // SAFETY: by contract.
        unsafe { take_over(core, installed) };
        return Ok(());
    }
    if selector.get_type().name()? != "EpollSelector" {
        return Ok(());
    }
    let Ok(keys) = imports::named(&selector, c"_fd_to_key")
        .map_err(drop)
        .and_then(|keys| keys.cast_into::<PyDict>().map_err(drop))
    else {
        return Ok(());
    };
    let epoll = imports::call(&selector, c"fileno")?.extract()?;
    let own = LoopSelector {
        selector: selector.unbind(),
        keys: keys.unbind(),
        epoll: AtomicI32::new(epoll),
    };
    let own = Bound::new(py, own)?;
    imports::set(event_loop, c"_selector", &own)?;
    // SAFETY: by contract.
    unsafe { take_over(core, &own) };
    Ok(())
}

unsafe fn take_over(core: *mut Core, selector: &Bound<'_, LoopSelector>) {
    // SAFETY: contract of `install`.
    unsafe {
        (*core).looping.selector = Some(selector.clone().unbind());
        // Every timer is seen before the loop sleeps.
        (*core).looping.scheduled = 0;
    }
}

/// Gives a loop its own selector back.
pub(super) fn uninstall(event_loop: &Bound<'_, PyAny>, installed: &Bound<'_, LoopSelector>) {
    let current = imports::named(event_loop, c"_selector");
    if current.is_ok_and(|current| current.is(installed)) {
        // A loop of asyncio's takes any attribute.
        let _ = imports::set(
            event_loop,
            c"_selector",
            installed.get().selector.bind(event_loop.py()),
        );
    }
}

/// Takes note of the poller of a loop that has got another one.
pub(super) fn renew(py: Python<'_>, installed: &LoopSelector) -> PyResult<()> {
    let number = imports::call(installed.selector.bind(py), c"fileno")?;
    installed.epoll.store(number.extract()?, Ordering::Relaxed);
    Ok(())
}

/// Whether a poller is the one that watches `fd`.
fn watches(epoll: c_int, fd: c_int) -> bool {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: the structure is valid for the calls, which fail for numbers that name no such file.
    unsafe {
        if libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) == 0 {
            // Somebody else's.
            libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, &raw mut event);
            return false;
        }
    }
    io::Error::last_os_error().raw_os_error() == Some(libc::EEXIST)
}

/// Whether a loop that sleeps in `selector` carries the hub, and is not run by green code.
unsafe fn serves(core: *mut Core, selector: &Bound<'_, LoopSelector>) -> bool {
    // SAFETY: `core` is this OS thread's hub or NULL; the GIL is held.
    unsafe {
        !core.is_null()
            && !(*core).in_turn
            && !(*core).closed
            && (*core)
                .looping
                .selector
                .as_ref()
                .is_some_and(|s| s.as_ptr() == selector.as_ptr())
    }
}

/// `select` for a loop that carries `core`.
unsafe fn select<'py>(
    slf: &Bound<'py, LoopSelector>,
    mut core: *mut Core,
    deadline: u64,
) -> PyResult<Bound<'py, PyList>> {
    let py = slf.py();
    let mut buffer = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    // SAFETY: the GIL is held; `core` is looked up anew after whatever may have replaced it.
    unsafe {
        let Some(event_loop) = (*core).looping.attached.as_ref().map(|l| l.clone_ref(py)) else {
            return empty(py);
        };
        let event_loop = event_loop.into_bound(py);
        let timers = timers_of(&event_loop)?;
        let mut hidden = None;
        loop {
            if looping::reads_another(core) {
                hidden = None;
                looping::mend(py, core)?;
                core = registry::existing();
                if !serves(core, slf) {
                    return empty(py);
                }
            }
            let idle = deadline != 0 && !has_work(core);
            let until = match (*core).timers.next_deadline() {
                Some(due) if idle => due.min(deadline),
                _ if idle => deadline,
                _ => 0,
            };
            let nanos = match until {
                0 | NEVER => until,
                _ => until.saturating_sub(now()),
            };
            let asked = rehearsal::before_sleep(py, nanos)?;
            if asked != nanos {
                // What was asked may have replaced the hub.
                core = registry::existing();
                if !serves(core, slf) {
                    return empty(py);
                }
            }
            let epoll = slf.get().epoll.load(Ordering::Relaxed);
            let nap = if (*core).in_main_thread {
                asked.min(NAP_NANOS)
            } else {
                asked
            };
            (*core).asleep = nap != 0;
            let mut slept = sleep(py, epoll, &mut buffer, nap);
            (*core).asleep = false;
            if nap < asked && matches!(slept, Ok(0)) {
                hidden = None;
                slept = sleep_on(slf, core, &event_loop, timers, deadline, &mut buffer)?;
                core = registry::existing();
            }
            let count = match slept {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    // Handlers find the loop that they interrupt.
                    hidden = None;
                    py.check_signals()?;
                    core = registry::existing();
                    if !serves(core, slf) {
                        return empty(py);
                    }
                    0
                }
                Err(error) => {
                    hidden = None;
                    if !looping::mend(py, core)? {
                        return Err(error.into());
                    }
                    core = registry::existing();
                    if !serves(core, slf) {
                        return empty(py);
                    }
                    continue;
                }
            };
            let events = &mut buffer[..count];
            let reactor = (*core).reactor.as_raw_fd();
            let due = (*core).timers.next_deadline();
            let wanted = has_work(core) || due.is_some_and(|due| due <= now());
            if deadline == 0 {
                // The loop has callbacks that were there first: the turn is one more.
                return slf.get().found(py, events, wanted.then_some(reactor));
            }
            let (called, others) = set_apart(reactor, events);
            if called || wanted {
                // From the first turn on, since each look costs 3.11 a system call.
                hidden.get_or_insert_with(Hidden::new);
                looping::turn_in_sleep(py, core)?;
                core = registry::existing();
            }
            if !others.is_empty() {
                return slf.get().found(py, others, None);
            }
            if !serves(core, slf) || deadline <= now() || wants_to_go_on(&event_loop, timers)? {
                return empty(py);
            }
        }
    }
}

/// Sleeps after a nap, in which nothing came: heeds signals, and looks at the descriptors first.
/// What changed meanwhile ends it as the system would.
unsafe fn sleep_on(
    slf: &Bound<'_, LoopSelector>,
    mut core: *mut Core,
    event_loop: &Bound<'_, PyAny>,
    timers: usize,
    deadline: u64,
    buffer: &mut [libc::epoll_event; EVENTS],
) -> PyResult<io::Result<usize>> {
    let py = slf.py();
    // SAFETY: contract of `select`.
    unsafe {
        let listening = Listening::begin(py, core);
        let checked = py.check_signals();
        core = registry::existing();
        let mut slept = Ok(0);
        if checked.is_err() || !serves(core, slf) {
            slept = Err(io::ErrorKind::Interrupted.into());
        } else {
            let goes_on = wants_to_go_on(event_loop, timers).unwrap_or(true);
            let epoll = slf.get().epoll.load(Ordering::Relaxed);
            // Nothing tells if the number of a poller names another one by now.
            let intact = matches!((*core).reactor.mend(), Ok(false))
                && watches(epoll, (*core).reactor.as_raw_fd());
            if !intact {
                slept = Err(io::Error::from_raw_os_error(libc::EBADF));
            } else if !has_work(core) && !goes_on {
                let due = (*core).timers.next_deadline().unwrap_or(NEVER);
                let rest = match due.min(deadline) {
                    NEVER => NEVER,
                    until => until.saturating_sub(now()),
                };
                (*core).asleep = true;
                slept = sleep(py, epoll, buffer, rest);
                (*core).asleep = false;
            }
        }
        if listening.is_some_and(|listening| listening.end(py)) {
            slept = Err(io::ErrorKind::Interrupted.into());
        }
        checked?;
        Ok(slept)
    }
}

/// The running loop, hidden from green code as long as this lives.
struct Hidden(*mut PyObject);

impl Hidden {
    fn new() -> Self {
        // SAFETY: made by `select`, with the GIL held.
        Self(unsafe { imports::hide_loop() })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // SAFETY: as for `new`.
        unsafe { imports::show_loop(self.0) }
    }
}

/// Asks the kernel, and sleeps, without the GIL, for at most `nanos`; 0 does not sleep.
fn sleep(
    py: Python<'_>,
    epoll: c_int,
    buffer: &mut [libc::epoll_event; EVENTS],
    nanos: u64,
) -> io::Result<usize> {
    let mut wait = |milliseconds| {
        // SAFETY: the buffer is as long as is said.
        let count =
            unsafe { libc::epoll_wait(epoll, buffer.as_mut_ptr(), EVENTS as c_int, milliseconds) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    };
    if nanos == 0 {
        return wait(0);
    }
    if nanos == NEVER {
        return py.detach(|| wait(-1));
    }
    // Rounded up, or the loop would come back too early and spin.
    let milliseconds = nanos.div_ceil(1_000_000);
    py.detach(|| wait(c_int::try_from(milliseconds).unwrap_or(c_int::MAX)))
}

/// Takes our reactor's own event out of `events`: whether there was one, and the others.
fn set_apart(reactor: c_int, events: &mut [libc::epoll_event]) -> (bool, &mut [libc::epoll_event]) {
    let Some(at) = events.iter().position(|e| descriptor(e) == reactor) else {
        return (false, events);
    };
    let last = events.len() - 1;
    events.swap(at, last);
    (true, &mut events[..last])
}

/// An empty list.
fn empty(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    // SAFETY: the GIL is held, as the token shows; a list is a list.
    unsafe {
        let list = Bound::from_owned_ptr_or_err(py, ffi::PyList_New(0))?;
        Ok(list.cast_into_unchecked())
    }
}

/// How many timers the loop has, which grow by what a turn adds.
fn timers_of(event_loop: &Bound<'_, PyAny>) -> PyResult<usize> {
    // SAFETY: written once, when the module was initialised.
    imports::attribute(event_loop, unsafe { imports::LOOP.scheduled })?.len()
}

/// Whether a turn, or a signal handler, has given the loop something to do.
fn wants_to_go_on(event_loop: &Bound<'_, PyAny>, timers: usize) -> PyResult<bool> {
    // SAFETY: as above.
    let (stopping, ready) = unsafe { (imports::LOOP.stopping, imports::LOOP.ready) };
    Ok(imports::attribute(event_loop, stopping)?.is_truthy()?
        || !imports::attribute(event_loop, ready)?.is_empty()?
        || timers_of(event_loop)? != timers)
}
