//! The hub of each OS thread: made on first use, closed with the thread, rebuilt after a fork.

use std::ffi::c_void;
use std::ptr;

use once_cell::sync::OnceCell;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::{Core, Driver, Due, Parked, Ready, Watcher, looping, make_ready, run, step};
use crate::greenlet::{self, Phase, Thread, errors, gc, thread};
use crate::imports;

/// `eventlet.hubs`' function that makes the hub object of this OS thread.
static FACTORY: OnceCell<Py<PyAny>> = OnceCell::new();

/// The hubs in use, of all OS threads. Touched with the GIL held, and never while Python
/// code runs.
static mut HUBS: Vec<*mut Core> = Vec::new();

fn hubs() -> *mut Vec<*mut Core> {
    &raw mut HUBS
}

/// The hubs of other OS threads, each with its object; None if there are none.
///
/// # Safety
/// The GIL is held.
pub(crate) unsafe fn others(py: Python<'_>) -> Option<Vec<(*mut Core, Py<PyAny>)>> {
    let own = existing();
    // SAFETY: by contract; `close` takes a hub out before it is freed.
    unsafe {
        let hubs = &*hubs();
        if hubs.iter().all(|&core| core == own) {
            return None;
        }
        let others = hubs.iter().copied().filter(|&core| core != own);
        let held = |core: *mut Core| Bound::from_borrowed_ptr(py, (*core).object).unbind();
        Some(others.map(|core| (core, held(core))).collect())
    }
}

/// Takes a hub out of the list, or with `keep` all others.
unsafe fn unlist(core: *mut Core, keep: bool) {
    // SAFETY: the GIL is held by the callers; no Python code runs.
    unsafe { (*hubs()).retain(|&listed| (listed == core) == keep) }
}

/// Registers what makes hubs; called once by `eventlet.hubs` when it is imported.
pub(crate) fn set_factory(factory: Py<PyAny>) -> PyResult<()> {
    FACTORY
        .set(factory)
        .map_err(|_| PyRuntimeError::new_err("the hub factory is set already"))
}

/// The hub of this OS thread, made if need be; NULL with an exception set on failure.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(crate) unsafe fn hub() -> *mut Core {
    // SAFETY: by contract.
    unsafe {
        let thread = thread::this();
        if thread.is_null() {
            return ptr::null_mut();
        }
        let core = (*thread).hub.cast::<Core>();
        if core.is_null() {
            return make(thread);
        }
        core
    }
}

/// The hub of this OS thread if it has one.
pub(crate) fn existing() -> *mut Core {
    let thread = thread::existing();
    if thread.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the record of this OS thread is live while it exists.
    unsafe { (*thread).hub.cast() }
}

#[cold]
unsafe fn make(thread: *mut Thread) -> *mut Core {
    // SAFETY: contract of `hub`.
    if unsafe { (*thread).ending } {
        // SAFETY: as above.
        unsafe { errors::set_error(c"this OS thread is ending: its green threads cannot wait") };
        return ptr::null_mut();
    }
    Python::attach(|py| {
        let result = match FACTORY.get() {
            Some(factory) => factory.call0(py).map(drop),
            None => imports::module(py, c"eventlet.hubs")
                .and_then(|m| imports::call(&m, c"get_hub"))
                .map(drop),
        };
        // SAFETY: the factory installs the hub in this thread's record.
        let core: *mut Core = unsafe { (*thread).hub.cast() };
        match result {
            Ok(()) if !core.is_null() => core,
            Ok(()) => {
                PyRuntimeError::new_err("eventlet.hubs made no hub for this thread").restore(py);
                ptr::null_mut()
            }
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        }
    })
}

/// Makes `core` the hub of this OS thread, in place of a former one, which is closed.
///
/// # Safety
/// `core` was made for this OS thread; the GIL is held.
pub(crate) unsafe fn install(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: by contract; the thread record owns a reference to its hub's object.
    unsafe {
        let thread = (*core).thread;
        let former = (*thread).hub.cast::<Core>();
        if former == core {
            return Ok(());
        }
        if !former.is_null() {
            if (*former).goes_on && !step::innermost(thread).is_null() {
                // In a forked child the coroutine may take another hub: its loop ends here.
                abandon(py, former)?;
            }
            refuse_running(former)?;
        }
        ffi::Py_INCREF((*core).object);
        (*thread).hub = core.cast();
        (*thread).close_hub = Some(close_raw);
        (*hubs()).push(core);
        if !former.is_null() {
            let object = (*former).object;
            close(py, former);
            ffi::Py_DECREF(object);
        }
    }
    Ok(())
}

/// Refuses to close a hub where its end could not come back: on the stack that runs it, or
/// while another event loop than its own runs it.
///
/// # Safety
/// `core` is a hub of this OS thread; the GIL is held.
pub(super) unsafe fn refuse_running(core: *mut Core) -> PyResult<()> {
    // SAFETY: by contract.
    let (by_itself, adopted) = unsafe {
        let current = (*(*core).thread).current;
        let in_turn = (*core).in_turn;
        (
            current == (*core).greenlet
                || in_turn && current == (*core).runner
                || !step::innermost((*core).thread).is_null(),
            in_turn && (*core).runner != (*core).greenlet,
        )
    };
    if by_itself {
        return Err(PyRuntimeError::new_err(
            "a hub cannot be closed or replaced by its own callback or a coroutine: spawn a green thread that \
             does it",
        ));
    }
    if adopted {
        return Err(PyRuntimeError::new_err(
            "a hub cannot be closed or replaced while an event loop that it did not start runs \
             its green threads: do it before or after asyncio.run()",
        ));
    }
    Ok(())
}

/// Closes the hub of an OS thread that ends.
unsafe fn close_raw(core: *mut c_void) {
    // SAFETY: called by `greenlet::thread` with the GIL held, on what `install` put there.
    Python::attach(|py| unsafe { close(py, core.cast()) });
}

/// Closes what a hub has open: its greenlet, its reader on the loop, the loop it owns. Forgets
/// what was ready or waiting: green threads that nobody else knows end with GreenletExit.
///
/// # Safety
/// `core` is live, a hub of this OS thread unless it never ran, and is not running; the GIL
/// is held. Runs Python code.
///
/// # Switches
/// Into the hub greenlet and into green threads that end.
pub(crate) unsafe fn close(py: Python<'_>, core: *mut Core) {
    // SAFETY: by contract; items are taken out before they are released. The object, and with
    // it the core, is held until the last statement.
    unsafe {
        if (*core).closed {
            return;
        }
        (*core).closed = true;
        unlist(core, false);
        let object: *mut PyObject = (*core).object;
        let thread = (*core).thread;
        let installed = (*thread).hub.cast() == core;
        if installed {
            (*thread).hub = ptr::null_mut();
            (*thread).close_hub = None;
        }
        looping::detach(py, core);
        end_greenlet(py, core);
        drop((*core).looping.owned.take());
        if (*core).driver == Driver::Asyncio && object != ffi::Py_None() {
            let hub: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, object);
            if let Err(error) = imports::call(&hub, c"_release_loop") {
                error.write_unraisable(py, Some(&hub));
            }
        }
        forget_all(core);
        release_greenlet(&raw mut (*core).runner);
        let g = (*core).greenlet;
        if !g.is_null() && (*g).phase != Phase::Dead {
            release_greenlet(&raw mut (*core).greenlet);
        }
        if installed {
            ffi::Py_DECREF(object);
        }
    }
}

/// Takes a greenlet out of its place in a hub. One that has ended stays in the hub that it
/// ran, to be looked at, until the hub's object dies.
///
/// # Safety
/// `slot` holds an owned greenlet or NULL; the GIL is held. Runs Python code if it dies.
pub(super) unsafe fn release_greenlet(slot: *mut *mut greenlet::Greenlet) {
    // SAFETY: by contract.
    unsafe {
        let g = ptr::replace(slot, ptr::null_mut());
        if !g.is_null() {
            greenlet::decref(g);
        }
    }
}

/// How often the hub greenlet is told to end: code that it is suspended in, a callback of the
/// application, may catch the exception.
const ATTEMPTS: usize = 3;

/// Ends the hub greenlet, which is suspended in a turn, by GreenletExit. Should that be caught
/// on its way, the loop stops after the turn.
unsafe fn end_greenlet(py: Python<'_>, core: *mut Core) {
    // SAFETY: contract of `close`.
    unsafe {
        let g = (*core).greenlet;
        let home = (*core).thread;
        if g.is_null() || home != thread::existing() || g == (*home).current {
            return;
        }
        greenlet::incref(g);
        for _ in 0..ATTEMPTS {
            if (*g).phase != Phase::Active {
                break;
            }
            (*core).stopping = true;
            let owned = (*core).looping.owned.as_ref().map(|it| it.clone_ref(py));
            if let Some(owned) = owned {
                // Where this fails there is nothing that could be stopped.
                let runs = imports::call(owned.bind(py), c"is_running");
                if runs.is_ok_and(|runs| runs.is_truthy().unwrap_or(false)) {
                    let _ = imports::call(owned.bind(py), c"stop");
                }
            }
            gc::end(g);
        }
        (*core).stopping = false;
        greenlet::decref(g);
    }
}

/// Releases what is ready, due or waiting, but for main's part in it: see [`hand_on`].
unsafe fn forget_all(core: *mut Core) {
    // SAFETY: contract of `close`; releasing may run Python code, so nothing is borrowed then.
    unsafe {
        let mut items: Vec<_> = std::iter::from_fn(|| (*core).ready.pop()).collect();
        items.append(&mut (*core).litter);
        let mut messages = Vec::new();
        (*core).inbox.drain_into(&mut messages);
        items.extend(messages.into_iter().map(|message| message.0));
        let releasing = (*core).looping.releasing.take();
        let mut due = (*core).timers.drain();
        let fds: Vec<_> = (*core).reactor.iter().map(|(fd, ..)| fd).collect();
        let mut watchers = Vec::new();
        for fd in fds {
            watchers.append(&mut (*core).reactor.close_fd(fd));
        }
        hand_on(core, &mut items, &mut due, &watchers);
        for item in items {
            super::discard(item);
        }
        for (_, due) in due {
            due.release();
        }
        for watcher in watchers {
            watcher.release();
        }
        if let Some(parked) = releasing {
            parked.release();
        }
    }
}

/// Main, if it waits on a hub that green code replaces, waits on under the next one: nobody
/// else would ever wake it, and the process with it. What it waits for at a descriptor may have
/// gone by meanwhile, so then it is told.
unsafe fn hand_on(
    core: *mut Core,
    items: &mut Vec<Ready>,
    due: &mut Vec<(u64, Due)>,
    watchers: &[Watcher],
) {
    // SAFETY: contract of `close`. No code of the application runs: the next hub only notes
    // that it is to take a turn.
    unsafe {
        let heir: *mut Core = (*(*core).thread).hub.cast();
        if heir.is_null() || heir == core || (*core).main_is_parents {
            return;
        }
        let main = (*(*core).thread).main;
        let is_mains = |parked: &Parked| parked.greenlet() == main && parked.is_current();
        for index in (0..items.len()).rev() {
            if matches!(&items[index], Ready::Resume(parked, _) if is_mains(parked)) {
                make_ready(heir, items.remove(index));
            }
        }
        for index in (0..due.len()).rev() {
            if matches!(&due[index].1, Due::Resume(parked) if is_mains(parked)) {
                let (deadline, due) = due.remove(index);
                run::add_timer(heir, deadline, due);
            }
        }
        let told = |watcher: &Watcher| matches!(watcher, Watcher::Parked(it) if is_mains(it));
        if watchers.iter().any(told) {
            ffi::PyErr_SetString(
                ffi::PyExc_RuntimeError,
                c"the hub was replaced by a green thread while main waited for a descriptor: wait \
                  again, or replace the hub in main"
                    .as_ptr(),
            );
            greenlet::incref(main);
            make_ready(heir, Ready::Raise(main, errors::take_raised()));
        }
    }
}

/// A loop of the parent's: its end would take descriptors out of the poller that both share.
#[expect(
    clippy::mem_forget,
    reason = "it must not end, however this process does"
)]
fn keep_for_ever(event_loop: Py<PyAny>) {
    std::mem::forget(event_loop);
}

/// In a forked child: this thread's hub gets a poller of its own; the parent's set of
/// descriptors, which the old one shares, is left alone. A loop that the parent runs
/// cannot be used here: the next wait makes another.
///
/// # Safety
/// Called in the child, by the thread that forked, with the GIL held.
pub(crate) unsafe fn after_fork_in_child(py: Python<'_>) -> PyResult<()> {
    // SAFETY: by contract; nobody else runs in the child.
    unsafe {
        let core = existing();
        super::signals::after_fork_in_child(py);
        // The others' OS threads are not here, and their pollers are the parent's.
        unlist(core, true);
        if core.is_null() {
            let thread = thread::existing();
            if !thread.is_null() {
                leave_step(thread);
            }
            return Ok(());
        }
        (*core).reactor.rebuild()?;
        (*core).waker = (*core).reactor.waker();
        if steps_on_owned(core) {
            match go_on(py, core) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => error.write_unraisable(py, None),
            }
        }
        abandon(py, core)
    }
}

/// Whether the running code is in a step of a task of the loop that the hub runs itself.
unsafe fn steps_on_owned(core: *mut Core) -> bool {
    // SAFETY: contract of `after_fork_in_child`.
    unsafe {
        let owned = (*core).looping.owned.as_ref();
        let attached = (*core).looping.attached.as_ref();
        (*core).running
            && !step::innermost((*core).thread).is_null()
            && step::outermost_home((*core).thread) == (*core).greenlet
            && owned.is_some_and(|owned| attached.is_some_and(|attached| attached.is(owned)))
    }
}

/// The coroutine that forked goes on in the child, and with it the loop that runs it. False if
/// the loop is not of a kind that can be given a poller of its own.
unsafe fn go_on(py: Python<'_>, core: *mut Core) -> PyResult<bool> {
    // SAFETY: contract of `after_fork_in_child`; the loop is cloned before it is used.
    unsafe {
        let Some(owned) = (*core).looping.owned.as_ref().map(|l| l.clone_ref(py)) else {
            return Ok(false);
        };
        let owned = owned.into_bound(py);
        let hub: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, (*core).object);
        if !imports::call_with(&hub, c"_renew_loop", [&owned])?.is_truthy()? {
            return Ok(false);
        }
        looping::attach(py, core, &owned)?;
        (*core).turn_requested = true;
        (*core).waker.wake();
        (*core).goes_on = true;
    }
    Ok(true)
}

/// The loop of a forked child that goes on in the coroutine that forked, or None.
#[pyfunction]
pub(crate) fn _loop_in_child(py: Python<'_>) -> Option<Py<PyAny>> {
    let core = existing();
    if core.is_null() {
        return None;
    }
    // SAFETY: the hub of this OS thread; the GIL is held.
    unsafe {
        if !(*core).goes_on {
            return None;
        }
        (*core).looping.owned.as_ref().map(|l| l.clone_ref(py))
    }
}

/// In a forked child: the coroutine that forked, if one did, is not run by a loop any more. Its
/// green calls are those of green code, and it goes back to the loop only where the step ends.
unsafe fn leave_step(thread: *mut Thread) {
    // SAFETY: contract of `after_fork_in_child`.
    unsafe {
        (*(*thread).current).in_loop = false;
        let step = std::mem::replace(&mut (*thread).step, ptr::null_mut());
        if !step.is_null() {
            (*thread).orphan = step;
        }
    }
}

/// In a forked child: leaves the parent's loops alone, and whatever runs on them.
unsafe fn abandon(py: Python<'_>, core: *mut Core) -> PyResult<()> {
    // SAFETY: contract of `after_fork_in_child`.
    unsafe {
        (*core).goes_on = false;
        let looping = std::mem::take(&mut (*core).looping);
        // The Python side of the hub knows it, too.
        let hub: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, (*core).object);
        if (*core).driver == Driver::Asyncio {
            imports::call(&hub, c"_forget_loop")?;
        }
        for event_loop in [looping.owned, looping.attached].into_iter().flatten() {
            keep_for_ever(event_loop);
        }
        (*core).main_is_parents = (*(*core).thread).current != (*(*core).thread).main;
        leave_step((*core).thread);
        // The hub greenlet is suspended inside the parent's loop: it is left as it is, and
        // keeps the reference that was ours.
        (*core).greenlet = ptr::null_mut();
        (*core).in_main_thread = super::signals::in_main_thread();
        (*core).running = false;
        (*core).in_turn = false;
        (*core).turn_requested = false;
        if !run::ensure_greenlet(core) {
            return Err(PyErr::fetch(py));
        }
    }
    Ok(())
}
