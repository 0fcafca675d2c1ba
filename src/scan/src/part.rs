//! What one file means, in view of those that it looks into.
//!
//! A part is a function of the file's facts and of the interfaces of the files that the
//! evaluation looked into, which it names: as long as those stay, it does, too.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::eval::Evaluator;
use crate::explicit::{Explicit, Hit};
use crate::facts::{BindingKind, Facts, NONE, Node, Place};
use crate::finding::Site;
use crate::graph::{self, Calls};
use crate::hazards::{self, Guarded, Suspect};
use crate::imports::{self, Import};
use crate::project::Project;
use crate::safety;
use crate::strings;

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) hits: Vec<Hit>,
    pub(crate) imports: Vec<Import>,
    pub(crate) hazards: Vec<Hit>,
    pub(crate) guarded: Vec<Guarded>,
    pub(crate) checks: Vec<Suspect>,
    pub(crate) naps: Vec<Hit>,
    pub(crate) calls: Calls,
    /// Names of modules that are read here: module and name.
    pub(crate) touched: Vec<(u32, Arc<str>)>,
    /// Those of other modules.
    pub(crate) taken: Vec<(u32, Arc<str>)>,
    /// What there is to know of the uses that the rest is about.
    pub(crate) uses: FxHashMap<u32, Known>,
    /// The modules that it imports, at any time.
    pub(crate) modules: Vec<u32>,
    /// Other files that this rests on.
    pub(crate) looked_into: Vec<u32>,
}

/// A use, without its expression.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) range: (u32, u32),
    pub(crate) function: u32,
    pub(crate) class: u32,
    pub(crate) awaited: bool,
    pub(crate) is_statement: bool,
    pub(crate) argument: Argument,
}

/// The first argument of the call of a use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Argument {
    NoCall,
    None,
    Int(i64),
    Other,
}

impl Known {
    fn new(facts: &Facts, id: u32) -> Option<Self> {
        let one = facts.uses.get(id as usize)?;
        let expr = facts.expr(one.expr);
        let argument = match facts.exprs.get(one.call as usize).map(|expr| &expr.node) {
            Some(Node::Call { args, .. }) => match args.first() {
                None => Argument::None,
                Some(arg) => match facts.expr(arg.value).node {
                    Node::Int(value) => Argument::Int(value),
                    _ => Argument::Other,
                },
            },
            _ => Argument::NoCall,
        };
        Some(Self {
            range: (expr.start, expr.end),
            function: one.function,
            class: one.class,
            awaited: one.awaited,
            is_statement: one.place == Place::Statement,
            argument,
        })
    }

    pub(crate) fn site(&self, module: u32) -> Site {
        Site {
            module,
            range: self.range,
            function: self.function,
            class: self.class,
        }
    }
}

/// Evaluates one file.
pub(crate) fn make(project: &Project, module: u32) -> Part {
    let eval = Evaluator::new(project, module);
    let facts = eval.facts(module);
    let mut hits = Explicit { eval: &eval }.uses(module);
    hits.extend(strings::find(&eval, module));
    for hit in &mut hits {
        hit.shape = safety::shape(facts, hit);
    }
    let calls = graph::calls(&eval, module);
    for binding in &facts.bindings {
        if matches!(
            binding.kind,
            BindingKind::Import { .. } | BindingKind::From { .. }
        ) {
            eval.binding(module, &binding.kind);
        }
    }
    let imports = imports::find(&eval, module);
    let found = hazards::of_file(&eval, module, &calls, &hits);
    let mut ids: Vec<u32> = hits.iter().map(|hit| hit.subject).collect();
    ids.extend(found.hits.iter().map(|hit| hit.subject));
    ids.extend(found.naps.iter().map(|hit| hit.subject));
    ids.extend(calls.edges.iter().map(|edge| edge.site));
    ids.extend(calls.seeds.iter().map(|seed| seed.site));
    ids.extend(calls.outer.iter().map(|outer| outer.at.1));
    ids.sort_unstable();
    ids.dedup();
    let uses = ids
        .into_iter()
        .filter(|&id| id != NONE)
        .filter_map(|id| Some((id, Known::new(facts, id)?)))
        .collect();
    let named = |names: &rustc_hash::FxHashSet<(u32, u32)>| {
        let mut named: Vec<(u32, Arc<str>)> = names
            .iter()
            .map(|&(id, name)| (id, project.modules[id as usize].facts().text(name).into()))
            .collect();
        named.sort_unstable();
        named
    };
    let (touched, taken) = (named(&eval.touched.borrow()), named(&eval.taken.borrow()));
    Part {
        hits,
        imports,
        hazards: found.hits,
        guarded: found.guarded,
        checks: found.checks,
        naps: found.naps,
        calls,
        touched,
        taken,
        uses,
        modules: project.imports(module),
        looked_into: eval.looked_into(),
    }
}
