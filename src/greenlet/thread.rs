//! What belongs to one OS thread: its main greenlet, the running one, and those to end.
//!
//! Made on first use, ended when CPython clears the thread state (a capsule in the thread
//! state's dictionary tells), freed when the last greenlet that names it is gone.

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::{Greenlet, Kind, Phase, class, decref};
use crate::pystate;

pub(crate) struct Thread {
    pub(crate) tstate: *mut ffi::PyThreadState,
    /// Owned: the greenlet that runs now.
    pub(crate) current: *mut Greenlet,
    /// Owned: released at the thread's end.
    pub(crate) main: *mut Greenlet,
    /// Owned or NULL: left by the switch that is in progress, released by the greenlet entered.
    pub(crate) origin: *mut Greenlet,
    /// Owned or NULL: the function given to `settrace()`.
    pub(crate) tracer: *mut PyObject,
    /// The transfer in progress raises an exception in its target: named "throw" to a tracer.
    pub(crate) throwing: bool,
    /// Owned: greenlets that lost their last reference in another OS thread.
    pub(crate) doomed: Vec<*mut Greenlet>,
    /// Owned: greenlets without work that lend their stacks to steps of coroutines.
    pub(crate) steppers: Vec<*mut Greenlet>,
    /// The hub of this thread; belongs to the `hub` layer.
    pub(crate) hub: *mut c_void,
    /// The innermost step of a coroutine in progress, or NULL; belongs to the `hub` layer.
    pub(crate) step: *mut c_void,
    /// In a forked child: the step that the running code is in, as far as the loop is concerned that
    /// the parent runs; belongs to the `hub` layer.
    pub(crate) orphan: *mut c_void,
    /// Called with `hub` when the thread ends.
    pub(crate) close_hub: Option<unsafe fn(*mut c_void)>,
    pub(crate) alive: bool,
    /// The thread is about to end: no new hub is made for it.
    pub(crate) ending: bool,
    references: usize,
}

thread_local! {
    static THREAD: Cell<*mut Thread> = const { Cell::new(ptr::null_mut()) };
    /// The thread state whose record has ended here: it is being cleared, and gets no other one.
    static ENDED: Cell<Option<i64>> = const { Cell::new(None) };
}

/// Main greenlets of OS threads that have not ended. Changed with the GIL held.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// Greenlets that wait to be ended by their own OS thread.
static DOOMED: AtomicUsize = AtomicUsize::new(0);

const CAPSULE: &CStr = c"eventlet_asyncio.thread";

/// The record of this OS thread, made if need be; NULL with an exception set on failure.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(crate) unsafe fn this() -> *mut Thread {
    let thread = THREAD.get();
    if thread.is_null() {
        // SAFETY: the GIL is held.
        return unsafe { attach() };
    }
    thread
}

/// The record of this OS thread if it has one.
pub(crate) fn existing() -> *mut Thread {
    THREAD.get()
}

#[cold]
unsafe fn attach() -> *mut Thread {
    // SAFETY: the GIL is held by contract of `this`; `ts` is this OS thread's state. The
    // new record is not shared before it is complete.
    unsafe {
        let ts = ffi::PyThreadState_Get();
        let dict = ffi::PyThreadState_GetDict();
        if dict.is_null() {
            super::errors::set_error(c"this thread has no state that greenlets could use");
            return ptr::null_mut();
        }
        if ENDED.get() == Some(ffi::PyThreadState_GetID(ts)) {
            super::errors::set_error(c"this OS thread has ended: nothing can be switched to in it");
            return ptr::null_mut();
        }
        let main = class::alloc(class::greenlet_type());
        if main.is_null() {
            return ptr::null_mut();
        }
        if !THREAD.get().is_null() {
            // A finaliser has made the record, if the allocation had objects collected.
            decref(main);
            return THREAD.get();
        }
        let thread = Box::into_raw(Box::new(Thread {
            tstate: ts,
            current: main,
            main,
            origin: ptr::null_mut(),
            tracer: ptr::null_mut(),
            throwing: false,
            doomed: Vec::new(),
            steppers: Vec::new(),
            hub: ptr::null_mut(),
            step: ptr::null_mut(),
            orphan: ptr::null_mut(),
            close_hub: None,
            alive: true,
            ending: false,
            references: 1,
        }));
        super::incref(main);
        (*main).kind = Kind::Main;
        (*main).phase = Phase::Active;
        (*main).thread = thread;
        retain(thread);
        pystate::init_root(&mut (*main).state, ts);
        let capsule = ffi::PyCapsule_New(thread.cast(), CAPSULE.as_ptr(), Some(ended));
        if capsule.is_null() || ffi::PyDict_SetItemString(dict, CAPSULE.as_ptr(), capsule) < 0 {
            ffi::Py_XDECREF(capsule);
            return ptr::null_mut();
        }
        THREAD.set(thread);
        LIVE.fetch_add(1, Ordering::Relaxed);
        ffi::Py_DECREF(capsule);
        crate::stack::watch_overflow();
        thread
    }
}

/// Runs when CPython clears the thread's state: in the thread itself, or after a fork in
/// the child for each thread that only the parent has.
unsafe extern "C" fn ended(capsule: *mut PyObject) {
    // SAFETY: called by CPython with the GIL held, on a capsule made by `attach`.
    unsafe {
        let thread: *mut Thread = ffi::PyCapsule_GetPointer(capsule, CAPSULE.as_ptr()).cast();
        if thread.is_null() {
            ffi::PyErr_Clear();
            return;
        }
        if pystate::in_finalization() {
            // Nothing may run any more, so nothing is given back.
            (*thread).alive = false;
            return;
        }
        let own = THREAD.get() == thread;
        (*thread).ending = true;
        if own && let Some(close) = (*thread).close_hub.take() {
            close((*thread).hub);
        }
        (*thread).hub = ptr::null_mut();
        // What the child of a fork has of other OS threads' stacks is left as it is.
        let steppers = std::mem::take(&mut (*thread).steppers);
        if own {
            for g in steppers {
                decref(g);
            }
            end_doomed(thread);
            THREAD.set(ptr::null_mut());
            ENDED.set(Some(ffi::PyThreadState_GetID((*thread).tstate)));
            pystate::end_tracing((*thread).tstate);
        }
        (*thread).alive = false;
        LIVE.fetch_sub(1, Ordering::Relaxed);
        for g in std::mem::take(&mut (*thread).doomed) {
            DOOMED.fetch_sub(1, Ordering::Relaxed);
            decref(g);
        }
        let main = (*thread).main;
        (*main).phase = Phase::Dead;
        let tracer = std::mem::replace(&mut (*thread).tracer, ptr::null_mut());
        ffi::Py_XDECREF(tracer);
        decref(std::mem::replace(&mut (*thread).current, ptr::null_mut()));
        decref(main);
        release(thread);
    }
}

/// Ends the greenlets of this thread whose last reference was dropped in another one.
///
/// # Safety
/// `thread` is this OS thread's record; the GIL is held.
///
/// # Switches
/// Into each of them, with GreenletExit.
#[cold]
pub(super) unsafe fn end_doomed(thread: *mut Thread) {
    // SAFETY: by contract; each list element is an owned reference.
    unsafe {
        while let Some(g) = (*thread).doomed.pop() {
            DOOMED.fetch_sub(1, Ordering::Relaxed);
            decref(g);
        }
    }
}

/// Has the OS thread of `g` end it when it next uses greenlets.
///
/// # Safety
/// The caller owns a reference to `g`, which moves here; its thread is alive; the GIL is held.
pub(super) unsafe fn doom(g: *mut Greenlet) {
    // SAFETY: by contract.
    unsafe { (*(*g).thread).doomed.push(g) }
    DOOMED.fetch_add(1, Ordering::Relaxed);
}

/// How many main greenlets live, and how many greenlets wait for their thread to end them.
pub(crate) fn counts() -> (usize, usize) {
    (LIVE.load(Ordering::Relaxed), DOOMED.load(Ordering::Relaxed))
}

/// Counts one more greenlet that names `thread`.
///
/// # Safety
/// `thread` is live and the GIL is held.
pub(crate) unsafe fn retain(thread: *mut Thread) {
    // SAFETY: by contract.
    unsafe { (*thread).references += 1 }
}

/// Undoes [`retain`].
///
/// # Safety
/// The caller holds one counted reference and the GIL.
pub(crate) unsafe fn release(thread: *mut Thread) {
    // SAFETY: by contract; the record was made by Box and nobody else names it at 0.
    unsafe {
        (*thread).references -= 1;
        if (*thread).references == 0 {
            drop(Box::from_raw(thread));
        }
    }
}

/// Tells whether `g` may be switched to from the thread `thread`.
///
/// # Safety
/// `g` is live (NULL counts as fitting), the GIL is held.
#[inline]
pub(crate) unsafe fn same(g: *mut Greenlet, thread: *mut Thread) -> bool {
    // SAFETY: by contract.
    g.is_null() || unsafe { (*g).thread == thread && (*thread).alive }
}

/// Raises the error for a greenlet of another OS thread.
///
/// # Safety
/// `g` is live and belongs to another thread; the GIL is held.
#[cold]
pub(super) unsafe fn set_foreign_error(g: *mut Greenlet) {
    // SAFETY: by contract; the format's arguments match it.
    unsafe {
        if !(*(*g).thread).alive {
            super::errors::set_error(
                c"cannot switch to a different thread (which happens to have exited)",
            );
            return;
        }
        let expected = (*(*g).thread).main;
        let own = THREAD.get();
        let current = if own.is_null() {
            ffi::Py_None()
        } else {
            (*own).current.cast()
        };
        ffi::PyErr_Format(
            super::errors::GREENLET_ERROR,
            c"Cannot switch to a different thread\n\tCurrent:  %R\n\tExpected: %R".as_ptr(),
            current,
            expected.cast::<PyObject>(),
        );
    }
}
