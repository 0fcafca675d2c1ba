//! Other threads, signals and forks.

use super::*;

#[test]
fn the_waker_of_another_thread_ends_a_poll_once() {
    let mut reactor = reactor();
    let waker = reactor.waker();
    let thread = thread::spawn(move || waker.wake());
    let mut out = Vec::new();
    assert_eq!(reactor.poll(SOON, &mut out).unwrap(), 0);
    thread.join().unwrap();
    assert!(!is_readable(&reactor));
    reactor.waker().wake();
    assert!(is_readable(&reactor));
    assert_eq!(poll_now(&mut reactor), []);
    assert!(!is_readable(&reactor));
}

extern "C" fn ignore_signal(_: libc::c_int) {}

#[test]
fn a_signal_ends_a_poll_without_an_error() {
    // SAFETY: the handler touches nothing; no other test uses this signal.
    unsafe {
        libc::signal(
            libc::SIGUSR2,
            ignore_signal as *const () as libc::sighandler_t,
        )
    };
    // SAFETY: no preconditions.
    let poller = unsafe { libc::pthread_self() };
    let done = Arc::new(AtomicBool::new(false));
    let sender = thread::spawn({
        let done = Arc::clone(&done);
        move || {
            while !done.load(Ordering::Acquire) {
                // SAFETY: the poller joins this thread before it ends.
                unsafe { libc::pthread_kill(poller, libc::SIGUSR2) };
                thread::yield_now();
            }
        }
    });
    let mut out = Vec::new();
    let result = reactor().poll(None, &mut out);
    done.store(true, Ordering::Release);
    sender.join().unwrap();
    assert_eq!(result.unwrap(), 0);
}

/// Runs `child` in a forked process and returns its verdict.
fn in_child(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child makes system calls and allocates (glibc keeps its allocator usable
    // after a fork), takes no other lock and leaves through `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let status = i32::from(!child());
        // SAFETY: ends the process without running what belongs to the parent.
        unsafe { libc::_exit(status) };
    }
    let mut status = -1;
    // SAFETY: `status` is a live local and `pid` our child.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

#[test]
fn a_forked_child_that_drops_the_reactor_leaves_the_parent_hearing() {
    let _alone = alone();
    let (ours, mut peer) = pair();
    let mut reactor = reactor();
    let handle = reactor.attach(ours.as_raw_fd()).unwrap();
    assert!(reactor.wait(handle, R, 1).unwrap().is_some());
    let waker = reactor.waker();
    let mut slot = Some(reactor);
    assert!(in_child(|| slot.take().is_some()));
    let mut reactor = slot.unwrap();
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
    waker.wake();
    assert!(is_readable(&reactor));
}

#[test]
fn a_forked_child_that_rebuilds_hears_by_itself() {
    let _alone = alone();
    let (owned, mut owned_peer) = pair();
    let (foreign, mut foreign_peer) = pair();
    let mut reactor = reactor();
    let handle = reactor.attach(owned.as_raw_fd()).unwrap();
    assert!(reactor.wait(handle, R, 1).unwrap().is_some());
    let key = watch(&mut reactor, foreign.as_raw_fd(), 2);
    assert!(in_child(|| {
        reactor.rebuild().is_ok()
            && reactor.unwatch(key) == Some(2)
            && owned_peer.write_all(b"x").is_ok()
            && poll_now(&mut reactor) == [(1, Ready(R))]
            && reactor.detach(handle).is_empty()
    }));
    foreign_peer.write_all(b"x").unwrap();
    let mut woken = poll_now(&mut reactor);
    woken.sort_by_key(|(who, _)| *who);
    assert_eq!(woken, [(1, Ready(R)), (2, Ready(R))]);
}

#[test]
fn rebuilding_tells_those_whose_file_is_closed() {
    let (ours, mut peer) = pair();
    let (closed, _closed_peer) = pair();
    let mut reactor = reactor();
    watch(&mut reactor, ours.as_raw_fd(), 1);
    watch(&mut reactor, closed.as_raw_fd(), 2);
    // A regular file under the number stands for a closed one: it cannot be registered either.
    let file = File::open("/proc/self/exe").unwrap();
    replace(closed.as_raw_fd(), file.as_raw_fd());
    reactor.rebuild().unwrap();
    assert!(is_readable(&reactor));
    assert_eq!(poll_now(&mut reactor), [(2, Gone(R))]);
    peer.write_all(b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
}

#[test]
fn a_poll_set_whose_number_names_another_file_is_replaced() {
    let _alone = alone();
    let file = File::open("/proc/self/exe").unwrap();
    let other = reactor();
    for behind in [file.as_raw_fd(), other.as_raw_fd()] {
        let (ours, mut peer) = pair();
        let mut reactor = reactor();
        let waker = reactor.waker();
        watch(&mut reactor, ours.as_raw_fd(), 1);
        let former = reactor.as_raw_fd();
        replace(former, behind);
        assert!(reactor.mend().unwrap());
        assert!(!reactor.mend().unwrap());
        waker.wake();
        assert!(is_readable(&reactor));
        peer.write_all(b"x").unwrap();
        assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
        drop(reactor);
        // It is somebody else's.
        // SAFETY: asks about a number.
        assert!(unsafe { libc::fcntl(former, libc::F_GETFD) } >= 0);
        // SAFETY: nobody else closes it.
        drop(unsafe { OwnedFd::from_raw_fd(former) });
    }
}

#[test]
fn whatever_is_refused_shows_that_the_poll_set_is_gone() {
    let _alone = alone();
    let file = File::open("/proc/self/exe").unwrap();
    let uses: [fn(&mut Reactor<u32>, RawFd); 3] = [
        |reactor, fd| {
            watch(reactor, fd, 1);
        },
        |reactor, fd| {
            let handle = reactor.attach(fd).unwrap();
            assert!(reactor.wait(handle, R, 1).unwrap().is_some());
        },
        |reactor, fd| {
            assert_eq!(poll_now(reactor), []);
            watch(reactor, fd, 1);
        },
    ];
    for using in uses {
        let (ours, mut peer) = pair();
        let mut reactor = reactor();
        let former = reactor.as_raw_fd();
        replace(former, file.as_raw_fd());
        using(&mut reactor, ours.as_raw_fd());
        peer.write_all(b"x").unwrap();
        assert_eq!(poll_now(&mut reactor), [(1, Ready(R))]);
        // SAFETY: the reactor has left it.
        drop(unsafe { OwnedFd::from_raw_fd(former) });
    }
}
