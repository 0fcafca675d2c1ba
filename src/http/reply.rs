//! Response heads, and how the end of a response's body is told.
//!
//! One decision for all responses: [`Reply::finish`] knows the request, the application's
//! headers and the body's size if that is known, and chooses among Content-Length, chunks and
//! closing the connection. What an application says cannot break out of its header: see
//! [`Fault`].

use std::ops::Range;

use super::date;

/// What is asked of a response beyond what the application says.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any combination occurs"
)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Minor version that client and server have in common.
    pub minor: u8,
    /// The server's own version is HTTP/1.0.
    pub old_server: bool,
    /// The method is HEAD: no body, whatever the headers say.
    pub head: bool,
    /// The connection is not used again.
    pub close: bool,
    /// The client asked for `Connection: keep-alive`.
    pub keep_alive: bool,
    /// Write header names as `Content-Type`, however they are given.
    pub capitalize: bool,
    /// The method is CONNECT: behind a success comes no body but the tunnel.
    pub tunnel: bool,
}

/// How the end of the response's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none, and nothing must be sent as one.
    None,
    Length(u64),
    Chunked,
    /// By the end of the connection.
    Close,
}

/// What an application may not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Status,
    Interim,
    Name,
    Value,
    Length,
}

impl Fault {
    /// The message of the exception.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Status => {
                "the status must be three digits and a reason, like '200 OK', without control \
                 characters"
            }
            Self::Interim => {
                "a status of 1xx other than 101 is no final response: the next one would be taken \
                 for it"
            }
            Self::Name => {
                "a response header's name is empty or has a space, a colon or a control character"
            }
            Self::Value => {
                "a response header's value has a line end or NUL: a client could be told other \
                 headers than yours, so check what you put into it"
            }
            Self::Length => "Content-Length must be one decimal number",
        }
    }
}

/// A response head in the making.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any combination occurs"
)]
#[derive(Debug)]
pub struct Reply<'o> {
    out: &'o mut Vec<u8>,
    terms: Terms,
    code: u16,
    length: Option<u64>,
    /// Where the application's Content-Length stands.
    length_line: Range<usize>,
    dated: bool,
    /// The application sets Connection itself.
    connection: bool,
    /// Where it promises to keep the connection, which is not its to promise.
    promise: Option<Range<usize>>,
    /// The application frames the body itself.
    encoded: bool,
    close: bool,
}

impl<'o> Reply<'o> {
    /// Begins the head of a response with `status`, as `200 OK`.
    ///
    /// # Errors
    /// [`Fault::Status`], [`Fault::Interim`].
    pub fn new(out: &'o mut Vec<u8>, terms: Terms, status: &[u8]) -> Result<Self, Fault> {
        let code = match status {
            [a, b, c, rest @ ..]
                if a.is_ascii_digit()
                    && b.is_ascii_digit()
                    && c.is_ascii_digit()
                    && matches!(rest, [] | [b' ', ..]) =>
            {
                u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
            }
            _ => return Err(Fault::Status),
        };
        if code < 100 || status.iter().any(u8::is_ascii_control) {
            return Err(Fault::Status);
        }
        if code < 200 && code != 101 {
            return Err(Fault::Interim);
        }
        out.extend_from_slice(if terms.old_server {
            b"HTTP/1.0 "
        } else {
            b"HTTP/1.1 "
        });
        out.extend_from_slice(status);
        out.extend_from_slice(b"\r\n");
        Ok(Self {
            out,
            terms,
            code,
            length: None,
            length_line: 0..0,
            dated: false,
            connection: false,
            promise: None,
            encoded: false,
            close: terms.close,
        })
    }

    /// Whether a response of this kind has no body and must not announce one.
    const fn bare(&self) -> bool {
        self.code < 200 || self.code == 204 || (self.terms.tunnel && self.code < 300)
    }

    /// Adds a header of the application.
    ///
    /// # Errors
    /// Any [`Fault`] but that of the status.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let odd = |byte: &u8| byte.is_ascii_control() || matches!(byte, b' ' | b':');
        if name.is_empty() || name.iter().any(odd) {
            return Err(Fault::Name);
        }
        if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Fault::Value);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"date") => self.dated = true,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.connection = true;
                self.close |= value
                    .split(|&byte| byte == b',')
                    .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let digits = value.trim_ascii();
                let number = std::str::from_utf8(digits)
                    .ok()
                    .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                    .and_then(|text| text.parse().ok())
                    .ok_or(Fault::Length)?;
                if self.length.is_some_and(|former| former != number) {
                    return Err(Fault::Length);
                }
                // Of a 204 upstream's clients have come to expect that it says 0.
                let odd = self.bare() && !(self.code == 204 && number == 0);
                if odd || self.length.replace(number).is_some() {
                    return Ok(());
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.bare() {
                    return Ok(());
                }
                self.encoded = true;
            }
            _ => {}
        }
        let start = self.out.len();
        self.out.extend_from_slice(name);
        if self.terms.capitalize {
            capitalize(&mut self.out[start..]);
        }
        self.out.extend_from_slice(b": ");
        if name.len() == 10
            && name.eq_ignore_ascii_case(b"connection")
            && value.trim_ascii().eq_ignore_ascii_case(b"keep-alive")
        {
            self.promise = Some(self.out.len()..self.out.len() + value.len());
        }
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
        if name.len() == 14 && name.eq_ignore_ascii_case(b"content-length") {
            self.length_line = start..self.out.len();
        }
        Ok(())
    }

    /// Completes the head.
    ///
    /// # Arguments
    /// `known` is the body's size, where the application has not said it and the server
    /// knows; `now` the time in seconds since 1970; `patience` how many seconds an idle
    /// connection is kept, where that is limited.
    ///
    /// Returns how the body is framed, and whether the connection ends with it.
    pub fn finish(self, known: Option<u64>, now: u64, patience: Option<u64>) -> (Framing, bool) {
        let bare = self.bare();
        let Self {
            out,
            terms,
            mut close,
            mut promise,
            ..
        } = self;
        if !self.dated {
            out.extend_from_slice(b"Date: ");
            out.extend_from_slice(&date::format(now));
            out.extend_from_slice(b"\r\n");
        }
        let framing = if self.code == 101 || (bare && terms.tunnel) {
            // What follows is another protocol's.
            close = true;
            Framing::Close
        } else if bare || self.code == 304 {
            Framing::None
        } else if self.encoded {
            // Ours would come on top; the application's own stands as it is, alone.
            let line = self.length_line;
            if let Some(promise) = &mut promise
                && promise.start >= line.end
            {
                *promise = promise.start - line.len()..promise.end - line.len();
            }
            out.drain(line);
            close = true;
            Framing::Close
        } else if let Some(length) = self.length {
            Framing::Length(length)
        } else if let Some(length) = known {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(length.to_string().as_bytes());
            out.extend_from_slice(b"\r\n");
            Framing::Length(length)
        } else if terms.minor > 0 {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            Framing::Chunked
        } else {
            close |= !terms.head;
            Framing::Close
        };
        if terms.minor == 0 && !terms.keep_alive {
            close = true;
        }
        if let (true, Some(promise)) = (close, promise) {
            out.splice(promise, *b"close");
        }
        if !self.connection {
            if close {
                out.extend_from_slice(b"Connection: close\r\n");
            } else if terms.keep_alive {
                if let Some(seconds) = patience {
                    out.extend_from_slice(b"Keep-Alive: timeout=");
                    out.extend_from_slice(seconds.to_string().as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(b"Connection: keep-alive\r\n");
            }
        }
        out.extend_from_slice(b"\r\n");
        (if terms.head { Framing::None } else { framing }, close)
    }
}

/// Writes a name's first letter and each after a hyphen large, the others small.
pub fn capitalize(name: &mut [u8]) {
    let mut first = true;
    for byte in name {
        if first {
            byte.make_ascii_uppercase();
        } else {
            byte.make_ascii_lowercase();
        }
        first = *byte == b'-';
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
