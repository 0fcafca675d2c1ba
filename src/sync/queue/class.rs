//! The Python class `LightQueue`: arguments in, errors out, no logic.

use std::collections::VecDeque;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::storage::{
    drop_items, get_container, set_container, storage_get, storage_init, storage_put, storage_qsize,
};
use super::{Ended, Queue, counting};
use crate::greenlet::arguments::{arguments, boolean, given, none, one_argument, truth};
use crate::greenlet::define::{Definition, create, fast, free, generic, noargs, property, slot};
use crate::greenlet::{gc, replace};
use crate::sched::WaiterList;
use crate::sync::class;

static mut LIGHT: *mut ffi::PyTypeObject = ptr::null_mut();
static mut FULL: *mut ffi::PyTypeObject = ptr::null_mut();

/// Which methods a subclass in Python has overridden.
#[derive(Clone, Copy, Default)]
pub(super) struct Overridden {
    /// `_put`, `_get` or `_qsize`.
    pub(super) storage: bool,
    put: bool,
    get: bool,
}

impl Overridden {
    /// Looks at a class.
    ///
    /// # Safety
    /// `kind` is a live subclass of `LightQueue`; the GIL is held.
    unsafe fn of(kind: *mut ffi::PyTypeObject) -> Self {
        // SAFETY: by contract.
        let differs = |name: &CStr| unsafe { overrides(kind, name) };
        Self {
            storage: differs(c"_put") || differs(c"_get") || differs(c"_qsize"),
            put: differs(c"put"),
            get: differs(c"get"),
        }
    }
}

/// Creates the classes; NULLs with an exception set on failure.
///
/// # Safety
/// Called once with the GIL held.
pub(in crate::sync) unsafe fn init() -> (*mut ffi::PyTypeObject, *mut ffi::PyTypeObject) {
    let class = Definition {
        slots: [
            life(new),
            vec![
                slot(ffi::Py_tp_init, initialize as *mut c_void),
                slot(ffi::Py_tp_repr, repr as *mut c_void),
            ],
        ]
        .concat(),
        methods: vec![
            fast(c"put", put, c"put($self, /, item, block=True, timeout=None)\n--\n\nPut an item; wait for room if need be.\n\nPutters are served in order of arrival; a newcomer never overtakes them.\nWith `maxsize` 0 it returns when the item has been taken.\nA switch point only if it has to wait.\n\nArgs:\n    item: What to put.\n    block: If false, raise Full instead of waiting.\n    timeout: How long to wait at most, in seconds.\n\nRaises:\n    Full: If there is no room in time."),
            fast(c"put_nowait", put_nowait, c"put_nowait($self, /, item)\n--\n\nPut an item without waiting.\n\nRaises:\n    Full: If there is no room."),
            fast(c"get", get, c"get($self, /, block=True, timeout=None)\n--\n\nTake the next item; wait for one if need be.\n\nGetters are served in order of arrival; a newcomer never overtakes them.\nA switch point if it has to wait, and in a loop that never has to now and\nthen.\n\nArgs:\n    block: If false, raise Empty instead of waiting.\n    timeout: How long to wait at most, in seconds.\n\nRaises:\n    Empty: If there is no item in time."),
            noargs(c"get_nowait", get_nowait, c"get_nowait($self, /)\n--\n\nTake the next item without waiting.\n\nRaises:\n    Empty: If there is none."),
            noargs(c"qsize", qsize, c"qsize($self, /)\n--\n\nReturn how many items are stored."),
            noargs(c"empty", empty, c"empty($self, /)\n--\n\nTell whether no item is stored."),
            noargs(c"full", full, c"full($self, /)\n--\n\nTell whether there is no room. A queue without limit is never full, one\nwith `maxsize` 0 always."),
            noargs(c"putting", putting, c"putting($self, /)\n--\n\nReturn how many green threads wait to put an item."),
            noargs(c"getting", getting, c"getting($self, /)\n--\n\nReturn how many green threads wait for an item."),
            fast(c"resize", resize, c"resize($self, /, size)\n--\n\nChange the limit; None: no limit. Items above it stay. Not a switch point."),
            fast(c"_init", storage_init, c"_init($self, maxsize, /)\n--\n\nMake the storage; for subclasses."),
            noargs(c"_qsize", storage_qsize, c"_qsize($self, /)\n--\n\nReturn how many items are stored; for subclasses."),
            fast(c"_put", storage_put, c"_put($self, item, /)\n--\n\nStore an item; for subclasses."),
            noargs(c"_get", storage_get, c"_get($self, /)\n--\n\nTake the next item out of the storage; for subclasses."),
            noargs(c"_look_anew", look_anew, c"_look_anew($self, /)\n--\n\nFind the methods that the queue's class overrides, after it got another one."),
            generic(),
        ],
        properties: vec![
            property(c"queue", get_container, Some(set_container), c"The stored items: a deque, or what a subclass made."),
            property(c"maxsize", get_maxsize, Some(set_maxsize), c"How many items may be stored; None: no limit."),
        ],
        ..class::headed(
            c"eventlet.queue.LightQueue",
            c"LightQueue(maxsize=None)\n--\n\nItems put by some green threads and taken by others, first in, first out.\n\nIt may be used from any OS thread.\n\nArgs:\n    maxsize: How many items may be stored. None or negative: no limit. 0:\n        none; each item is handed from putter to getter.",
            std::mem::size_of::<Queue>(),
        )
    };
    // SAFETY: by contract; tables and size fit.
    unsafe {
        LIGHT = create(class);
        if LIGHT.is_null() {
            return (ptr::null_mut(), ptr::null_mut());
        }
        FULL = counting::create_class(LIGHT);
        (LIGHT, FULL)
    }
}

/// Slots that a class made from a specification does not inherit.
pub(super) fn life(new: ffi::newfunc) -> Vec<ffi::PyType_Slot> {
    vec![
        slot(ffi::Py_tp_new, new as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
    ]
}

pub(super) unsafe extern "C" fn new(
    kind: *mut ffi::PyTypeObject,
    _args: *mut PyObject,
    _kwargs: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython; the memory is zeroed, what that does not suit is written.
    unsafe {
        let me = ffi::PyType_GenericAlloc(kind, 0).cast::<Queue>();
        if !me.is_null() {
            (&raw mut (*me).items).write(VecDeque::new());
            (&raw mut (*me).first).write(WaiterList::new());
            (&raw mut (*me).getters).write(WaiterList::new());
            (&raw mut (*me).putters).write(WaiterList::new());
            (&raw mut (*me).joiners).write(WaiterList::new());
            (*me).maxsize = -1;
        }
        me.cast()
    }
}

unsafe extern "C" fn initialize(
    op: *mut PyObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> c_int {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython; the format names one optional object.
    unsafe {
        let Some(maxsize) = one_argument(args, kwargs, c"maxsize", c"|O:Queue") else {
            return -1;
        };
        let Some(limit) = limit_of(maxsize) else {
            return -1;
        };
        (*me).maxsize = limit;
        let kind = ffi::Py_TYPE(op);
        if kind == LIGHT || kind == FULL {
            return 0;
        }
        (*me).overridden = Overridden::of(kind);
        let limit = get_maxsize(op, ptr::null_mut());
        if limit.is_null() {
            return -1;
        }
        let result = ffi::PyObject_CallMethod(op, c"_init".as_ptr(), c"O".as_ptr(), limit);
        ffi::Py_DECREF(limit);
        ffi::Py_XDECREF(result);
        if result.is_null() { -1 } else { 0 }
    }
}

unsafe extern "C" fn look_anew(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a queue.
    unsafe {
        (*op.cast::<Queue>()).overridden = Overridden::of(ffi::Py_TYPE(op));
        none()
    }
}

/// How many items are there for a newcomer to see: what `put_nowait` left in a channel is on
/// its way to a getter already. None with an exception set.
unsafe fn visible(me: *mut Queue) -> Option<usize> {
    // SAFETY: contract of the callers: `me` is held by them, the GIL is held.
    unsafe {
        let stored = super::stored(me)?;
        Some(if (*me).maxsize == 0 {
            stored.saturating_sub((*me).notified)
        } else {
            stored
        })
    }
}

/// Whether a class has another method of this name than `LightQueue`.
unsafe fn overrides(kind: *mut ffi::PyTypeObject, name: &CStr) -> bool {
    // SAFETY: contract of `initialize`; both are live classes.
    unsafe {
        let own = ffi::PyObject_GetAttrString(LIGHT.cast(), name.as_ptr());
        let found = ffi::PyObject_GetAttrString(kind.cast(), name.as_ptr());
        ffi::Py_XDECREF(own);
        ffi::Py_XDECREF(found);
        if found.is_null() || own.is_null() {
            ffi::PyErr_Clear();
        }
        found != own
    }
}

/// A limit: -1 for None and negative numbers; None with TypeError or `OverflowError` set.
pub(super) unsafe fn limit_of(size: *mut PyObject) -> Option<isize> {
    // SAFETY: contract of the callers: `size` is live or NULL, the GIL is held.
    unsafe {
        if !given(size) {
            return Some(-1);
        }
        let number = ffi::PyNumber_AsSsize_t(size, ffi::PyExc_OverflowError);
        if number == -1 && !ffi::PyErr_Occurred().is_null() {
            return None;
        }
        Some(number.max(-1))
    }
}

/// Raises `queue.Empty` or `queue.Full`, which are the standard library's.
unsafe fn raise(name: &CStr) -> *mut PyObject {
    // SAFETY: the GIL is held by the callers.
    unsafe {
        let module = ffi::PyImport_ImportModule(c"queue".as_ptr());
        if module.is_null() {
            return module;
        }
        let kind = ffi::PyObject_GetAttrString(module, name.as_ptr());
        ffi::Py_DECREF(module);
        if !kind.is_null() {
            ffi::PyErr_SetNone(kind);
            ffi::Py_DECREF(kind);
        }
        ptr::null_mut()
    }
}

/// Runs a put or get that holds the queue meanwhile.
unsafe fn held<T>(
    me: *mut Queue,
    call: impl FnOnce(*mut Queue) -> super::Result<T>,
) -> super::Result<T> {
    // SAFETY: contract of the callers.
    unsafe {
        ffi::Py_INCREF(me.cast());
        let ended = call(me);
        ffi::Py_DECREF(me.cast());
        ended
    }
}

unsafe fn put_as(
    op: *mut PyObject,
    item: *mut PyObject,
    blocking: bool,
    deadline: Option<u64>,
) -> *mut PyObject {
    // SAFETY: contract of the callers.
    unsafe {
        match held(op.cast(), |me| super::put(me, item, blocking, deadline)) {
            Some(Ended::Done(())) => none(),
            Some(Ended::InVain) => raise(c"Full"),
            None => ptr::null_mut(),
        }
    }
}

unsafe fn get_as(op: *mut PyObject, blocking: bool, deadline: Option<u64>) -> *mut PyObject {
    // SAFETY: contract of the callers.
    unsafe {
        match held(op.cast(), |me| super::get(me, blocking, deadline)) {
            Some(Ended::Done(item)) => item,
            Some(Ended::InVain) => raise(c"Empty"),
            None => ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn put(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a queue.
    unsafe {
        let parameters = [c"item", c"block", c"timeout"];
        let Some([item, block, timeout]) = arguments(c"put", parameters, 1, args, count, names)
        else {
            return ptr::null_mut();
        };
        let (Some(block), Some(deadline)) = (truth(block, true), class::deadline(timeout)) else {
            return ptr::null_mut();
        };
        put_as(op, item, block, deadline)
    }
}

unsafe extern "C" fn put_nowait(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a queue.
    unsafe {
        let Some([item]) = arguments(c"put_nowait", [c"item"], 1, args, count, names) else {
            return ptr::null_mut();
        };
        if (*op.cast::<Queue>()).overridden.put {
            let (name, format) = (c"put".as_ptr(), c"OO".as_ptr());
            return ffi::PyObject_CallMethod(op, name, format, item, ffi::Py_False());
        }
        put_as(op, item, false, None)
    }
}

unsafe extern "C" fn get(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a queue.
    unsafe {
        let parameters = [c"block", c"timeout"];
        let Some([block, timeout]) = arguments(c"get", parameters, 0, args, count, names) else {
            return ptr::null_mut();
        };
        let (Some(block), Some(deadline)) = (truth(block, true), class::deadline(timeout)) else {
            return ptr::null_mut();
        };
        get_as(op, block, deadline)
    }
}

unsafe extern "C" fn get_nowait(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a queue.
    unsafe {
        if (*op.cast::<Queue>()).overridden.get {
            let (name, format) = (c"get".as_ptr(), c"O".as_ptr());
            return ffi::PyObject_CallMethod(op, name, format, ffi::Py_False());
        }
        get_as(op, false, None)
    }
}

unsafe extern "C" fn qsize(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a queue.
    unsafe {
        match visible(op.cast()) {
            Some(size) => ffi::PyLong_FromSize_t(size),
            None => ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn empty(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython on a queue.
    unsafe {
        match visible(op.cast()) {
            Some(size) => boolean(size == 0),
            None => ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn full(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython on a queue.
    unsafe {
        match visible(me) {
            Some(size) => boolean((*me).maxsize >= 0 && size as isize >= (*me).maxsize),
            None => ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn putting(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython on a queue.
    unsafe { ffi::PyLong_FromSize_t((*me).putters.len() + (*me).granted) }
}

unsafe extern "C" fn getting(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython on a queue.
    unsafe { ffi::PyLong_FromSize_t((*me).first.len() + (*me).getters.len() + (*me).notified) }
}

unsafe extern "C" fn resize(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython on a queue.
    unsafe {
        let Some([size]) = arguments(c"resize", [c"size"], 1, args, count, names) else {
            return ptr::null_mut();
        };
        let Some(limit) = limit_of(size) else {
            return ptr::null_mut();
        };
        if super::resize(op.cast(), limit) {
            none()
        } else {
            ptr::null_mut()
        }
    }
}

unsafe extern "C" fn get_maxsize(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython on a queue.
    unsafe {
        match (*op.cast::<Queue>()).maxsize {
            ..0 => none(),
            limit => ffi::PyLong_FromSsize_t(limit),
        }
    }
}

unsafe extern "C" fn set_maxsize(op: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    // SAFETY: called by CPython on a queue.
    unsafe {
        let Some(limit) = limit_of(value) else {
            return -1;
        };
        if super::resize(op.cast(), limit) {
            0
        } else {
            -1
        }
    }
}

unsafe extern "C" fn repr(op: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython on a queue; the format matches its arguments.
    unsafe {
        let limit = get_maxsize(op, ptr::null_mut());
        let size = if limit.is_null() { None } else { visible(me) };
        let text = size.map_or(ptr::null_mut(), |size| {
            ffi::PyUnicode_FromFormat(
                c"<%s at %p maxsize=%S, stored=%zd, getting=%zd, putting=%zd>".as_ptr(),
                class::name(op),
                op,
                limit,
                size,
                (*me).first.len() + (*me).getters.len() + (*me).notified,
                (*me).putters.len() + (*me).granted,
            )
        });
        ffi::Py_XDECREF(limit);
        text
    }
}

unsafe extern "C" fn traverse(op: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let me = op.cast::<Queue>();
    // SAFETY: called by the collector on a live instance. A putter's item is owned by its
    // stack, which the collector does not see into.
    unsafe {
        let parked = [&(*me).first, &(*me).joiners]
            .into_iter()
            .flat_map(WaiterList::iter);
        let putters = (*me).putters.iter().map(|putter| &putter.parked);
        let waiting = parked.chain(putters).map(|parked| parked.greenlet().cast());
        let all = (*me).items.iter().copied().chain(waiting);
        let stop = gc::visit_all(all, visit, arg);
        if stop != 0 {
            return stop;
        }
        class::traverse(op, &[(*me).container], &(*me).getters, visit, arg)
    }
}

unsafe extern "C" fn clear(op: *mut PyObject) -> c_int {
    let me = op.cast::<Queue>();
    // SAFETY: called by the collector or by `dealloc`. Who waits holds the queue, so there is
    // nobody.
    unsafe {
        drop_items(me);
        replace(&raw mut (*me).container, ptr::null_mut());
        class::clear(op);
    }
    0
}

unsafe extern "C" fn dealloc(op: *mut PyObject) {
    let me = op.cast::<Queue>();
    // SAFETY: called by CPython when the last reference is gone, hence with nobody waiting.
    unsafe {
        class::dying(op);
        clear(op);
        ptr::drop_in_place(&raw mut (*me).items);
        ptr::drop_in_place(&raw mut (*me).first);
        ptr::drop_in_place(&raw mut (*me).getters);
        ptr::drop_in_place(&raw mut (*me).putters);
        ptr::drop_in_place(&raw mut (*me).joiners);
        free(op);
    }
}
