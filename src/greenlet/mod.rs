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

pub(crate) mod arguments;
pub(crate) mod bookkeeping;
pub(crate) mod class;
pub(crate) mod define;
pub(crate) mod errors;
pub(crate) mod gc;
pub(crate) mod hook;
pub(crate) mod life;
mod properties;
pub(crate) mod switch;
pub(crate) mod thread;
pub(crate) mod trace;

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
    /// Lends its stack to the steps of coroutines; never seen by Python code. See [`Steps`].
    Stepper,
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
    /// `kill()` of such a greenlet, with an exception (owned): `abort`, then others have their
    /// turn. None, or NULL with an exception set. Runs Python code; a switch point.
    pub(crate) kill: unsafe fn(*mut Greenlet, *mut PyObject) -> *mut PyObject,
    /// Whether its work has begun, although it may be New: that of some is done elsewhere.
    pub(crate) begun: unsafe fn(*mut Greenlet) -> bool,
    /// Whether the second greenlet may wait for the end of the first; false with an exception
    /// set if neither would ever end. Runs Python code.
    pub(crate) may_wait: unsafe fn(*mut Greenlet, *mut Greenlet) -> bool,
}

/// How coroutines make green calls; implemented by the `bridge` layer.
///
/// A coroutine is stepped on the stack of a greenlet of kind Stepper, which serves whichever
/// coroutine comes next. So the greenlet that runs is not the one that code in a coroutine takes
/// itself for: that one *stands for* the coroutine, and has no stack.
pub(crate) struct Steps {
    /// Whom the running code takes itself for (borrowed), while a Stepper runs: made if
    /// need be. NULL with an exception set on failure. Runs Python code.
    pub(crate) identity: unsafe fn(*mut Thread) -> *mut Greenlet,
    /// The same if it was made before, else the Stepper.
    pub(crate) known: unsafe fn(*mut Thread) -> *mut Greenlet,
    /// The greenlet whose stack the coroutine is on that the given one stands for (borrowed),
    /// or NULL.
    pub(crate) stack: unsafe fn(*mut Greenlet) -> *mut Greenlet,
    /// A new reference to the innermost frame of the coroutine that the given one stands for,
    /// while that awaits something; NULL without an exception if there is none.
    pub(crate) frame: unsafe fn(*mut Greenlet) -> *mut PyObject,
    /// Whether the coroutine that the given one stands for, or is suspended in, is about to have
    /// an exception raised in it, so that another has to wait.
    pub(crate) busy: unsafe fn(*mut Greenlet) -> bool,
    /// Sends to a greenlet that can only go on in a step of its task. Names the greenlet to
    /// enter now, and leaves the inbound value to be put there, or takes it and leaves
    /// Nothing. The flag tells whether the running greenlet has ended. Runs Python code.
    pub(crate) route: unsafe fn(*mut Greenlet, &mut Inbound, bool) -> *mut Greenlet,
}

/// Set once by the `bridge` layer, before any Stepper exists.
pub(crate) static mut STEPS: Option<&'static Steps> = None;

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
    /// Suspended in a step of a task: goes on in a later step of it, never by a plain switch.
    pub(crate) stepping: bool,
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
    /// While `stepping`: the coroutine whose step it is (borrowed: that one owns us).
    pub(crate) step: *mut PyObject,
    /// Owned or NULL: what the task waits for while it waits here. Whoever will wake us keeps us,
    /// and so the task that goes on then, which nobody else may refer to.
    pub(crate) keeps: *mut PyObject,
    /// Owned; NULL once started, or if it was never given.
    pub(crate) run: *mut PyObject,
    /// Owned or NULL: what the attribute `run` gave when the greenlet was started. A subclass
    /// may answer with something else than the slot holds. Of a Scheduled one: the coroutine
    /// that it stands for.
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

    /// Stands for a coroutine that is stepped on another greenlet's stack.
    #[inline]
    pub(crate) fn stands_for_coroutine(&self) -> bool {
        self.kind == Kind::Scheduled && !self.callee.is_null()
    }

    /// Can be entered by a step of its task only.
    #[inline]
    pub(crate) fn needs_step(&self) -> bool {
        self.stepping || self.stands_for_coroutine()
    }
}

/// Whom the code that runs takes itself for (borrowed). NULL with an exception set on failure.
///
/// # Safety
/// `thread` is this OS thread's record; the GIL is held. Runs Python code in a coroutine.
#[inline]
pub(crate) unsafe fn identity(thread: *mut Thread) -> *mut Greenlet {
    // SAFETY: by contract.
    unsafe {
        let g = (*thread).current;
        match STEPS {
            Some(steps) if (*g).kind == Kind::Stepper => (steps.identity)(thread),
            _ => g,
        }
    }
}

/// [`identity`], if it has been asked for before; else the greenlet that runs.
///
/// # Safety
/// As for [`identity`]; runs no Python code.
pub(crate) unsafe fn known_identity(thread: *mut Thread) -> *mut Greenlet {
    // SAFETY: by contract.
    unsafe {
        let g = (*thread).current;
        match STEPS {
            Some(steps) if (*g).kind == Kind::Stepper => (steps.known)(thread),
            _ => g,
        }
    }
}

/// Whether an exception is about to be raised in the task of `g`: see [`Steps::busy`].
///
/// # Safety
/// As for [`stack_of`].
pub(crate) unsafe fn is_busy(g: *mut Greenlet) -> bool {
    // SAFETY: by contract.
    unsafe { (*g).needs_step() && STEPS.is_some_and(|steps| (steps.busy)(g)) }
}

/// The greenlet on whose stack `g` is: itself, unless it stands for a coroutine.
///
/// # Safety
/// `g` is live; the GIL is held.
unsafe fn stack_of(g: *mut Greenlet) -> *mut Greenlet {
    // SAFETY: by contract.
    unsafe {
        if (*g).stands_for_coroutine()
            && let Some(steps) = STEPS
        {
            let stack = (steps.stack)(g);
            if !stack.is_null() {
                return stack;
            }
        }
        g
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
