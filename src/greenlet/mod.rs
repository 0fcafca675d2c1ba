//! Greenlets: stacks that can be switched to, with a parent and no scheduling.
//!
//! ```text
//!   New ──first switch──▶ Active ──run() returns or raises──▶ Dead
//!    │                      ▲ │
//!    │                      │ └─ switch()/throw() elsewhere: suspended, still Active
//!    └──throw()─────────────┴──────────────────────────────────▶ Dead
//! ```
//!
//! Written on CPython's C API, not on PyO3 classes: a switch may leave a method in the
//! middle and come back much later, so nothing may stay borrowed meanwhile, and the type
//! needs slots that PyO3 does not offer (finalisation that may resurrect, a dynamic answer
//! to "can the collector own this object").
//!
//! Who owns what:
//! - `Thread::current` owns a reference to the running greenlet. A switch moves it: the
//!   greenlet that is left is parked in `Thread::origin` and released by the one entered,
//!   so that code run by that release finds a consistent world.
//! - A greenlet owns its parent, its `run` until it starts, and what was sent to it until
//!   it takes it.
//! - A suspended greenlet is kept alive by whoever wants to switch to it, by nothing else.
//!   If the last reference goes, GreenletExit is raised in it; where that is impossible
//!   (another OS thread, interpreter shutdown) its stack is leaked on purpose: frames
//!   that live on it may still be referenced.

pub(crate) mod bookkeeping;
pub(crate) mod call;
pub(crate) mod class;
pub(crate) mod errors;
pub(crate) mod gc;
mod properties;
pub(crate) mod switch;
mod table;
pub(crate) mod thread;
mod trace;

use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use crate::pystate::{Bounds, StackState};
use crate::switch::Fiber;

pub(crate) use switch::{Inbound, switch_to};
pub(crate) use thread::Thread;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Phase {
    New,
    Active,
    Dead,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Made from Python; its result goes to its parent.
    Plain,
    /// The greenlet an OS thread was born with; it has no stack of its own.
    Main,
    /// Run by a hub: `hooks` decides what happens at its end.
    Scheduled,
}

/// How a greenlet of kind `Scheduled` runs and ends. Implemented by the `greenthread` layer.
pub(crate) struct Hooks {
    /// Runs the body on the greenlet's own stack.
    pub(crate) run: unsafe fn(*mut Greenlet, Inbound) -> Outcome,
    /// Takes the outcome: wakes those who wait for it, calls links. Runs Python code.
    pub(crate) finish: unsafe fn(*mut Greenlet, Outcome),
    /// Names the greenlet to run next; its inbound value is set. Runs no Python code.
    pub(crate) next: unsafe fn(*mut Greenlet) -> *mut Greenlet,
    /// Ends a greenlet of this OS thread that is New, with an exception (owned): its body never
    /// runs. False with an exception set on failure. Runs Python code.
    pub(crate) abort: unsafe fn(*mut Greenlet, *mut PyObject) -> bool,
    /// Whether its work has begun, although it may be New: that of some is done elsewhere.
    pub(crate) begun: unsafe fn(*mut Greenlet) -> bool,
    /// Whether the second greenlet may wait for the end of the first; false with an exception
    /// set if neither would ever end. Runs Python code.
    pub(crate) may_wait: unsafe fn(*mut Greenlet, *mut Greenlet) -> bool,
}

/// A new reference to the value returned, or to the exception raised.
pub(crate) enum Outcome {
    Value(*mut PyObject),
    Error(*mut PyObject),
}

/// Fields are ordered by use: a switch touches the first three cache lines only, which counts
/// when thousands of green threads take turns.
#[repr(C)]
pub(crate) struct Greenlet {
    ob_base: PyObject,
    /// How often it was resumed: tells a wake-up that is still meant from a stale one.
    pub(crate) resumes: u64,
    pub(crate) phase: Phase,
    pub(crate) kind: Kind,
    /// Its last reference is being given up: its end goes to whoever gives it up.
    pub(crate) dying: bool,
    /// Runs an event loop of its own, and callbacks of it: must not block.
    pub(crate) in_loop: bool,
    pub(crate) inbound: Inbound,
    /// Initialised while `phase` is Active, except for a main greenlet.
    pub(crate) fiber: MaybeUninit<Fiber<*mut Greenlet>>,
    /// Stack address at the last switch away from it.
    pub(crate) left_at: usize,
    pub(crate) state: StackState,
    /// Counted reference to the OS thread the greenlet belongs to.
    pub(crate) thread: *mut Thread,
    /// Owned; NULL for a main greenlet.
    pub(crate) parent: *mut Greenlet,
    pub(crate) hooks: *const Hooks,
    /// Owned; NULL once started, or if it was never given.
    pub(crate) run: *mut PyObject,
    /// Owned or NULL: what the attribute `run` gave when the greenlet was started. A subclass
    /// may answer with something else than the slot holds.
    pub(crate) callee: *mut PyObject,
    /// Context a New greenlet will start with (owned or NULL).
    pub(crate) context: *mut PyObject,
    /// Where its C stack lies; set while Active, except for a main greenlet.
    pub(crate) bounds: Bounds,
    pub(crate) weakrefs: *mut PyObject,
    pub(crate) dict: *mut PyObject,
}

impl Greenlet {
    #[inline]
    pub(crate) fn is_main(&self) -> bool {
        self.kind == Kind::Main
    }
}

/// Adds a reference.
///
/// # Safety
/// `g` points to a live greenlet and the GIL is held.
#[inline]
pub(crate) unsafe fn incref(g: *mut Greenlet) {
    // SAFETY: by contract.
    unsafe { ffi::Py_INCREF(g.cast()) }
}

/// Drops a reference, which may run Python code.
///
/// # Safety
/// The caller owns a reference to `g` and holds the GIL.
#[inline]
pub(crate) unsafe fn decref(g: *mut Greenlet) {
    // SAFETY: by contract.
    unsafe { ffi::Py_DECREF(g.cast()) }
}

/// Replaces an owned pointer by another and releases the old one afterwards.
///
/// # Safety
/// `slot` owns its pointer (or is NULL), `new` is owned or NULL; the GIL is held. Runs
/// Python code if the old object dies.
#[inline]
pub(crate) unsafe fn replace(slot: *mut *mut PyObject, new: *mut PyObject) {
    // SAFETY: by contract.
    let old = unsafe { std::ptr::replace(slot, new) };
    // SAFETY: the slot owned `old`.
    unsafe { ffi::Py_XDECREF(old) };
}
