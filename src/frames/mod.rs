//! WebSocket frames (RFC 6455, section 5) as bytes in and bytes out: no sockets, no
//! interpreter, no randomness.
//!
//! [`Reader`] turns what a peer sends into messages and control frames, and stops for good at
//! the first thing that the protocol forbids: a connection whose peer is out of step cannot be
//! put back into step. [`header`] writes the heads of frames, [`mask`] hides and shows their
//! payload. Compression is the caller's: a compressed message comes out as it came in, with a
//! note that it is compressed.
//!
//! What a peer can make us hold is bounded by the [`Limits`], and grows with what has arrived,
//! never with what a head announces.

#![forbid(unsafe_code)]

pub mod header;
pub mod mask;
mod reader;

pub use reader::{Event, Fault, Limits, Reader, Role};

/// What a frame carries: the numbers of the protocol.
pub mod opcode {
    pub const CONTINUATION: u8 = 0;
    pub const TEXT: u8 = 1;
    pub const BINARY: u8 = 2;
    pub const CLOSE: u8 = 8;
    pub const PING: u8 = 9;
    pub const PONG: u8 = 10;
}
