//! The hub on an asyncio event loop: attaching to it, turns as its callbacks, its timers.
//!
//! A loop is *owned* if the hub greenlet runs it, and *adopted* if it runs already (under
//! `asyncio.run`): then the hub only adds its reader, and turns run on the stack of whoever
//! runs the loop.

use std::os::fd::{AsRawFd, RawFd};

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::types::PyAny;

use super::selector::{self, LoopSelector};
use super::{Core, Driver, Parked, slow, turn};
use crate::greenlet::Inbound;
use crate::greenlet::arguments::none;
use crate::imports;
use crate::reactor::now;

/// Nothing is scheduled on the loop.
pub(super) const NEVER: u64 = u64::MAX;

/// The asyncio side of a hub.
pub(crate) struct Looping {
    /// The loop that the hub greenlet runs when no other loop runs.
    pub(crate) owned: Option<Py<PyAny>>,
    /// The loop that has our reader.
    pub(crate) attached: Option<Py<PyAny>>,
    /// Where the attached loop sleeps, if that is ours.
    pub(super) selector: Option<Py<LoopSelector>>,
    /// Green code that waits for the owned loop to stand still, to close it.
    pub(super) releasing: Option<Parked>,
    /// Pending `call_later` on the attached loop, and its deadline.
    handle: Option<Py<PyAny>>,
    pub(super) scheduled: u64,
    /// An exception that ends the hub greenlet once the loop has stopped.
    failure: Option<PyErr>,
    last_trim: u64,
    /// The number of the reactor that the loop reads, and [`Reactor::renewals`] at that time.
    ///
    /// [`Reactor::renewals`]: crate::reactor::Reactor::renewals
    reads: (RawFd, u32),
}

impl Default for Looping {
    fn default() -> Self {
        Self {
            owned: None,
            attached: None,
            selector: None,
            releasing: None,
            handle: None,
            scheduled: NEVER,
            failure: None,
            last_trim: 0,
            reads: (-1, 0),
        }
    }
}

/// Adopts the loop that runs the calling code, if it is not ours yet. False if the hub was
/// closed by what ran then: it may be gone.
pub(crate) unsafe fn attach_to_running(core: *mut Core) -> bool {
    // SAFETY: contract of `request_turn`.
    unsafe {
        if (*core).driver != Driver::Asyncio {
            return true;
        }
        let running = imports::visible_loop();
        if running.is_null() {
            return true;
        }
        let open = is_attached(core, running) || adopt(core, running);
        ffi::Py_DECREF(running);
        open
    }
}

unsafe fn is_attached(core: *mut Core, running: *mut PyObject) -> bool {
    // SAFETY: contract of `request_turn`.
    unsafe {
        (*core)
            .looping
            .attached
            .as_ref()
            .is_some_and(|l| l.as_ptr() == running)
    }
}

/// Attaches to a loop that runs already. Failure is reported as unraisable: the green
/// threads then wait for the owned loop. False if the hub was closed meanwhile.
#[cold]
pub(super) unsafe fn adopt(core: *mut Core, running: *mut PyObject) -> bool {
    Python::attach(|py| {
        // SAFETY: `running` is live; `core` by contract of `request_turn`, and held while
        // Python code runs.
        unsafe {
            let _held: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, (*core).object);
            let running: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, running);
            match attach(py, core, &running) {
                Ok(()) => turn::become_runner(core),
                Err(error) => error.write_unraisable(py, Some(&running)),
            }
            !(*core).closed
        }
    })
}

/// Attaches to a loop that is about to run on the caller's stack.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held. Runs Python code.
pub(super) unsafe fn adopt_starting(event_loop: &Bound<'_, PyAny>, core: *mut Core) {
    // SAFETY: by contract.
    unsafe {
        if (*core).driver != Driver::Asyncio || (*core).closed || (*core).in_turn {
            return;
        }
        if is_attached(core, event_loop.as_ptr()) {
            turn::become_runner(core);
        } else {
            adopt(core, event_loop.as_ptr());
        }
    }
}

/// Makes `event_loop` the one that has our reader.
pub(super) unsafe fn attach(
    py: Python<'_>,
    core: *mut Core,
    event_loop: &Bound<'_, PyAny>,
) -> PyResult<()> {
    // SAFETY: contract of the callers; borrows end with their statements.
    unsafe {
        detach(py, core);
        (*core).reactor.mend()?;
        if let Err(error) = read_reactor(py, core, event_loop) {
            // The loop's descriptors may have been closed as well.
            let closed = error.is_instance_of::<PyOSError>(py)
                && mend_loop(py, core, event_loop)?.is_truthy()?;
            if !closed {
                return Err(error);
            }
            read_reactor(py, core, event_loop)?;
        }
        (*core).looping.attached = Some(event_loop.clone().unbind());
        (*core).looping.scheduled = NEVER;
        selector::install(core, event_loop)?;
        if (*core).turn_requested
            || !(*core).ready.is_empty()
            || !(*core).inbox.is_empty()
            // They were waiting for another loop, and have to be scheduled on this one.
            || !(*core).timers.is_empty()
        {
            (*core).turn_requested = true;
            (*core).waker.wake();
        }
    }
    Ok(())
}

/// Makes the reactor a reader of the loop.
unsafe fn read_reactor(
    py: Python<'_>,
    core: *mut Core,
    event_loop: &Bound<'_, PyAny>,
) -> PyResult<()> {
    // SAFETY: contract of `attach`.
    unsafe {
        let hub: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, (*core).object);
        let reads = ((*core).reactor.as_raw_fd(), (*core).reactor.renewals());
        let turn = imports::named(&hub, c"_asyncio_turn")?;
        let added = ffi::PyObject_CallMethod(
            event_loop.as_ptr(),
            c"add_reader".as_ptr(),
            c"iO".as_ptr(),
            reads.0,
            turn.as_ptr(),
        );
        Bound::from_owned_ptr_or_err(py, added).map_err(|e| {
            if e.is_instance_of::<pyo3::exceptions::PyNotImplementedError>(py) {
                let text = format!(
                    "{event_loop} cannot watch descriptors (no add_reader): use a selector event loop or uvloop"
                );
                PyRuntimeError::new_err(text)
            } else {
                e
            }
        })?;
        (*core).looping.reads = reads;
    }
    Ok(())
}

/// Gives a loop, whose descriptors were closed behind its back, others. False if it is of a kind
/// that does not allow that.
unsafe fn mend_loop<'py>(
    py: Python<'py>,
    core: *mut Core,
    event_loop: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: contract of `attach`.
    unsafe {
        let hub: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, (*core).object);
        let fd = ffi::PyLong_FromLong((*core).looping.reads.0.into());
        let fd = Bound::from_owned_ptr_or_err(py, fd)?;
        imports::call_with(&hub, c"_mend_loop", [event_loop, &fd])
    }
}

/// Whether the loop reads a poller that the reactor has no more.
///
/// # Safety
/// `core` is live.
pub(super) unsafe fn reads_another(core: *mut Core) -> bool {
    // SAFETY: by contract.
    unsafe { (*core).looping.reads.1 != (*core).reactor.renewals() }
}

/// Mends the attached loop, and the reactor, after their descriptors were closed. False if that
/// cannot be done.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held. Runs Python code, which may replace the hub.
pub(super) unsafe fn mend(py: Python<'_>, core: *mut Core) -> PyResult<bool> {
    // SAFETY: by contract; the loop is cloned before it is used.
    unsafe {
        let _held: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, (*core).object);
        (*core).reactor.mend()?;
        let Some(attached) = (*core).looping.attached.as_ref().map(|l| l.clone_ref(py)) else {
            return Ok(false);
        };
        let attached = attached.into_bound(py);
        if !mend_loop(py, core, &attached)?.is_truthy()? {
            return Ok(false);
        }
        read_reactor(py, core, &attached)?;
        if let Some(installed) = (*core).looping.selector.as_ref().map(|s| s.clone_ref(py)) {
            selector::renew(py, installed.get())?;
        }
        // What became ready before is looked at.
        (*core).turn_requested = true;
        Ok(true)
    }
}

/// Takes our reader and timer off the attached loop, if that still works.
pub(crate) unsafe fn detach(py: Python<'_>, core: *mut Core) {
    // SAFETY: contract of the callers; the loop's objects are taken out before they are used.
    unsafe {
        if let Some(handle) = (*core).looping.handle.take() {
            let _ = imports::call(handle.bind(py), c"cancel");
        }
        (*core).looping.scheduled = NEVER;
        if let Some(former) = (*core).looping.attached.take() {
            let (fd, _) = (*core).looping.reads;
            let former = former.bind(py);
            if let Some(installed) = (*core).looping.selector.take() {
                selector::uninstall(former, installed.bind(py));
            }
            let closed = imports::call(former, c"is_closed").and_then(|c| c.is_truthy());
            if !closed.unwrap_or(true) {
                let _ = ffi::PyObject_CallMethod(
                    former.as_ptr(),
                    c"remove_reader".as_ptr(),
                    c"i".as_ptr(),
                    fd,
                );
            }
        }
    }
}

/// The reader's callback: one turn on the loop's stack, the loop hidden meanwhile.
pub(super) unsafe fn asyncio_turn(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: called by the loop in the hub's OS thread.
    unsafe {
        if (*core).closed || (*core).in_turn {
            return Ok(());
        }
        slow::ask(py, core)?;
        on_loop(py, core, |core| heeding_signals(core))
    }
}

/// A turn where the loop sleeps, hidden already.
pub(super) unsafe fn turn_in_sleep(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: called by the loop in the hub's OS thread; the core is held while Python code
    // runs.
    unsafe {
        let _held: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, (*core).object);
        slow::ask(py, core)?;
        let fine = heeding_signals(core);
        after(py, core, fine)
    }
}

/// Has signal handlers called that are due, and takes a turn. What they raise is for main, but
/// CPython would call them in whatever green thread the turn enters first.
unsafe fn heeding_signals(core: *mut Core) -> bool {
    // SAFETY: contract of `asyncio_turn`; the core is held by the callers.
    unsafe { ffi::PyErr_CheckSignals() == 0 && ((*core).closed || turn::turn(core)) }
}

/// Something that a callback of the loop makes ready: runs it and what became ready.
///
/// # Safety
/// `core` is this OS thread's hub or NULL; the GIL is held; the caller is a callback of a
/// loop of this OS thread. `cause` must not switch.
///
/// # Switches
/// Into what is ready, unless a turn is in progress already: then that does it.
pub(crate) unsafe fn event(py: Python<'_>, core: *mut Core, cause: impl FnOnce()) -> PyResult<()> {
    // SAFETY: by contract.
    unsafe {
        if core.is_null() || (*core).closed || (*core).in_turn {
            cause();
            return Ok(());
        }
        if !attach_to_running(core) {
            cause();
            return Ok(());
        }
        on_loop(py, core, |core| turn::brief(core, cause))
    }
}

/// Takes a turn in a callback of the loop, which is hidden meanwhile.
unsafe fn on_loop(
    py: Python<'_>,
    core: *mut Core,
    turn: impl FnOnce(*mut Core) -> bool,
) -> PyResult<()> {
    // SAFETY: contract of the callers; the core is held while Python code runs.
    unsafe {
        let _held: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, (*core).object);
        let hidden = imports::hide_loop();
        let fine = turn(core);
        imports::show_loop(hidden);
        after(py, core, fine)
    }
}

/// What follows a turn, which has raised something unless it was `fine`. The core is held.
unsafe fn after(py: Python<'_>, core: *mut Core, fine: bool) -> PyResult<()> {
    // SAFETY: contract of `on_loop`.
    unsafe {
        if !fine {
            let error = PyErr::fetch(py);
            if !(*core).closed {
                // The loop may go on, or run again: it comes back for what is left.
                (*core).turn_requested = true;
                (*core).waker.wake();
            }
            // asyncio lets these two through its callbacks; for others the loop is
            // stopped, and the hub greenlet raises them.
            if turn::is_system(error.value(py).as_ptr()) {
                return Err(error);
            }
            let owned = (*core).looping.owned.as_ref();
            let attached = (*core).looping.attached.as_ref();
            // A hub that was closed meanwhile has its greenlet end; it is attached to nothing.
            let running = match (attached, owned) {
                (Some(attached), Some(owned)) if owned.is(attached) => owned.clone_ref(py),
                (None, Some(owned)) if (*core).closed => owned.clone_ref(py),
                _ => return Err(error),
            };
            imports::call(running.bind(py), c"stop")?;
            (*core).looping.failure = Some(error);
            return Ok(());
        }
        if (*core).stopping {
            stop_loop(py, core)?;
        }
        schedule(py, core)
    }
}

/// The timer's callback.
pub(super) unsafe fn asyncio_timer(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: as for `asyncio_turn`.
    unsafe {
        (*core).looping.handle = None;
        (*core).looping.scheduled = NEVER;
        asyncio_turn(py, core)
    }
}

/// A timer is due before the loop would come back for it.
///
/// # Safety
/// `core` is live.
pub(super) unsafe fn must_schedule(core: *mut Core) -> bool {
    // SAFETY: by contract.
    unsafe {
        (*core)
            .timers
            .next_deadline()
            .is_some_and(|d| d < (*core).looping.scheduled)
    }
}

/// After a turn: has the loop come back for what is left, or for the next timer.
pub(super) unsafe fn schedule(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: contract of `asyncio_turn`.
    unsafe {
        if (*core).closed {
            return Ok(());
        }
        if (*core).looping.selector.is_some() {
            // Looks at all of it before it sleeps.
            (*core).turn_requested = false;
            idle(core, now());
            return Ok(());
        }
        if !(*core).ready.is_empty() || !(*core).inbox.is_empty() {
            (*core).turn_requested = true;
            (*core).waker.wake();
            return Ok(());
        }
        // A turn that was asked for has nothing to do any more, and its wake-up may have been
        // taken by a green thread that polled: who asks next has to wake the loop again.
        (*core).turn_requested = false;
        let instant = now();
        idle(core, instant);
        let Some(deadline) = (*core).timers.next_deadline() else {
            return Ok(());
        };
        if deadline >= (*core).looping.scheduled {
            return Ok(());
        }
        if let Some(handle) = (*core).looping.handle.take() {
            imports::call(handle.bind(py), c"cancel")?;
        }
        let Some(attached) = (*core).looping.attached.as_ref().map(|l| l.clone_ref(py)) else {
            return Ok(());
        };
        let hub: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, (*core).object);
        let delay = crate::sched::seconds_from_nanos(deadline.saturating_sub(instant));
        let timer = imports::named(&hub, c"_asyncio_timer")?;
        let handle = ffi::PyObject_CallMethod(
            attached.as_ptr(),
            c"call_later".as_ptr(),
            c"dO".as_ptr(),
            delay,
            timer.as_ptr(),
        );
        (*core).looping.handle = Some(Bound::from_owned_ptr_or_err(py, handle)?.unbind());
        (*core).looping.scheduled = deadline;
    }
    Ok(())
}

/// Nothing is ready: gives pages of deep stacks back, at most once a second.
pub(super) unsafe fn idle(core: *mut Core, instant: u64) {
    // SAFETY: contract of `asyncio_turn`.
    unsafe {
        (*core).rested = instant;
        if instant.saturating_sub((*core).looping.last_trim) > 1_000_000_000 {
            (*core).looping.last_trim = instant;
            crate::stack::trim(1024);
        }
    }
}

unsafe fn stop_loop(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: contract of `asyncio_turn`.
    unsafe {
        let owned = (*core).looping.owned.as_ref().map(|l| l.clone_ref(py));
        if let Some(owned) = owned {
            imports::call(owned.bind(py), c"stop")?;
        }
    }
    Ok(())
}

/// Attaches to the owned loop again, after another loop ran in its stead.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held. Runs Python code.
pub(super) unsafe fn attach_owned(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: by contract.
    unsafe {
        if (*core).closed || (*core).driver != Driver::Asyncio {
            return Ok(());
        }
        let owned = owned_loop(py, core)?;
        if is_attached(core, owned.as_ptr()) {
            return Ok(());
        }
        attach(py, core, &owned)
    }
}

/// Runs the owned loop until it stops; `stop()` by the application does not end the hub.
pub(super) unsafe fn run_loop(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: contract of `run`; objects are cloned out of `core` before they are called.
    unsafe {
        let owned = owned_loop(py, core)?;
        if !is_attached(core, owned.as_ptr()) {
            attach(py, core, &owned)?;
        }
        // Another loop may have run in between, on another stack.
        turn::become_runner(core);
        // Whatever became ready while no loop ran.
        (*core).turn_requested = true;
        (*core).waker.wake();
        let result = super::run::call_method(&imports::named(&owned, c"run_forever")?, None);
        let failure = (*core).looping.failure.take();
        result?;
        if let Some(error) = failure {
            return Err(error);
        }
        hand_over(py, core)
    }
}

/// The owned loop stands still: lets the one go on who asked for it, until somebody waits.
unsafe fn hand_over(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: contract of `run`.
    unsafe {
        let Some(parked) = (*core).looping.releasing.take() else {
            return Ok(());
        };
        let done = Inbound::Value(none());
        let fine = !parked.is_current() || turn::enter(core, parked.greenlet(), done);
        parked.release();
        if fine { Ok(()) } else { Err(PyErr::fetch(py)) }
    }
}

/// Stops the owned loop, on which green code is served, so that the caller can close it.
/// False if it is not the caller's to stop.
///
/// # Safety
/// The GIL is held.
///
/// # Switches
/// If the loop is the hub's own.
pub(super) unsafe fn release(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    let core = super::registry::existing();
    // SAFETY: the hub of this OS thread; one borrow per statement, none across the switch.
    unsafe {
        if core.is_null() || !(*core).running || !super::nested::in_green_code(core) {
            return Ok(false);
        }
        let owned = (*core).looping.owned.as_ref();
        if !owned.is_some_and(|l| l.is(event_loop)) || (*core).looping.releasing.is_some() {
            return Ok(false);
        }
        imports::call(event_loop, c"stop")?;
        (*core).looping.releasing = Some(Parked::current((*core).thread));
        let inbound = super::park::park(core);
        if let Some(parked) = (*core).looping.releasing.take() {
            parked.release();
        }
        Bound::from_owned_ptr_or_err(py, inbound.into_result())?;
        Ok(true)
    }
}

/// Whether the loop that runs the calling code is the one that the hub runs itself.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held.
pub(crate) unsafe fn on_owned(core: *mut Core) -> bool {
    // SAFETY: by contract.
    unsafe {
        let running = crate::imports::visible_loop();
        if running.is_null() {
            return false;
        }
        ffi::Py_DECREF(running);
        let owned = (*core).looping.owned.as_ref();
        owned.is_some_and(|owned| owned.as_ptr() == running)
    }
}

/// The loop on which new tasks of the running code belong: the one that runs it, the one
/// that runs the hub, or the one that the hub will run. None for drivers without loops.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held. Runs Python code.
pub(crate) unsafe fn event_loop(
    py: Python<'_>,
    core: *mut Core,
) -> PyResult<Option<Bound<'_, PyAny>>> {
    // SAFETY: by contract; the loop is cloned before it is used.
    unsafe {
        if (*core).driver != Driver::Asyncio || (*core).closed {
            return Ok(None);
        }
        let running = imports::visible_loop();
        if !running.is_null() {
            return Ok(Some(Bound::from_owned_ptr(py, running)));
        }
        if let Some(attached) = (*core).looping.attached.as_ref().map(|l| l.clone_ref(py)) {
            let attached = attached.into_bound(py);
            if (*core).in_turn || imports::call(&attached, c"is_running")?.is_truthy()? {
                return Ok(Some(attached));
            }
        }
        owned_loop(py, core).map(Some)
    }
}

/// The loop that the hub runs itself, chosen by the Python side of the hub.
unsafe fn owned_loop(py: Python<'_>, core: *mut Core) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: contract of `run`.
    unsafe {
        if let Some(owned) = (*core).looping.owned.as_ref().map(|l| l.clone_ref(py)) {
            let owned = owned.into_bound(py);
            if !imports::call(&owned, c"is_closed")?.is_truthy()? {
                return Ok(owned);
            }
        }
        let hub: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, (*core).object);
        let fresh = imports::call(&hub, c"_choose_loop")?;
        (*core).looping.owned = Some(fresh.clone().unbind());
        Ok(fresh)
    }
}
