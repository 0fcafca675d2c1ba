//! Who calls whom, who waits, and which functions only hand on to `spawn`.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::eval::{Evaluator, Meaning, Value};
use crate::facts::{Facts, NONE, Node, Place, Use};
use crate::implicit;
use crate::names;

/// A function of the project: its module and its number there; `NONE` for the module's own code.
pub(crate) type FunctionId = (u32, u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) from: FunctionId,
    pub(crate) to: FunctionId,
    pub(crate) kind: EdgeKind,
    /// The use in the caller's module, and the façade names it came through.
    pub(crate) site: u32,
    pub(crate) via: Vec<Arc<str>>,
}

/// A call in a function that may switch by itself.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    pub(crate) from: FunctionId,
    pub(crate) symbol: Arc<str>,
    pub(crate) site: u32,
    /// The group of `monkey_patch` that it depends on; empty: on none.
    pub(crate) group: &'static str,
    pub(crate) awaited: bool,
}

/// A name outside of the project whose table entry makes it worth a finding.
#[derive(Clone, Debug)]
pub(crate) struct Outer {
    pub(crate) symbol: Arc<str>,
    pub(crate) via: Vec<Arc<str>>,
    /// Module and use.
    pub(crate) at: (u32, u32),
}

/// What a wrapper hands its argument to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrapped {
    pub(crate) symbol: Arc<str>,
    /// Which of its parameters is run.
    pub(crate) param: u32,
}

#[derive(Default)]
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
    /// Functions that call one of their parameters.
    pub(crate) runs_param: FxHashSet<(u32, u32, u32)>,
}

impl Calls {
    pub(crate) fn extend(&mut self, other: Self) {
        self.edges.extend(other.edges);
        self.seeds.extend(other.seeds);
        self.outer.extend(other.outer);
        self.unknown.extend(other.unknown);
        self.wrappers.extend(other.wrappers);
        self.given.extend(other.given);
        self.runs_param.extend(other.runs_param);
    }
}

/// Built-in functions that call what they are given, before they return.
const CALLING: &[&str] = &[
    "builtins.map",
    "builtins.filter",
    "builtins.sorted",
    "builtins.min",
    "builtins.max",
    "functools.reduce",
    "eventlet.timeout.with_timeout",
    "contextlib.ExitStack.callback",
    "unittest.mock.patch",
];

/// Finds the calls in one file.
pub(crate) fn calls(eval: &Evaluator<'_>, module: u32) -> Calls {
    let mut found = Calls::default();
    let facts = eval.facts(module);
    for (site, entry) in facts.uses.iter().enumerate() {
        one_use(eval, module, site as u32, entry, &mut found);
    }
    for (id, function) in facts.functions.iter().enumerate() {
        for &decorator in &function.decorators {
            decorated(eval, module, (module, id as u32), decorator, &mut found);
        }
    }
    found
}

fn one_use(eval: &Evaluator<'_>, module: u32, site: u32, entry: &Use, found: &mut Calls) {
    let facts = eval.facts(module);
    let from = (module, entry.function);
    if matches!(entry.place, Place::Annotation) {
        return;
    }
    let expr = facts.expr(entry.expr);
    if let Node::Attr { base, name } = expr.node {
        properties(eval, module, from, site, base, facts.text(name), found);
    }
    // A name that is bound here and nowhere else to a parameter, or to nothing known.
    let meanings = eval.eval(module, entry.expr);
    if entry.call == NONE {
        if entry.place == Place::With {
            entered(eval, from, site, &meanings, found);
        }
        if let Place::Argument(call, position) = entry.place {
            given(eval, module, from, site, call, position, &meanings, found);
        }
        for meaning in &meanings {
            if let Value::External(name) = &meaning.value
                && !matches!(entry.place, Place::Base | Place::Except | Place::Raise)
                && implicit::entry(name).is_some_and(|entry| entry.switches)
            {
                let (symbol, via) = (name.clone(), meaning.via.clone());
                found.outer.push(Outer {
                    symbol,
                    via,
                    at: (module, site),
                });
            }
        }
        return;
    }
    if meanings.is_empty()
        && let Node::Attr { name, .. } = expr.node
    {
        found.unknown.push((from, facts.text(name).into(), site));
    }
    param_call(facts, module, entry, found);
    for meaning in &meanings {
        match &meaning.value {
            Value::Function(home, id) | Value::Method(home, id) => {
                let to = (*home, *id);
                let via = meaning.via.clone();
                found.edges.push(Edge {
                    from,
                    to,
                    kind: EdgeKind::Call,
                    site,
                    via,
                });
            }
            Value::Class(home, class) => {
                for method in ["__init__", "__new__"] {
                    for to in methods(eval, *home, *class, method) {
                        let via = meaning.via.clone();
                        found.edges.push(Edge {
                            from,
                            to,
                            kind: EdgeKind::Call,
                            site,
                            via,
                        });
                    }
                }
            }
            Value::Instance(class) => {
                if let Value::Class(home, class) = **class {
                    for to in methods(eval, home, class, "__call__") {
                        let via = Vec::new();
                        found.edges.push(Edge {
                            from,
                            to,
                            kind: EdgeKind::Call,
                            site,
                            via,
                        });
                    }
                }
            }
            Value::External(name) => {
                external(eval, module, from, site, entry, name, meaning, found);
            }
            Value::Module(_) | Value::Many(_) => {}
        }
    }
    if entry.place == Place::With {
        let value = eval.eval(module, entry.call);
        entered(eval, from, site, &value, found);
    }
}

#[allow(clippy::too_many_arguments)]
fn external(
    eval: &Evaluator<'_>,
    module: u32,
    from: FunctionId,
    site: u32,
    entry: &Use,
    name: &Arc<str>,
    meaning: &Meaning,
    found: &mut Calls,
) {
    let facts = eval.facts(module);
    if let Some((position, keyword)) = implicit::spawned_argument(name)
        && let Some(argument) = argument(facts, entry.call, position, keyword)
    {
        wrapper_of(facts, from, module, argument, name, found);
    }
    if names::is_ours(name) {
        if implicit::switches(name) {
            let (symbol, awaited) = (name.clone(), entry.awaited);
            found.seeds.push(Seed {
                from,
                symbol,
                site,
                group: "",
                awaited,
            });
        }
        return;
    }
    let Some(known) = implicit::entry(name) else {
        return;
    };
    if known.switches {
        found.seeds.push(Seed {
            from,
            symbol: name.clone(),
            site,
            group: &known.patched,
            awaited: entry.awaited,
        });
    }
    let (symbol, via) = (name.clone(), meaning.via.clone());
    found.outer.push(Outer {
        symbol,
        via,
        at: (module, site),
    });
}

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

/// A function is a wrapper if what is spawned comes from one of its parameters.
fn wrapper_of(
    facts: &Facts,
    from: FunctionId,
    module: u32,
    argument: u32,
    symbol: &Arc<str>,
    found: &mut Calls,
) {
    let mut function = from.1;
    while function != NONE {
        let entry = &facts.functions[function as usize];
        if let Some(param) = param_behind(facts, function, argument, 0) {
            let wrapped = Wrapped {
                symbol: symbol.clone(),
                param,
            };
            found.wrappers.push(((module, function), wrapped));
            return;
        }
        // A decorator, or a helper inside of it.
        function = match facts.scopes[entry.parent as usize].kind {
            crate::facts::ScopeKind::Function => facts.scopes[entry.parent as usize].owner,
            _ => NONE,
        };
    }
}

/// The parameter of a function that an expression runs, directly or within a closure.
pub(crate) fn param_behind(facts: &Facts, function: u32, expr: u32, depth: usize) -> Option<u32> {
    if depth > 4 {
        return None;
    }
    let entry = &facts.functions[function as usize];
    let param = |name: u32| {
        entry
            .params
            .iter()
            .position(|p| p.name == name && p.kind == crate::facts::ParamKind::Plain)
            .filter(|&at| !(at == 0 && entry.class != NONE))
            .map(|at| at as u32)
    };
    match &facts.expr(expr).node {
        Node::Name { name, home, .. } if *home == entry.scope => {
            let bound = crate::eval::bindings(facts, *home, *name);
            let mut answer = param(*name);
            for binding in bound {
                match binding.kind {
                    crate::facts::BindingKind::Function(inner) => {
                        answer = answer.or_else(|| called_param(facts, function, inner));
                    }
                    crate::facts::BindingKind::Value(value) => {
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

/// Notes that a function calls its own parameter.
fn param_call(facts: &Facts, module: u32, entry: &Use, found: &mut Calls) {
    let Node::Name { name, home, .. } = facts.expr(entry.expr).node else {
        return;
    };
    let Some(scope) = facts.scopes.get(home as usize) else {
        return;
    };
    if scope.kind != crate::facts::ScopeKind::Function {
        return;
    }
    // In a closure it is the outer function's parameter; whoever calls the closure runs it.
    let owner = scope.owner;
    let params = &facts.functions[owner as usize].params;
    if let Some(at) = params.iter().position(|param| param.name == name) {
        found.runs_param.insert((module, owner, at as u32));
    }
}

/// A function that is given to a call.
#[allow(clippy::too_many_arguments)]
fn given(
    eval: &Evaluator<'_>,
    module: u32,
    from: FunctionId,
    site: u32,
    call: u32,
    position: u32,
    meanings: &[Meaning],
    found: &mut Calls,
) {
    let functions: Vec<FunctionId> = meanings
        .iter()
        .filter_map(|meaning| match meaning.value {
            Value::Function(home, id) | Value::Method(home, id) => Some((home, id)),
            _ => None,
        })
        .collect();
    if functions.is_empty() {
        return;
    }
    let facts = eval.facts(module);
    let Node::Call { func, args } = &facts.expr(call).node else {
        return;
    };
    let keyword = args.get(position as usize).map_or(NONE, |arg| arg.name);
    for meaning in eval.eval(module, *func) {
        match &meaning.value {
            Value::External(name) => {
                let kind = if implicit::spawned_argument(name).is_some() {
                    EdgeKind::Spawned
                } else if CALLING.contains(&&**name) {
                    EdgeKind::Callback
                } else {
                    continue;
                };
                for &to in &functions {
                    found.edges.push(Edge {
                        from,
                        to,
                        kind,
                        site,
                        via: Vec::new(),
                    });
                }
            }
            Value::Function(home, id) | Value::Method(home, id) => {
                let bound = u32::from(matches!(meaning.value, Value::Method(..)));
                let entry = &eval.facts(*home).functions[*id as usize];
                let at = if keyword == NONE {
                    Some(position + bound)
                } else {
                    let name = facts.text(keyword);
                    let other = eval.facts(*home);
                    entry
                        .params
                        .iter()
                        .position(|p| other.text(p.name) == name)
                        .map(|at| at as u32)
                };
                if let Some(at) = at {
                    for &to in &functions {
                        found.given.push(((*home, *id), at, to));
                    }
                }
            }
            _ => {}
        }
    }
}

/// `with` enters and leaves what it is given.
fn entered(
    eval: &Evaluator<'_>,
    from: FunctionId,
    site: u32,
    meanings: &[Meaning],
    found: &mut Calls,
) {
    for meaning in meanings {
        let Value::Instance(class) = &meaning.value else {
            continue;
        };
        match &**class {
            Value::Class(home, id) => {
                for method in ["__enter__", "__exit__", "__aenter__", "__aexit__"] {
                    for to in methods(eval, *home, *id, method) {
                        let via = Vec::new();
                        found.edges.push(Edge {
                            from,
                            to,
                            kind: EdgeKind::Call,
                            site,
                            via,
                        });
                    }
                }
            }
            Value::External(name) => {
                let symbol: Arc<str> = format!("{name}.__enter__").into();
                if names::is_ours(&symbol) {
                    if implicit::switches(&symbol) {
                        let awaited = false;
                        found.seeds.push(Seed {
                            from,
                            symbol,
                            site,
                            group: "",
                            awaited,
                        });
                    }
                } else if let Some(known) = implicit::entry(&symbol) {
                    let group = &known.patched;
                    let seed = Seed {
                        from,
                        symbol: symbol.clone(),
                        site,
                        group,
                        awaited: false,
                    };
                    found.seeds.push(seed);
                    let via = meaning.via.clone();
                    found.outer.push(Outer {
                        symbol,
                        via,
                        at: (from.0, site),
                    });
                }
            }
            _ => {}
        }
    }
}

/// Reading an attribute may run a property.
fn properties(
    eval: &Evaluator<'_>,
    module: u32,
    from: FunctionId,
    site: u32,
    base: u32,
    name: &str,
    found: &mut Calls,
) {
    let facts = eval.facts(module);
    for meaning in eval.eval(module, base) {
        let Value::Instance(class) = &meaning.value else {
            continue;
        };
        let Value::Class(home, class) = **class else {
            continue;
        };
        for to in methods(eval, home, class, name) {
            if eval.is_property(to.0, to.1) {
                let via = Vec::new();
                found.edges.push(Edge {
                    from,
                    to,
                    kind: EdgeKind::Property,
                    site,
                    via,
                });
            }
        }
    }
    if let Node::Attr { base, name } = facts.expr(base).node {
        properties(eval, module, from, site, base, facts.text(name), found);
    }
}

/// The function that a class, or the first of its bases, has under a name.
pub(crate) fn methods(
    eval: &Evaluator<'_>,
    module: u32,
    class: u32,
    name: &str,
) -> Vec<FunctionId> {
    let mut found = Vec::new();
    let mut pending = vec![(module, class)];
    let mut seen = FxHashSet::default();
    while let Some((module, class)) = pending.pop() {
        if !seen.insert((module, class)) {
            continue;
        }
        let facts = eval.facts(module);
        let entry = &facts.classes[class as usize];
        if let Some(id) = crate::eval::lookup(facts, entry.scope, name) {
            for binding in crate::eval::bindings(facts, entry.scope, id) {
                if let crate::facts::BindingKind::Function(function) = binding.kind {
                    found.push((module, function));
                }
            }
            return found;
        }
        for &base in entry.bases.iter().rev() {
            for meaning in eval.eval(module, base) {
                if let Value::Class(home, id) = meaning.value {
                    pending.push((home, id));
                }
            }
        }
    }
    found
}

/// Calling a decorated function calls what its decorator put in its place.
fn decorated(
    eval: &Evaluator<'_>,
    module: u32,
    function: FunctionId,
    decorator: u32,
    found: &mut Calls,
) {
    let facts = eval.facts(module);
    let node = &facts.expr(decorator).node;
    let meanings = eval.eval(module, decorator);
    for meaning in &meanings {
        if let Value::Function(home, id) = meaning.value {
            // With arguments the expression is the decorator itself, whose result is called.
            for inner in returned_functions(eval, (home, id)) {
                found.edges.push(Edge {
                    from: function,
                    to: inner,
                    kind: EdgeKind::Callback,
                    site: NONE,
                    via: Vec::new(),
                });
            }
        }
    }
    let called = if let Node::Call { func, .. } = node {
        *func
    } else {
        decorator
    };
    for meaning in eval.eval(module, called) {
        if let Value::External(name) = &meaning.value
            && let Some(known) = implicit::entry(name)
            && known.switches
        {
            found.seeds.push(Seed {
                from: function,
                symbol: name.clone(),
                site: NONE,
                group: &known.patched,
                awaited: false,
            });
        }
    }
}

/// The functions that a function gives back.
fn returned_functions(eval: &Evaluator<'_>, (module, id): FunctionId) -> Vec<FunctionId> {
    let facts = eval.facts(module);
    let mut found = Vec::new();
    for &value in &facts.functions[id as usize].returns {
        for meaning in eval.eval(module, value) {
            if let Value::Function(home, inner) = meaning.value
                && (home, inner) != (module, id)
            {
                found.push((home, inner));
            }
        }
    }
    found
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
pub(crate) fn complete(eval: &Evaluator<'_>, calls: &mut Calls) {
    for (callee, param, function) in &calls.given {
        if calls.runs_param.contains(&(callee.0, callee.1, *param)) {
            calls.edges.push(Edge {
                from: *callee,
                to: *function,
                kind: EdgeKind::Callback,
                site: NONE,
                via: Vec::new(),
            });
        }
    }
    let mut by_name: FxHashMap<&str, Vec<FunctionId>> = FxHashMap::default();
    for (id, module) in eval.project.modules.iter().enumerate() {
        for (number, function) in module.facts.functions.iter().enumerate() {
            if function.class != NONE {
                let name = module.facts.text(function.name);
                by_name
                    .entry(name)
                    .or_default()
                    .push((id as u32, number as u32));
            }
        }
    }
    for (from, name, site) in &calls.unknown {
        if let Some([only]) = by_name.get(&**name).map(Vec::as_slice)
            && name.len() > 3
            && !COMMON.contains(&&**name)
        {
            calls.edges.push(Edge {
                from: *from,
                to: *only,
                kind: EdgeKind::Guess,
                site: *site,
                via: Vec::new(),
            });
        }
    }
}

/// Which functions wrap what, with those that wrap a wrapper.
pub(crate) fn wrappers(eval: &Evaluator<'_>, calls: &Calls) -> FxHashMap<FunctionId, Wrapped> {
    let mut found: FxHashMap<FunctionId, Wrapped> = FxHashMap::default();
    for (function, wrapped) in &calls.wrappers {
        if names::is_ours(&wrapped.symbol) {
            found.entry(*function).or_insert_with(|| wrapped.clone());
        }
    }
    loop {
        let mut more = Vec::new();
        for edge in &calls.edges {
            let Some(wrapped) = found.get(&edge.to) else {
                continue;
            };
            if edge.kind != EdgeKind::Call || edge.from.1 == NONE || found.contains_key(&edge.from)
            {
                continue;
            }
            let facts = eval.facts(edge.from.0);
            let call = facts.uses[edge.site as usize].call;
            let callee = &eval.facts(edge.to.0).functions[edge.to.1 as usize];
            let is_method = callee.class != NONE;
            let position = (wrapped.param as usize).saturating_sub(usize::from(is_method));
            let name = callee
                .params
                .get(wrapped.param as usize)
                .map_or(NONE, |param| param.name);
            let keyword = eval.facts(edge.to.0).text(name);
            if let Some(argument) = argument(facts, call, position, keyword)
                && let Some(param) = param_behind(facts, edge.from.1, argument, 0)
            {
                let symbol = wrapped.symbol.clone();
                more.push((edge.from, Wrapped { symbol, param }));
            }
        }
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}
