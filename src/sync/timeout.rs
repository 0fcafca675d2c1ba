//! `eventlet.timeout.Timeout`: an exception raised in the running green thread after a while.
//!
//! Nearly every timeout is cancelled before its time, a server's by the million: so starting one
//! is one entry of the timer heap, and cancelling takes it out again. The heap owns a reference
//! to the Timeout; the Timeout owns one to its green thread while it is pending, and both end
//! when it fires or is cancelled. No cycle is left then.
//!
//! A timeout of no time at all goes to the ready queue directly, behind what is ready already:
//! programs see (and upstream promises) that it fires before what is woken after it.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::class::{self, Definition, arguments, define, given};
use crate::greenlet::class::{FAST, fast, free, make_exception, method, noargs, property, slot};
use crate::greenlet::{self, Greenlet, errors};
use crate::hub::{Core, Due, Ready, make_ready, registry, run};
use crate::reactor::now;
use crate::sched::{TimerKey, nanos_from_seconds};

static mut TYPE: *mut ffi::PyTypeObject = ptr::null_mut();

#[repr(C)]
struct Timeout {
    base: ffi::PyBaseExceptionObject,
    /// Owned: what was given as `seconds`; None: no timer.
    seconds: *mut PyObject,
    /// Owned: what to raise; None and booleans: the Timeout itself.
    exception: *mut PyObject,
    /// Owned while pending, else NULL: where to raise.
    greenlet: *mut Greenlet,
    deadline: u64,
    /// None: in the ready queue from the start.
    key: Option<TimerKey>,
}

/// When a timeout is tried again whose coroutine has to raise something else first.
const POSTPONED_NANOS: u64 = 50_000;

const PARAMETERS: [&CStr; 2] = [c"seconds", c"exception"];

/// Creates the class; NULL with an exception set on failure.
///
/// # Safety
/// Called once with the GIL held.
pub(super) unsafe fn init() -> *mut ffi::PyTypeObject {
    let class = Definition {
        headed: false,
        slots: vec![
            slot(ffi::Py_tp_new, new as *mut c_void),
            slot(ffi::Py_tp_init, initialize as *mut c_void),
            slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
            slot(ffi::Py_tp_traverse, traverse as *mut c_void),
            slot(ffi::Py_tp_clear, clear as *mut c_void),
            slot(ffi::Py_tp_repr, repr as *mut c_void),
            slot(ffi::Py_tp_str, string as *mut c_void),
        ],
        methods: vec![
            method(c"start", noargs(start), ffi::METH_NOARGS, c"start($self, /)\n--\n\nSchedule the timeout for the running green thread.\n\nCalled by the constructor. Without effect if `seconds` is None.\n\nRaises:\n    AssertionError: If it is pending."),
            method(c"cancel", noargs(cancel), ffi::METH_NOARGS, c"cancel($self, /)\n--\n\nWithdraw the timeout; without effect if it is not pending.\n\nIt can be started again afterwards."),
            method(c"_expire", noargs(expire), ffi::METH_NOARGS, c"_expire($self, /)\n--\n\nTell the hub what to raise, and where: (greenlet, exception), or None."),
            method(c"__enter__", noargs(enter), ffi::METH_NOARGS, c"__enter__($self, /)\n--\n\nStart the timeout unless it is pending."),
            method(c"__exit__", fast(exit), FAST, c"__exit__($self, typ, value, tb, /)\n--\n\nCancel the timeout; swallow it if it was made with exception=False."),
        ],
        properties: vec![property(
            c"pending",
            get_pending,
            None,
            c"True while the timeout is scheduled to be raised.",
        )],
        members: vec![
            class::object_member(c"seconds", std::mem::offset_of!(Timeout, seconds), c"After how many seconds it is raised; None: never."),
            class::object_member(c"exception", std::mem::offset_of!(Timeout, exception), c"What is raised; None, True or False: the Timeout itself."),
        ],
        ..define(
            c"eventlet.timeout.Timeout",
            c"Timeout(seconds=None, exception=None)\n--\n\nRaise an exception in the running green thread after a while.\n\nUsed in a with statement, or started by the constructor and cancelled with\n`cancel()`. It is raised where the green thread waits, so code that never\ngives way is not interrupted.\n\nArgs:\n    seconds: When to raise it; None: never, to be raised by hand.\n    exception: What to raise, a class or an instance. None or True: this\n        object. False: this object, and the with statement swallows it.",
            std::mem::size_of::<Timeout>(),
        )
    };
    // SAFETY: by contract; tables and size fit.
    unsafe {
        let base: *mut ffi::PyTypeObject = ffi::PyExc_BaseException.cast();
        let expected = std::mem::size_of::<ffi::PyBaseExceptionObject>() as ffi::Py_ssize_t;
        if (*base).tp_basicsize != expected {
            ffi::PyErr_SetString(
                ffi::PyExc_ImportError,
                c"this interpreter's BaseException is not laid out as that of the version this was built for"
                    .as_ptr(),
            );
            return ptr::null_mut();
        }
        let made = class::create(Definition { base, ..class });
        if made.is_null()
            || ffi::PyObject_SetAttrString(made.cast(), c"is_timeout".as_ptr(), ffi::Py_True()) < 0
        {
            return ptr::null_mut();
        }
        // Calls of the class itself skip tp_new and tp_init; it is not inherited.
        (*made).tp_vectorcall = Some(call);
        TYPE = made;
        made
    }
}

/// `Timeout(seconds, exception)` of exactly this class.
unsafe extern "C" fn call(
    _: *mut PyObject,
    args: *const *mut PyObject,
    count: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let count = ffi::PyVectorcall_NARGS(count);
        let Some(given) = arguments(c"Timeout", PARAMETERS, 0, args, count, names) else {
            return ptr::null_mut();
        };
        let tuple = ffi::PyTuple_New(count);
        if tuple.is_null() {
            return tuple;
        }
        for i in 0..count {
            ffi::PyTuple_SET_ITEM(tuple, i, ffi::Py_NewRef(*args.offset(i)));
        }
        let me = ffi::PyType_GenericAlloc(TYPE, 0).cast::<Timeout>();
        if me.is_null() {
            ffi::Py_DECREF(tuple);
            return ptr::null_mut();
        }
        (&raw mut (*me).key).write(None);
        (*me).base.args = tuple;
        (*me).seconds = class::or_none(given[0]);
        (*me).exception = class::or_none(given[1]);
        if !begin(me) {
            ffi::Py_DECREF(me.cast());
            return ptr::null_mut();
        }
        me.cast()
    }
}

unsafe extern "C" fn new(
    kind: *mut ffi::PyTypeObject,
    args: *mut PyObject,
    _kwargs: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; BaseException's constructor stores the
    // arguments and, given no keywords, refuses none. The rest of the memory is zeroed.
    unsafe {
        let base: *mut ffi::PyTypeObject = ffi::PyExc_BaseException.cast();
        let Some(make) = (*base).tp_new else {
            return ptr::null_mut();
        };
        let op = make(kind, args, ptr::null_mut());
        if !op.is_null() {
            (&raw mut (*op.cast::<Timeout>()).key).write(None);
        }
        op
    }
}

unsafe extern "C" fn initialize(
    op: *mut PyObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> c_int {
    let me = op.cast::<Timeout>();
    let (mut seconds, mut exception) = (ptr::null_mut::<PyObject>(), ptr::null_mut::<PyObject>());
    let names = [PARAMETERS[0].as_ptr(), PARAMETERS[1].as_ptr(), ptr::null()];
    // SAFETY: called by CPython; the format names two optional objects.
    unsafe {
        let ok = ffi::PyArg_ParseTupleAndKeywords(
            args,
            kwargs,
            c"|OO:Timeout".as_ptr(),
            names.as_ptr().cast_mut().cast(),
            &raw mut seconds,
            &raw mut exception,
        );
        if ok == 0 {
            return -1;
        }
        end(me);
        greenlet::replace(&raw mut (*me).seconds, class::or_none(seconds));
        greenlet::replace(&raw mut (*me).exception, class::or_none(exception));
        if polite(op, c"start", begin) { 0 } else { -1 }
    }
}

/// Starts or cancels: directly, or through the method that a subclass may have overridden.
unsafe fn polite(op: *mut PyObject, name: &CStr, own: unsafe fn(*mut Timeout) -> bool) -> bool {
    // SAFETY: contract of the callers: `op` is a Timeout, the GIL is held.
    unsafe {
        if ffi::Py_TYPE(op) == TYPE {
            return own(op.cast());
        }
        let name = ffi::PyUnicode_InternFromString(name.as_ptr());
        if name.is_null() {
            return false;
        }
        let result = ffi::PyObject_CallMethodNoArgs(op, name);
        ffi::Py_DECREF(name);
        ffi::Py_XDECREF(result);
        !result.is_null()
    }
}

/// Schedules the timeout for the running green thread. False with an exception set.
unsafe fn begin(me: *mut Timeout) -> bool {
    // SAFETY: contract of the callers: `me` is live, the GIL is held. The pending timer
    // owns one reference to `me`, which owns one to the running greenlet.
    unsafe {
        if !(*me).greenlet.is_null() {
            ffi::PyErr_Format(
                ffi::PyExc_AssertionError,
                c"%R is pending: cancel it before it is started again".as_ptr(),
                me.cast::<PyObject>(),
            );
            return false;
        }
        if !given((*me).seconds) {
            return true;
        }
        let Some(seconds) = class::seconds((*me).seconds) else {
            return false;
        };
        let core = registry::hub();
        if core.is_null() {
            return false;
        }
        // In a coroutine the task's own, not the one whose stack serves this step.
        let g = greenlet::identity((*core).thread);
        if g.is_null() {
            return false;
        }
        greenlet::incref(g);
        (*me).greenlet = g;
        ffi::Py_INCREF(me.cast());
        if seconds > 0.0 {
            (*me).deadline = now().saturating_add(nanos_from_seconds(seconds));
            (*me).key = Some(run::add_timer(core, (*me).deadline, Due::Expire(me.cast())));
            // The heap's reference keeps it alive whatever the collector finds, so while it
            // is pending there is nothing to find: a million live timeouts cost a
            // collection nothing.
            ffi::PyObject_GC_UnTrack(me.cast());
        } else {
            (*me).deadline = 0;
            (*me).key = None;
            make_ready(core, Ready::Expire(me.cast()));
        }
        true
    }
}

/// Shows a timeout that is no longer pending to the collector again.
unsafe fn track(me: *mut Timeout) {
    // SAFETY: contract of the callers: `me` is live, the GIL is held.
    unsafe {
        if ffi::PyObject_GC_IsTracked(me.cast()) == 0 {
            ffi::PyObject_GC_Track(me.cast());
        }
    }
}

/// Withdraws a pending timeout. Always true, as [`polite`] wants it.
unsafe fn end(me: *mut Timeout) -> bool {
    // SAFETY: contract of the callers: `me` is live and held by them, the GIL is held.
    unsafe {
        let g = std::mem::replace(&mut (*me).greenlet, ptr::null_mut());
        if g.is_null() {
            return true;
        }
        track(me);
        let core = (*(*g).thread).hub.cast::<Core>();
        if let Some(key) = (*me).key
            && !core.is_null()
            // The hub may have been replaced, and the key name somebody else's timer there.
            && matches!((*core).timers.get(key), Some(Due::Expire(op)) if *op == me.cast())
        {
            // Not forgotten, handed on: the heap's reference is released here.
            if let Some(Due::Expire(op)) = (*core).timers.cancel(key) {
                ffi::Py_DECREF(op);
            }
        }
        greenlet::decref(g);
        true
    }
}

/// Asked by the hub when a timer is due. One that was cancelled after it had come to the ready
/// queue is told by its state, one that was also started again by its deadline.
unsafe extern "C" fn expire(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Timeout>();
    // SAFETY: called with the GIL held.
    unsafe {
        if (*me).greenlet.is_null() || (*me).deadline > now() {
            return class::none();
        }
        let core: *mut Core = (*(*(*me).greenlet).thread).hub.cast();
        if !core.is_null() && greenlet::is_busy((*me).greenlet) {
            // What is raised first may leave the block that this one is for.
            (*me).deadline = now().saturating_add(POSTPONED_NANOS);
            ffi::Py_INCREF(me.cast());
            (*me).key = Some(run::add_timer(core, (*me).deadline, Due::Expire(me.cast())));
            return class::none();
        }
        track(me);
        let error = raised(me);
        let pair = ffi::PyTuple_New(2);
        // Taken last: what was called may have cancelled it.
        let g = std::mem::replace(&mut (*me).greenlet, ptr::null_mut());
        if pair.is_null() || g.is_null() {
            ffi::Py_XDECREF(error);
            ffi::Py_XDECREF(pair);
            if !g.is_null() {
                greenlet::decref(g);
                return ptr::null_mut();
            }
            return class::none();
        }
        ffi::PyTuple_SET_ITEM(pair, 0, g.cast());
        ffi::PyTuple_SET_ITEM(pair, 1, error);
        pair
    }
}

/// What to raise: owned. Runs Python code if a class was given.
unsafe fn raised(me: *mut Timeout) -> *mut PyObject {
    // SAFETY: contract of `expire`; what was given is held while it is called.
    unsafe {
        let what = (*me).exception;
        if !given(what) || ffi::PyBool_Check(what) != 0 {
            return ffi::Py_NewRef(me.cast());
        }
        let what = ffi::Py_NewRef(what);
        let is_exception =
            ffi::PyExceptionClass_Check(what) != 0 || ffi::PyExceptionInstance_Check(what) != 0;
        let error = if is_exception {
            make_exception(what, ptr::null_mut(), ptr::null_mut())
        } else {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"a Timeout cannot raise %R: give it an exception class or instance, True, False or None"
                    .as_ptr(),
                what,
            );
            ptr::null_mut()
        };
        ffi::Py_DECREF(what);
        if error.is_null() {
            errors::take_raised()
        } else {
            error
        }
    }
}

unsafe extern "C" fn start(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a Timeout.
    unsafe {
        if begin(op.cast()) {
            class::none()
        } else {
            ptr::null_mut()
        }
    }
}

unsafe extern "C" fn cancel(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a Timeout.
    unsafe {
        end(op.cast());
        class::none()
    }
}

unsafe extern "C" fn enter(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a Timeout.
    unsafe {
        if (*op.cast::<Timeout>()).greenlet.is_null() && !polite(op, c"start", begin) {
            return ptr::null_mut();
        }
        ffi::Py_NewRef(op)
    }
}

unsafe extern "C" fn exit(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a Timeout.
    unsafe {
        let parameters = [c"typ", c"value", c"tb"];
        let Some([_, value, _]) = arguments(c"__exit__", parameters, 3, args, count, names) else {
            return ptr::null_mut();
        };
        if !polite(op, c"cancel", end) {
            return ptr::null_mut();
        }
        class::boolean(value == op && (*op.cast::<Timeout>()).exception == ffi::Py_False())
    }
}

unsafe extern "C" fn get_pending(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython on a Timeout.
    unsafe { class::boolean(!(*op.cast::<Timeout>()).greenlet.is_null()) }
}

unsafe extern "C" fn repr(op: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Timeout>();
    // SAFETY: called by CPython on a Timeout; the formats match their arguments.
    unsafe {
        let pending = if (*me).greenlet.is_null() {
            c""
        } else {
            c" pending"
        };
        let part = |format: &CStr, object: *mut PyObject| {
            if given(object) {
                ffi::PyUnicode_FromFormat(format.as_ptr(), object)
            } else {
                ffi::PyUnicode_FromFormat(c"".as_ptr())
            }
        };
        let seconds = part(c" seconds=%S", (*me).seconds);
        let exception = if seconds.is_null() {
            ptr::null_mut()
        } else {
            part(c" exception=%R", (*me).exception)
        };
        let mut text = ptr::null_mut();
        if !exception.is_null() {
            text = ffi::PyUnicode_FromFormat(
                c"<%s at %p%s%U%U>".as_ptr(),
                class::name(op),
                op,
                pending.as_ptr(),
                seconds,
                exception,
            );
        }
        ffi::Py_XDECREF(seconds);
        ffi::Py_XDECREF(exception);
        text
    }
}

unsafe extern "C" fn string(op: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Timeout>();
    // SAFETY: called by CPython on a Timeout; the formats match their arguments.
    unsafe {
        let seconds = (*me).seconds;
        if !given(seconds) {
            return ffi::PyUnicode_FromFormat(c"".as_ptr());
        }
        let one = ffi::PyLong_FromLong(1);
        let single = ffi::PyObject_RichCompareBool(seconds, one, ffi::Py_EQ);
        ffi::Py_DECREF(one);
        if single < 0 {
            return ptr::null_mut();
        }
        let unit = if single == 1 { c"second" } else { c"seconds" };
        let exception = (*me).exception;
        if !given(exception) || exception == ffi::Py_True() {
            ffi::PyUnicode_FromFormat(c"%S %s".as_ptr(), seconds, unit.as_ptr())
        } else if exception == ffi::Py_False() {
            ffi::PyUnicode_FromFormat(c"%S %s (silent)".as_ptr(), seconds, unit.as_ptr())
        } else {
            ffi::PyUnicode_FromFormat(c"%S %s (%S)".as_ptr(), seconds, unit.as_ptr(), exception)
        }
    }
}

unsafe extern "C" fn traverse(op: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let me = op.cast::<Timeout>();
    // SAFETY: called by the collector on a live instance; pointers are owned or NULL.
    unsafe {
        let owned = [
            ffi::Py_TYPE(op).cast(),
            (*me).seconds,
            (*me).exception,
            (*me).greenlet.cast::<PyObject>(),
        ];
        for object in owned {
            if !object.is_null() {
                let stop = visit(object, arg);
                if stop != 0 {
                    return stop;
                }
            }
        }
        let base: *mut ffi::PyTypeObject = ffi::PyExc_BaseException.cast();
        (*base)
            .tp_traverse
            .map_or(0, |traverse| traverse(op, visit, arg))
    }
}

unsafe extern "C" fn clear(op: *mut PyObject) -> c_int {
    let me = op.cast::<Timeout>();
    // SAFETY: called by the collector or by `dealloc`; a pending timer that is still known to
    // a hub is owned by it, so this one is not.
    unsafe {
        greenlet::replace(&raw mut (*me).seconds, ptr::null_mut());
        greenlet::replace(&raw mut (*me).exception, ptr::null_mut());
        let g = std::mem::replace(&mut (*me).greenlet, ptr::null_mut());
        if !g.is_null() {
            greenlet::decref(g);
        }
        let base: *mut ffi::PyTypeObject = ffi::PyExc_BaseException.cast();
        (*base).tp_clear.map_or(0, |clear| clear(op))
    }
}

unsafe extern "C" fn dealloc(op: *mut PyObject) {
    // SAFETY: called by CPython when the last reference is gone.
    unsafe {
        ffi::PyObject_GC_UnTrack(op.cast());
        clear(op);
        free(op);
    }
}
