//! Who calls whom, who waits, and which functions only hand on to `spawn`.

mod calls;
mod wrappers;

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::implicit;
use crate::names;
use crate::project::Project;

pub(crate) use calls::calls;
pub(crate) use wrappers::wrappers;

/// A function of the project: its module and its number there; `NONE` for the module's own code.
pub(crate) type FunctionId = (u32, u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum EdgeKind {
    Call,
    Property,
    /// Given to what calls it at once, or kept by a decorator.
    Callback,
    /// Runs on its own: colours nobody.
    Spawned,
    /// Only a method of this name exists.
    Guess,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Edge {
    pub(crate) from: FunctionId,
    pub(crate) to: FunctionId,
    pub(crate) kind: EdgeKind,
    /// The use in the caller's module, and the façade names it came through.
    pub(crate) site: u32,
    pub(crate) via: Vec<Arc<str>>,
    pub(crate) awaited: bool,
    /// Stands in no branch of the caller.
    pub(crate) is_sure: bool,
    /// Parameters of the caller that it hands on.
    pub(crate) forwards: Vec<Forward>,
}

/// An argument of a call that runs a parameter of the function around.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Forward {
    pub(crate) position: u32,
    /// Empty for a positional one.
    pub(crate) keyword: Arc<str>,
    /// How callers of the function around hand it over.
    pub(crate) as_position: u32,
    pub(crate) as_keyword: Arc<str>,
}

/// A call in a function that may switch by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seed {
    pub(crate) from: FunctionId,
    pub(crate) symbol: Arc<str>,
    pub(crate) site: u32,
    pub(crate) awaited: bool,
    /// Stands in no branch of the function.
    pub(crate) is_sure: bool,
}

impl Seed {
    /// The group of `monkey_patch` that it depends on; empty: on none.
    pub(crate) fn group(&self) -> &'static str {
        if names::is_ours(&self.symbol) {
            return "";
        }
        implicit::entry(&self.symbol).map_or("", |entry| &entry.patched)
    }
}

/// A name outside of the project whose table entry makes it worth a finding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outer {
    pub(crate) symbol: Arc<str>,
    pub(crate) via: Vec<Arc<str>>,
    /// Module and use.
    pub(crate) at: (u32, u32),
}

/// What a wrapper hands its argument to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wrapped {
    pub(crate) symbol: Arc<str>,
    /// Which of its arguments is run, and by which keyword.
    pub(crate) position: u32,
    pub(crate) keyword: Arc<str>,
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) edges: Vec<Edge>,
    pub(crate) seeds: Vec<Seed>,
    pub(crate) outer: Vec<Outer>,
    /// Methods called on values that nobody knows: caller, name, site.
    pub(crate) unknown: Vec<(FunctionId, Arc<str>, u32)>,
    /// Functions that hand a parameter to what spawns it.
    pub(crate) wrappers: Vec<(FunctionId, Wrapped)>,
    /// Calls of functions with the functions that they are given: callee, parameter, given.
    pub(crate) given: Vec<(FunctionId, u32, FunctionId)>,
    /// Functions that run in an OS thread.
    pub(crate) offloaded: Vec<FunctionId>,
    /// Functions that call one of their parameters.
    pub(crate) runs_param: FxHashSet<(u32, u32, u32)>,
}

impl Calls {
    pub(crate) fn extend(&mut self, other: &Self) {
        self.edges.extend_from_slice(&other.edges);
        self.seeds.extend_from_slice(&other.seeds);
        self.outer.extend_from_slice(&other.outer);
        self.unknown.extend_from_slice(&other.unknown);
        self.wrappers.extend_from_slice(&other.wrappers);
        self.given.extend_from_slice(&other.given);
        self.offloaded.extend_from_slice(&other.offloaded);
        self.runs_param.extend(&other.runs_param);
    }
}

impl Edge {
    /// One that stands at no place of the caller.
    pub(crate) fn new(from: FunctionId, to: FunctionId, kind: EdgeKind) -> Self {
        Self {
            from,
            to,
            kind,
            site: crate::facts::NONE,
            via: Vec::new(),
            awaited: false,
            is_sure: true,
            forwards: Vec::new(),
        }
    }
}

/// Whether a method's name alone may tell whose method it is.
fn is_telling(name: &str) -> bool {
    name.len() > 3 && !COMMON.contains(&name)
}

/// Names that values of built-in types have, too: a call of them says nothing.
const COMMON: &[&str] = &[
    "get",
    "set",
    "add",
    "pop",
    "put",
    "read",
    "write",
    "close",
    "open",
    "send",
    "recv",
    "join",
    "split",
    "strip",
    "append",
    "extend",
    "update",
    "items",
    "keys",
    "values",
    "copy",
    "clear",
    "format",
    "encode",
    "decode",
    "replace",
    "index",
    "count",
    "sort",
    "insert",
    "remove",
    "start",
    "stop",
    "run",
    "wait",
    "next",
    "flush",
    "connect",
    "search",
    "match",
    "group",
    "info",
    "debug",
    "warning",
    "error",
    "exception",
    "lower",
    "upper",
    "release",
    "acquire",
    "notify",
    "commit",
    "execute",
    "fetchall",
    "fetchone",
    "delete",
    "save",
    "filter",
    "first",
    "all",
    "call",
    "cast",
    "create",
    "setdefault",
    "startswith",
    "endswith",
    "isoformat",
];

/// Adds what only the whole project shows: callbacks, and methods with a name of their own.
pub(crate) fn complete(project: &Project, calls: &mut Calls) {
    for (callee, param, function) in &calls.given {
        if calls.runs_param.contains(&(callee.0, callee.1, *param)) {
            let kind = EdgeKind::Callback;
            calls.edges.push(Edge::new(*callee, *function, kind));
        }
    }
    // `None`: there are several.
    let mut by_name: FxHashMap<&str, Option<FunctionId>> = FxHashMap::default();
    for (id, module) in project.modules.iter().enumerate() {
        for (number, function) in module.outline.functions.iter().enumerate() {
            if function.is_method {
                by_name
                    .entry(function.name())
                    .and_modify(|known| *known = None)
                    .or_insert(Some((id as u32, number as u32)));
            }
        }
    }
    for (from, name, site) in &calls.unknown {
        if let Some(Some(only)) = by_name.get(&**name) {
            calls.edges.push(Edge {
                site: *site,
                ..Edge::new(*from, *only, EdgeKind::Guess)
            });
        }
    }
}
