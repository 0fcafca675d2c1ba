//! The Python class `eventlet.greenthread.GreenThread`.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::{Fate, GREEN_THREAD, GreenThread, kill, links};
use crate::error::raise_new;
use crate::greenlet::arguments::{boolean, collect, none, one_argument, or_none};
use crate::greenlet::define::{Definition, create, define, fast, generic, noargs, onearg, slot};
use crate::greenlet::{self, Greenlet, Inbound, Kind, class, gc, replace, thread};
use crate::hub::registry;
use crate::sched::WaiterList;

static mut TYPE: *mut ffi::PyTypeObject = ptr::null_mut();
/// The `main` that GreenThread itself defines, to tell whether a subclass overrides it.
static mut OWN_MAIN: *mut PyObject = ptr::null_mut();

/// `eventlet.greenthread.GreenThread`.
///
/// # Safety
/// [`init`] has run.
pub(crate) unsafe fn green_thread_type() -> *mut ffi::PyTypeObject {
    // SAFETY: written once by `init`.
    unsafe { TYPE }
}

/// Tells whether `op` is a GreenThread.
///
/// # Safety
/// `op` is live; the GIL is held.
pub(crate) unsafe fn check(op: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe { ffi::PyObject_TypeCheck(op, TYPE) != 0 }
}

/// Creates the class.
///
/// # Safety
/// Called once with the GIL held, after the greenlet class.
pub(crate) unsafe fn init(extra: &[ffi::PyType_Slot]) -> Result<(), ()> {
    let own = [
        slot(ffi::Py_tp_new, new as *mut c_void),
        slot(ffi::Py_tp_init, initialize as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_finalize, finalize as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
    ];
    // SAFETY: by contract; tables and size fit.
    unsafe {
        TYPE = create(Definition {
            base: class::greenlet_type(),
            slots: [extra, &own].concat(),
            methods: vec![
            generic(),
            noargs(c"wait", wait, c"wait($self, /)\n--\n\nReturn the outcome: the value returned, or raise what was raised.\n\nA switch point unless the green thread has ended."),
            fast(c"kill", kill_method, c"kill($self, /, *throw_args)\n--\n\nRaise GreenletExit, or the given exception, in the green thread.\n\nBefore it started, it never runs. A switch point."),
            fast(c"cancel", cancel_method, c"cancel($self, /, *throw_args)\n--\n\nKill the green thread if it has not started yet; otherwise do nothing."),
            fast(c"link", link, c"link($self, func, /, *curried_args, **curried_kwargs)\n--\n\nCall func(green_thread, *curried_args, **curried_kwargs) at its end.\n\nCalled at once if it has ended already."),
            onearg(c"_link_bookkeeping", link_bookkeeping, c"_link_bookkeeping($self, func, /)\n--\n\nCall func(green_thread) at its end, which takes no notice of an error: that is\nreported if nobody else takes it. For one that has not ended."),
            fast(c"unlink", unlink, c"unlink($self, func, /, *curried_args, **curried_kwargs)\n--\n\nRemove a link added with the same arguments; True if there was one."),
            noargs(c"_function", function, c"_function($self, /)\n--\n\nReturn what it will call, or None once it has been entered."),
            fast(c"main", main, c"main($self, function, args, kwargs, /)\n--\n\nRun the function and record its outcome. Called on the green thread's own stack."),
            ],
            ..define(
                c"eventlet.greenthread.GreenThread",
                c"GreenThread(parent)\n--\n\nA greenlet run by the hub, with an outcome that others can wait for.",
                std::mem::size_of::<GreenThread>(),
            )
        });
        if TYPE.is_null() {
            return Err(());
        }
        OWN_MAIN = ffi::PyObject_GetAttrString(TYPE.cast(), c"main".as_ptr());
        if OWN_MAIN.is_null() { Err(()) } else { Ok(()) }
    }
}

/// A new GreenThread (or subclass instance) without thread and parent.
///
/// # Safety
/// `kind` is the class or a subtype; the GIL is held.
pub(crate) unsafe fn alloc(kind: *mut ffi::PyTypeObject) -> *mut GreenThread {
    // SAFETY: by contract; what zeroed memory does not express is written.
    unsafe {
        let me = class::alloc(kind).cast::<GreenThread>();
        if !me.is_null() {
            (&raw mut (*me).fate).write(Fate::Pending);
            (&raw mut (*me).waiters).write(WaiterList::new());
            (&raw mut (*me).awaiters).write(Vec::new());
            (&raw mut (*me).timer).write(None);
            (*me).base.kind = Kind::Scheduled;
            (*me).base.hooks = &raw const GREEN_THREAD;
        }
        me
    }
}

unsafe extern "C" fn new(
    kind: *mut ffi::PyTypeObject,
    _args: *mut PyObject,
    _kwargs: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let thread = thread::this();
        if thread.is_null() {
            return ptr::null_mut();
        }
        let parent = greenlet::identity(thread);
        if parent.is_null() {
            return ptr::null_mut();
        }
        let me = alloc(kind);
        if !me.is_null() {
            class::adopt(me.cast(), thread, parent);
        }
        me.cast()
    }
}

unsafe extern "C" fn initialize(
    op: *mut PyObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> c_int {
    // SAFETY: called by CPython; the format names one object.
    unsafe {
        let Some(parent) = one_argument(args, kwargs, c"parent", c"O:GreenThread") else {
            return -1;
        };
        if parent == ffi::Py_None() {
            return 0;
        }
        class::set_parent(op, parent, ptr::null_mut())
    }
}

unsafe extern "C" fn function(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let me = op.cast::<GreenThread>();
    // SAFETY: called by CPython on a green thread; the slot owns what it names.
    unsafe {
        if (*me).base.resumes == 0 {
            or_none((*me).function)
        } else {
            none()
        }
    }
}

unsafe extern "C" fn traverse(op: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let me = op.cast::<GreenThread>();
    // SAFETY: called by the collector on a live instance; pointers are owned or NULL.
    unsafe {
        let fate = match (*me).fate {
            Fate::Pending => ptr::null_mut(),
            Fate::Value(object) | Fate::Error(object) => object,
        };
        let owned = [
            (*me).function,
            (*me).args,
            (*me).kwargs,
            (*me).links,
            (*me).fatal,
            fate,
        ];
        let awaiters = (*me).awaiters.iter().map(|awaiter| awaiter.object);
        let waiters = (*me).waiters.iter().map(|parked| parked.greenlet().cast());
        let all = owned.into_iter().chain(awaiters).chain(waiters);
        let stop = gc::visit_all(all, visit, arg);
        if stop != 0 {
            return stop;
        }
        gc::traverse(op, visit, arg)
    }
}

unsafe extern "C" fn finalize(op: *mut PyObject) {
    // SAFETY: called by CPython on a live instance.
    unsafe {
        super::report_unclaimed(op.cast());
        gc::finalize(op);
    }
}

unsafe extern "C" fn clear(op: *mut PyObject) -> c_int {
    let me = op.cast::<GreenThread>();
    // SAFETY: called by the collector or by `dealloc`; pointers are taken out first.
    unsafe {
        for slot in [
            &raw mut (*me).function,
            &raw mut (*me).args,
            &raw mut (*me).kwargs,
            &raw mut (*me).links,
            &raw mut (*me).fatal,
        ] {
            replace(slot, ptr::null_mut());
        }
        if let Fate::Value(object) | Fate::Error(object) =
            std::mem::replace(&mut (*me).fate, Fate::Pending)
        {
            ffi::Py_DECREF(object);
        }
        while let Some(parked) = (*me).waiters.pop_front() {
            parked.release();
        }
        for awaiter in std::mem::take(&mut (*me).awaiters) {
            ffi::Py_DECREF(awaiter.object);
        }
        gc::clear(op)
    }
}

unsafe extern "C" fn dealloc(op: *mut PyObject) {
    // SAFETY: called by CPython when the last reference is gone. The base class revives the
    // object if its stack has to be ended first, and calls back for what we own.
    unsafe { gc::dealloc_with(op, |op| release(op)) }
}

/// Releases what the subclass owns, once it is certain that the object dies.
unsafe fn release(op: *mut PyObject) {
    // SAFETY: contract of `dealloc`; the list's own memory goes with it.
    unsafe {
        super::report_unclaimed(op.cast());
        clear(op);
        let me = op.cast::<GreenThread>();
        ptr::drop_in_place(&raw mut (*me).waiters);
        ptr::drop_in_place(&raw mut (*me).awaiters);
    }
}

/// A subclass defines its own `main`.
pub(super) unsafe fn overrides_main(me: *mut GreenThread) -> bool {
    // SAFETY: `me` is live; the GIL is held by the callers.
    unsafe {
        let kind = ffi::Py_TYPE(me.cast());
        if kind == TYPE {
            return false;
        }
        let found = ffi::PyObject_GetAttrString(kind.cast(), c"main".as_ptr());
        if found.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        ffi::Py_DECREF(found);
        found != OWN_MAIN
    }
}

/// Calls the `main` of a subclass for a green thread that was spawned.
pub(super) unsafe fn call_overridden_main(me: *mut GreenThread) -> *mut PyObject {
    // SAFETY: `me` is live; the GIL is held by the callers.
    unsafe {
        let kwargs = if (*me).kwargs.is_null() {
            ffi::Py_None()
        } else {
            (*me).kwargs
        };
        let call = ffi::PyTuple_Pack(3, (*me).function, (*me).args, kwargs);
        if call.is_null() {
            return ptr::null_mut();
        }
        let result = call_main(me, call, ptr::null_mut());
        ffi::Py_DECREF(call);
        result
    }
}

/// First entry by switch(function, args, kwargs).
pub(super) unsafe fn call_main(
    me: *mut GreenThread,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: `me` is live, `args` a tuple, `kwargs` a dict or NULL; the GIL is held.
    unsafe {
        if !overrides_main(me) {
            if kwargs.is_null() || ffi::PyDict_Size(kwargs) == 0 {
                return call_given(args);
            }
            return raise_new(
                ffi::PyExc_TypeError,
                c"a GreenThread made by hand takes switch(function, args, kwargs)",
            );
        }
        let main = ffi::PyObject_GetAttrString(me.cast(), c"main".as_ptr());
        if main.is_null() {
            return ptr::null_mut();
        }
        let result = ffi::PyObject_Call(main, args, kwargs);
        ffi::Py_DECREF(main);
        result
    }
}

/// Calls args[0](*args[1], **args[2]).
unsafe fn call_given(args: *mut PyObject) -> *mut PyObject {
    let (mut function, mut given, mut named) = (
        ptr::null_mut::<PyObject>(),
        ptr::null_mut::<PyObject>(),
        ptr::null_mut::<PyObject>(),
    );
    // SAFETY: `args` is a tuple; the format checks what is in it.
    unsafe {
        let ok = ffi::PyArg_ParseTuple(
            args,
            c"OOO:main".as_ptr(),
            &raw mut function,
            &raw mut given,
            &raw mut named,
        );
        if ok == 0 {
            return ptr::null_mut();
        }
        let tuple = ffi::PySequence_Tuple(given);
        if tuple.is_null() {
            return ptr::null_mut();
        }
        let mut dict = ptr::null_mut();
        if named != ffi::Py_None() {
            dict = ffi::PyDict_New();
            if dict.is_null() || ffi::PyDict_Update(dict, named) < 0 {
                if ffi::PyErr_ExceptionMatches(ffi::PyExc_AttributeError) != 0 {
                    raise_new(
                        ffi::PyExc_TypeError,
                        c"the named arguments of a green thread's function must be a dict or None",
                    );
                }
                ffi::Py_DECREF(tuple);
                ffi::Py_XDECREF(dict);
                return ptr::null_mut();
            }
        }
        let result = ffi::PyObject_Call(function, tuple, dict);
        ffi::Py_DECREF(tuple);
        ffi::Py_XDECREF(dict);
        result
    }
}

unsafe extern "C" fn main(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let Some(Inbound::Call(tuple, dict)) = collect(args, count, names) else {
            return ptr::null_mut();
        };
        ffi::Py_XDECREF(dict);
        let result = call_given(tuple);
        ffi::Py_DECREF(tuple);
        if result.is_null() {
            return ptr::null_mut();
        }
        // Called by a subclass: the value is recorded here, since its own main() need not
        // return it.
        let me = op.cast::<GreenThread>();
        if matches!((*me).fate, Fate::Pending) {
            super::finish(op.cast::<Greenlet>(), greenlet::Outcome::Value(result));
        } else {
            ffi::Py_DECREF(result);
        }
        none()
    }
}

unsafe extern "C" fn wait(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held on a live instance.
    unsafe { super::wait(op.cast()) }
}

unsafe extern "C" fn kill_method(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    _names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { kill::kill(op.cast(), args, count) }
}

unsafe extern "C" fn cancel_method(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    _names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe { kill::cancel(op.cast(), args, count) }
}

unsafe fn split_link(
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> Option<(*mut PyObject, *mut PyObject, *mut PyObject)> {
    // SAFETY: arguments as CPython passes them to a fast method.
    unsafe {
        if count < 1 {
            raise_new(ffi::PyExc_TypeError, c"a link needs a function");
            return None;
        }
        match collect(args.add(1), count - 1, names)? {
            Inbound::Call(tuple, dict) => Some((*args, tuple, dict)),
            _ => None,
        }
    }
}

unsafe extern "C" fn link(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let Some((function, tuple, dict)) = split_link(args, count, names) else {
            return ptr::null_mut();
        };
        let fine = links::add(op.cast(), function, tuple, dict);
        ffi::Py_DECREF(tuple);
        ffi::Py_XDECREF(dict);
        if fine { none() } else { ptr::null_mut() }
    }
}

unsafe extern "C" fn link_bookkeeping(op: *mut PyObject, function: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held on a live instance.
    unsafe {
        if links::add_bookkeeping(op.cast(), function) {
            none()
        } else {
            ptr::null_mut()
        }
    }
}

unsafe extern "C" fn unlink(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let Some((function, tuple, dict)) = split_link(args, count, names) else {
            return ptr::null_mut();
        };
        let found = links::remove(op.cast(), function, tuple, dict);
        ffi::Py_DECREF(tuple);
        ffi::Py_XDECREF(dict);
        if found < 0 {
            ptr::null_mut()
        } else {
            boolean(found != 0)
        }
    }
}

/// Withdraws the pending start of `spawn_after`, if there is one.
pub(super) unsafe fn drop_timer(me: *mut GreenThread) {
    let core = registry::existing();
    // SAFETY: the hub of this OS thread; what the heap gives back is owned.
    unsafe {
        if let Some(key) = (*me).timer.take()
            && !core.is_null()
            // The hub may have been replaced, and the key name somebody else's timer there.
            && matches!((*core).timers.get(key), Some(crate::hub::Due::Start(g)) if *g == me.cast())
            && let Some(crate::hub::Due::Start(g)) = (*core).timers.cancel(key)
        {
            greenlet::decref(g);
        }
    }
}
