//! Native core of eventlet-asyncio.
//!
//! Layers, from the bottom; each uses only those before it:
//!
//! ```text
//! sched  stack  switch | pystate  greenlet  reactor  hub  greenthread  sync offload websocket wsgi  bridge  module
//! pure, no interpreter | needs the interpreter (feature `python`)
//! ```
//!
//! `scanner` stands apart: it hands requests to the crate in `scan/`, which uses none of these.
//! `http` and `frames` stand beside them: bytes in, bytes out, each used by one layer alone,
//! `wsgi` and `websocket`.

pub mod frames;
pub mod http;
pub mod reactor;
pub mod sched;
pub mod stack;
pub mod switch;

#[cfg(feature = "python")]
mod bridge;
#[cfg(feature = "python")]
mod error;
#[cfg(feature = "python")]
mod greenlet;
#[cfg(feature = "python")]
mod greenthread;
#[cfg(feature = "python")]
mod hub;
#[cfg(feature = "python")]
mod imports;
#[cfg(feature = "python")]
mod module;
#[cfg(feature = "python")]
mod offload;
#[cfg(feature = "python")]
mod pystate;
#[cfg(feature = "python")]
mod scanner;
#[cfg(feature = "python")]
mod sync;
#[cfg(feature = "python")]
mod websocket;
#[cfg(feature = "python")]
mod wsgi;
