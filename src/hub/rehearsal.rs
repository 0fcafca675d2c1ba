//! What a test may take into its hands: the time, the order of what is ready, and the moment
//! when nothing is left to do. `eventlet_asyncio.testing` is built on it.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;

use super::{Ready, registry};
use crate::reactor::clock;
use crate::sched::{ReadyQueue, Shuffle, nanos_from_seconds, seconds_from_nanos};

/// Whether there is a [`HOOK`]: what a hub looks at before it sleeps.
static WATCHED: AtomicBool = AtomicBool::new(false);
/// Called with the seconds that a hub is about to sleep.
static HOOK: std::sync::Mutex<Option<Py<PyAny>>> = std::sync::Mutex::new(None);

/// How long a hub that meant to sleep for `nanos` shall sleep, in nanoseconds of the real clock.
///
/// Runs Python code, which must not switch, if there is a hook; the hub may have been replaced
/// then.
#[inline]
pub(super) fn before_sleep(py: Python<'_>, nanos: u64) -> PyResult<u64> {
    if nanos == 0 || !WATCHED.load(Ordering::Relaxed) {
        return Ok(nanos);
    }
    ask(py, nanos)
}

#[cold]
fn ask(py: Python<'_>, nanos: u64) -> PyResult<u64> {
    let hook = match HOOK.lock() {
        Ok(hook) => hook.as_ref().map(|hook| hook.clone_ref(py)),
        Err(_) => None,
    };
    let Some(hook) = hook else {
        return Ok(nanos);
    };
    let wanted = (nanos != u64::MAX).then(|| seconds_from_nanos(nanos));
    let answer: Option<f64> = hook.call1(py, (wanted,))?.extract(py)?;
    Ok(answer.map_or(nanos, nanos_from_seconds))
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
    WATCHED.store(hook.is_some(), Ordering::Relaxed);
    let former = match HOOK.lock() {
        Ok(mut place) => std::mem::replace(&mut *place, hook),
        Err(_) => None,
    };
    // Its release may run anything, which must find the lock free.
    drop(former);
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

/// Adds the functions of this file to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_set_idle_hook, module)?)?;
    module.add_function(wrap_pyfunction!(_set_time, module)?)?;
    module.add_function(wrap_pyfunction!(_set_order, module)?)?;
    module.add_function(wrap_pyfunction!(_displaced, module)?)
}
