//! Functions that hand what they are given on to what spawns it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::facts::{BindingKind, Facts, NONE, Node, ParamKind, ScopeKind};
use crate::names;

use super::{Calls, EdgeKind, Forward, FunctionId, Wrapped};

/// The argument of a call by its position or its keyword.
pub(crate) fn argument(facts: &Facts, call: u32, position: usize, keyword: &str) -> Option<u32> {
    let Node::Call { args, .. } = &facts.exprs.get(call as usize)?.node else {
        return None;
    };
    args.iter()
        .filter(|arg| arg.name == NONE && !arg.starred)
        .nth(position)
        .or_else(|| {
            args.iter()
                .find(|arg| arg.name != NONE && facts.text(arg.name) == keyword)
        })
        .map(|arg| arg.value)
}

/// The arguments of a call that run a parameter of the function around.
pub(super) fn forwards(facts: &Facts, function: u32, call: u32) -> Vec<Forward> {
    let Some(Node::Call { args, .. }) = facts.exprs.get(call as usize).map(|expr| &expr.node)
    else {
        return Vec::new();
    };
    if function == NONE || facts.functions[function as usize].params.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut next = 0;
    for arg in args {
        let is_positional = arg.name == NONE && !arg.starred;
        if let Some(param) = param_behind(facts, function, arg.value, 0)
            && (is_positional || arg.name != NONE)
        {
            found.push(Forward {
                position: if is_positional { next } else { NONE },
                keyword: if is_positional {
                    ""
                } else {
                    facts.text(arg.name)
                }
                .into(),
                as_position: handed(facts, function, param).0,
                as_keyword: handed(facts, function, param).1,
            });
        }
        next += u32::from(is_positional);
    }
    found
}

/// How callers hand over a parameter: its position and its keyword.
fn handed(facts: &Facts, function: u32, param: u32) -> (u32, Arc<str>) {
    let entry = &facts.functions[function as usize];
    (
        param.saturating_sub(u32::from(entry.class != NONE)),
        facts.text(entry.params[param as usize].name).into(),
    )
}

/// A function is a wrapper if what is spawned comes from one of its parameters.
pub(super) fn wrapper_of(
    facts: &Facts,
    from: FunctionId,
    argument: u32,
    symbol: &Arc<str>,
    found: &mut Calls,
) {
    let mut function = from.1;
    while function != NONE {
        let entry = &facts.functions[function as usize];
        if let Some(param) = param_behind(facts, function, argument, 0) {
            let (position, keyword) = handed(facts, function, param);
            let wrapped = Wrapped {
                symbol: symbol.clone(),
                position,
                keyword,
            };
            found.wrappers.push(((from.0, function), wrapped));
            return;
        }
        // A decorator, or a helper inside of it.
        function = match facts.scopes[entry.parent as usize].kind {
            ScopeKind::Function => facts.scopes[entry.parent as usize].owner,
            _ => NONE,
        };
    }
}

/// The parameter of a function that an expression runs, directly or within a closure.
fn param_behind(facts: &Facts, function: u32, expr: u32, depth: usize) -> Option<u32> {
    if depth > 4 {
        return None;
    }
    let entry = &facts.functions[function as usize];
    let param = |name: u32| {
        entry
            .params
            .iter()
            .position(|p| p.name == name && p.kind == ParamKind::Plain)
            .filter(|&at| !(at == 0 && entry.class != NONE))
            .map(|at| at as u32)
    };
    match &facts.expr(expr).node {
        Node::Name { name, home, .. } if *home == entry.scope => {
            let mut answer = param(*name);
            for binding in facts.bindings_of(*home, *name) {
                match binding.kind {
                    BindingKind::Function(inner) => {
                        answer = answer.or_else(|| called_param(facts, function, inner));
                    }
                    BindingKind::Value(value) => {
                        answer = answer.or_else(|| param_behind(facts, function, value, depth + 1));
                    }
                    _ => {}
                }
            }
            answer
        }
        Node::Lambda(inner) => called_param(facts, function, *inner),
        // partial(f, ...), or a function that wraps its argument.
        Node::Call { args, .. } => args
            .iter()
            .find_map(|arg| param_behind(facts, function, arg.value, depth + 1)),
        _ => None,
    }
}

/// The parameter of `outer` that the function `inner` inside of it calls.
fn called_param(facts: &Facts, outer: u32, inner: u32) -> Option<u32> {
    let entry = &facts.functions[outer as usize];
    facts
        .uses
        .iter()
        .filter(|one| one.function == inner && one.call != NONE)
        .find_map(|one| match facts.expr(one.expr).node {
            Node::Name { name, home, .. } if home == entry.scope => entry
                .params
                .iter()
                .position(|param| param.name == name)
                .map(|at| at as u32),
            _ => None,
        })
}

/// Which functions wrap what, with those that wrap a wrapper.
pub(crate) fn wrappers(calls: &Calls) -> FxHashMap<FunctionId, Wrapped> {
    let mut found: FxHashMap<FunctionId, Wrapped> = FxHashMap::default();
    for (function, wrapped) in &calls.wrappers {
        if names::is_ours(&wrapped.symbol) {
            found.entry(*function).or_insert_with(|| wrapped.clone());
        }
    }
    loop {
        let mut more = Vec::new();
        for edge in &calls.edges {
            if edge.forwards.is_empty()
                || edge.kind != EdgeKind::Call
                || edge.from.1 == NONE
                || found.contains_key(&edge.from)
            {
                continue;
            }
            let Some(wrapped) = found.get(&edge.to) else {
                continue;
            };
            let forward = edge.forwards.iter().find(|forward| {
                forward.position == wrapped.position
                    || forward.position == NONE && forward.keyword == wrapped.keyword
            });
            if let Some(forward) = forward {
                let wrapped = Wrapped {
                    symbol: wrapped.symbol.clone(),
                    position: forward.as_position,
                    keyword: forward.as_keyword.clone(),
                };
                more.push((edge.from, wrapped));
            }
        }
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}
