use std::mem::MaybeUninit;

use super::{
    Body, Head, Limits, MAX_FIELDS, Refusal, Scanner, interpret, parse, with_known_version,
};

const LIMITS: Limits = Limits {
    request_line: 64,
    header_line: 64,
    total: 256,
};

fn scan(data: &[u8]) -> Result<Option<usize>, Refusal> {
    Scanner::default().advance(data, &LIMITS)
}

fn with<T>(head: &[u8], strict: bool, look: impl FnOnce(Result<Head<'_>, Refusal>) -> T) -> T {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    look(parse(&with_known_version(head), &mut fields, strict))
}

fn body(fields: &str) -> Result<Body, Refusal> {
    let host = if fields.contains("ost: ") {
        ""
    } else {
        "Host: a\r\n"
    };
    let head = format!("POST / HTTP/1.1\r\n{fields}{host}\r\n");
    with(head.as_bytes(), true, |head| {
        head.map(|head| head.facts.body)
    })
}

fn malformed(result: Result<Body, Refusal>) -> bool {
    matches!(result, Err(Refusal::Malformed(_)))
}

#[test]
fn a_head_ends_at_the_same_byte_however_it_is_cut() {
    let data = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nBODY\r\n\r\n";
    let whole = scan(data);
    assert_eq!(whole, Ok(Some(data.len() - 8)));
    for cut in 0..data.len() {
        let mut scanner = Scanner::default();
        let first = scanner.advance(&data[..cut], &LIMITS);
        let result = match first {
            Ok(None) => scanner.advance(data, &LIMITS),
            other => other,
        };
        assert_eq!(result, whole, "cut at {cut}");
    }
}

#[test]
fn limits_hold_before_a_line_is_complete() {
    let long = "a".repeat(70);
    assert_eq!(scan(long.as_bytes()), Err(Refusal::RequestLineTooLong));
    let field = format!("GET / HTTP/1.1\r\nA: {long}");
    assert_eq!(scan(field.as_bytes()), Err(Refusal::HeaderLineTooLong));
    let many = format!("GET / HTTP/1.1\r\n{}", "Name: value\r\n".repeat(20));
    assert_eq!(scan(many.as_bytes()), Err(Refusal::HeadersTooLarge));
    let empty = "\r\n".repeat(40);
    assert_eq!(scan(empty.as_bytes()), Err(Refusal::RequestLineTooLong));
}

#[test]
fn a_bare_line_feed_ends_no_line() {
    for data in [
        &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"\nGET / HTTP/1.1\r\n\r\n",
    ] {
        assert!(matches!(scan(data), Err(Refusal::Malformed(_))));
    }
}

#[test]
fn a_plain_head_is_understood() {
    with(
        b"\r\nPUT /a?b HTTP/1.1\r\nHost:  a \r\nExpect: 100-Continue\r\nConnection: x, Keep-Alive\r\nContent-Length: 12\r\n\r\n",
        true,
        |head| {
            let head = head.expect("legal");
            assert_eq!((head.method, &*head.target, head.minor), ("PUT", "/a?b", 1));
            let facts = head.facts;
            assert_eq!(facts.body, Body::Length(12));
            assert!(facts.expects && facts.keep_alive && !facts.close && !facts.doubtful);
            assert_eq!(head.fields().next(), Some(("Host", &b"a"[..])));
        },
    );
}

#[test]
fn the_end_of_a_body_is_told_in_one_way_only() {
    assert_eq!(body(""), Ok(Body::None));
    assert_eq!(body("Content-Length: 0\r\n"), Ok(Body::Length(0)));
    assert_eq!(body("Transfer-Encoding: Chunked\r\n"), Ok(Body::Chunked));
    for fields in [
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\ncontent-length: 4\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length: 1_0\r\n",
        "Content-Length:\r\n",
        "Content-Length: \r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert!(malformed(body(fields)), "{fields:?}");
    }
    for coding in [
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "chunked;a",
        "xchunked",
        "",
        "\u{b}chunked",
    ] {
        assert!(
            body(&format!("Transfer-Encoding: {coding}\r\n")).is_err(),
            "{coding:?}"
        );
    }
}

#[test]
fn header_lines_have_one_reading() {
    for fields in [
        "Host: a\r\n b\r\n",                // folded
        " Host: a\r\n",                     // folded into the request line
        "Content-Length : 3\r\n",           // space before the colon
        "Transfer-Encoding\t: chunked\r\n", // the same with a tab
        "Host a\r\n",                       // no colon
        ": a\r\n",                          // no name
        "A\u{e9}: b\r\n",                   // no token
        "A: b\0c\r\n",                      // NUL
        "A: b\u{7f}c\r\n",                  // control character
        "A: b\rc\r\n",                      // CR alone
        "Host: a\r\nhost: b\r\n",           // two hosts
    ] {
        assert!(malformed(body(fields)), "{fields:?}");
    }
}

#[test]
fn request_lines_have_one_reading() {
    let line = |line: &str| {
        with(
            format!("{line}\r\nHost: a\r\n\r\n").as_bytes(),
            true,
            |head| head.map(|head| head.minor),
        )
    };
    assert_eq!(line("GET / HTTP/1.0"), Ok(0));
    assert_eq!(line("GET / HTTP/1.1"), Ok(1));
    assert_eq!(line("GET / HTTP/2.0"), Err(Refusal::UnknownVersion));
    assert_eq!(line("GET / HTTP/1.2"), Ok(1));
    assert_eq!(line("GET / HTTP/1.9"), Ok(1));
    for text in [
        "GET /",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/11",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET /HTTP/1.2",
        "GET /\0 HTTP/1.1",
        "GET /a b HTTP/1.1",
        "G@T / HTTP/1.1",
        "/ HTTP/1.1",
    ] {
        assert!(
            matches!(line(text), Err(Refusal::Malformed(_))),
            "{text:?}: {:?}",
            line(text)
        );
    }
}

#[test]
fn framing_that_others_may_read_differently_ends_the_connection() {
    let both = b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n";
    with(both, false, |head| {
        let head = head.expect("allowed when not strict");
        assert_eq!(head.facts.body, Body::Chunked);
        assert!(head.facts.doubtful);
    });
    for length in ["9223372036854775808", "99999999999999999999999"] {
        for (coding, expected) in [
            ("", Body::Length(i64::MAX as u64)),
            ("Transfer-Encoding: chunked\r\n", Body::Chunked),
        ] {
            let head = format!("GET / HTTP/1.1\r\n{coding}Content-Length: {length}\r\n\r\n");
            with(head.as_bytes(), false, |head| {
                assert_eq!(head.expect("left to the application").facts.body, expected);
            });
        }
    }
    for length in ["", "+3", "-3", "0x3", "3 3", "1_0", "3, 3"] {
        let head = format!("GET / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
        with(head.as_bytes(), false, |head| {
            assert!(head.is_err(), "{length:?}");
        });
    }
    let old = b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    with(old, true, |head| {
        assert!(head.expect("legal").facts.doubtful);
    });
}

#[test]
fn a_host_is_there_once_and_is_one() {
    let host = |fields: &str, strict| {
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        with(head.as_bytes(), strict, |head| head.is_ok())
    };
    assert!(host("Host: a:80\r\n", true) && host("Host:\r\n", true));
    assert!(!host("", true) && host("", false));
    for fields in ["Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host: a,b\r\n"] {
        assert!(!host(fields, true) && !host(fields, false), "{fields:?}");
    }
    with(b"GET / HTTP/1.0\r\n\r\n", true, |head| {
        assert!(head.is_ok_and(|head| head.is_empty()));
    });
}

#[test]
fn an_absolute_target_names_the_host() {
    let given = b"GET http://b/x HTTP/1.1\r\nA: 1\r\nhost: a\r\n\r\n";
    with(given, true, |head| {
        let head = head.expect("legal");
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [("A", &b"1"[..]), ("host", &b"b"[..])]);
        assert_eq!((&*head.target, head.len()), ("/x", 2));
    });
    with(b"GET http://b HTTP/1.0\r\n\r\n", true, |head| {
        let head = head.expect("legal");
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [("Host", &b"b"[..])]);
        assert_eq!((&*head.target, head.len()), ("/", 1));
    });
}

#[test]
fn an_old_client_is_not_told_to_continue() {
    let fields = [(&b"Expect"[..], &b"100-continue"[..])];
    let expects = |minor| interpret(fields.into_iter(), minor, true).map(|facts| facts.expects);
    assert_eq!((expects(0), expects(1)), (Ok(false), Ok(true)));
}
