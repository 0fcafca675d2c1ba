//! The Python class under `eventlet.hubs.hub.BaseHub`.
//!
//! A thin shell: arguments in, errors out. What is rarely called (listeners' bookkeeping, debug
//! output, the choice of a loop) is Python code of the overlay's subclass.

use std::cell::UnsafeCell;
use std::ffi::c_int;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::timer::{self, TimerHandle};
use super::{Core, Driver, Ready, io, looping, park, registry, run};
use crate::greenlet::{self, thread};
use crate::sched::nanos_from_seconds;

/// A hub of one OS thread: who runs next, timers, descriptors.
///
/// Made by `eventlet.hubs`; `driver` is "asyncio", "poll" (the engine's own poller), or
/// "custom" (a subclass that overrides `wait`).
#[pyclass(
    subclass,
    frozen,
    weakref,
    module = "eventlet_asyncio._core",
    name = "Hub"
)]
pub(crate) struct Hub {
    core: UnsafeCell<Option<Box<Core>>>,
}

// SAFETY: the core is reached with the GIL held only (invariant H1).
unsafe impl Sync for Hub {}
// SAFETY: as for Sync.
unsafe impl Send for Hub {}

impl Hub {
    /// NULL until `_open`.
    fn raw(&self) -> *mut Core {
        // SAFETY: set by `_open` and never taken out; the box keeps its address.
        unsafe {
            (*self.core.get())
                .as_deref_mut()
                .map_or(std::ptr::null_mut(), |c| c)
        }
    }

    /// The core, whichever OS thread asks.
    fn core(&self) -> PyResult<*mut Core> {
        let core = self.raw();
        if core.is_null() {
            return Err(PyRuntimeError::new_err(
                "this hub was never opened: the __init__ of a hub class has to call \
                 super().__init__()",
            ));
        }
        Ok(core)
    }

    /// The core, for what only its own OS thread may do.
    fn own(&self) -> PyResult<*mut Core> {
        let core = self.core()?;
        // SAFETY: set above; the GIL is held.
        if unsafe { (*core).thread } != thread::existing() {
            return Err(PyRuntimeError::new_err(
                "this hub belongs to another OS thread: from here it can only be asked to call \
                 something, with schedule_call_global()",
            ));
        }
        Ok(core)
    }

    /// The core, for what a closed hub has nothing of: then None, whichever OS thread asks.
    fn own_if_open(&self) -> PyResult<Option<*mut Core>> {
        // SAFETY: `core` is not NULL; the GIL is held.
        if unsafe { (*self.core()?).closed } {
            return Ok(None);
        }
        self.own().map(Some)
    }

    /// The core, for what makes no sense once the hub is closed.
    fn open(&self) -> PyResult<*mut Core> {
        let core = self.own()?;
        refuse_closed(core)?;
        Ok(core)
    }
}

fn refuse_closed(core: *mut Core) -> PyResult<()> {
    // SAFETY: the callers got it from the hub; the GIL is held.
    if unsafe { (*core).closed } {
        return Err(PyRuntimeError::new_err(
            "this hub is closed: call eventlet.hubs.get_hub() for the one in use",
        ));
    }
    Ok(())
}

#[pymethods]
impl Hub {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            core: UnsafeCell::new(None),
        }
    }

    #[pyo3(signature = (driver="poll"))]
    fn _open(slf: &Bound<'_, Self>, driver: &str) -> PyResult<()> {
        let driver = match driver {
            "asyncio" => Driver::Asyncio,
            "poll" => Driver::Poll,
            "custom" => Driver::Custom,
            other => {
                return Err(PyTypeError::new_err(format!(
                    "unknown hub driver {other:?}: use \"asyncio\", \"poll\" or \"custom\""
                )));
            }
        };
        if driver == Driver::Asyncio {
            crate::imports::use_asyncio(slf.py())?;
        }
        super::signals::prepare(slf.py())?;
        // SAFETY: the GIL is held; the core is boxed, so its address is stable.
        unsafe {
            if (*slf.get().core.get()).is_some() {
                return Err(PyRuntimeError::new_err("this hub is open already"));
            }
            let thread = thread::this();
            if thread.is_null() {
                return Err(PyErr::fetch(slf.py()));
            }
            let mut core = Box::new(Core::new(thread, slf.as_ptr())?);
            core.driver = driver;
            *slf.get().core.get() = Some(core);
            if !run::ensure_greenlet(slf.get().raw()) {
                return Err(PyErr::fetch(slf.py()));
            }
        }
        Ok(())
    }

    /// Make this the hub of the running OS thread; a former one is closed.
    fn _install(slf: &Bound<'_, Self>) -> PyResult<()> {
        // SAFETY: the GIL is held; `_open` was called by this OS thread.
        unsafe { registry::install(slf.py(), slf.get().open()?) }
    }

    /// Close what the hub has open. It cannot be used afterwards.
    fn _close(&self, py: Python<'_>) -> PyResult<()> {
        let Some(core) = self.own_if_open()? else {
            return Ok(());
        };
        // SAFETY: the GIL is held; the core is this OS thread's.
        unsafe {
            registry::refuse_running(core)?;
            registry::close(py, core);
        }
        Ok(())
    }

    fn _asyncio_turn(&self, py: Python<'_>) -> PyResult<()> {
        // SAFETY: called by the loop in this hub's OS thread.
        unsafe { looping::asyncio_turn(py, self.own()?) }
    }

    fn _asyncio_timer(&self, py: Python<'_>) -> PyResult<()> {
        // SAFETY: as for `_asyncio_turn`.
        unsafe { looping::asyncio_timer(py, self.own()?) }
    }

    /// Run the hub until `abort()`; the body of the hub greenlet.
    #[pyo3(signature = (*_args, **_kwargs))]
    fn run(
        &self,
        py: Python<'_>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        // SAFETY: the GIL is held.
        unsafe { run::run(py, self.open()?) }
    }

    /// Park the running green thread until somebody switches to it. A switch point.
    ///
    /// Raises:
    ///     RuntimeError: In code that must not block: a hub callback, or a coroutine.
    fn switch(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        // SAFETY: the GIL is held; nothing is borrowed across the switch.
        unsafe {
            let core = self.open()?;
            let me = (*(*core).thread).current;
            // A plain greenlet that waits for the hub ends in the hub, not in whoever
            // happened to start it.
            if super::step::innermost((*core).thread).is_null()
                && !(*me).is_main()
                && (*me).kind == greenlet::Kind::Plain
                && (*me).parent != (*core).greenlet
                && me != (*core).greenlet
                && greenlet::class::set_parent(
                    me.cast(),
                    (*core).greenlet.cast(),
                    std::ptr::null_mut(),
                ) < 0
            {
                ffi::PyErr_Clear();
            }
            let inbound = park::park(core);
            Bound::from_owned_ptr_or_err(py, inbound.into_result()).map(Bound::unbind)
        }
    }

    /// Make the hub greenlet, or a new one if it has died.
    fn ensure_greenlet(&self, py: Python<'_>) -> PyResult<()> {
        // SAFETY: the GIL is held.
        if unsafe { run::ensure_greenlet(self.open()?) } {
            Ok(())
        } else {
            Err(PyErr::fetch(py))
        }
    }

    /// Stop the hub's loop after the turn in progress. With `wait`, block until it has stopped.
    #[pyo3(signature = (wait=false))]
    fn abort(slf: &Bound<'_, Self>, wait: bool) -> PyResult<()> {
        // SAFETY: the GIL is held.
        unsafe {
            let core = slf.get().core()?;
            let own = (*core).thread == thread::existing();
            if (*core).running {
                (*core).stopping = true;
                if !own {
                    (*core).waker.wake();
                } else if !(*core).in_turn {
                    run::request_turn(core);
                }
            }
            if wait {
                let core = slf.get().own()?;
                if (*(*core).thread).current == (*core).greenlet {
                    return Err(PyRuntimeError::new_err(
                        "abort(wait=True) was called by the hub itself, which cannot wait for \
                         its own end: call abort() instead",
                    ));
                }
                // The main greenlet is entered when the hub greenlet ends.
                if (*core).running {
                    slf.get().switch(slf.py())?;
                }
            }
        }
        Ok(())
    }

    /// The greenlet that runs the hub's loop.
    #[getter]
    fn greenlet(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        // SAFETY: the GIL is held; the core owns the greenlet.
        unsafe {
            let greenlet = (*self.core()?).greenlet.cast();
            Ok(Bound::from_borrowed_ptr_or_opt(py, greenlet).map(Bound::unbind))
        }
    }

    #[getter]
    fn running(&self) -> PyResult<bool> {
        // SAFETY: the GIL is held.
        Ok(unsafe { (*self.core()?).running })
    }

    #[getter]
    fn stopping(&self) -> PyResult<bool> {
        // SAFETY: the GIL is held.
        Ok(unsafe { (*self.core()?).stopping })
    }

    #[setter]
    fn set_stopping(&self, value: bool) -> PyResult<()> {
        // SAFETY: the GIL is held.
        unsafe { (*self.core()?).stopping = value }
        Ok(())
    }

    #[getter]
    fn _closed(&self) -> PyResult<bool> {
        // SAFETY: the GIL is held.
        Ok(unsafe { (*self.core()?).closed })
    }

    #[getter]
    fn debug_exceptions(&self) -> PyResult<bool> {
        // SAFETY: the GIL is held.
        Ok(unsafe { (*self.core()?).debug_exceptions })
    }

    #[setter]
    fn set_debug_exceptions(&self, value: bool) -> PyResult<()> {
        // SAFETY: the GIL is held.
        unsafe { (*self.core()?).debug_exceptions = value }
        Ok(())
    }

    /// Have failures of green threads that are of this class not be printed; None: of no class.
    fn _leave_unreported(&self, py: Python<'_>, class: Option<Py<PyAny>>) -> PyResult<()> {
        let core = self.core()?;
        let class = class.map_or(std::ptr::null_mut(), Py::into_ptr);
        // SAFETY: the GIL is held; what is owned is exchanged before the former is released.
        unsafe {
            let former = std::mem::replace(&mut (*core).unreported, class);
            drop(Bound::from_owned_ptr_or_opt(py, former));
        }
        Ok(())
    }

    /// Whether a second reader or writer of one descriptor is refused.
    #[getter]
    fn _one_reader(&self) -> PyResult<bool> {
        // SAFETY: the GIL is held.
        Ok(unsafe { (*self.core()?).one_reader })
    }

    #[setter(_one_reader)]
    fn set_one_reader(&self, value: bool) -> PyResult<()> {
        // SAFETY: the GIL is held.
        unsafe { (*self.core()?).one_reader = value }
        Ok(())
    }

    /// The asyncio loop the hub runs or is attached to; None for other drivers.
    fn _event_loop(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        // SAFETY: the GIL is held; the loop is cloned before it is used.
        unsafe {
            let core = self.core()?;
            if (*core).thread != thread::existing() {
                let looping = &(*core).looping;
                let known = looping.attached.as_ref().or(looping.owned.as_ref());
                return Ok(known.map(|l| l.clone_ref(py)));
            }
            Ok(looping::event_loop(py, core)?.map(Bound::unbind))
        }
    }

    /// Call `callback()` on the runner's stack after `seconds`.
    fn _add_timer(&self, seconds: f64, callback: Py<PyAny>) -> PyResult<TimerHandle> {
        let core = self.core()?;
        refuse_closed(core)?;
        // SAFETY: the GIL is held; the hub is open.
        Ok(unsafe { timer::add(core, seconds, callback) })
    }

    /// Cancel a timer; true if it had not fired.
    fn _cancel_timer(&self, handle: &TimerHandle) -> PyResult<bool> {
        // SAFETY: the GIL is held.
        Ok(unsafe { timer::cancel(self.core()?, handle) })
    }

    /// Call `callback()` on the runner's stack in the next turn.
    fn _call_soon(&self, callback: Py<PyAny>) -> PyResult<()> {
        let core = self.core()?;
        refuse_closed(core)?;
        // SAFETY: the GIL is held; the queue owns the callback from here on.
        unsafe {
            if (*core).thread == thread::existing() {
                super::make_ready(core, Ready::Call(callback.into_ptr()));
            } else {
                park::post(core, Ready::Call(callback.into_ptr()));
            }
        }
        Ok(())
    }

    /// Timers that have not fired, with those cancelled but not yet forgotten.
    fn get_timers_count(&self) -> PyResult<usize> {
        // SAFETY: the GIL is held.
        Ok(unsafe { (*self.core()?).timers.total() })
    }

    #[getter]
    fn timers_canceled(&self) -> PyResult<usize> {
        // SAFETY: the GIL is held.
        Ok(unsafe { (*self.core()?).timers.cancelled() })
    }

    /// Pending timers as (deadline in seconds, callable or greenlet, where it was made or None).
    fn _timers(&self, py: Python<'_>) -> PyResult<Vec<timer::Pending>> {
        // SAFETY: the GIL is held.
        Ok(unsafe { timer::pending(py, self.core()?) })
    }

    /// Call `callback()` whenever the descriptor is ready, until removed.
    fn _listen(
        &self,
        fd: c_int,
        write: bool,
        callback: &Bound<'_, PyAny>,
    ) -> PyResult<io::Registration> {
        // SAFETY: the GIL is held.
        unsafe { io::listen(self.open()?, fd, write, callback) }
    }

    fn _unlisten(&self, registration: &io::Registration) -> PyResult<bool> {
        let Some(core) = self.own_if_open()? else {
            return Ok(false);
        };
        // SAFETY: the GIL is held.
        Ok(unsafe { io::unlisten(core, registration) })
    }

    /// Wake whoever waits for a descriptor that is about to be closed.
    fn _close_descriptor(&self, fd: c_int) -> PyResult<()> {
        if let Some(core) = self.own_if_open()? {
            // SAFETY: the GIL is held.
            unsafe { io::close_descriptor(core, fd) };
        }
        Ok(())
    }

    /// Green threads parked on descriptors, as (descriptor, for writing, greenlet or callback).
    fn _waiting(&self, py: Python<'_>) -> PyResult<Vec<(c_int, bool, Py<PyAny>)>> {
        let Some(core) = self.own_if_open()? else {
            return Ok(Vec::new());
        };
        // SAFETY: the GIL is held; no Python code runs while the table is borrowed.
        unsafe {
            let waiting = (*core).reactor.iter().map(|(fd, direction, watcher)| {
                let object = match watcher {
                    super::Watcher::Parked(parked) => parked.greenlet().cast(),
                    super::Watcher::Listener(object) => *object,
                };
                let write = direction == crate::reactor::Direction::Write;
                (fd, write, Bound::from_borrowed_ptr(py, object).unbind())
            });
            Ok(waiting.collect())
        }
    }

    /// Turns begun so far; whether it sleeps; whether anybody waits for it. From any OS thread.
    fn _pulse(&self) -> PyResult<(u64, bool, bool)> {
        // SAFETY: numbers and flags, read with the GIL held; nobody else touches the queues then.
        unsafe {
            let core = self.core()?;
            let due = (*core).timers.next_deadline();
            let waited = !(*core).ready.is_empty()
                || due.is_some_and(|due| due <= crate::reactor::now())
                || (*core).reactor.iter().next().is_some();
            Ok(((*core).turns, (*core).asleep || (*core).polling, waited))
        }
    }

    /// Take one turn, then sleep in the poll for at most `seconds`: for `wait` of hubs in Python.
    fn _poll(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        // SAFETY: the GIL is held.
        unsafe { io::wait(py, self.open()?, nanos_from_seconds(seconds)) }
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        // SAFETY: the collector runs with the GIL held.
        unsafe {
            let core = self.raw();
            if core.is_null() {
                return Ok(());
            }
            // SAFETY: `Py` is a transparent `NonNull<PyObject>`, and so is an Option of it.
            let greenlet = &*(&raw const (*core).greenlet).cast::<Option<Py<PyAny>>>();
            visit.call(greenlet.as_ref())?;
            if let Some(owned) = (*core).looping.owned.as_ref() {
                visit.call(owned)?;
            }
            if let Some(attached) = (*core).looping.attached.as_ref() {
                visit.call(attached)?;
            }
        }
        Ok(())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let Some(core) = self.core.get_mut() else {
            return;
        };
        // SAFETY: the last reference is gone, so nobody runs this hub; the GIL is held
        // when a Python object dies.
        Python::attach(|py| unsafe {
            let pending = PyErr::take(py);
            core.object = ffi::Py_None();
            registry::close(py, &raw mut **core);
            registry::release_greenlet(&raw mut core.greenlet);
            if let Some(error) = pending {
                error.restore(py);
            }
        });
    }
}
