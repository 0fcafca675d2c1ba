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

use std::cell::Cell;
use std::mem::ManuallyDrop;

use corosensei::stack::StackPointer;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::stack::Stack;

// SAFETY: `Stack` owns a private mapping: `base` is its aligned high end, everything down
// to `limit` is writable, a guard lies below `limit`, and the mapping outlives the value.
unsafe impl corosensei::stack::Stack for Stack {
    fn base(&self) -> StackPointer {
        StackPointer::new(self.base()).expect("a mapped stack does not start at address 0")
    }

    fn limit(&self) -> StackPointer {
        StackPointer::new(self.limit()).expect("a mapped stack does not end at address 0")
    }
}

/// What a fiber does when it gives up its stack.
pub enum Step<T> {
    /// It suspended and wants `T` to run.
    Switch(T),
    /// It finished; `T` runs next.
    Finish(T),
}

/// A stack with something to run on it. `T` names switch targets (the root is one of them).
pub struct Fiber<T: Copy + 'static> {
    coroutine: ManuallyDrop<Coroutine<(), T, T, Stack>>,
    yielder: Cell<*const Yielder<(), T>>,
}

impl<T: Copy + 'static> Fiber<T> {
    /// Prepares `entry(me)` to run on `stack` at the first resume; what it returns runs next.
    ///
    /// `entry` must not unwind: it is the outermost Rust frame of its stack.
    pub fn new(stack: Stack, me: T, entry: fn(&Fiber<T>, T) -> T, slot: *const Fiber<T>) -> Self {
        let slot = slot as usize;
        Self {
            coroutine: ManuallyDrop::new(Coroutine::with_stack(stack, move |yielder, ()| {
                // SAFETY: the creator placed this fiber at `slot` and does not move it
                // while it runs (contract of `resume`).
                let fiber = unsafe { &*(slot as *const Fiber<T>) };
                fiber.yielder.set(yielder);
                entry(fiber, me)
            })),
            yielder: Cell::new(std::ptr::null()),
        }
    }

    /// Runs the fiber until it gives up its stack.
    ///
    /// # Safety
    /// Called from the root of the OS thread that first resumed the fiber, which is neither
    /// running nor finished and lies at the `slot` given to `new`.
    #[inline]
    pub unsafe fn resume(&mut self) -> Step<T> {
        match self.coroutine.resume(()) {
            CoroutineResult::Yield(to) => Step::Switch(to),
            CoroutineResult::Return(to) => Step::Finish(to),
        }
    }

    /// Gives control to `to`; returns when this fiber is resumed.
    ///
    /// # Safety
    /// Called on this fiber's own stack.
    #[inline]
    pub unsafe fn suspend(&self, to: T) {
        // SAFETY: `yielder` was set when the fiber started and lives on its stack.
        unsafe { (*self.yielder.get()).suspend(to) }
    }

    /// Takes the stack of a finished fiber back.
    pub fn into_stack(self) -> Stack {
        assert!(self.coroutine.done(), "a suspended fiber keeps its stack");
        ManuallyDrop::into_inner(self.coroutine).into_stack()
    }
}
