//! One turn, in order: inbox, timers, ready queue up to the budget, poll without waiting.

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::{
    Core, Due, Message, Parked, Ready, Visit, blocking, control, discard, io, lend, rehearsal,
    slow, step,
};
use crate::greenlet::{self, Greenlet, Inbound, Phase, errors, life, switch_to};
use crate::reactor::now;

/// A loop that comes back for the next turn sooner, in nanoseconds, has not slept.
const INSTANT: u64 = 5_000;

/// Runs one turn on the running greenlet's stack, which becomes the runner.
///
/// Returns false with an exception set if one has to end the runner's loop: one that was
/// raised in the runner itself, or SystemExit and KeyboardInterrupt of a callback. The
/// hub is in order then, and the next turn goes on with what is left.
///
/// # Safety
/// `core` is this OS thread's hub, no turn is in progress; the GIL is held.
///
/// # Switches
/// Into everything that is ready.
pub(crate) unsafe fn turn(core: *mut Core) -> bool {
    // SAFETY: by contract. Invariant H2: one borrow per statement.
    unsafe {
        become_runner(core);
        (*core).in_turn = true;
        (*core).turn_requested = false;
        (*core).turns += 1;
        ((*core).unpolled, (*core).lull) = (0, 0);
        let begun = now();
        (*core).budget.start(begun);
        (*core).allowance.start(begun);
        let outer = step::suspend((*core).thread);
        let fine = passes(core, begun.saturating_sub((*core).rested) < INSTANT);
        step::resume((*core).thread, outer);
        (*core).in_turn = false;
        fine
    }
}

/// A turn for one event of the loop: runs `cause`, which makes something ready, and what is
/// ready then. The rest of a [`turn`] costs a system call, and is left to the next one.
///
/// # Safety
/// As for [`turn`]; `cause` must not switch.
///
/// # Switches
/// As [`turn`].
pub(super) unsafe fn brief(core: *mut Core, cause: impl FnOnce()) -> bool {
    // SAFETY: by contract.
    unsafe {
        become_runner(core);
        (*core).in_turn = true;
        (*core).turns += 1;
        let begun = now();
        (*core).budget.start(begun);
        (*core).allowance.start(begun);
        let outer = step::suspend((*core).thread);
        cause();
        (*core).ready.begin_round();
        let fine = perform_ready(core);
        step::resume((*core).thread, outer);
        (*core).in_turn = false;
        fine
    }
}

/// Empties the ready queue, as far as the budget goes.
unsafe fn perform_ready(core: *mut Core) -> bool {
    // SAFETY: contract of `turn`.
    unsafe {
        loop {
            if !(*core).litter.is_empty() {
                empty_litter(core);
            }
            if !(*core).budget.spend(now) {
                return true;
            }
            if (*core).ready.round_is_over() {
                io::begin_round(core);
            }
            rehearsal::stir(&mut (*core).ready);
            let Some(item) = (*core).ready.pop() else {
                return true;
            };
            if !perform(core, item) {
                return false;
            }
        }
    }
}

/// What a turn does; `early` if it follows another one at once.
unsafe fn passes(core: *mut Core, early: bool) -> bool {
    // SAFETY: contract of `turn`.
    unsafe {
        loop {
            take_messages(core);
            take_due(core);
            (*core).ready.begin_round();
            if !perform_ready(core) {
                return false;
            }
            let polled = std::mem::replace(&mut (*core).polled, false);
            if !polled {
                if !io::poll_now(core) {
                    return false;
                }
                // Something was ready that a poll by the last one to leave would have found.
                (*core).quiet &= !early || (*core).ready.is_empty();
            }
            if (*core).ready.is_empty() || !(*core).budget.spend(now) {
                break;
            }
        }
        empty_litter(core);
    }
    true
}

/// Moves wake-ups of other OS threads to the ready queue.
unsafe fn take_messages(core: *mut Core) {
    // SAFETY: contract of `turn`.
    unsafe {
        if (*core).inbox.is_empty() {
            return;
        }
        let mut messages = std::mem::take(&mut (*core).messages);
        (*core).inbox.drain_into(&mut messages);
        for Message(item) in messages.drain(..) {
            (*core).ready.push(item);
        }
        (*core).messages = messages;
    }
}

/// Moves timers that are due to the ready queue.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held.
pub(super) unsafe fn take_due(core: *mut Core) {
    // SAFETY: contract of `turn`.
    unsafe {
        if (*core).timers.is_empty() {
            return;
        }
        let instant = now();
        while let Some((_, due)) = (*core).timers.pop_due(instant) {
            (*core).ready.push(match due {
                Due::Resume(parked) => Ready::Resume(parked, Inbound::Nothing),
                Due::Start(g) => Ready::Start(g),
                Due::Expire(timeout) => Ready::Expire(timeout),
                Due::Call(timer) => Ready::Call(timer),
            });
        }
    }
}

unsafe fn empty_litter(core: *mut Core) {
    // SAFETY: contract of `turn`; an entry's release may add litter, hence the loop.
    unsafe {
        while let Some(item) = (*core).litter.pop() {
            discard(item);
        }
    }
}

/// Does what a ready entry stands for. False with an exception set: see [`turn`].
unsafe fn perform(core: *mut Core, item: Ready) -> bool {
    // SAFETY: contract of `turn`; the entry owns what it names.
    unsafe {
        match item {
            Ready::Resume(parked, inbound) => {
                let g = parked.greenlet();
                if (*g).stepping && (parked.is_current() || blocking::is_meant(core, &parked)) {
                    let fine = step::wake(g, inbound) || control::report(core);
                    parked.release();
                    return fine;
                }
                if parked.is_current() && g != (*core).runner {
                    // The runner comes back much later: it keeps nothing alive till then.
                    lend(core, parked);
                    return enter(core, g, inbound);
                }
                inbound.discard();
                parked.release();
                true
            }
            Ready::Start(g) => start(core, g),
            Ready::Raise(g, error) => {
                let fine = control::raise_in(core, g, error);
                greenlet::decref(g);
                fine
            }
            Ready::Expire(timeout) => control::expire(core, timeout),
            Ready::Call(timer) => control::call(core, timer),
        }
    }
}

/// Starts `g`, whose reference is consumed, unless it has started already.
unsafe fn start(core: *mut Core, g: *mut Greenlet) -> bool {
    // SAFETY: contract of `turn`; `g` is live and owned.
    unsafe {
        if (*g).phase != Phase::New {
            greenlet::decref(g);
            return true;
        }
        match life::start(g) {
            Ok(()) => {
                lend(core, Parked::owning(g));
                enter(core, g, Inbound::Nothing)
            }
            Err(error) => {
                // No stack: the green thread ends with that error as its outcome.
                control::stillborn(g, error);
                greenlet::decref(g);
                true
            }
        }
    }
}

/// Switches to `g` from the runner. False with an exception set if one was raised in the
/// runner meanwhile.
///
/// # Safety
/// `g` is Active, suspended and of this OS thread; the GIL is held.
///
/// # Switches
/// Always.
pub(crate) unsafe fn enter(core: *mut Core, g: *mut Greenlet, inbound: Inbound) -> bool {
    // SAFETY: by contract.
    unsafe {
        let thread = (*core).thread;
        let measured = slow::begin(core, g.cast());
        if measured.is_some() && (*g).phase != Phase::Active {
            // Naming it has run it to its end.
            inbound.discard();
            return true;
        }
        if matches!(inbound, Inbound::Nothing) {
            // A start keeps the arguments that lie there already.
            (*thread).throwing = false;
        } else {
            super::deliver(core, g, inbound);
        }
        let fine = returned(switch_to(thread, g));
        if let Some(measured) = measured {
            slow::end(core, measured);
        }
        fine
    }
}

/// [`enter`] from a callback of the hub, in the middle of a turn, which gets control back as soon
/// as `g` leaves.
///
/// # Safety
/// As for [`enter`]; a turn is in progress and the caller is its runner.
///
/// # Switches
/// Always.
pub(crate) unsafe fn visit(core: *mut Core, g: *mut Greenlet, inbound: Inbound) -> bool {
    // SAFETY: by contract; `g` may have the hub replaced, which then is not looked at.
    unsafe {
        let visit = Visit::new(core);
        let budget = (*core).budget;
        (*core).budget.exhaust();
        let fine = enter(core, g, inbound);
        if visit.lasts() {
            (*core).budget = budget;
        }
        fine
    }
}

/// [`enter`] from a callback or coroutine, outside a turn: the caller's stack is the runner
/// meanwhile, and gets control back as soon as `g` leaves.
///
/// # Safety
/// As for [`enter`]; no turn is in progress and the caller runs on the loop's stack.
///
/// # Switches
/// Always.
pub(crate) unsafe fn single(core: *mut Core, g: *mut Greenlet, inbound: Inbound) -> bool {
    // SAFETY: by contract.
    unsafe {
        let hidden = crate::imports::hide_loop();
        let former = exchange_runner(core);
        (*core).in_turn = true;
        (*core).budget.exhaust();
        let fine = enter(core, g, inbound);
        (*core).in_turn = false;
        crate::imports::show_loop(hidden);
        let pending = errors::take_raised();
        if !(*core).ready.is_empty() || super::looping::must_schedule(core) {
            super::run::request_turn(core);
        }
        if !former.is_null() {
            greenlet::decref(former);
        }
        if !pending.is_null() {
            errors::raise(pending);
        }
        fine
    }
}

/// Makes the running greenlet the one whose stack turns run on.
///
/// # Safety
/// `core` is this OS thread's hub; the GIL is held.
pub(super) unsafe fn become_runner(core: *mut Core) {
    // SAFETY: contract of the callers.
    unsafe {
        let former = exchange_runner(core);
        if !former.is_null() {
            greenlet::decref(former);
        }
    }
}

/// [`become_runner`] that leaves the former one (owned or NULL) to the caller: its release may
/// run anything.
unsafe fn exchange_runner(core: *mut Core) -> *mut Greenlet {
    // SAFETY: contract of `become_runner`.
    unsafe {
        let me = step::outermost_home((*core).thread);
        greenlet::incref(me);
        std::mem::replace(&mut (*core).runner, me)
    }
}

/// What came back to the runner: nothing of interest, or an exception raised in it.
unsafe fn returned(inbound: Inbound) -> bool {
    // SAFETY: owned.
    unsafe {
        match inbound {
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

/// Tells whether an exception has to reach the main greenlet instead of being printed.
///
/// # Safety
/// `error` is a live exception; the GIL is held.
pub(crate) unsafe fn is_system(error: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe {
        errors::is_a(error, ffi::PyExc_SystemExit)
            || errors::is_a(error, ffi::PyExc_KeyboardInterrupt)
    }
}
