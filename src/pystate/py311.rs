//! CPython 3.11: `Include/cpython/pystate.h` and what of it belongs to a stack.
//!
//! The running Python frame is named by a `_PyCFrame` on the C stack, so a new stack needs
//! one of its own at its bottom. There is one recursion counter, for Python and C calls.

use std::ffi::{c_int, c_ulong, c_void};
use std::ptr;

use pyo3::ffi::{PyInterpreterState, PyObject, PyThreadState};

use super::Bounds;
use super::chunk::{Chunk, DataStack};
pub(super) use super::handled::ExcItem;
use super::layout::{Names, Probe, names};

pub(super) const VERSION: (u8, u8) = (3, 11);

/// Mirror of `struct _ts`. Fields without a comment belong to the OS thread.
#[repr(C)]
pub(super) struct ThreadState {
    prev: *mut PyThreadState,
    next: *mut PyThreadState,
    pub(super) interp: *mut PyInterpreterState,
    _initialized: c_int,
    _static: c_int,
    /// Calls left until `RecursionError`: depends on how deep this stack is.
    recursion_remaining: c_int,
    /// Per thread; with it the depth follows from the calls left.
    recursion_limit: c_int,
    recursion_headroom: c_int,
    pub(super) tracing: c_int,
    tracing_what: c_int,
    /// Innermost interpreter loop, on the C stack; holds the current frame.
    cframe: *mut CFrame,
    pub(super) c_profilefunc: *mut c_void,
    pub(super) c_tracefunc: *mut c_void,
    c_profileobj: *mut PyObject,
    pub(super) c_traceobj: *mut PyObject,
    curexc_type: *mut PyObject,
    curexc_value: *mut PyObject,
    curexc_traceback: *mut PyObject,
    /// Exceptions being handled: `except` blocks this stack is in.
    pub(super) exc_info: *mut ExcItem,
    dict: *mut PyObject,
    gilstate_counter: c_int,
    async_exc: *mut PyObject,
    pub(super) thread_id: c_ulong,
    native_thread_id: c_ulong,
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
    trace_info: TraceInfo,
    /// Where this stack's Python frames are.
    datastack: DataStack,
    /// Bottom of the main stack's chain of handled exceptions; other stacks have their own.
    pub(super) exc_state: ExcItem,
    root_cframe: CFrame,
}

/// Mirror of `PyTraceInfo`: a cache of line numbers, only here for its size.
#[repr(C)]
struct TraceInfo {
    code: *mut c_void,
    ar_start: c_int,
    ar_end: c_int,
    ar_line: c_int,
    opaque: LineOffsets,
}

#[repr(C)]
struct LineOffsets {
    computed_line: c_int,
    lo_next: *const u8,
    limit: *const u8,
}

/// Mirror of `_PyCFrame`.
#[repr(C)]
struct CFrame {
    /// 255 while a trace or profile function is to be called: a property of the thread
    /// that CPython keeps in the innermost frame, so it is carried over at a switch.
    use_tracing: u8,
    current_frame: *mut c_void,
    previous: *mut CFrame,
}

/// What a stack keeps while another one runs, apart from `exc_info` and `context`.
pub(super) struct Fields {
    /// Bottom of the chain of interpreter loops (not of the main stack).
    root: CFrame,
    cframe: *mut CFrame,
    /// Depth, not calls left: the limit may change while the stack is suspended.
    depth: c_int,
    trash_delete_nesting: c_int,
    trash_delete_later: *mut PyObject,
    datastack: DataStack,
}

impl Fields {
    pub(super) const fn new() -> Self {
        Self {
            root: CFrame {
                use_tracing: 0,
                current_frame: ptr::null_mut(),
                previous: ptr::null_mut(),
            },
            cframe: ptr::null_mut(),
            depth: 0,
            trash_delete_nesting: 0,
            trash_delete_later: ptr::null_mut(),
            datastack: DataStack::NONE,
        }
    }

    /// Describes a fresh stack.
    ///
    /// # Safety
    /// As `StackState::begin`.
    #[inline]
    pub(super) unsafe fn begin(&mut self, ts: &mut ThreadState, bounds: &Bounds) {
        self.root.current_frame = ptr::null_mut();
        self.root.previous = &raw mut ts.root_cframe;
        // SAFETY: the root is at a fixed address as long as the stack is in use
        // (contract of `StackState`); `ts.cframe` is the one of the stack just left.
        unsafe { enter(ts, &raw mut self.root) };
        ts.recursion_remaining = ts.recursion_limit;
        ts.trash_delete_nesting = 0;
        ts.trash_delete_later = ptr::null_mut();
        // SAFETY: the caller of `StackState::begin` vouches for the chunk memory.
        ts.datastack = unsafe { DataStack::embed(bounds.chunk, bounds.chunk_len) };
    }

    /// Notes how this stack is left.
    #[inline]
    pub(super) fn save(&mut self, ts: &ThreadState) {
        self.cframe = ts.cframe;
        self.depth = ts.recursion_limit - ts.recursion_remaining;
        self.trash_delete_nesting = ts.trash_delete_nesting;
        self.trash_delete_later = ts.trash_delete_later;
        self.datastack = ts.datastack;
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
        ts.recursion_remaining = ts.recursion_limit - self.depth;
        ts.trash_delete_nesting = self.trash_delete_nesting;
        ts.trash_delete_later = self.trash_delete_later;
        ts.datastack = self.datastack;
    }

    /// Points the thread state at nothing that goes away with this stack.
    ///
    /// # Safety
    /// The stack's function has returned, and `begin` or `restore` follows.
    pub(super) unsafe fn end(ts: &mut ThreadState) {
        let root = &raw mut ts.root_cframe;
        // SAFETY: both are valid: the thread's own and the one of this stack.
        unsafe { enter(ts, root) };
        let datastack = std::mem::replace(&mut ts.datastack, DataStack::NONE);
        // SAFETY: the stack's function has returned, so no frame is left on it.
        unsafe { datastack.free_extra() };
    }

    /// Exchanges the saved current frame with that of the thread state.
    pub(super) fn swap_frame(&mut self, ts: &mut ThreadState) {
        std::mem::swap(&mut self.cframe, &mut ts.cframe);
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

/// Reads what the check made at import compares with the public interface.
///
/// # Safety
/// `ts` must be the current thread state, of this version.
pub(super) unsafe fn probe(ts: &ThreadState) -> Probe {
    let depth = ts.recursion_limit - ts.recursion_remaining;
    Probe {
        // SAFETY: a running thread always has an innermost interpreter loop.
        frame: unsafe { (*ts.cframe).current_frame },
        recursion: (depth, ts.recursion_limit),
        c_depth: Some(depth),
        datastack: ts.datastack,
    }
}

/// Where this build believes the fields to be.
pub(super) fn layout() -> Names {
    names! {
        "PyThreadState" => ThreadState {
            interp, recursion_remaining, recursion_limit, cframe, tracing, c_profilefunc, c_tracefunc, c_traceobj, exc_info, thread_id,
            trash_delete_nesting, trash_delete_later, context, context_ver, id,
            datastack_chunk: datastack.chunk, datastack_top: datastack.top,
            datastack_limit: datastack.limit, exc_state, root_cframe,
        }
        "_PyCFrame" => CFrame { use_tracing, current_frame, previous }
        "_PyErr_StackItem" => ExcItem { exc_value, previous_item }
        "_PyStackChunk" => Chunk { previous, size, top, data }
    }
}
