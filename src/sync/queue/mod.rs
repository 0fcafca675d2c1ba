//! `LightQueue` and `Queue` of `eventlet.queue`: who waits, and who gets what.
//!
//! An item stays where it is (stored, or with the green thread that wants to put it) until the
//! one who gets it runs and takes it. So an interrupted getter has lost nothing, and a putter in
//! which an exception is raised has put nothing, unless the item was taken already.
//!
//! Instead of items, *claims* are handed out, in order of arrival:
//! - `notified` getters were woken and have not run yet. Each has a claim to one item, so a
//!   newcomer may take one only if there are more than that.
//! - `granted` putters were woken because there is room and have not run yet. Each has a
//!   claim to one place.
//!
//! Whoever runs gives its claim up first; an interrupted one passes it on ([`serve_getters`],
//! [`serve_putters`]).
//!
//! With `maxsize` 0 nothing is stored: a queue is a channel then, where the items are those of the
//! waiting putters, and `put()` returns when its item has been taken. A notified getter may
//! find that the putter has given up; it then waits on, before all others (`first`).

pub(super) mod class;
mod counting;
mod storage;

use std::collections::VecDeque;
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::class::{Head, passed};
use super::{wait_in, wake, wake_soon};
use crate::error::raise_new;
use crate::greenlet::Inbound;
use crate::hub::{Parked, fair, park, registry};
use crate::sched::WaiterList;

/// A green thread that waits to put an item.
struct Putter {
    parked: Parked,
    /// The item, owned, on the putter's own stack, which stays as it is while it waits. Who
    /// takes it leaves NULL.
    item: *mut *mut PyObject,
}

#[repr(C)]
pub(super) struct Queue {
    head: Head,
    /// Items, owned, unless `container` is set.
    items: VecDeque<*mut PyObject>,
    /// Owned or NULL: what `_init` of a subclass made, or a deque once somebody asked for it.
    container: *mut PyObject,
    /// Negative: no limit.
    maxsize: isize,
    /// Getters that were woken in vain, then all others.
    first: WaiterList<Parked>,
    getters: WaiterList<Parked>,
    notified: usize,
    putters: WaiterList<Putter>,
    granted: usize,
    /// Which methods a subclass in Python has overridden.
    overridden: class::Overridden,
    /// Counts unfinished tasks: a Queue, not a `LightQueue`.
    counting: bool,
    unfinished: isize,
    joiners: WaiterList<Parked>,
}

/// How a put or a get ended without an exception.
pub(super) enum Ended<T> {
    Done(T),
    /// No item, or no place, in time.
    InVain,
}

/// None: a Python exception is set.
type Result<T> = Option<Ended<T>>;

/// How many items are stored; None with an exception set.
///
/// # Safety
/// `me` is held by the caller, the GIL is held. Runs Python code of a subclass.
#[inline]
unsafe fn stored(me: *mut Queue) -> Option<usize> {
    // SAFETY: by contract.
    unsafe {
        if (*me).container.is_null() && !(*me).overridden.storage {
            return Some((*me).items.len());
        }
        storage::container_len(me)
    }
}

/// How many items somebody could take now, claims included.
///
/// # Safety
/// As for [`stored`].
#[inline]
unsafe fn available(me: *mut Queue) -> Option<usize> {
    // SAFETY: by contract.
    unsafe {
        let stored = stored(me)?;
        Some(if (*me).maxsize == 0 {
            stored + (*me).putters.len()
        } else {
            stored
        })
    }
}

/// Whether there is a place that nobody has a claim to.
///
/// # Safety
/// As for [`stored`].
#[inline]
unsafe fn has_room(me: *mut Queue) -> Option<bool> {
    // SAFETY: by contract.
    unsafe {
        if (*me).maxsize < 0 {
            return Some(true);
        }
        Some(stored(me)? + (*me).granted < (*me).maxsize as usize)
    }
}

/// Stores an item (borrowed). False with an exception set.
///
/// # Safety
/// As for [`stored`].
#[inline]
unsafe fn store(me: *mut Queue, item: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe {
        if (*me).container.is_null() && !(*me).overridden.storage {
            (*me).items.push_back(ffi::Py_NewRef(item));
        } else if !storage::container_put(me, item) {
            return false;
        }
        counting::add(me);
        true
    }
}

/// Gives items to those who wait for them, in order: each gets a claim and is woken. False with
/// an exception set.
///
/// # Safety
/// As for [`stored`].
#[inline]
unsafe fn serve_getters(me: *mut Queue) -> bool {
    // SAFETY: by contract; one borrow per statement.
    unsafe {
        while !(*me).first.is_empty() || !(*me).getters.is_empty() {
            let Some(available) = available(me) else {
                return false;
            };
            if available <= (*me).notified {
                break;
            }
            let front = (*me).first.pop_front();
            let Some(parked) = front.or_else(|| (*me).getters.pop_front()) else {
                break;
            };
            // Counted first: the one who is woken may live in another OS thread.
            (*me).notified += 1;
            if !wake(parked) {
                (*me).notified -= 1;
            }
        }
        true
    }
}

/// Gives places to those who wait to put, in order. False with an exception set.
///
/// # Safety
/// As for [`stored`].
#[inline]
unsafe fn serve_putters(me: *mut Queue) -> bool {
    // SAFETY: by contract; one borrow per statement.
    unsafe {
        while !(*me).putters.is_empty() {
            let Some(room) = has_room(me) else {
                return false;
            };
            if !room {
                break;
            }
            let Some(putter) = (*me).putters.pop_front() else {
                break;
            };
            (*me).granted += 1;
            if !wake(putter.parked) {
                (*me).granted -= 1;
            }
        }
        true
    }
}

/// Takes an item that is there and claimed by nobody else: owned, or NULL with an exception set.
///
/// # Safety
/// As for [`stored`]; at least one is [`available`].
#[inline]
unsafe fn take(me: *mut Queue) -> *mut PyObject {
    // SAFETY: by contract.
    unsafe {
        if (*me).container.is_null() && !(*me).overridden.storage {
            if let Some(item) = (*me).items.pop_front() {
                if !(*me).putters.is_empty() {
                    serve_putters(me);
                }
                return item;
            }
            return take_from_putter(me);
        }
        let Some(stored) = stored(me) else {
            return ptr::null_mut();
        };
        if stored == 0 {
            return take_from_putter(me);
        }
        let item = storage::container_get(me);
        if !item.is_null() && !serve_putters(me) {
            ffi::Py_DECREF(item);
            return ptr::null_mut();
        }
        item
    }
}

/// Takes the item of the first waiting putter, which is then done.
unsafe fn take_from_putter(me: *mut Queue) -> *mut PyObject {
    // SAFETY: contract of `take`; a putter's stack stays as it is while it is on the list.
    unsafe {
        let Some(putter) = (*me).putters.pop_front() else {
            return raise_new(
                ffi::PyExc_RuntimeError,
                c"_qsize() of this queue promises items that are not there",
            );
        };
        let item = std::mem::replace(&mut *putter.item, ptr::null_mut());
        counting::add(me);
        wake_soon(putter.parked);
        item
    }
}

/// Takes the next item; waits for one until `deadline` if `blocking`.
///
/// # Safety
/// As for [`stored`].
///
/// # Switches
/// If `blocking`: if nothing is there, and if the turn's allowance is used up.
#[inline]
unsafe fn get(me: *mut Queue, blocking: bool, deadline: Option<u64>) -> Result<*mut PyObject> {
    // SAFETY: by contract.
    unsafe {
        let mut there = available(me)? > (*me).notified;
        if there && blocking && !fair::afford_light() {
            if !fair::give_way() {
                return None;
            }
            // It may have been taken while others ran.
            there = available(me)? > (*me).notified;
        }
        if there {
            let item = take(me);
            return if item.is_null() {
                None
            } else {
                Some(Ended::Done(item))
            };
        }
        if !blocking {
            return Some(Ended::InVain);
        }
        get_later(me, deadline)
    }
}

unsafe fn get_later(me: *mut Queue, deadline: Option<u64>) -> Result<*mut PyObject> {
    // SAFETY: contract of `get`; one borrow per statement, none across the switch.
    unsafe {
        let mut again = false;
        loop {
            // Asked for anew: the hub may have been replaced during the wait.
            let core = registry::existing();
            if core.is_null() {
                if registry::hub().is_null() {
                    return None;
                }
                // Other OS threads ran while the hub was made: look again.
                return get(me, true, deadline);
            }
            let list = if again {
                &raw mut (*me).first
            } else {
                &raw mut (*me).getters
            };
            let (inbound, notified) = wait_in(list, core, deadline);
            if notified {
                (*me).notified -= 1;
            }
            if let Inbound::Error(_) = inbound {
                if notified && !serve_getters(me) {
                    // What the subclass's _qsize() raised matters less than what was raised here.
                    ffi::PyErr_Clear();
                }
                inbound.into_result();
                return None;
            }
            inbound.discard();
            if available(me)? > (*me).notified {
                let item = take(me);
                return if item.is_null() {
                    None
                } else {
                    Some(Ended::Done(item))
                };
            }
            if passed(deadline) {
                return Some(Ended::InVain);
            }
            // Woken for an item whose putter has given up, or by hand.
            again = again || notified;
        }
    }
}

/// Puts an item (borrowed); waits for room, or in a channel for a taker, until `deadline` if
/// `blocking`.
///
/// # Safety
/// As for [`stored`].
///
/// # Switches
/// If there is no room and `blocking`.
#[inline]
unsafe fn put(
    me: *mut Queue,
    item: *mut PyObject,
    blocking: bool,
    deadline: Option<u64>,
) -> Result<()> {
    // SAFETY: by contract.
    unsafe {
        if has_room(me)? {
            return put_now(me, item);
        }
        if blocking {
            return put_later(me, item, deadline);
        }
        // Somebody waits in a channel and will take it as soon as it runs.
        let waiting = !(*me).getters.is_empty() || !(*me).first.is_empty();
        if (*me).maxsize == 0 && waiting {
            return put_now(me, item);
        }
        Some(Ended::InVain)
    }
}

#[inline]
unsafe fn put_now(me: *mut Queue, item: *mut PyObject) -> Result<()> {
    // SAFETY: contract of `put`.
    unsafe { (store(me, item) && serve_getters(me)).then_some(Ended::Done(())) }
}

unsafe fn put_later(me: *mut Queue, item: *mut PyObject, deadline: Option<u64>) -> Result<()> {
    // SAFETY: contract of `put`. `slot` lies on this green thread's stack, where only those
    // who find the putter on the list look for it; it leaves the list before this returns.
    unsafe {
        let mut slot = ffi::Py_NewRef(item);
        let place = &raw mut slot;
        loop {
            // Asked for anew: the hub may have been replaced during the wait.
            let core = registry::existing();
            if core.is_null() {
                // Other OS threads run while the hub is made: look again.
                let done = if registry::hub().is_null() {
                    None
                } else {
                    put(me, slot, true, deadline)
                };
                ffi::Py_DECREF(slot);
                return done;
            }
            let parked = Parked::current((*core).thread);
            let key = (*me).putters.push_back(Putter {
                parked,
                item: place,
            });
            let fine = (*me).maxsize != 0 || serve_getters(me);
            let inbound = if fine {
                park::park_until(core, deadline)
            } else {
                Inbound::Error(crate::greenlet::errors::take_raised())
            };
            let left = (*me).putters.remove(key);
            let waiting = left.is_some();
            if let Some(putter) = left {
                putter.parked.release();
            }
            let held = std::ptr::read_volatile(place);
            let granted = !waiting && !held.is_null();
            if granted {
                (*me).granted -= 1;
            }
            if let Inbound::Error(_) = inbound {
                ffi::Py_XDECREF(held);
                if granted && !serve_putters(me) {
                    // As in `get_later`.
                    ffi::PyErr_Clear();
                }
                inbound.into_result();
                return None;
            }
            inbound.discard();
            if granted {
                let done = put_now(me, held);
                ffi::Py_DECREF(held);
                return done;
            }
            if held.is_null() {
                return Some(Ended::Done(()));
            }
            if passed(deadline) {
                ffi::Py_DECREF(held);
                return Some(Ended::InVain);
            }
        }
    }
}

/// Changes the limit; whoever has room or items now is served. False with an exception set.
///
/// # Safety
/// As for [`stored`].
unsafe fn resize(me: *mut Queue, maxsize: isize) -> bool {
    // SAFETY: by contract.
    unsafe {
        (*me).maxsize = maxsize;
        serve_putters(me) && serve_getters(me)
    }
}
