//! One call and those who wait for it: a green thread, or one of tokio's tasks.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::fork;
use super::pool::{Lane, Task, pool};
use crate::greenlet::{Inbound, errors};
use crate::hub::{Mailbox, Parked, park, registry};

/// What a job does. A forked child may do it again.
pub(super) type Work<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// The work panicked; its thread has said why.
struct Panicked;

type Outcome<T> = Result<T, Panicked>;

enum Receiver {
    Green(Mailbox, Parked),
    Task(Waker),
}

enum Slot<T> {
    /// Not done yet. Without a receiver nobody is parked at the moment.
    Open(Option<Receiver>),
    Done(Outcome<T>),
    /// Nobody waits any more, or the outcome has been taken.
    Closed,
}

pub(super) struct Job<T> {
    work: Work<T>,
    slot: Mutex<Slot<T>>,
}

impl<T: Send + 'static> Job<T> {
    fn new(work: &Work<T>) -> Arc<Self> {
        Arc::new(Self {
            work: Arc::clone(work),
            slot: Mutex::new(Slot::Open(None)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        // Nothing runs under the lock that can panic.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the outcome, or has `receiver` woken when there is one.
    fn receive(&self, receiver: Receiver) -> Received<T> {
        let mut slot = self.lock();
        if let Slot::Open(waiting) = &mut *slot {
            return Received::Later(waiting.replace(receiver));
        }
        match std::mem::replace(&mut *slot, Slot::Closed) {
            Slot::Done(outcome) => Received::Now(outcome, receiver),
            _ => Received::Now(Err(Panicked), receiver),
        }
    }

    /// Nobody waits any more. Gives back the receiver.
    fn abandon(&self) -> Option<Receiver> {
        match std::mem::replace(&mut *self.lock(), Slot::Closed) {
            Slot::Open(receiver) => receiver,
            _ => None,
        }
    }
}

/// What [`Job::receive`] found.
enum Received<T> {
    /// The outcome, and the receiver, which nobody will wake.
    Now(Outcome<T>, Receiver),
    /// None yet: the former receiver.
    Later(Option<Receiver>),
}

impl<T: Send + 'static> Task for Job<T> {
    fn run(&self) {
        if matches!(*self.lock(), Slot::Closed) {
            return;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)())).map_err(|_| Panicked);
        let _posting = fork::hold_off();
        let mut slot = self.lock();
        let Slot::Open(receiver) = std::mem::replace(&mut *slot, Slot::Done(outcome)) else {
            *slot = Slot::Closed;
            return;
        };
        drop(slot);
        match receiver {
            Some(Receiver::Green(mailbox, parked)) => mailbox.wake(parked),
            Some(Receiver::Task(waker)) => waker.wake(),
            None => {}
        }
    }
}

impl From<Panicked> for PyErr {
    fn from(_: Panicked) -> Self {
        PyRuntimeError::new_err("a call made in another thread failed; its thread has said why")
    }
}

/// Releases what a job has given back.
///
/// # Safety
/// The GIL is held. Runs Python code, and may switch, if a green thread dies.
unsafe fn release(receiver: Option<Receiver>) {
    if let Some(Receiver::Green(_, parked)) = receiver {
        // SAFETY: by contract; the reference is owned.
        unsafe { parked.release() }
    }
}

/// Has `work` done by a thread of the pool while the running green thread waits.
///
/// # Errors
/// Whatever is raised in the green thread meanwhile, or that it may not wait here. The work
/// goes on then, if it has been begun.
///
/// # Safety
/// No Python exception is set.
///
/// # Switches
/// Always.
pub(super) unsafe fn wait<T: Send + 'static>(
    py: Python<'_>,
    lane: Lane,
    work: &Work<T>,
) -> PyResult<T> {
    loop {
        let job = Job::new(work);
        // SAFETY: by contract.
        if let Some(outcome) = unsafe { wait_for(py, lane, &job) }? {
            return Ok(outcome?);
        }
        // This is a forked child: the thread that had the job stayed with the parent.
    }
}

/// [`wait`] for one job; None if the process was forked meanwhile and the job was lost.
///
/// # Safety
/// As for [`wait`].
unsafe fn wait_for<T: Send + 'static>(
    py: Python<'_>,
    lane: Lane,
    job: &Arc<Job<T>>,
) -> PyResult<Option<Outcome<T>>> {
    let mut submitted_to = None;
    loop {
        // SAFETY: the GIL is held, as the token shows. Nothing is borrowed across a switch: the
        // job is shared, and the pool is used for one statement at a time.
        unsafe {
            let core = registry::hub();
            if core.is_null() {
                release(job.abandon());
                return Err(PyErr::fetch(py));
            }
            let parked = Parked::current((*core).thread);
            let again = parked.duplicate();
            match job.receive(Receiver::Green(Mailbox::of(core), parked)) {
                Received::Later(former) => release(former),
                Received::Now(outcome, receiver) => {
                    again.release();
                    release(Some(receiver));
                    return Ok(Some(outcome));
                }
            }
            let pool = match pool(py) {
                Ok(pool) if submitted_to.is_none_or(|former| former == pool) => pool,
                other => {
                    again.release();
                    release(job.abandon());
                    return other.map(|_| None);
                }
            };
            let key = (*pool).remember(again);
            if submitted_to.replace(pool).is_none() {
                (*pool).submit(lane, Arc::<Job<T>>::clone(job));
            }
            let inbound = park::park(core);
            if let Some(again) = (*pool).forget(key) {
                again.release();
            }
            if let Inbound::Error(error) = inbound {
                release(job.abandon());
                errors::raise(error);
                return Err(PyErr::fetch(py));
            }
            inbound.discard();
        }
    }
}

/// Has `work` done by a thread of the pool; for one of tokio's tasks to await. Dropped, it
/// leaves the job.
pub(super) struct Awaited<T: Send + 'static>(Arc<Job<T>>);

/// Submits `work` and returns the future of its outcome.
pub(super) fn submit<T: Send + 'static>(
    py: Python<'_>,
    lane: Lane,
    work: &Work<T>,
) -> PyResult<Awaited<T>> {
    let pool = pool(py)?;
    let job = Job::new(work);
    // SAFETY: pools live as long as the process; the GIL is held.
    unsafe { (*pool).submit(lane, Arc::<Job<T>>::clone(&job)) };
    Ok(Awaited(job))
}

impl<T: Send + 'static> Future for Awaited<T> {
    type Output = PyResult<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0.receive(Receiver::Task(context.waker().clone())) {
            Received::Now(outcome, _) => Poll::Ready(outcome.map_err(PyErr::from)),
            Received::Later(_) => Poll::Pending,
        }
    }
}

impl<T: Send + 'static> Drop for Awaited<T> {
    fn drop(&mut self) {
        // A task's waker, if anything: nothing that needs the GIL.
        drop(self.0.abandon());
    }
}
