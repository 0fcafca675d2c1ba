//! A finding, as it is told to people and programs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::rules::Safety;

/// The version of the JSON that findings are written as.
pub(crate) const SCHEMA: u32 = 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Confidence {
    High,
    Low,
}

/// In what form the thing found is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Use,
    Import,
    /// A call of a function that forwards to Eventlet.
    Wrapper,
    /// A text in a program that names a target.
    String,
    /// A line of a file that is no program.
    Text,
    Implicit,
    Hazard,
    Error,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Fix {
    pub(crate) asyncio: Safety,
    pub(crate) threads: Safety,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) rule: &'static str,
    pub(crate) path: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) end_line: u32,
    pub(crate) end_column: u32,
    pub(crate) symbol: Arc<str>,
    /// The dotted name of the file's module; empty for files that are none.
    pub(crate) module: String,
    pub(crate) function: String,
    pub(crate) via: Vec<Arc<str>>,
    pub(crate) kind: Kind,
    pub(crate) confidence: Confidence,
    pub(crate) test: bool,
    pub(crate) fix: Fix,
    pub(crate) message: String,
    /// What the run of the program has shown of this site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) evidence: Option<serde_json::Value>,
}

/// Where a finding stands in the tables of its file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Site {
    pub(crate) module: u32,
    pub(crate) range: (u32, u32),
    pub(crate) function: u32,
    pub(crate) class: u32,
}
