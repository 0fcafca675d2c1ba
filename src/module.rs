//! `eventlet_asyncio._core`: registration and nothing else.

use std::ffi::CStr;

use once_cell::sync::OnceCell;
use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::greenlet::define::{noargs, onearg};
use crate::{
    bridge, greenlet, greenthread, hub, imports, offload, pystate, scanner, sync, websocket, wsgi,
};

/// Adds functions written on the C API to the module, and to its `__all__`.
///
/// # Safety
/// The entries fit their functions; the GIL is held.
unsafe fn add_functions(
    module: &Bound<'_, PyModule>,
    mut table: Vec<ffi::PyMethodDef>,
) -> PyResult<()> {
    let public = module.index()?;
    for entry in &table {
        // SAFETY: the names in method tables are static strings.
        public.append(unsafe { CStr::from_ptr(entry.ml_name) })?;
    }
    table.push(ffi::PyMethodDef::zeroed());
    let table = Box::leak(table.into_boxed_slice());
    // SAFETY: the table lives as long as the process, as the functions may.
    if unsafe { ffi::PyModule_AddFunctions(module.as_ptr(), table.as_mut_ptr()) } < 0 {
        return Err(PyErr::fetch(module.py()));
    }
    Ok(())
}

fn add_type(module: &Bound<'_, PyModule>, name: &str, object: *mut ffi::PyObject) -> PyResult<()> {
    // SAFETY: classes and exceptions made at initialisation live as long as the process.
    let object = unsafe { Bound::from_borrowed_ptr(module.py(), object) };
    module.add(name, object)
}

/// Register what makes the hub of an OS thread.
#[pyfunction]
fn _set_hub_factory(factory: Py<PyAny>) -> PyResult<()> {
    hub::registry::set_factory(factory)
}

/// The hub object of this OS thread, or None.
#[pyfunction]
fn _existing_hub(py: Python<'_>) -> Option<Py<PyAny>> {
    let core = hub::registry::existing();
    if core.is_null() {
        return None;
    }
    // SAFETY: the hub of this OS thread is live, and its object owns it.
    unsafe { Some(Bound::from_borrowed_ptr(py, (*core).object).unbind()) }
}

/// Give the hub of a forked child a poller of its own.
#[pyfunction]
fn _after_fork_in_child(py: Python<'_>) -> PyResult<()> {
    // SAFETY: called by os.fork() in the child.
    unsafe {
        hub::registry::after_fork_in_child(py)?;
        offload::after_fork_in_child();
    }
    Ok(())
}

/// Offsets of the thread state's fields that this build relies on.
#[pyfunction]
fn _layout() -> std::collections::HashMap<&'static str, usize> {
    pystate::layout().into_iter().collect()
}

/// Counts of stacks: mapped, free, in use.
#[pyfunction]
fn _stack_statistics() -> std::collections::HashMap<&'static str, usize> {
    let s = crate::stack::statistics();
    [
        ("mapped", s.mapped()),
        ("free", s.free),
        ("in_use", s.in_use),
        ("slabs", s.slabs),
        ("dirty", s.dirty),
    ]
    .into_iter()
    .collect()
}

/// Choose whether green code sees the hub's event loop as the running one.
#[pyfunction]
fn _set_visible_loop(visible: bool) {
    #[cfg(not(Py_3_14))]
    imports::set_hiding(!visible);
    #[cfg(Py_3_14)]
    pystate::share_running_loop(visible);
}

/// Choose whether green threads start in a copy of the spawner's context.
#[pyfunction]
fn _set_copy_context(copy: bool) {
    greenthread::spawn::set_copy_context(copy);
}

/// The module as it was first made, complete.
static FIRST: OnceCell<Py<PyModule>> = OnceCell::new();

/// The classes and what they know of OS threads exist once in the process: two interpreters
/// would take them from each other.
fn refuse_subinterpreter() -> PyResult<()> {
    // SAFETY: called with the GIL held.
    let number = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if number == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "eventlet-asyncio cannot be used in a sub-interpreter: run the application in the main \
         interpreter (with mod_wsgi: WSGIApplicationGroup %{GLOBAL})",
    ))
}

/// Somebody took the module out of `sys.modules` and imported it again: it has what the first
/// one has.
fn offer_again(module: &Bound<'_, PyModule>, first: &Bound<'_, PyModule>) -> PyResult<()> {
    for (name, object) in first.dict() {
        let name = name.cast_into::<PyString>()?;
        if name == "__all__" || !module.hasattr(&name)? {
            module.setattr(name, object)?;
        }
    }
    Ok(())
}

#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    refuse_subinterpreter()?;
    if let Some(first) = FIRST.get() {
        return offer_again(module, first.bind(py));
    }
    pystate::check().map_err(PyImportError::new_err)?;
    imports::init();
    #[cfg(all(target_os = "linux", target_env = "gnu", not(Py_3_14)))]
    crate::switch::unwinding::stop_forced_unwinding();
    // SAFETY: this runs once, with the GIL held, before anything uses the classes.
    unsafe {
        if greenlet::errors::init().is_err()
            || greenlet::class::init().is_err()
            || greenthread::class::init(&bridge::slots()).is_err()
        {
            return Err(PyErr::fetch(py));
        }
        add_type(module, "greenlet", greenlet::class::greenlet_type().cast())?;
        add_type(module, "GreenletExit", greenlet::errors::GREENLET_EXIT)?;
        add_type(module, "error", greenlet::errors::GREENLET_ERROR)?;
        add_type(
            module,
            "GreenThread",
            greenthread::class::green_thread_type().cast(),
        )?;
        let mut functions = vec![
            noargs(c"getcurrent", greenlet::class::getcurrent, c"getcurrent($module, /)\n--\n\nReturn the greenlet that is running.",
            ),
            noargs(c"gettrace", greenlet::trace::gettrace, c"gettrace($module, /)\n--\n\nReturn the tracer of this OS thread, or None.",
            ),
            onearg(c"settrace", greenlet::trace::settrace, c"settrace($module, callback, /)\n--\n\nCall callback(event, (origin, target)) at each switch; return the former one.",
            ),
        ];
        functions.extend(greenthread::spawn::functions());
        functions.extend(bridge::functions());
        functions.extend(hub::socket::functions());
        add_functions(module, functions)?;
        // Upstream offers these as attributes of the class, too.
        let class = module.getattr("greenlet")?;
        for name in [
            "GreenletExit",
            "error",
            "getcurrent",
            "gettrace",
            "settrace",
        ] {
            class.setattr(name, module.getattr(name)?)?;
        }
    }
    module.add_class::<hub::class::Hub>()?;
    module.add_class::<hub::timer::TimerHandle>()?;
    module.add_function(wrap_pyfunction!(hub::timer::_record_timers, module)?)?;
    module.add_class::<hub::io::Registration>()?;
    module.add_class::<hub::libuv::_UvGuest>()?;
    module.add_class::<hub::selector::LoopSelector>()?;
    module.add_function(wrap_pyfunction!(hub::fair::pay_operation, module)?)?;
    module.add_function(wrap_pyfunction!(hub::io::trampoline, module)?)?;
    module.add_function(wrap_pyfunction!(hub::io::_close_elsewhere, module)?)?;
    module.add_function(wrap_pyfunction!(hub::blocking::_block_loops, module)?)?;
    module.add_function(wrap_pyfunction!(hub::nested::_in_green_code, module)?)?;
    module.add_function(wrap_pyfunction!(hub::nested::_mark_in_loop, module)?)?;
    module.add_function(wrap_pyfunction!(hub::nested::_loop_waits, module)?)?;
    module.add_function(wrap_pyfunction!(hub::nested::_adopt, module)?)?;
    module.add_function(wrap_pyfunction!(hub::nested::_lend, module)?)?;
    module.add_function(wrap_pyfunction!(hub::nested::_in_green_coroutine, module)?)?;
    module.add_function(wrap_pyfunction!(hub::nested::_release, module)?)?;
    module.add_function(wrap_pyfunction!(hub::nested::_take_back, module)?)?;
    module.add_function(wrap_pyfunction!(hub::registry::_loop_in_child, module)?)?;
    module.add_function(wrap_pyfunction!(hub::libuv_child::_uv_renew, module)?)?;
    hub::rehearsal::register(module)?;
    module.add_function(wrap_pyfunction!(
        greenthread::spawn::_set_spawn_hook,
        module
    )?)?;
    module.add_function(wrap_pyfunction!(_set_visible_loop, module)?)?;
    module.add_function(wrap_pyfunction!(_set_hub_factory, module)?)?;
    module.add_function(wrap_pyfunction!(_existing_hub, module)?)?;
    module.add_function(wrap_pyfunction!(_after_fork_in_child, module)?)?;
    module.add_function(wrap_pyfunction!(_layout, module)?)?;
    module.add_function(wrap_pyfunction!(_stack_statistics, module)?)?;
    module.add_function(wrap_pyfunction!(_set_copy_context, module)?)?;
    let private = greenlet::bookkeeping::module(py)?;
    // Profilers ask greenlet's extension module, not its package, for these.
    for name in [
        "GreenletExit",
        "error",
        "getcurrent",
        "gettrace",
        "greenlet",
        "settrace",
    ] {
        private.add(name, module.getattr(name)?)?;
    }
    module.add("_greenlet", private)?;
    sync::register(module)?;
    offload::register(module)?;
    websocket::register(module)?;
    wsgi::register(module)?;
    scanner::register(module)?;
    bridge::register(module)?;
    // Set already only if making the classes has imported this once more.
    let _ = FIRST.set(module.clone().unbind());
    Ok(())
}
