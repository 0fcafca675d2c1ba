//! A request head has one reading, however it arrives.
//!
//! The first byte says where the input is cut, the rest is what a client sends.

#![no_main]

use std::mem::MaybeUninit;

use _core::http::head::{Body, Head, Limits, MAX_FIELDS, Scanner, parse, with_known_version};
use _core::http::target::{split_target, unquote};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    request_line: 200,
    header_line: 200,
    total: 2000,
};

/// What is compared of a head.
#[derive(Debug, PartialEq)]
struct Reading {
    method: String,
    target: String,
    minor: u8,
    fields: Vec<(String, Vec<u8>)>,
    body: Body,
    flags: [bool; 4],
}

fn read(data: &[u8], strict: bool) -> Option<Reading> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let data = with_known_version(data);
    let head = parse(&data, &mut fields, strict).ok()?;
    check(&head);
    Some(Reading {
        method: head.method.into(),
        target: head.target.to_string(),
        minor: head.minor,
        fields: head
            .fields()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        body: head.facts.body,
        flags: [
            head.facts.close,
            head.facts.keep_alive,
            head.facts.expects,
            head.facts.doubtful,
        ],
    })
}

/// What must hold of every head that is accepted.
fn check(head: &Head<'_>) {
    let named = |name: &str| {
        head.fields()
            .filter(|(given, _)| given.eq_ignore_ascii_case(name))
            .count()
    };
    assert!(!head.method.is_empty() && !head.target.is_empty() && head.minor < 2);
    assert!(head.target.bytes().all(|byte| byte > b' ' && byte != 127));
    assert_eq!(head.fields().count(), head.len());
    for (name, value) in head.fields() {
        assert!(!name.is_empty());
        assert!(name.bytes().all(|b| b.is_ascii_graphic() && b != b':'));
        assert!(value.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 127)));
    }
    assert!(named("host") < 2 && named("content-length") < 2 && named("transfer-encoding") < 2);
    match head.facts.body {
        Body::None => assert_eq!(named("content-length") + named("transfer-encoding"), 0),
        Body::Length(_) => {
            assert_eq!(
                (named("content-length"), named("transfer-encoding")),
                (1, 0)
            );
        }
        Body::Chunked => {
            assert_eq!(named("transfer-encoding"), 1);
            assert!(head.facts.doubtful || named("content-length") == 0);
        }
    }
    let (path, query) = split_target(&head.target);
    assert_eq!(
        path.len() + query.map_or(0, |q| q.len() + 1),
        head.target.len()
    );
    assert!(unquote(path.as_bytes()).is_none_or(|plain| plain.len() <= path.len()));
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, data)) = data.split_first() else {
        return;
    };
    let whole = Scanner::default().advance(data, &LIMITS);
    let mut scanner = Scanner::default();
    let mut end = 0;
    let in_pieces = loop {
        end = data.len().min(end + 1 + usize::from(cut));
        match scanner.advance(&data[..end], &LIMITS) {
            Ok(None) if end < data.len() => {}
            other => break other,
        }
    };
    // The first mistake that is seen may be another one.
    assert_eq!(whole.map_err(drop), in_pieces.map_err(drop));
    let Ok(Some(length)) = whole else {
        return;
    };
    assert!(length <= LIMITS.total + 2 * LIMITS.request_line);
    for strict in [true, false] {
        let Some(reading) = read(&data[..length], strict) else {
            continue;
        };
        // Written down again in the plainest way, it says the same.
        let mut plain = format!(
            "{} {} HTTP/1.{}\r\n",
            reading.method, reading.target, reading.minor
        )
        .into_bytes();
        for (name, value) in &reading.fields {
            plain.extend_from_slice(name.as_bytes());
            plain.extend_from_slice(b": ");
            plain.extend_from_slice(value);
            plain.extend_from_slice(b"\r\n");
        }
        plain.extend_from_slice(b"\r\n");
        assert_eq!(read(&plain, strict).as_ref(), Some(&reading));
    }
});
