//! The private part of the thread state: limits of the C stack and asyncio's state, 3.14+.
//!
//! # Why limits must be set
//! CPython compares the stack pointer with limits it took from the OS thread. On another stack
//! the comparison is always true or always false. Either way deep C recursion is a
//! crash, and every deallocation of a container is put off for ever: nothing is freed.
//!
//! # Where they are
//! In `_PyThreadStateImpl`, behind the public part, which has grown within 3.14. So the
//! place is computed from the sizes the running interpreter publishes, and believed
//! only if the words there look like limits of the stack we run on. Else the public function
//! is called, which CPython has since 3.14.1; only if that is missing too, we refuse. The
//! words are the first choice although the function costs but 3 ns: they also work
//! on 3.14.0 and hold what CPython itself found for the main stack.
//!
//! asyncio's running loop and task are found through what follows them: the head of a
//! circular list, which in a new thread state points to itself.

use std::ffi::{CStr, c_int, c_void};
use std::mem::transmute;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::Relaxed};

use pyo3::ffi::{self, PyObject, PyThreadState};

use super::Bounds;
use super::debug_offsets::{self, DebugOffsets};
use super::layout::{Names, mismatch};
use super::version::{BEFORE_TASKS, ThreadState};

/// `_PyOS_STACK_MARGIN_BYTES`: what error handling may use below a limit. Larger in debug
/// and sanitizer builds, so read from the running thread where possible.
const USUAL_MARGIN: usize = 16 << 10;

static MARGIN: AtomicUsize = AtomicUsize::new(USUAL_MARGIN);

/// Offset of `c_stack_top` in the thread state; 0: use the functions.
static LIMITS: AtomicUsize = AtomicUsize::new(0);

/// Offset of `asyncio_running_loop` in the thread state.
static ASYNCIO: AtomicUsize = AtomicUsize::new(0);

/// Whether all stacks of an OS thread see the same running loop.
static SHARED_LOOP: AtomicBool = AtomicBool::new(false);

/// `PyUnstable_ThreadState_SetStackProtection` and `…_ResetStackProtection`, if needed.
static SET: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static RESET: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

type Set = unsafe extern "C" fn(*mut PyThreadState, *mut c_void, usize) -> c_int;
type Reset = unsafe extern "C" fn(*mut PyThreadState);

/// Mirror of `c_stack_top`, `c_stack_soft_limit` and `c_stack_hard_limit`.
#[repr(C)]
#[derive(Clone, Copy)]
struct StackLimits {
    /// High end of the stack. 0 stands for the OS thread's own stack where the functions
    /// are used.
    top: usize,
    /// Below it `RecursionError` is raised and deallocations are put off.
    soft: usize,
    /// Below it CPython gives up.
    hard: usize,
}

impl StackLimits {
    const NONE: Self = Self {
        top: 0,
        soft: 0,
        hard: 0,
    };

    /// Limits of one of our stacks, by CPython's own rule for a thread's stack.
    #[inline]
    fn of(bounds: &Bounds) -> Self {
        let margin = MARGIN.load(Relaxed);
        Self {
            top: bounds.top,
            soft: bounds.limit + 2 * margin,
            hard: bounds.limit + margin,
        }
    }

    /// Limits of the stack the OS thread itself started on, which is the running one.
    ///
    /// # Safety
    /// `ts` must be the current thread state, `prepare` done.
    unsafe fn of_thread(ts: *mut PyThreadState) -> Self {
        match LIMITS.load(Relaxed) {
            0 => Self::NONE,
            // SAFETY: `prepare` found them there.
            offset => unsafe { ts.byte_add(offset).cast::<Self>().read() },
        }
    }

    /// Tells CPython the limits of the stack that runs from now on.
    ///
    /// # Safety
    /// `ts` must be the current thread state, `prepare` done.
    #[inline]
    unsafe fn install(&self, ts: *mut PyThreadState) {
        match LIMITS.load(Relaxed) {
            // SAFETY: guaranteed by the caller.
            0 => unsafe { self.install_by_function(ts) },
            // SAFETY: `prepare` found them there.
            offset => unsafe { ts.byte_add(offset).cast::<Self>().write(*self) },
        }
    }

    #[cold]
    unsafe fn install_by_function(&self, ts: *mut PyThreadState) {
        // SAFETY: `prepare` looked both functions up before it left the offset at 0, and
        // `ts` is the current thread state. The range is that of a mapped stack; if it is
        // too small for CPython, the exception is dropped and recursion is unguarded.
        unsafe {
            if self.top == 0 {
                let reset: Reset = transmute(RESET.load(Relaxed));
                reset(ts);
            } else {
                let set: Set = transmute(SET.load(Relaxed));
                let low = self.hard - MARGIN.load(Relaxed);
                if set(ts, low as *mut c_void, self.top - low) != 0 {
                    ffi::PyErr_Clear();
                }
            }
        }
    }

    /// Says whether these are limits of the stack we run on.
    fn plausible(&self) -> bool {
        // A thread's stack is smaller than this, even with an unlimited `ulimit -s`.
        const LARGEST: usize = 1 << 46;
        let local = 0u8;
        let here = ptr::from_ref(&local) as usize;
        self.hard < self.soft
            && matches!(self.soft - self.hard, 0x4000 | 0x8000)
            && self.soft < here
            && here < self.top
            && self.top - self.hard < LARGEST
    }
}

/// asyncio's `asyncio_running_loop` and `asyncio_running_task`: strong references.
///
/// They belong to a stack: another green thread is not inside the task that runs on this
/// one, and may run a loop of its own. Where the loop is shared it stays in the thread state,
/// as if this were an older version, and a stack keeps the task alone.
#[repr(C)]
#[derive(Clone, Copy)]
struct Asyncio {
    running_loop: *mut PyObject,
    running_task: *mut PyObject,
}

impl Asyncio {
    const NONE: Self = Self {
        running_loop: ptr::null_mut(),
        running_task: ptr::null_mut(),
    };

    /// # Safety
    /// `ts` must be the current thread state, `prepare` done.
    #[inline]
    unsafe fn read(ts: *mut PyThreadState) -> Self {
        // SAFETY: `prepare` found them there.
        unsafe { ts.byte_add(ASYNCIO.load(Relaxed)).cast::<Self>().read() }
    }

    /// # Safety
    /// `ts` must be the current thread state, `prepare` done; what it holds is given up.
    #[inline]
    unsafe fn install(self, ts: *mut PyThreadState) {
        // SAFETY: `prepare` found them there.
        unsafe {
            ts.byte_add(ASYNCIO.load(Relaxed))
                .cast::<Self>()
                .write(self);
        }
    }

    /// What of the thread state's pair belongs to the running stack.
    ///
    /// # Safety
    /// As `read`.
    #[inline]
    unsafe fn own(ts: *mut PyThreadState) -> Self {
        // SAFETY: by contract.
        let mut own = unsafe { Self::read(ts) };
        if SHARED_LOOP.load(Relaxed) {
            own.running_loop = ptr::null_mut();
        }
        own
    }

    /// Replaces what belongs to a stack.
    ///
    /// # Safety
    /// As `install`; the loop, if it is shared, stays.
    #[inline]
    unsafe fn install_own(mut self, ts: *mut PyThreadState) {
        // SAFETY: by contract.
        unsafe {
            if SHARED_LOOP.load(Relaxed) {
                self.running_loop = Self::read(ts).running_loop;
            }
            self.install(ts);
        }
    }

    /// Drops what the thread state holds for the running stack.
    ///
    /// # Safety
    /// As `install`.
    unsafe fn drop_current(ts: *mut PyThreadState) {
        // SAFETY: the references were owned by the thread state, which forgets them first.
        unsafe {
            let old = Self::own(ts);
            Self::NONE.install_own(ts);
            for object in old.references() {
                ffi::Py_XDECREF(object);
            }
        }
    }

    fn references(&self) -> [*mut PyObject; 2] {
        [self.running_loop, self.running_task]
    }
}

/// What a stack keeps of the private part while another one runs.
pub(super) struct Private {
    /// The same as long as the stack exists.
    limits: StackLimits,
    /// Owned while saved, NULL while the stack runs.
    asyncio: Asyncio,
}

impl Private {
    pub(super) const fn new() -> Self {
        Self {
            limits: StackLimits::NONE,
            asyncio: Asyncio::NONE,
        }
    }

    /// Remembers the limits that CPython itself found for the main stack.
    ///
    /// # Safety
    /// All methods: `ts` must be the current thread state, `prepare` done.
    pub(super) unsafe fn init_root(&mut self, ts: *mut PyThreadState) {
        // SAFETY: guaranteed by the caller.
        self.limits = unsafe { StackLimits::of_thread(ts) };
    }

    /// Describes a fresh stack, in which no loop runs.
    ///
    /// # Safety
    /// As `init_root`; what `ts` holds was saved or dropped.
    #[inline]
    pub(super) unsafe fn begin(&mut self, ts: *mut PyThreadState, bounds: &Bounds) {
        self.limits = StackLimits::of(bounds);
        self.asyncio = Asyncio::NONE;
        // SAFETY: guaranteed by the caller.
        unsafe {
            self.limits.install(ts);
            Asyncio::NONE.install_own(ts);
        }
    }

    /// # Safety
    /// As `init_root`.
    #[inline]
    pub(super) unsafe fn save(&mut self, ts: *mut PyThreadState) {
        // SAFETY: guaranteed by the caller.
        self.asyncio = unsafe { Asyncio::own(ts) };
    }

    /// # Safety
    /// As `begin`.
    #[inline]
    pub(super) unsafe fn restore(&mut self, ts: *mut PyThreadState) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            self.limits.install(ts);
            // Only one owner at a time: `traverse` must not count the references twice.
            std::mem::replace(&mut self.asyncio, Asyncio::NONE).install_own(ts);
        }
    }

    /// Gives the running stack the loop and task of a suspended one.
    ///
    /// # Runs Python
    /// Finalizers of a former loop or task, should nothing else hold them.
    ///
    /// # Safety
    /// As `init_root`.
    #[inline]
    #[expect(clippy::unused_self, reason = "the caller names the stack that runs")]
    pub(super) unsafe fn share_task(&mut self, ts: *mut PyThreadState, from: &Self) {
        let shared = from.asyncio;
        if shared.running_loop.is_null() && shared.running_task.is_null() {
            return;
        }
        // SAFETY: the new references are given to the thread state.
        unsafe {
            Asyncio::drop_current(ts);
            for object in shared.references() {
                ffi::Py_XINCREF(object);
            }
            shared.install_own(ts);
        }
    }

    /// Drops the references of the running stack.
    ///
    /// # Runs Python
    /// Finalizers of the loop or task, should nothing else hold them.
    ///
    /// # Safety
    /// As `init_root`.
    pub(super) unsafe fn end(ts: *mut PyThreadState) {
        // SAFETY: guaranteed by the caller.
        unsafe { Asyncio::drop_current(ts) };
    }

    /// The references owned while the stack is suspended.
    pub(super) fn references(&self) -> [*mut PyObject; 2] {
        self.asyncio.references()
    }
}

/// The task whose step the running stack takes (borrowed), or NULL.
///
/// # Safety
/// `ts` must be the current thread state, checked at import.
#[inline]
pub(crate) unsafe fn running_task(ts: *mut PyThreadState) -> *mut PyObject {
    // SAFETY: guaranteed by the caller.
    unsafe { Asyncio::read(ts).running_task }
}

/// Chooses whether all stacks of an OS thread see the same running loop.
///
/// A loop that a suspended stack keeps at that moment is not seen by it any more, and
/// stays referenced.
pub(crate) fn share_running_loop(shared: bool) {
    SHARED_LOOP.store(shared, Relaxed);
}

/// Finds limits and asyncio's state.
///
/// # Safety
/// `ts` must be the current thread state, and `offset` compute the place of the limits.
///
/// # Errors
/// Neither the limits nor the functions were found, or asyncio's state was not.
pub(super) unsafe fn prepare(
    ts: *mut PyThreadState,
    offset: fn(&ThreadState, &DebugOffsets) -> usize,
) -> Result<(), String> {
    let offsets = debug_offsets::find().ok_or_else(|| mismatch("_PyRuntime"))?;
    // SAFETY: guaranteed by the caller; P1.
    let offset = offset(unsafe { &*ts.cast() }, offsets);
    // SAFETY: the private part is longer than its first four words on every version.
    let found = unsafe { ts.byte_add(offset).cast::<StackLimits>().read() };
    if found.plausible() {
        MARGIN.store(found.soft - found.hard, Relaxed);
        LIMITS.store(offset, Relaxed);
    } else {
        let set = symbol(c"PyUnstable_ThreadState_SetStackProtection");
        let reset = symbol(c"PyUnstable_ThreadState_ResetStackProtection");
        if set.is_null() || reset.is_null() {
            return Err(mismatch("the limits of the C stack"));
        }
        SET.store(set, Relaxed);
        RESET.store(reset, Relaxed);
    }
    // SAFETY: guaranteed by the caller.
    let asyncio = unsafe { find_asyncio(ts, offsets.thread_state.size as usize) };
    ASYNCIO.store(
        asyncio.ok_or_else(|| mismatch("asyncio_running_loop"))?,
        Relaxed,
    );
    Ok(())
}

/// Looks a new thread state through for the list of tasks.
///
/// # Safety
/// `ts` must be the current thread state, `public` the size of its public part.
unsafe fn find_asyncio(ts: *mut PyThreadState, public: usize) -> Option<usize> {
    const WORD: usize = size_of::<usize>();
    // The list's head ends 6 words into the private part on 3.14 and 22 on 3.15, both
    // shorter than the part itself.
    const WORDS: usize = if cfg!(Py_3_15) { 22 } else { 8 };
    // SAFETY: attached; the new thread state is never made current and deleted at once.
    // All reads are within the private part.
    unsafe {
        let fresh = ffi::PyThreadState_New((*ts.cast::<ThreadState>()).interp);
        if fresh.is_null() {
            return None;
        }
        let word = |offset: usize| fresh.byte_add(offset).cast::<usize>().read();
        let before = (2 + BEFORE_TASKS) * WORD;
        let found = (0..WORDS - 1)
            .map(|index| public + index * WORD)
            .find(|&head| {
                let own = fresh as usize + head;
                word(head) == own && word(head + WORD) == own
            })
            .and_then(|head| head.checked_sub(before))
            .filter(|&running| {
                running >= public && word(running) == 0 && word(running + WORD) == 0
            });
        ffi::PyThreadState_Clear(fresh);
        ffi::PyThreadState_Delete(fresh);
        found
    }
}

fn symbol(name: &CStr) -> *mut c_void {
    // SAFETY: looks a name up among the loaded libraries.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

/// What was found at import.
pub(super) fn layout() -> Names {
    let limits = LIMITS.load(Relaxed);
    let asyncio = ASYNCIO.load(Relaxed);
    let mut names = vec![
        ("_PyThreadStateImpl.asyncio_running_loop", asyncio),
        (
            "_PyThreadStateImpl.asyncio_running_task",
            asyncio + size_of::<usize>(),
        ),
    ];
    if limits != 0 {
        names.extend([
            ("_PyThreadStateImpl.c_stack_top", limits),
            (
                "_PyThreadStateImpl.c_stack_soft_limit",
                limits + size_of::<usize>(),
            ),
            (
                "_PyThreadStateImpl.c_stack_hard_limit",
                limits + 2 * size_of::<usize>(),
            ),
        ]);
    }
    names
}
