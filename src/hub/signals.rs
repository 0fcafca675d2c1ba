//! Signals that the kernel hands to another OS thread than the main one.
//!
//! Python calls handlers in the main thread, which a signal interrupts only if it is that
//! thread which the kernel chose. If its hub sleeps, it has to be woken: by the descriptor that
//! CPython's part of the handler writes to (`signal.set_wakeup_fd`). There is one for the process,
//! and the application or its event loop may have put one of theirs there. So ours is in place
//! only while the hub sleeps, and what has come there is handed on at once.
//!
//! A sleep begins with a nap without all this: a busy hub is woken before it is over, and an idle
//! one looks for signals then, by which those are found, too, that came just before.

use std::ffi::c_int;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use super::Core;

/// Has signals written to a descriptor, -1 for none; returns the former one. None if this is not
/// the interpreter's main thread, or there is no such descriptor any more.
///
/// CPython offers no C function for it that is exported everywhere.
fn exchange(py: Python<'_>, fd: c_int) -> Option<c_int> {
    let (exchange, options) = EXCHANGE.get(py)?;
    let former = exchange.bind(py).call((fd,), Some(options.bind(py)));
    former.and_then(|former| former.extract()).ok()
}

/// `set_wakeup_fd` and its named arguments.
static EXCHANGE: PyOnceLock<(Py<PyAny>, Py<PyDict>)> = PyOnceLock::new();

/// Looks up what is needed later. To be done where an exception may be raised: the import runs
/// Python code, and with it signal handlers.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    EXCHANGE.get_or_try_init(py, || {
        let options = PyDict::new(py);
        options.set_item("warn_on_full_buffer", false)?;
        let exchange = py.import("_signal")?.getattr("set_wakeup_fd")?;
        PyResult::Ok((exchange.unbind(), options.unbind()))
    })?;
    Ok(())
}

/// Has signals written where they were before; nowhere if that is closed.
fn put_back(py: Python<'_>, former: c_int) {
    if exchange(py, former).is_none() {
        exchange(py, -1);
    }
}

/// How long a hub sleeps before it listens for signals: half of what handlers may be late.
pub(super) const NAP_NANOS: u64 = 25_000_000;

/// The pipe that signals are written to while the main thread's hub sleeps; made on first use
/// and kept.
#[derive(Clone, Copy)]
struct Pipe {
    /// The process that made it: a forked child makes its own.
    process: u32,
    file: (libc::dev_t, libc::ino_t),
    read: c_int,
    write: c_int,
}

/// Touched with the GIL held.
static mut PIPE: Option<Pipe> = None;
/// What ours stands in for just now. Touched with the GIL held.
static mut STANDS_FOR: Option<c_int> = None;

/// Whether this is the main thread, by the kernel's account: that of the interpreter, unless an
/// application has started that in another one and will hear nothing from us.
pub(super) fn in_main_thread() -> bool {
    // SAFETY: neither has preconditions.
    unsafe { libc::gettid() == libc::getpid() }
}

/// Signals are written to our pipe, in place of another descriptor, until [`Listening::end`].
pub(super) struct Listening {
    read: c_int,
    former: c_int,
}

impl Listening {
    /// Begins, unless the system has no pipe to give.
    ///
    /// # Safety
    /// `core` is the hub of this OS thread, the main one; the GIL is held.
    pub(super) unsafe fn begin(py: Python<'_>, core: *mut Core) -> Option<Self> {
        // SAFETY: by contract; the borrows end with their statements.
        unsafe {
            let (read, write) = pipe()?;
            (*core).reactor.heed(read).ok()?;
            let former = exchange(py, write)?;
            STANDS_FOR = Some(former);
            Some(Self { read, former })
        }
    }

    /// Puts the former descriptor back and hands on what has come. True if anything has.
    ///
    /// # Safety
    /// The GIL is held.
    pub(super) unsafe fn end(self, py: Python<'_>) -> bool {
        let mut signals = [0u8; 512];
        let mut any = false;
        // SAFETY: by contract; the buffer is as long as is said. A descriptor that its owner
        // has closed meanwhile is refused by the system.
        unsafe {
            STANDS_FOR = None;
            put_back(py, self.former);
            loop {
                let count = libc::read(self.read, signals.as_mut_ptr().cast(), signals.len());
                let Ok(count @ 1..) = usize::try_from(count) else {
                    return any;
                };
                any = true;
                if self.former >= 0 {
                    libc::write(self.former, signals.as_ptr().cast(), count);
                }
            }
        }
    }
}

/// Both ends of the pipe, if it was made.
pub(super) fn descriptors(_py: Python<'_>) -> Vec<c_int> {
    // SAFETY: the token shows that the GIL is held, and nobody writes meanwhile.
    let made = unsafe { PIPE };
    made.map_or_else(Vec::new, |pipe| vec![pipe.read, pipe.write])
}

/// Both ends of the pipe of this process.
///
/// # Safety
/// The GIL is held.
unsafe fn pipe() -> Option<(c_int, c_int)> {
    // SAFETY: by contract; nobody else uses the static meanwhile.
    let known = unsafe { PIPE };
    if let Some(pipe) = known {
        // A program that closes all descriptors may have closed these, and may use the numbers.
        let (reads, writes) = (pipe.is_behind(pipe.read), pipe.is_behind(pipe.write));
        if pipe.process == std::process::id() && reads && writes {
            return Some((pipe.read, pipe.write));
        }
        for (fd, ours) in [(pipe.read, reads), (pipe.write, writes)] {
            if ours {
                // SAFETY: it is ours.
                unsafe { libc::close(fd) };
            }
        }
    }
    let mut ends = [0; 2];
    // SAFETY: there is room for two.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
        return None;
    }
    let [read, write] = ends;
    let new = Pipe {
        process: std::process::id(),
        file: file_of(read)?,
        read,
        write,
    };
    // SAFETY: as above.
    unsafe { PIPE = Some(new) };
    Some((read, write))
}

impl Pipe {
    /// Whether a number still names this pipe.
    fn is_behind(&self, fd: c_int) -> bool {
        file_of(fd) == Some(self.file)
    }
}

/// What tells the file behind a number from all others; None if there is none.
fn file_of(fd: c_int) -> Option<(libc::dev_t, libc::ino_t)> {
    // SAFETY: plain numbers, for which zero is a value.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for the answer.
    if unsafe { libc::fstat(fd, &raw mut status) } != 0 {
        return None;
    }
    Some((status.st_dev, status.st_ino))
}

/// In a forked child: signals do not go to the parent, whose main thread was asleep.
///
/// # Safety
/// Called in the child, by the thread that forked, with the GIL held.
pub(super) unsafe fn after_fork_in_child(py: Python<'_>) {
    // SAFETY: by contract.
    unsafe {
        let former = STANDS_FOR;
        STANDS_FOR = None;
        if let Some(former) = former {
            put_back(py, former);
        }
    }
}
