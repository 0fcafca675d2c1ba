//! The Python class `greenlet.greenlet` and the functions beside it.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::arguments::{collect, named, up_to_three};
use super::define::{Definition, create, define, fast, property, slot};
use super::errors::make_exception;
pub(crate) use super::properties::set_parent;
use super::properties::{
    get_context, get_dead, get_frame, get_parent, get_run, get_stack_saved, is_active, is_dead,
    set_context, set_run,
};
use super::switch::{self, Inbound};
use super::thread::{self, Thread};
use super::{Greenlet, Kind, Phase, gc, incref};
use crate::error::raise_new;
use crate::pystate::{self, Bounds, StackState};

static mut TYPE: *mut ffi::PyTypeObject = ptr::null_mut();

/// `greenlet.greenlet`.
///
/// # Safety
/// [`init`] has run; the GIL is held.
pub(crate) unsafe fn greenlet_type() -> *mut ffi::PyTypeObject {
    // SAFETY: written once by `init`, before any other thread can get here.
    unsafe { TYPE }
}

/// Tells whether `op` is a greenlet.
///
/// # Safety
/// As for [`greenlet_type`]; `op` is live.
pub(crate) unsafe fn check(op: *mut PyObject) -> bool {
    // SAFETY: by contract.
    unsafe { ffi::PyObject_TypeCheck(op, TYPE) != 0 }
}

/// Creates the class.
///
/// # Safety
/// Called once with the GIL held, after `errors::init`.
pub(crate) unsafe fn init() -> Result<(), ()> {
    let class = Definition {
        weakrefs: Some(std::mem::offset_of!(Greenlet, weakrefs)),
        dict: Some(std::mem::offset_of!(Greenlet, dict)),
        slots: vec![
            slot(ffi::Py_tp_new, new as *mut c_void),
            slot(ffi::Py_tp_init, initialize as *mut c_void),
            slot(ffi::Py_tp_dealloc, gc::dealloc as *mut c_void),
            slot(ffi::Py_tp_finalize, gc::finalize as *mut c_void),
            slot(ffi::Py_tp_traverse, gc::traverse as *mut c_void),
            slot(ffi::Py_tp_clear, gc::clear as *mut c_void),
            slot(ffi::Py_tp_is_gc, gc::is_gc as *mut c_void),
            slot(ffi::Py_tp_repr, repr as *mut c_void),
            slot(ffi::Py_nb_bool, truth as *mut c_void),
        ],
        methods: vec![
            fast(c"switch", switch_method, c"switch($self, /, *args, **kwargs)\n--\n\nSwitch execution to this greenlet and return what is later sent back.\n\nA switch point. If the greenlet was not started yet, its run() is called with the\narguments; otherwise its own pending switch() returns them."),
            fast(c"throw", throw_method, c"throw($self, typ=GreenletExit, val=None, tb=None, /)\n--\n\nSwitch to this greenlet and raise an exception in it.\n\nA switch point."),
            fast(c"__reduce_ex__", refuse_copy, c"Refuse: a stack cannot be copied."),
            fast(c"__reduce__", refuse_copy, c"Refuse: a stack cannot be copied."),
        ],
        properties: vec![
            property(c"dead", get_dead, None, c"True once the greenlet has ended."),
            property(c"gr_frame", get_frame, None, c"Topmost frame while suspended, else None."),
            property(c"gr_context", get_context, Some(set_context), c"The contextvars.Context it runs in, or None."),
            property(c"parent", get_parent, Some(set_parent), c"Where its result goes; None for a main greenlet."),
            property(c"run", get_run, Some(set_run), c"What the first switch will call; gone once started."),
            property(c"_stack_saved", get_stack_saved, None, c"Bytes on the C stack while suspended, else 0."),
        ],
        ..define(
            c"greenlet.greenlet",
            c"greenlet(run=None, parent=None)\n--\n\nA stack of its own that can be switched to. It does nothing before the first switch().",
            std::mem::size_of::<Greenlet>(),
        )
    };
    // SAFETY: by contract; tables and size fit.
    unsafe {
        TYPE = create(class);
        if TYPE.is_null() { Err(()) } else { Ok(()) }
    }
}

/// A new greenlet object in phase New without thread or parent.
///
/// # Safety
/// `kind` is the greenlet type or a subtype of it; the GIL is held.
pub(crate) unsafe fn alloc(kind: *mut ffi::PyTypeObject) -> *mut Greenlet {
    // SAFETY: the generic allocator zeroes the instance and tracks it; every field is
    // written before other code can see it. All-zero is valid for those not written.
    unsafe {
        let g = ffi::PyType_GenericAlloc(kind, 0).cast::<Greenlet>();
        if !g.is_null() {
            (&raw mut (*g).inbound).write(Inbound::Nothing);
            (&raw mut (*g).state).write(StackState::new());
            (&raw mut (*g).bounds).write(Bounds::NONE);
            (&raw mut (*g).phase).write(Phase::New);
            (&raw mut (*g).kind).write(Kind::Plain);
        }
        g
    }
}

/// Makes `g` belong to this OS thread with the running greenlet as parent.
///
/// # Safety
/// `g` was just allocated; `thread` is this OS thread's record.
pub(crate) unsafe fn adopt(g: *mut Greenlet, thread: *mut Thread, parent: *mut Greenlet) {
    // SAFETY: by contract.
    unsafe {
        thread::retain(thread);
        (*g).thread = thread;
        incref(parent);
        (*g).parent = parent;
    }
}

unsafe extern "C" fn new(
    kind: *mut ffi::PyTypeObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held. object.__new__'s rule for abstract
    // classes is applied by asking it to make the instance's twin first.
    unsafe {
        if (*kind).tp_flags & ffi::Py_TPFLAGS_IS_ABSTRACT != 0 {
            // Raises the TypeError that lists the abstract methods.
            let object = &raw mut ffi::PyBaseObject_Type;
            return (*object)
                .tp_new
                .map_or(ptr::null_mut(), |new| new(kind, args, kwargs));
        }
        let thread = thread::this();
        if thread.is_null() {
            return ptr::null_mut();
        }
        if !(*thread).doomed.is_empty() {
            thread::end_doomed(thread);
        }
        let parent = super::identity(thread);
        if parent.is_null() {
            return ptr::null_mut();
        }
        let g = alloc(kind);
        if !g.is_null() {
            adopt(g, thread, parent);
        }
        g.cast()
    }
}

unsafe extern "C" fn initialize(
    op: *mut PyObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> c_int {
    let (mut run, mut parent) = (ptr::null_mut::<PyObject>(), ptr::null_mut::<PyObject>());
    let names = [c"run".as_ptr(), c"parent".as_ptr(), ptr::null()];
    // SAFETY: called by CPython; the format names two optional objects.
    unsafe {
        let ok = ffi::PyArg_ParseTupleAndKeywords(
            args,
            kwargs,
            c"|OO:greenlet".as_ptr(),
            names.as_ptr().cast_mut().cast(),
            &raw mut run,
            &raw mut parent,
        );
        if ok == 0 {
            return -1;
        }
        if !run.is_null() && set_run(op, run, ptr::null_mut()) < 0 {
            return -1;
        }
        if !parent.is_null() && parent != ffi::Py_None() {
            return set_parent(op, parent, ptr::null_mut());
        }
    }
    0
}

unsafe extern "C" fn switch_method(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython with the GIL held; `args` holds `count` values and one
    // more per name.
    unsafe {
        let thread = thread::this();
        if thread.is_null() {
            return ptr::null_mut();
        }
        // One value for a greenlet that already runs needs no tuple.
        if count == 1
            && names.is_null()
            && (*g).phase == Phase::Active
            && !(*g).stepping
            && (*g).thread == thread
            && matches!((*g).inbound, Inbound::Nothing)
            && (*thread).doomed.is_empty()
        {
            (*thread).throwing = false;
            (*g).inbound = Inbound::Value(ffi::Py_NewRef(*args));
            return switch::switch_to(thread, g).into_result();
        }
        let Some(call) = collect(args, count, names) else {
            return ptr::null_mut();
        };
        switch::transfer(thread, g, call)
    }
}

unsafe extern "C" fn throw_method(
    op: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if named(names) > 0 || count > 3 {
            return raise_new(
                ffi::PyExc_TypeError,
                c"throw() takes at most 3 positional arguments: type, value, traceback",
            );
        }
        let thread = thread::this();
        if thread.is_null() {
            return ptr::null_mut();
        }
        let error = make_exception(up_to_three(args, count));
        if error.is_null() {
            return ptr::null_mut();
        }
        switch::transfer(thread, op.cast(), Inbound::Error(error))
    }
}

unsafe extern "C" fn refuse_copy(
    op: *mut PyObject,
    _args: *const *mut PyObject,
    _count: ffi::Py_ssize_t,
    _names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython; the format takes one C string.
    unsafe {
        ffi::PyErr_Format(
            ffi::PyExc_TypeError,
            c"cannot copy or pickle '%s' object: it has a stack".as_ptr(),
            (*ffi::Py_TYPE(op)).tp_name,
        )
    }
}

unsafe extern "C" fn truth(op: *mut PyObject) -> c_int {
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        let g = op.cast::<Greenlet>();
        let elsewhere =
            || (*g).phase == Phase::New && (*g).kind == Kind::Scheduled && ((*(*g).hooks).begun)(g);
        c_int::from(is_active(g) || elsewhere())
    }
}

unsafe extern "C" fn repr(op: *mut PyObject) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython with the GIL held; the formats match their arguments.
    unsafe {
        let alive = (*(*g).thread).alive;
        let own = thread::existing();
        let state: *const c_char = if is_dead(g) {
            c" dead".as_ptr()
        } else if (*g).phase == Phase::New && super::stack_of(g) == g {
            c" pending".as_ptr()
        } else if !own.is_null() && (*own).current == super::stack_of(g) {
            c" current active started".as_ptr()
        } else {
            c" suspended active started".as_ptr()
        };
        let main = if (*g).is_main() && alive {
            c" main"
        } else {
            c""
        };
        let gone = if alive { c"" } else { c" (thread exited)" };
        ffi::PyUnicode_FromFormat(
            c"<%s object at %p (otid=%p)%s%s%s>".as_ptr(),
            (*ffi::Py_TYPE(op)).tp_name,
            op,
            (*g).thread,
            gone.as_ptr(),
            state,
            main.as_ptr(),
        )
    }
}

/// `greenlet.getcurrent()`.
pub(crate) unsafe extern "C" fn getcurrent(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if pystate::in_finalization() {
            return raise_new(ffi::PyExc_RuntimeError, c"greenlet is being finalized");
        }
        let thread = thread::this();
        if thread.is_null() {
            return ptr::null_mut();
        }
        if !(*thread).doomed.is_empty() {
            thread::end_doomed(thread);
        }
        ffi::Py_XNewRef(super::identity(thread).cast())
    }
}
