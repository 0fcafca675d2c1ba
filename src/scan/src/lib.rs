//! Finds, explains and rewrites uses of Eventlet in Python sources.
//!
//! Layers, from the bottom; each uses only those before it:
//!
//! ```text
//! syntax  source | facts  extract | interface  outline | names  rules  implicit | project  eval
//! explicit  imports  strings  texts  graph  patches  colour  hazards | part  link | safety
//! cache  scripts  scan | evidence  baseline  report  explain  plan  rewrite | api
//! ```
//!
//! [`handle`] is the one way in. Nothing here knows of an interpreter: sources are read, never
//! imported, and what they say is only what they say, on whatever Python they run.

#![forbid(unsafe_code)]
// One arm for each kind of node, of rule, of option: longer, and simpler to read than parts.
#![allow(clippy::too_many_lines)]

mod api;
mod baseline;
mod cache;
mod colour;
mod eval;
mod evidence;
mod explain;
mod explicit;
mod extract;
mod facts;
mod files;
mod finding;
mod graph;
mod hazards;
mod implicit;
mod imports;
mod interface;
mod link;
mod names;
mod outline;
mod part;
mod patches;
mod plan;
mod plan_document;
mod plan_text;
mod project;
mod report;
mod rewrite;
mod rules;
mod safety;
mod scan;
mod scripts;
mod source;
mod strings;
mod syntax;
mod texts;

pub use api::handle;
