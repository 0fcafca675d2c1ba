//! HTTP/1 as bytes in and bytes out: no sockets, no interpreter, no clock but the one given.
//!
//! `head` and `target` read request heads, `chunk` the lines of a chunked body, `reply` makes response heads and decides how a response is
//! framed. Whoever owns a connection feeds them; they can be tested and fuzzed alone.
//!
//! What is ambiguous is refused, never repaired: two servers in a row that repair a request
//! differently is what request smuggling lives on (RFC 9112, sections 2.2, 5 and 6).

#![forbid(unsafe_code)]

pub mod chunk;
pub mod date;
pub mod head;
pub mod reply;
pub mod target;
