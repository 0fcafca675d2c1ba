//! A greenlet's life: how it begins, runs its function and ends in its parent.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::switch::{Inbound, arrive};
use super::{Greenlet, Kind, Outcome, Phase, decref, errors, incref, thread};
use crate::pystate::{self, Bounds, StackState};
use crate::stack::{Stack, StackError};
use crate::switch::Fiber;

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
                let result = ffi::PyObject_Call(run, args, kwargs);
                ffi::Py_DECREF(args);
                ffi::Py_XDECREF(kwargs);
                result
            }
            Inbound::Value(value) => {
                let result = ffi::PyObject_CallOneArg(run, value);
                ffi::Py_DECREF(value);
                result
            }
            Inbound::Nothing => ffi::PyObject_CallNoArgs(run),
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
        let mut exited = false;
        let mut inbound = match outcome {
            Outcome::Value(value) => Inbound::Value(value),
            Outcome::Error(error) if errors::is_a(error, errors::GREENLET_EXIT) => {
                exited = true;
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
                        Ok(()) => {
                            if exited && matches!(inbound, Inbound::Value(_)) {
                                // A quiet end is no argument: its function is called without.
                                inbound.take().discard();
                            }
                            continue;
                        }
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
