//! Attributes of `greenlet.greenlet`: state, frame, parent, run, context.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::arguments::{boolean, none, or_none};
use super::class::check;
use super::thread;
use super::{Greenlet, Phase, decref, incref, stack_of};
use crate::error::raise_new;
use crate::pystate;

/// Started and not ended; a main greenlet ends with its thread.
pub(super) unsafe fn is_active(g: *mut Greenlet) -> bool {
    // SAFETY: `g` is live by contract of the callers, which are type slots.
    unsafe { (*g).phase == Phase::Active && (*(*g).thread).alive }
}

pub(super) unsafe fn is_dead(g: *mut Greenlet) -> bool {
    // SAFETY: as for `is_active`.
    unsafe { (*g).phase == Phase::Dead || (*g).phase == Phase::Active && !(*(*g).thread).alive }
}

pub(super) unsafe extern "C" fn get_dead(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython on a greenlet.
    unsafe { boolean(is_dead(op.cast())) }
}

/// Bytes that lie on the C stack of a suspended greenlet. Of a main greenlet, whose stack
/// begins wherever the system put it, only an order of magnitude: at least 1.
pub(super) unsafe extern "C" fn get_stack_saved(
    op: *mut PyObject,
    _: *mut c_void,
) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        let g = stack_of(g);
        let suspended = is_active(g) && (*(*g).thread).current != g;
        let used = if suspended {
            (*g).bounds.top.saturating_sub((*g).left_at).max(1)
        } else {
            0
        };
        ffi::PyLong_FromSize_t(used)
    }
}

pub(super) unsafe extern "C" fn get_frame(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet with the GIL held.
    unsafe {
        if (*g).stands_for_coroutine()
            && let Some(steps) = super::STEPS
        {
            let frame = (steps.frame)(g);
            if !frame.is_null() {
                return frame;
            }
        }
        let g = stack_of(g);
        // One that has a stack but was not entered yet has no frame. A greenlet whose OS thread
        // has ended is suspended for good; a main one is gone.
        let entered = (*g).resumes > 0 || (*g).is_main();
        let started =
            entered && (*g).phase == Phase::Active && (!(*g).is_main() || (*(*g).thread).alive);
        let frame = if started && (*(*g).thread).current != g {
            (*g).state.frame(ffi::PyThreadState_Get())
        } else {
            ptr::null_mut()
        };
        if frame.is_null() { none() } else { frame }
    }
}

pub(super) unsafe extern "C" fn get_parent(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        let parent = (*g).parent.cast::<PyObject>();
        or_none(parent)
    }
}

unsafe fn attribute_error(message: &std::ffi::CStr) -> c_int {
    // SAFETY: the GIL is held by the callers, which are type slots.
    unsafe { raise_new(ffi::PyExc_AttributeError, message) };
    -1
}

pub(crate) unsafe extern "C" fn set_parent(
    op: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython; each greenlet owns its parent, so the walk is over live ones.
    unsafe {
        if value.is_null() {
            return attribute_error(c"can't delete attribute");
        }
        if (*g).is_main() {
            return attribute_error(c"cannot set the parent of a main greenlet");
        }
        if !check(value) {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"GreenletChecker: Expected any type of greenlet, not %s".as_ptr(),
                (*ffi::Py_TYPE(value)).tp_name,
            );
            return -1;
        }
        let parent = value.cast::<Greenlet>();
        let mut ancestor = parent;
        while !ancestor.is_null() {
            if ancestor == g {
                raise_new(ffi::PyExc_ValueError, c"cyclic parent chain");
                return -1;
            }
            ancestor = (*ancestor).parent;
        }
        if !(*(*parent).thread).alive {
            thread::set_foreign_error(parent);
            return -1;
        }
        // A greenlet that never ran takes over its parent's OS thread when it starts.
        if (*parent).thread != (*g).thread && (*g).phase != Phase::New {
            raise_new(
                ffi::PyExc_ValueError,
                c"parent cannot be on a different thread",
            );
            return -1;
        }
        incref(parent);
        let old = std::mem::replace(&mut (*g).parent, parent);
        if (*parent).thread != (*g).thread {
            thread::retain((*parent).thread);
            thread::release(std::mem::replace(&mut (*g).thread, (*parent).thread));
        }
        if !old.is_null() {
            decref(old);
        }
    }
    0
}

pub(super) unsafe extern "C" fn get_run(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        let entered = (*g).phase != Phase::New && (*g).resumes > 0;
        if entered || (*g).run.is_null() {
            attribute_error(c"run");
            return ptr::null_mut();
        }
        ffi::Py_NewRef((*g).run)
    }
}

pub(super) unsafe extern "C" fn set_run(
    op: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        if (*g).phase != Phase::New {
            return attribute_error(c"run cannot be set after the start of the greenlet");
        }
        if value.is_null() && (*g).run.is_null() {
            return attribute_error(c"run");
        }
        super::replace(&raw mut (*g).run, ffi::Py_XNewRef(value));
    }
    0
}

pub(super) unsafe extern "C" fn get_context(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        let g = stack_of(g);
        let context = match (*g).phase {
            Phase::New | Phase::Dead => (*g).context,
            Phase::Active if (*(*g).thread).current == g => {
                if thread::existing() != (*g).thread {
                    return raise_new(
                        ffi::PyExc_ValueError,
                        c"cannot get context of a greenlet that is running in a different thread",
                    );
                }
                pystate::current_context((*(*g).thread).tstate)
            }
            Phase::Active => (*g).state.context(),
        };
        or_none(context)
    }
}

pub(super) unsafe extern "C" fn set_context(
    op: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        let g = stack_of(g);
        if value.is_null() {
            return attribute_error(c"can't delete context attribute");
        }
        let context = if value == ffi::Py_None() {
            ptr::null_mut()
        } else if ffi::PyObject_TypeCheck(value, &raw mut ffi::PyContext_Type) != 0 {
            value
        } else {
            raise_new(
                ffi::PyExc_TypeError,
                c"greenlet context must be a contextvars.Context or None",
            );
            return -1;
        };
        let owned = ffi::Py_XNewRef(context);
        match (*g).phase {
            Phase::Active if (*(*g).thread).current == g => {
                if thread::existing() != (*g).thread {
                    ffi::Py_XDECREF(owned);
                    raise_new(
                        ffi::PyExc_ValueError,
                        c"cannot set context of a greenlet that is running in a different thread",
                    );
                    return -1;
                }
                pystate::set_current_context((*(*g).thread).tstate, owned);
            }
            Phase::Active => (*g).state.set_context(owned),
            Phase::New | Phase::Dead => super::replace(&raw mut (*g).context, owned),
        }
    }
    0
}
