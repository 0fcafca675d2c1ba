//! Life and death as an object: traversal, finalisation, and what to do with a suspended
//! stack that nobody can switch to any more.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::define::free;
use super::switch::{Inbound, switch_to};
use super::{Greenlet, Phase, decref, errors, incref, thread};
use crate::pystate;

/// The collector may own a greenlet only while it has no live stack: the references on a
/// suspended stack cannot be visited, so they count as coming from outside.
///
/// That is said to a collection alone. Dicts and tuples ask as well, to leave the
/// collector's lists while they hold nothing that it knows: one that holds a suspended
/// greenlet must stay, or no cycle through it would be found once the greenlet has ended.
pub(super) unsafe extern "C" fn is_gc(op: *mut PyObject) -> c_int {
    let g = op.cast::<Greenlet>();
    // SAFETY: called on a live instance, whose type has the flag.
    unsafe { c_int::from((*g).phase != Phase::Active || !pystate::being_judged(op)) }
}

/// Shows objects, of which some may be NULL, to the collector, until it says to stop.
///
/// # Safety
/// The pointers are owned by what is traversed; `visit` and `arg` are those of its
/// `tp_traverse` slot.
#[inline]
pub(crate) unsafe fn visit_all(
    objects: impl IntoIterator<Item = *mut PyObject>,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // Not a `for` loop: over joined iterators that is slower, and a collection visits millions.
    objects
        .into_iter()
        .filter(|object| !object.is_null())
        // SAFETY: by contract.
        .map(|object| unsafe { visit(object, arg) })
        .find(|stop| *stop != 0)
        .unwrap_or(0)
}

/// First steps of a `tp_dealloc` slot.
///
/// # Safety
/// The last reference to `op` is gone; `weakrefs` is its list of weak references, or NULL.
#[inline]
pub(crate) unsafe fn dying(op: *mut PyObject, weakrefs: *mut PyObject) {
    // SAFETY: by contract.
    unsafe {
        ffi::PyObject_GC_UnTrack(op.cast());
        if !weakrefs.is_null() {
            ffi::PyObject_ClearWeakRefs(op);
        }
    }
}

pub(crate) unsafe extern "C" fn traverse(
    op: *mut PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by the collector on a live instance; each pointer is owned or NULL.
    unsafe {
        let sent = match (*g).inbound {
            Inbound::Nothing => [ptr::null_mut(); 2],
            Inbound::Value(object) | Inbound::Error(object) => [object, ptr::null_mut()],
            Inbound::Call(args, kwargs) => [args, kwargs],
        };
        let owned = [
            ffi::Py_TYPE(op).cast(),
            (*g).dict,
            (*g).parent.cast(),
            (*g).run,
            (*g).callee,
            (*g).context,
            (*g).keeps,
            sent[0],
            sent[1],
        ];
        let stop = visit_all(owned, visit, arg);
        if stop != 0 {
            return stop;
        }
        if (*g).phase == Phase::Active && !(*g).thread.is_null() && (*(*g).thread).current != g {
            return (*g).state.traverse(visit, arg);
        }
    }
    0
}

pub(crate) unsafe extern "C" fn clear(op: *mut PyObject) -> c_int {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by the collector or by `dealloc` on a live instance. The parent stays:
    // a greenlet always has one; it goes with the memory.
    unsafe {
        super::replace(&raw mut (*g).run, ptr::null_mut());
        super::replace(&raw mut (*g).callee, ptr::null_mut());
        super::replace(&raw mut (*g).context, ptr::null_mut());
        super::replace(&raw mut (*g).keeps, ptr::null_mut());
        (*g).inbound.take().discard();
        super::replace(&raw mut (*g).dict, ptr::null_mut());
    }
    0
}

/// `tp_finalize`: a Python subclass is finalised before its own attributes go.
pub(crate) unsafe extern "C" fn finalize(op: *mut PyObject) {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a live instance.
    unsafe {
        if (*g).phase == Phase::Active && !(*g).is_main() {
            end(g);
        }
    }
}

pub(super) unsafe extern "C" fn dealloc(op: *mut PyObject) {
    // SAFETY: called by CPython when the last reference is gone.
    unsafe { dealloc_with(op, |_| ()) }
}

/// `tp_dealloc` for a class derived in Rust: `release` gives up what that class owns, once
/// it is certain that the object dies.
///
/// # Safety
/// Called from a `tp_dealloc` slot.
pub(crate) unsafe fn dealloc_with(op: *mut PyObject, release: impl Fn(*mut PyObject)) {
    let g = op.cast::<Greenlet>();
    // SAFETY: nobody else sees `g` unless it is resurrected, and then it is left alone.
    unsafe {
        if (*g).phase == Phase::Active && !(*g).is_main() && revive_and_end(g) {
            return;
        }
        dying(op, (*g).weakrefs);
        if (*g).phase == Phase::Active && !(*g).is_main() {
            reclaim(g);
        }
        release(op);
        free_payload(g);
        free(op);
    }
}

/// Releases what a greenlet that will not run again owns; the memory stays.
unsafe fn free_payload(g: *mut Greenlet) {
    // SAFETY: contract of `dealloc`.
    unsafe {
        clear(g.cast());
        let parent = std::mem::replace(&mut (*g).parent, ptr::null_mut());
        if !parent.is_null() {
            decref(parent);
        }
        let thread = std::mem::replace(&mut (*g).thread, ptr::null_mut());
        if !thread.is_null() {
            thread::release(thread);
        }
    }
}

/// Lends the dying object a reference while GreenletExit ends its stack. True if somebody
/// took a reference meanwhile, so that it lives on.
unsafe fn revive_and_end(g: *mut Greenlet) -> bool {
    let op = g.cast::<PyObject>();
    // SAFETY: the reference count is 0 and only we see the object; it is the count of a
    // live object again before any other code runs.
    unsafe {
        set_references(op, 1);
        end(g);
        let count = ffi::Py_REFCNT(op);
        if count > 1 || (*g).phase == Phase::Active && (*(*g).thread).alive && !stranded(g) {
            // Taken, or it caught GreenletExit and is suspended again with nobody to
            // switch to it: its stack cannot be freed, so the object stays with it.
            decref_shared(op);
            return true;
        }
        set_references(op, 0);
        false
    }
}

/// A stack that was suspended when its OS thread ended: nothing can run on it again. Its
/// memory is reused if no frame object of it is known outside; what its frames and C
/// functions own stays leaked, since only running them could release it.
unsafe fn reclaim(g: *mut Greenlet) {
    // SAFETY: `g` is dying and stranded; each frame is held while its caller is looked up.
    unsafe {
        if pystate::in_finalization() {
            return;
        }
        let collecting = ffi::PyGC_Disable();
        let mut known = false;
        let mut frame = (*g).state.frame(ffi::PyThreadState_Get());
        while !frame.is_null() {
            // One reference is the interpreter frame's, one is ours.
            known |= ffi::Py_REFCNT(frame) > 2;
            let back = ffi::PyFrame_GetBack(frame.cast()).cast::<PyObject>();
            if !known && ffi::Py_REFCNT(frame) > 1 {
                // The interpreter frame goes with the stack, and its reference with it.
                ffi::Py_DECREF(frame);
            }
            ffi::Py_DECREF(frame);
            frame = back;
        }
        if collecting != 0 {
            ffi::PyGC_Enable();
        }
        if !known {
            (*g).fiber.assume_init_read().abandon().release();
        }
    }
}

/// Writes the reference count, as the macro `Py_SET_REFCNT` does for a mortal object.
unsafe fn set_references(op: *mut PyObject, count: u8) {
    // SAFETY: the caller is the only one who sees `op`. From 3.14 on the count is a field
    // of 32 bits beside flags, before that a word.
    unsafe {
        #[cfg(Py_3_12)]
        {
            (*op).ob_refcnt.ob_refcnt = count.into();
        }
        #[cfg(not(Py_3_12))]
        {
            (*op).ob_refcnt = count.into();
        }
    }
}

/// A suspended stack that can never be entered again.
unsafe fn stranded(g: *mut Greenlet) -> bool {
    // SAFETY: `g` is live.
    unsafe { !(*(*g).thread).alive || pystate::in_finalization() }
}

/// Gives the lent reference back where others exist; the last one is kept, a deliberate leak.
unsafe fn decref_shared(op: *mut PyObject) {
    // SAFETY: `op` is live.
    unsafe {
        if ffi::Py_REFCNT(op) > 1 {
            ffi::Py_DECREF(op);
        }
    }
}

/// Raises GreenletExit in a suspended greenlet that is losing its last reference, and comes
/// back when it has ended or gives way.
///
/// # Safety
/// `g` is live, Active and suspended; the GIL is held.
///
/// # Switches
/// Into `g`, if it belongs to this OS thread. Otherwise its own thread is asked to do so;
/// if that thread or the interpreter has ended, the stack is leaked.
pub(crate) unsafe fn end(g: *mut Greenlet) {
    // SAFETY: `g` is live, Active and suspended; the GIL is held.
    unsafe {
        if stranded(g) {
            return;
        }
        let own = thread::existing();
        let home = (*g).thread;
        if home != own {
            incref(g);
            thread::doom(g);
            return;
        }
        let pending = errors::take_raised();
        let exit = errors::new_exit();
        (*g).inbound.take().discard();
        if exit.is_null() {
            ffi::PyErr_WriteUnraisable(g.cast());
        } else if (*g).phase != Phase::Active {
            // What was just released has entered it, and it has ended.
            ffi::Py_DECREF(exit);
        } else {
            let parent = (*g).parent;
            incref((*own).current);
            (*g).parent = (*own).current;
            (*g).dying = true;
            (*g).inbound = Inbound::Error(exit);
            (*own).throwing = true;
            let result = switch_to(own, g).into_result();
            if result.is_null() {
                ffi::PyErr_WriteUnraisable(g.cast());
            } else {
                ffi::Py_DECREF(result);
            }
            (*g).dying = false;
            let lent = std::mem::replace(&mut (*g).parent, parent);
            decref(lent);
        }
        if !pending.is_null() {
            errors::raise(pending);
        }
    }
}
