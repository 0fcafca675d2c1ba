use super::{Fault, Framing, Reply, Terms, capitalize};

const NEW: Terms = Terms {
    minor: 1,
    old_server: false,
    head: false,
    close: false,
    keep_alive: false,
    capitalize: true,
    tunnel: false,
};

fn make(
    terms: Terms,
    status: &str,
    fields: &[(&str, &str)],
    known: Option<u64>,
) -> Result<(String, Framing, bool), Fault> {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, terms, status.as_bytes())?;
    for (name, value) in fields {
        reply.field(name.as_bytes(), value.as_bytes())?;
    }
    let (framing, close) = reply.finish(known, 0, Some(7));
    let text = String::from_utf8(out).expect("ASCII");
    let text = text.replace("Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", "");
    Ok((text, framing, close))
}

#[test]
fn a_known_size_is_announced_once() {
    let fields = [("content-length", "3"), ("x-a", "b")];
    assert_eq!(
        make(NEW, "200 OK", &fields, Some(9)),
        Ok((
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\n\r\n".into(),
            Framing::Length(3),
            false
        ))
    );
    assert_eq!(
        make(NEW, "200 OK", &[], Some(9)),
        Ok((
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".into(),
            Framing::Length(9),
            false
        ))
    );
}

#[test]
fn an_unknown_size_is_chunked_or_ends_the_connection() {
    assert_eq!(
        make(NEW, "200 OK", &[], None),
        Ok((
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            Framing::Chunked,
            false
        ))
    );
    let old = Terms {
        minor: 0,
        keep_alive: true,
        ..NEW
    };
    assert_eq!(
        make(old, "200 OK", &[], None),
        Ok((
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".into(),
            Framing::Close,
            true
        ))
    );
}

#[test]
fn responses_without_body_announce_none() {
    let fields = [("Content-Length", "3"), ("Transfer-Encoding", "chunked")];
    let (text, framing, close) = make(NEW, "204 No Content", &fields, Some(3)).expect("legal");
    assert_eq!(text, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!((framing, close), (Framing::None, false));
    let fields = [("Content-Length", "0")];
    let (text, framing, _) = make(NEW, "204 No Content", &fields, Some(0)).expect("legal");
    assert_eq!(text, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(framing, Framing::None);
    let (text, framing, _) = make(NEW, "304 Not Modified", &[], Some(3)).expect("legal");
    assert_eq!(text, "HTTP/1.1 304 Not Modified\r\n\r\n");
    assert_eq!(framing, Framing::None);
}

#[test]
fn a_response_to_head_announces_what_it_does_not_send() {
    let head = Terms { head: true, ..NEW };
    let (text, framing, close) = make(head, "200 OK", &[], Some(3)).expect("legal");
    assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    assert_eq!((framing, close), (Framing::None, false));
}

#[test]
fn the_connection_header_says_what_happens() {
    let close = Terms { close: true, ..NEW };
    let keep = Terms {
        keep_alive: true,
        ..NEW
    };
    let old = Terms { minor: 0, ..NEW };
    for (terms, fields, expected, closes) in [
        (close, &[][..], "Connection: close\r\n", true),
        (old, &[], "Connection: close\r\n", true),
        (
            keep,
            &[],
            "Keep-Alive: timeout=7\r\nConnection: keep-alive\r\n",
            false,
        ),
        (NEW, &[], "", false),
        (
            keep,
            &[("connection", "x, Close")],
            "Connection: x, Close\r\n",
            true,
        ),
    ] {
        let mut fields = fields.to_vec();
        fields.insert(0, ("Content-Length", "0"));
        let (text, _, close) = make(terms, "200 OK", &fields, None).expect("legal");
        assert_eq!(
            text,
            format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{expected}\r\n")
        );
        assert_eq!(close, closes);
    }
}

#[test]
fn nothing_breaks_out_of_its_header() {
    for (status, name, value, fault) in [
        ("200 OK\r\nSet-Cookie: a=b", "a", "b", Fault::Status),
        ("OK", "a", "b", Fault::Status),
        ("099 Low", "a", "b", Fault::Status),
        ("2000 OK", "a", "b", Fault::Status),
        ("100 Continue", "a", "b", Fault::Interim),
        ("103 Early Hints", "a", "b", Fault::Interim),
        ("200 OK", "a: b\r\nc", "d", Fault::Name),
        ("200 OK", "", "d", Fault::Name),
        ("200 OK", "a", "b\nc: d", Fault::Value),
        ("200 OK", "a", "b\rc", Fault::Value),
        ("200 OK", "a", "b\0c", Fault::Value),
        ("200 OK", "content-length", "+1", Fault::Length),
        ("200 OK", "content-length", "", Fault::Length),
    ] {
        assert_eq!(make(NEW, status, &[(name, value)], None), Err(fault));
    }
    let fields = [("Content-Length", "1"), ("content-length", "2")];
    assert_eq!(make(NEW, "200 OK", &fields, None), Err(Fault::Length));
}

#[test]
fn names_are_capitalized_by_parts() {
    let mut name = *b"sOMe-wEIRD-1x";
    capitalize(&mut name);
    assert_eq!(&name, b"Some-Weird-1x");
}

#[test]
fn a_promise_to_keep_a_connection_that_ends_is_not_passed_on() {
    let fields = [("Connection", "Keep-Alive"), ("A", "b")];
    let head = |terms, known| make(terms, "200 OK", &fields, known).map(|made| made.0);
    assert_eq!(
        head(NEW, Some(1)),
        Ok("HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nA: b\r\nContent-Length: 1\r\n\r\n".into())
    );
    let ending =
        Ok("HTTP/1.1 200 OK\r\nConnection: close\r\nA: b\r\nContent-Length: 1\r\n\r\n".to_string());
    assert_eq!(head(Terms { close: true, ..NEW }, Some(1)), ending);
    assert_eq!(head(Terms { minor: 0, ..NEW }, Some(1)), ending);
}

#[test]
fn what_is_no_http_any_more_ends_the_connection() {
    let fields = [
        ("Upgrade", "x"),
        ("Connection", "Upgrade"),
        ("Content-Length", "3"),
    ];
    let (text, framing, close) = make(NEW, "101 Switching", &fields, Some(3)).expect("legal");
    assert_eq!(
        text,
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
    );
    assert_eq!((framing, close), (Framing::Close, true));
    let tunnel = Terms {
        tunnel: true,
        ..NEW
    };
    let (text, framing, close) = make(tunnel, "200 OK", &[], None).expect("legal");
    assert_eq!(text, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    assert_eq!((framing, close), (Framing::Close, true));
    let (text, framing, _) = make(tunnel, "403 No", &[], Some(2)).expect("legal");
    assert_eq!(text, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(framing, Framing::Length(2));
}

#[test]
fn a_body_is_never_framed_twice() {
    let coding = ("Transfer-Encoding", "chunked");
    let length = ("Content-Length", "3");
    let keep = ("Connection", "keep-alive");
    for fields in [
        [coding, length, keep],
        [length, keep, coding],
        [keep, length, coding],
    ] {
        let (text, framing, close) = make(NEW, "200 OK", &fields, Some(5)).expect("legal");
        assert!(
            !text.contains("Length") && text.contains("Connection: close\r\n"),
            "{text}"
        );
        assert!(text.contains("Transfer-Encoding: chunked\r\n"));
        assert_eq!((framing, close), (Framing::Close, true));
    }
}
