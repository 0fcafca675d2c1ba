//! The Python class `Timeout`: arguments in, errors out, and how it shows itself.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::{Timeout, begin, end, expire};
use crate::error::raise_new;
use crate::greenlet::arguments::{arguments, boolean, given, none, or_none};
use crate::greenlet::define::{
    Definition, create, define, fast, free, noargs, object_member, property, slot,
};
use crate::greenlet::{self, gc};
use crate::sync::class;

static mut TYPE: *mut ffi::PyTypeObject = ptr::null_mut();

const PARAMETERS: [&CStr; 2] = [c"seconds", c"exception"];

/// Creates the class; NULL with an exception set on failure.
///
/// # Safety
/// Called once with the GIL held.
pub(in crate::sync) unsafe fn init() -> *mut ffi::PyTypeObject {
    let class = Definition {
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
            noargs(c"start", start, c"start($self, /)\n--\n\nSchedule the timeout for the running green thread.\n\nCalled by the constructor. Without effect if `seconds` is None.\n\nRaises:\n    AssertionError: If it is pending."),
            noargs(c"cancel", cancel, c"cancel($self, /)\n--\n\nWithdraw the timeout; without effect if it is not pending.\n\nIt can be started again afterwards."),
            noargs(c"_expire", expire, c"_expire($self, /)\n--\n\nTell the hub what to raise, and where: (greenlet, exception), or None."),
            noargs(c"__enter__", enter, c"__enter__($self, /)\n--\n\nStart the timeout unless it is pending."),
            fast(c"__exit__", exit, c"__exit__($self, typ, value, tb, /)\n--\n\nCancel the timeout; swallow it if it was made with exception=False."),
        ],
        properties: vec![property(
            c"pending",
            get_pending,
            None,
            c"True while the timeout is scheduled to be raised.",
        )],
        members: vec![
            object_member(c"seconds", std::mem::offset_of!(Timeout, seconds), c"After how many seconds it is raised; None: never."),
            object_member(c"exception", std::mem::offset_of!(Timeout, exception), c"What is raised; None, True or False: the Timeout itself."),
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
            return raise_new(
                ffi::PyExc_ImportError,
                c"this interpreter's BaseException is not laid out as that of the version this was \
                  built for",
            )
            .cast();
        }
        let made = create(Definition { base, ..class });
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
        (*me).seconds = or_none(given[0]);
        (*me).exception = or_none(given[1]);
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
        greenlet::replace(&raw mut (*me).seconds, or_none(seconds));
        greenlet::replace(&raw mut (*me).exception, or_none(exception));
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

unsafe extern "C" fn start(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a Timeout.
    unsafe {
        if begin(op.cast()) {
            none()
        } else {
            ptr::null_mut()
        }
    }
}

unsafe extern "C" fn cancel(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a Timeout.
    unsafe {
        end(op.cast());
        none()
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
        boolean(value == op && (*op.cast::<Timeout>()).exception == ffi::Py_False())
    }
}

unsafe extern "C" fn get_pending(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython on a Timeout.
    unsafe { boolean(!(*op.cast::<Timeout>()).greenlet.is_null()) }
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
        // Held: showing one may run Python code that replaces it.
        let shown = [(*me).seconds, (*me).exception].map(|object| ffi::Py_XNewRef(object));
        let seconds = part(c" seconds=%S", shown[0]);
        let exception = if seconds.is_null() {
            ptr::null_mut()
        } else {
            part(c" exception=%R", shown[1])
        };
        for object in shown {
            ffi::Py_XDECREF(object);
        }
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
    // SAFETY: called by CPython on a Timeout. What is shown is held: showing it runs Python
    // code, which may replace it.
    unsafe {
        let seconds = ffi::Py_XNewRef((*me).seconds);
        let exception = ffi::Py_XNewRef((*me).exception);
        let text = describe(seconds, exception);
        ffi::Py_XDECREF(seconds);
        ffi::Py_XDECREF(exception);
        text
    }
}

unsafe fn describe(seconds: *mut PyObject, exception: *mut PyObject) -> *mut PyObject {
    // SAFETY: contract of `string`; the formats match their arguments.
    unsafe {
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
        let stop = gc::visit_all(owned, visit, arg);
        if stop != 0 {
            return stop;
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
