//! The switch itself, and what travels with it.
//!
//! Nothing here may hold a borrow, a lock or a half-made change across [`switch_to`]: other
//! stacks run inside it, and they may switch, raise, or drop any object.

use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::arguments::none;
use super::thread::{self, Thread};
use super::{Greenlet, Kind, Phase, decref, errors, incref, life, trace};
use crate::pystate;
use crate::switch::{Fiber, Step};

/// What a greenlet finds when it is entered. Every pointer is owned.
pub(crate) enum Inbound {
    Nothing,
    Value(*mut PyObject),
    /// Arguments as given to `switch()`: a tuple, and a dict or NULL.
    Call(*mut PyObject, *mut PyObject),
    /// A normalised exception.
    Error(*mut PyObject),
}

impl Inbound {
    #[inline]
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Nothing)
    }

    /// Releases what was never taken.
    ///
    /// # Safety
    /// The GIL is held. Runs Python code if an object dies.
    pub(crate) unsafe fn discard(self) {
        // SAFETY: the pointers are owned.
        unsafe {
            match self {
                Self::Nothing => {}
                Self::Value(object) | Self::Error(object) => ffi::Py_DECREF(object),
                Self::Call(args, kwargs) => {
                    ffi::Py_DECREF(args);
                    ffi::Py_XDECREF(kwargs);
                }
            }
        }
    }

    /// Turns it into what `switch()` returns: an owned value, or NULL with the exception set.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline]
    pub(crate) unsafe fn into_result(self) -> *mut PyObject {
        match self {
            Self::Value(object) => object,
            // SAFETY: the GIL is held; None is immortal or counted here.
            Self::Nothing => unsafe { none() },
            Self::Error(error) => {
                // SAFETY: an owned exception instance.
                unsafe { errors::raise(error) };
                ptr::null_mut()
            }
            // SAFETY: owned pointers.
            Self::Call(args, kwargs) => unsafe { single(args, kwargs) },
        }
    }
}

/// One value for the arguments of a switch into a greenlet that already runs: the only
/// positional one, the tuple, the dict, or the pair of both.
///
/// # Safety
/// `args` is an owned tuple, `kwargs` an owned dict or NULL; both are consumed.
pub(crate) unsafe fn single(args: *mut PyObject, kwargs: *mut PyObject) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        let named = !kwargs.is_null() && ffi::PyDict_Size(kwargs) > 0;
        let count = ffi::PyTuple_GET_SIZE(args);
        if named && count > 0 {
            let pair = ffi::PyTuple_Pack(2, args, kwargs);
            ffi::Py_DECREF(args);
            ffi::Py_DECREF(kwargs);
            return pair;
        }
        if named {
            ffi::Py_DECREF(args);
            return kwargs;
        }
        ffi::Py_XDECREF(kwargs);
        if count == 1 {
            let value = ffi::Py_NewRef(ffi::PyTuple_GET_ITEM(args, 0));
            ffi::Py_DECREF(args);
            return value;
        }
        args
    }
}

/// Leaves the running greenlet for `target` and returns when it is entered again, with
/// what was sent to it.
///
/// # Safety
/// As for [`leave`].
///
/// # Switches
/// Always, unless `target` is the running greenlet.
pub(crate) unsafe fn switch_to(thread: *mut Thread, target: *mut Greenlet) -> Inbound {
    // SAFETY: by contract: the running greenlet is on the stack that is left.
    unsafe {
        leave(thread, target, |me, target| {
            if (*me).is_main() {
                run_root(target);
            } else {
                Fiber::suspend((*me).fiber.as_ptr(), target);
            }
        })
    }
}

/// [`switch_to`] for a target that will most likely come straight back: it is resumed from here,
/// not by way of the root, which saves two of four changes of the stack.
///
/// # Safety
/// As for [`leave`].
///
/// # Switches
/// As [`switch_to`].
pub(crate) unsafe fn visit(thread: *mut Thread, target: *mut Greenlet) -> Inbound {
    // SAFETY: by contract. While this frame waits for the target's fiber nobody resumes ours:
    // the root is beneath, and gets control only when we suspend. A fiber may be resumed from
    // here now and from the root later.
    unsafe {
        leave(thread, target, |me, target| {
            if (*me).is_main() {
                run_root(target);
                return;
            }
            if (*target).is_main() {
                Fiber::suspend((*me).fiber.as_ptr(), target);
                return;
            }
            let next = resume(target);
            if next != me {
                Fiber::suspend((*me).fiber.as_ptr(), next);
            }
        })
    }
}

/// Leaves the running greenlet by `go`, which returns when it is entered again.
///
/// # Safety
/// `thread` is this OS thread's record, `target` an Active greenlet of it whose inbound value is
/// set; the GIL is held and no Python exception is set. No borrow is held.
#[expect(
    clippy::inline_always,
    reason = "a switch is one function: what it saves stays in registers"
)]
#[inline(always)]
unsafe fn leave(
    thread: *mut Thread,
    target: *mut Greenlet,
    go: impl FnOnce(*mut Greenlet, *mut Greenlet),
) -> Inbound {
    // SAFETY: the pointers are live by contract; `me` is kept alive by `current`, then by
    // `origin`, and the greenlet that is entered takes over.
    unsafe {
        let me = (*thread).current;
        if target == me {
            // As good as left and entered: wake-ups for this wait are stale from here on.
            (*me).resumes = (*me).resumes.wrapping_add(1);
            return (*me).inbound.take();
        }
        let ts = (*thread).tstate;
        (*me).state.save(ts);
        (*me).left_at = (&raw const me).addr();
        incref(target);
        (*thread).current = target;
        (*thread).origin = me;
        go(me, target);
        (*me).state.restore(ts);
        (*me).resumes = (*me).resumes.wrapping_add(1);
        arrive(thread, me)
    }
}

/// The root of an OS thread: enters `target` and whoever is named next, until that is the
/// main greenlet, which is the caller.
unsafe fn run_root(mut target: *mut Greenlet) {
    // SAFETY: only Active greenlets are named as targets; the root is this very frame.
    unsafe {
        while !(*target).is_main() {
            target = resume(target);
        }
    }
}

/// Runs `target` until it names who runs next.
#[inline]
unsafe fn resume(target: *mut Greenlet) -> *mut Greenlet {
    // SAFETY: contract of the callers: `target` is Active and suspended.
    unsafe {
        let fiber = (*target).fiber.as_mut_ptr();
        match Fiber::resume(fiber) {
            Step::Switch(next) => next,
            Step::Finish(next) => {
                // Its last act on its own stack was to name `next`; from here on
                // nothing can enter that stack any more.
                fiber.read().into_stack().release();
                next
            }
        }
    }
}

/// A switch to or from a Stepper, which tracers are not told of: it is a step of a coroutine.
unsafe fn is_step(origin: *mut Greenlet, me: *mut Greenlet) -> bool {
    // SAFETY: contract of `arrive`.
    unsafe { (*me).kind == Kind::Stepper || !origin.is_null() && (*origin).kind == Kind::Stepper }
}

/// First steps of a greenlet after it was entered: release the one that was left, call the
/// tracer, take what was sent.
#[inline]
pub(super) unsafe fn arrive(thread: *mut Thread, me: *mut Greenlet) -> Inbound {
    // SAFETY: `origin` is owned; what was sent is taken before any Python code can run and
    // switch here again.
    unsafe {
        let inbound = (*me).inbound.take();
        let origin = std::mem::replace(&mut (*thread).origin, ptr::null_mut());
        // One branch for both, in a switch that nobody watches.
        if !(*thread).tracer.is_null() | pystate::is_traced((*thread).tstate) {
            return tell(thread, origin, me, inbound);
        }
        if !origin.is_null() {
            decref(origin);
        }
        inbound
    }
}

/// [`arrive`] where somebody is to be told. `origin` is consumed.
#[cold]
unsafe fn tell(
    thread: *mut Thread,
    origin: *mut Greenlet,
    me: *mut Greenlet,
    mut inbound: Inbound,
) -> Inbound {
    // SAFETY: contract of `arrive`.
    unsafe {
        if !(*thread).tracer.is_null() && !is_step(origin, me) {
            inbound = trace::call(thread, origin, me, inbound);
        } else if !origin.is_null() {
            decref(origin);
        }
        trace::show_arrival((*thread).tstate, inbound)
    }
}

/// `switch()` and `throw()` from Python: finds who is really entered, and enters it.
///
/// A dead greenlet stands for its parent; one that was never started is started. `inbound`
/// is consumed. Returns what the caller is later sent: owned, or NULL with an exception.
///
/// # Safety
/// The GIL is held, no exception is set, `thread` is this OS thread's record.
///
/// # Switches
/// Unless the target turns out to be the running greenlet, or an error is raised.
pub(crate) unsafe fn transfer(
    thread: *mut Thread,
    g: *mut Greenlet,
    mut inbound: Inbound,
) -> *mut PyObject {
    // SAFETY: each greenlet owns its parent; the chain ends at a main greenlet, which is
    // Active while its thread lives.
    unsafe {
        let throwing = matches!(inbound, Inbound::Error(_));
        if !(*thread).doomed.is_empty() {
            thread::end_doomed(thread);
        }
        if (*g).phase == Phase::Active
            && thread::same(g, thread)
            && matches!((*g).inbound, Inbound::Nothing)
            && !(*g).needs_step()
        {
            // Nothing runs before the switch, which holds what it enters.
            (*thread).throwing = throwing;
            (*g).inbound = inbound;
            return switch_to(thread, g).into_result();
        }
        // Held: what runs in here may change parents.
        let mut target = g;
        incref(target);
        loop {
            if !thread::same(target, thread) {
                inbound.discard();
                thread::set_foreign_error(target);
                let error = errors::take_raised();
                decref(target);
                errors::raise(error);
                return ptr::null_mut();
            }
            if (*target).needs_step()
                && let Some(steps) = super::STEPS
            {
                (*thread).throwing = throwing;
                let next = (steps.route)(target, &mut inbound, false);
                if matches!(inbound, Inbound::Nothing) {
                    let result = switch_to(thread, next);
                    decref(target);
                    return result.into_result();
                }
                incref(next);
                decref(std::mem::replace(&mut target, next));
                (*target).inbound.take().discard();
                break;
            }
            match (*target).phase {
                Phase::Active if matches!((*target).inbound, Inbound::Nothing) => break,
                // Sent before and never taken: its end may run anything.
                Phase::Active => (*target).inbound.take().discard(),
                Phase::New => {
                    if let Err(error) = life::start(target) {
                        // An exception that was thrown is not lost to a failing lookup.
                        inbound.discard();
                        decref(target);
                        errors::raise(error);
                        return ptr::null_mut();
                    }
                    // Looked at again: the lookup of `run` may have run it to its end. What
                    // lies in the slot are the arguments of `spawn_n`.
                }
                Phase::Dead => {
                    if let Inbound::Error(error) = inbound
                        && errors::is_a(error, errors::GREENLET_EXIT)
                    {
                        inbound = Inbound::Value(error);
                    }
                    let parent = (*target).parent;
                    incref(parent);
                    decref(std::mem::replace(&mut target, parent));
                }
            }
        }
        (*thread).throwing = throwing;
        (*target).inbound = inbound;
        let result = switch_to(thread, target);
        decref(target);
        result.into_result()
    }
}
