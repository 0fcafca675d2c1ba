//! The switch itself, and what travels with it.
//!
//! Nothing here may hold a borrow, a lock or a half-made change across [`switch_to`]: other
//! stacks run inside it, and they may switch, raise, or drop any object.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::thread::{self, Thread};
use super::{Greenlet, Kind, Outcome, Phase, call, decref, errors, incref, trace};
use crate::pystate::{self, Bounds, StackState};
use crate::stack::{Stack, StackError};
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
            Self::Nothing => unsafe { ffi::Py_NewRef(ffi::Py_None()) },
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

/// Gives a New greenlet a stack, so that it can be entered.
///
/// # Safety
/// `g` is a New greenlet of this OS thread; the GIL is held.
pub(crate) unsafe fn give_stack(g: *mut Greenlet) -> Result<(), StackError> {
    let stack = Stack::take()?;
    // SAFETY: `g` stays where it is while Active (it is a Python object); the slot is not
    // initialised while New.
    unsafe {
        let (chunk, chunk_len) = stack.chunk();
        (*g).bounds = Bounds {
            top: stack.base(),
            limit: stack.limit(),
            chunk,
            chunk_len,
        };
        (*g).fiber.write(Fiber::new(stack, g, enter));
        (*g).phase = Phase::Active;
    }
    Ok(())
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
unsafe fn arrive(thread: *mut Thread, me: *mut Greenlet) -> Inbound {
    // SAFETY: `origin` is owned; what was sent is taken before any Python code can run and
    // switch here again.
    unsafe {
        let inbound = (*me).inbound.take();
        let origin = std::mem::replace(&mut (*thread).origin, ptr::null_mut());
        if !(*thread).tracer.is_null() && !is_step(origin, me) {
            return trace::call(thread, origin, me, inbound);
        }
        if !origin.is_null() {
            decref(origin);
        }
        inbound
    }
}

/// Outermost frame of every greenlet's stack. Returns who runs next.
fn enter(_: *const Fiber<*mut Greenlet>, g: *mut Greenlet) -> *mut Greenlet {
    let body = AssertUnwindSafe(|| {
        // SAFETY: entered by `switch_to`, so the GIL is held, `g` is current, and the
        // thread state is that of a stack just left.
        unsafe { life(g) }
    });
    match catch_unwind(body) {
        Ok(next) => next,
        // A panic in the bookkeeping around a greenlet's end: nothing sound is left to
        // do, and unwinding further would cross foreign frames.
        Err(_) => std::process::abort(),
    }
}

unsafe fn life(g: *mut Greenlet) -> *mut Greenlet {
    // SAFETY: contract of `enter`; `g` stays alive as `Thread::current` until it names
    // its successor, then as `Thread::origin`.
    unsafe {
        let thread = (*g).thread;
        let ts = (*thread).tstate;
        let context = std::mem::replace(&mut (*g).context, ptr::null_mut());
        let state: *mut StackState = &raw mut (*g).state;
        (*state).begin(ts, &(*g).bounds, context);
        if (*g).kind == Kind::Plain && !(*thread).origin.is_null() {
            (*state).share_task(ts, &(*(*thread).origin).state);
        }
        (*g).resumes = (*g).resumes.wrapping_add(1);
        let inbound = arrive(thread, g);
        // `release` may run Python code and even switch: it comes before the successor is
        // chosen, so that nothing runs between that choice and the switch.
        let next = if (*g).kind == Kind::Plain {
            let outcome = call_run(g, inbound);
            // A dead greenlet still answers for the context it ran in.
            let context = ffi::Py_XNewRef(pystate::current_context(ts));
            super::replace(&raw mut (*g).context, context);
            forget_locals(g);
            (*state).release(ts);
            let next = hand_to_parent(g, outcome);
            (*g).phase = Phase::Dead;
            next
        } else {
            let hooks = &*(*g).hooks;
            let outcome = (hooks.run)(g, inbound);
            (hooks.finish)(g, outcome);
            forget_locals(g);
            (*state).release(ts);
            (*g).phase = Phase::Dead;
            (hooks.next)(g)
        };
        (*state).end(ts);
        incref(next);
        (*thread).current = next;
        (*thread).origin = g;
        next
    }
}

/// Takes away by what the locals of `eventlet.corolocal` know a greenlet. A value that refers
/// back to its greenlet would otherwise keep both for as long as the local lives.
///
/// # Runs Python
/// Finalisers of what the locals held for it.
unsafe fn forget_locals(g: *mut Greenlet) {
    // SAFETY: contract of `life`; the dictionary is held by `g`, no exception is set.
    unsafe {
        let dict = (*g).dict;
        if !dict.is_null() && ffi::PyDict_DelItemString(dict, c"_eventlet_locals".as_ptr()) < 0 {
            ffi::PyErr_Clear();
        }
    }
}

/// Calls `run` with the arguments of the first switch.
unsafe fn call_run(g: *mut Greenlet, inbound: Inbound) -> Outcome {
    // SAFETY: the callee was resolved by the switch that started `g` and is owned by it.
    unsafe {
        let run = std::mem::replace(&mut (*g).callee, ptr::null_mut());
        // May run a finaliser, which may switch: on the greenlet's own stack, as upstream.
        super::replace(&raw mut (*g).run, ptr::null_mut());
        let result = match inbound {
            Inbound::Error(error) => {
                errors::raise(error);
                ptr::null_mut()
            }
            Inbound::Call(args, kwargs) => {
                let result = call::call(run, args, kwargs);
                ffi::Py_DECREF(args);
                ffi::Py_XDECREF(kwargs);
                result
            }
            Inbound::Value(value) => {
                let result = call::call_one_arg(run, value);
                ffi::Py_DECREF(value);
                result
            }
            Inbound::Nothing => call::call_no_args(run),
        };
        ffi::Py_XDECREF(run);
        outcome(result)
    }
}

/// Wraps what a C API call returned, taking the exception if there is one.
///
/// # Safety
/// `result` is owned or NULL with an exception set; the GIL is held.
pub(crate) unsafe fn outcome(result: *mut PyObject) -> Outcome {
    if result.is_null() {
        // SAFETY: by contract an exception is set.
        Outcome::Error(unsafe { errors::take_raised() })
    } else {
        Outcome::Value(result)
    }
}

/// Delivers the end of a greenlet to its parent, or to the nearest ancestor that can take it.
///
/// # Safety
/// `g` is the running greenlet and is Dead; the GIL is held. Runs Python code if an
/// ancestor was never started: it starts now.
pub(crate) unsafe fn hand_to_parent(g: *mut Greenlet, outcome: Outcome) -> *mut Greenlet {
    // SAFETY: each greenlet owns its parent, and the chain ends at a main greenlet.
    unsafe {
        let mut inbound = match outcome {
            Outcome::Value(value) => Inbound::Value(value),
            Outcome::Error(error) if errors::is_a(error, errors::GREENLET_EXIT) => {
                exit_value(error)
            }
            Outcome::Error(error) => Inbound::Error(error),
        };
        let thread = (*g).thread;
        // Held: what runs in here may change parents.
        let mut parent = (*g).parent;
        incref(parent);
        loop {
            let next = if thread::same(parent, thread) {
                let steps = super::STEPS.filter(|_| (*parent).needs_step());
                match (*parent).phase {
                    _ if let Some(steps) = steps => {
                        return hand_to_step(g, parent, steps, inbound);
                    }
                    Phase::Active if !matches!((*parent).inbound, Inbound::Nothing) => {
                        (*parent).inbound.take().discard();
                        continue;
                    }
                    Phase::Active => {
                        if ffi::Py_REFCNT(parent.cast()) > 1 {
                            decref(parent);
                            break;
                        }
                        // Nobody else holds it: it becomes the parent of the one that ends.
                        incref(parent);
                        decref(std::mem::replace(&mut (*g).parent, parent));
                        continue;
                    }
                    Phase::Dead => (*parent).parent,
                    Phase::New => match start(parent) {
                        Ok(()) => continue,
                        Err(error) => {
                            inbound.discard();
                            inbound = Inbound::Error(error);
                            (*parent).parent
                        }
                    },
                }
            } else {
                // It was given a parent in another OS thread meanwhile.
                inbound.discard();
                thread::set_foreign_error(parent);
                inbound = Inbound::Error(errors::take_raised());
                (*thread).main
            };
            incref(next);
            decref(std::mem::replace(&mut parent, next));
        }
        (*thread).throwing = matches!(inbound, Inbound::Error(_));
        (*parent).inbound = inbound;
        parent
    }
}

/// [`hand_to_parent`] for a parent that only a step of its task can enter. The reference to
/// `parent` is consumed.
unsafe fn hand_to_step(
    g: *mut Greenlet,
    parent: *mut Greenlet,
    steps: &super::Steps,
    mut inbound: Inbound,
) -> *mut Greenlet {
    // SAFETY: contract of `hand_to_parent`. The parent is held by the greenlet that ends.
    unsafe {
        decref(std::mem::replace(&mut (*g).parent, parent));
        let next = (steps.route)(parent, &mut inbound, true);
        if !matches!(inbound, Inbound::Nothing) {
            (*(*g).thread).throwing = matches!(inbound, Inbound::Error(_));
            std::mem::replace(&mut (*next).inbound, inbound).discard();
        }
        next
    }
}

/// GreenletExit ends a greenlet quietly: the exception object is its result.
unsafe fn exit_value(error: *mut PyObject) -> Inbound {
    // SAFETY: an owned exception; its traceback would keep the dead stack's frames.
    unsafe {
        ffi::PyException_SetTraceback(error, ffi::Py_None());
    }
    Inbound::Value(error)
}

/// Makes a New greenlet ready to be entered: resolves `run`, which may be a Python
/// attribute of a subclass, and gives it a stack.
///
/// # Safety
/// The GIL is held; `g` belongs to this OS thread and is held by the caller. Runs Python code,
/// which may have entered and even ended it. On error the exception is returned, owned.
pub(crate) unsafe fn start(g: *mut Greenlet) -> Result<(), *mut PyObject> {
    // SAFETY: `g` is live; the lookup may run anything, so `phase` and `parent` are looked
    // at again after it.
    unsafe {
        if (*g).kind == Kind::Plain {
            look_up_run(g)?;
            if (*g).phase != Phase::New {
                // The lookup entered it: it is switched to like any other.
                return Ok(());
            }
        }
        if let Err(error) = give_stack(g) {
            let message = std::ffi::CString::new(error.to_string()).unwrap_or_default();
            ffi::PyErr_SetString(ffi::PyExc_MemoryError, message.as_ptr());
            return Err(errors::take_raised());
        }
        Ok(())
    }
}

/// Fills the `run` slot of a New greenlet from its attribute. On error the exception is
/// returned, owned.
unsafe fn look_up_run(g: *mut Greenlet) -> Result<(), *mut PyObject> {
    // SAFETY: contract of `start`; `g` is held by the caller, and looked at again whenever
    // Python code has run.
    unsafe {
        let run = ffi::PyObject_GetAttrString(g.cast(), c"run".as_ptr());
        if run.is_null() {
            return Err(errors::take_raised());
        }
        if (*g).phase != Phase::New {
            ffi::Py_DECREF(run);
            return Ok(());
        }
        let here = thread::existing();
        for related in [g, (*g).parent] {
            if !thread::same(related, here) {
                ffi::Py_DECREF(run);
                thread::set_foreign_error(related);
                return Err(errors::take_raised());
            }
        }
        // `run` is gone from the instance once the greenlet runs.
        if !(*g).dict.is_null() && ffi::PyDict_DelItemString((*g).dict, c"run".as_ptr()) < 0 {
            ffi::PyErr_Clear();
        }
        if (*g).phase == Phase::New {
            super::replace(&raw mut (*g).callee, run);
        } else {
            ffi::Py_DECREF(run);
        }
        Ok(())
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
                    if let Err(error) = start(target) {
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
