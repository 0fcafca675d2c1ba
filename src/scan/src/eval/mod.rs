//! What a name or an expression stands for, across all files of a project.
//!
//! Evaluation is by demand and remembers what names of scopes are worth. A cycle of imports
//! yields what can be known without the cycle; such answers are not remembered, so that the
//! order of questions does not matter.
//!
//! Each file has an evaluator of its own, which notes the other files that it looked into: as
//! long as none of those changes, what was found out about the file stays true.

mod calls;
mod flow;
mod members;
mod value;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::facts::{Binding, BindingKind, Facts, NONE, Node, ParamKind, hash_text};
use crate::names;
use crate::project::Project;

pub(crate) use flow::{live_bindings, lookup};
use value::{MOST, add, canonical, elements, instances, merge, one};
pub(crate) use value::{Meaning, Meanings, Value};

/// Calls of calls of calls are followed this far.
const DEEPEST: usize = 40;

/// A module, a scope and a name there. Instead of a scope: `NONE` for what a function gives,
/// `STARRED` for a name through stars (by its hash), `BUILT_IN` for one that none binds, numbers below `NONE` for classes.
type Key = (u32, u32, u32);
const STARRED: u32 = NONE >> 1;
const BUILT_IN: u32 = STARRED - 1;

/// The class of Eventlet that a class derives from.
type Base = Option<Arc<str>>;

pub(crate) struct Evaluator<'p> {
    pub(crate) project: &'p Project,
    /// The file that it is for.
    own: u32,
    /// What expressions of that file are worth.
    known: RefCell<Vec<Option<Meanings>>>,
    memory: RefCell<FxHashMap<Key, Meanings>>,
    bases: RefCell<FxHashMap<(u32, u32), Base>>,
    active: RefCell<Vec<Key>>,
    /// How far down the stack of active names the last cycle reached.
    cut: Cell<usize>,
    depth: Cell<usize>,
    /// Names of modules, by module and name, that were read.
    pub(crate) touched: RefCell<FxHashSet<(u32, u32)>>,
    /// Those that another module has read.
    pub(crate) taken: RefCell<FxHashSet<(u32, u32)>>,
    looked_into: Vec<Cell<bool>>,
    nothing: Meanings,
}

impl<'p> Evaluator<'p> {
    pub(crate) fn new(project: &'p Project, own: u32) -> Self {
        let evaluator = Self {
            project,
            own,
            known: RefCell::default(),
            memory: RefCell::default(),
            bases: RefCell::default(),
            active: RefCell::default(),
            cut: Cell::new(usize::MAX),
            depth: Cell::new(0),
            touched: RefCell::default(),
            taken: RefCell::default(),
            looked_into: vec![Cell::new(false); project.modules.len()],
            nothing: Rc::from([]),
        };
        let count = evaluator.facts(own).exprs.len();
        evaluator.known.replace(vec![None; count]);
        evaluator
    }

    pub(crate) fn facts(&self, module: u32) -> &'p Facts {
        self.looked_into[module as usize].set(true);
        self.project.modules[module as usize].facts()
    }

    /// The other files whose facts the answers so far rest on.
    pub(crate) fn looked_into(&self) -> Vec<u32> {
        (0..self.looked_into.len() as u32)
            .filter(|&id| id != self.own && self.looked_into[id as usize].get())
            .collect()
    }

    pub(crate) fn eval(&self, module: u32, expr: u32) -> Meanings {
        if expr == NONE || self.depth.get() > DEEPEST {
            return self.nothing.clone();
        }
        if module == self.own
            && let Some(found) = &self.known.borrow()[expr as usize]
        {
            return found.clone();
        }
        self.depth.set(self.depth.get() + 1);
        let found = self.eval_node(module, expr);
        self.depth.set(self.depth.get() - 1);
        // Within a name's own answer it may be a part of the answer only.
        if module == self.own && self.active.borrow().is_empty() {
            self.known.borrow_mut()[expr as usize] = Some(found.clone());
        }
        found
    }

    fn eval_node(&self, module: u32, expr: u32) -> Meanings {
        let facts = self.facts(module);
        let expr = facts.expr(expr);
        match &expr.node {
            Node::Name {
                name,
                from,
                home,
                branch,
            } => self.name(module, *name, *from, *home, *branch, expr.start),
            Node::Attr { base, name } => {
                let base = self.eval(module, *base);
                self.attribute_of_all(&base, facts.text(*name))
            }
            Node::Call { func, args } => self.call(module, *func, args),
            Node::Item { base, key } => self.item(module, *base, *key),
            Node::Either(parts) => {
                let mut found = Vec::new();
                for &part in parts {
                    merge(&mut found, &self.eval(module, part));
                }
                found.into()
            }
            Node::Many(parts) => {
                let mut found = Vec::new();
                for &part in parts.iter().take(8) {
                    for meaning in &*self.eval(module, part) {
                        let value = Value::Many(Rc::new(meaning.value.clone()));
                        add(&mut found, meaning.with(value));
                    }
                }
                found.into()
            }
            Node::Await(inner) => self.eval(module, *inner),
            Node::Lambda(function) => one(Value::Function(module, *function)),
            Node::Other
            | Node::Text(_)
            | Node::Int(_)
            | Node::Bool(_)
            | Node::Nothing
            | Node::Prefix(_) => self.nothing.clone(),
        }
    }

    fn name(
        &self,
        module: u32,
        name: u32,
        from: u32,
        home: u32,
        branch: u32,
        pos: u32,
    ) -> Meanings {
        let facts = self.facts(module);
        if home == NONE {
            return self.unbound(module, name);
        }
        if home == 0 {
            self.touched.borrow_mut().insert((module, name));
        }
        if facts.runs_in_place(from, home) {
            let all = facts.bindings_of(home, name).len();
            if all > 1 {
                let live = live_bindings(facts, home, name, Some((branch, pos)));
                if live.len() != all {
                    return self.bound(module, &live);
                }
            }
        }
        self.scope_name(module, home, name)
    }

    /// A name that no scope binds: from a star, or a built-in one.
    fn unbound(&self, module: u32, name: u32) -> Meanings {
        let text = self.facts(module).text(name);
        if self.facts(module).stars.is_empty() {
            let key = (module, BUILT_IN, name);
            if let Some(found) = self.memory.borrow().get(&key) {
                return found.clone();
            }
            let found: Meanings = Rc::from([Meaning::external(&format!("builtins.{text}"))]);
            self.memory.borrow_mut().insert(key, found.clone());
            return found;
        }
        let found = self.starred(module, text);
        if !found.is_empty() {
            return found.into();
        }
        Rc::from([Meaning::external(&format!("builtins.{text}"))])
    }

    /// What a name of a scope stands for when the scope has run to its end.
    fn scope_name(&self, module: u32, scope: u32, name: u32) -> Meanings {
        let key = (module, scope, name);
        if let Some(found) = self.memory.borrow().get(&key) {
            return found.clone();
        }
        let position = {
            let mut active = self.active.borrow_mut();
            if let Some(at) = active.iter().position(|other| *other == key) {
                self.cut.set(self.cut.get().min(at));
                return self.nothing.clone();
            }
            active.push(key);
            active.len() - 1
        };
        let outer_cut = self.cut.replace(usize::MAX);
        let facts = self.facts(module);
        let live = live_bindings(facts, scope, name, None);
        let found = self.bound(module, &live);
        self.active.borrow_mut().pop();
        let own_cut = self.cut.get();
        // Cut off at this very name, or below it not at all: the answer is whole.
        if own_cut >= position {
            self.memory.borrow_mut().insert(key, found.clone());
            self.cut.set(outer_cut);
        } else {
            self.cut.set(own_cut.min(outer_cut));
        }
        found
    }

    fn bound(&self, module: u32, live: &[&Binding]) -> Meanings {
        if let [binding] = live {
            return self.binding(module, &binding.kind);
        }
        let mut found = Vec::new();
        for binding in live {
            merge(&mut found, &self.binding(module, &binding.kind));
            if found.len() > MOST {
                return self.nothing.clone();
            }
        }
        found.into()
    }

    pub(crate) fn binding(&self, module: u32, kind: &BindingKind) -> Meanings {
        let facts = self.facts(module);
        match kind {
            BindingKind::Import {
                module: name,
                renamed,
            } => {
                let name = facts.text(*name);
                if *renamed {
                    self.import(name, module)
                } else {
                    self.import(name.split('.').next().unwrap_or(name), module)
                }
            }
            BindingKind::From {
                level,
                module: base,
                name,
            } => {
                let owner = &self.project.modules[module as usize];
                let base = owner.absolute(*level, facts.text(*base));
                self.import_from(&base, facts.text(*name), module)
            }
            BindingKind::Value(expr) => self.eval(module, *expr),
            BindingKind::Element(expr) => elements(&self.eval(module, *expr)),
            BindingKind::Entered(expr) => self
                .eval(module, *expr)
                .iter()
                .filter(|meaning| matches!(meaning.value, Value::Instance(_)))
                .cloned()
                .collect(),
            BindingKind::Annotated(expr) => self.annotated(module, *expr),
            BindingKind::Function(id) => one(Value::Function(module, *id)),
            BindingKind::Class(id) => one(Value::Class(module, *id)),
            BindingKind::Param { function, index } => self.param(module, *function, *index),
            BindingKind::Deleted | BindingKind::Unknown => self.nothing.clone(),
        }
    }

    fn param(&self, module: u32, function: u32, index: u32) -> Meanings {
        let facts = self.facts(module);
        let entry = &facts.functions[function as usize];
        let param = &entry.params[index as usize];
        if index == 0 && entry.class != NONE && !entry.is_lambda {
            let class = Value::Class(module, entry.class);
            let decorated = |name: &str| {
                entry.decorators.iter().any(|&decorator| {
                    matches!(&facts.expr(decorator).node,
                        Node::Name { name: id, .. } if facts.text(*id) == name)
                })
            };
            if decorated("classmethod") || facts.text(entry.name) == "__new__" {
                return one(class);
            }
            if !decorated("staticmethod") {
                return one(Value::Instance(Rc::new(class)));
            }
        }
        if param.kind == ParamKind::Args || param.kind == ParamKind::Keywords {
            return self.nothing.clone();
        }
        let first = u32::from(entry.class != NONE && !entry.is_lambda);
        if index == first && param.annotation == NONE && self.takes_socket(module, function) {
            let class = Value::External("eventlet.websocket.WebSocket".into());
            return one(Value::Instance(Rc::new(class)));
        }
        let annotated = self.annotated(module, param.annotation);
        if param.default == NONE {
            return annotated;
        }
        let mut found = annotated.to_vec();
        for meaning in &*self.eval(module, param.default) {
            let mut meaning = meaning.clone();
            meaning.is_guess = true;
            add(&mut found, meaning);
        }
        found.into()
    }

    /// Whether a function is given a WebSocket, as a decorator or a call says.
    fn takes_socket(&self, module: u32, function: u32) -> bool {
        let facts = self.facts(module);
        let entry = &facts.functions[function as usize];
        facts.handlers_of_sockets.contains(&entry.name)
            || entry.decorators.iter().any(|&decorator| {
                matches!(&facts.expr(decorator).node,
                    Node::Name { name, .. } | Node::Attr { name, .. }
                        if facts.text(*name) == "WebSocketWSGI")
            })
    }

    /// What a value has whose annotation is this.
    pub(crate) fn annotated(&self, module: u32, expr: u32) -> Meanings {
        if expr == NONE {
            return self.nothing.clone();
        }
        let facts = self.facts(module);
        if let Node::Item { base, key } = &facts.expr(expr).node {
            let outer = self.eval(module, *base);
            let name = outer.iter().find_map(|meaning| match &meaning.value {
                Value::External(name) => Some(name.clone()),
                _ => None,
            });
            return match name.as_deref() {
                Some(
                    "typing.Optional" | "typing.Final" | "typing.ClassVar" | "typing.Annotated",
                ) => self.annotated(module, *key),
                Some("typing.Union") => elements(&self.annotated(module, *key)),
                Some(
                    "builtins.list"
                    | "builtins.set"
                    | "typing.List"
                    | "typing.Iterable"
                    | "typing.Sequence"
                    | "collections.abc.Iterable"
                    | "collections.abc.Sequence",
                ) => self
                    .annotated(module, *key)
                    .iter()
                    .map(|meaning| meaning.with(Value::Many(Rc::new(meaning.value.clone()))))
                    .collect(),
                _ => instances(&outer),
            };
        }
        instances(&self.eval(module, expr))
    }

    /// `import name`.
    pub(crate) fn import(&self, name: &str, from: u32) -> Meanings {
        if let Some(id) = self.project.find(name, from) {
            return one(Value::Module(id));
        }
        one(Value::External(canonical(name)))
    }

    /// `from base import name`.
    pub(crate) fn import_from(&self, base: &str, name: &str, from: u32) -> Meanings {
        match self.project.find(base, from) {
            Some(id) => self.member(id, name),
            None => match self.project.find(&format!("{base}.{name}"), from) {
                Some(id) => one(Value::Module(id)),
                None => Rc::from([Meaning::external_of(base, name)]),
            },
        }
    }

    /// A name of a module of the project, as others see it.
    pub(crate) fn member(&self, module: u32, name: &str) -> Meanings {
        let facts = self.facts(module);
        let owner = &self.project.modules[module as usize];
        let found = match lookup(facts, 0, name) {
            Some(id) => {
                self.touched.borrow_mut().insert((module, id));
                self.taken.borrow_mut().insert((module, id));
                self.scope_name(module, 0, id)
            }
            None if facts.stars.is_empty() => self.nothing.clone(),
            None => self.starred(module, name).into(),
        };
        if found.is_empty() {
            let inner = format!("{}.{name}", owner.name);
            if let Some(id) = self.project.find(&inner, module) {
                return one(Value::Module(id));
            }
        }
        let is_own = |meaning: &Meaning| match meaning.value {
            // Where something is defined is no detour.
            Value::Function(home, _) | Value::Class(home, _) => home == module,
            Value::Module(_) => true,
            _ => false,
        };
        if found.iter().all(is_own) {
            return found;
        }
        let full: Arc<str> = format!("{}.{name}", owner.name).into();
        found
            .iter()
            .map(|meaning| {
                let mut meaning = meaning.clone();
                if !is_own(&meaning) && !meaning.via.contains(&full) {
                    meaning.via.push(full.clone());
                }
                meaning
            })
            .collect()
    }

    fn starred(&self, module: u32, name: &str) -> Vec<Meaning> {
        let facts = self.facts(module);
        let owner = &self.project.modules[module as usize];
        let mut found = Vec::new();
        for star in &facts.stars {
            let base = owner.absolute(star.level, facts.text(star.module));
            match self.project.find(&base, module) {
                Some(id) if id != module => {
                    let exported = match &self.facts(id).exports {
                        Some(list) => list.iter().any(|&text| self.facts(id).text(text) == name),
                        None => !name.starts_with('_'),
                    };
                    // Stars may form a cycle, too.
                    let key = (id, STARRED, hash_text(name));
                    if exported && !self.active.borrow().contains(&key) {
                        self.active.borrow_mut().push(key);
                        merge(&mut found, &self.member(id, name));
                        self.active.borrow_mut().pop();
                    }
                }
                Some(_) => {}
                None => {
                    if names::star(&base, name) {
                        add(&mut found, Meaning::external_of(&base, name));
                    }
                }
            }
        }
        found
    }
}
