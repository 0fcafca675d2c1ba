//! Where CPython steps a coroutine: a step that a task takes is taken on another stack.
//!
//! A task knows the application's own coroutine, and nothing else: no wrapper could be hidden
//! from task factories, from `Task.get_coro()`, or from tools that read the process's memory.
//! asyncio steps it through the type's `am_send` slot and its method `throw`; tasks written in
//! Python through the method `send`. These three are replaced in the type, where it says what
//! they are: the slot, and the entries of its method table. They ask who calls: if it is the
//! running task with its own coroutine, the step is taken as `coroutine` says; else, as in an
//! `await` of one coroutine by another, CPython's own function goes on.
//!
//! A coroutine in a green call is in the middle of a step, so CPython calls it running. It
//! should look as what it is, a coroutine that waits: so `cr_running`, `cr_suspended` and
//! `cr_await` answer for it, and `close()` ends it.

use std::ffi::{CStr, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::{PyObject, PySendResult};
use pyo3::prelude::*;

use super::coroutine::{self, Coroutine, State};
use super::future::as_method;
use super::names::NAMES;
use super::records;
use super::stepper::Job;
use crate::error::raise_new;
use crate::greenlet::arguments::{boolean, none, or_none, up_to_three};
use crate::greenlet::define::onearg;
use crate::greenlet::errors::make_exception;
use crate::greenlet::{Thread, thread};
use crate::hub::{looping, registry};

/// CPython's own functions, and what is known of tasks. Written once by [`install`].
struct Own {
    am_send: ffi::sendfunc,
    send: ffi::PyCFunction,
    close: ffi::PyCFunction,
    #[cfg(Py_3_11)]
    throw: ffi::PyCFunctionFast,
    #[cfg(not(Py_3_11))]
    throw: ffi::PyCFunction,
    running: ffi::getter,
    suspended: Option<ffi::getter>,
    awaits: ffi::getter,
    /// Where `asyncio.Task` has its coroutine.
    coroutine: usize,
    task: *mut ffi::PyTypeObject,
    /// The running task of each loop; from CPython 3.14 on the thread state tells.
    #[cfg(not(Py_3_14))]
    current: *mut PyObject,
    /// The only one whose coroutines we know of.
    interpreter: *mut ffi::PyInterpreterState,
    /// Only on a loop that the hub runs itself.
    only_hubs: bool,
}

static mut OWN: Option<Own> = None;

/// Coroutines whose tasks do nothing more, by address; kept for ever.
static mut DISMISSED: Vec<usize> = Vec::new();

fn found() -> *const Option<Own> {
    &raw const OWN
}

fn dismissed() -> *mut Vec<usize> {
    &raw mut DISMISSED
}

/// Module functions of this file.
pub(super) fn functions() -> Vec<ffi::PyMethodDef> {
    vec![onearg(c"_step_tasks", step_tasks, c"_step_tasks($module, what, /)\n--\n\nHave green calls block in tasks alone; what is (task, its coroutine, current tasks, own loops only)."),
        onearg(c"_dismiss", dismiss, c"_dismiss($module, what, /)\n--\n\nKeep a task, given as (task, coroutine), from ever taking a step again.")]
}

/// `(task, coroutine, current, own)`: a task of asyncio's own class, the coroutine it was made
/// with, the dictionary of running tasks or None, and whether only loops of hubs count.
unsafe extern "C" fn step_tasks(_: *mut PyObject, what: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if (*found()).is_some() {
            return none();
        }
        let what = Python::attach(|py| {
            let what: Bound<'_, PyAny> = Bound::from_borrowed_ptr(py, what);
            what.extract::<(Py<PyAny>, Py<PyAny>, Py<PyAny>, bool)>()
                .map_err(|error| error.restore(py))
        });
        let Ok((task, coroutine, current, own_loops_only)) = what else {
            return ptr::null_mut();
        };
        let Some(place) = place_of(task.as_ptr(), coroutine.as_ptr()) else {
            return raise_new(
                ffi::PyExc_RuntimeError,
                c"eventlet-asyncio does not find the coroutine of an asyncio.Task of this CPython",
            );
        };
        if install(task.as_ptr(), place, current, own_loops_only).is_none() {
            return raise_new(
                ffi::PyExc_RuntimeError,
                c"eventlet-asyncio does not know the coroutines of this CPython",
            );
        }
        none()
    }
}

/// `(task, coroutine)`: keeps both for ever, and has the coroutine's steps do nothing.
unsafe extern "C" fn dismiss(_: *mut PyObject, what: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if ffi::PyTuple_Check(what) == 0 || ffi::PyTuple_GET_SIZE(what) != 2 {
            return raise_new(ffi::PyExc_TypeError, c"a task and its coroutine are needed");
        }
        ffi::Py_INCREF(what);
        let coroutine = ffi::PyTuple_GET_ITEM(what, 1);
        (*dismissed()).push(coroutine as usize);
        let w = parked(coroutine);
        if !w.is_null() {
            // Its green call is not entered any more.
            (*w).state = State::Done;
        }
        none()
    }
}

/// Whether the task of a coroutine does nothing more.
unsafe fn is_dismissed(coroutine: *mut PyObject) -> bool {
    // SAFETY: the GIL is held by the callers.
    unsafe {
        let dismissed = &*dismissed();
        !dismissed.is_empty() && dismissed.contains(&(coroutine as usize))
    }
}

/// Where an object names another, in bytes; None unless that is in one place.
unsafe fn place_of(object: *mut PyObject, named: *mut PyObject) -> Option<usize> {
    // SAFETY: an instance is at least of its type's size.
    unsafe {
        let words = (*ffi::Py_TYPE(object)).tp_basicsize as usize / size_of::<usize>();
        let word = |index: usize| object.cast::<*mut PyObject>().add(index).read();
        let mut found = (2..words).filter(|&index| word(index) == named);
        let place = found.next()?;
        found.next().is_none().then_some(place * size_of::<usize>())
    }
}

unsafe fn install(
    task: *mut PyObject,
    coroutine: usize,
    current: Py<PyAny>,
    only_hubs: bool,
) -> Option<()> {
    #[cfg(Py_3_14)]
    drop(current);
    // SAFETY: the GIL is held by the caller. The tables of a static type live as long as the
    // process and are not constant; an entry is replaced by one of the same kind.
    unsafe {
        let class = &raw mut ffi::PyCoro_Type;
        let slots = (*class).tp_as_async;
        let send = method((*class).tp_methods, c"send")?;
        let throw = method((*class).tp_methods, c"throw")?;
        let close = method((*class).tp_methods, c"close")?;
        let running = attribute((*class).tp_getset, c"cr_running")?;
        let suspended = attribute((*class).tp_getset, c"cr_suspended");
        let awaits = attribute((*class).tp_getset, c"cr_await")?;
        let convention = if cfg!(Py_3_11) {
            ffi::METH_FASTCALL
        } else {
            ffi::METH_VARARGS
        };
        let as_expected = (*send).ml_flags == ffi::METH_O
            && (*close).ml_flags == ffi::METH_NOARGS
            && (*throw).ml_flags == convention;
        if slots.is_null() || !as_expected {
            return None;
        }
        OWN = Some(Own {
            am_send: (*slots).am_send?,
            send: (*send).ml_meth.PyCFunction,
            close: (*close).ml_meth.PyCFunction,
            #[cfg(Py_3_11)]
            throw: (*throw).ml_meth.PyCFunctionFast,
            #[cfg(not(Py_3_11))]
            throw: (*throw).ml_meth.PyCFunction,
            running: (*running).get?,
            suspended: suspended.and_then(|suspended| (*suspended).get),
            awaits: (*awaits).get?,
            coroutine,
            task: ffi::Py_TYPE(task),
            #[cfg(not(Py_3_14))]
            current: current.into_ptr(),
            interpreter: ffi::PyInterpreterState_Get(),
            only_hubs,
        });
        ffi::Py_INCREF(ffi::Py_TYPE(task).cast());
        (*slots).am_send = Some(am_send);
        (*send).ml_meth.PyCFunction = send_method;
        #[cfg(Py_3_11)]
        {
            (*throw).ml_meth.PyCFunctionFast = throw_method;
        }
        #[cfg(not(Py_3_11))]
        {
            (*throw).ml_meth.PyCFunction = throw_method;
        }
        (*close).ml_meth.PyCFunction = close_method;
        (*running).get = Some(get_running);
        if let Some(suspended) = suspended {
            (*suspended).get = Some(get_suspended);
        }
        (*awaits).get = Some(get_await);
        Some(())
    }
}

/// The entry of a method table.
unsafe fn method(table: *mut ffi::PyMethodDef, name: &CStr) -> Option<*mut ffi::PyMethodDef> {
    let mut entry = table;
    // SAFETY: the table of a type ends with an entry without a name.
    unsafe {
        while !(*entry).ml_name.is_null() {
            if CStr::from_ptr((*entry).ml_name) == name {
                return Some(entry);
            }
            entry = entry.add(1);
        }
    }
    None
}

/// The entry of a table of attributes.
unsafe fn attribute(table: *mut ffi::PyGetSetDef, name: &CStr) -> Option<*mut ffi::PyGetSetDef> {
    let mut entry = table;
    // SAFETY: as for `method`.
    unsafe {
        while !(*entry).name.is_null() {
            if CStr::from_ptr((*entry).name) == name {
                return Some(entry);
            }
            entry = entry.add(1);
        }
    }
    None
}

#[inline]
unsafe fn own() -> &'static Own {
    // SAFETY: the hooks are in place after it was written, once.
    unsafe { (*found()).as_ref().unwrap_unchecked() }
}

/// Whether the caller is the running task, which steps its own coroutine, and the step is one
/// that may block.
#[inline]
unsafe fn is_step_of_task(coroutine: *mut PyObject) -> bool {
    // SAFETY: called by the hooks with the GIL held.
    unsafe {
        let here: *mut Thread = thread::existing();
        if !here.is_null() && !(*here).step.is_null() {
            let job: *mut Job = (*here).step.cast();
            if (*(*job).step.owner.cast::<Coroutine>()).inner == coroutine {
                // The step that is in progress.
                return false;
            }
        }
        let own = own();
        own.interpreter == ffi::PyInterpreterState_Get()
            && is_of_running_task(own, coroutine)
            && (!own.only_hubs || on_own_loop())
    }
}

#[cfg(not(Py_3_14))]
#[inline]
unsafe fn is_of_running_task(own: &Own, coroutine: *mut PyObject) -> bool {
    // SAFETY: contract of `is_step_of_task`; the dictionary is not changed meanwhile. It has an
    // entry for each step in progress, of all OS threads.
    unsafe {
        let mut place = 0;
        let mut task = ptr::null_mut();
        while ffi::PyDict_Next(own.current, &raw mut place, ptr::null_mut(), &raw mut task) != 0 {
            if runs(own, task, coroutine) {
                return true;
            }
        }
        false
    }
}

#[cfg(Py_3_14)]
#[inline]
unsafe fn is_of_running_task(own: &Own, coroutine: *mut PyObject) -> bool {
    // SAFETY: contract of `is_step_of_task`.
    unsafe {
        let ts = ffi::PyThreadState_Get();
        let task = crate::pystate::running_task(ts);
        !task.is_null() && runs(own, task, coroutine)
    }
}

/// Whether the task was made of the coroutine.
#[inline]
unsafe fn runs(own: &Own, task: *mut PyObject, coroutine: *mut PyObject) -> bool {
    // SAFETY: contract of `is_step_of_task`; instances of a subclass begin as those of the class.
    unsafe {
        if ffi::PyObject_TypeCheck(task, own.task) != 0 {
            return task.byte_add(own.coroutine).cast::<*mut PyObject>().read() == coroutine;
        }
        runs_elsewhere(task, coroutine)
    }
}

/// [`runs`] for a task that is not of asyncio's own class.
#[cold]
unsafe fn runs_elsewhere(task: *mut PyObject, coroutine: *mut PyObject) -> bool {
    // SAFETY: contract of `is_step_of_task`; the task is held while Python code runs, and an
    // exception that is set stays.
    unsafe {
        ffi::Py_INCREF(task);
        let found = ffi::PyObject_GetAttr(task, NAMES.coroutine);
        ffi::Py_DECREF(task);
        if found.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        ffi::Py_DECREF(found);
        found == coroutine
    }
}

#[cold]
unsafe fn on_own_loop() -> bool {
    // SAFETY: contract of `is_step_of_task`.
    unsafe {
        let core = registry::existing();
        !core.is_null() && looping::on_owned(core)
    }
}

/// One step of what a task runs: `PyIter_Send`, but CPython's own.
///
/// # Safety
/// The GIL is held, no exception is set; `out` is valid for a write.
#[inline]
pub(super) unsafe fn send(
    inner: *mut PyObject,
    value: *mut PyObject,
    out: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: by contract.
    unsafe {
        match &*found() {
            Some(own) if ffi::PyCoro_CheckExact(inner) != 0 => (own.am_send)(inner, value, out),
            _ => ffi::PyIter_Send(inner, value, out),
        }
    }
}

/// Takes a step of a task.
unsafe fn step(
    coroutine: *mut PyObject,
    value: *mut PyObject,
    error: *mut PyObject,
    out: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: called by the hooks with the GIL held; `error` is owned or NULL.
    unsafe {
        if is_dismissed(coroutine) {
            ffi::Py_XDECREF(error);
            *out = coroutine::make_blocker();
            return if (*out).is_null() {
                PySendResult::PYGEN_ERROR
            } else {
                PySendResult::PYGEN_NEXT
            };
        }
        let w = records::take(coroutine);
        if w.is_null() {
            ffi::Py_XDECREF(error);
            return PySendResult::PYGEN_ERROR;
        }
        let status = coroutine::advance(w, value, error, out);
        if ffi::PyErr_Occurred().is_null() {
            records::give_back(w);
        } else {
            // What is released may run code.
            let error = crate::error::take_raised();
            records::give_back(w);
            crate::error::raise(error);
        }
        status
    }
}

unsafe extern "C" fn am_send(
    op: *mut PyObject,
    value: *mut PyObject,
    out: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: called by CPython with the GIL held; `out` is valid for a write.
    unsafe {
        if is_step_of_task(op) {
            *out = ptr::null_mut();
            return step(op, value, ptr::null_mut(), out);
        }
        (own().am_send)(op, value, out)
    }
}

unsafe extern "C" fn send_method(op: *mut PyObject, value: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if is_step_of_task(op) {
            let mut out = ptr::null_mut();
            let status = step(op, value, ptr::null_mut(), &raw mut out);
            return as_method(status, out);
        }
        (own().send)(op, value)
    }
}

#[cfg(Py_3_11)]
unsafe extern "C" fn throw_method(
    op: *mut PyObject,
    args: *mut *mut PyObject,
    count: ffi::Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; `args` holds `count` objects.
    unsafe {
        if (1..=3).contains(&count) && is_step_of_task(op) {
            return throw(op, up_to_three(args, count));
        }
        (own().throw)(op, args, count)
    }
}

#[cfg(not(Py_3_11))]
unsafe extern "C" fn throw_method(op: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held, on a tuple.
    unsafe {
        let count = ffi::PyTuple_GET_SIZE(args);
        if (1..=3).contains(&count) && is_step_of_task(op) {
            let mut given = [ptr::null_mut(); 3];
            for (i, place) in given.iter_mut().enumerate().take(count as usize) {
                *place = ffi::PyTuple_GET_ITEM(args, i as ffi::Py_ssize_t);
            }
            return throw(op, up_to_three(given.as_ptr(), count));
        }
        (own().throw)(op, args)
    }
}

unsafe fn throw(op: *mut PyObject, given: [*mut PyObject; 3]) -> *mut PyObject {
    // SAFETY: contract of `throw_method`.
    unsafe {
        let error = make_exception(given);
        if error.is_null() {
            return ptr::null_mut();
        }
        let mut out = ptr::null_mut();
        let status = step(op, ffi::Py_None(), error, &raw mut out);
        as_method(status, out)
    }
}

/// The record (owned) of a coroutine in a green call, or NULL.
unsafe fn parked(op: *mut PyObject) -> *mut Coroutine {
    // SAFETY: called by the hooks with the GIL held.
    unsafe {
        if own().interpreter != ffi::PyInterpreterState_Get() {
            return ptr::null_mut();
        }
        let w = records::find(op);
        if w.is_null() || (*w).state != State::Parked {
            return ptr::null_mut();
        }
        ffi::Py_INCREF(w.cast());
        w
    }
}

unsafe extern "C" fn close_method(op: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let w = parked(op);
        if w.is_null() {
            return (own().close)(op, ptr::null_mut());
        }
        let fine = coroutine::close(w);
        ffi::Py_DECREF(w.cast());
        if fine { none() } else { ptr::null_mut() }
    }
}

unsafe extern "C" fn get_running(op: *mut PyObject, closure: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let w = parked(op);
        if w.is_null() {
            return (own().running)(op, closure);
        }
        ffi::Py_DECREF(w.cast());
        boolean(false)
    }
}

unsafe extern "C" fn get_suspended(op: *mut PyObject, closure: *mut c_void) -> *mut PyObject {
    // SAFETY: as for `get_running`.
    unsafe {
        let w = parked(op);
        match own().suspended {
            Some(own) if w.is_null() => own(op, closure),
            _ => {
                ffi::Py_XDECREF(w.cast());
                boolean(true)
            }
        }
    }
}

unsafe extern "C" fn get_await(op: *mut PyObject, closure: *mut c_void) -> *mut PyObject {
    // SAFETY: as for `get_running`.
    unsafe {
        let w = parked(op);
        if w.is_null() {
            return (own().awaits)(op, closure);
        }
        let blocker = or_none((*w).blocker);
        ffi::Py_DECREF(w.cast());
        blocker
    }
}
