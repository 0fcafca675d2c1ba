//! A function of Python's that tests put in, and that costs a look at a flag while there is none.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;

/// One place for such a function.
pub(crate) struct Hook {
    filled: AtomicBool,
    place: Mutex<Option<Py<PyAny>>>,
}

impl Hook {
    pub(crate) const fn new() -> Self {
        Self {
            filled: AtomicBool::new(false),
            place: Mutex::new(None),
        }
    }

    /// Puts a function in, or takes it out.
    pub(crate) fn set(&self, function: Option<Py<PyAny>>) {
        self.filled.store(function.is_some(), Ordering::Relaxed);
        let former = match self.place.lock() {
            Ok(mut place) => std::mem::replace(&mut *place, function),
            Err(_) => None,
        };
        // Its release may run anything, which must find the lock free.
        drop(former);
    }

    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.filled.load(Ordering::Relaxed)
    }

    /// The function, if there is one.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let place = self.place.lock().ok()?;
        place.as_ref().map(|function| function.bind(py).clone())
    }
}
