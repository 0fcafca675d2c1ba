//! What CPython itself says about its layout: `_Py_DebugOffsets`, since 3.13.
//!
//! The table is meant for debuggers and lies at the start of `_PyRuntime`. It names few of
//! the fields we need, but the ones it names are spread over the structure.

use std::ffi::CStr;

use super::layout::mismatch;
use super::version;

/// Mirror of the start of `_Py_DebugOffsets` (`pycore_debug_offsets.h` in
/// `Include/internal`; on 3.13 `pycore_runtime.h`).
#[repr(C)]
pub(super) struct DebugOffsets {
    cookie: [u8; 8],
    /// As `PY_VERSION_HEX`.
    version: u64,
    free_threaded: u64,
    runtime_state: [u64; 3],
    interpreter_state: [u64; if cfg!(Py_3_14) { 16 } else { 13 }],
    pub(super) thread_state: ThreadOffsets,
    #[cfg(Py_3_15)]
    err_stackitem: u64,
    /// `sizeof(_PyInterpreterFrame)`.
    pub(super) interpreter_frame_size: u64,
}

/// Mirror of its part on `PyThreadState`.
#[repr(C)]
pub(super) struct ThreadOffsets {
    pub(super) size: u64,
    prev: u64,
    next: u64,
    pub(super) interp: u64,
    pub(super) current_frame: u64,
    #[cfg(Py_3_15)]
    pub(super) base_frame: u64,
    #[cfg(Py_3_15)]
    last_profiled_frame: u64,
    #[cfg(Py_3_15)]
    last_profiled_frame_seq: u64,
    pub(super) thread_id: u64,
    pub(super) native_thread_id: u64,
    pub(super) datastack_chunk: u64,
    status: u64,
    #[cfg(Py_3_15)]
    holds_gil: u64,
    #[cfg(Py_3_15)]
    gil_requested: u64,
    #[cfg(Py_3_15)]
    pub(super) current_exception: u64,
    #[cfg(Py_3_15)]
    pub(super) exc_state: u64,
}

impl ThreadOffsets {
    /// Names the first field of which CPython's offset is not ours.
    pub(super) fn disagreement(
        &self,
        fields: &[(&'static str, u64, usize)],
    ) -> Option<&'static str> {
        if (self.size as usize) < size_of::<version::ThreadState>() {
            return Some("size");
        }
        let other = fields
            .iter()
            .find(|(_, theirs, ours)| *theirs != *ours as u64);
        other.map(|(name, ..)| *name)
    }
}

/// CPython's table, if the interpreter exports it.
pub(super) fn find() -> Option<&'static DebugOffsets> {
    const NAME: &CStr = c"_PyRuntime";
    // SAFETY: looks a name up among the loaded libraries.
    let table = unsafe { libc::dlsym(libc::RTLD_DEFAULT, NAME.as_ptr()) };
    // SAFETY: `_PyRuntime` lives as long as the process and is larger than the table; the
    // part read here is constant.
    unsafe { table.cast::<DebugOffsets>().as_ref() }
}

/// Compares the table with this build's mirror.
///
/// # Errors
/// The table is missing or names a field elsewhere.
pub(super) fn check() -> Result<(), String> {
    let Some(offsets) = find() else {
        return Err(mismatch("_PyRuntime, which is not exported"));
    };
    if &offsets.cookie != b"xdebugpy" {
        return Err(mismatch("_Py_DebugOffsets"));
    }
    let (major, minor) = version::VERSION;
    if offsets.version >> 16 != u64::from(major) << 8 | u64::from(minor) {
        return Err(mismatch("the version in _Py_DebugOffsets"));
    }
    if offsets.free_threaded != 0 {
        return Err(mismatch("free threading in _Py_DebugOffsets"));
    }
    match version::disagreement(offsets) {
        Some(field) => Err(mismatch(field)),
        None => Ok(()),
    }
}
