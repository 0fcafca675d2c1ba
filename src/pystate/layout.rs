//! The check made at import: is the running interpreter laid out as this build believes?
//!
//! Nothing here trusts the mirror before something public agrees with it. The order matters:
//! first what needs no field at all, then fields that are only compared, last pointers
//! that are followed.

use std::ffi::{CStr, c_int};
use std::ptr;

use pyo3::ffi::{self, PyObject, PyThreadState};

#[cfg(Py_3_11)]
use super::chunk::DataStack;
use super::version::{self, ExcItem, ThreadState};

/// Fields named as in CPython's headers, `Type.field`, with their offsets.
pub(super) type Names = Vec<(&'static str, usize)>;

/// Lists offsets of mirrored structures under their names in C; `c_name: path` where the
/// mirror groups fields.
macro_rules! names {
    ($($c:literal => $mirror:ty { $($field:ident $(: $($path:ident).+)?),* $(,)? })*) => {
        vec![$(
            $((
                concat!($c, ".", stringify!($field)),
                names!(@offset $mirror, $field $(, $($path).+)?),
            ),)*
        )*]
    };
    (@offset $mirror:ty, $field:ident) => { std::mem::offset_of!($mirror, $field) };
    (@offset $mirror:ty, $field:ident, $($path:ident).+) => {
        std::mem::offset_of!($mirror, $($path).+)
    };
}
pub(super) use names;

/// What a version's file reads from the running thread state, for comparison.
pub(super) struct Probe {
    /// The running frame: a frame object on 3.10, an internal frame since.
    pub(super) frame: *mut std::ffi::c_void,
    /// How deep the recursion is, and its limit.
    pub(super) recursion: (c_int, c_int),
    /// What `Py_EnterRecursiveCall` counts up, where it counts.
    pub(super) c_depth: Option<c_int>,
    /// Where Python frames are put.
    #[cfg(Py_3_11)]
    pub(super) datastack: DataStack,
}

/// Offsets this build works with, for comparison with the headers.
pub(crate) fn layout() -> Names {
    version::layout()
}

/// Says whether the running interpreter is one this build can work with.
///
/// To be called once, at import, before anything else of this layer.
///
/// # Errors
/// A sentence that says what does not fit and what to do.
pub(crate) fn check() -> Result<(), String> {
    check_version()?;
    #[cfg(Py_3_13)]
    super::debug_offsets::check()?;
    // SAFETY: the module is being imported, so this thread is attached.
    let ts = unsafe { ffi::PyThreadState_Get() };
    // SAFETY: version and kind of the interpreter are right, so the structure is at
    // least as long as the mirror, up to what the checks below find out.
    unsafe {
        check_identity(ts)?;
        check_recursion(ts)?;
        check_exceptions(ts)?;
        check_frame(ts)?;
        check_context(ts)?;
        #[cfg(Py_3_11)]
        check_data_stack(ts)?;
        #[cfg(Py_3_12)]
        version::prepare(ts)?;
    }
    Ok(())
}

/// A refusal because of one field.
pub(super) fn mismatch(field: &str) -> String {
    format!(
        "eventlet-asyncio: this CPython ({}) lays out its thread state differently from the \
         CPython {}.{} this build was made for (found at: {field}). \
         Install an official CPython release, or rebuild eventlet-asyncio from source for this one.",
        running_version(),
        version::VERSION.0,
        version::VERSION.1,
    )
}

fn running_version() -> String {
    // SAFETY: returns a static string, whatever the version.
    let text = unsafe { CStr::from_ptr(ffi::Py_GetVersion()) };
    text.to_string_lossy().into_owned()
}

fn check_version() -> Result<(), String> {
    let running = running_version();
    if running.contains("free-threading") {
        return Err(format!(
            "eventlet-asyncio does not support free-threaded CPython ({running}): \
             use the build with the GIL (`python3.{}` instead of `python3.{}t`)",
            version::VERSION.1,
            version::VERSION.1,
        ));
    }
    let mut parts = running.split(|c: char| !c.is_ascii_digit());
    let mut number = || parts.next().and_then(|part| part.parse::<u8>().ok());
    if (number(), number()) != (Some(version::VERSION.0), Some(version::VERSION.1)) {
        return Err(format!(
            "eventlet-asyncio: this build is for CPython {}.{}, the running one is {running}; \
             install eventlet-asyncio with this interpreter's own pip",
            version::VERSION.0,
            version::VERSION.1,
        ));
    }
    Ok(())
}

unsafe fn check_identity(ts: *mut PyThreadState) -> Result<(), String> {
    let state = ts.cast::<ThreadState>();
    // SAFETY: fields are only read, and compared with what CPython itself says.
    unsafe {
        if (*state).interp != ffi::PyInterpreterState_Get() {
            return Err(mismatch("interp"));
        }
        if (*state).thread_id as usize != PyThread_get_thread_ident() as usize {
            return Err(mismatch("thread_id"));
        }
        if (*state).id as i64 != ffi::PyThreadState_GetID(ts) as i64 {
            return Err(mismatch("id"));
        }
    }
    Ok(())
}

unsafe fn check_recursion(ts: *mut PyThreadState) -> Result<(), String> {
    // CPython lets error handling go some calls beyond the limit.
    const HEADROOM: c_int = 50;
    // SAFETY: identity was checked, so the fields around are where they should be; the
    // mirror is read again after each call.
    unsafe {
        let limit = ffi::Py_GetRecursionLimit();
        let before = version::probe(&*ts.cast());
        let (depth, own_limit) = before.recursion;
        if own_limit != limit || depth < 0 || depth > limit.saturating_add(HEADROOM) {
            return Err(mismatch("recursion limit"));
        }
        if let Some(c_depth) = before.c_depth {
            if ffi::Py_EnterRecursiveCall(c"".as_ptr()) != 0 {
                ffi::PyErr_Clear();
                return Ok(());
            }
            let inside = version::probe(&*ts.cast()).c_depth;
            ffi::Py_LeaveRecursiveCall();
            if inside != Some(c_depth + 1) {
                return Err(mismatch("C recursion"));
            }
        }
    }
    Ok(())
}

unsafe fn check_exceptions(ts: *mut PyThreadState) -> Result<(), String> {
    // More handlers than this cannot be active around an import.
    const LONGEST: usize = 100_000;
    let state = ts.cast::<ThreadState>();
    // SAFETY: every entry of the chain is valid if `exc_info` is what it should be,
    // which the fields around it say.
    unsafe {
        let mut item: *mut ExcItem = (*state).exc_info;
        for _ in 0..LONGEST {
            if item == &raw mut (*state).exc_state {
                return Ok(());
            }
            if item.is_null() {
                break;
            }
            item = (*item).previous_item;
        }
    }
    Err(mismatch("exc_info"))
}

unsafe fn check_frame(ts: *mut PyThreadState) -> Result<(), String> {
    // SAFETY: attached; a frame object starts with its head and `f_back`, and since 3.11
    // the internal frame comes next (Include/internal/pycore_frame.h).
    unsafe {
        let frame = ffi::PyThreadState_GetFrame(ts).cast::<PyObject>();
        if frame.is_null() {
            ffi::PyErr_Clear();
            return Ok(());
        }
        let inner = if cfg!(Py_3_11) {
            *frame.add(1).cast::<*mut std::ffi::c_void>().add(1)
        } else {
            frame.cast()
        };
        ffi::Py_DECREF(frame);
        if version::probe(&*ts.cast()).frame != inner {
            return Err(mismatch("current frame"));
        }
    }
    Ok(())
}

unsafe fn check_context(ts: *mut PyThreadState) -> Result<(), String> {
    let state = ts.cast::<ThreadState>();
    // SAFETY: attached; fields are only read and compared.
    unsafe {
        let before = (*state).context;
        let context = ffi::PyContext_New();
        if context.is_null() || ffi::PyContext_Enter(context) != 0 {
            ffi::PyErr_Clear();
            ffi::Py_XDECREF(context);
            return Err("eventlet-asyncio: cannot enter a contextvars context".into());
        }
        let version = (*state).context_ver;
        let during = ptr::read_volatile(&raw const (*state).context);
        ffi::PyContext_Exit(context);
        ffi::Py_DECREF(context);
        if during != context || ptr::read_volatile(&raw const (*state).context) != before {
            return Err(mismatch("context"));
        }
        if ptr::read_volatile(&raw const (*state).context_ver) == version {
            return Err(mismatch("context_ver"));
        }
    }
    Ok(())
}

#[cfg(Py_3_11)]
unsafe fn check_data_stack(ts: *mut PyThreadState) -> Result<(), String> {
    // SAFETY: the running frame was found where it should be, so the chunk is valid.
    if unsafe { version::probe(&*ts.cast()).datastack.plausible() } {
        Ok(())
    } else {
        Err(mismatch("datastack_chunk"))
    }
}

unsafe extern "C" {
    fn PyThread_get_thread_ident() -> std::ffi::c_ulong;
}
