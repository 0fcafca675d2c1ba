//! Threads that C code ends by `pthread_exit()` stop at the first frame of Rust.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::ffi::c_void;
use std::panic::catch_unwind;
use std::sync::mpsc;
use std::time::Duration;

use _core::switch::unwinding::stop_forced_unwinding;

unsafe extern "C-unwind" {
    fn pthread_exit(value: *mut c_void) -> !;
}

struct Telling(mpsc::Sender<&'static str>);

impl Drop for Telling {
    fn drop(&mut self) {
        let _ = self.0.send("unwound");
    }
}

#[test]
fn forced_unwinding_touches_no_frame_and_panics_go_on() {
    stop_forced_unwinding();
    stop_forced_unwinding();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let telling = Telling(sender);
        telling.0.send("begun").unwrap();
        // SAFETY: this thread never comes back, which is what is tested.
        unsafe { pthread_exit(std::ptr::null_mut()) }
    });
    assert_eq!(receiver.recv(), Ok("begun"));
    let later = receiver.recv_timeout(Duration::from_millis(300));
    assert_eq!(later, Err(mpsc::RecvTimeoutError::Timeout));

    let (sender, receiver) = mpsc::channel();
    let caught = catch_unwind(move || {
        let _telling = Telling(sender);
        std::panic::resume_unwind(Box::new(7));
    });
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&7));
    assert_eq!(receiver.recv(), Ok("unwound"));
}
