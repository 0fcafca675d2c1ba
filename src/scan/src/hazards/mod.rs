//! What hurts on the way although no name of Eventlet stands there.
//!
//! All of it is looked for only in projects that use Eventlet: elsewhere it is no hazard of a
//! migration.

mod file;

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::colour::{Colours, is_live};
use crate::explicit::Hit;
use crate::facts::{BindingKind, NONE};
use crate::finding::{Confidence, Kind, Site};
use crate::graph::{Calls, EdgeKind, FunctionId};
use crate::part::{Argument, Known, Part};
use crate::patches::Patches;
use crate::project::Project;
use crate::rules::Safety;

pub(crate) use file::of_file;

/// Green threads cost nothing; a pool of as many OS threads does.
const MANY: i64 = 100;

/// A block that holds an OS thread's lock, if what it is made of is not patched.
#[derive(Serialize, Deserialize)]
pub(crate) struct Guarded {
    hit: Hit,
    /// Calls in it that may switch, by their number among the file's.
    seeds: Vec<u32>,
}

/// A check of shared state, if something runs beside it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Suspect {
    hit: Hit,
    is_attribute: bool,
}

/// Those that depend on more than one file.
pub(crate) struct Hazards<'e> {
    pub(crate) project: &'e Project,
    pub(crate) parts: &'e [Part],
    pub(crate) calls: &'e Calls,
    pub(crate) patches: &'e Patches,
    pub(crate) colours: &'e Colours,
    pub(crate) hits: &'e [Hit],
}

impl Hazards<'_> {
    pub(crate) fn find(&self) -> Vec<Hit> {
        let is_user = self
            .hits
            .iter()
            .any(|hit| hit.kind == Kind::Use && hit.confidence == Confidence::High);
        if !is_user {
            return Vec::new();
        }
        let mut found = Vec::new();
        self.of_hits(&mut found);
        self.of_coroutines(&mut found);
        self.of_checks(&mut found);
        self.of_naps(&mut found);
        self.of_offloaded(&mut found);
        for (module, part) in self.parts.iter().enumerate() {
            found.extend_from_slice(&part.hazards);
            if self.patches.of_module[module].possibly("thread") {
                continue;
            }
            for one in &part.guarded {
                let seeds = &part.calls.seeds;
                if one
                    .seeds
                    .iter()
                    .any(|&at| is_live(self.patches, &seeds[at as usize]))
                {
                    found.push(one.hit.clone());
                }
            }
        }
        found
    }

    fn site(&self, module: u32, id: u32) -> Option<(Site, &Known)> {
        let one = self.parts[module as usize].uses.get(&id)?;
        Some((one.site(module), one))
    }

    fn of_hits(&self, found: &mut Vec<Hit>) {
        for hit in self.hits {
            if hit.subject == NONE || hit.is_hidden {
                continue;
            }
            let Some((_, one)) = self.site(hit.at.module, hit.subject) else {
                continue;
            };
            let argument = one.argument;
            match &*hit.symbol {
                "eventlet.patcher.monkey_patch" if argument != Argument::NoCall => {
                    if let Some(note) = self.late_patch(hit) {
                        found.push(hazard("EV309", &hit.symbol, hit.at, hit.subject, note));
                    }
                }
                "eventlet.greenpool.GreenPool"
                | "concurrent.futures.ThreadPoolExecutor"
                | "futurist.GreenThreadPoolExecutor" => {
                    let is_green = hit.symbol.starts_with("eventlet");
                    let note = match argument {
                        Argument::None if is_green => "1000 by default",
                        Argument::Int(size) if size >= MANY => "more than OS threads bear",
                        _ => continue,
                    };
                    found.push(hazard("EV310", &hit.symbol, hit.at, hit.subject, note));
                }
                "eventlet.greenthread.GreenThread.kill" | "eventlet.greenthread.kill"
                    if argument != Argument::NoCall
                        && !self.project.modules[hit.at.module as usize].is_test =>
                {
                    let name = self.function_name(hit.at.module, hit.at.function);
                    let is_stop = [
                        "stop",
                        "kill",
                        "terminate",
                        "shutdown",
                        "sigterm",
                        "signal",
                        "exit",
                    ]
                    .iter()
                    .any(|part| name.to_ascii_lowercase().contains(part));
                    let rule = if is_stop { "EV316" } else { "EV311" };
                    found.push(hazard(rule, &hit.symbol, hit.at, hit.subject, ""));
                }
                "time.sleep" if hit.kind == Kind::Implicit && argument == Argument::Int(0) => {
                    found.push(hazard("EV307", &hit.symbol, hit.at, hit.subject, ""));
                }
                _ => {}
            }
            let functions = &self.project.modules[hit.at.module as usize]
                .outline
                .functions;
            if hit.kind == Kind::Implicit
                && matches!(hit.rule, "EV203" | "EV205" | "EV220")
                && functions
                    .get(hit.at.function as usize)
                    .is_some_and(|entry| entry.is_service)
            {
                // What a service makes before its workers are forked.
                found.push(hazard("EV304", &hit.symbol, hit.at, hit.subject, ""));
            }
        }
    }

    fn function_name(&self, module: u32, function: u32) -> &str {
        self.project.modules[module as usize]
            .outline
            .functions
            .get(function as usize)
            .map_or("", |entry| entry.name())
    }

    /// Why a call of `monkey_patch` comes too late, or too far.
    fn late_patch(&self, hit: &Hit) -> Option<&'static str> {
        let module = &self.project.modules[hit.at.module as usize];
        if module.is_package && hit.at.function == NONE {
            return Some("it patches whoever imports the package");
        }
        if hit.at.function != NONE {
            return Some("in a function: what was imported before stays as it was");
        }
        let facts = module.facts();
        let is_late = facts.bindings.iter().any(|binding| {
            let name = match &binding.kind {
                BindingKind::Import { module: name, .. } => facts.text(*name).to_owned(),
                BindingKind::From {
                    level,
                    module: name,
                    ..
                } => module.absolute(*level, facts.text(*name)),
                _ => return false,
            };
            let first = name.split('.').next().unwrap_or_default();
            binding.scope == 0
                && binding.pos < hit.at.range.0
                && !matches!(first, "eventlet" | "__future__" | "os" | "sys" | "")
        });
        is_late.then_some("after other imports")
    }

    fn of_coroutines(&self, found: &mut Vec<Hit>) {
        let is_async = |function| self.project.is_async(function);
        for seed in &self.calls.seeds {
            if !is_async(seed.from) || seed.awaited {
                continue;
            }
            let Some((at, _)) = self.site(seed.from.0, seed.site) else {
                continue;
            };
            let rule = if seed.group().is_empty() {
                "EV314"
            } else {
                "EV312"
            };
            found.push(hazard(rule, &seed.symbol, at, seed.site, ""));
        }
        for edge in &self.calls.edges {
            let Some((at, one)) = self.site(edge.from.0, edge.site) else {
                continue;
            };
            if edge.kind != EdgeKind::Call || one.awaited {
                continue;
            }
            if is_async(edge.to) {
                if one.is_statement {
                    let name: Arc<str> = self.project.function_name(edge.to.0, edge.to.1).into();
                    found.push(hazard("EV313", &name, at, edge.site, "never awaited"));
                }
            } else if is_async(edge.from) && self.colours.reasons.contains_key(&edge.to) {
                let name: Arc<str> = self.project.function_name(edge.to.0, edge.to.1).into();
                found.push(hazard(
                    "EV312",
                    &name,
                    at,
                    edge.site,
                    "it waits further down",
                ));
            }
        }
    }

    /// A condition and a change of shared state, where something runs beside.
    fn of_checks(&self, found: &mut Vec<Hit>) {
        // Classes (`NONE`: modules) whose functions are run on their own.
        let mut beside: FxHashSet<(u32, u32)> = FxHashSet::default();
        for edge in &self.calls.edges {
            if edge.kind == EdgeKind::Spawned {
                for (module, function) in [edge.from, edge.to] {
                    beside.insert((module, NONE));
                    beside.insert((module, self.class_of(module, function)));
                }
            }
        }
        for (module, part) in self.parts.iter().enumerate() {
            if self.project.modules[module].is_test {
                continue;
            }
            for check in &part.checks {
                let class = if check.is_attribute {
                    self.class_of(module as u32, check.hit.at.function)
                } else {
                    NONE
                };
                if beside.contains(&(module as u32, class)) {
                    found.push(check.hit.clone());
                }
            }
        }
    }

    fn class_of(&self, module: u32, function: u32) -> u32 {
        self.project.modules[module as usize]
            .outline
            .functions
            .get(function as usize)
            .map_or(NONE, |entry| entry.class)
    }

    /// A test that spawns, sleeps, and takes for granted that the other has run.
    fn of_naps(&self, found: &mut Vec<Hit>) {
        let mut spawns: FxHashMap<(u32, u32), u32> = FxHashMap::default();
        for hit in self.hits {
            if matches!(
                hit.rule,
                "EV110" | "EV112" | "EV113" | "EV121" | "EV122" | "EV206" | "EV208"
            ) && hit.subject != NONE
            {
                let first = spawns
                    .entry((hit.at.module, hit.at.function))
                    .or_insert(u32::MAX);
                *first = (*first).min(hit.at.range.0);
            }
        }
        for part in self.parts {
            for nap in &part.naps {
                let key = (nap.at.module, nap.at.function);
                if spawns.get(&key).is_some_and(|&at| at < nap.at.range.0) {
                    found.push(nap.clone());
                }
            }
        }
    }

    /// What only green threads may wait for, in what runs in an OS thread.
    fn of_offloaded(&self, found: &mut Vec<Hit>) {
        let mut reached: FxHashSet<FunctionId> = FxHashSet::default();
        let mut pending = self.calls.offloaded.clone();
        if pending.is_empty() {
            return;
        }
        let mut callees: FxHashMap<FunctionId, Vec<FunctionId>> = FxHashMap::default();
        for edge in &self.calls.edges {
            if matches!(edge.kind, EdgeKind::Call | EdgeKind::Property) {
                callees.entry(edge.from).or_default().push(edge.to);
            }
        }
        while let Some(function) = pending.pop() {
            if reached.insert(function) {
                pending.extend(callees.get(&function).into_iter().flatten());
            }
        }
        for seed in &self.calls.seeds {
            let is_primitive = [
                "eventlet.semaphore.",
                "eventlet.lock.",
                "eventlet.queue.",
                "eventlet.event.",
                "eventlet.pools.",
                "eventlet.green.threading.",
            ]
            .iter()
            .any(|prefix| seed.symbol.starts_with(prefix));
            if is_primitive
                && reached.contains(&seed.from)
                && let Some((at, _)) = self.site(seed.from.0, seed.site)
            {
                let note = "runs in an OS thread, through tpool";
                found.push(hazard("EV308", &seed.symbol, at, seed.site, note));
            }
        }
    }
}

fn hazard(rule: &'static str, symbol: &Arc<str>, at: Site, subject: u32, note: &str) -> Hit {
    Hit {
        rule,
        symbol: symbol.clone(),
        via: Vec::new(),
        kind: Kind::Hazard,
        confidence: Confidence::High,
        at,
        subject,
        note: note.to_owned(),
        is_hidden: false,
        shape: Safety::Safe,
    }
}
