//! From the facts of all files to what is found in them.

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::colour::Colours;
use crate::eval::Evaluator;
use crate::explicit::{self, Explicit, Hit};
use crate::facts::{BindingKind, NONE, Place};
use crate::finding::{Confidence, Kind, Site};
use crate::graph::{self, Calls, EdgeKind, FunctionId, Wrapped};
use crate::hazards::Hazards;
use crate::implicit;
use crate::patches::{self, Patches};
use crate::project::Project;
use crate::rules;
use crate::strings;

/// Names of modules that are read: module, scope, name.
pub(crate) type Touched = FxHashSet<(u32, u32, u32)>;

pub(crate) struct Linked {
    pub(crate) hits: Vec<Hit>,
    pub(crate) calls: Calls,
    pub(crate) patches: Patches,
    pub(crate) colours: Colours,
    /// Names that modules read of other modules.
    pub(crate) taken: Touched,
}

pub(crate) fn link(project: &Project, imports: &[Vec<u32>]) -> Linked {
    let (mut hits, mut calls, touched, taken) = evaluate(project);
    let eval = Evaluator::new(project);
    for module in 0..project.modules.len() as u32 {
        hits.extend(explicit::imports(&eval, module, &touched));
    }
    let patches = patches::find(project, &hits, imports, None);
    graph::complete(&eval, &mut calls);
    let wrappers = graph::wrappers(&eval, &calls);
    hits.extend(wrapped(project, &calls, &wrappers, &hits));
    if patches.is_any {
        hits.extend(outer(project, &calls, &patches, &hits));
    }
    let colours = Colours::find(project, &patches, &calls);
    let hazards = Hazards {
        eval: &eval,
        project,
        calls: &calls,
        patches: &patches,
        colours: &colours,
        hits: &hits,
    };
    let more = hazards.find();
    hits.extend(more);
    Linked {
        hits,
        calls,
        patches,
        colours,
        taken,
    }
}

fn evaluate(project: &Project) -> (Vec<Hit>, Calls, Touched, Touched) {
    let modules: Vec<u32> = (0..project.modules.len() as u32).collect();
    // Neighbours share what they import, and an evaluator remembers it.
    let size = modules
        .len()
        .div_ceil(rayon::current_num_threads() * 4)
        .max(1);
    let parts: Vec<(Vec<Hit>, Calls, Touched, Touched)> = modules
        .par_chunks(size)
        .map(|chunk| {
            let eval = Evaluator::new(project);
            let (mut hits, mut calls) = (Vec::new(), Calls::default());
            for &module in chunk {
                hits.extend(Explicit { eval: &eval }.uses(module));
                hits.extend(strings::find(&eval, module));
                calls.extend(graph::calls(&eval, module));
                for binding in &project.modules[module as usize].facts.bindings {
                    if matches!(
                        binding.kind,
                        BindingKind::Import { .. } | BindingKind::From { .. }
                    ) {
                        eval.binding(module, &binding.kind);
                    }
                }
            }
            (hits, calls, eval.touched.take(), eval.taken.take())
        })
        .collect();
    let (mut hits, mut calls, mut touched) = (Vec::new(), Calls::default(), Touched::default());
    let mut taken = Touched::default();
    for (more, others, names, read) in parts {
        taken.extend(read);
        hits.extend(more);
        calls.extend(others);
        touched.extend(names);
    }
    (hits, calls, touched, taken)
}

/// Calls of functions that hand on to Eventlet.
fn wrapped(
    project: &Project,
    calls: &Calls,
    wrappers: &FxHashMap<FunctionId, Wrapped>,
    hits: &[Hit],
) -> Vec<Hit> {
    let known: FxHashSet<(u32, u32)> = hits
        .iter()
        .map(|hit| (hit.at.module, hit.subject))
        .collect();
    let mut found = Vec::new();
    for edge in &calls.edges {
        let Some(wrapped) = wrappers.get(&edge.to) else {
            continue;
        };
        if edge.kind != EdgeKind::Call || known.contains(&(edge.from.0, edge.site)) {
            continue;
        }
        let module = &project.modules[edge.from.0 as usize];
        let one = &module.facts.uses[edge.site as usize];
        let expr = module.facts.expr(one.expr);
        let rule = match (&*wrapped.symbol, one.place) {
            ("eventlet.greenthread.spawn" | "eventlet.greenthread.spawn_n", Place::Statement) => {
                "EV110"
            }
            _ => rules::of_symbol(&wrapped.symbol),
        };
        let name = project.function_name(edge.to.0, edge.to.1);
        let mut via = edge.via.clone();
        via.push(name.replace(':', ".").into());
        found.push(Hit {
            rule,
            symbol: wrapped.symbol.clone(),
            via,
            kind: Kind::Wrapper,
            confidence: Confidence::High,
            at: Site {
                module: edge.from.0,
                range: (expr.start, expr.end),
                function: one.function,
                class: one.class,
            },
            subject: edge.site,
            note: format!("{name} hands it on"),
            is_hidden: false,
        });
    }
    found
}

/// Calls of the standard library and of others that switch, or make what does.
fn outer(project: &Project, calls: &Calls, patches: &Patches, hits: &[Hit]) -> Vec<Hit> {
    // Where one of two branches is Eventlet's, that is what counts.
    let known: FxHashSet<(u32, u32)> = hits
        .iter()
        .map(|hit| (hit.at.module, hit.subject))
        .collect();
    let mut found = Vec::new();
    for one in &calls.outer {
        let Some(entry) = implicit::entry(&one.symbol) else {
            continue;
        };
        let (module, id) = one.at;
        if known.contains(&one.at) || !patches.of_module[module as usize].possibly(&entry.patched) {
            continue;
        }
        let facts = &project.modules[module as usize].facts;
        let use_ = &facts.uses[id as usize];
        let expr = facts.expr(use_.expr);
        let rule = rules::id(&entry.rule);
        let symbol = one.symbol.strip_suffix(".__enter__").unwrap_or(&one.symbol);
        found.push(Hit {
            rule,
            symbol: symbol.into(),
            via: one.via.clone(),
            kind: Kind::Implicit,
            confidence: Confidence::High,
            at: Site {
                module,
                range: (expr.start, expr.end),
                function: use_.function,
                class: use_.class,
            },
            subject: id,
            note: if use_.function == NONE && use_.call == NONE {
                String::new()
            } else {
                format!("asyncio: {}; threads: {}", entry.asyncio, entry.threads)
            },
            is_hidden: false,
        });
    }
    found
}
