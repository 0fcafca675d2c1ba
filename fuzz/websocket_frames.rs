//! A stream of WebSocket frames has one reading, however it arrives, within its limits.
//!
//! The first byte says where the input is cut, the second whose side reads it, whether
//! compression was agreed on, and whether the frames are made well-formed: random bytes
//! seldom are, and would end at the first head.

#![no_main]

use _core::frames::header::{self, Header};
use _core::frames::{Event, Fault, Limits, Reader, Role, mask};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    frame: 500,
    message: 900,
};

/// What is compared of an event.
#[derive(Debug, PartialEq)]
struct Seen {
    kind: u8,
    frames: u64,
    payload: Vec<u8>,
}

fn seen(event: &Event<'_>) -> Seen {
    let (kind, frames, payload) = match *event {
        Event::Text(text) => {
            assert!(std::str::from_utf8(text).is_ok());
            (1, 0, text)
        }
        Event::Binary(data) => (2, 0, data),
        Event::Compressed {
            text,
            frames,
            payload,
        } => (if text { 0x41 } else { 0x42 }, frames, payload),
        Event::Ping(data) => (9, 0, data),
        Event::Pong(data) => (10, 0, data),
        Event::Close(data) => (8, 0, data),
    };
    let limit = if kind & 8 == 0 { LIMITS.message } else { 125 };
    assert!(payload.len() as u64 <= limit);
    Seen {
        kind,
        frames,
        payload: payload.into(),
    }
}

/// Reads in pieces of a size; returns the events and how it ended.
fn read(data: &[u8], size: usize, role: Role, compression: bool) -> (Vec<Seen>, Option<Fault>) {
    let mut reader = Reader::new(role, LIMITS);
    reader.compression = compression;
    let mut found = Vec::new();
    for piece in data.chunks(size) {
        let mut rest = piece;
        loop {
            match reader.next(&mut rest) {
                Ok(Some(event)) => found.push(seen(&event)),
                Ok(None) => break,
                Err(fault) => {
                    assert!(!fault.to_string().is_empty() && fault.to_string().len() <= 123);
                    return (found, Some(fault));
                }
            }
        }
        assert!(rest.is_empty());
        assert!(reader.missing() <= LIMITS.frame);
    }
    (found, None)
}

/// Makes frames of bytes: one for the head, two for the length, then the payload.
fn well_formed(mut data: &[u8], role: Role) -> Vec<u8> {
    let mut out = Vec::new();
    while let [first, high, low, rest @ ..] = data {
        let length = usize::from(u16::from_be_bytes([high & 1, *low])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        let key = (role == Role::Server).then_some([*first, *high, *low, 7]);
        let (head, size) = header::write(&Header {
            fin: first & 0x80 != 0,
            reserved: first >> 4 & 4,
            opcode: first & 15,
            key,
            length: length as u64,
        });
        out.extend_from_slice(&head[..size]);
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = key {
            mask::apply(&mut out[start..], key, 0);
        }
        data = rest;
    }
    out
}

fuzz_target!(|data: &[u8]| {
    let &[cut, options, ref data @ ..] = data else {
        return;
    };
    let role = if options & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let made;
    let data = if options & 4 == 0 {
        made = well_formed(data, role);
        &made
    } else {
        data
    };
    let whole = read(data, data.len().max(1), role, options & 2 != 0);
    let pieces = read(data, 1 + usize::from(cut), role, options & 2 != 0);
    assert_eq!(whole, pieces);
});
