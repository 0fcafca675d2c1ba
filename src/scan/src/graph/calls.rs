//! The calls in one file.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::eval::{Evaluator, Meaning, Value, lookup};
use crate::facts::{BindingKind, BranchKind, Facts, NONE, Node, Place, ScopeKind, Use};
use crate::implicit;
use crate::names;

use super::wrappers::{argument, forwards, wrapper_of};
use super::{Calls, Edge, EdgeKind, FunctionId, Outer, Seed, is_telling};

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
    let facts = eval.facts(module);
    let mut found = Calls::default();
    for (site, entry) in facts.uses.iter().enumerate() {
        if entry.place != Place::Annotation {
            let one = One {
                eval,
                facts,
                module,
                site: site as u32,
                entry,
            };
            one.find(&mut found);
        }
    }
    for (id, function) in facts.functions.iter().enumerate() {
        for &decorator in &function.decorators {
            decorated(eval, module, (module, id as u32), decorator, &mut found);
        }
    }
    found
}

/// One use of a name.
struct One<'e, 'p> {
    eval: &'e Evaluator<'p>,
    facts: &'p Facts,
    module: u32,
    site: u32,
    entry: &'p Use,
}

impl One<'_, '_> {
    fn from(&self) -> FunctionId {
        (self.module, self.entry.function)
    }

    /// Whether it stands in no branch of its function.
    fn is_sure(&self) -> bool {
        if self.entry.function == NONE {
            return self.entry.branch == NONE;
        }
        self.facts
            .branches
            .get(self.entry.branch as usize)
            .is_some_and(|branch| branch.kind == BranchKind::Body)
    }

    fn edge(&self, to: FunctionId, kind: EdgeKind, via: &[Arc<str>]) -> Edge {
        let forwards = if kind == EdgeKind::Call {
            forwards(self.facts, self.entry.function, self.entry.call)
        } else {
            Vec::new()
        };
        Edge {
            site: self.site,
            via: via.to_vec(),
            awaited: self.entry.awaited,
            is_sure: self.is_sure(),
            forwards,
            ..Edge::new(self.from(), to, kind)
        }
    }

    fn seed(&self, symbol: &Arc<str>, awaited: bool) -> Seed {
        Seed {
            from: self.from(),
            symbol: symbol.clone(),
            site: self.site,
            awaited,
            is_sure: self.is_sure(),
        }
    }

    fn outer(&self, symbol: &Arc<str>, via: &[Arc<str>]) -> Outer {
        Outer {
            symbol: symbol.clone(),
            via: via.to_vec(),
            at: (self.module, self.site),
        }
    }

    fn find(&self, found: &mut Calls) {
        let expr = self.facts.expr(self.entry.expr);
        if let Node::Attr { base, name } = expr.node {
            self.properties(base, name, found);
        }
        let meanings = self.eval.eval(self.module, self.entry.expr);
        if self.entry.call == NONE {
            self.named(&meanings, found);
            return;
        }
        if meanings.is_empty()
            && let Node::Attr { name, .. } = expr.node
            && is_telling(self.facts.text(name))
        {
            let name = self.facts.text(name).into();
            found.unknown.push((self.from(), name, self.site));
        }
        self.param_call(found);
        for meaning in &*meanings {
            self.called(meaning, found);
        }
        if self.entry.place == Place::With {
            let value = self.eval.eval(self.module, self.entry.call);
            self.entered(&value, found);
        }
    }

    /// What is named without being called.
    fn named(&self, meanings: &[Meaning], found: &mut Calls) {
        let place = self.entry.place;
        if place == Place::With {
            self.entered(meanings, found);
        }
        if let Place::Argument(call, position) = place {
            self.given(call, position, meanings, found);
        }
        for meaning in meanings {
            if let Value::External(name) = &meaning.value
                && !matches!(place, Place::Base | Place::Except | Place::Raise)
                && implicit::entry(name).is_some_and(|entry| entry.switches)
            {
                found.outer.push(self.outer(name, &meaning.via));
            }
        }
    }

    fn called(&self, meaning: &Meaning, found: &mut Calls) {
        match &meaning.value {
            Value::Function(home, id) | Value::Method(home, id) => {
                let edge = self.edge((*home, *id), EdgeKind::Call, &meaning.via);
                found.edges.push(edge);
            }
            Value::Class(home, class) => {
                for method in ["__init__", "__new__"] {
                    for to in methods(self.eval, *home, *class, method) {
                        let edge = self.edge(to, EdgeKind::Call, &meaning.via);
                        found.edges.push(edge);
                    }
                }
            }
            Value::Instance(class) => {
                if let Value::Class(home, class) = **class {
                    for to in methods(self.eval, home, class, "__call__") {
                        found.edges.push(self.edge(to, EdgeKind::Call, &[]));
                    }
                }
            }
            Value::External(name) => self.external(name, meaning, found),
            Value::Module(_) | Value::Many(_) => {}
        }
    }

    fn external(&self, name: &Arc<str>, meaning: &Meaning, found: &mut Calls) {
        if let Some((position, keyword)) = implicit::spawned_argument(name)
            && let Some(argument) = argument(self.facts, self.entry.call, position, keyword)
        {
            wrapper_of(self.facts, self.from(), argument, name, found);
        }
        if names::is_ours(name) {
            if implicit::switches(name) && !self.is_never_full(name) {
                found.seeds.push(self.seed(name, self.entry.awaited));
            }
            return;
        }
        let Some(known) = implicit::entry(name) else {
            return;
        };
        if known.switches {
            found.seeds.push(self.seed(name, self.entry.awaited));
        }
        found.outer.push(self.outer(name, &meaning.via));
    }

    /// Whether it puts into a queue that was made without a size, which never waits.
    fn is_never_full(&self, symbol: &str) -> bool {
        let Node::Attr { base, .. } = self.facts.expr(self.entry.expr).node else {
            return false;
        };
        let is_put = symbol
            .strip_prefix("eventlet.queue.")
            .and_then(|rest| rest.split_once('.'))
            .is_some_and(|(_, method)| method == "put");
        if !is_put {
            return false;
        }
        let kinds: Vec<&BindingKind> = match self.facts.expr(base).node {
            Node::Attr { name, .. } => self
                .facts
                .classes
                .iter()
                .flat_map(|class| &class.attributes)
                .filter(|attribute| attribute.name == name)
                .map(|attribute| &attribute.kind)
                .collect(),
            Node::Name { name, home, .. } if home != NONE => self
                .facts
                .bindings_of(home, name)
                .iter()
                .map(|binding| &binding.kind)
                .collect(),
            _ => Vec::new(),
        };
        !kinds.is_empty()
            && kinds.iter().all(|kind| match kind {
                BindingKind::Value(value) => matches!(&self.facts.expr(*value).node,
                    Node::Call { args, .. } if args.is_empty()),
                _ => false,
            })
    }

    /// Notes that a function calls its own parameter.
    fn param_call(&self, found: &mut Calls) {
        let Node::Name { name, home, .. } = self.facts.expr(self.entry.expr).node else {
            return;
        };
        let Some(scope) = self.facts.scopes.get(home as usize) else {
            return;
        };
        if scope.kind != ScopeKind::Function {
            return;
        }
        // In a closure it is the outer function's parameter; whoever calls the closure runs it.
        let owner = scope.owner;
        let params = &self.facts.functions[owner as usize].params;
        if let Some(at) = params.iter().position(|param| param.name == name) {
            found.runs_param.insert((self.module, owner, at as u32));
        }
    }

    /// A function that is given to a call.
    fn given(&self, call: u32, position: u32, meanings: &[Meaning], found: &mut Calls) {
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
        let Node::Call { func, args } = &self.facts.expr(call).node else {
            return;
        };
        let keyword = args.get(position as usize).map_or(NONE, |arg| arg.name);
        for meaning in &*self.eval.eval(self.module, *func) {
            match &meaning.value {
                Value::External(name) => {
                    let kind = if implicit::spawned_argument(name).is_some() {
                        EdgeKind::Spawned
                    } else if CALLING.contains(&&**name) {
                        EdgeKind::Callback
                    } else {
                        continue;
                    };
                    if &**name == "eventlet.tpool.execute" {
                        found.offloaded.extend(&functions);
                    }
                    for &to in &functions {
                        found.edges.push(self.edge(to, kind, &[]));
                    }
                }
                Value::Function(home, id) | Value::Method(home, id) => {
                    let bound = u32::from(matches!(meaning.value, Value::Method(..)));
                    let other = self.eval.facts(*home);
                    let entry = &other.functions[*id as usize];
                    let at = if keyword == NONE {
                        Some(position + bound)
                    } else {
                        let name = self.facts.text(keyword);
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
    fn entered(&self, meanings: &[Meaning], found: &mut Calls) {
        for meaning in meanings {
            let Value::Instance(class) = &meaning.value else {
                continue;
            };
            match &**class {
                Value::Class(home, id) => {
                    for method in ["__enter__", "__exit__", "__aenter__", "__aexit__"] {
                        for to in methods(self.eval, *home, *id, method) {
                            found.edges.push(self.edge(to, EdgeKind::Call, &[]));
                        }
                    }
                }
                Value::External(name) => {
                    let symbol: Arc<str> = format!("{name}.__enter__").into();
                    if names::is_ours(&symbol) {
                        if implicit::switches(&symbol) {
                            found.seeds.push(self.seed(&symbol, false));
                        }
                    } else if implicit::entry(&symbol).is_some() {
                        found.seeds.push(self.seed(&symbol, false));
                        found.outer.push(self.outer(&symbol, &meaning.via));
                    }
                }
                _ => {}
            }
        }
    }

    /// Reading an attribute may run a property.
    fn properties(&self, base: u32, name: u32, found: &mut Calls) {
        for meaning in &*self.eval.eval(self.module, base) {
            let Value::Instance(class) = &meaning.value else {
                continue;
            };
            let Value::Class(home, class) = **class else {
                continue;
            };
            for to in methods(self.eval, home, class, self.facts.text(name)) {
                if self.eval.is_property(to.0, to.1) {
                    found.edges.push(self.edge(to, EdgeKind::Property, &[]));
                }
            }
        }
        if let Node::Attr { base, name } = self.facts.expr(base).node {
            self.properties(base, name, found);
        }
    }
}

/// The function that a class, or the first of its bases, has under a name.
fn methods(eval: &Evaluator<'_>, module: u32, class: u32, name: &str) -> Vec<FunctionId> {
    let mut found = Vec::new();
    let mut pending = vec![(module, class)];
    let mut seen = FxHashSet::default();
    while let Some((module, class)) = pending.pop() {
        if !seen.insert((module, class)) {
            continue;
        }
        let facts = eval.facts(module);
        let entry = &facts.classes[class as usize];
        if let Some(id) = lookup(facts, entry.scope, name) {
            for binding in facts.bindings_of(entry.scope, id) {
                if let BindingKind::Function(function) = binding.kind {
                    found.push((module, function));
                }
            }
            return found;
        }
        for &base in entry.bases.iter().rev() {
            for meaning in &*eval.eval(module, base) {
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
    for meaning in &*eval.eval(module, decorator) {
        if let Value::Function(home, id) = meaning.value {
            // With arguments the expression is the decorator itself, whose result is called.
            for inner in returned_functions(eval, (home, id)) {
                let kind = EdgeKind::Callback;
                found.edges.push(Edge::new(function, inner, kind));
            }
        }
    }
    let called = match eval.facts(module).expr(decorator).node {
        Node::Call { func, .. } => func,
        _ => decorator,
    };
    for meaning in &*eval.eval(module, called) {
        if let Value::External(name) = &meaning.value
            && implicit::entry(name).is_some_and(|known| known.switches)
        {
            found.seeds.push(Seed {
                from: function,
                symbol: name.clone(),
                site: NONE,
                awaited: false,
                is_sure: true,
            });
        }
    }
}

/// The functions that a function gives back.
fn returned_functions(eval: &Evaluator<'_>, (module, id): FunctionId) -> Vec<FunctionId> {
    let mut found = Vec::new();
    for &value in &eval.facts(module).functions[id as usize].returns {
        for meaning in &*eval.eval(module, value) {
            if let Value::Function(home, inner) = meaning.value
                && (home, inner) != (module, id)
            {
                found.push((home, inner));
            }
        }
    }
    found
}
