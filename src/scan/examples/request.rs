//! One request from the command line, for profiles without Python.
//!
//! `cargo run --example request -- '{"command": "scan", "paths": ["."]}'`

use std::io::Write;

fn main() -> std::io::Result<()> {
    let request = std::env::args().nth(1).unwrap_or_default();
    let answer = eventlet_scan::handle(&request);
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    std::io::stderr().write_all(text("err").as_bytes())?;
    std::io::stdout().write_all(text("out").as_bytes())?;
    std::process::exit(answer["exit"].as_i64().unwrap_or(2) as i32)
}
