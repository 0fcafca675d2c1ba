//! What a test may take into its hands: the time, the order of what is ready, and the moment
//! when nothing is left to do. `eventlet_asyncio.testing` is built on it.

use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::{Ready, registry};
use crate::greenlet::hook::Hook;
use crate::reactor::clock;
use crate::sched::{ReadyQueue, Shuffle, nanos_from_seconds, seconds_from_nanos};

/// Called with the seconds that a hub is about to sleep.
static IDLE: Hook = Hook::new();
/// Called with each exception that is about to be printed, since nobody has taken it.
static REPORT: Hook = Hook::new();

/// How long a hub that meant to sleep for `nanos` shall sleep, in nanoseconds of the real clock.
///
/// Runs Python code, which must not switch, if there is a hook; the hub may have been replaced
/// then.
#[inline]
pub(super) fn before_sleep(py: Python<'_>, nanos: u64) -> PyResult<u64> {
    if nanos == 0 || !IDLE.is_set() {
        return Ok(nanos);
    }
    ask(py, nanos)
}

#[cold]
fn ask(py: Python<'_>, nanos: u64) -> PyResult<u64> {
    let Some(hook) = IDLE.get(py) else {
        return Ok(nanos);
    };
    let wanted = (nanos != u64::MAX).then(|| seconds_from_nanos(nanos));
    let answer: Option<f64> = hook.call1((wanted,))?.extract()?;
    Ok(answer.map_or(nanos, nanos_from_seconds))
}

/// Tells a test of an exception that nobody has taken.
///
/// # Safety
/// `error` is a live exception; the GIL is held. Runs Python code.
pub(super) unsafe fn before_report(error: *mut PyObject) {
    if !REPORT.is_set() {
        return;
    }
    // SAFETY: by contract.
    Python::attach(|py| unsafe {
        let error = Bound::from_borrowed_ptr(py, error);
        if let Some(hook) = REPORT.get(py)
            && let Err(failure) = hook.call1((error,))
        {
            failure.write_unraisable(py, Some(&hook));
        }
    });
}

/// Brings the one to the front that a test's random order takes next, if there is one.
#[inline]
pub(super) fn stir(ready: &mut ReadyQueue<Ready>) {
    ready.stir(|item| matches!(item, Ready::Resume(..) | Ready::Start(_)));
}

/// Have all hubs ask, before each sleep, how long it shall be.
///
/// The hook gets the seconds, or None for no end, and returns the seconds of real time to
/// sleep at most, or None for as long as was meant. It must not switch.
#[pyfunction]
fn _set_idle_hook(hook: Option<Py<PyAny>>) {
    IDLE.set(hook);
}

/// Have a function called with each exception of a green thread or callback that is about to be
/// printed, since nobody has taken it; None for none. It must not switch.
#[pyfunction]
fn _set_report_hook(hook: Option<Py<PyAny>>) {
    REPORT.set(hook);
}

/// Have the clock of all hubs stand at a number of seconds; None for the real clock.
#[pyfunction]
fn _set_time(seconds: Option<f64>) {
    clock::stand_at(seconds.map(nanos_from_seconds));
}

/// Have what is ready in this OS thread's hub run in the random order of a seed.
///
/// `only`: the numbers of the choices that are random, as `_displaced()` has listed them. None
/// as the seed: first in, first out.
#[pyfunction]
#[pyo3(signature = (seed, only=None))]
fn _set_order(py: Python<'_>, seed: Option<u64>, only: Option<Vec<u64>>) -> PyResult<()> {
    let shuffle = seed.map(|seed| Shuffle::new(seed, only));
    // SAFETY: the GIL is held; the hub is this OS thread's.
    unsafe {
        let core = registry::hub();
        if core.is_null() {
            return Err(PyErr::fetch(py));
        }
        (*core).ready.set_shuffle(shuffle);
    }
    Ok(())
}

/// The numbers of the choices in which another than the first was taken.
#[pyfunction]
fn _displaced() -> Vec<u64> {
    let core = registry::existing();
    if core.is_null() {
        return Vec::new();
    }
    // SAFETY: as for `_set_order`.
    let shuffle = unsafe { (*core).ready.shuffle() };
    shuffle.map_or_else(Vec::new, |shuffle| shuffle.displaced().to_vec())
}

/// The descriptors of this process that the engine has opened for itself where it needed them,
/// and that no poll shows.
#[pyfunction]
fn _own_descriptors(py: Python<'_>) -> Vec<std::ffi::c_int> {
    super::signals::descriptors(py)
}

/// Adds the functions of this file to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_set_idle_hook, module)?)?;
    module.add_function(wrap_pyfunction!(_set_report_hook, module)?)?;
    module.add_function(wrap_pyfunction!(_set_time, module)?)?;
    module.add_function(wrap_pyfunction!(_set_order, module)?)?;
    module.add_function(wrap_pyfunction!(_own_descriptors, module)?)?;
    module.add_function(wrap_pyfunction!(_displaced, module)?)
}
