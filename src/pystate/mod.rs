//! What of CPython's thread state belongs to a stack, and what to the OS thread.
//!
//! CPython keeps one `PyThreadState` per OS thread and has it describe *the* stack of that
//! thread: the running frame, how deep the recursion is, which exceptions are being handled.
//! With several stacks per thread those fields must change with the stack pointer. We copy
//! them at each switch. The obvious other way, one `PyThreadState` for each stack, deadlocks
//! in `PyGILState_Ensure`, crashes after `fork`, loses `threading.local` and costs more
//! from 3.12 on.
//!
//! The fields are private to CPython and differ between minor versions: `py3NN.rs` mirrors
//! the structure and says, field by field, why it is saved. Whether the running
//! interpreter is laid out that way is tested when the module is imported ([`check`]).
//!
//! # The unsafe code of this layer
//! All entry points take the thread state of the calling OS thread, attached, after
//! `check` succeeded. Then the mirror `ThreadState` has the layout of what the pointer
//! points to, nobody else writes to it, and a Rust reference to it is sound as long as no call
//! into CPython is made while it is used (invariant P1). A [`StackState`] stays at one
//! address from `begin` to `end`, since the thread state points into it (invariant P2).

#[cfg(PyPy)]
compile_error!("eventlet-asyncio switches CPython's thread state; PyPy has another one");
#[cfg(Py_GIL_DISABLED)]
compile_error!(
    "eventlet-asyncio does not support free-threaded CPython: build it for a CPython with the GIL"
);
#[cfg(not(Py_3_10))]
compile_error!("eventlet-asyncio needs CPython 3.10 or newer");

#[cfg(all(Py_3_12, not(Py_3_14)))]
mod c_recursion;
#[cfg(Py_3_11)]
mod chunk;
mod context;
#[cfg(Py_3_13)]
mod debug_offsets;
mod gc_head;
#[cfg(Py_3_11)]
mod handled;
mod layout;
#[cfg(Py_3_14)]
mod private;
mod tracing;
#[cfg_attr(all(Py_3_10, not(Py_3_11)), path = "py310.rs")]
#[cfg_attr(all(Py_3_11, not(Py_3_12)), path = "py311.rs")]
#[cfg_attr(all(Py_3_12, not(Py_3_13)), path = "py312.rs")]
#[cfg_attr(all(Py_3_13, not(Py_3_14)), path = "py313.rs")]
#[cfg_attr(all(Py_3_14, not(Py_3_15)), path = "py314.rs")]
#[cfg_attr(Py_3_15, path = "py315.rs")]
mod version;

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi::{self, PyObject, PyThreadState, visitproc};

pub(crate) use context::{current_context, set_current_context};
pub(crate) use gc_head::being_judged;
pub(crate) use layout::{check, layout};
#[cfg(Py_3_14)]
pub(crate) use private::{running_task, share_running_loop};
pub(crate) use tracing::{end_tracing, enter_tracing, is_traced, leave_tracing, trace_function};
use version::{ExcItem, Fields, ThreadState};

/// The memory of a C stack.
#[cfg_attr(
    not(Py_3_12),
    allow(
        dead_code,
        reason = "older versions know nothing of the C stack's size"
    )
)]
pub(crate) struct Bounds {
    /// High end: where the stack starts.
    pub(crate) top: usize,
    /// Low end: the first address above the guard.
    pub(crate) limit: usize,
    /// Memory for the root chunk of the data stack (unused on 3.10), aligned to 16.
    pub(crate) chunk: *mut u8,
    /// Its length in bytes, a multiple of 16.
    pub(crate) chunk_len: usize,
}

impl Bounds {
    /// Of a greenlet that has no stack.
    pub(crate) const NONE: Self = Self {
        top: 0,
        limit: 0,
        chunk: ptr::null_mut(),
        chunk_len: 0,
    };
}

/// The thread state's fields of one stack while another one runs.
///
/// Stays at one address from `begin` to `end`: the thread state points into it.
pub(crate) struct StackState {
    /// Bottom of this stack's chain of handled exceptions (not of the main stack's).
    exc: ExcItem,
    exc_info: *mut ExcItem,
    /// Owned while saved, NULL while the stack runs.
    context: *mut PyObject,
    fields: Fields,
    #[cfg(Py_3_14)]
    private: private::Private,
}

impl StackState {
    /// State of a stack that did not start yet; also what `save` fills for the main stack.
    pub(crate) const fn new() -> Self {
        Self {
            exc: ExcItem::EMPTY,
            exc_info: ptr::null_mut(),
            context: ptr::null_mut(),
            fields: Fields::new(),
            #[cfg(Py_3_14)]
            private: private::Private::new(),
        }
    }

    /// Makes the thread state that of a fresh stack at recursion depth 0.
    ///
    /// `context` is taken over; NULL means an empty one. To start in the context set
    /// with `set_context`, pass `context()`.
    ///
    /// # Safety
    /// As the module says; on the new stack, after `save` or `end` of the one left.
    /// `bounds` describes this stack's memory, which lives until `end`; `context` is an
    /// owned reference or NULL.
    #[inline]
    pub(crate) unsafe fn begin(
        &mut self,
        ts: *mut PyThreadState,
        bounds: &Bounds,
        context: *mut PyObject,
    ) {
        #[cfg(Py_3_14)]
        // SAFETY: P1.
        unsafe {
            self.private.begin(ts, bounds);
        };
        // SAFETY: P1.
        let ts = unsafe { mirror(ts) };
        self.exc = ExcItem::EMPTY;
        self.context = ptr::null_mut();
        ts.exc_info = &raw mut self.exc;
        ts.context = context;
        ts.context_ver = ts.context_ver.wrapping_add(1);
        // SAFETY: P1, P2, and the caller vouches for `bounds`.
        unsafe { self.fields.begin(ts, bounds) };
    }

    /// Notes the thread state's fields: this stack is about to be left.
    ///
    /// The reference to the context moves here; what the thread state still holds is stale
    /// until the next `begin` or `restore`, so nothing may run in between.
    ///
    /// # Safety
    /// As the module says; this is the state of the running stack.
    #[inline]
    pub(crate) unsafe fn save(&mut self, ts: *mut PyThreadState) {
        #[cfg(Py_3_14)]
        // SAFETY: P1.
        unsafe {
            self.private.save(ts);
        };
        // SAFETY: P1.
        let ts = unsafe { mirror(ts) };
        self.exc_info = ts.exc_info;
        self.context = ts.context;
        self.fields.save(ts);
    }

    /// Puts the fields back: this stack is entered again.
    ///
    /// # Safety
    /// As the module says; `save` was called when the stack was left, and the stack
    /// that ran since was left with `save` or `end`.
    #[inline]
    pub(crate) unsafe fn restore(&mut self, ts: *mut PyThreadState) {
        #[cfg(Py_3_14)]
        // SAFETY: P1.
        unsafe {
            self.private.restore(ts);
        };
        // SAFETY: P1.
        let ts = unsafe { mirror(ts) };
        ts.exc_info = self.exc_info;
        ts.context = self.context;
        ts.context_ver = ts.context_ver.wrapping_add(1);
        // Only one owner at a time: `traverse` must not count the reference twice.
        self.context = ptr::null_mut();
        // SAFETY: P1 and the contract above.
        unsafe { self.fields.restore(ts) };
    }

    /// Has the running stack, in place of the suspended `home`, do what belongs to the
    /// same context and asyncio task.
    ///
    /// # Runs Python
    /// Finalizers of what only the former context held.
    ///
    /// # Safety
    /// As the module says; this is the state of the running stack.
    #[inline]
    pub(crate) unsafe fn work_for(&mut self, ts: *mut PyThreadState, home: &Self) {
        // SAFETY: P1; the new reference is given to the thread state.
        unsafe {
            set_current_context(ts, ffi::Py_XNewRef(home.context));
            self.share_task(ts, home);
        }
    }

    /// Ends [`work_for`](Self::work_for): a context that was made meanwhile becomes home's.
    ///
    /// # Runs Python
    /// Finalizers of what only this stack held.
    ///
    /// # Safety
    /// As for [`work_for`](Self::work_for).
    #[inline]
    #[expect(clippy::unused_self, reason = "the caller names the stack that runs")]
    pub(crate) unsafe fn stop_working(&mut self, ts: *mut PyThreadState, home: &mut Self) {
        // SAFETY: P1; the reference moves out of the thread state.
        unsafe {
            if home.context.is_null() {
                home.context = ffi::Py_XNewRef(current_context(ts));
            }
            set_current_context(ts, ptr::null_mut());
            #[cfg(Py_3_14)]
            private::Private::end(ts);
        }
    }

    /// Has the running stack belong to the asyncio task of a suspended one: its code was
    /// entered from there. Before 3.14 the task belongs to the OS thread.
    ///
    /// # Safety
    /// As for [`work_for`](Self::work_for).
    #[inline]
    #[cfg_attr(
        not(Py_3_14),
        expect(clippy::unused_self, reason = "the caller names the stack that runs")
    )]
    pub(crate) unsafe fn share_task(&mut self, ts: *mut PyThreadState, from: &Self) {
        #[cfg(Py_3_14)]
        // SAFETY: P1.
        unsafe {
            self.private.share_task(ts, &from.private);
        };
        #[cfg(not(Py_3_14))]
        let _ = (ts, from);
    }

    /// Drops what the stack owns: its function has returned. Python may still run on it.
    ///
    /// # Runs Python
    /// Finalizers of what only the stack's context held, while the stack is still
    /// whole.
    ///
    /// # Safety
    /// As the module says; this is the state of the running stack, no Python frame of
    /// which is left, and no exception is set.
    pub(crate) unsafe fn release(&mut self, ts: *mut PyThreadState) {
        // SAFETY: P1; no reference to the mirror is held across these calls, which may
        // run Python code on this stack.
        unsafe {
            set_current_context(ts, ptr::null_mut());
            for exception in std::mem::replace(&mut self.exc, ExcItem::EMPTY).values() {
                ffi::Py_XDECREF(exception);
            }
            #[cfg(Py_3_14)]
            private::Private::end(ts);
            drain_trash(ts);
        }
    }

    /// Takes the stack out of the thread state.
    ///
    /// Afterwards the thread state points to nothing of this stack; a `begin` or `restore`
    /// must follow before Python runs again. What [`release`](Self::release) did not find is
    /// leaked.
    ///
    /// # Safety
    /// As for [`release`](Self::release), which was called before.
    #[inline]
    #[expect(clippy::unused_self, reason = "the caller names the stack that ends")]
    pub(crate) unsafe fn end(&mut self, ts: *mut PyThreadState) {
        // SAFETY: P1.
        let ts = unsafe { mirror(ts) };
        ts.context = ptr::null_mut();
        ts.exc_info = &raw mut ts.exc_state;
        // SAFETY: P1; no frame is left on this stack.
        unsafe { Fields::end(ts) };
    }

    /// Visits the references this stack owns, for the garbage collector.
    ///
    /// # Safety
    /// Called from a `tp_traverse` of the object that holds this state.
    pub(crate) unsafe fn traverse(&self, visit: visitproc, arg: *mut c_void) -> c_int {
        let owned = self.exc.values().into_iter().chain([self.context]);
        #[cfg(Py_3_14)]
        let owned = owned.chain(self.private.references());
        for object in owned {
            if object.is_null() {
                continue;
            }
            // SAFETY: `visit` may be called with every object owned, by its contract.
            let stop = unsafe { visit(object, arg) };
            if stop != 0 {
                return stop;
            }
        }
        0
    }

    /// Returns a new reference to the topmost frame of this suspended stack, or NULL.
    ///
    /// NULL without an exception: there is no Python frame (or no memory for its object).
    ///
    /// # Safety
    /// As the module says; the stack is suspended (left with `save`).
    pub(crate) unsafe fn frame(&mut self, ts: *mut PyThreadState) -> *mut PyObject {
        // Making a frame object allocates, which on 3.11 may start a collection; its
        // finalizers must not run while the thread state shows another stack's frame.
        // SAFETY: P1; the frame fields are exchanged back before anything else runs.
        unsafe {
            let collecting = ffi::PyGC_Disable();
            self.fields.swap_frame(mirror(ts));
            let frame = ffi::PyThreadState_GetFrame(ts);
            self.fields.swap_frame(mirror(ts));
            if collecting != 0 {
                ffi::PyGC_Enable();
            }
            if frame.is_null() {
                ffi::PyErr_Clear();
            }
            frame.cast()
        }
    }

    /// The context of the suspended stack, borrowed; NULL if it has none.
    pub(crate) fn context(&self) -> *mut PyObject {
        self.context
    }

    /// Replaces the context of a suspended or unstarted stack.
    ///
    /// # Runs Python
    /// Finalizers of what only the old context held.
    ///
    /// # Safety
    /// Attached; `context` is an owned reference or NULL, and the stack is not running.
    pub(crate) unsafe fn set_context(&mut self, context: *mut PyObject) {
        let old = std::mem::replace(&mut self.context, context);
        // SAFETY: the reference was owned by this state.
        unsafe { ffi::Py_XDECREF(old) };
    }
}

/// Prepares the state of the stack the OS thread itself started on.
///
/// Since 3.14 CPython has found limits for that stack, which every return to it restores.
///
/// # Safety
/// As the module says; called on that stack, before the first switch.
pub(crate) unsafe fn init_root(root: &mut StackState, ts: *mut PyThreadState) {
    #[cfg(Py_3_14)]
    // SAFETY: P1.
    unsafe {
        root.private.init_root(ts);
    };
    #[cfg(not(Py_3_14))]
    let _ = (root, ts);
}

/// Says whether the interpreter is shutting down: then nothing is run or freed any more.
///
/// # Safety
/// May be called at any time while the interpreter's library is loaded.
pub(crate) unsafe fn in_finalization() -> bool {
    unsafe extern "C" {
        // The name it has had in the exported symbols since before it was made public.
        #[cfg_attr(not(Py_3_13), link_name = "_Py_IsFinalizing")]
        fn Py_IsFinalizing() -> c_int;
    }
    // SAFETY: reads one flag, needs no thread state.
    unsafe { Py_IsFinalizing() != 0 }
}

/// # Safety
/// P1: `ts` is the calling thread's, attached, and checked; the reference is not
/// used across calls into CPython.
#[inline]
unsafe fn mirror<'a>(ts: *mut PyThreadState) -> &'a mut ThreadState {
    // SAFETY: guaranteed by the caller.
    unsafe { &mut *ts.cast::<ThreadState>() }
}

/// Frees objects whose deallocation was put off on this stack.
///
/// Normally the outermost deallocation has done so. One more of them, of an empty list,
/// does it through CPython's own code, whatever the version calls it.
///
/// # Safety
/// As the module says.
unsafe fn drain_trash(ts: *mut PyThreadState) {
    // SAFETY: P1 for the mirror, whose use ends before the calls.
    unsafe {
        if Fields::has_trash(mirror(ts)) {
            ffi::Py_XDECREF(ffi::PyList_New(0));
        }
    }
}
