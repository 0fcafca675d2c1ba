//! Reading and writing sockets: the system call first, parking only if it would block.
//!
//! Sockets are registered with the reactor once, edge-triggered, when they first have to
//! wait. That is right because green sockets report every close and every new descriptor
//! (`notify_close`, `notify_opened`), so a number never silently changes its meaning.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use super::{Parked, Visit, Watcher, fair, io, park, registry};
use crate::error::raise_new;
use crate::greenlet::arguments::{given, none, seconds};
use crate::greenlet::define::fast;
use crate::greenlet::{self, Inbound, errors};
use crate::reactor::{Direction, now};
use crate::sched::nanos_from_seconds;

unsafe extern "C" {
    /// Public C API that pyo3-ffi does not declare.
    fn _PyBytes_Resize(bytes: *mut *mut PyObject, size: ffi::Py_ssize_t) -> c_int;
}

/// The module functions of this file.
pub(crate) fn functions() -> Vec<ffi::PyMethodDef> {
    vec![
        fast(c"sock_recv", recv, c"sock_recv($module, fd, bufsize, flags, timeout, /)\n--\n\nReturn up to bufsize bytes of a non-blocking socket. Switch point if there are none."),
        fast(c"sock_recv_into", recv_into, c"sock_recv_into($module, fd, buffer, nbytes, flags, timeout, /)\n--\n\nRead into a buffer, return the number of bytes. Switch point if there are none."),
        fast(c"sock_send", send, c"sock_send($module, fd, data, flags, timeout, /)\n--\n\nSend some of the data, return how much. Switch point if the socket is full."),
        fast(c"sock_sendall", sendall, c"sock_sendall($module, fd, data, flags, timeout, /)\n--\n\nSend all of the data. Switch point whenever the socket is full."),
    ]
}

/// The moment a wait has to end; found out when it is first needed.
pub(crate) struct Patience {
    seconds: Option<f64>,
    deadline: Option<u64>,
}

impl Patience {
    /// `timeout` is None or a number of seconds, borrowed. Read before the first system call:
    /// between one that answers EAGAIN and the wait no Python code may run. None with an
    /// exception set.
    unsafe fn new(timeout: *mut PyObject) -> Option<Self> {
        let seconds = if given(timeout) {
            // SAFETY: the GIL is held by the callers; `timeout` is live.
            Some(unsafe { seconds(timeout) }?)
        } else {
            None
        };
        Some(Self {
            seconds,
            deadline: None,
        })
    }

    /// Waits until a moment of the monotonic clock; for ever without one.
    pub(crate) fn until(deadline: Option<u64>) -> Self {
        Self {
            seconds: None,
            deadline,
        }
    }

    /// None without a limit.
    fn deadline(&mut self) -> Option<u64> {
        if self.deadline.is_none()
            && let Some(seconds) = self.seconds
        {
            self.deadline = Some(now().saturating_add(nanos_from_seconds(seconds)));
        }
        self.deadline
    }
}

/// Parks until the socket is ready. False with an exception set: it failed, or time is up.
///
/// # Safety
/// The GIL is held, no exception is set; the system call answered EAGAIN just now.
///
/// # Switches
/// Always, unless the socket cannot be watched.
unsafe fn until_ready(fd: c_int, direction: Direction, patience: &mut Patience) -> bool {
    // SAFETY: by contract; nothing of the hub is borrowed across the park.
    unsafe {
        let deadline = patience.deadline();
        let core = registry::hub();
        if core.is_null() {
            return false;
        }
        if let Err(error) = io::refuse_second(core, fd, direction) {
            error.restore(Python::assume_attached());
            return false;
        }
        let handle = match (*core).reactor.trusted(fd) {
            Ok(handle) => handle,
            Err(error) => {
                io::set_os_error(error.raw_os_error().unwrap_or(libc::EBADF));
                return false;
            }
        };
        (*core).reactor.clear_ready(handle, direction);
        let watcher = Watcher::Parked(Parked::current((*core).thread));
        let key = match (*core).reactor.wait(handle, direction, watcher) {
            Ok(Some(key)) => key,
            Ok(None) => {
                greenlet::decref((*(*core).thread).current);
                return true;
            }
            Err(error) => {
                greenlet::decref((*(*core).thread).current);
                io::set_os_error(error.errno());
                return false;
            }
        };
        let visit = Visit::new(core);
        let inbound = park::park_until(core, deadline);
        let mut closed = false;
        if visit.lasts() {
            if let Some(Watcher::Parked(parked)) = (*core).reactor.unwatch(key) {
                parked.release();
            }
            closed = !(*core).reactor.lives(handle);
        }
        if closed && matches!(inbound, Inbound::Value(_)) {
            // Found ready, and closed before its turn came: the number may be another file's.
            inbound.discard();
            io::set_os_error(libc::EBADF);
            return false;
        }
        settle(inbound)
    }
}

/// Tells how a wait ended.
unsafe fn settle(inbound: Inbound) -> bool {
    // SAFETY: contract of `until_ready`.
    unsafe {
        match inbound {
            Inbound::Nothing => {
                raise_new(ffi::PyExc_TimeoutError, c"timed out");
                false
            }
            Inbound::Error(error) => {
                errors::raise(error);
                false
            }
            other => {
                other.discard();
                true
            }
        }
    }
}

/// What a failed system call means for the caller.
enum Failure {
    /// Wait until the socket is ready.
    Wait,
    /// Try again at once.
    Retry,
    /// An exception is set.
    Raised,
}

unsafe fn failure() -> Failure {
    // SAFETY: the GIL is held by the callers; errno is that of the call before.
    unsafe {
        match *libc::__errno_location() {
            code if code == libc::EAGAIN || code == libc::EWOULDBLOCK => Failure::Wait,
            libc::EINTR => {
                if ffi::PyErr_CheckSignals() < 0 {
                    Failure::Raised
                } else {
                    Failure::Retry
                }
            }
            code => {
                io::set_os_error(code);
                Failure::Raised
            }
        }
    }
}

/// Tells the reactor of a read that left nothing behind.
///
/// # Safety
/// The GIL is held.
pub(crate) unsafe fn note_read(fd: c_int, flags: c_int, got: isize, room: usize) {
    let core = registry::existing();
    if flags == 0 && got > 0 && (got as usize) < room && !core.is_null() {
        // SAFETY: the hub of this OS thread is live; the GIL is held by the callers.
        unsafe {
            (*core)
                .reactor
                .note_drained(fd, Direction::Read, || is_stream(fd));
        }
    }
}

/// Whether a descriptor is a socket that carries a stream of bytes.
fn is_stream(fd: c_int) -> bool {
    let mut kind: c_int = 0;
    let mut len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: both pointers lead to live locals of the sizes told.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            (&raw mut kind).cast(),
            &raw mut len,
        )
    };
    result == 0 && kind == libc::SOCK_STREAM
}

/// Repeats `call` until it succeeds; -1 with an exception set on failure. Pays for it first.
///
/// # Safety
/// The GIL is held, no exception is set. `call` makes one system call on `fd`, which is
/// non-blocking, and leaves errno alone if that fails.
///
/// # Switches
/// Whenever the call would block, and if the turn's allowance is used up.
pub(crate) unsafe fn persist(
    fd: c_int,
    direction: Direction,
    patience: &mut Patience,
    mut call: impl FnMut() -> isize,
) -> isize {
    // SAFETY: contract of the callers.
    if !unsafe { fair::pay_for(fd) } {
        return -1;
    }
    let core = registry::existing();
    // SAFETY: contract of the callers; the hub of this OS thread is live.
    let drained = !core.is_null() && unsafe { (*core).reactor.is_drained(fd, direction) };
    // SAFETY: as above.
    if drained && !unsafe { until_ready(fd, direction, patience) } {
        return -1;
    }
    loop {
        let count = call();
        if count >= 0 {
            let core = registry::existing();
            if !core.is_null() {
                // SAFETY: contract of the callers; the hub of this OS thread is live.
                unsafe { (*core).stirred = true }
            }
            return count;
        }
        // SAFETY: contract of the callers.
        unsafe {
            match failure() {
                Failure::Retry => {}
                Failure::Wait if until_ready(fd, direction, patience) => {}
                _ => return -1,
            }
        }
    }
}

unsafe fn int(value: *mut PyObject) -> Option<c_int> {
    // SAFETY: the GIL is held by the callers; `value` is live.
    unsafe {
        let number = ffi::PyLong_AsLong(value);
        if number == -1 && !ffi::PyErr_Occurred().is_null() {
            return None;
        }
        if let Ok(number) = c_int::try_from(number) {
            return Some(number);
        }
        raise_new(ffi::PyExc_OverflowError, c"number out of range");
        None
    }
}

unsafe fn size(value: *mut PyObject) -> Option<isize> {
    // SAFETY: as for `int`.
    unsafe {
        let number = ffi::PyLong_AsSsize_t(value);
        if number == -1 && !ffi::PyErr_Occurred().is_null() {
            return None;
        }
        Some(number)
    }
}

unsafe fn arguments<const N: usize>(
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
) -> Option<[*mut PyObject; N]> {
    // SAFETY: `args` holds `count` live objects, as CPython passes them.
    unsafe {
        if count as usize != N {
            raise_new(
                ffi::PyExc_TypeError,
                c"wrong number of arguments: see the signature",
            );
            return None;
        }
        let mut found = [ptr::null_mut(); N];
        ptr::copy_nonoverlapping(args, found.as_mut_ptr(), N);
        Some(found)
    }
}

unsafe extern "C" fn recv(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; the bytes object is ours alone until
    // it is returned.
    unsafe {
        let Some([fd, bufsize, flags, timeout]) = arguments(args, count) else {
            return ptr::null_mut();
        };
        let (Some(fd), Some(bufsize), Some(flags)) = (int(fd), size(bufsize), int(flags)) else {
            return ptr::null_mut();
        };
        if bufsize < 0 {
            return raise_new(ffi::PyExc_ValueError, c"negative buffersize in recv");
        }
        let Some(mut patience) = Patience::new(timeout) else {
            return ptr::null_mut();
        };
        let mut bytes = ffi::PyBytes_FromStringAndSize(ptr::null(), bufsize);
        if bytes.is_null() {
            return ptr::null_mut();
        }
        let start = ffi::PyBytes_AsString(bytes).cast::<c_void>();
        let got = persist(fd, Direction::Read, &mut patience, || {
            libc::recv(fd, start, bufsize as usize, flags)
        });
        if got < 0 {
            ffi::Py_DECREF(bytes);
            return ptr::null_mut();
        }
        note_read(fd, flags, got, bufsize as usize);
        if got != bufsize {
            // On failure it sets the exception and NULL.
            _PyBytes_Resize(&raw mut bytes, got);
        }
        bytes
    }
}

/// A buffer that is given back when it goes out of scope.
struct Buffer(ffi::Py_buffer);

impl Buffer {
    unsafe fn get(object: *mut PyObject, flags: c_int) -> Option<Self> {
        let mut view = ffi::Py_buffer::new();
        // SAFETY: `object` is live; the GIL is held by the callers.
        if unsafe { ffi::PyObject_GetBuffer(object, &raw mut view, flags) } < 0 {
            return None;
        }
        Some(Self(view))
    }

    fn start(&self) -> *mut c_char {
        self.0.buf.cast()
    }

    fn len(&self) -> usize {
        self.0.len as usize
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the view was filled by PyObject_GetBuffer; the GIL is held, since these
        // live in functions called by CPython only.
        unsafe { ffi::PyBuffer_Release(&raw mut self.0) }
    }
}

unsafe extern "C" fn recv_into(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; the view keeps the memory in place.
    unsafe {
        let Some([fd, buffer, nbytes, flags, timeout]) = arguments(args, count) else {
            return ptr::null_mut();
        };
        let (Some(fd), Some(nbytes), Some(flags)) = (int(fd), size(nbytes), int(flags)) else {
            return ptr::null_mut();
        };
        let Some(mut patience) = Patience::new(timeout) else {
            return ptr::null_mut();
        };
        let Some(view) = Buffer::get(buffer, ffi::PyBUF_WRITABLE) else {
            return ptr::null_mut();
        };
        if nbytes < 0 || nbytes as usize > view.len() {
            let wrong = if nbytes < 0 {
                c"negative buffersize in recv_into"
            } else {
                c"buffer too small for requested bytes"
            };
            return raise_new(ffi::PyExc_ValueError, wrong);
        }
        let room = if nbytes == 0 {
            view.len()
        } else {
            nbytes as usize
        };
        let start = view.start().cast::<c_void>();
        let got = persist(fd, Direction::Read, &mut patience, || {
            libc::recv(fd, start, room, flags)
        });
        note_read(fd, flags, got, room);
        if got < 0 {
            ptr::null_mut()
        } else {
            ffi::PyLong_FromSsize_t(got)
        }
    }
}

/// What `send` and `sendall` are given: descriptor, data, flags, timeout. None with an
/// exception set.
unsafe fn outgoing(
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
) -> Option<(c_int, Buffer, c_int, Patience)> {
    // SAFETY: arguments as CPython passes them; the GIL is held.
    unsafe {
        let [fd, data, flags, timeout] = arguments(args, count)?;
        let (fd, flags, patience) = (int(fd)?, int(flags)?, Patience::new(timeout)?);
        let view = Buffer::get(data, ffi::PyBUF_SIMPLE)?;
        Some((fd, view, flags, patience))
    }
}

unsafe extern "C" fn send(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as for `recv_into`.
    unsafe {
        let Some((fd, view, flags, mut patience)) = outgoing(args, count) else {
            return ptr::null_mut();
        };
        let start = view.start().cast::<c_void>();
        let sent = persist(fd, Direction::Write, &mut patience, || {
            libc::send(fd, start, view.len(), flags)
        });
        if sent < 0 {
            ptr::null_mut()
        } else {
            ffi::PyLong_FromSsize_t(sent)
        }
    }
}

unsafe extern "C" fn sendall(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as for `recv_into`.
    unsafe {
        let Some((fd, view, flags, mut patience)) = outgoing(args, count) else {
            return ptr::null_mut();
        };
        let mut done = 0;
        loop {
            let rest = view.start().add(done).cast::<c_void>();
            let sent = persist(fd, Direction::Write, &mut patience, || {
                libc::send(fd, rest, view.len() - done, flags)
            });
            if sent < 0 {
                return ptr::null_mut();
            }
            done += sent as usize;
            if done >= view.len() {
                return none();
            }
        }
    }
}
