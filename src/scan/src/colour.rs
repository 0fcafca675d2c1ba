//! Which functions switch, and the shortest way to where they do.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::facts::NONE;
use crate::graph::{Calls, Edge, EdgeKind, FunctionId, Seed};
use crate::part::Part;
use crate::patches::Patches;
use crate::project::Project;

#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Colour {
    Never,
    May,
    Must,
}

/// Why a function switches: its own call, or that of another function.
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    Seed { symbol: Arc<str>, site: u32 },
    Edge { to: FunctionId, site: u32 },
}

pub(crate) struct Colours {
    /// Functions that switch, with the first step of the shortest way.
    pub(crate) reasons: FxHashMap<FunctionId, Reason>,
    pub(crate) must: FxHashSet<FunctionId>,
    /// How many steps it is to the switch.
    pub(crate) depth: FxHashMap<FunctionId, u32>,
}

/// Calls that switch whatever happens.
const ALWAYS: &[&str] = &[
    "eventlet.greenthread.sleep",
    "time.sleep",
    "eventlet.green.time.sleep",
];

/// Whether a way of calling makes the caller switch if the callee does.
pub(crate) fn carries(project: &Project, edge: &Edge) -> bool {
    if edge.kind == EdgeKind::Spawned {
        return false;
    }
    // A coroutine that is not awaited here runs elsewhere.
    let is_coroutine = edge.kind == EdgeKind::Call && project.is_async(edge.to);
    !is_coroutine || edge.site == NONE || edge.awaited
}

/// Whether a seed switches where the process is patched as it is.
pub(crate) fn is_live(patches: &Patches, seed: &Seed) -> bool {
    seed.group().is_empty() || patches.of_module[seed.from.0 as usize].possibly(seed.group())
}

impl Colours {
    pub(crate) fn find(project: &Project, patches: &Patches, calls: &Calls) -> Self {
        let mut callers: FxHashMap<FunctionId, Vec<&Edge>> = FxHashMap::default();
        for edge in &calls.edges {
            if carries(project, edge) {
                callers.entry(edge.to).or_default().push(edge);
            }
        }
        let mut colours = Self {
            reasons: FxHashMap::default(),
            must: FxHashSet::default(),
            depth: FxHashMap::default(),
        };
        let mut pending = VecDeque::new();
        for seed in &calls.seeds {
            if !is_live(patches, seed) || seed.awaited {
                continue;
            }
            if let Entry::Vacant(place) = colours.reasons.entry(seed.from) {
                let (symbol, site) = (seed.symbol.clone(), seed.site);
                place.insert(Reason::Seed { symbol, site });
                colours.depth.insert(seed.from, 0);
                pending.push_back(seed.from);
            }
        }
        while let Some(function) = pending.pop_front() {
            let depth = colours.depth[&function];
            for edge in callers.get(&function).into_iter().flatten() {
                if let Entry::Vacant(place) = colours.reasons.entry(edge.from) {
                    let (to, site) = (edge.to, edge.site);
                    place.insert(Reason::Edge { to, site });
                    colours.depth.insert(edge.from, depth + 1);
                    pending.push_back(edge.from);
                }
            }
        }
        colours.find_must(patches, calls, &callers);
        colours
    }

    /// A function must switch if a call that always does stands in no branch of it.
    fn find_must(
        &mut self,
        patches: &Patches,
        calls: &Calls,
        callers: &FxHashMap<FunctionId, Vec<&Edge>>,
    ) {
        let mut pending = Vec::new();
        for seed in &calls.seeds {
            let is_sure = ALWAYS.contains(&&*seed.symbol) && is_live(patches, seed) && seed.is_sure;
            if is_sure && self.must.insert(seed.from) {
                pending.push(seed.from);
            }
        }
        while let Some(function) = pending.pop() {
            for edge in callers.get(&function).into_iter().flatten() {
                let is_sure =
                    matches!(edge.kind, EdgeKind::Call | EdgeKind::Property) && edge.is_sure;
                if is_sure && self.must.insert(edge.from) {
                    pending.push(edge.from);
                }
            }
        }
    }

    pub(crate) fn of(&self, function: FunctionId) -> Colour {
        if self.must.contains(&function) {
            Colour::Must
        } else if self.reasons.contains_key(&function) {
            Colour::May
        } else {
            Colour::Never
        }
    }

    /// The way from a function to the switch, as names and places.
    pub(crate) fn proof(
        &self,
        project: &Project,
        parts: &[Part],
        function: FunctionId,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = function;
        while let Some(reason) = self.reasons.get(&at) {
            let (site, symbol, next) = match reason {
                Reason::Seed { symbol, site } => (*site, Some(symbol.clone()), None),
                Reason::Edge { to, site, .. } => (*site, None, Some(*to)),
            };
            let module = &project.modules[at.0 as usize];
            let offset = parts[at.0 as usize].uses.get(&site).map_or_else(
                || {
                    let functions = &module.outline.functions;
                    functions.get(at.1 as usize).map_or(0, |f| f.start)
                },
                |one| one.range.0,
            );
            steps.push(Step {
                function: at,
                offset,
                symbol,
            });
            match next {
                Some(next) if steps.len() < 64 => at = next,
                _ => break,
            }
        }
        steps
    }
}

/// One step of a proof.
pub(crate) struct Step {
    pub(crate) function: FunctionId,
    /// Where in the function's file the next one is called.
    pub(crate) offset: u32,
    /// The switch itself, in the last step.
    pub(crate) symbol: Option<Arc<str>>,
}
