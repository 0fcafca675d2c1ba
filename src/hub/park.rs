//! Parking and waking: how a green thread stops being ready and becomes ready again.

use std::ptr;
use std::sync::Arc;

use pyo3::ffi::PyObject;

use super::{
    Core, Driver, Due, Message, Ready, blocking, make_ready, nested, registry, run, step, successor,
};
use crate::greenlet::arguments::none;
use crate::greenlet::{self, Greenlet, Inbound, Phase, Thread, switch_to, thread};
use crate::reactor::{Waker, now};
use crate::sched::{Inbox, nanos_from_seconds};

/// A green thread at one particular switch point: an owned reference and its resume count.
/// Whoever wakes it later finds out whether it is still there.
pub(crate) struct Parked {
    g: *mut Greenlet,
    ticket: u64,
}

// SAFETY: used with the GIL held only.
unsafe impl Send for Parked {}
// SAFETY: as for Send.
unsafe impl Sync for Parked {}

impl Parked {
    /// The running greenlet, about to park.
    ///
    /// # Safety
    /// `thread` is this OS thread's record; the GIL is held.
    #[inline]
    pub(crate) unsafe fn current(thread: *mut Thread) -> Self {
        // SAFETY: by contract.
        unsafe {
            let g = (*thread).current;
            greenlet::incref(g);
            Self {
                g,
                ticket: (*g).resumes,
            }
        }
    }

    /// Takes over an owned reference to `g` as it is now.
    ///
    /// # Safety
    /// `g` is live and the caller owns one reference, which moves here.
    pub(super) unsafe fn owning(g: *mut Greenlet) -> Self {
        // SAFETY: by contract.
        let ticket = unsafe { (*g).resumes };
        Self { g, ticket }
    }

    /// Another handle for the same switch point.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline]
    pub(crate) unsafe fn duplicate(&self) -> Self {
        // SAFETY: `g` is live: we own a reference.
        unsafe { greenlet::incref(self.g) };
        Self {
            g: self.g,
            ticket: self.ticket,
        }
    }

    #[inline]
    pub(crate) fn greenlet(&self) -> *mut Greenlet {
        self.g
    }

    pub(super) fn ticket(&self) -> u64 {
        self.ticket
    }

    pub(crate) fn into_raw(self) -> *mut Greenlet {
        self.g
    }

    /// Still parked at the switch point this was made for.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline]
    pub(super) unsafe fn is_current(&self) -> bool {
        // SAFETY: `g` is live: we own a reference.
        unsafe { (*self.g).resumes == self.ticket && (*self.g).phase == Phase::Active }
    }

    /// Gives the reference back.
    ///
    /// # Safety
    /// The GIL is held. Runs Python code, and may switch, if the greenlet dies.
    #[inline]
    pub(crate) unsafe fn release(self) {
        // SAFETY: owned.
        unsafe { greenlet::decref(self.g) }
    }

    /// Wakes the green thread with what it is sent, in whichever OS thread it lives.
    ///
    /// # Safety
    /// The GIL is held; `inbound` is owned. Not a switch point.
    #[inline]
    pub(crate) unsafe fn wake(self, inbound: Inbound) {
        // SAFETY: by contract; `g` names a live thread record.
        unsafe {
            let home = (*self.g).thread;
            let item = Ready::Resume(self, inbound);
            let core = (*home).hub.cast::<Core>();
            if core.is_null() {
                // Its OS thread has ended: nobody can run it any more.
                super::discard(item);
            } else if home == thread::existing() {
                make_ready(core, item);
            } else {
                post(core, item);
            }
        }
    }
}

/// Hands an entry to the hub of another OS thread.
///
/// # Safety
/// The GIL is held and `core` is the live hub of another OS thread.
pub(crate) unsafe fn post(core: *mut Core, item: Ready) {
    // SAFETY: by contract; inbox and waker may be used from any thread.
    unsafe {
        if (*core).inbox.post(Message(item)) {
            (*core).waker.wake();
        }
    }
}

/// The way to a hub for OS threads without the GIL. Outlives the hub: what is sent to one that
/// was closed arrives nowhere.
pub(crate) struct Mailbox {
    inbox: Arc<Inbox<Message>>,
    waker: Waker,
}

impl Mailbox {
    /// # Safety
    /// `core` is live; the GIL is held.
    pub(crate) unsafe fn of(core: *mut Core) -> Self {
        // SAFETY: by contract.
        unsafe {
            Self {
                inbox: Arc::clone(&(*core).inbox),
                waker: (*core).waker.clone(),
            }
        }
    }

    /// Wakes a green thread of that hub. Its reference moves along without being counted, so
    /// the GIL is not needed. With a hub that was closed it is lost, as its green threads are.
    pub(crate) fn wake(self, parked: Parked) {
        if (self.inbox).post(Message(Ready::Resume(parked, Inbound::Nothing))) {
            self.waker.wake();
        }
    }
}

/// Who runs next, for a greenlet that is about to leave; NULL with an exception if it may not block,
/// and without one if it blocks an event loop: see [`blocking`].
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held.
#[inline]
unsafe fn leave_for(core: *mut Core) -> *mut Greenlet {
    // SAFETY: by contract.
    unsafe {
        let thread = (*core).thread;
        let current = step::innermost(thread);
        if !current.is_null() {
            return step::leave(thread, current);
        }
        let me = (*thread).current;
        if (*core).in_turn && me != (*core).runner {
            if (*me).in_loop {
                return blocking::refuse();
            }
            successor(core)
        } else {
            run::enter_runner(core)
        }
    }
}

/// Parks the running green thread until it is woken; the waker was registered before.
/// Returns what it was sent. `Inbound::Error` if an exception is raised in it.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held, no Python exception is set.
///
/// # Switches
/// Always, unless it may not block here: then the error is returned at once.
#[inline]
pub(crate) unsafe fn park(core: *mut Core) -> Inbound {
    // SAFETY: by contract.
    unsafe { park_for(core, ptr::null_mut()) }
}

/// [`park`] until the end of another greenlet, which is looked at if the wait blocks a loop.
///
/// # Safety
/// As for [`park`]; `awaited` is live, or NULL.
///
/// # Switches
/// As [`park`].
#[inline]
pub(crate) unsafe fn park_for(core: *mut Core, awaited: *mut Greenlet) -> Inbound {
    // SAFETY: by contract.
    unsafe {
        let next = leave_for(core);
        if next.is_null() {
            return blocking::park(core, awaited);
        }
        switch_to((*core).thread, next)
    }
}

/// [`park`] with a deadline in nanoseconds of the monotonic clock: `Inbound::Nothing` tells that it
/// passed. Wake-ups must therefore send a value.
///
/// # Safety
/// As for [`park`].
///
/// # Switches
/// Always, even if the deadline is past.
pub(crate) unsafe fn park_until(core: *mut Core, deadline: Option<u64>) -> Inbound {
    let Some(deadline) = deadline else {
        // SAFETY: by contract.
        return unsafe { park(core) };
    };
    // SAFETY: by contract; the timer owns its own handle.
    unsafe {
        let parked = Parked::current((*core).thread);
        let key = (*core).timers.insert(deadline, Due::Resume(parked));
        let visit = Visit::new(core);
        let inbound = park(core);
        if visit.lasts()
            && let Some(Due::Resume(parked)) = (*core).timers.cancel(key)
        {
            parked.release();
        }
        inbound
    }
}

/// A hub as a green thread knew it when it parked: it may be replaced, closed and freed before
/// the green thread goes on.
pub(crate) struct Visit {
    core: *mut Core,
    serial: u64,
}

impl Visit {
    /// # Safety
    /// `core` is this OS thread's hub; the GIL is held.
    #[inline]
    pub(crate) unsafe fn new(core: *mut Core) -> Self {
        // SAFETY: by contract.
        let serial = unsafe { (*core).serial };
        Self { core, serial }
    }

    /// Tells whether it is still this OS thread's hub. If not, all that was registered with it
    /// is gone, and it must not be looked at.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline]
    pub(crate) unsafe fn lasts(&self) -> bool {
        let core = registry::existing();
        // SAFETY: the hub of this OS thread is live; another one may have got the same address.
        core == self.core && unsafe { (*core).serial == self.serial }
    }
}

/// Waits for `seconds`; 0 yields to everything that is ready.
///
/// # Safety
/// The GIL is held. NULL with an exception set on failure.
///
/// # Switches
/// Always.
pub(crate) unsafe fn sleep(seconds: f64) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        let core = registry::hub();
        if core.is_null() {
            return ptr::null_mut();
        }
        let inbound = if seconds <= 0.0 {
            yield_once(core)
        } else {
            park_until(
                core,
                Some(now().saturating_add(nanos_from_seconds(seconds))),
            )
        };
        match inbound {
            Inbound::Error(_) => inbound.into_result(),
            other => {
                other.discard();
                none()
            }
        }
    }
}

/// Whether the caller may wait at all: not a callback of the hub or of the loop, nor a coroutine
/// that is not a green one.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held.
pub(crate) unsafe fn may_wait(core: *mut Core) -> bool {
    // SAFETY: by contract.
    unsafe {
        let thread = (*core).thread;
        if !step::innermost(thread).is_null() {
            return true;
        }
        let me = (*thread).current;
        if (*core).in_turn {
            return me != (*core).runner && !(*me).in_loop;
        }
        !run::on_the_loop(core)
    }
}

/// Lets everything run that is ready or due; a no-op in a callback of the hub.
pub(crate) unsafe fn yield_once(core: *mut Core) -> Inbound {
    // SAFETY: contract of `sleep`.
    unsafe {
        let thread = (*core).thread;
        let current = step::innermost(thread);
        if !current.is_null() {
            if (*core).ready.is_empty() && !(*core).turn_requested {
                // A pass of the event loop is all that there is to wait for.
                (*current).passing = true;
            } else {
                make_ready(
                    core,
                    Ready::Resume(Parked::current(thread), Inbound::Nothing),
                );
            }
            return switch_to(thread, step::leave(thread, current));
        }
        if (*core).in_turn {
            if (*thread).current == (*core).runner {
                return Inbound::Nothing;
            }
            if (*(*thread).current).in_loop {
                // A callback of a loop that green code runs.
                return nested::outside(core, || yield_once(core));
            }
            if (*core).ready.is_empty() {
                // Nobody else is ready: what is due comes first, then poll and event loop
                // have their turn, or a loop over sleep(0) would starve them.
                super::turn::take_due(core);
                if (*core).ready.is_empty() {
                    (*core).budget.exhaust();
                }
            }
            (*core)
                .ready
                .push(Ready::Resume(Parked::current(thread), Inbound::Nothing));
            return switch_to(thread, successor(core));
        }
        if run::on_the_loop(core) {
            if (*core).driver != Driver::Asyncio {
                return Inbound::Nothing;
            }
            return blocking::yield_once(core);
        }
        let visit = Visit::new(core);
        if !super::looping::attach_to_running(core) || !visit.lasts() {
            // Closed by what ran then: the next one is asked.
            let core = registry::hub();
            return if core.is_null() {
                Inbound::Error(crate::error::take_raised())
            } else {
                yield_once(core)
            };
        }
        let next = run::enter_runner(core);
        if next.is_null() {
            return blocking::park(core, ptr::null_mut());
        }
        (*core)
            .ready
            .push(Ready::Resume(Parked::current(thread), Inbound::Nothing));
        run::wake_loop(core);
        switch_to(thread, next)
    }
}
