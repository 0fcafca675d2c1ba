//! Whatever an application says, a response has the headers it was given and no others.
//!
//! The first byte holds the terms; lines of the rest are the status, then names and values.

#![no_main]

use _core::http::reply::{Framing, Reply, Terms};
use libfuzzer_sys::fuzz_target;

/// Separates the parts, so that they can hold line ends.
const MARK: u8 = 0x1e;

fuzz_target!(|data: &[u8]| {
    let Some((&bits, data)) = data.split_first() else {
        return;
    };
    let is = |bit: u8| bits & (1 << bit) != 0;
    let terms = Terms {
        minor: u8::from(is(0)),
        old_server: is(1),
        head: is(2),
        close: is(3),
        keep_alive: is(4),
        capitalize: is(5),
        tunnel: is(1) && is(2),
    };
    let mut parts = data.split(|&byte| byte == MARK);
    let status = parts.next().unwrap_or_default();
    let mut out = Vec::new();
    let Ok(mut reply) = Reply::new(&mut out, terms, status) else {
        return;
    };
    let mut given = Vec::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        match reply.field(name, value) {
            Ok(()) => given.push(name.to_ascii_lowercase()),
            Err(_) => return,
        }
    }
    let known = is(6).then_some(5);
    let (framing, close) = reply.finish(known, 0, is(7).then_some(9));
    let text = out.clone();
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    // The last two: the empty line, and nothing behind it.
    assert_eq!(&lines[lines.len() - 2..], [&b"\r"[..], b""]);
    assert!(
        lines[..lines.len() - 1]
            .iter()
            .all(|line| line.ends_with(b"\r"))
    );
    assert_eq!(
        out.iter().filter(|&&byte| byte == b'\r').count(),
        lines.len() - 1
    );
    let mut lengths = 0;
    for line in &lines[1..lines.len() - 2] {
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        let name = name.to_ascii_lowercase();
        lengths += usize::from(name == b"content-length");
        let ours: [&[u8]; 5] = [
            b"date",
            b"content-length",
            b"transfer-encoding",
            b"connection",
            b"keep-alive",
        ];
        assert!(given.contains(&name) || ours.contains(&name.as_slice()));
    }
    assert!(lengths < 2);
    match framing {
        Framing::Close => assert!(close || terms.head),
        Framing::Length(_) => assert_eq!(lengths, 1),
        Framing::Chunked => assert!(terms.minor == 1 && lengths == 0),
        Framing::None => {}
    }
});
