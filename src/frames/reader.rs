//! From bytes to messages.

use super::{header, mask, opcode};

/// Which side of the connection the reader is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads what a client sends: masked.
    Server,
    /// Reads what a server sends.
    Client,
}

/// How many bytes a peer can make us hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of one frame.
    pub frame: u64,
    /// Of a message of several frames.
    pub message: u64,
}

/// What has arrived; the payload is the reader's until the next call.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message that is known to be valid UTF-8.
    Text(&'a [u8]),
    Binary(&'a [u8]),
    /// A compressed message, as it came. `frames` says how many it came in.
    Compressed {
        text: bool,
        frames: u64,
        payload: &'a [u8],
    },
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    /// The payload of a close frame, which the caller has to judge.
    Close(&'a [u8]),
}

/// Why the connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Unmasked,
    Masked,
    Reserved,
    Opcode,
    ControlFragmented,
    ControlTooLong,
    ControlCompressed,
    NothingToContinue,
    NotContinued,
    LengthForm,
    Utf8,
    /// So many frames of the message were empty.
    EmptyFrames,
    FrameTooLong {
        length: u64,
        limit: u64,
    },
    MessageTooLong {
        limit: u64,
    },
}

impl Fault {
    /// The status code that a close frame gives for it.
    pub const fn code(self) -> u16 {
        match self {
            Self::Utf8 => 1007,
            Self::EmptyFrames => 1008,
            Self::FrameTooLong { .. } | Self::MessageTooLong { .. } => 1009,
            _ => 1002,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Unmasked => "A client's frame is not masked.",
            Self::Masked => "A server's frame is masked.",
            Self::Reserved => "A reserved bit is set that no extension has defined.",
            Self::Opcode => "The opcode is unknown.",
            Self::ControlFragmented => "A control frame is fragmented.",
            Self::ControlTooLong => "A control frame is longer than 125 bytes.",
            Self::ControlCompressed => "A control frame is marked as compressed.",
            Self::NothingToContinue => "A continuation has nothing to continue.",
            Self::NotContinued => "A new message began before the last one ended.",
            Self::LengthForm => "A frame's length is not in its shortest form.",
            Self::Utf8 => "A text message is not valid UTF-8.",
            Self::EmptyFrames => "A message has too many empty frames.",
            Self::FrameTooLong { length, limit } => {
                return write!(
                    out,
                    "Incoming frame of {length} bytes is above length limit of {limit} bytes."
                );
            }
            Self::MessageTooLong { limit } => {
                return write!(
                    out,
                    "Incoming message is above length limit of {limit} bytes."
                );
            }
        })
    }
}

/// A frame whose payload is still to come.
#[derive(Clone, Copy, Debug)]
struct Open {
    opcode: u8,
    fin: bool,
    key: Option<[u8; 4]>,
    /// How much of the payload has come, and how much there is.
    have: u64,
    length: u64,
}

/// A message that has begun.
#[derive(Clone, Copy, Debug)]
struct Begun {
    text: bool,
    compressed: bool,
    frames: u64,
    empty: u32,
    /// Up to where the text is known to be valid.
    valid: usize,
}

/// Reads one direction of a connection.
///
/// [`next`](Self::next) is called with what has arrived until it takes all of it and returns
/// nothing. After a [`Fault`] it must not be called again, and after a close frame there is
/// nothing that it could say.
#[derive(Debug)]
pub struct Reader {
    role: Role,
    pub limits: Limits,
    /// Whether a message may be marked as compressed.
    pub compression: bool,
    /// The beginning of a head that came in pieces.
    head: [u8; header::MAX_LENGTH],
    head_size: usize,
    open: Option<Open>,
    begun: Option<Begun>,
    message: Vec<u8>,
    control: Vec<u8>,
    /// The last event's payload is still in `message`, or in `control`.
    spent: bool,
    closed: bool,
}

/// Frames of a message that may be empty: no limit of length ends a message of nothing else.
const EMPTY_FRAMES: u32 = 1024;

/// A message buffer is kept for the next message up to this many bytes.
const KEPT: usize = 16 * 1024;

impl Reader {
    pub const fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            limits,
            compression: false,
            head: [0; header::MAX_LENGTH],
            head_size: 0,
            open: None,
            begun: None,
            message: Vec::new(),
            control: Vec::new(),
            spent: false,
            closed: false,
        }
    }

    /// How many bytes the frame that has begun still needs.
    pub fn missing(&self) -> u64 {
        self.open.map_or(0, |open| open.length - open.have)
    }

    /// Takes bytes from the front of `data` until there is an event.
    ///
    /// Nothing is left of `data` where `None` is returned.
    pub fn next<'a>(&'a mut self, data: &mut &[u8]) -> Result<Option<Event<'a>>, Fault> {
        if self.spent {
            self.spent = false;
            self.message.clear();
            // A large message must not hold its memory for as long as the connection lives.
            self.message.shrink_to(KEPT);
        }
        loop {
            if self.closed {
                *data = &[];
                return Ok(None);
            }
            if self.open.is_none() && !self.begin_frame(data)? {
                return Ok(None);
            }
            let Some(open) = self.take_payload(data)? else {
                return Ok(None);
            };
            if open.opcode >= opcode::CLOSE {
                self.closed = open.opcode == opcode::CLOSE;
                return Ok(Some(match open.opcode {
                    opcode::PING => Event::Ping(&self.control),
                    opcode::PONG => Event::Pong(&self.control),
                    _ => Event::Close(&self.control),
                }));
            }
            if open.fin {
                return self.finish().map(Some);
            }
        }
    }

    /// Reads a head; false if there is more of it to come.
    fn begin_frame(&mut self, data: &mut &[u8]) -> Result<bool, Fault> {
        let before = self.head_size;
        // In one piece, as nearly all are, it is read where it lies.
        let source = if before == 0 {
            *data
        } else {
            let more = data.len().min(header::MAX_LENGTH - before);
            self.head[before..before + more].copy_from_slice(&data[..more]);
            &self.head[..before + more]
        };
        if let &[first, second, ..] = source {
            self.check_start(first, second)?;
        }
        let Some((header, size)) = header::parse(source).map_err(|_| Fault::LengthForm)? else {
            let size = source.len();
            if before == 0 {
                self.head[..size].copy_from_slice(data);
            }
            self.head_size = size;
            *data = &[];
            return Ok(false);
        };
        *data = &data[size - before..];
        self.head_size = 0;
        self.admit(header)?;
        Ok(true)
    }

    /// Judges the first two bytes of a head, as soon as they are there.
    fn check_start(&self, first: u8, second: u8) -> Result<(), Fault> {
        match (self.role, second & 0x80 != 0) {
            (Role::Server, false) => return Err(Fault::Unmasked),
            (Role::Client, true) => return Err(Fault::Masked),
            _ => {}
        }
        let compressed = first & 0x70 == 0x40 && self.compression;
        if first & 0x70 != 0 && !compressed {
            return Err(Fault::Reserved);
        }
        match first & 0x0f {
            opcode::CLOSE | opcode::PING | opcode::PONG => {
                if first & 0x80 == 0 {
                    Err(Fault::ControlFragmented)
                } else if second & 0x7f > 125 {
                    Err(Fault::ControlTooLong)
                } else if compressed {
                    Err(Fault::ControlCompressed)
                } else {
                    Ok(())
                }
            }
            // Only a message's first frame says that it is compressed (RFC 7692, 6.1).
            opcode::CONTINUATION if compressed => Err(Fault::Reserved),
            opcode::CONTINUATION if self.begun.is_none() => Err(Fault::NothingToContinue),
            opcode::TEXT | opcode::BINARY if self.begun.is_some() => Err(Fault::NotContinued),
            opcode::CONTINUATION | opcode::TEXT | opcode::BINARY => Ok(()),
            _ => Err(Fault::Opcode),
        }
    }

    /// Opens a frame whose first bytes have been judged.
    fn admit(&mut self, header: header::Header) -> Result<(), Fault> {
        self.check_size(header.opcode, header.length)?;
        match (header.opcode, &mut self.begun) {
            (opcode::CONTINUATION, Some(begun)) => {
                begun.frames += 1;
                begun.empty += u32::from(header.length == 0);
                if begun.empty > EMPTY_FRAMES {
                    return Err(Fault::EmptyFrames);
                }
            }
            (opcode::TEXT | opcode::BINARY, begun) => {
                *begun = Some(Begun {
                    text: header.opcode == opcode::TEXT,
                    compressed: header.reserved != 0,
                    frames: 1,
                    empty: 0,
                    valid: 0,
                });
            }
            _ => self.control.clear(),
        }
        self.open = Some(Open {
            opcode: header.opcode,
            fin: header.fin,
            key: header.key,
            have: 0,
            length: header.length,
        });
        Ok(())
    }

    fn check_size(&self, opcode: u8, length: u64) -> Result<(), Fault> {
        if opcode >= opcode::CLOSE {
            return Ok(());
        }
        let limit = self.limits.frame;
        if length > limit {
            return Err(Fault::FrameTooLong { length, limit });
        }
        let limit = self.limits.message.max(limit);
        if length > limit - (self.message.len() as u64).min(limit) {
            return Err(Fault::MessageTooLong { limit });
        }
        Ok(())
    }

    /// Reads of the open frame what there is; returns it when it is complete.
    fn take_payload(&mut self, data: &mut &[u8]) -> Result<Option<Open>, Fault> {
        let Some(mut open) = self.open else {
            return Ok(None);
        };
        // What is taken is as long as the shorter of two, one of which is in memory.
        let size = (open.length - open.have).min(data.len() as u64) as usize;
        let (piece, rest) = data.split_at(size);
        let is_control = open.opcode >= opcode::CLOSE;
        let into = if is_control {
            &mut self.control
        } else {
            &mut self.message
        };
        let start = into.len();
        into.extend_from_slice(piece);
        if let Some(key) = open.key {
            mask::apply(&mut into[start..], key, (open.have % 4) as usize);
        }
        *data = rest;
        open.have += size as u64;
        let complete = open.have == open.length;
        self.open = if complete { None } else { Some(open) };
        if !is_control {
            self.check_text(complete && open.fin)?;
        }
        Ok(complete.then_some(open))
    }

    /// Refuses a text as soon as it cannot become valid any more.
    fn check_text(&mut self, complete: bool) -> Result<(), Fault> {
        let Some(begun) = &mut self.begun else {
            return Ok(());
        };
        if !begun.text || begun.compressed {
            return Ok(());
        }
        match std::str::from_utf8(&self.message[begun.valid..]) {
            Ok(_) => begun.valid = self.message.len(),
            Err(error) if error.error_len().is_some() || complete => return Err(Fault::Utf8),
            Err(error) => begun.valid += error.valid_up_to(),
        }
        Ok(())
    }

    /// Hands out the message that is complete.
    fn finish(&mut self) -> Result<Event<'_>, Fault> {
        self.spent = true;
        let Some(begun) = self.begun.take() else {
            return Err(Fault::NothingToContinue);
        };
        let payload = self.message.as_slice();
        Ok(if begun.compressed {
            Event::Compressed {
                text: begun.text,
                frames: begun.frames,
                payload,
            }
        } else if begun.text {
            Event::Text(payload)
        } else {
            Event::Binary(payload)
        })
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
