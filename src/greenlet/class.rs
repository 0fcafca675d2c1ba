//! The Python class `greenlet.greenlet` and the functions beside it.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::ffi::PyObject;

use super::switch::{self, Inbound};
use super::thread::{self, Thread};
use super::{Greenlet, Kind, Phase, decref, errors, gc, incref};
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

/// A method for a type or module table.
pub(crate) const fn method(
    name: &'static std::ffi::CStr,
    call: ffi::PyMethodDefPointer,
    flags: c_int,
    doc: &'static std::ffi::CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: call,
        ml_flags: flags,
        ml_doc: doc.as_ptr(),
    }
}

/// Signature of a fast method with keywords.
pub(crate) type Fast = unsafe extern "C" fn(
    *mut PyObject,
    *const *mut PyObject,
    ffi::Py_ssize_t,
    *mut PyObject,
) -> *mut PyObject;

pub(crate) const fn fast(call: Fast) -> ffi::PyMethodDefPointer {
    ffi::PyMethodDefPointer {
        PyCFunctionFastWithKeywords: call,
    }
}

pub(crate) const fn noargs(
    call: unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject,
) -> ffi::PyMethodDefPointer {
    ffi::PyMethodDefPointer { PyCFunction: call }
}

pub(crate) const FAST: c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;

/// A property for a type table.
pub(crate) const fn property(
    name: &'static std::ffi::CStr,
    get: ffi::getter,
    set: Option<ffi::setter>,
    doc: &'static std::ffi::CStr,
) -> ffi::PyGetSetDef {
    ffi::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        set,
        doc: doc.as_ptr(),
        closure: ptr::null_mut(),
    }
}

const END_METHOD: ffi::PyMethodDef = ffi::PyMethodDef::zeroed();
const END_PROPERTY: ffi::PyGetSetDef = ffi::PyGetSetDef {
    name: ptr::null(),
    get: None,
    set: None,
    doc: ptr::null(),
    closure: ptr::null_mut(),
};

/// Creates the class. The tables live as long as the process, as CPython expects.
///
/// # Safety
/// Called once with the GIL held, after `errors::init`.
pub(crate) unsafe fn init() -> Result<(), ()> {
    let methods = Box::leak(Box::new([
        method(c"switch", fast(switch_method), FAST, c"switch($self, /, *args, **kwargs)\n--\n\nSwitch execution to this greenlet and return what is later sent back.\n\nA switch point. If the greenlet was not started yet, its run() is called with the\narguments; otherwise its own pending switch() returns them."),
        method(c"throw", fast(throw_method), FAST, c"throw($self, typ=GreenletExit, val=None, tb=None, /)\n--\n\nSwitch to this greenlet and raise an exception in it.\n\nA switch point."),
        method(c"__reduce_ex__", fast(refuse_copy), FAST, c"Refuse: a stack cannot be copied."),
        method(c"__reduce__", fast(refuse_copy), FAST, c"Refuse: a stack cannot be copied."),
        END_METHOD,
    ]));
    let properties = Box::leak(Box::new([
        property(
            c"__dict__",
            get_dict,
            Some(set_dict),
            c"Attributes of the instance.",
        ),
        property(
            c"dead",
            get_dead,
            None,
            c"True once the greenlet has ended.",
        ),
        property(
            c"gr_frame",
            get_frame,
            None,
            c"Topmost frame while suspended, else None.",
        ),
        property(
            c"gr_context",
            get_context,
            Some(set_context),
            c"The contextvars.Context it runs in, or None.",
        ),
        property(
            c"parent",
            get_parent,
            Some(set_parent),
            c"Where its result goes; None for a main greenlet.",
        ),
        property(
            c"run",
            get_run,
            Some(set_run),
            c"What the first switch will call; gone once started.",
        ),
        property(
            c"_stack_saved",
            get_stack_saved,
            None,
            c"Bytes on the C stack while suspended, else 0.",
        ),
        END_PROPERTY,
    ]));
    let members = Box::leak(Box::new([
        offset_member(c"__dictoffset__", std::mem::offset_of!(Greenlet, dict)),
        offset_member(
            c"__weaklistoffset__",
            std::mem::offset_of!(Greenlet, weakrefs),
        ),
        end_member(),
    ]));
    let slots = Box::leak(Box::new([
        slot(ffi::Py_tp_doc, c"greenlet(run=None, parent=None)\n--\n\nA stack of its own that can be switched to. It does nothing before the first switch().".as_ptr() as *mut c_void),
        slot(ffi::Py_tp_new, new as *mut c_void),
        slot(ffi::Py_tp_init, initialize as *mut c_void),
        slot(ffi::Py_tp_dealloc, gc::dealloc as *mut c_void),
        slot(ffi::Py_tp_finalize, gc::finalize as *mut c_void),
        slot(ffi::Py_tp_traverse, gc::traverse as *mut c_void),
        slot(ffi::Py_tp_clear, gc::clear as *mut c_void),
        slot(ffi::Py_tp_is_gc, gc::is_gc as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_nb_bool, truth as *mut c_void),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(ffi::Py_tp_getset, properties.as_mut_ptr().cast()),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(0, ptr::null_mut()),
    ]));
    let mut spec = ffi::PyType_Spec {
        name: c"greenlet.greenlet".as_ptr(),
        basicsize: std::mem::size_of::<Greenlet>() as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE | ffi::Py_TPFLAGS_HAVE_GC)
            as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the GIL is held; the spec and its tables are complete.
    unsafe {
        TYPE = ffi::PyType_FromSpec(&raw mut spec).cast();
    }
    // SAFETY: just written.
    if unsafe { TYPE.is_null() } {
        Err(())
    } else {
        Ok(())
    }
}

pub(crate) fn slot(slot: c_int, pfunc: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot, pfunc }
}

fn offset_member(name: &'static std::ffi::CStr, offset: usize) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: ptr::null(),
    }
}

fn end_member() -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: ptr::null(),
        type_code: 0,
        offset: 0,
        flags: 0,
        doc: ptr::null(),
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

/// Gives the memory of an instance back.
///
/// # Safety
/// Last step of deallocation.
pub(crate) unsafe fn free(op: *mut PyObject) {
    // SAFETY: by contract; instances of heap types own a reference to their type.
    unsafe {
        let kind = ffi::Py_TYPE(op);
        ffi::PyObject_GC_Del(op.cast());
        ffi::Py_DECREF(kind.cast());
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
        let g = alloc(kind);
        if !g.is_null() {
            adopt(g, thread, (*thread).current);
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
            && (*g).thread == thread
            && (*thread).doomed.is_empty()
        {
            (*thread).throwing = false;
            let value = Inbound::Value(ffi::Py_NewRef(*args));
            std::mem::replace(&mut (*g).inbound, value).discard();
            return switch::switch_to(thread, g).into_result();
        }
        let Some(call) = collect(args, count, names) else {
            return ptr::null_mut();
        };
        switch::transfer(thread, g, call)
    }
}

/// Builds the tuple and dict for a call from fast-call arguments; None with an exception.
///
/// # Safety
/// Arguments as CPython passes them to a fast method with keywords.
pub(crate) unsafe fn collect(
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> Option<Inbound> {
    // SAFETY: by contract.
    unsafe {
        let tuple = ffi::PyTuple_New(count);
        if tuple.is_null() {
            return None;
        }
        for i in 0..count {
            ffi::PyTuple_SET_ITEM(tuple, i, ffi::Py_NewRef(*args.offset(i)));
        }
        let mut dict = ptr::null_mut();
        let named = if names.is_null() {
            0
        } else {
            ffi::PyTuple_GET_SIZE(names)
        };
        if named > 0 {
            dict = ffi::PyDict_New();
            for i in 0..named {
                if dict.is_null()
                    || ffi::PyDict_SetItem(
                        dict,
                        ffi::PyTuple_GET_ITEM(names, i),
                        *args.offset(count + i),
                    ) < 0
                {
                    ffi::Py_DECREF(tuple);
                    ffi::Py_XDECREF(dict);
                    return None;
                }
            }
        }
        Some(Inbound::Call(tuple, dict))
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
        if !names.is_null() && ffi::PyTuple_GET_SIZE(names) > 0 || count > 3 {
            ffi::PyErr_SetString(
                ffi::PyExc_TypeError,
                c"throw() takes at most 3 positional arguments: type, value, traceback".as_ptr(),
            );
            return ptr::null_mut();
        }
        let thread = thread::this();
        if thread.is_null() {
            return ptr::null_mut();
        }
        let arg = |i: isize| {
            if i < count {
                *args.offset(i)
            } else {
                ptr::null_mut()
            }
        };
        let error = make_exception(arg(0), arg(1), arg(2));
        if error.is_null() {
            return ptr::null_mut();
        }
        switch::transfer(thread, op.cast(), Inbound::Error(error))
    }
}

/// One normalised exception of what `throw()` and `kill()` take: nothing, an instance, or a
/// class with an optional value; and an optional traceback. NULL with TypeError set.
///
/// # Safety
/// Borrowed references or NULL; the GIL is held. Runs Python code.
pub(crate) unsafe fn make_exception(
    kind: *mut PyObject,
    value: *mut PyObject,
    trace: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: by contract; references are taken before they are handed on.
    unsafe {
        let none = ffi::Py_None();
        let given = |object: *mut PyObject| !object.is_null() && object != none;
        if given(trace) && ffi::PyTraceBack_Check(trace) == 0 {
            ffi::PyErr_SetString(
                ffi::PyExc_TypeError,
                c"throw() third argument must be a traceback object".as_ptr(),
            );
            return ptr::null_mut();
        }
        if kind.is_null() {
            return errors::new_exit();
        }
        let kept = if given(trace) {
            ffi::Py_NewRef(trace)
        } else {
            ptr::null_mut()
        };
        if ffi::PyExceptionClass_Check(kind) != 0 {
            let value = if given(value) {
                ffi::Py_NewRef(value)
            } else {
                ptr::null_mut()
            };
            return errors::join(ffi::Py_NewRef(kind), value, kept);
        }
        if ffi::PyExceptionInstance_Check(kind) != 0 {
            if given(value) {
                ffi::Py_XDECREF(kept);
                ffi::PyErr_SetString(
                    ffi::PyExc_TypeError,
                    c"instance exception may not have a separate value".as_ptr(),
                );
                return ptr::null_mut();
            }
            if !kept.is_null() {
                ffi::PyException_SetTraceback(kind, kept);
                ffi::Py_DECREF(kept);
            }
            return ffi::Py_NewRef(kind);
        }
        ffi::Py_XDECREF(kept);
        ffi::PyErr_Format(
            ffi::PyExc_TypeError,
            c"exceptions must be classes, or instances, not %s".as_ptr(),
            (*ffi::Py_TYPE(kind)).tp_name,
        );
        ptr::null_mut()
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

/// Started and not ended; a main greenlet ends with its thread.
pub(crate) unsafe fn is_active(g: *mut Greenlet) -> bool {
    // SAFETY: `g` is live by contract of the callers, which are type slots.
    unsafe { (*g).phase == Phase::Active && (*(*g).thread).alive }
}

unsafe fn is_dead(g: *mut Greenlet) -> bool {
    // SAFETY: as for `is_active`.
    unsafe { (*g).phase == Phase::Dead || (*g).phase == Phase::Active && !(*(*g).thread).alive }
}

unsafe extern "C" fn repr(op: *mut PyObject) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython with the GIL held; the formats match their arguments.
    unsafe {
        let alive = (*(*g).thread).alive;
        let own = thread::existing();
        let state: *const c_char = if is_dead(g) {
            c" dead".as_ptr()
        } else if (*g).phase == Phase::New {
            c" pending".as_ptr()
        } else if !own.is_null() && (*own).current == g {
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

unsafe extern "C" fn get_dict(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython on a greenlet, whose type has a dict offset.
    unsafe { ffi::PyObject_GenericGetDict(op, ptr::null_mut()) }
}

unsafe extern "C" fn set_dict(op: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    // SAFETY: as for `get_dict`.
    unsafe { ffi::PyObject_GenericSetDict(op, value, ptr::null_mut()) }
}

unsafe extern "C" fn get_dead(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: called by CPython on a greenlet.
    unsafe { ffi::PyBool_FromLong(is_dead(op.cast()).into()) }
}

/// Bytes that lie on the C stack of a suspended greenlet. Of a main greenlet, whose stack
/// begins wherever the system put it, only an order of magnitude: at least 1.
unsafe extern "C" fn get_stack_saved(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        let suspended = is_active(g) && (*(*g).thread).current != g;
        let used = if suspended {
            (*g).bounds.top.saturating_sub((*g).left_at).max(1)
        } else {
            0
        };
        ffi::PyLong_FromSize_t(used)
    }
}

unsafe extern "C" fn get_frame(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet with the GIL held.
    unsafe {
        // A greenlet whose OS thread has ended is suspended for good; a main one is gone.
        let started = (*g).phase == Phase::Active && (!(*g).is_main() || (*(*g).thread).alive);
        let frame = if started && (*(*g).thread).current != g {
            (*g).state.frame(ffi::PyThreadState_Get())
        } else {
            ptr::null_mut()
        };
        if frame.is_null() {
            ffi::Py_NewRef(ffi::Py_None())
        } else {
            frame
        }
    }
}

unsafe extern "C" fn get_parent(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        let parent = (*g).parent.cast::<PyObject>();
        ffi::Py_NewRef(if parent.is_null() {
            ffi::Py_None()
        } else {
            parent
        })
    }
}

unsafe fn attribute_error(message: &std::ffi::CStr) -> c_int {
    // SAFETY: the GIL is held by the callers, which are type slots.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_AttributeError, message.as_ptr()) };
    -1
}

pub(crate) unsafe extern "C" fn set_parent(
    op: *mut PyObject,
    value: *mut PyObject,
    _: *mut c_void,
) -> c_int {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython; each greenlet owns its parent, so the walk is over live ones.
    unsafe {
        if value.is_null() {
            return attribute_error(c"can't delete attribute");
        }
        if (*g).is_main() {
            return attribute_error(c"cannot set the parent of a main greenlet");
        }
        if !check(value) {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"GreenletChecker: Expected any type of greenlet, not %s".as_ptr(),
                (*ffi::Py_TYPE(value)).tp_name,
            );
            return -1;
        }
        let parent = value.cast::<Greenlet>();
        let mut ancestor = parent;
        while !ancestor.is_null() {
            if ancestor == g {
                ffi::PyErr_SetString(ffi::PyExc_ValueError, c"cyclic parent chain".as_ptr());
                return -1;
            }
            ancestor = (*ancestor).parent;
        }
        if !(*(*parent).thread).alive {
            thread::set_foreign_error(parent);
            return -1;
        }
        // A greenlet that never ran takes over its parent's OS thread when it starts.
        if (*parent).thread != (*g).thread && (*g).phase != Phase::New {
            ffi::PyErr_SetString(
                ffi::PyExc_ValueError,
                c"parent cannot be on a different thread".as_ptr(),
            );
            return -1;
        }
        incref(parent);
        let old = std::mem::replace(&mut (*g).parent, parent);
        if (*parent).thread != (*g).thread {
            thread::retain((*parent).thread);
            thread::release(std::mem::replace(&mut (*g).thread, (*parent).thread));
        }
        if !old.is_null() {
            decref(old);
        }
    }
    0
}

unsafe extern "C" fn get_run(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        if (*g).phase != Phase::New || (*g).run.is_null() {
            attribute_error(c"run");
            return ptr::null_mut();
        }
        ffi::Py_NewRef((*g).run)
    }
}

unsafe extern "C" fn set_run(op: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        if (*g).phase != Phase::New {
            return attribute_error(c"run cannot be set after the start of the greenlet");
        }
        if value.is_null() && (*g).run.is_null() {
            return attribute_error(c"run");
        }
        super::replace(&raw mut (*g).run, ffi::Py_XNewRef(value));
    }
    0
}

unsafe extern "C" fn get_context(op: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        let context = match (*g).phase {
            Phase::New | Phase::Dead => (*g).context,
            Phase::Active if (*(*g).thread).current == g => {
                if thread::existing() != (*g).thread {
                    ffi::PyErr_SetString(
                        ffi::PyExc_ValueError,
                        c"cannot get context of a greenlet that is running in a different thread"
                            .as_ptr(),
                    );
                    return ptr::null_mut();
                }
                pystate::current_context((*(*g).thread).tstate)
            }
            Phase::Active => (*g).state.context(),
        };
        ffi::Py_NewRef(if context.is_null() {
            ffi::Py_None()
        } else {
            context
        })
    }
}

unsafe extern "C" fn set_context(op: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    let g = op.cast::<Greenlet>();
    // SAFETY: called by CPython on a greenlet.
    unsafe {
        if value.is_null() {
            return attribute_error(c"can't delete context attribute");
        }
        let context = if value == ffi::Py_None() {
            ptr::null_mut()
        } else if ffi::PyObject_TypeCheck(value, &raw mut ffi::PyContext_Type) != 0 {
            value
        } else {
            ffi::PyErr_SetString(
                ffi::PyExc_TypeError,
                c"greenlet context must be a contextvars.Context or None".as_ptr(),
            );
            return -1;
        };
        let owned = ffi::Py_XNewRef(context);
        match (*g).phase {
            Phase::Active if (*(*g).thread).current == g => {
                if thread::existing() != (*g).thread {
                    ffi::Py_XDECREF(owned);
                    ffi::PyErr_SetString(
                        ffi::PyExc_ValueError,
                        c"cannot set context of a greenlet that is running in a different thread"
                            .as_ptr(),
                    );
                    return -1;
                }
                pystate::set_current_context((*(*g).thread).tstate, owned);
            }
            Phase::Active => (*g).state.set_context(owned),
            Phase::New | Phase::Dead => super::replace(&raw mut (*g).context, owned),
        }
    }
    0
}

/// `greenlet.getcurrent()`.
pub(crate) unsafe extern "C" fn getcurrent(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        if pystate::in_finalization() {
            ffi::PyErr_SetString(
                ffi::PyExc_RuntimeError,
                c"greenlet is being finalized".as_ptr(),
            );
            return ptr::null_mut();
        }
        let thread = thread::this();
        if thread.is_null() {
            return ptr::null_mut();
        }
        if !(*thread).doomed.is_empty() {
            thread::end_doomed(thread);
        }
        ffi::Py_NewRef((*thread).current.cast())
    }
}

/// `greenlet.settrace(callback)`: returns the former one.
pub(crate) unsafe extern "C" fn settrace(_: *mut PyObject, value: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held; the tracer is owned by the thread record.
    unsafe {
        let thread = thread::this();
        if thread.is_null() {
            return ptr::null_mut();
        }
        let tracer = if value == ffi::Py_None() {
            ptr::null_mut()
        } else {
            ffi::Py_NewRef(value)
        };
        let old = std::mem::replace(&mut (*thread).tracer, tracer);
        if old.is_null() {
            ffi::Py_NewRef(ffi::Py_None())
        } else {
            old
        }
    }
}

/// `greenlet.gettrace()`.
pub(crate) unsafe extern "C" fn gettrace(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with the GIL held.
    unsafe {
        let thread = thread::this();
        if thread.is_null() {
            return ptr::null_mut();
        }
        let tracer = (*thread).tracer;
        ffi::Py_NewRef(if tracer.is_null() {
            ffi::Py_None()
        } else {
            tracer
        })
    }
}
