//! uvloop's loops in green code: a loop of libuv that lets other green threads run.
//!
//! uvloop sleeps inside `uv_run`, in C code that has no selector to replace. But libuv is made
//! to be embedded: a *prepare* handle is called right before the loop sleeps, and
//! `uv_backend_timeout` tells how long it would. So the green thread that runs the loop parks
//! there, on the loop's own descriptor, with its C stack in the middle of `uv_run`; an *idle*
//! handle that is always active keeps libuv itself from sleeping. The loop's callbacks run as
//! ever, on the same stack.
//!
//! libuv is part of uvloop's extension module, or of a library that this one links to. Its
//! functions are looked up there by name, and only those of its documented, stable interface
//! are used. A uvloop that hides them is not embedded; see `nested`.
//!
//! libuv calls the prepare handle without the GIL. `PyO3` does not know that Cython gave it up,
//! so the GIL is taken with `CPython`'s own function here.

use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr;

use once_cell::sync::OnceCell;
use pyo3::exceptions::{PyMemoryError, PyOSError, PyRuntimeError};
use pyo3::ffi;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use crate::error::{raise, take_raised};
use crate::reactor::now;

/// How long a busy loop may keep other green threads waiting, in nanoseconds.
const SLICE: u64 = 500_000;

/// `UV_IDLE` and `UV_PREPARE` of `uv_handle_type`, the same in all of libuv 1.x.
const IDLE: c_int = 6;
const PREPARE: c_int = 9;

type Callback = unsafe extern "C" fn(*mut c_void);
type Size = unsafe extern "C" fn(c_int) -> usize;
type Init = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type Start = unsafe extern "C" fn(*mut c_void, Callback) -> c_int;
type Close = unsafe extern "C" fn(*mut c_void, Callback);
type Do = unsafe extern "C" fn(*mut c_void);
type Ask = unsafe extern "C" fn(*mut c_void) -> c_int;

/// The functions of libuv that are used.
struct Api {
    handle_size: Size,
    idle_init: Init,
    idle_start: Start,
    idle_stop: Ask,
    prepare_init: Init,
    prepare_start: Start,
    close: Close,
    stop: Do,
    fork: Ask,
    backend_fd: Ask,
    backend_timeout: Ask,
}

impl Api {
    /// Looks the functions up in a shared object that is loaded already.
    fn of(library: &CStr) -> Result<Self, String> {
        let find = finder(library)?;
        macro_rules! function {
            ($name:literal as $kind:ty) => {{
                let found = find($name)?;
                // SAFETY: libuv's documentation gives the function this signature.
                unsafe { std::mem::transmute::<*mut c_void, $kind>(found) }
            }};
        }
        Ok(Self {
            handle_size: function!(c"uv_handle_size" as Size),
            idle_init: function!(c"uv_idle_init" as Init),
            idle_start: function!(c"uv_idle_start" as Start),
            idle_stop: function!(c"uv_idle_stop" as Ask),
            prepare_init: function!(c"uv_prepare_init" as Init),
            prepare_start: function!(c"uv_prepare_start" as Start),
            close: function!(c"uv_close" as Close),
            stop: function!(c"uv_stop" as Do),
            fork: function!(c"uv_loop_fork" as Ask),
            backend_fd: function!(c"uv_backend_fd" as Ask),
            backend_timeout: function!(c"uv_backend_timeout" as Ask),
        })
    }
}

/// What looks functions up in a shared object that is loaded already.
pub(super) fn finder(
    library: &CStr,
) -> Result<impl Fn(&CStr) -> Result<*mut c_void, String>, String> {
    // SAFETY: with RTLD_NOLOAD nothing is loaded, so no initialiser runs.
    let handle = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if handle.is_null() {
        return Err(format!("{} is not loaded", library.to_string_lossy()));
    }
    let library = library.to_string_lossy().into_owned();
    Ok(move |name: &CStr| {
        // SAFETY: the handle was just opened. It is never closed: the functions stay.
        let found = unsafe { libc::dlsym(handle, name.as_ptr()) };
        if found.is_null() {
            let name = name.to_string_lossy();
            return Err(format!("{library} does not export {name}"));
        }
        Ok(found)
    })
}

/// The loop of libuv in a capsule of uvloop's, open while that is.
pub(super) fn loop_of(capsule: &Bound<'_, PyAny>) -> PyResult<*mut c_void> {
    // SAFETY: a capsule without a name, as uvloop makes it; another object is an error.
    let uv = unsafe { ffi::PyCapsule_GetPointer(capsule.as_ptr(), ptr::null()) };
    if uv.is_null() {
        return Err(PyErr::fetch(capsule.py()));
    }
    Ok(uv)
}

/// Raises an `OSError` for one of libuv's codes, which are negated errnos on Unix.
pub(super) fn checked(code: c_int) -> PyResult<()> {
    if code < 0 {
        return Err(std::io::Error::from_raw_os_error(-code).into());
    }
    Ok(())
}

static API: OnceCell<Api> = OnceCell::new();

/// What the callbacks of one run know. Freed when libuv has closed both handles.
struct Guest {
    api: &'static Api,
    uv: *mut c_void,
    /// Memory of libuv's handles, from `malloc`.
    idle: *mut c_void,
    prepare: *mut c_void,
    /// Owned: called instead of sleeping, with the milliseconds that the loop would sleep.
    pause: *mut PyObject,
    /// Owned or NULL: raised by `pause`, and not reported yet.
    error: *mut PyObject,
    /// When a loop that does not sleep has to let others run.
    until: u64,
    /// Handles that libuv has not closed yet.
    open: u8,
}

/// Lets other green threads run where a loop of libuv would sleep, until `end()`.
///
/// Args:
///     capsule: What `uvloop.loop.libuv_get_loop_t_ptr()` returns for the loop.
///     library: The path of uvloop's extension module.
///     pause: Called with the number of milliseconds that the loop would sleep, -1 if for
///         ever, 0 if it is only to let others run.
///
/// Raises:
///     OSError: If libuv's functions are not to be found there.
#[pyclass(frozen, module = "eventlet_asyncio._core")]
pub(crate) struct _UvGuest {
    /// NULL once it has ended.
    guest: UnsafeCell<*mut Guest>,
}

// SAFETY: used with the GIL held, and by libuv on the OS thread that runs the loop.
unsafe impl Sync for _UvGuest {}
// SAFETY: as for Sync.
unsafe impl Send for _UvGuest {}

impl _UvGuest {
    fn present(&self) -> PyResult<*mut Guest> {
        // SAFETY: the GIL is held by the methods.
        let guest = unsafe { *self.guest.get() };
        if guest.is_null() {
            return Err(PyRuntimeError::new_err("this run of the loop has ended"));
        }
        Ok(guest)
    }
}

#[pymethods]
impl _UvGuest {
    #[new]
    fn new(capsule: &Bound<'_, PyAny>, library: &str, pause: Py<PyAny>) -> PyResult<Self> {
        let library = CString::new(library)?;
        let api = API
            .get_or_try_init(|| Api::of(&library))
            .map_err(PyOSError::new_err)?;
        let uv = loop_of(capsule)?;
        // SAFETY: the loop is open and not running: the caller is about to run it.
        unsafe {
            let guest = begin(api, uv, pause.into_ptr())?;
            Ok(Self {
                guest: UnsafeCell::new(guest),
            })
        }
    }

    /// The descriptor that is readable when the loop has something to do.
    #[getter]
    fn descriptor(&self) -> PyResult<c_int> {
        let guest = self.present()?;
        // SAFETY: the loop is open for as long as it has a guest.
        Ok(unsafe { ((*guest).api.backend_fd)((*guest).uv) })
    }

    /// Give the loop a poller of its own, in a forked child; its descriptor may be another then.
    fn fork(&self) -> PyResult<()> {
        let guest = self.present()?;
        // SAFETY: as for `descriptor`.
        checked(unsafe { ((*guest).api.fork)((*guest).uv) })
    }

    /// Leave the loop, which has stopped; raise what `pause` raised.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        // SAFETY: the GIL is held, and the loop does not run.
        unsafe {
            let guest = std::mem::replace(&mut *self.guest.get(), ptr::null_mut());
            if guest.is_null() {
                return Ok(());
            }
            let error = end(guest);
            if error.is_null() {
                return Ok(());
            }
            raise(error);
            Err(PyErr::fetch(py))
        }
    }
}

impl Drop for _UvGuest {
    fn drop(&mut self) {
        let guest = *self.guest.get_mut();
        if !guest.is_null() {
            // SAFETY: the loop is alive, since its runner has not ended this; the GIL is held.
            unsafe { ffi::Py_XDECREF(end(guest)) }
        }
    }
}

/// Puts both handles into the loop.
unsafe fn begin(api: &'static Api, uv: *mut c_void, pause: *mut PyObject) -> PyResult<*mut Guest> {
    // SAFETY: contract of `_UvGuest::new`; the sizes are libuv's own, and the handles are
    // complete before the loop runs.
    unsafe {
        let idle = libc::calloc(1, (api.handle_size)(IDLE));
        let prepare = libc::calloc(1, (api.handle_size)(PREPARE));
        let guest = Box::into_raw(Box::new(Guest {
            api,
            uv,
            idle,
            prepare,
            pause,
            error: ptr::null_mut(),
            until: now().saturating_add(SLICE),
            open: 2,
        }));
        if idle.is_null() || prepare.is_null() {
            free(guest);
            return Err(PyMemoryError::new_err("no memory for handles of libuv"));
        }
        // These cannot fail but for a NULL callback.
        (api.idle_init)(uv, idle);
        (api.prepare_init)(uv, prepare);
        *data_of(idle) = guest;
        *data_of(prepare) = guest;
        (api.idle_start)(idle, nothing);
        (api.prepare_start)(prepare, prepared);
        Ok(guest)
    }
}

/// Takes both handles out of the loop; returns the error to report (owned) or NULL.
unsafe fn end(guest: *mut Guest) -> *mut PyObject {
    // SAFETY: called once per guest with the GIL held; `closed` frees it in a later pass.
    unsafe {
        let error = std::mem::replace(&mut (*guest).error, ptr::null_mut());
        ffi::Py_CLEAR(&raw mut (*guest).pause);
        let Guest {
            api, idle, prepare, ..
        } = *guest;
        (api.close)(idle, closed);
        (api.close)(prepare, closed);
        error
    }
}

unsafe fn free(guest: *mut Guest) {
    // SAFETY: nobody uses the handles any more; `pause` was given up by `end` or is given up
    // here, with the GIL held.
    unsafe {
        libc::free((*guest).idle);
        libc::free((*guest).prepare);
        ffi::Py_XDECREF((*guest).pause);
        drop(Box::from_raw(guest));
    }
}

/// libuv is done with a handle. Runs without the GIL.
unsafe extern "C" fn closed(handle: *mut c_void) {
    // SAFETY: called by libuv with a handle of `begin`, whose guest is freed here only.
    unsafe {
        let guest = *data_of(handle);
        (*guest).open -= 1;
        if (*guest).open == 0 {
            // `end` has given `pause` up: nothing of Python is touched.
            free(guest);
        }
    }
}

/// Where a handle keeps its guest: `data` is the first member of `uv_handle_t` in libuv's
/// public header. (Its accessor functions are newer, and uvloop's build leaves them out.)
fn data_of(handle: *mut c_void) -> *mut *mut Guest {
    handle.cast()
}

unsafe extern "C" fn nothing(_: *mut c_void) {}

/// The loop is about to sleep. Runs without the GIL, on the stack that runs the loop.
///
/// # Switches
/// If the loop has nothing to do, or has been busy for long.
unsafe extern "C" fn prepared(handle: *mut c_void) {
    // SAFETY: called by libuv within `uv_run`; the handles are open, so the guest lives.
    unsafe {
        let guest = *data_of(handle);
        let Guest { api, uv, idle, .. } = *guest;
        // Our own idle handle would make it zero.
        (api.idle_stop)(idle);
        let sleep = (api.backend_timeout)(uv);
        (api.idle_start)(idle, nothing);
        // A look at its descriptor is much cheaper than a way over the hub.
        let busy = sleep == 0 || is_readable((api.backend_fd)(uv));
        if busy && now() < (*guest).until {
            return;
        }
        let state = ffi::PyGILState_Ensure();
        if !pause(guest, if busy { 0 } else { sleep }) {
            (api.stop)(uv);
        }
        (*guest).until = now().saturating_add(SLICE);
        ffi::PyGILState_Release(state);
    }
}

fn is_readable(fd: c_int) -> bool {
    let mut asked = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one element, valid for the call, which does not wait.
    unsafe { libc::poll(&raw mut asked, 1, 0) > 0 }
}

/// Calls `pause`; false if that raised something.
unsafe fn pause(guest: *mut Guest, sleep: c_int) -> bool {
    // SAFETY: called by `prepared` with the GIL held. The object is held during the call.
    unsafe {
        let function = ffi::Py_XNewRef((*guest).pause);
        if function.is_null() {
            return true;
        }
        let argument = ffi::PyLong_FromLong(sleep.into());
        let result = if argument.is_null() {
            ptr::null_mut()
        } else {
            ffi::PyObject_CallOneArg(function, argument)
        };
        ffi::Py_XDECREF(argument);
        ffi::Py_DECREF(function);
        if result.is_null() {
            let former = std::mem::replace(&mut (*guest).error, take_raised());
            ffi::Py_XDECREF(former);
            return false;
        }
        ffi::Py_DECREF(result);
        true
    }
}
