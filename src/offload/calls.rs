//! Calls of Python code by OS threads of Python's own: what `eventlet.tpool` is made of.
//!
//! The threads belong to `tpool`, each with one thread state for life; here are the queue that
//! they serve and the way back. Entries change hands with the GIL held. Two things are done
//! without it, since whoever they wake wants it next: waiting for the bell, and handing over
//! the outcome of the last call before that.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::fork;
use crate::greenlet::{Inbound, errors};
use crate::hub::{Mailbox, Parked, park, registry};

/// Calls that have not ended, by the part of the process's life in which they were asked for:
/// its end waits for those of the first. Counted with the GIL held.
static UNFINISHED: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];
/// The part that has begun.
static PART: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This OS thread serves a queue.
    static SERVING: Cell<bool> = const { Cell::new(false) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A green thread to be woken, and the way there.
struct Waiter(Mailbox, Parked);

impl Waiter {
    /// Wakes it, from a thread that does not hold the GIL.
    fn wake_without_gil(self) {
        let _hand_over = fork::hold_off();
        self.0.wake(self.1);
    }

    /// Wakes it. With the GIL held no fork is under way, and whoever forks may be waiting
    /// for the GIL.
    fn wake(self, _: Python<'_>) {
        self.0.wake(self.1);
    }

    fn release(self, _: Python<'_>) {
        // SAFETY: the GIL is held, as the token shows; the reference is owned.
        unsafe { self.1.release() }
    }
}

/// What to call.
struct Work {
    function: Py<PyAny>,
    args: Py<PyTuple>,
    kwargs: Option<Py<PyDict>>,
    /// The context to make the call in: a copy of the caller's.
    context: Py<PyAny>,
}

#[derive(Default)]
struct CallState {
    outcome: Option<PyResult<Py<PyAny>>>,
    waiter: Option<Waiter>,
}

struct Call {
    part: usize,
    work: Mutex<Option<Work>>,
    state: Mutex<CallState>,
}

impl Call {
    /// Makes the call. The result is who has to be woken.
    fn perform(&self, py: Python<'_>) -> Option<Waiter> {
        let work = lock(&self.work).take()?;
        // SAFETY: the GIL is held and the arguments are live. A thread that the interpreter's
        // end stops in the middle of it does not come back.
        let outcome = unsafe {
            let kwargs = work
                .kwargs
                .as_ref()
                .map_or(std::ptr::null_mut(), Py::as_ptr);
            let context = work.context.as_ptr();
            if ffi::PyContext_Enter(context) == 0 {
                let result = ffi::PyObject_Call(work.function.as_ptr(), work.args.as_ptr(), kwargs);
                let outcome = Bound::from_owned_ptr_or_err(py, result).map(Bound::unbind);
                if ffi::PyContext_Exit(context) == 0 {
                    outcome
                } else {
                    Err(PyErr::fetch(py))
                }
            } else {
                Err(PyErr::fetch(py))
            }
        };
        // Arguments die before the caller goes on, as in a call made in place.
        drop(work);
        UNFINISHED[self.part].fetch_sub(1, Ordering::Relaxed);
        let mut state = lock(&self.state);
        state.outcome = Some(outcome);
        state.waiter.take()
    }

    /// The outcome, or none and `waiter` is woken when there is one.
    fn receive(&self, py: Python<'_>, waiter: Waiter) -> Option<PyResult<Py<PyAny>>> {
        let mut state = lock(&self.state);
        let outcome = state.outcome.take();
        let left = if outcome.is_some() {
            Some(waiter)
        } else {
            state.waiter.replace(waiter)
        };
        drop(state);
        if let Some(left) = left {
            left.release(py);
        }
        outcome
    }

    /// Nobody waits any more.
    fn abandon(&self, py: Python<'_>) {
        let waiter = lock(&self.state).waiter.take();
        if let Some(waiter) = waiter {
            waiter.release(py);
        }
    }
}

enum Entry {
    Call(Arc<Call>),
    /// Ends the thread that comes upon it.
    End(Py<PyAny>),
}

/// Who waits for entries. Counts change with the GIL held, `rings` also without.
#[derive(Default)]
struct Bell {
    idle: usize,
    /// Threads on their way to an entry. One at a time is enough: it rings for the next.
    woken: usize,
    rings: usize,
}

/// Calls waiting for threads that `serve()` them.
#[pyclass(frozen, module = "eventlet_asyncio._core")]
#[derive(Default)]
pub(super) struct CallQueue {
    entries: Mutex<VecDeque<Entry>>,
    bell: Mutex<Bell>,
    rung: Condvar,
}

impl CallQueue {
    fn put(&self, entry: Entry) {
        lock(&self.entries).push_back(entry);
        self.ring();
    }

    fn ring(&self) {
        let mut bell = lock(&self.bell);
        if bell.idle > 0 && bell.woken == 0 {
            bell.idle -= 1;
            bell.woken += 1;
            bell.rings += 1;
            drop(bell);
            self.rung.notify_one();
        }
    }

    /// Waits, without the GIL, for an entry. It may be gone to another thread then.
    fn await_entry(&self, py: Python<'_>, last: Option<Waiter>) {
        lock(&self.bell).idle += 1;
        py.detach(|| {
            if let Some(waiter) = last {
                waiter.wake_without_gil();
            }
            let mut bell = lock(&self.bell);
            while bell.rings == 0 {
                bell = self.rung.wait(bell).unwrap_or_else(PoisonError::into_inner);
            }
            bell.rings -= 1;
        });
        lock(&self.bell).woken -= 1;
    }

    fn next(&self) -> Option<Entry> {
        let mut entries = lock(&self.entries);
        let entry = entries.pop_front();
        if !entries.is_empty() {
            drop(entries);
            self.ring();
        }
        entry
    }
}

#[pymethods]
impl CallQueue {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Have a thread call `function(*args, **kwargs)`; return or raise what it does.
    ///
    /// The call runs in a copy of the caller's context, as those of `asyncio.to_thread` do.
    ///
    /// Switch point. In a thread that serves a queue the call is made in place. A caller that
    /// is killed leaves the call alone.
    #[pyo3(signature = (function, args, kwargs, /))]
    fn call(
        &self,
        py: Python<'_>,
        function: Bound<'_, PyAny>,
        args: Bound<'_, PyTuple>,
        kwargs: Option<Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        if SERVING.get() {
            return Ok(function.call(args, kwargs.as_ref())?.unbind());
        }
        // SAFETY: the GIL is held.
        let context =
            unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }?.unbind();
        let call = Arc::new(Call {
            part: PART.load(Ordering::Relaxed),
            work: Mutex::new(Some(Work {
                function: function.unbind(),
                args: args.unbind(),
                kwargs: kwargs
                    .filter(|kwargs| !kwargs.is_empty())
                    .map(Bound::unbind),
                context,
            })),
            state: Mutex::default(),
        });
        let mut asked = false;
        loop {
            // SAFETY: the GIL is held; nothing is borrowed across the switch.
            unsafe {
                let core = registry::hub();
                if core.is_null() {
                    call.abandon(py);
                    return Err(PyErr::fetch(py));
                }
                let parked = Parked::current((*core).thread);
                if let Some(outcome) = call.receive(py, Waiter(Mailbox::of(core), parked)) {
                    return outcome;
                }
                if !std::mem::replace(&mut asked, true) {
                    UNFINISHED[call.part].fetch_add(1, Ordering::Relaxed);
                    self.put(Entry::Call(Arc::clone(&call)));
                }
                match park::park(core) {
                    Inbound::Error(error) => {
                        call.abandon(py);
                        errors::raise(error);
                        return Err(PyErr::fetch(py));
                    }
                    other => other.discard(),
                }
            }
        }
    }

    /// Make calls, in the order they were asked for, until one of the ends put here.
    ///
    /// Return the object that was put as the end. Blocks this OS thread.
    fn serve(&self, py: Python<'_>) -> Py<PyAny> {
        let before = SERVING.replace(true);
        let mut last: Option<Waiter> = None;
        let end = loop {
            match self.next() {
                Some(Entry::Call(call)) => {
                    if let Some(waiter) = last.take() {
                        waiter.wake(py);
                    }
                    last = call.perform(py);
                }
                Some(Entry::End(object)) => break object,
                None => self.await_entry(py, last.take()),
            }
        };
        if let Some(waiter) = last {
            waiter.wake(py);
        }
        SERVING.set(before);
        end
    }

    /// Have one thread leave `serve()` with `last`, after all calls asked for before.
    #[pyo3(signature = (last, /))]
    fn end(&self, last: Py<PyAny>) {
        self.put(Entry::End(last));
    }

    /// How many calls have not ended that were asked for before the end of the process began, which
    /// is when this is first called.
    #[staticmethod]
    fn unfinished() -> usize {
        PART.store(1, Ordering::Relaxed);
        UNFINISHED[0].load(Ordering::Relaxed)
    }

    /// Forget the calls of the parent process, in a forked child.
    #[staticmethod]
    fn forget() {
        PART.store(0, Ordering::Relaxed);
        for count in &UNFINISHED {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// Whether this OS thread serves a queue.
    #[staticmethod]
    fn serving() -> bool {
        SERVING.get()
    }
}
