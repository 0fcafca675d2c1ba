//! CPython 3.10: `Include/cpython/pystate.h` and what of it belongs to a stack.
//!
//! Frames are ordinary objects on the heap, linked through `frame`; there is no data stack.
//! A `CFrame` on the C stack holds nothing but the tracing switch. There is one recursion
//! counter, for Python and C calls, and it counts up.

use std::ffi::{c_int, c_ulong, c_void};
use std::ptr;

use pyo3::ffi::{self, PyInterpreterState, PyObject, PyThreadState};

use super::Bounds;
use super::layout::{Names, Probe, names};

pub(super) const VERSION: (u8, u8) = (3, 10);

/// Mirror of `struct _ts`. Fields without a comment belong to the OS thread.
#[repr(C)]
pub(super) struct ThreadState {
    prev: *mut PyThreadState,
    next: *mut PyThreadState,
    pub(super) interp: *mut PyInterpreterState,
    /// The running frame object (borrowed).
    frame: *mut c_void,
    /// How deep this stack is, in Python and C calls.
    recursion_depth: c_int,
    recursion_headroom: c_int,
    stackcheck_counter: c_int,
    pub(super) tracing: c_int,
    /// Innermost interpreter loop, on the C stack.
    cframe: *mut CFrame,
    pub(super) c_profilefunc: *mut c_void,
    pub(super) c_tracefunc: *mut c_void,
    c_profileobj: *mut PyObject,
    pub(super) c_traceobj: *mut PyObject,
    curexc_type: *mut PyObject,
    curexc_value: *mut PyObject,
    curexc_traceback: *mut PyObject,
    /// Bottom of the main stack's chain of handled exceptions; other stacks have their own.
    pub(super) exc_state: ExcItem,
    /// Exceptions being handled: `except` blocks this stack is in.
    pub(super) exc_info: *mut ExcItem,
    dict: *mut PyObject,
    gilstate_counter: c_int,
    async_exc: *mut PyObject,
    pub(super) thread_id: c_ulong,
    /// Nested deallocations that run on this stack.
    trash_delete_nesting: c_int,
    /// Objects those left for later.
    trash_delete_later: *mut PyObject,
    on_delete: *mut c_void,
    on_delete_data: *mut c_void,
    coroutine_origin_tracking_depth: c_int,
    async_gen_firstiter: *mut PyObject,
    async_gen_finalizer: *mut PyObject,
    /// The contextvars context (strong): green threads each have their own.
    pub(super) context: *mut PyObject,
    /// Changes with `context`, so that variables drop what they cached.
    pub(super) context_ver: u64,
    pub(super) id: u64,
    root_cframe: CFrame,
}

/// Mirror of `CFrame`.
#[repr(C)]
struct CFrame {
    /// Not 0 while a trace or profile function is to be called: a property of the thread
    /// that CPython keeps in the innermost frame, so it is carried over at a switch.
    use_tracing: c_int,
    previous: *mut CFrame,
}

/// Mirror of `_PyErr_StackItem`: one `except` block's worth of a function or generator.
#[repr(C)]
pub(super) struct ExcItem {
    exc_type: *mut PyObject,
    exc_value: *mut PyObject,
    exc_traceback: *mut PyObject,
    pub(super) previous_item: *mut ExcItem,
}

impl ExcItem {
    pub(super) const EMPTY: Self = Self {
        exc_type: ptr::null_mut(),
        exc_value: ptr::null_mut(),
        exc_traceback: ptr::null_mut(),
        previous_item: ptr::null_mut(),
    };

    /// The references this item owns.
    pub(super) fn values(&self) -> [*mut PyObject; 3] {
        [self.exc_type, self.exc_value, self.exc_traceback]
    }
}

/// What a stack keeps while another one runs, apart from `exc_info` and `context`.
pub(super) struct Fields {
    /// Bottom of the chain of interpreter loops (not of the main stack).
    root: CFrame,
    cframe: *mut CFrame,
    frame: *mut c_void,
    depth: c_int,
    trash_delete_nesting: c_int,
    trash_delete_later: *mut PyObject,
}

impl Fields {
    pub(super) const fn new() -> Self {
        Self {
            root: CFrame {
                use_tracing: 0,
                previous: ptr::null_mut(),
            },
            cframe: ptr::null_mut(),
            frame: ptr::null_mut(),
            depth: 0,
            trash_delete_nesting: 0,
            trash_delete_later: ptr::null_mut(),
        }
    }

    /// Describes a fresh stack.
    ///
    /// # Safety
    /// As `StackState::begin`.
    #[inline]
    pub(super) unsafe fn begin(&mut self, ts: &mut ThreadState, _bounds: &Bounds) {
        self.root.previous = &raw mut ts.root_cframe;
        // SAFETY: the root is at a fixed address as long as the stack is in use (P2);
        // `ts.cframe` is the one of the stack just left.
        unsafe { enter(ts, &raw mut self.root) };
        ts.frame = ptr::null_mut();
        ts.recursion_depth = 0;
        ts.trash_delete_nesting = 0;
        ts.trash_delete_later = ptr::null_mut();
    }

    /// Notes how this stack is left.
    #[inline]
    pub(super) fn save(&mut self, ts: &ThreadState) {
        self.cframe = ts.cframe;
        self.frame = ts.frame;
        self.depth = ts.recursion_depth;
        self.trash_delete_nesting = ts.trash_delete_nesting;
        self.trash_delete_later = ts.trash_delete_later;
    }

    /// Describes this stack again.
    ///
    /// # Safety
    /// As `StackState::restore`.
    #[inline]
    pub(super) unsafe fn restore(&mut self, ts: &mut ThreadState) {
        // SAFETY: this stack's frames are as it left them, and `ts.cframe` is still that
        // of the stack just left, or the thread's root after `end`.
        unsafe { enter(ts, self.cframe) };
        ts.frame = self.frame;
        ts.recursion_depth = self.depth;
        ts.trash_delete_nesting = self.trash_delete_nesting;
        ts.trash_delete_later = self.trash_delete_later;
    }

    /// Points the thread state at nothing that goes away with this stack.
    ///
    /// # Safety
    /// The stack's function has returned, and `begin` or `restore` follows.
    pub(super) unsafe fn end(ts: &mut ThreadState) {
        let root = &raw mut ts.root_cframe;
        // SAFETY: both are valid: the thread's own and the one of this stack.
        unsafe { enter(ts, root) };
        ts.frame = ptr::null_mut();
    }

    /// Exchanges the saved current frame with that of the thread state.
    pub(super) fn swap_frame(&mut self, ts: &mut ThreadState) {
        std::mem::swap(&mut self.frame, &mut ts.frame);
    }

    /// Says whether objects wait for their deallocation.
    pub(super) fn has_trash(ts: &ThreadState) -> bool {
        !ts.trash_delete_later.is_null()
    }
}

/// Makes `cframe` the current one without switching tracing on or off.
///
/// # Safety
/// `cframe` and the current one must be valid.
#[inline]
unsafe fn enter(ts: &mut ThreadState, cframe: *mut CFrame) {
    // SAFETY: guaranteed by the caller.
    unsafe { (*cframe).use_tracing = (*ts.cframe).use_tracing };
    ts.cframe = cframe;
}

/// Counts calls of trace functions, during which there are none. Later versions offer this.
///
/// # Safety
/// The current `CFrame` must be valid.
pub(super) unsafe fn trace(ts: &mut ThreadState, more: c_int) {
    ts.tracing += more;
    let wanted = !ts.c_tracefunc.is_null() || !ts.c_profilefunc.is_null();
    // SAFETY: guaranteed by the caller. 255 is what `ceval.c` sets.
    unsafe {
        (*ts.cframe).use_tracing = if wanted && ts.tracing == 0 { 255 } else { 0 };
    }
}

/// Reads what the check made at import compares with the public interface.
///
/// # Safety
/// `ts` must be the current thread state, of this version.
pub(super) unsafe fn probe(ts: &ThreadState) -> Probe {
    Probe {
        frame: ts.frame,
        // The limit is the interpreter's, out of our sight.
        // SAFETY: attached; reads one number.
        recursion: (ts.recursion_depth, unsafe { ffi::Py_GetRecursionLimit() }),
        c_depth: Some(ts.recursion_depth),
    }
}

/// Where this build believes the fields to be.
pub(super) fn layout() -> Names {
    names! {
        "PyThreadState" => ThreadState {
            interp, frame, recursion_depth, cframe, exc_state, tracing, c_profilefunc, c_tracefunc, c_traceobj, exc_info, thread_id,
            trash_delete_nesting, trash_delete_later, context, context_ver, id, root_cframe,
        }
        "CFrame" => CFrame { use_tracing, previous }
        "_PyErr_StackItem" => ExcItem { exc_type, exc_value, exc_traceback, previous_item }
    }
}
