//! Passes on which CPython this build is for (`cfg(Py_3_11)` and so on).
//!
//! `pystate` mirrors private structures and so needs one file per CPython minor version;
//! without the `python` feature nothing above `switch` is compiled and nobody asks.

fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    #[cfg(feature = "python")]
    pyo3_build_config::use_pyo3_cfgs();
}
