//! What a plan says, as programs read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::colour::Colour;

#[derive(Serialize)]
pub(crate) struct Plan {
    pub(crate) schema: u32,
    pub(crate) target: &'static str,
    pub(crate) from: Option<String>,
    pub(crate) entry: Vec<String>,
    /// What to do before any function: moves of imports and safe rewrites.
    pub(crate) first: Vec<Preparation>,
    pub(crate) steps: Vec<Step>,
    pub(crate) cuts: Vec<Cut>,
    /// The colour of each function that was looked at.
    pub(crate) colours: BTreeMap<String, Colour>,
}

#[derive(Serialize)]
pub(crate) struct Preparation {
    pub(crate) command: String,
    pub(crate) why: String,
}

// Names of the JSON that it becomes.
#[allow(clippy::struct_field_names)]
#[derive(Serialize)]
pub(crate) struct Step {
    pub(crate) step: usize,
    pub(crate) functions: Vec<Member>,
    /// Its functions call each other.
    pub(crate) cycle: bool,
    pub(crate) switches: Vec<Arc<str>>,
    /// Steps that it calls, all of them earlier.
    pub(crate) after: Vec<usize>,
    pub(crate) callers: usize,
    pub(crate) tests: usize,
    /// Bridges that are needed if this is the last step that is done.
    pub(crate) bridges: usize,
    pub(crate) proof: Vec<ProofStep>,
}

#[derive(Clone, Serialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) line: u32,
    pub(crate) colour: Colour,
}

#[derive(Serialize)]
pub(crate) struct ProofStep {
    pub(crate) function: String,
    pub(crate) path: String,
    pub(crate) line: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) symbol: Option<Arc<str>>,
}

#[derive(Serialize)]
pub(crate) struct Cut {
    pub(crate) function: String,
    /// The steps that are done then.
    pub(crate) steps: Vec<usize>,
    pub(crate) sites: Vec<Place>,
    pub(crate) bridge: &'static str,
    pub(crate) cheapest: bool,
}

#[derive(Clone, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) line: u32,
    pub(crate) function: String,
}
