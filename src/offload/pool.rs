//! The pool: tokio's blocking threads, made on first use and one set per process.
//!
//! A current-thread runtime, not a multi-threaded one: its blocking threads need no worker, so
//! a process without awaitable jobs has no thread that idles. The first awaitable job starts
//! one more thread, which drives tokio's tasks (see `awaitable`).
//!
//! The pool is never dropped: that would wait for calls that are under way, and a resolver may
//! take half a minute to give up. Threads that are idle end after ten seconds by themselves.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use super::os_error;
use crate::greenlet::{Inbound, thread};
use crate::hub::Parked;

/// What a job is about. Each kind has threads of its own, so that lookups that hang for want
/// of a name server do not keep files from being read.
#[derive(Clone, Copy)]
pub(super) enum Lane {
    Lookups,
    Reads,
    Children,
}

/// Threads for lookups unless `EVENTLET_ASYNCIO_LOOKUPS` says otherwise. They wait for answers
/// most of the time, so their number follows the name servers, not the processors.
const LOOKUPS: usize = 32;
const LOOKUPS_VARIABLE: &str = "EVENTLET_ASYNCIO_LOOKUPS";
/// What one disk may usefully have to do at a time.
const READS: usize = 8;
/// Waits without end, one per group of children that is waited for.
const CHILDREN: usize = 8;
/// Threads on top of all lanes: they hand results to event loops, which takes microseconds.
const DELIVERIES: usize = 2;

/// A piece of work as the pool sees it.
pub(super) trait Task: Send + Sync {
    /// Does the work, unless nobody waits for it any more, and wakes who does.
    fn run(&self);
}

/// Jobs of one kind: so many at a time, the others in order of arrival.
struct Queue {
    limit: usize,
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    running: usize,
    waiting: VecDeque<Arc<dyn Task>>,
}

pub(super) struct Pool {
    /// The process that the threads belong to.
    process: u32,
    pub(super) runtime: Runtime,
    queues: [Queue; 3],
    /// Green threads that wait for a job, for a child that has to begin anew. Owned
    /// references; used with the GIL held.
    waiting: HashMap<u64, Parked>,
    next_waiting: u64,
    /// A thread drives tokio's tasks.
    pub(super) driven: bool,
}

/// Read and written with the GIL held. Leaked: see above.
static mut POOL: *mut Pool = ptr::null_mut();

/// The pool of this process, made if need be. Used with the GIL held, one borrow per
/// statement.
pub(super) fn pool(py: Python<'_>) -> PyResult<*mut Pool> {
    // SAFETY: the GIL is held, as the token shows; a pool is never freed.
    unsafe {
        // A program may fork without telling the interpreter, hence the comparison.
        if POOL.is_null() || (*POOL).process != std::process::id() {
            POOL = Box::into_raw(Box::new(Pool::new(py)?));
        }
        Ok(POOL)
    }
}

impl Pool {
    fn new(py: Python<'_>) -> PyResult<Self> {
        let lookups = lookups_allowed()?;
        let runtime = Builder::new_current_thread()
            .thread_name("eventlet-offload")
            .max_blocking_threads(lookups + READS + CHILDREN + DELIVERIES)
            .build()
            .map_err(|error| os_error(py, &error))?;
        let queue = |limit| Queue {
            limit,
            state: Mutex::default(),
        };
        Ok(Self {
            process: std::process::id(),
            runtime,
            queues: [queue(lookups), queue(READS), queue(CHILDREN)],
            waiting: HashMap::new(),
            next_waiting: 0,
            driven: false,
        })
    }

    /// Remembers a green thread that waits; the result is for [`Pool::forget`].
    pub(super) fn remember(&mut self, parked: Parked) -> u64 {
        self.next_waiting += 1;
        self.waiting.insert(self.next_waiting, parked);
        self.next_waiting
    }

    /// Gives back what was remembered.
    pub(super) fn forget(&mut self, key: u64) -> Option<Parked> {
        self.waiting.remove(&key)
    }

    /// Whether a job of this kind would be begun at once.
    pub(super) fn has_room(&self, lane: Lane) -> bool {
        let queue = &self.queues[lane as usize];
        queue.lock().running < queue.limit
    }

    /// Has a job done by a thread, as soon as one of its lane is free.
    pub(super) fn submit(&'static self, lane: Lane, task: Arc<dyn Task>) {
        let queue = &self.queues[lane as usize];
        {
            let mut state = queue.lock();
            if state.running >= queue.limit {
                state.waiting.push_back(task);
                return;
            }
            state.running += 1;
        }
        start(self.runtime.handle(), queue, task);
    }
}

fn lookups_allowed() -> PyResult<usize> {
    let Ok(text) = std::env::var(LOOKUPS_VARIABLE) else {
        return Ok(LOOKUPS);
    };
    match text.trim().parse() {
        // tokio counts threads in fewer bits than the machine has.
        Ok(number @ 1..=10_000) => Ok(number),
        _ => Err(PyValueError::new_err(format!(
            "{LOOKUPS_VARIABLE}={text:?}: give the number of names that may be looked up at the \
             same time, from 1 to 10000, or leave it unset for {LOOKUPS}"
        ))),
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, QueueState> {
        // Nothing that can panic runs under the lock but allocation.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `task` and those that wait.
    fn work_off(&self, mut task: Arc<dyn Task>) {
        loop {
            task.run();
            let mut state = self.lock();
            let Some(next) = state.waiting.pop_front() else {
                state.running -= 1;
                return;
            };
            drop(state);
            task = next;
        }
    }
}

fn start(handle: &Handle, queue: &'static Queue, task: Arc<dyn Task>) {
    let begun = Arc::clone(&task);
    // tokio panics if the system gives it no thread and none is there.
    let result = catch_unwind(AssertUnwindSafe(|| {
        handle.spawn_blocking(move || queue.work_off(begun));
    }));
    if result.is_err() {
        // Late is better than never: here and now, as without green threads.
        queue.work_off(task);
    }
}

/// In a forked child: green threads that waited for a thread of the parent's wait for one of
/// the child's own.
///
/// # Safety
/// Called in the child, by the thread that forked, with the GIL held, after its hub was put in
/// order.
pub(crate) unsafe fn after_fork_in_child() {
    // SAFETY: by contract; nobody else runs. What other OS threads of the parent waited for is
    // left as it is: they are not here.
    unsafe {
        super::fork::release();
        let former = ptr::replace(&raw mut POOL, ptr::null_mut());
        super::awaitable::reset_gate();
        if former.is_null() {
            return;
        }
        let mut waiting: Vec<_> = std::mem::take(&mut (*former).waiting).into_iter().collect();
        waiting.sort_unstable_by_key(|(key, _)| *key);
        for (_, parked) in waiting {
            if (*parked.greenlet()).thread == thread::existing() {
                parked.wake(Inbound::Nothing);
            }
        }
    }
}

/// The error of calls made when the interpreter ends.
pub(super) fn ended() -> PyErr {
    PyRuntimeError::new_err(
        "the interpreter is ending: nothing can be awaited any more that runs in a thread",
    )
}
