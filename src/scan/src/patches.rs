//! What `monkey_patch` has made green wherever a line runs.
//!
//! A change such as `eventlet.sleep` to `time.sleep` is safe only if `time` is patched in every
//! process that runs the line: otherwise it blocks the hub until the last day of Eventlet.

use std::collections::BTreeMap;

use crate::explicit::Hit;
use crate::facts::{Facts, NONE, Node};
use crate::project::Project;

/// The groups of modules that `monkey_patch` knows, as bits.
const GROUPS: &[&str] = &[
    "os",
    "select",
    "socket",
    "thread",
    "time",
    "subprocess",
    "psycopg",
    "MySQLdb",
    "builtins",
];
const BY_DEFAULT: u16 = 0b0_0111_1111;

#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    /// Patched in every process that runs the module.
    pub(crate) surely: u16,
    /// Patched in some process that runs it.
    pub(crate) possibly: u16,
}

pub(crate) struct Patches {
    pub(crate) of_module: Vec<State>,
    /// Whether anything in the project patches.
    pub(crate) is_any: bool,
}

fn bit(group: &str) -> u16 {
    GROUPS
        .iter()
        .position(|name| *name == group)
        .map_or(0, |at| 1 << at)
}

impl State {
    pub(crate) fn surely(self, group: &str) -> bool {
        bit(group) != 0 && self.surely & bit(group) != 0
    }

    pub(crate) fn possibly(self, group: &str) -> bool {
        bit(group) != 0 && self.possibly & bit(group) != 0
    }
}

/// The group that a standard module is patched with; empty if it never is.
pub(crate) fn group_of(module: &str) -> &'static str {
    match module {
        "time" => "time",
        "os" => "os",
        "subprocess" => "subprocess",
        "select" | "selectors" => "select",
        "socket" | "ssl" | "http" | "http.client" | "http.server" | "urllib" | "urllib.request"
        | "ftplib" | "smtplib" | "socketserver" | "asyncore" | "asynchat" => "socket",
        "threading" | "_thread" | "thread" | "queue" => "thread",
        "MySQLdb" => "MySQLdb",
        _ => "",
    }
}

/// What a call of `monkey_patch` patches: surely, and possibly.
fn arguments(facts: &Facts, call: u32) -> State {
    let Some(Node::Call { args, .. }) = facts.exprs.get(call as usize).map(|expr| &expr.node)
    else {
        return State {
            surely: 0,
            possibly: BY_DEFAULT,
        };
    };
    let (mut on, mut off, mut unknown) = (0u16, 0u16, 0u16);
    let mut all = None;
    for arg in args {
        if arg.name == NONE {
            return State {
                surely: 0,
                possibly: u16::MAX,
            };
        }
        let name = facts.text(arg.name);
        let value = match facts.expr(arg.value).node {
            Node::Bool(value) => Some(value),
            Node::Int(value) => Some(value != 0),
            Node::Nothing => Some(false),
            _ => None,
        };
        match (name, value) {
            ("all", Some(value)) => all = Some(value),
            ("all", None) => {
                return State {
                    surely: 0,
                    possibly: u16::MAX,
                };
            }
            (name, Some(true)) => on |= bit(name),
            (name, Some(false)) => off |= bit(name),
            (name, None) => unknown |= bit(name),
        }
    }
    // Naming some leaves out the others.
    let rest = all.unwrap_or(on == 0);
    let base = if rest { BY_DEFAULT } else { 0 };
    let surely = (base | on) & !off & !unknown;
    State {
        surely,
        possibly: surely | unknown | if unknown != 0 { BY_DEFAULT & !off } else { 0 },
    }
}

/// Finds what is patched where; with `only`, in the processes that enter by these modules.
pub(crate) fn find(
    project: &Project,
    hits: &[Hit],
    imports: &[Vec<u32>],
    only: Option<&[u32]>,
) -> Patches {
    let count = project.modules.len();
    let mut own: Vec<Option<State>> = vec![None; count];
    for hit in hits {
        if &*hit.symbol != "eventlet.patcher.monkey_patch" || hit.subject == NONE {
            continue;
        }
        let facts = project.modules[hit.at.module as usize].facts();
        let call = facts.uses[hit.subject as usize].call;
        if call == NONE {
            continue;
        }
        let state = arguments(facts, call);
        let entry = own[hit.at.module as usize].get_or_insert(State {
            surely: 0,
            possibly: 0,
        });
        entry.surely |= state.surely;
        entry.possibly |= state.possibly;
    }
    let is_any = own.iter().any(Option::is_some);
    let nothing = State {
        surely: 0,
        possibly: 0,
    };
    if !is_any {
        return Patches {
            of_module: vec![nothing; count],
            is_any,
        };
    }
    let is_test = |id: usize| project.modules[id].is_test;
    let reached = reached_patches(imports, &own);
    // [programs, tests]: what every process patches, what some do, whether there is one.
    let mut seen = vec![[(u16::MAX, 0u16, false); 2]; count];
    let mut general = [(u16::MAX, 0u16, false); 2];
    // Entries of one kind that patch the same.
    let mut alike: BTreeMap<(usize, u16, u16), Vec<u32>> = BTreeMap::new();
    for (entry, patches) in own.iter().enumerate() {
        let is_entry = only.map_or_else(
            || {
                let module = &project.modules[entry];
                // A test may be run alone, with what it patches itself.
                patches.is_some() || module.outline.is_program || module.is_entry || module.is_test
            },
            |only| only.contains(&(entry as u32)),
        );
        if !is_entry {
            continue;
        }
        let mut starts = with_packages(project, entry as u32);
        if is_test(entry) {
            starts.extend(fixtures(project, entry as u32));
        }
        let (mut surely, mut possibly) = (0, 0);
        for &id in &starts {
            surely |= reached[id as usize].surely;
            possibly |= reached[id as usize].possibly;
        }
        let kind = usize::from(is_test(entry));
        if patches.is_some() {
            let slot = &mut general[kind];
            *slot = (slot.0 & surely, slot.1 | possibly, true);
        }
        alike
            .entry((kind, surely, possibly))
            .or_default()
            .extend(starts);
    }
    for ((kind, surely, possibly), starts) in alike {
        for id in all_reached(imports, starts) {
            let slot = &mut seen[id as usize][kind];
            *slot = (slot.0 & surely, slot.1 | possibly, true);
        }
    }
    let of_module = (0..count)
        .map(|id| {
            let [programs, tests] = seen[id];
            let mut found = [programs, general[0], tests, general[1]];
            if is_test(id) {
                found = [tests, general[1], programs, general[0]];
            }
            let (mut surely, possibly, _) = found
                .into_iter()
                .find(|(_, _, known)| *known)
                .unwrap_or((0, 0, true));
            if tests.2 {
                // Tests that run the module unpatched expect what it does then.
                surely &= tests.0;
            }
            State { surely, possibly }
        })
        .collect();
    Patches { of_module, is_any }
}

/// For each module, what is patched by the modules that it imports in the end, and by itself.
fn reached_patches(imports: &[Vec<u32>], own: &[Option<State>]) -> Vec<State> {
    let mut importers = vec![Vec::new(); imports.len()];
    for (importer, imported) in imports.iter().enumerate() {
        for &id in imported {
            importers[id as usize].push(importer as u32);
        }
    }
    let nothing = State {
        surely: 0,
        possibly: 0,
    };
    let mut reached = vec![nothing; imports.len()];
    for (id, state) in own.iter().enumerate() {
        let Some(state) = state else { continue };
        for importer in all_reached(&importers, vec![id as u32]) {
            let slot = &mut reached[importer as usize];
            slot.surely |= state.surely;
            slot.possibly |= state.possibly;
        }
    }
    reached
}

/// A module and the packages that it is in, which are imported first.
fn with_packages(project: &Project, entry: u32) -> Vec<u32> {
    let mut starts = vec![entry];
    let name = &project.modules[entry as usize].name;
    for (at, _) in name.match_indices('.') {
        starts.extend(project.find(&name[..at], entry));
    }
    starts
}

/// What pytest imports before a test: `conftest` of its folder and of those above.
fn fixtures(project: &Project, entry: u32) -> Vec<u32> {
    let name = &project.modules[entry as usize].name;
    let mut found: Vec<u32> = project.find("conftest", entry).into_iter().collect();
    for (at, _) in name.match_indices('.') {
        found.extend(project.find(&format!("{}.conftest", &name[..at]), entry));
    }
    found
}

/// All modules that a program imports in the end, itself included.
pub(crate) fn closure(project: &Project, imports: &[Vec<u32>], entry: u32) -> Vec<u32> {
    all_reached(imports, with_packages(project, entry))
}

/// All that can be reached from where one starts, that included.
fn all_reached(edges: &[Vec<u32>], starts: Vec<u32>) -> Vec<u32> {
    let mut reached = vec![false; edges.len()];
    let mut stack = starts;
    let mut found = Vec::new();
    while let Some(id) = stack.pop() {
        if !std::mem::replace(&mut reached[id as usize], true) {
            found.push(id);
            stack.extend(&edges[id as usize]);
        }
    }
    found
}
