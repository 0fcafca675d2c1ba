//! `plan`: in which order functions change, and where a bridge costs least.
//!
//! What calls each other in a circle changes in one step; a step comes after all that it
//! calls. A cut is a set of functions that change together with all they call, while their
//! callers stay as they are and go through a bridge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::api::{Answer, Request};
use crate::colour::{Colour, Colours, carries};
use crate::evidence::{Evidence, plain};
use crate::facts::NONE;
use crate::finding::{Kind, SCHEMA};
use crate::graph::{Edge, EdgeKind, FunctionId, Seed};
use crate::outline::Places;
use crate::patches;
use crate::plan_document::{Cut, Member, Place, Plan, Preparation, ProofStep, Step};
use crate::plan_text;
use crate::report::Target;
use crate::scan::{self, Options, Scan};

pub(crate) fn answer(request: &Request, options: &Options, target: Target) -> Answer {
    let evidence = match Evidence::read(&request.evidence, &options.folder) {
        Ok(evidence) => evidence,
        Err(problem) => return Answer::wrong("EA401", problem),
    };
    let mut scan = scan::run(options);
    match make(&mut scan, request, target, evidence.as_ref()) {
        Ok(plan) => {
            let out = match request.format.as_str() {
                "json" => serde_json::to_string_pretty(&plan).unwrap_or_default() + "\n",
                "dot" => plan_text::dot(&plan),
                "md" => plan_text::markdown(&plan),
                "" | "text" => plan_text::text(&plan),
                other => {
                    return Answer::wrong(
                        "EA421",
                        format!("there is no format {other:?}: choose text, json, dot or md"),
                    );
                }
            };
            Answer {
                exit: u8::from(!plan.steps.is_empty()),
                out,
                err: String::new(),
            }
        }
        Err(problem) => Answer::wrong("EA425", problem),
    }
}

fn make(
    scan: &mut Scan,
    request: &Request,
    target: Target,
    evidence: Option<&Evidence>,
) -> Result<Plan, String> {
    let names = function_names(scan);
    let entries = entry_modules(scan, &request.entry)?;
    if !entries.is_empty() {
        scan.patches = patches::find(&scan.project, &scan.hits, &scan.imports, Some(&entries));
    }
    if let Some(evidence) = evidence {
        add_evidence(scan, &names, evidence);
    }
    scan.colours = Colours::find(&scan.project, &scan.patches, &scan.calls);
    let roots = match request.from.as_str() {
        "" => None,
        name => Some(find_function(scan, name)?),
    };
    let wanted = wanted(scan, target, roots.as_deref(), &entries);
    let mut draft = Draft {
        scan,
        wanted,
        places: FxHashMap::default(),
    };
    let steps = draft.steps();
    let cuts = draft.cuts(&steps, roots.as_deref());
    let colours = draft.colours(&entries);
    let steps: Vec<Step> = draft.describe(&steps);
    Ok(Plan {
        schema: SCHEMA,
        target: if target == Target::Threads {
            "threads"
        } else {
            "asyncio"
        },
        from: (!request.from.is_empty()).then(|| request.from.clone()),
        entry: request.entry.clone(),
        first: preparations(scan, target),
        steps,
        cuts,
        colours,
    })
}

fn function_names(scan: &Scan) -> FxHashMap<String, FunctionId> {
    let mut found = FxHashMap::default();
    for (id, module) in scan.project.modules.iter().enumerate() {
        for number in 0..module.outline.functions.len() as u32 {
            let function = (id as u32, number);
            found.insert(
                plain(&scan.project.function_name(function.0, number)),
                function,
            );
        }
    }
    found
}

fn entry_modules(scan: &Scan, names: &[String]) -> Result<Vec<u32>, String> {
    names
        .iter()
        .map(|name| {
            let name = scan.scripts.get(name).unwrap_or(name);
            let name = name.split(':').next().unwrap_or(name);
            scan.project
                .modules
                .iter()
                .position(|module| module.name == name || module.path == name)
                .map(|at| at as u32)
                .ok_or_else(|| {
                    let scripts: Vec<&str> = scan.scripts.keys().map(String::as_str).collect();
                    format!(
                        "there is no module {name:?} to enter by: write a module, its path{}{}",
                        if scripts.is_empty() {
                            ""
                        } else {
                            ", or one of the commands "
                        },
                        scripts.join(", ")
                    )
                })
        })
        .collect()
}

fn find_function(scan: &Scan, name: &str) -> Result<Vec<FunctionId>, String> {
    let wanted = plain(name);
    let mut found = Vec::new();
    for (id, module) in scan.project.modules.iter().enumerate() {
        for number in 0..module.outline.functions.len() as u32 {
            let full = plain(&scan.project.function_name(id as u32, number));
            if full == wanted
                || full
                    .strip_prefix(&wanted)
                    .is_some_and(|rest| rest.starts_with('.'))
            {
                found.push((id as u32, number));
            }
        }
    }
    if found.is_empty() {
        return Err(format!(
            "there is no function {name:?}: write module:qualified.name"
        ));
    }
    Ok(found)
}

/// Adds what runs have shown: functions that switched, and calls that were on the stack.
fn add_evidence(scan: &mut Scan, names: &FxHashMap<String, FunctionId>, evidence: &Evidence) {
    for name in &evidence.switching {
        if let Some(&from) = names.get(name) {
            let symbol: Arc<str> = "seen switching".into();
            scan.calls.seeds.push(Seed {
                from,
                symbol,
                site: NONE,
                awaited: false,
                is_sure: true,
            });
        }
    }
    for (caller, called) in &evidence.calls {
        if let (Some(&from), Some(&to)) = (names.get(&plain(caller)), names.get(&plain(called))) {
            let kind = EdgeKind::Callback;
            scan.calls.edges.push(Edge::new(from, to, kind));
        }
    }
}

/// The functions that have to change: to asyncio all that switch, to threads all that name
/// Eventlet.
fn wanted(
    scan: &Scan,
    target: Target,
    roots: Option<&[FunctionId]>,
    entries: &[u32],
) -> FxHashSet<FunctionId> {
    let mut found: FxHashSet<FunctionId> = if target == Target::Threads {
        scan.hits
            .iter()
            .filter(|hit| !hit.is_hidden && matches!(hit.kind, Kind::Use | Kind::Wrapper))
            .map(|hit| (hit.at.module, hit.at.function))
            .collect()
    } else {
        scan.colours.reasons.keys().copied().collect()
    };
    found.retain(|(module, function)| {
        *function != NONE && !scan.project.modules[*module as usize].is_test
    });
    if !entries.is_empty() {
        let mut reached: FxHashSet<u32> = FxHashSet::default();
        for &entry in entries {
            reached.extend(patches::closure(&scan.project, &scan.imports, entry));
        }
        found.retain(|(module, _)| reached.contains(module));
    }
    if let Some(roots) = roots {
        let mut callees: FxHashMap<FunctionId, Vec<FunctionId>> = FxHashMap::default();
        for edge in scan
            .calls
            .edges
            .iter()
            .filter(|edge| carries(&scan.project, edge))
        {
            callees.entry(edge.from).or_default().push(edge.to);
        }
        let mut reached: FxHashSet<FunctionId> = FxHashSet::default();
        let mut pending = roots.to_vec();
        while let Some(function) = pending.pop() {
            if reached.insert(function) {
                pending.extend(callees.get(&function).into_iter().flatten());
            }
        }
        found.retain(|function| reached.contains(function));
    }
    found
}

fn preparations(scan: &Scan, target: Target) -> Vec<Preparation> {
    let direct: BTreeSet<&str> = scan
        .findings
        .iter()
        .filter(|finding| finding.via.is_empty() && finding.kind == Kind::Use && !finding.test)
        .map(|finding| finding.path.as_str())
        .collect();
    let mut found = Vec::new();
    if direct.len() > 2 && scan.facades().is_empty() {
        found.push(Preparation {
            command: "eventlet-asyncio rewrite facade --module NAME --write".to_owned(),
            why: format!(
                "{} files import Eventlet: afterwards one does",
                direct.len()
            ),
        });
    }
    if target != Target::Asyncio {
        found.push(Preparation {
            command: "eventlet-asyncio rewrite all --target threads --write".to_owned(),
            why: "what is safe wherever it runs, on Eventlet as well".to_owned(),
        });
    }
    found
}

struct Draft<'s> {
    scan: &'s Scan,
    wanted: FxHashSet<FunctionId>,
    places: FxHashMap<u32, Places<'s>>,
}

impl Draft<'_> {
    /// Sets of functions, each after all that it calls.
    fn steps(&self) -> Vec<Vec<FunctionId>> {
        let mut ordered: Vec<FunctionId> = self.wanted.iter().copied().collect();
        ordered.sort_by_key(|&(module, function)| {
            (&self.scan.project.modules[module as usize].name, function)
        });
        let mut graph: DiGraph<FunctionId, ()> = DiGraph::new();
        let nodes: FxHashMap<FunctionId, NodeIndex> = ordered
            .iter()
            .map(|&function| (function, graph.add_node(function)))
            .collect();
        for edge in &self.scan.calls.edges {
            if let (Some(&from), Some(&to)) = (nodes.get(&edge.from), nodes.get(&edge.to))
                && carries(&self.scan.project, edge)
            {
                graph.update_edge(from, to, ());
            }
        }
        // Tarjan's order is the one that is asked for: callees first.
        tarjan_scc(&graph)
            .into_iter()
            .map(|part| {
                let mut part: Vec<FunctionId> = part.into_iter().map(|node| graph[node]).collect();
                part.sort_unstable();
                part
            })
            .collect()
    }

    fn place(&mut self, module: u32, offset: u32) -> (String, u32) {
        let entry = &self.scan.project.modules[module as usize];
        let places = self
            .places
            .entry(module)
            .or_insert_with(|| entry.outline.lines.places());
        (entry.path.clone(), places.of(offset).0)
    }

    fn member(&mut self, function: FunctionId) -> Member {
        let offset = self.scan.project.modules[function.0 as usize]
            .outline
            .functions
            .get(function.1 as usize)
            .map_or(0, |entry| entry.start);
        let (path, line) = self.place(function.0, offset);
        Member {
            name: self.scan.project.function_name(function.0, function.1),
            path,
            line,
            colour: self.scan.colours.of(function),
        }
    }

    /// Calls into a set of functions from outside of it.
    fn sites(&self, inside: &FxHashSet<FunctionId>) -> Vec<&Edge> {
        let mut seen = FxHashSet::default();
        self.scan
            .calls
            .edges
            .iter()
            .filter(|edge| {
                edge.kind != EdgeKind::Guess
                    && inside.contains(&edge.to)
                    && !inside.contains(&edge.from)
                    && seen.insert((edge.from, edge.site, edge.to))
            })
            .collect()
    }

    fn is_test(&self, function: FunctionId) -> bool {
        self.scan.project.modules[function.0 as usize].is_test
    }

    fn describe(&mut self, steps: &[Vec<FunctionId>]) -> Vec<Step> {
        let mut step_of: FxHashMap<FunctionId, usize> = FxHashMap::default();
        for (index, part) in steps.iter().enumerate() {
            for &function in part {
                step_of.insert(function, index + 1);
            }
        }
        let mut symbols: FxHashMap<FunctionId, BTreeSet<Arc<str>>> = FxHashMap::default();
        for seed in &self.scan.calls.seeds {
            if crate::colour::is_live(&self.scan.patches, seed) {
                symbols
                    .entry(seed.from)
                    .or_default()
                    .insert(seed.symbol.clone());
            }
        }
        let mut incoming: FxHashMap<FunctionId, Vec<&Edge>> = FxHashMap::default();
        let mut outgoing: FxHashMap<FunctionId, Vec<&Edge>> = FxHashMap::default();
        for edge in &self.scan.calls.edges {
            incoming.entry(edge.to).or_default().push(edge);
            outgoing.entry(edge.from).or_default().push(edge);
        }
        // Calls from what is not changed yet into what is.
        let mut open: i64 = 0;
        let mut done: FxHashSet<FunctionId> = FxHashSet::default();
        let mut found = Vec::new();
        for (index, part) in steps.iter().enumerate() {
            let own: FxHashSet<FunctionId> = part.iter().copied().collect();
            let (mut callers, mut tests) = (FxHashSet::default(), FxHashSet::default());
            let mut after = BTreeSet::new();
            done.extend(part);
            for function in part {
                for edge in incoming.get(function).into_iter().flatten() {
                    if own.contains(&edge.from) {
                        continue;
                    }
                    if self.is_test(edge.from) {
                        tests.insert(edge.from);
                    } else {
                        callers.insert((edge.from, edge.site));
                        open += i64::from(!done.contains(&edge.from));
                    }
                }
                for edge in outgoing.get(function).into_iter().flatten() {
                    if !own.contains(&edge.to)
                        && let Some(&step) = step_of.get(&edge.to)
                    {
                        if step <= index {
                            open -= 1;
                        }
                        if carries(&self.scan.project, edge) && step <= index {
                            after.insert(step);
                        }
                    }
                }
            }
            let proof = self.proof(part[0]);
            found.push(Step {
                step: index + 1,
                cycle: part.len() > 1,
                switches: part
                    .iter()
                    .flat_map(|function| symbols.get(function).into_iter().flatten().cloned())
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect(),
                functions: part.iter().map(|&function| self.member(function)).collect(),
                after: after.into_iter().collect(),
                callers: callers.len(),
                tests: tests.len(),
                bridges: open.max(0) as usize,
                proof,
            });
        }
        found
    }

    fn proof(&mut self, function: FunctionId) -> Vec<ProofStep> {
        let steps = self
            .scan
            .colours
            .proof(&self.scan.project, &self.scan.parts, function);
        steps
            .into_iter()
            .map(|step| {
                let (path, line) = self.place(step.function.0, step.offset);
                ProofStep {
                    function: self
                        .scan
                        .project
                        .function_name(step.function.0, step.function.1),
                    path,
                    line,
                    symbol: step.symbol,
                }
            })
            .collect()
    }

    /// For each function what a bridge at its callers costs: the cheapest come first.
    fn cuts(&mut self, steps: &[Vec<FunctionId>], roots: Option<&[FunctionId]>) -> Vec<Cut> {
        const MOST: usize = 10;
        let mut callees: FxHashMap<FunctionId, Vec<FunctionId>> = FxHashMap::default();
        for edge in &self.scan.calls.edges {
            if self.wanted.contains(&edge.from)
                && self.wanted.contains(&edge.to)
                && carries(&self.scan.project, edge)
            {
                callees.entry(edge.from).or_default().push(edge.to);
            }
        }
        // Of a whole project only the first steps: they are what can be done next.
        let looked_at = if roots.is_some() {
            steps.len()
        } else {
            steps.len().min(40)
        };
        let mut costs: Vec<(usize, usize, FunctionId, FxHashSet<FunctionId>)> = Vec::new();
        for part in steps.iter().take(looked_at.min(400)) {
            let mut inside: FxHashSet<FunctionId> = FxHashSet::default();
            let mut pending = part.clone();
            while let Some(function) = pending.pop() {
                if inside.insert(function) {
                    pending.extend(callees.get(&function).into_iter().flatten());
                }
            }
            let sites = self.sites(&inside);
            let count = sites.iter().filter(|edge| !self.is_test(edge.from)).count();
            costs.push((count, inside.len(), part[0], inside));
        }
        costs.sort_by_key(|(count, size, function, _)| {
            (*count, std::cmp::Reverse(*size), *function)
        });
        let mut found = Vec::new();
        for (index, (_, _, function, inside)) in costs.into_iter().take(MOST).enumerate() {
            let edges: Vec<(FunctionId, u32)> = self
                .sites(&inside)
                .iter()
                .filter(|edge| !self.is_test(edge.from))
                .map(|edge| (edge.from, edge.site))
                .collect();
            let mut sites: Vec<Place> = edges
                .into_iter()
                .map(|(from, site)| {
                    let uses = &self.scan.parts[from.0 as usize].uses;
                    let offset = uses.get(&site).map_or(0, |one| one.range.0);
                    let function = self.scan.project.function_name(from.0, from.1);
                    let (path, line) = self.place(from.0, offset);
                    Place {
                        path,
                        line,
                        function,
                    }
                })
                .collect();
            sites.sort();
            sites.dedup();
            let mut numbers: Vec<usize> = steps
                .iter()
                .enumerate()
                .filter(|(_, part)| inside.contains(&part[0]))
                .map(|(at, _)| at + 1)
                .collect();
            numbers.sort_unstable();
            found.push(Cut {
                function: self.scan.project.function_name(function.0, function.1),
                steps: numbers,
                sites,
                bridge: "spawn_for_awaitable(...).wait() in green callers; \
                         await spawn(...) where a coroutine calls what is still green",
                cheapest: index == 0,
            });
        }
        found
    }

    fn colours(&self, entries: &[u32]) -> BTreeMap<String, Colour> {
        let mut found = BTreeMap::new();
        for (id, module) in self.scan.project.modules.iter().enumerate() {
            if !entries.is_empty() && !self.wanted.iter().any(|(home, _)| *home == id as u32) {
                continue;
            }
            for (number, function) in module.outline.functions.iter().enumerate() {
                if !function.is_lambda {
                    let function = (id as u32, number as u32);
                    let name = self.scan.project.function_name(function.0, function.1);
                    found.insert(name, self.scan.colours.of(function));
                }
            }
        }
        found
    }
}
