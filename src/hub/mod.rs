//! The hub: per OS thread, who runs next, and the turns in which that is decided.
//!
//! A green thread that blocks switches straight to the next ready one; nobody goes through
//! the hub while there is work and the turn's budget lasts. Otherwise control returns to
//! the *runner*, the greenlet on whose stack the turn was begun: it runs the event loop.
//!
//! ```text
//! runner:  loop ─▶ turn ─▶ g1 ─▶ g2 ─▶ g1 ─▶ … ─▶ (queue empty or budget spent) ─▶ turn ends ─▶ loop
//! ```
//!
//! Invariants:
//! - H1: `Core` is touched only with the GIL held, by its own OS thread; other threads post
//!   to `inbox` and wake the reactor. But one that closes a descriptor takes its waiters
//!   out of the reactor itself, unless that is polled without the GIL just then (`polling`).
//! - H2: no reference into `Core` is alive across a switch or while Python code runs: every
//!   function takes the raw pointer and borrows for one statement.
//! - H3: each green thread in `ready`, `timers` and waiter lists is held by an owned reference
//!   together with its resume count; a wake-up for another count is stale and dropped.
//! - H4: references are never released where the successor has been chosen already: they go
//!   to `litter`, which the turn empties.

mod ahead;
pub(crate) mod blocking;
pub(crate) mod class;
pub(crate) mod control;
pub(crate) mod fair;
pub(crate) mod io;
pub(crate) mod libuv;
pub(crate) mod libuv_child;
pub(crate) mod looping;
pub(crate) mod nested;
pub(crate) mod park;
pub(crate) mod registry;
pub(crate) mod rehearsal;
pub(crate) mod run;
pub(crate) mod selector;
mod signals;
pub(crate) mod slow;
pub(crate) mod socket;
pub(crate) mod step;
pub(crate) mod timer;
pub(crate) mod turn;

use std::ffi::c_int;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::ffi;
use pyo3::ffi::PyObject;

use crate::greenlet::{self, Greenlet, Inbound, Phase, Thread, thread};
use crate::reactor::{Reactor, Readiness, Waker};
use crate::sched::{Allowance, Budget, Inbox, ReadyQueue, TimerHeap};

pub(crate) use park::{Mailbox, Parked, Visit};

/// Time allowed in one turn, in nanoseconds, before the event loop gets its own turn.
///
/// A pass of the event loop costs 5 to 10 microseconds. With a limit of 100 switches instead,
/// it was as expensive as the switches themselves (152 ns per `sleep(0)` against 95).
const TURN_NANOS: u64 = 200_000;
/// Switches allowed in one turn, should the clock stand still.
const TURN_SWITCHES: u32 = 10_000;

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Something that is due now. Pointers are owned.
pub(crate) enum Ready {
    /// A parked green thread, with what it is sent, if it is still parked for that.
    Resume(Parked, Inbound),
    /// A green thread that was never entered.
    Start(*mut Greenlet),
    /// A Timeout whose time has come: raises in its green thread unless cancelled meanwhile.
    Expire(*mut PyObject),
    /// An exception to raise in a green thread, wherever it is suspended.
    Raise(*mut Greenlet, *mut PyObject),
    /// A timer's callback; it runs on the runner's stack.
    Call(*mut PyObject),
}

/// Something that is due later. Pointers are owned.
pub(crate) enum Due {
    Resume(Parked),
    Start(*mut Greenlet),
    Expire(*mut PyObject),
    Call(*mut PyObject),
}

/// What waits for a descriptor. Pointers are owned.
pub(crate) enum Watcher {
    Parked(Parked),
    /// A listener object of the public API; its callback runs on the runner's stack.
    Listener(*mut PyObject),
}

/// A wake-up posted by another OS thread.
pub(crate) struct Message(pub(crate) Ready);

impl Clone for Watcher {
    fn clone(&self) -> Self {
        // SAFETY: the reactor is used with the GIL held only, and owns what it names.
        unsafe {
            match self {
                Self::Parked(parked) => Self::Parked(parked.duplicate()),
                Self::Listener(object) => Self::Listener(ffi::Py_NewRef(*object)),
            }
        }
    }
}

// SAFETY: the inbox only moves a message. Who makes one without the GIL (`Mailbox`) owns what
// is in it and counts nothing; it is consumed with the GIL held.
unsafe impl Send for Message {}

/// What drives the turns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    /// An asyncio event loop, owned or adopted.
    Asyncio,
    /// The reactor's own poll.
    Poll,
    /// `wait()` of a Python subclass of BaseHub.
    Custom,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a state of its own, and any combination is possible"
)]
pub(crate) struct Core {
    /// Tells this hub from a later one at the same address.
    pub(crate) serial: u64,
    pub(crate) thread: *mut Thread,
    /// The Hub object this belongs to (borrowed: it owns us).
    pub(crate) object: *mut PyObject,
    pub(crate) ready: ReadyQueue<Ready>,
    pub(crate) timers: TimerHeap<Due>,
    pub(crate) reactor: Reactor<Watcher>,
    pub(crate) waker: Waker,
    pub(crate) inbox: Arc<Inbox<Message>>,
    pub(crate) budget: Budget,
    /// For those who never wait; see `fair`.
    pub(crate) allowance: Allowance,
    pub(crate) driver: Driver,
    /// A turn is in progress: whoever blocks hands over directly.
    pub(crate) in_turn: bool,
    /// The event loop was asked for a turn and has not begun it.
    pub(crate) turn_requested: bool,
    /// Owned or NULL: the greenlet whose stack turns run on.
    pub(crate) runner: *mut Greenlet,
    /// Owned: runners of turns that were set aside for a loop that green code runs.
    pub(crate) lent: Vec<*mut Greenlet>,
    /// Owned: runs the loop when nobody else does; replaced when it has died.
    pub(crate) greenlet: *mut Greenlet,
    /// The innermost caller that takes the turns itself, or NULL.
    blocked: *mut blocking::Block,
    /// Released by the turn (invariant H4).
    pub(crate) litter: Vec<Ready>,
    /// So many of the next green threads have their stacks' addresses looked up.
    fetched: usize,
    /// A green thread has polled just now and found nothing: the runner need not.
    pub(crate) polled: bool,
    /// Polls of green threads that leave have found nothing lately: that is left to the loop,
    /// which sees as much when it sleeps.
    pub(crate) quiet: bool,
    /// Sockets were read, written or closed since the last poll, which may have made others of
    /// this OS thread ready.
    pub(crate) stirred: bool,
    /// So many rounds of the ready queue go on without a poll in between, unless `stirred`.
    pub(crate) unpolled: u32,
    /// Polls in a row that found nothing.
    pub(crate) lull: u32,
    /// When the last turn ended.
    pub(crate) rested: u64,
    /// Reused by each turn.
    pub(crate) events: Vec<(Watcher, Readiness)>,
    pub(crate) messages: Vec<Message>,
    pub(crate) looping: looping::Looping,
    /// In asyncio's debug mode, nanoseconds after which a green thread that runs on without a
    /// switch is reported; else [`looping::NEVER`].
    pub(crate) slow: u64,
    /// This OS thread sleeps in the reactor without the GIL: nobody else may touch that.
    pub(crate) polling: bool,
    /// Turns begun so far, for those who watch that they come.
    pub(crate) turns: u64,
    /// The loop that carries this hub sleeps, and will see whatever comes.
    pub(crate) asleep: bool,
    /// Descriptors that other OS threads have closed meanwhile.
    pub(crate) gone: Vec<c_int>,
    /// The OS thread is the main one, which signal handlers run in.
    pub(crate) in_main_thread: bool,
    pub(crate) running: bool,
    pub(crate) stopping: bool,
    pub(crate) closed: bool,
    /// In a forked child: the coroutine that forked goes on, on the loop that ran it.
    pub(crate) goes_on: bool,
    /// In a forked child: main is suspended in what only the parent goes on with.
    pub(crate) main_is_parents: bool,
    pub(crate) debug_exceptions: bool,
    /// Owned or NULL: a class of exceptions that are not reported, though nobody takes them.
    pub(crate) unreported: *mut PyObject,
    /// A second reader or writer of one descriptor is refused.
    pub(crate) one_reader: bool,
    /// Where timers were made, for debugging.
    pub(crate) origins: timer::Origins,
}

impl Core {
    pub(crate) fn new(thread: *mut Thread, object: *mut PyObject) -> std::io::Result<Self> {
        let reactor = Reactor::new()?;
        let waker = reactor.waker();
        // The object may outlive its OS thread.
        // SAFETY: the record is this OS thread's and the GIL is held.
        unsafe { thread::retain(thread) };
        Ok(Self {
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            thread,
            object,
            ready: ReadyQueue::new(),
            timers: TimerHeap::new(),
            origins: timer::Origins::default(),
            reactor,
            waker,
            inbox: Arc::new(Inbox::new()),
            budget: Budget::new(TURN_SWITCHES, TURN_NANOS),
            allowance: Allowance::new(),
            driver: Driver::Poll,
            in_turn: false,
            turn_requested: false,
            runner: ptr::null_mut(),
            lent: Vec::new(),
            greenlet: ptr::null_mut(),
            blocked: ptr::null_mut(),
            litter: Vec::new(),
            fetched: 0,
            polled: false,
            quiet: false,
            stirred: false,
            unpolled: 0,
            lull: 0,
            rested: 0,
            events: Vec::new(),
            messages: Vec::new(),
            looping: looping::Looping::default(),
            slow: looping::NEVER,
            polling: false,
            turns: 0,
            asleep: false,
            gone: Vec::new(),
            in_main_thread: signals::in_main_thread(),
            running: false,
            stopping: false,
            closed: false,
            goes_on: false,
            main_is_parents: false,
            debug_exceptions: true,
            unreported: ptr::null_mut(),
            one_reader: true,
        })
    }
}

/// Something is to be done at once.
///
/// # Safety
/// `core` is live; the GIL is held.
unsafe fn has_work(core: *mut Core) -> bool {
    // SAFETY: by contract.
    unsafe { (*core).turn_requested || !(*core).ready.is_empty() || !(*core).inbox.is_empty() }
}

impl Drop for Core {
    fn drop(&mut self) {
        // SAFETY: `new` counted one reference; the class is owned; hubs die with the GIL held.
        unsafe {
            ffi::Py_XDECREF(self.unreported);
            thread::release(self.thread);
        }
    }
}

impl Due {
    /// Releases what a timer owns.
    ///
    /// # Safety
    /// The GIL is held. Runs Python code, and may switch, if an object dies.
    pub(crate) unsafe fn release(self) {
        // SAFETY: the pointers are owned.
        unsafe {
            match self {
                Self::Resume(parked) => parked.release(),
                Self::Start(g) => greenlet::decref(g),
                Self::Expire(object) | Self::Call(object) => ffi::Py_DECREF(object),
            }
        }
    }
}

impl Watcher {
    /// Releases what is owned.
    ///
    /// # Safety
    /// As for [`Due::release`].
    pub(crate) unsafe fn release(self) {
        // SAFETY: the pointers are owned.
        unsafe {
            match self {
                Self::Parked(parked) => parked.release(),
                Self::Listener(object) => ffi::Py_DECREF(object),
            }
        }
    }
}

/// Releases what a ready entry owns.
///
/// # Safety
/// The GIL is held. Runs Python code, and may switch, if an object dies.
pub(crate) unsafe fn discard(item: Ready) {
    // SAFETY: the pointers are owned.
    unsafe {
        match item {
            Ready::Resume(parked, inbound) => {
                inbound.discard();
                parked.release();
            }
            Ready::Start(g) => greenlet::decref(g),
            Ready::Raise(g, error) => {
                ffi::Py_DECREF(error);
                greenlet::decref(g);
            }
            Ready::Expire(object) | Ready::Call(object) => ffi::Py_DECREF(object),
        }
    }
}

/// Puts an entry at the end of the ready queue and sees to it that a turn comes.
///
/// # Safety
/// `core` belongs to this OS thread; the GIL is held.
#[inline]
pub(crate) unsafe fn make_ready(core: *mut Core, item: Ready) {
    // SAFETY: by contract; each borrow ends with its statement.
    unsafe {
        (*core).ready.push(item);
        if !(*core).in_turn {
            run::request_turn(core);
        }
    }
}

/// Chooses who runs next: the first ready green thread while the turn's budget lasts, else
/// the runner. What it is sent lies in its inbound slot. Runs no Python code.
///
/// # Safety
/// A turn is in progress; `core` belongs to this OS thread; the GIL is held. The caller
/// switches to the result at once.
#[inline]
pub(crate) unsafe fn successor(core: *mut Core) -> *mut Greenlet {
    // SAFETY: by contract; entries own what they name.
    unsafe {
        // In debug mode the runner measures each green thread.
        if (*core).slow == looping::NEVER && (*core).budget.spend(crate::reactor::now) {
            if (*core).ready.len() > ahead::CROWD {
                ahead::fetch(core);
            }
            loop {
                if (*core).ready.round_is_over() {
                    io::begin_round(core);
                }
                rehearsal::stir(&mut (*core).ready);
                match (*core).ready.peek(0) {
                    // Looked at here, a descriptor that is ready costs no way over the runner.
                    None => {
                        if !io::poll_before_leaving(core) {
                            break;
                        }
                        // What came may be for the runner.
                        continue;
                    }
                    // The runner deals with these: they run Python code first.
                    Some(Ready::Call(_) | Ready::Expire(_) | Ready::Raise(..)) => break,
                    Some(Ready::Resume(parked, _)) if (*parked.greenlet()).stepping => break,
                    Some(Ready::Resume(..) | Ready::Start(_)) => {}
                }
                match (*core).ready.pop() {
                    Some(Ready::Resume(parked, inbound)) => {
                        let g = parked.greenlet();
                        if !parked.is_current() {
                            (*core).litter.push(Ready::Resume(parked, inbound));
                            continue;
                        }
                        deliver(core, g, inbound);
                        lend(core, parked);
                        return g;
                    }
                    Some(Ready::Start(g)) => {
                        if (*g).phase != Phase::New {
                            (*core).litter.push(Ready::Start(g));
                            continue;
                        }
                        if greenlet::life::give_stack(g).is_err() {
                            // The runner reports it.
                            (*core).ready.push_front(Ready::Start(g));
                            break;
                        }
                        lend(core, Parked::owning(g));
                        return g;
                    }
                    _ => break,
                }
            }
        }
        (*(*core).thread).throwing = false;
        (*core).runner
    }
}

/// Puts what `g` is sent into its slot; what was there goes to the litter.
///
/// # Safety
/// `g` is live, `core` this OS thread's hub; the GIL is held. Runs no Python code.
unsafe fn deliver(core: *mut Core, g: *mut Greenlet, inbound: Inbound) {
    // SAFETY: `g` is live.
    unsafe {
        (*(*core).thread).throwing = matches!(inbound, Inbound::Error(_));
        let old = std::mem::replace(&mut (*g).inbound, inbound);
        if !matches!(old, Inbound::Nothing) {
            greenlet::incref(g);
            (*core).litter.push(Ready::Resume(Parked::owning(g), old));
        }
    }
}

/// The queue's reference to a green thread that is about to be entered: the switch takes
/// one of its own, so this one is surplus; it cannot be the last.
unsafe fn lend(core: *mut Core, parked: Parked) {
    let g = parked.into_raw();
    // SAFETY: the reference is owned. While it is the only one, releasing it now would
    // end the greenlet, so then it goes to the litter.
    unsafe {
        if ffi::Py_REFCNT(g.cast()) > 1 {
            greenlet::decref(g);
        } else {
            (*core).litter.push(Ready::Start(g));
        }
    }
}
