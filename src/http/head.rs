//! Request heads: where one ends, and what it says.
//!
//! [`Scanner`] looks at each byte once, however many pieces the head comes in, and enforces
//! the limits on the way: a client cannot make us hold more than `Limits::total` bytes, nor
//! parse the same bytes again and again. [`parse`] runs once, on a complete head.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use memchr::memchr;

use super::target;

/// How many header fields a head may have.
pub const MAX_FIELDS: usize = 256;

/// Sizes in bytes, line ends included, beyond which a head is refused.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub request_line: usize,
    pub header_line: usize,
    pub total: usize,
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    RequestLineTooLong,
    HeaderLineTooLong,
    HeadersTooLarge,
    /// Not HTTP, or not unmistakable; the text says what is wrong.
    Malformed(&'static str),
    UnknownVersion,
    /// A transfer coding other than `chunked`.
    UnknownCoding,
}

impl Refusal {
    /// Status code and reason phrase of the answer.
    pub const fn status(self) -> (u16, &'static str) {
        match self {
            Self::RequestLineTooLong => (414, "Request URI Too Long"),
            Self::HeaderLineTooLong => (431, "Header Line Too Long"),
            Self::HeadersTooLarge => (431, "Headers Too Large"),
            Self::Malformed(_) => (400, "Bad Request"),
            Self::UnknownVersion => (505, "HTTP Version Not Supported"),
            Self::UnknownCoding => (501, "Not Implemented"),
        }
    }

    /// What was wrong, for the log.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::RequestLineTooLong => "the request line is longer than url_length_limit",
            Self::HeaderLineTooLong => "a header line is longer than MAX_HEADER_LINE",
            Self::HeadersTooLarge => "the head is larger than MAX_TOTAL_HEADER_SIZE",
            Self::Malformed(text) => text,
            Self::UnknownVersion => "the major version is not 1",
            Self::UnknownCoding => "a Transfer-Encoding other than chunked",
        }
    }
}

/// Finds the end of a head that arrives in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scanner {
    /// Bytes looked at.
    seen: usize,
    /// Where the line begins that `seen` is in.
    line: usize,
    /// Where the header lines begin; 0 before the request line has ended.
    fields: usize,
}

impl Scanner {
    /// Looks at what is new in `data`, which begins where it always began, and returns the
    /// length of the head if it is complete.
    ///
    /// # Errors
    /// A limit is exceeded, or a line does not end with CR LF.
    pub fn advance(&mut self, data: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        while let Some(found) = memchr(b'\n', &data[self.seen..]) {
            let end = self.seen + found;
            if end == self.line || data[end - 1] != b'\r' {
                return Err(Refusal::Malformed("a line ends without CR"));
            }
            let next = end + 1;
            self.check(next, limits)?;
            self.seen = next;
            if end - 1 > self.line {
                if self.fields == 0 {
                    self.fields = next;
                }
            } else if self.fields != 0 {
                return Ok(Some(next));
            } else if next > limits.request_line {
                // Empty lines before a request are skipped, but not for ever.
                return Err(Refusal::RequestLineTooLong);
            }
            self.line = next;
        }
        self.seen = data.len();
        self.check(self.seen, limits)?;
        Ok(None)
    }

    fn check(&self, end: usize, limits: &Limits) -> Result<(), Refusal> {
        if self.fields == 0 {
            if end - self.line > limits.request_line {
                return Err(Refusal::RequestLineTooLong);
            }
        } else if end - self.line > limits.header_line {
            return Err(Refusal::HeaderLineTooLong);
        } else if end - self.fields > limits.total {
            return Err(Refusal::HeadersTooLarge);
        }
        Ok(())
    }
}

/// How the end of a request's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing was said: there is none.
    None,
    Length(u64),
    Chunked,
}

/// What the fields of a head say about framing and the connection.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any combination occurs"
)]
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub body: Body,
    /// `Connection: close`.
    pub close: bool,
    /// `Connection: keep-alive`.
    pub keep_alive: bool,
    /// `Expect: 100-continue`, from a client that understands the answer.
    pub expects: bool,
    /// The framing is legal but suspicious: the connection must not be used again.
    pub doubtful: bool,
    /// There is a Host field.
    pub host: bool,
}

/// What a complete head says.
#[derive(Debug)]
pub struct Head<'a> {
    pub method: &'a str,
    /// Path and query, `*`, or `host:port` of CONNECT.
    pub target: Cow<'a, str>,
    /// The host that an absolute target names: it counts in place of the Host field.
    pub authority: Option<&'a str>,
    /// 0 or 1: the minor version; higher ones are understood as 1 (RFC 9110, 2.5).
    pub minor: u8,
    pub facts: Facts,
    fields: &'a [httparse::Header<'a>],
}

impl<'a> Head<'a> {
    /// All fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let host = self.authority.map(str::as_bytes);
        let missing = host.filter(|_| !self.facts.host).map(|host| ("Host", host));
        let given = self.fields.iter().map(move |field| match host {
            Some(host) if field.name.eq_ignore_ascii_case("host") => (field.name, host),
            _ => (field.name, field.value),
        });
        given.chain(missing)
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len() + usize::from(self.authority.is_some() && !self.facts.host)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Room for the fields of one head.
pub type Fields<'a> = [MaybeUninit<httparse::Header<'a>>; MAX_FIELDS];

/// The head with a minor version that the parser knows.
pub fn with_known_version(head: &[u8]) -> Cow<'_, [u8]> {
    let blank = head.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let start = blank.count();
    if let Some(length) = memchr(b'\r', &head[start..]) {
        let end = start + length;
        if let [
            ..,
            b' ',
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'2'..=b'9',
        ] = head[start..end]
        {
            let mut known = head.to_vec();
            known[end - 1] = b'1';
            return Cow::Owned(known);
        }
    }
    Cow::Borrowed(head)
}

/// Reads a complete head, as [`Scanner`] delimits it and [`with_known_version`] gives it.
///
/// With `strict` unset, Transfer-Encoding and Content-Length may occur together: the former
/// counts, as old clients expect; Host may be missing; and a coding that is not known, or a
/// length beyond all measure, is left to the application. Everything else is refused all the
/// same.
///
/// # Errors
/// The head is malformed, or can be understood in two ways.
pub fn parse<'a>(
    head: &'a [u8],
    fields: &'a mut Fields<'a>,
    strict: bool,
) -> Result<Head<'a>, Refusal> {
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, fields) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(Refusal::Malformed("the head does not end where it should")),
        Err(httparse::Error::Version) => return Err(version_of(head)),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadersTooLarge),
        Err(error) => return Err(Refusal::Malformed(explain(error))),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(Refusal::Malformed("the request line is incomplete"));
    };
    let (target, authority) = target::read(method, target)?;
    let fields = &*request.headers;
    let pairs = fields
        .iter()
        .map(|field| (field.name.as_bytes(), field.value));
    let facts = interpret(pairs, minor, strict)?;
    if strict && minor > 0 && !facts.host {
        return Err(Refusal::Malformed("Host is missing"));
    }
    Ok(Head {
        method,
        target,
        authority,
        minor,
        facts,
        fields,
    })
}

const fn explain(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => {
            "a header name is malformed: no token, followed by a space, or a folded line"
        }
        httparse::Error::HeaderValue => "a header value has control characters",
        httparse::Error::NewLine => "a CR stands alone",
        httparse::Error::Token => "the request line is malformed",
        _ => "the head is malformed",
    }
}

/// Tells a version that we do not speak from something that is no HTTP at all.
fn version_of(head: &[u8]) -> Refusal {
    let mut lines = head.split(|&byte| matches!(byte, b'\r' | b'\n'));
    let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ');
    let version = (words.next(), words.next(), words.next(), words.next());
    if let (Some(_), Some([_, ..]), Some(version), None) = version
        && let Some([major, b'.', minor]) = version.strip_prefix(b"HTTP/")
        && major.is_ascii_digit()
        && minor.is_ascii_digit()
    {
        return Refusal::UnknownVersion;
    }
    Refusal::Malformed("the request line does not end with one space and an HTTP version")
}

/// Reads the fields, as name and value, that decide about framing and the connection.
///
/// # Errors
/// They are malformed, or can be understood in two ways.
pub fn interpret<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    minor: u8,
    strict: bool,
) -> Result<Facts, Refusal> {
    let (mut length, mut chunked, mut unknown) = (None, false, false);
    let mut facts = Facts {
        body: Body::None,
        close: false,
        keep_alive: false,
        expects: false,
        doubtful: false,
        host: false,
    };
    for (name, value) in fields {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if facts.host {
                    return Err(Refusal::Malformed("Host is given twice"));
                }
                if !(value.is_empty() || target::is_host(value)) {
                    return Err(Refusal::Malformed("Host is no name or address"));
                }
                facts.host = true;
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                let expects = value.eq_ignore_ascii_case(b"100-continue");
                // RFC 9110, 10.1.1: one of HTTP/1.0 would take 100 for the response. Whether
                // it sends the body without, and when, nobody can tell.
                facts.expects |= expects && minor > 0;
                facts.doubtful |= expects && minor == 0;
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in value.split(|&byte| byte == b',') {
                    let option = option.trim_ascii();
                    facts.close |= option.eq_ignore_ascii_case(b"close");
                    facts.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if length.is_some() {
                    return Err(Refusal::Malformed("Content-Length is given twice"));
                }
                length = Some(number(value, strict)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if chunked {
                    return Err(Refusal::Malformed("Transfer-Encoding is given twice"));
                }
                if value.eq_ignore_ascii_case(b"chunked") {
                    chunked = true;
                } else if strict {
                    return Err(Refusal::UnknownCoding);
                } else {
                    unknown = true;
                }
            }
            _ => {}
        }
    }
    facts.body = match (chunked, length) {
        (true, Some(_)) if strict => {
            return Err(Refusal::Malformed(
                "Transfer-Encoding and Content-Length are given together",
            ));
        }
        (true, _) => {
            // RFC 9112, 6.1: whoever forwarded this may have understood it differently.
            facts.doubtful |= length.is_some() || minor == 0;
            Body::Chunked
        }
        (false, Some(length)) => Body::Length(length),
        (false, None) => Body::None,
    };
    facts.doubtful |= unknown;
    Ok(facts)
}

/// The largest length that Python is told.
const LARGEST: u64 = i64::MAX as u64;

fn number(value: &[u8], strict: bool) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Malformed("Content-Length is not a number"));
    }
    // Digits are ASCII, so this fails only for sizes that no variable holds.
    let text = std::str::from_utf8(value).unwrap_or_default();
    match text.parse() {
        Ok(number) if number <= LARGEST => Ok(number),
        _ if strict => Err(Refusal::Malformed(
            "Content-Length is larger than any body can be",
        )),
        // The application may have its own answer; nobody sends that much.
        _ => Ok(LARGEST),
    }
}

/// Whether no server may take this header over: its name would be read as another one.
pub fn is_ambiguous(name: &[u8]) -> bool {
    name.contains(&b'_')
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
