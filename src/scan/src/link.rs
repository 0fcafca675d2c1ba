//! From what is known of each file to what is found in all of them.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::colour::Colours;
use crate::explicit::Hit;
use crate::facts::NONE;
use crate::finding::{Confidence, Kind};
use crate::graph::{self, Calls, EdgeKind, FunctionId, Wrapped};
use crate::hazards::Hazards;
use crate::implicit;
use crate::part::{Argument, Part};
use crate::patches::{self, Patches};
use crate::project::Project;
use crate::rules::{self, Safety};

/// Names of modules that are read: module and name.
pub(crate) type Touched = FxHashSet<(u32, Arc<str>)>;

pub(crate) struct Linked {
    pub(crate) hits: Vec<Hit>,
    pub(crate) calls: Calls,
    pub(crate) patches: Patches,
    pub(crate) colours: Colours,
    /// Names that modules read of other modules.
    pub(crate) taken: Touched,
}

pub(crate) fn link(project: &Project, parts: &[Part], imports: &[Vec<u32>]) -> Linked {
    let (mut hits, mut calls) = (Vec::new(), Calls::default());
    let (mut touched, mut taken) = (Touched::default(), Touched::default());
    for part in parts {
        hits.extend_from_slice(&part.hits);
        calls.extend(&part.calls);
        touched.extend(part.touched.iter().cloned());
        taken.extend(part.taken.iter().cloned());
    }
    for part in parts {
        hits.extend(part.imports.iter().map(|import| import.judge(&touched)));
    }
    let patches = patches::find(project, &hits, imports, None);
    graph::complete(project, &mut calls);
    let wrappers = graph::wrappers(&calls);
    hits.extend(wrapped(project, parts, &calls, &wrappers, &hits));
    if patches.is_any {
        hits.extend(outer(parts, &calls, &patches, &hits));
    }
    let colours = Colours::find(project, &patches, &calls);
    let hazards = Hazards {
        project,
        parts,
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

/// Calls of functions that hand on to Eventlet.
fn wrapped(
    project: &Project,
    parts: &[Part],
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
        let Some(one) = parts[edge.from.0 as usize].uses.get(&edge.site) else {
            continue;
        };
        let rule = match (&*wrapped.symbol, one.is_statement) {
            ("eventlet.greenthread.spawn" | "eventlet.greenthread.spawn_n", true) => "EV110",
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
            at: one.site(edge.from.0),
            subject: edge.site,
            note: format!("{name} hands it on"),
            is_hidden: false,
            shape: Safety::Manual,
        });
    }
    found
}

/// Calls of the standard library and of others that switch, or make what does.
fn outer(parts: &[Part], calls: &Calls, patches: &Patches, hits: &[Hit]) -> Vec<Hit> {
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
        let Some(use_) = parts[module as usize].uses.get(&id) else {
            continue;
        };
        let symbol = one.symbol.strip_suffix(".__enter__").unwrap_or(&one.symbol);
        found.push(Hit {
            rule: rules::id(&entry.rule),
            symbol: symbol.into(),
            via: one.via.clone(),
            kind: Kind::Implicit,
            confidence: Confidence::High,
            at: use_.site(module),
            subject: id,
            note: if use_.function == NONE && use_.argument == Argument::NoCall {
                String::new()
            } else {
                format!("asyncio: {}; threads: {}", entry.asyncio, entry.threads)
            },
            is_hidden: false,
            shape: Safety::Safe,
        });
    }
    found
}
