//! CPython 3.15: `Include/cpython/pystate.h` and what of it belongs to a stack.
//!
//! Only Python calls are counted. Against C recursion the stack pointer is compared with
//! limits, which lie, like asyncio's running loop and task, in the private part of the
//! thread state behind the public one: see `private.rs`.
//!
//! Every chain of frames ends at a sentinel, `base_frame`, and samplers from outside take
//! a chain that does not for torn. CPython's sentinel goes with its OS thread, though,
//! while a frame of a suspended stack may be looked at later. So all our stacks share
//! a copy that stays.

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use pyo3::ffi::{PyInterpreterState, PyObject, PyThreadState};

use super::Bounds;
use super::chunk::{Chunk, DataStack};
use super::debug_offsets::{self, DebugOffsets};
pub(super) use super::handled::ExcItem;
use super::layout::{Names, Probe, mismatch, names};
use super::private;

pub(super) const VERSION: (u8, u8) = (3, 15);

/// Mirror of `struct _ts`. Fields without a comment belong to the OS thread.
#[repr(C)]
pub(super) struct ThreadState {
    prev: *mut PyThreadState,
    next: *mut PyThreadState,
    pub(super) interp: *mut PyInterpreterState,
    eval_breaker: usize,
    /// One word of flags.
    _status: c_uint,
    holds_gil: c_int,
    gil_requested: c_int,
    _whence: c_int,
    state: c_int,
    /// Python calls left until `RecursionError`: depends on how deep this stack is.
    py_recursion_remaining: c_int,
    /// Per thread; with it the depth follows from the calls left.
    py_recursion_limit: c_int,
    recursion_headroom: c_int,
    pub(super) tracing: c_int,
    what_event: c_int,
    /// The running Python frame.
    current_frame: *mut c_void,
    /// Sentinel below the first frame of this stack.
    base_frame: *mut c_void,
    last_profiled_frame: *mut c_void,
    last_profiled_frame_seq: usize,
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
    /// Objects that nested deallocations on this stack left for later.
    delete_later: *mut PyObject,
    /// Innermost critical section of this stack; always 0 with the GIL.
    critical_section: usize,
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
    /// One free chunk for the next stack that needs one, whichever it is.
    datastack_cached_chunk: *mut Chunk,
    /// Bottom of the main stack's chain of handled exceptions; other stacks have their own.
    pub(super) exc_state: ExcItem,
    /// Compiled code that is running on this stack.
    current_executor: *mut PyObject,
    /// Where compiled code on this stack was left.
    jit_exit: *mut c_void,
}

/// The copy of CPython's sentinel at which the chains of our stacks end.
static SENTINEL: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// What a stack keeps while another one runs, apart from `exc_info` and `context`.
pub(super) struct Fields {
    current_frame: *mut c_void,
    base_frame: *mut c_void,
    /// Depth, not calls left: the limit may change while the stack is suspended.
    depth: c_int,
    delete_later: *mut PyObject,
    critical_section: usize,
    current_executor: *mut PyObject,
    jit_exit: *mut c_void,
    datastack: DataStack,
}

impl Fields {
    pub(super) const fn new() -> Self {
        Self {
            current_frame: ptr::null_mut(),
            base_frame: ptr::null_mut(),
            depth: 0,
            delete_later: ptr::null_mut(),
            critical_section: 0,
            current_executor: ptr::null_mut(),
            jit_exit: ptr::null_mut(),
            datastack: DataStack::NONE,
        }
    }

    /// Describes a fresh stack.
    ///
    /// # Safety
    /// As `StackState::begin`.
    #[inline]
    #[expect(clippy::unused_self, reason = "older versions embed a frame")]
    pub(super) unsafe fn begin(&mut self, ts: &mut ThreadState, bounds: &Bounds) {
        ts.base_frame = SENTINEL.load(Relaxed);
        ts.current_frame = ts.base_frame;
        ts.py_recursion_remaining = ts.py_recursion_limit;
        ts.delete_later = ptr::null_mut();
        ts.critical_section = 0;
        ts.current_executor = ptr::null_mut();
        ts.jit_exit = ptr::null_mut();
        // SAFETY: the caller of `StackState::begin` vouches for the chunk memory.
        ts.datastack = unsafe { DataStack::embed(bounds.chunk, bounds.chunk_len) };
    }

    /// Notes how this stack is left.
    #[inline]
    pub(super) fn save(&mut self, ts: &ThreadState) {
        self.current_frame = ts.current_frame;
        self.base_frame = ts.base_frame;
        self.depth = ts.py_recursion_limit - ts.py_recursion_remaining;
        self.delete_later = ts.delete_later;
        self.critical_section = ts.critical_section;
        self.current_executor = ts.current_executor;
        self.jit_exit = ts.jit_exit;
        self.datastack = ts.datastack;
    }

    /// Describes this stack again.
    ///
    /// # Safety
    /// As `StackState::restore`.
    #[inline]
    pub(super) unsafe fn restore(&mut self, ts: &mut ThreadState) {
        ts.current_frame = self.current_frame;
        ts.base_frame = self.base_frame;
        ts.py_recursion_remaining = ts.py_recursion_limit - self.depth;
        ts.delete_later = self.delete_later;
        ts.critical_section = self.critical_section;
        ts.current_executor = self.current_executor;
        ts.jit_exit = self.jit_exit;
        ts.datastack = self.datastack;
    }

    /// Points the thread state at nothing that goes away with this stack.
    ///
    /// # Safety
    /// The stack's function has returned, and `begin` or `restore` follows.
    pub(super) unsafe fn end(ts: &mut ThreadState) {
        ts.current_frame = ts.base_frame;
        let datastack = std::mem::replace(&mut ts.datastack, DataStack::NONE);
        // SAFETY: the stack's function has returned, so no frame is left on it.
        unsafe { datastack.free_extra() };
    }

    /// Exchanges the saved current frame with that of the thread state.
    pub(super) fn swap_frame(&mut self, ts: &mut ThreadState) {
        std::mem::swap(&mut self.current_frame, &mut ts.current_frame);
    }

    /// Says whether objects wait for their deallocation.
    pub(super) fn has_trash(ts: &ThreadState) -> bool {
        !ts.delete_later.is_null()
    }
}

/// Reads what the check made at import compares with the public interface.
///
/// # Safety
/// `ts` must be the current thread state, of this version.
pub(super) unsafe fn probe(ts: &ThreadState) -> Probe {
    Probe {
        frame: ts.current_frame,
        recursion: (
            ts.py_recursion_limit - ts.py_recursion_remaining,
            ts.py_recursion_limit,
        ),
        c_depth: None,
        datastack: ts.datastack,
    }
}

/// Names a field that CPython itself says is elsewhere.
pub(super) fn disagreement(offsets: &DebugOffsets) -> Option<&'static str> {
    use std::mem::offset_of;
    let state = &offsets.thread_state;
    state.disagreement(&[
        ("interp", state.interp, offset_of!(ThreadState, interp)),
        (
            "current_frame",
            state.current_frame,
            offset_of!(ThreadState, current_frame),
        ),
        (
            "thread_id",
            state.thread_id,
            offset_of!(ThreadState, thread_id),
        ),
        (
            "native_thread_id",
            state.native_thread_id,
            offset_of!(ThreadState, native_thread_id),
        ),
        (
            "datastack_chunk",
            state.datastack_chunk,
            offset_of!(ThreadState, datastack),
        ),
    ])
}

/// Finds the private part of the thread state and copies the sentinel from there.
///
/// # Safety
/// `ts` must be the current thread state, checked, and this the main stack.
pub(super) unsafe fn prepare(ts: *mut PyThreadState) -> Result<(), String> {
    // SAFETY: guaranteed by the caller; the offsets have just been read from the running
    // interpreter.
    unsafe {
        private::prepare(ts, limits_offset)?;
        copy_sentinel((*ts.cast::<ThreadState>()).base_frame)
    }
}

/// Copies CPython's sentinel, once: what it refers to is immortal.
///
/// # Safety
/// `original` must be the sentinel of a thread.
unsafe fn copy_sentinel(original: *const c_void) -> Result<(), String> {
    let offsets = debug_offsets::find().ok_or_else(|| mismatch("_PyRuntime"))?;
    let size = offsets.interpreter_frame_size as usize;
    let words = size.div_ceil(size_of::<usize>());
    if !SENTINEL.load(Relaxed).is_null() {
        return Ok(());
    }
    let copy: &'static mut [usize] = Box::leak(vec![0; words].into_boxed_slice());
    let copy = copy.as_mut_ptr().cast::<c_void>();
    // SAFETY: CPython says how long a frame is, and so long is the copy.
    unsafe { ptr::copy_nonoverlapping(original.cast::<u8>(), copy.cast(), size) };
    SENTINEL.store(copy, Relaxed);
    Ok(())
}

/// Where the C stack's limits are, counted from the start of the thread state.
///
/// In `_PyThreadStateImpl` the sentinel frame follows the public part, then a reference
/// count.
fn limits_offset(ts: &ThreadState, offsets: &DebugOffsets) -> usize {
    let base_frame = ts.base_frame as usize - ptr::from_ref(ts) as usize;
    base_frame + offsets.interpreter_frame_size as usize + size_of::<isize>()
}

/// Words between asyncio's running task and its list of tasks: `generator_return_kind`.
pub(super) const BEFORE_TASKS: usize = 1;

/// Where this build believes the fields to be.
pub(super) fn layout() -> Names {
    let mut names = names! {
        "PyThreadState" => ThreadState {
            interp, py_recursion_remaining, py_recursion_limit, current_frame, base_frame, tracing, c_profilefunc, c_tracefunc, c_traceobj, exc_info,
            thread_id, delete_later, critical_section, context, context_ver, id,
            datastack_chunk: datastack.chunk, datastack_top: datastack.top,
            datastack_limit: datastack.limit, datastack_cached_chunk, exc_state,
            current_executor, jit_exit,
        }
        "_PyErr_StackItem" => ExcItem { exc_value, previous_item }
        "_PyStackChunk" => Chunk { previous, size, top, data }
    };
    names.extend(private::layout());
    names
}
