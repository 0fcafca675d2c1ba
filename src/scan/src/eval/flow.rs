//! Which bindings of a name may be the one that a place sees.

use crate::facts::{Binding, BindingKind, BranchKind, Facts, NONE};

/// The index of a name that a scope binds.
pub(crate) fn lookup(facts: &Facts, scope: u32, name: &str) -> Option<u32> {
    facts
        .id_of(name)
        .filter(|&id| !facts.bindings_of(scope, id).is_empty())
}

/// The bindings that a use at a place may mean; without a place, those that are left in the end.
pub(crate) fn live_bindings(
    facts: &Facts,
    scope: u32,
    name: u32,
    at: Option<(u32, u32)>,
) -> Vec<&Binding> {
    let all = facts.bindings_of(scope, name);
    if all.len() == 1 {
        return vec![&all[0]];
    }
    let (branch, pos) = at.unwrap_or_else(|| {
        let outer = all
            .iter()
            .map(|b| depth_of(facts, b.branch))
            .min()
            .unwrap_or(0);
        let top = all.iter().find(|b| depth_of(facts, b.branch) == outer);
        (top.map_or(NONE, |b| b.branch), u32::MAX)
    });
    let mut live: Vec<&Binding> = Vec::new();
    for binding in all {
        if binding.pos >= pos {
            // Reached by the next round of a loop, if both are in one.
            if in_loop(facts, branch) && live.is_empty() {
                live.push(binding);
            }
            continue;
        }
        let covers = if at.is_some() {
            is_around(facts, binding.branch, branch)
        } else {
            binding.branch == NONE || is_around(facts, binding.branch, branch)
        };
        if at.is_some() && excludes(facts, binding.branch, branch) {
            continue;
        }
        if matches!(binding.kind, BindingKind::Deleted) {
            // In the end it is gone, but whoever asks ran before that.
            if covers && at.is_some() {
                live.clear();
            }
            continue;
        }
        if covers && !matches!(binding.kind, BindingKind::Annotated(_)) {
            live.clear();
        }
        live.push(binding);
    }
    if live.is_empty() {
        all.iter().collect()
    } else {
        live
    }
}

fn depth_of(facts: &Facts, mut branch: u32) -> usize {
    let mut depth = 0;
    while branch != NONE {
        depth += 1;
        branch = facts.branches[branch as usize].parent;
    }
    depth
}

/// Whether `outer` is `inner`, or contains it.
fn is_around(facts: &Facts, outer: u32, mut inner: u32) -> bool {
    loop {
        if inner == outer {
            return true;
        }
        if inner == NONE {
            return false;
        }
        inner = facts.branches[inner as usize].parent;
    }
}

/// Whether two blocks are different arms of one statement.
fn excludes(facts: &Facts, one: u32, other: u32) -> bool {
    let mut at = one;
    while at != NONE {
        let branch = &facts.branches[at as usize];
        let mut against = other;
        while against != NONE {
            let second = &facts.branches[against as usize];
            if branch.group == second.group && branch.arm != second.arm {
                return true;
            }
            against = second.parent;
        }
        at = branch.parent;
    }
    false
}

fn in_loop(facts: &Facts, mut branch: u32) -> bool {
    while branch != NONE {
        let entry = &facts.branches[branch as usize];
        if entry.kind == BranchKind::Loop {
            return true;
        }
        branch = entry.parent;
    }
    false
}
