//! The awaitable form of a job: an asyncio future, by pyo3-async-runtimes.
//!
//! Of that crate only the generic part is used, over the pool's own runtime. Its tokio part
//! keeps one runtime for ever, which a forked child could not use.
//!
//! Futures are driven by one thread, which never takes the GIL. What calls the event loop does,
//! on a blocking thread of its own, behind a gate: a thread that asks an interpreter for its GIL
//! while that ends is stopped for good, or panics, by version and moment. So the gate is closed
//! before, once those within are out.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::wrap_pyfunction;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt, JoinError, Runtime};
use tokio::runtime::Handle;

use super::job::{self, Work};
use super::os_error;
use super::pool::{Lane, ended, pool};

/// Lowest bit: closed. Above it: how many threads are within.
static GATE: AtomicUsize = AtomicUsize::new(0);
const CLOSED: usize = 1;
const ONE: usize = 2;

/// Runs `call` unless the interpreter is about to end; keeps that from happening meanwhile.
fn within_gate(call: impl FnOnce()) {
    if GATE.fetch_add(ONE, Ordering::AcqRel) & CLOSED == 0 {
        call();
    }
    GATE.fetch_sub(ONE, Ordering::Release);
}

/// Let no thread of the pool call the interpreter from now on; called when it ends.
#[pyfunction]
pub(super) fn _close_offload(py: Python<'_>) {
    GATE.fetch_or(CLOSED, Ordering::AcqRel);
    py.detach(|| {
        // Who is within puts one callback into an event loop's queue, then leaves.
        while GATE.load(Ordering::Acquire) >= ONE {
            std::thread::sleep(Duration::from_micros(50));
        }
    });
}

/// In a forked child nobody is within.
pub(super) fn reset_gate() {
    GATE.fetch_and(CLOSED, Ordering::AcqRel);
}

/// Returns an asyncio future, of the running loop, with the outcome of `work`; `convert` makes
/// a Python object of it. Cancelled, it leaves the job.
///
/// # Errors
/// RuntimeError without a running loop, or when the interpreter is ending.
pub(super) fn awaitable<'py, T: Send + 'static>(
    py: Python<'py>,
    lane: Lane,
    work: &Work<T>,
    convert: Convert<T>,
) -> PyResult<Bound<'py, PyAny>> {
    begin(py)?;
    // The loop first: without one nothing is submitted.
    let locals = TaskLocals::with_running_loop(py)?;
    let awaited = job::submit(py, lane, work)?;
    generic::future_into_py_with_locals::<Tokio, _, _>(py, locals, async move {
        Ok(Answer(awaited.await?, convert))
    })
}

/// Starts the thread that drives tokio's tasks, if it does not run yet.
fn begin(py: Python<'_>) -> PyResult<()> {
    static REGISTERED: PyOnceLock<()> = PyOnceLock::new();
    if GATE.load(Ordering::Acquire) & CLOSED != 0 {
        return Err(ended());
    }
    REGISTERED.get_or_try_init(py, || {
        let close = wrap_pyfunction!(_close_offload, py)?;
        py.import("atexit")?.call_method1("register", (close,))?;
        PyResult::Ok(())
    })?;
    let pool = pool(py)?;
    // SAFETY: pools live as long as the process; the GIL is held.
    unsafe {
        if !(*pool).driven {
            let runtime = &(*pool).runtime;
            std::thread::Builder::new()
                .name("eventlet-driver".into())
                .spawn(|| runtime.block_on(pending::<()>()))
                .map_err(|error| os_error(py, &error))?;
            (*pool).driven = true;
        }
    }
    Ok(())
}

pub(super) type Convert<T> = for<'py> fn(Python<'py>, T) -> PyResult<Bound<'py, PyAny>>;

/// An outcome that becomes a Python object where the GIL is held.
struct Answer<T>(T, Convert<T>);

impl<'py, T> IntoPyObject<'py> for Answer<T> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        (self.1)(py, self.0)
    }
}

/// tokio, as pyo3-async-runtimes wants to know it.
struct Tokio;

struct Failure(tokio::task::JoinError);

impl JoinError for Failure {
    fn is_panic(&self) -> bool {
        self.0.is_panic()
    }

    fn into_panic(self) -> Box<dyn std::any::Any + Send + 'static> {
        self.0.into_panic()
    }
}

struct Joined(tokio::task::JoinHandle<()>);

impl Future for Joined {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(Failure)
    }
}

/// The runtime of the pool: that of the calling thread if it belongs to one. If not, it is a
/// thread of the application's, in [`awaitable`].
fn handle() -> Handle {
    Handle::try_current().unwrap_or_else(|_| {
        Python::attach(|py| {
            let pool = pool(py).expect("awaitable() has made it, and a pool is never given up");
            // SAFETY: pools live as long as the process; the GIL is held.
            unsafe { (*pool).runtime.handle().clone() }
        })
    })
}

impl Runtime for Tokio {
    type JoinError = Failure;
    type JoinHandle = Joined;

    fn spawn<F>(future: F) -> Joined
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Joined(handle().spawn(future))
    }

    fn spawn_blocking<F>(call: F) -> Joined
    where
        F: FnOnce() + Send + 'static,
    {
        Joined(handle().spawn_blocking(move || within_gate(call)))
    }
}

impl ContextExt for Tokio {
    fn scope<F, R>(_: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        // The futures awaited here call no Python code: they have no use for a loop.
        Box::pin(future)
    }

    fn get_task_locals() -> Option<TaskLocals> {
        None
    }
}
