//! CPython 3.12: `Include/cpython/pystate.h` and what of it belongs to a stack.
//!
//! Python and C calls are counted apart. C calls count down from a constant that stands
//! for the main thread's stack, so a smaller stack starts with less.

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::ptr;

use pyo3::ffi::{PyInterpreterState, PyObject, PyThreadState};

use super::Bounds;
use super::c_recursion;
use super::chunk::{Chunk, DataStack};
pub(super) use super::handled::ExcItem;
use super::layout::{Names, Probe, names};

pub(super) const VERSION: (u8, u8) = (3, 12);

/// Mirror of `struct _ts`. Fields without a comment belong to the OS thread.
#[repr(C)]
pub(super) struct ThreadState {
    prev: *mut PyThreadState,
    next: *mut PyThreadState,
    pub(super) interp: *mut PyInterpreterState,
    /// One word of flags.
    _status: c_uint,
    /// Python calls left until `RecursionError`: depends on how deep this stack is.
    py_recursion_remaining: c_int,
    /// Per thread; with it the depth follows from the calls left.
    py_recursion_limit: c_int,
    /// The same for C calls: guards this very stack against overflow.
    pub(super) c_recursion_remaining: c_int,
    recursion_headroom: c_int,
    pub(super) tracing: c_int,
    what_event: c_int,
    /// Innermost interpreter loop, on the C stack; holds the current frame.
    cframe: *mut CFrame,
    pub(super) c_profilefunc: *mut c_void,
    pub(super) c_tracefunc: *mut c_void,
    c_profileobj: *mut PyObject,
    pub(super) c_traceobj: *mut PyObject,
    current_exception: *mut PyObject,
    /// Exceptions being handled: `except` blocks this stack is in.
    pub(super) exc_info: *mut ExcItem,
    dict: *mut PyObject,
    gilstate_counter: c_int,
    async_exc: *mut PyObject,
    pub(super) thread_id: c_ulong,
    native_thread_id: c_ulong,
    /// Nested deallocations that run on this stack, and objects they left for later.
    trash: Trash,
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
    /// Where this stack's Python frames are.
    datastack: DataStack,
    /// Bottom of the main stack's chain of handled exceptions; other stacks have their own.
    pub(super) exc_state: ExcItem,
    root_cframe: CFrame,
}

/// Mirror of `struct _py_trashcan`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Trash {
    delete_nesting: c_int,
    delete_later: *mut PyObject,
}

impl Trash {
    const EMPTY: Self = Self {
        delete_nesting: 0,
        delete_later: ptr::null_mut(),
    };
}

/// Mirror of `_PyCFrame`.
#[repr(C)]
struct CFrame {
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
    /// Calls left: here the limit is a constant.
    c_remaining: c_int,
    trash: Trash,
    datastack: DataStack,
}

impl Fields {
    pub(super) const fn new() -> Self {
        Self {
            root: CFrame {
                current_frame: ptr::null_mut(),
                previous: ptr::null_mut(),
            },
            cframe: ptr::null_mut(),
            depth: 0,
            c_remaining: 0,
            trash: Trash::EMPTY,
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
        ts.cframe = &raw mut self.root;
        ts.py_recursion_remaining = ts.py_recursion_limit;
        ts.c_recursion_remaining = c_recursion::budget(bounds);
        ts.trash = Trash::EMPTY;
        // SAFETY: the caller of `StackState::begin` vouches for the chunk memory.
        ts.datastack = unsafe { DataStack::embed(bounds.chunk, bounds.chunk_len) };
    }

    /// Notes how this stack is left.
    #[inline]
    pub(super) fn save(&mut self, ts: &ThreadState) {
        self.cframe = ts.cframe;
        self.depth = ts.py_recursion_limit - ts.py_recursion_remaining;
        self.c_remaining = ts.c_recursion_remaining;
        self.trash = ts.trash;
        self.datastack = ts.datastack;
    }

    /// Describes this stack again.
    ///
    /// # Safety
    /// As `StackState::restore`.
    #[inline]
    pub(super) unsafe fn restore(&mut self, ts: &mut ThreadState) {
        ts.cframe = self.cframe;
        ts.py_recursion_remaining = ts.py_recursion_limit - self.depth;
        ts.c_recursion_remaining = self.c_remaining;
        ts.trash = self.trash;
        ts.datastack = self.datastack;
    }

    /// Points the thread state at nothing that goes away with this stack.
    ///
    /// # Safety
    /// The stack's function has returned, and `begin` or `restore` follows.
    pub(super) unsafe fn end(ts: &mut ThreadState) {
        ts.cframe = &raw mut ts.root_cframe;
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
        !ts.trash.delete_later.is_null()
    }
}

/// Reads what the check made at import compares with the public interface.
///
/// # Safety
/// `ts` must be the current thread state, of this version.
pub(super) unsafe fn probe(ts: &ThreadState) -> Probe {
    Probe {
        // SAFETY: a running thread always has an innermost interpreter loop.
        frame: unsafe { (*ts.cframe).current_frame },
        recursion: (
            ts.py_recursion_limit - ts.py_recursion_remaining,
            ts.py_recursion_limit,
        ),
        c_depth: Some(-ts.c_recursion_remaining),
        datastack: ts.datastack,
    }
}

/// Finds out what C recursion CPython allows to the main thread's stack.
///
/// # Safety
/// `ts` must be the current thread state, checked.
pub(super) unsafe fn prepare(ts: *mut PyThreadState) -> Result<(), String> {
    // SAFETY: guaranteed by the caller.
    unsafe { c_recursion::prepare(ts) }
}

/// Where this build believes the fields to be.
pub(super) fn layout() -> Names {
    names! {
        "PyThreadState" => ThreadState {
            interp, py_recursion_remaining, py_recursion_limit, c_recursion_remaining,
            cframe, tracing, c_profilefunc, c_tracefunc, c_traceobj, exc_info, thread_id, trash, context, context_ver, id,
            datastack_chunk: datastack.chunk, datastack_top: datastack.top,
            datastack_limit: datastack.limit, exc_state, root_cframe,
        }
        "struct _py_trashcan" => Trash { delete_nesting, delete_later }
        "_PyCFrame" => CFrame { current_frame, previous }
        "_PyErr_StackItem" => ExcItem { exc_value, previous_item }
        "_PyStackChunk" => Chunk { previous, size, top, data }
    }
}
