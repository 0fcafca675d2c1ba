//! A clear end for a green thread that runs out of its stack.
//!
//! An access to a guard is SIGSEGV (SIGBUS on some systems), which by default says nothing at
//! all. The handler here tells what happened and what to do, then passes the signal on, so that
//! faulthandler prints the Python frames and the process ends as it would have ended.
//!
//! # Order of handlers
//!
//! Only the handler that the kernel calls learns the faulting address: faulthandler passes a
//! signal on by raising it anew. So ours must be in front, wherever it was installed first, and
//! `keep_on_top` puts it there again now and then. Its predecessor may then have ours as *its*
//! predecessor, and may also put that back. To keep this from going round, the handler comes
//! in several copies, the levels: each is installed over one predecessor and passes signals on
//! to that one, as if they were unrelated handlers.
//!
//! # In the handler
//!
//! It runs on the alternate signal stack, at any point of any code: no allocation, no lock, no
//! thread local, only atomics and system calls that are safe in a signal handler.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use libc::{c_int, c_void, sigaction, siginfo_t, stack_t};

use super::layout::{GUARD, TOP};
use super::mapping;

/// Slabs that can be recognised: room for a million stacks. Those beyond it are guarded as
/// well, only without a message.
const TABLE: usize = 16 * 1024;

/// Bytes of an alternate signal stack: faulthandler's traceback is printed on it too.
const SIGNAL_STACK: usize = 64 << 10;

/// How often the handler can be put in front of another one.
const LEVELS: usize = 16;

struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
}

static SLABS: [Range; TABLE] = [const {
    Range {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
    }
}; TABLE];

/// Entries of `SLABS` from here on were never used.
static SLABS_END: AtomicUsize = AtomicUsize::new(0);

/// Bytes from slot to slot, the same in all slabs.
static STRIDE: AtomicUsize = AtomicUsize::new(1);

static WATCHING: AtomicBool = AtomicBool::new(false);

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

static HANDLERS: [Handler; LEVELS] = [
    on_signal::<0>,
    on_signal::<1>,
    on_signal::<2>,
    on_signal::<3>,
    on_signal::<4>,
    on_signal::<5>,
    on_signal::<6>,
    on_signal::<7>,
    on_signal::<8>,
    on_signal::<9>,
    on_signal::<10>,
    on_signal::<11>,
    on_signal::<12>,
    on_signal::<13>,
    on_signal::<14>,
    on_signal::<15>,
];

/// The handlers of a signal.
struct Chain {
    signal: c_int,
    /// What each level passes the signal on to, in leaked boxes; null above `len`.
    previous: [AtomicPtr<sigaction>; LEVELS],
    len: AtomicUsize,
    /// The level last seen in front; `LEVELS` before there was one.
    front: AtomicUsize,
}

impl Chain {
    const fn new(signal: c_int) -> Self {
        Self {
            signal,
            previous: [const { AtomicPtr::new(ptr::null_mut()) }; LEVELS],
            len: AtomicUsize::new(0),
            front: AtomicUsize::new(LEVELS),
        }
    }
}

static CHAINS: [Chain; 2] = [Chain::new(libc::SIGSEGV), Chain::new(libc::SIGBUS)];

/// A slab that the handler knows. Callers hold the pool's lock.
#[derive(Debug)]
pub(super) struct Registration(Option<usize>);

/// Makes a slab known to the handler.
pub(super) fn register(first: usize, slots: u32, stride: usize) -> Registration {
    STRIDE.store(stride, Ordering::Relaxed);
    let vacant = |range: &Range| range.start.load(Ordering::Relaxed) == 0;
    let place = SLABS.iter().position(vacant);
    if let Some(place) = place {
        let end = first + slots as usize * stride;
        SLABS[place].end.store(end, Ordering::Relaxed);
        SLABS[place].start.store(first, Ordering::Release);
        SLABS_END.fetch_max(place + 1, Ordering::Release);
    }
    Registration(place)
}

/// Takes a slab out of the handler's table.
pub(super) fn unregister(Registration(place): Registration) {
    if let Some(place) = place {
        SLABS[place].start.store(0, Ordering::Release);
    }
}

fn in_a_guard(address: usize) -> bool {
    SLABS[..SLABS_END.load(Ordering::Acquire)]
        .iter()
        .any(|range| {
            let start = range.start.load(Ordering::Acquire);
            start != 0
                && (start..range.end.load(Ordering::Relaxed)).contains(&address)
                && (address - start) % STRIDE.load(Ordering::Relaxed) < GUARD
        })
}

/// Installs the handler for stack overflows and gives this OS thread a stack to run it on.
///
/// Once per OS thread that runs green threads; more often is harmless, and puts the handler
/// back in front if another one was installed meanwhile.
pub fn watch_overflow() {
    WATCHING.store(true, Ordering::Relaxed);
    provide_signal_stack();
    keep_on_top();
}

/// Puts the handler in front of those installed since, if it is watching at all.
pub(super) fn keep_on_top() {
    if WATCHING.load(Ordering::Relaxed) {
        for chain in &CHAINS {
            put_on_top(chain);
        }
    }
}

fn put_on_top(chain: &Chain) {
    let Some(current) = replace_action(chain.signal, None) else {
        return;
    };
    if let Some(level) = level_of(&current) {
        chain.front.store(level, Ordering::Relaxed);
        return;
    }
    let Some(level) = level_over(chain, current) else {
        return;
    };
    // SAFETY: an all-zero sigaction is valid: default action, no flags, empty mask.
    let mut action: sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = HANDLERS[level] as *const () as usize;
    // SA_NODEFER: a predecessor that raises the signal anew expects it to act at once.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    replace_action(chain.signal, Some(&action));
    chain.front.store(level, Ordering::Relaxed);
}

/// The level of an action, if it is ours.
fn level_of(action: &sigaction) -> Option<usize> {
    HANDLERS
        .iter()
        .position(|&handler| handler as *const () as usize == action.sa_sigaction)
}

/// A level that passes signals on to `action`; `None` if all are taken.
fn level_over(chain: &Chain, action: sigaction) -> Option<usize> {
    let len = chain.len.load(Ordering::Relaxed);
    let front = chain.front.load(Ordering::Relaxed);
    // One that was installed over the same action before serves again, provided the action was
    // in turn installed over a lower level: else each would pass signals on to the other.
    let known = (0..len).find(|&level| {
        // SAFETY: entries below `len` point to boxes that are never freed.
        let known = unsafe { &*chain.previous[level].load(Ordering::Relaxed) };
        let same = known.sa_sigaction == action.sa_sigaction && known.sa_flags == action.sa_flags;
        same && front < level
    });
    if known.is_some() || len == LEVELS {
        return known;
    }
    let leaked = Box::into_raw(Box::new(action));
    chain.previous[len].store(leaked, Ordering::Release);
    chain.len.store(len + 1, Ordering::Relaxed);
    Some(len)
}

/// Sets the action of a signal if one is given; returns the one before.
fn replace_action(signal: c_int, action: Option<&sigaction>) -> Option<sigaction> {
    let mut old = MaybeUninit::zeroed();
    let new = action.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `new` is null or a valid action whose handler is one that was installed before,
    // the default, or ours; `old` has room for one.
    let result = unsafe { libc::sigaction(signal, new, old.as_mut_ptr()) };
    // SAFETY: zeroed is a valid value; sigaction wrote over it.
    (result == 0).then(|| unsafe { old.assume_init() })
}

extern "C" fn on_signal<const LEVEL: usize>(
    signal: c_int,
    info: *mut siginfo_t,
    context: *mut c_void,
) {
    // SAFETY: errno's location is valid in every thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: see above.
    let saved = unsafe { *errno };
    deliver(LEVEL, signal, info, context);
    // SAFETY: see above.
    unsafe { *errno = saved };
}

fn deliver(level: usize, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(chain) = CHAINS.iter().find(|chain| chain.signal == signal) else {
        return;
    };
    // SAFETY: with SA_SIGINFO the kernel passes a valid info.
    let code = unsafe { (*info).si_code };
    // Positive: the kernel's own, about a fault, so there is an address.
    let overflow = code > 0 && {
        // SAFETY: see above.
        in_a_guard(unsafe { (*info).si_addr() } as usize)
    };
    if overflow {
        report();
    }
    pass_on(chain, level, code, info, context);
    // Nobody can repair this one: a predecessor that merely returned, like Python's own for
    // `signal.signal`, would be called again for ever.
    let unchanged = || replace_action(signal, None).as_ref().and_then(level_of);
    if overflow && unchanged().is_some() {
        end(signal, code);
    }
}

/// Calls what a level was installed over.
fn pass_on(chain: &Chain, level: usize, code: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let action = chain.previous[level].load(Ordering::Acquire);
    // SAFETY: the entry was stored before the level was installed; the box is never freed.
    let action = unsafe { &*action };
    match action.sa_sigaction {
        // A fault cannot be ignored: the kernel ends the process then too.
        libc::SIG_IGN if code <= 0 => {}
        libc::SIG_DFL | libc::SIG_IGN => end(chain.signal, code),
        handler if action.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: whoever installed it with SA_SIGINFO gave a function of this type.
            let handler: Handler = unsafe { std::mem::transmute(handler) };
            handler(chain.signal, info, context);
        }
        handler => {
            // SAFETY: whoever installed it without SA_SIGINFO gave a function of this type.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(chain.signal);
        }
    }
}

/// Ends the process by the default action.
fn end(signal: c_int, code: c_int) {
    // SAFETY: an all-zero sigaction is valid: default action, no flags, empty mask.
    let action: sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    replace_action(signal, Some(&action));
    // A fault repeats itself when the handler returns, and the core file then shows its place.
    // What somebody sent, or memory that failed elsewhere (SIGBUS), does not.
    if code <= 0 || signal == libc::SIGBUS {
        // SAFETY: raise may be called in a signal handler.
        unsafe { libc::raise(signal) };
    }
}

fn report() {
    let size = STRIDE.load(Ordering::Relaxed) - GUARD - TOP;
    let mut text = Text::new();
    text.push(b"\nFatal: a green thread ran out of its C stack of ");
    text.push_number(size);
    text.push(
        b" bytes.\n\
        Likely causes: deep recursion that passes through C code (sort, repr, __getattr__,\n\
        callbacks of extension modules), or a C function with a very large frame.\n\
        If the code is right, give green threads larger stacks: set the environment variable\n\
        EVENTLET_ASYNCIO_STACK_SIZE=",
    );
    text.push_number((size >> 20).max(1) * 4);
    text.push(b"M, for example. Or run that code in an OS thread (eventlet.tpool).\n\n");
    text.write();
}

/// Text put together without allocation.
struct Text {
    bytes: [u8; 1024],
    len: usize,
}

impl Text {
    fn new() -> Self {
        Self {
            bytes: [0; 1024],
            len: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = &mut self.bytes[self.len..];
        let fits = bytes.len().min(room.len());
        room[..fits].copy_from_slice(&bytes[..fits]);
        self.len += fits;
    }

    fn push_number(&mut self, mut number: usize) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        while start == digits.len() || number > 0 {
            start -= 1;
            digits[start] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.push(&digits[start..]);
    }

    fn write(&self) {
        let mut rest = &self.bytes[..self.len];
        while !rest.is_empty() {
            // SAFETY: the pointer and length are those of a slice; write may be called in a
            // signal handler.
            let written = unsafe { libc::write(2, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(written) {
                Ok(written) if written > 0 => rest = &rest[written..],
                // Nobody listens. The signal goes on all the same.
                _ => return,
            }
        }
    }
}

/// The alternate signal stack of an OS thread; goes with the thread.
struct SignalStack {
    start: usize,
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        let is_set = signal_stack(None).is_some_and(|set| set.ss_sp as usize == self.start);
        let off = stack_t {
            ss_sp: ptr::null_mut(),
            ss_flags: libc::SS_DISABLE,
            ss_size: SIGNAL_STACK,
        };
        // It cannot be switched off while a handler runs on it; then it stays.
        if !is_set || signal_stack(Some(&off)).is_some() {
            mapping::unmap_signal_stack(self.start, SIGNAL_STACK);
        }
    }
}

/// Gives this OS thread an alternate signal stack, unless it has one.
fn provide_signal_stack() {
    thread_local! {
        static OURS: RefCell<Option<SignalStack>> = const { RefCell::new(None) };
    }
    if signal_stack(None).is_none_or(|set| set.ss_flags & libc::SS_DISABLE == 0) {
        return;
    }
    // Code that runs when the OS thread has destroyed its locals already does without: what it
    // got could not be given back.
    let Ok(ours) = OURS.try_with(RefCell::take) else {
        return;
    };
    let stack = match ours {
        Some(stack) => stack,
        None => match mapping::map_signal_stack(SIGNAL_STACK) {
            Ok(start) => SignalStack { start },
            // Without it an overflow ends the process all the same, only silently.
            Err(_) => return,
        },
    };
    let on = stack_t {
        ss_sp: stack.start as *mut c_void,
        ss_flags: 0,
        ss_size: SIGNAL_STACK,
    };
    if signal_stack(Some(&on)).is_some() {
        OURS.set(Some(stack));
    }
}

/// Sets this OS thread's alternate signal stack if one is given; returns the one before.
fn signal_stack(new: Option<&stack_t>) -> Option<stack_t> {
    let mut old = MaybeUninit::zeroed();
    // SAFETY: `new` is null, or switches it off, or names memory that stays mapped until it is
    // switched off; `old` has room for one.
    let result =
        unsafe { libc::sigaltstack(new.map_or(ptr::null(), ptr::from_ref), old.as_mut_ptr()) };
    // SAFETY: zeroed is a valid value; sigaltstack wrote over it.
    (result == 0).then(|| unsafe { old.assume_init() })
}
