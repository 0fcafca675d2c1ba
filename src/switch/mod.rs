//! Stack switching: the one module that names corosensei.
//!
//! corosensei offers asymmetric coroutines: only the parent resumes a coroutine, only
//! the coroutine suspends itself. Greenlets switch symmetrically, so every OS thread has
//! a *root*: the stack its main greenlet runs on. A fiber that wants to switch suspends to
//! the root and names its target; the root's loop resumes that target (or returns, if the
//! target is the root itself). Measured against hand-written assembly the detour costs
//! 0 to 10 ns, and it brings every architecture that corosensei knows.
//!
//! A suspended fiber is never dropped: corosensei would unwind its stack, through frames of
//! CPython that know nothing of unwinding. [`Fiber`] therefore keeps the coroutine in a
//! `ManuallyDrop`; a fiber that did not finish leaks its stack on purpose.
//!
//! A running fiber is used from two sides: by the root, inside `resume`, and by itself. So
//! both work on a raw pointer and touch different fields; no reference to a whole fiber exists
//! while it runs.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub mod unwinding;

use std::cell::Cell;
use std::mem::ManuallyDrop;

use corosensei::stack::StackPointer;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::stack::Stack;

// SAFETY: `Stack` owns a slot (S1 in stack/mod.rs): `base` is its aligned high end, everything
// down to its guard is writable, and the slot stays mapped until the value is released.
unsafe impl corosensei::stack::Stack for Stack {
    fn base(&self) -> StackPointer {
        StackPointer::new(self.base()).expect("a mapped stack does not start at address 0")
    }

    fn limit(&self) -> StackPointer {
        // corosensei counts the guard in.
        StackPointer::new(self.guard_start()).expect("a mapped stack does not end at address 0")
    }
}

/// What a fiber does when it gives up its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// It suspended and wants `T` to run.
    Switch(T),
    /// It finished; `T` runs next.
    Finish(T),
}

/// What the first resume passes to the coroutine: the fiber it is part of.
type Start<T> = *const Fiber<T>;

/// A stack with something to run on it. `T` names switch targets (the root is one of them).
pub struct Fiber<T: Copy + 'static> {
    coroutine: ManuallyDrop<Coroutine<Start<T>, T, T, Stack>>,
    yielder: Cell<*const Yielder<Start<T>, T>>,
}

impl<T: Copy + 'static> Fiber<T> {
    /// Prepares `entry(fiber, me)` to run on `stack` at the first resume; what it returns runs
    /// next.
    ///
    /// `entry` must not unwind: it is the outermost Rust frame of its stack. The stack is
    /// returned by [`into_stack`](Self::into_stack) after the fiber finished or if it never
    /// ran; dropping the fiber leaks it.
    pub fn new(stack: Stack, me: T, entry: fn(*const Self, T) -> T) -> Self {
        Self {
            coroutine: ManuallyDrop::new(Coroutine::with_stack(
                stack,
                move |yielder, fiber: Start<T>| {
                    // SAFETY: `resume` passed the fiber, and by its contract the fiber stays
                    // where it is until it finishes.
                    unsafe { (*fiber).yielder.set(yielder) };
                    entry(fiber, me)
                },
            )),
            yielder: Cell::new(std::ptr::null()),
        }
    }

    /// Runs the fiber until it gives up its stack.
    ///
    /// # Safety
    /// Called in the OS thread that first resumed the fiber: on the root stack, or on that of
    /// another fiber, to which its next step then comes back. The fiber is
    /// valid, neither running nor finished, and is not moved from its first resume until it
    /// finishes.
    #[inline]
    pub unsafe fn resume(this: *mut Self) -> Step<T> {
        // SAFETY: the fiber is valid and does not run, so nobody else uses this field; the
        // fiber itself only ever touches `yielder`.
        let coroutine = unsafe { &mut (*this).coroutine };
        match coroutine.resume(this) {
            CoroutineResult::Yield(to) => Step::Switch(to),
            CoroutineResult::Return(to) => Step::Finish(to),
        }
    }

    /// Gives control to `to`; returns when this fiber is resumed.
    ///
    /// # Safety
    /// Called on this fiber's own stack.
    #[inline]
    pub unsafe fn suspend(this: *const Self, to: T) {
        // SAFETY: the fiber runs, so it is valid and `yielder` was set when it started.
        let yielder = unsafe { (*this).yielder.get() };
        // SAFETY: the yielder lies in the outermost frame of the fiber's stack, on which we are.
        unsafe { (*yielder).suspend(to) };
    }

    /// Whether the fiber was resumed at least once.
    #[inline]
    pub fn started(&self) -> bool {
        self.coroutine.started()
    }

    /// Takes the stack from a suspended fiber without unwinding it: what its frames own is
    /// leaked.
    ///
    /// # Safety
    /// Nothing outside refers to anything on the stack, and the fiber is never resumed.
    pub unsafe fn abandon(self) -> Stack {
        let Self { mut coroutine, .. } = self;
        if !coroutine.done() {
            // SAFETY: by contract; forgetting frames is what the caller asks for.
            unsafe { coroutine.force_reset() };
        }
        ManuallyDrop::into_inner(coroutine).into_stack()
    }

    /// Takes back the stack of a fiber that finished or never ran.
    pub fn into_stack(self) -> Stack {
        let Self { mut coroutine, .. } = self;
        assert!(
            coroutine.done() || !coroutine.started(),
            "a suspended fiber keeps its stack"
        );
        if !coroutine.done() {
            // SAFETY: it never ran: its stack holds `me` and a function pointer, without `Drop`.
            unsafe { coroutine.force_reset() };
        }
        ManuallyDrop::into_inner(coroutine).into_stack()
    }
}
