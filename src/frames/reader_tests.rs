use super::{Event, Fault, Limits, Reader, Role};
use crate::frames::{header, mask};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const LIMITS: Limits = Limits {
    frame: 300,
    message: 400,
};

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let head = header::Header {
        fin: first & 0x80 != 0,
        reserved: first >> 4 & 7,
        opcode: first & 15,
        key: Some(KEY),
        length: payload.len() as u64,
    };
    let (bytes, size) = header::write(&head);
    let mut payload = payload.to_vec();
    mask::apply(&mut payload, KEY, 0);
    [&bytes[..size], &payload].concat()
}

fn join(frames: &[(u8, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|(f, p)| frame(*f, p)).collect()
}

/// Reads in pieces of a size; lists the events, and how it ended.
fn read_in(pieces: usize, data: &[u8], compression: bool) -> Vec<String> {
    let mut reader = Reader::new(Role::Server, LIMITS);
    reader.compression = compression;
    let mut found = Vec::new();
    for piece in data.chunks(pieces.max(1)) {
        let mut rest = piece;
        loop {
            match reader.next(&mut rest) {
                Ok(Some(event)) => found.push(match event {
                    Event::Text(text) => {
                        format!("text {}", std::str::from_utf8(text).expect("checked"))
                    }
                    Event::Binary(data) => format!("binary {data:?}"),
                    other => format!("{other:?}"),
                }),
                Ok(None) => {
                    assert!(rest.is_empty());
                    break;
                }
                Err(fault) => {
                    found.push(format!("{fault:?}"));
                    return found;
                }
            }
        }
    }
    found
}

fn read(data: &[u8]) -> Vec<String> {
    let whole = read_in(usize::MAX, data, false);
    for pieces in 1..20 {
        assert_eq!(read_in(pieces, data, false), whole, "in pieces of {pieces}");
    }
    whole
}

fn fault(data: &[u8]) -> Fault {
    let mut reader = Reader::new(Role::Server, LIMITS);
    let mut rest = data;
    loop {
        match reader.next(&mut rest) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no fault in {data:?}"),
            Err(fault) => return fault,
        }
    }
}

#[test]
fn messages_are_the_same_however_they_are_cut() {
    let long = [b'x'; 300];
    let data = join(&[
        (0x81, b"Hello"),
        (0x82, b"\x00\xff"),
        (0x81, b""),
        (0x82, &long),
        (0x81, "a\u{e9}\u{20ac}\u{1f600}".as_bytes()),
        (0x89, b"ping"),
        (0x8a, b""),
        (0x88, b"\x03\xe8bye"),
    ]);
    assert_eq!(
        read(&data),
        [
            "text Hello".to_owned(),
            "binary [0, 255]".to_owned(),
            "text ".to_owned(),
            format!("binary {long:?}"),
            "text a\u{e9}\u{20ac}\u{1f600}".to_owned(),
            format!("{:?}", Event::Ping(b"ping")),
            format!("{:?}", Event::Pong(b"")),
            format!("{:?}", Event::Close(b"\x03\xe8bye")),
        ]
    );
}

#[test]
fn fragments_are_joined_with_control_frames_between_them() {
    let text = "\u{20ac}uro".as_bytes();
    let data = join(&[
        (0x01, &text[..1]),
        (0x89, b"now"),
        (0x00, b""),
        (0x00, &text[1..2]),
        (0x80, &text[2..]),
        (0x81, b"next"),
    ]);
    let ping = format!("{:?}", Event::Ping(b"now"));
    assert_eq!(
        read(&data),
        [ping.as_str(), "text \u{20ac}uro", "text next"]
    );
}

#[test]
fn compressed_messages_come_out_as_they_came() {
    let data = join(&[(0x41, b"ab"), (0x80, b"c"), (0xc2, b"d"), (0x81, b"e")]);
    let expected = [
        format!(
            "{:?}",
            Event::Compressed {
                text: true,
                frames: 2,
                payload: b"abc"
            }
        ),
        format!(
            "{:?}",
            Event::Compressed {
                text: false,
                frames: 1,
                payload: b"d"
            }
        ),
        "text e".to_owned(),
    ];
    for pieces in 1..10 {
        assert_eq!(read_in(pieces, &data, true), expected);
    }
    assert_eq!(
        read_in(99, &join(&[(0xc9, b"")]), true),
        ["ControlCompressed"]
    );
    let second = join(&[(0x41, b"ab"), (0xc0, b"c")]);
    assert_eq!(read_in(99, &second, true), ["Reserved"]);
}

#[test]
fn what_the_protocol_forbids_is_a_fault() {
    assert_eq!(fault(b"\x81\x02hi"), Fault::Unmasked);
    assert_eq!(fault(&frame(0xc1, b"hi")), Fault::Reserved);
    assert_eq!(fault(&frame(0xa1, b"hi")), Fault::Reserved);
    assert_eq!(fault(&frame(0x83, b"hi")), Fault::Opcode);
    assert_eq!(fault(&frame(0x8b, b"hi")), Fault::Opcode);
    assert_eq!(fault(&frame(0x09, b"hi")), Fault::ControlFragmented);
    assert_eq!(fault(&frame(0x89, &[0; 126])), Fault::ControlTooLong);
    assert_eq!(fault(&frame(0x80, b"hi")), Fault::NothingToContinue);
    let data = join(&[(0x01, b"hi"), (0x81, b"hi")]);
    assert_eq!(fault(&data), Fault::NotContinued);
    assert_eq!(fault(b"\x82\xfe\x00\x05"), Fault::LengthForm);
    // Two bytes of a head are enough.
    assert_eq!(fault(b"\x07\xff"), Fault::Opcode);
}

#[test]
fn masked_frames_of_a_server_are_refused() {
    let mut reader = Reader::new(Role::Client, LIMITS);
    let data = frame(0x81, b"hi");
    assert_eq!(reader.next(&mut data.as_slice()), Err(Fault::Masked));
    let mut reader = Reader::new(Role::Client, LIMITS);
    let mut data = &b"\x81\x02hi"[..];
    assert_eq!(reader.next(&mut data), Ok(Some(Event::Text(b"hi"))));
}

#[test]
fn invalid_text_is_refused_at_the_first_byte_that_makes_it_so() {
    assert_eq!(fault(&frame(0x81, b"\xff")), Fault::Utf8);
    assert_eq!(fault(&frame(0x81, b"ab\xe2\x82")), Fault::Utf8);
    // A surrogate, and one byte beyond the last code point.
    assert_eq!(fault(&frame(0x81, b"\xed\xa0\x80")), Fault::Utf8);
    assert_eq!(fault(&frame(0x81, b"\xf4\x90\x80\x80")), Fault::Utf8);
    // The rest of the frame, and of the message, has not arrived.
    let data = frame(0x81, b"ok\xff and more");
    assert_eq!(fault(&data[..9]), Fault::Utf8);
    assert_eq!(fault(&frame(0x01, b"\xc0")), Fault::Utf8);
}

#[test]
fn limits_hold_when_a_length_is_announced() {
    let head = &frame(0x82, &[0; 301])[..8];
    let (length, limit) = (301, 300);
    assert_eq!(fault(head), Fault::FrameTooLong { length, limit });
    let data = join(&[(0x02, &[0; 300]), (0x80, &[0; 101])]);
    assert_eq!(fault(&data), Fault::MessageTooLong { limit: 400 });
    assert_eq!(
        read(&join(&[(0x02, &[0; 300]), (0x80, &[0; 100])])).len(),
        1
    );
}

#[test]
fn the_limit_of_a_message_is_never_below_that_of_a_frame() {
    let limits = Limits {
        frame: 50,
        message: 10,
    };
    let mut reader = Reader::new(Role::Server, limits);
    let data = frame(0x82, &[0; 50]);
    assert!(matches!(reader.next(&mut data.as_slice()), Ok(Some(_))));
}

#[test]
fn nothing_is_heard_after_a_close_frame() {
    let data = join(&[(0x88, b""), (0x81, b"late"), (0x83, b"")]);
    assert_eq!(read(&data), [format!("{:?}", Event::Close(b""))]);
}

#[test]
fn a_large_message_gives_its_memory_back() {
    let limits = Limits {
        frame: 1 << 20,
        message: 1 << 20,
    };
    let mut reader = Reader::new(Role::Server, limits);
    let data = frame(0x82, &vec![0; 1 << 20]);
    assert!(matches!(reader.next(&mut data.as_slice()), Ok(Some(_))));
    assert_eq!(reader.next(&mut &b""[..]), Ok(None));
    assert!(reader.message.capacity() <= super::KEPT);
}

#[test]
fn an_announced_length_takes_no_memory() {
    let limits = Limits {
        frame: u64::MAX,
        message: u64::MAX,
    };
    let mut reader = Reader::new(Role::Server, limits);
    let data = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff....";
    assert_eq!(reader.next(&mut &data[..]), Ok(None));
    assert_eq!(reader.missing(), u64::MAX >> 1);
    assert_eq!(reader.message.capacity(), 0);
}
