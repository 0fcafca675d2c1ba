//! What becomes of an OS thread that CPython ends by unwinding its stack.
//!
//! Once the interpreter shuts down, CPython before 3.14 ends a daemon thread where it next asks
//! for the GIL: with `pthread_exit()`, which glibc implements as a forced unwinding from there
//! to the beginning of the stack. On the way may lie any of our functions, PyO3's among them,
//! since all that calls Python can find itself here. Rust gives a foreign unwinding no way
//! through: calls of `extern "C"` functions count as such that cannot unwind, so the process
//! aborts at its end, by one of three messages.
//!
//! Declaring the calls `extern "C-unwind"` and putting a guard behind each helps only while
//! the optimiser does not know that the same function is declared `extern "C"` elsewhere: PyO3
//! declares all of them so. With `codegen-units = 1` or fat LTO both declarations become one,
//! which cannot unwind, and the guards are optimised away. Nor would it cover the calls that
//! PyO3 makes itself.
//!
//! So the unwinding is stopped before it does anything to a frame of ours. The unwinder asks
//! the frame's personality routine what to do; all frames of this library name one, by way of
//! one pointer in its data (`DW.ref.` and the routine's name, as the ABI of position-independent
//! code has it). That pointer is exchanged for a routine that answers a forced unwinding by
//! never returning, and passes all else on. The OS thread then stays where it is, without
//! the GIL, until the process ends: as CPython itself does it from 3.14 on. This is about what
//! the linker makes, not about how the code is optimised, and holds in every profile.
//!
//! Other C libraries end threads without unwinding, and need nothing of this.

use std::ffi::{c_int, c_void};
use std::time::Duration;

use once_cell::sync::OnceCell;

/// A personality routine as the Itanium C++ ABI defines it.
type Personality = unsafe extern "C" fn(c_int, c_int, u64, *mut c_void, *mut c_void) -> c_int;

/// The unwinding has no handler: it goes on until whoever began it says stop.
const UA_FORCE_UNWIND: c_int = 8;

unsafe extern "C" {
    /// Where all frames of this library look up their personality routine.
    #[link_name = "DW.ref.rust_eh_personality"]
    static mut REFERENCE: Personality;
}

/// Rust's own.
static FORMER: OnceCell<Personality> = OnceCell::new();

/// Has OS threads that are unwound by force stop for good at the first frame of this library.
pub fn stop_forced_unwinding() {
    FORMER.get_or_init(|| {
        let reference = &raw mut REFERENCE;
        // SAFETY: an aligned pointer in this library's writable data, relocated when it was
        // loaded.
        let former = unsafe { reference.read_volatile() };
        // SAFETY: as above. Unwinding threads read either value, and both are right for
        // what is unwound now.
        unsafe { reference.write_volatile(personality) };
        former
    });
}

unsafe extern "C" fn personality(
    version: c_int,
    actions: c_int,
    class: u64,
    exception: *mut c_void,
    context: *mut c_void,
) -> c_int {
    if actions & UA_FORCE_UNWIND != 0 {
        loop {
            std::thread::sleep(Duration::from_hours(1));
        }
    }
    let former = FORMER.wait();
    // SAFETY: the unwinder's own arguments.
    unsafe { former(version, actions, class, exception, context) }
}
