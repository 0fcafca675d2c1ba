//! What a name or an expression stands for, across all files of a project.
//!
//! Evaluation is by demand and remembers what names of scopes are worth. A cycle of imports
//! yields what can be known without the cycle; such answers are not remembered, so that the
//! order of questions does not matter.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::facts::{
    Arg, Binding, BindingKind, BranchKind, Facts, NONE, Node, ParamKind, ScopeKind,
};
use crate::names;
use crate::project::Project;

/// Calls of calls of calls are followed this far.
const DEEPEST: usize = 40;
/// Names with more meanings than that mean nothing.
const MOST: usize = 12;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    /// Defined in no file of the scan; the canonical name, if it is Eventlet's.
    External(Arc<str>),
    Module(u32),
    Function(u32, u32),
    Class(u32, u32),
    /// A method with its receiver bound, of a class of the project.
    Method(u32, u32),
    Instance(Box<Value>),
    /// A collection of these.
    Many(Box<Value>),
}

/// One meaning of an expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Meaning {
    pub(crate) value: Value,
    /// The names in the project's modules that it came through.
    pub(crate) via: Vec<Arc<str>>,
    /// A caller may have put something else in its place.
    pub(crate) is_guess: bool,
}

impl Meaning {
    pub(crate) fn plain(value: Value) -> Self {
        Self {
            value,
            via: Vec::new(),
            is_guess: false,
        }
    }

    pub(crate) fn external(name: &str) -> Self {
        Self::plain(Value::External(name.into()))
    }

    fn with(&self, value: Value) -> Self {
        Self {
            value,
            via: self.via.clone(),
            is_guess: self.is_guess,
        }
    }
}

pub(crate) type Meanings = Vec<Meaning>;

type Key = (u32, u32, u32);

pub(crate) struct Evaluator<'p> {
    pub(crate) project: &'p Project,
    memory: RefCell<FxHashMap<Key, Meanings>>,
    active: RefCell<Vec<Key>>,
    /// How far down the stack of active names the last cycle reached.
    cut: Cell<usize>,
    depth: Cell<usize>,
    /// Names of modules that some other module, or the module itself, has read.
    pub(crate) touched: RefCell<FxHashSet<Key>>,
    /// Those that another module has read.
    pub(crate) taken: RefCell<FxHashSet<Key>>,
}

impl<'p> Evaluator<'p> {
    pub(crate) fn new(project: &'p Project) -> Self {
        Self {
            project,
            memory: RefCell::default(),
            active: RefCell::default(),
            cut: Cell::new(usize::MAX),
            depth: Cell::new(0),
            touched: RefCell::default(),
            taken: RefCell::default(),
        }
    }

    pub(crate) fn facts(&self, module: u32) -> &'p Facts {
        &self.project.modules[module as usize].facts
    }

    pub(crate) fn eval(&self, module: u32, expr: u32) -> Meanings {
        if expr == NONE || self.depth.get() > DEEPEST {
            return Vec::new();
        }
        self.depth.set(self.depth.get() + 1);
        let found = self.eval_node(module, expr);
        self.depth.set(self.depth.get() - 1);
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
                self.attribute_of_all(&base, facts.text(*name), module)
            }
            Node::Call { func, args } => self.call(module, *func, args),
            Node::Item { base, key } => self.item(module, *base, *key),
            Node::Either(parts) => {
                let mut found = Vec::new();
                for &part in parts {
                    merge(&mut found, self.eval(module, part));
                }
                found
            }
            Node::Many(parts) => {
                let mut found = Vec::new();
                for &part in parts.iter().take(8) {
                    for meaning in self.eval(module, part) {
                        let value = Value::Many(Box::new(meaning.value.clone()));
                        merge(&mut found, vec![meaning.with(value)]);
                    }
                }
                found
            }
            Node::Await(inner) => self.eval(module, *inner),
            Node::Lambda(function) => vec![Meaning::plain(Value::Function(module, *function))],
            Node::Other
            | Node::Text(_)
            | Node::Int(_)
            | Node::Bool(_)
            | Node::Nothing
            | Node::Prefix(_) => Vec::new(),
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
            let text = facts.text(name);
            let found = self.starred(module, text);
            if !found.is_empty() {
                return found;
            }
            return vec![Meaning::external(&format!("builtins.{text}"))];
        }
        self.touched.borrow_mut().insert((module, home, name));
        if from == home {
            let live = live_bindings(facts, home, name, Some((branch, pos)));
            let all = bindings(facts, home, name).len();
            if live.len() != all {
                return self.bound(module, &live);
            }
        }
        self.scope_name(module, home, name)
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
                return Vec::new();
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
        let mut found = Vec::new();
        for binding in live {
            merge(&mut found, self.binding(module, &binding.kind));
            if found.len() > MOST {
                return Vec::new();
            }
        }
        found
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
            BindingKind::Element(expr) => elements(self.eval(module, *expr)),
            BindingKind::Entered(expr) => self
                .eval(module, *expr)
                .into_iter()
                .filter(|meaning| matches!(meaning.value, Value::Instance(_)))
                .collect(),
            BindingKind::Annotated(expr) => self.annotated(module, *expr),
            BindingKind::Function(id) => vec![Meaning::plain(Value::Function(module, *id))],
            BindingKind::Class(id) => vec![Meaning::plain(Value::Class(module, *id))],
            BindingKind::Param { function, index } => self.param(module, *function, *index),
            BindingKind::Unknown => Vec::new(),
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
                return vec![Meaning::plain(class)];
            }
            if !decorated("staticmethod") {
                return vec![Meaning::plain(Value::Instance(Box::new(class)))];
            }
        }
        if param.kind == ParamKind::Args || param.kind == ParamKind::Keywords {
            return Vec::new();
        }
        let mut found = self.annotated(module, param.annotation);
        for mut meaning in self.eval(module, param.default) {
            meaning.is_guess = true;
            merge(&mut found, vec![meaning]);
        }
        found
    }

    /// What a value has whose annotation is this.
    pub(crate) fn annotated(&self, module: u32, expr: u32) -> Meanings {
        if expr == NONE {
            return Vec::new();
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
                Some("typing.Union") => elements(self.annotated(module, *key)),
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
                    .into_iter()
                    .map(|meaning| meaning.with(Value::Many(Box::new(meaning.value.clone()))))
                    .collect(),
                _ => instances(outer),
            };
        }
        instances(self.eval(module, expr))
    }

    /// `import name`.
    pub(crate) fn import(&self, name: &str, from: u32) -> Meanings {
        if let Some(id) = self.project.find(name, from) {
            return vec![Meaning::plain(Value::Module(id))];
        }
        vec![Meaning::plain(Value::External(canonical(name)))]
    }

    /// `from base import name`.
    pub(crate) fn import_from(&self, base: &str, name: &str, from: u32) -> Meanings {
        match self.project.find(base, from) {
            Some(id) => self.member(id, name),
            None => match self.project.find(&format!("{base}.{name}"), from) {
                Some(id) => vec![Meaning::plain(Value::Module(id))],
                None => vec![Meaning::external_of(base, name)],
            },
        }
    }

    /// A name of a module of the project, as others see it.
    pub(crate) fn member(&self, module: u32, name: &str) -> Meanings {
        let facts = self.facts(module);
        let owner = &self.project.modules[module as usize];
        let found = match lookup(facts, 0, name) {
            Some(id) => {
                self.touched.borrow_mut().insert((module, 0, id));
                self.taken.borrow_mut().insert((module, 0, id));
                self.scope_name(module, 0, id)
            }
            None => self.starred(module, name),
        };
        if found.is_empty() {
            let inner = format!("{}.{name}", owner.name);
            if let Some(id) = self.project.find(&inner, module) {
                return vec![Meaning::plain(Value::Module(id))];
            }
        }
        let full: Arc<str> = format!("{}.{name}", owner.name).into();
        found
            .into_iter()
            .map(|mut meaning| {
                let own = match meaning.value {
                    // Where something is defined is no detour.
                    Value::Function(home, _) | Value::Class(home, _) => home == module,
                    Value::Module(_) => true,
                    _ => false,
                };
                if !own && !meaning.via.contains(&full) {
                    meaning.via.push(full.clone());
                }
                meaning
            })
            .collect()
    }

    fn starred(&self, module: u32, name: &str) -> Meanings {
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
                    let key = (id, NONE, lookup_text(self.facts(id), name));
                    if exported && !self.active.borrow().contains(&key) {
                        self.active.borrow_mut().push(key);
                        merge(&mut found, self.member(id, name));
                        self.active.borrow_mut().pop();
                    }
                }
                Some(_) => {}
                None => {
                    if names::star(&base, name) {
                        merge(&mut found, vec![Meaning::external_of(&base, name)]);
                    }
                }
            }
        }
        found
    }

    pub(crate) fn attribute_of_all(&self, base: &[Meaning], name: &str, module: u32) -> Meanings {
        let mut found = Vec::new();
        for meaning in base {
            for mut inner in self.attribute(&meaning.value, name, module, 0) {
                inner.is_guess |= meaning.is_guess;
                let own = std::mem::take(&mut inner.via);
                inner.via.clone_from(&meaning.via);
                for name in own {
                    if !inner.via.contains(&name) {
                        inner.via.push(name);
                    }
                }
                merge(&mut found, vec![inner]);
            }
        }
        found
    }

    fn attribute(&self, value: &Value, name: &str, module: u32, depth: usize) -> Meanings {
        match value {
            Value::External(base) => vec![Meaning::external_of(base, name)],
            Value::Module(id) => self.member(*id, name),
            Value::Class(home, class) => self.class_member(*home, *class, name, false, depth),
            Value::Instance(of) => match &**of {
                Value::External(class) => {
                    if names::is_ours(class) && !names::has_member(class, name) {
                        return Vec::new();
                    }
                    vec![Meaning::plain(Value::External(
                        format!("{class}.{name}").into(),
                    ))]
                }
                Value::Class(home, class) => self.class_member(*home, *class, name, true, depth),
                _ => Vec::new(),
            },
            Value::Function(..) | Value::Method(..) | Value::Many(_) => {
                let _ = module;
                Vec::new()
            }
        }
    }

    /// Looks an attribute up in a class and, if it has none, in its bases.
    fn class_member(
        &self,
        module: u32,
        class: u32,
        name: &str,
        bound: bool,
        depth: usize,
    ) -> Meanings {
        if depth > 12 {
            return Vec::new();
        }
        let facts = self.facts(module);
        let entry = &facts.classes[class as usize];
        let mut found = Vec::new();
        if let Some(id) = lookup(facts, entry.scope, name) {
            self.touched.borrow_mut().insert((module, entry.scope, id));
            for meaning in self.scope_name(module, entry.scope, id) {
                let value = match meaning.value {
                    Value::Function(home, function) if bound => {
                        if self.is_property(home, function) {
                            merge(&mut found, self.returned(home, function));
                            continue;
                        }
                        Value::Method(home, function)
                    }
                    ref value => value.clone(),
                };
                merge(&mut found, vec![meaning.with(value)]);
            }
        }
        for attribute in &entry.attributes {
            if facts.text(attribute.name) == name {
                let key = (module, NONE - 1 - class, attribute.name);
                if self.active.borrow().contains(&key) {
                    continue;
                }
                self.active.borrow_mut().push(key);
                merge(&mut found, self.binding(module, &attribute.kind));
                self.active.borrow_mut().pop();
            }
        }
        if !found.is_empty() {
            return found;
        }
        for &base in &entry.bases {
            for meaning in self.eval(module, base) {
                let base = match &meaning.value {
                    class @ Value::Class(..) if bound => Value::Instance(Box::new(class.clone())),
                    Value::External(class) if names::is_class(class) => {
                        Value::Instance(Box::new(meaning.value.clone()))
                    }
                    // Of a class that nobody can look into: it may have anything.
                    Value::External(_) => continue,
                    other => other.clone(),
                };
                merge(&mut found, self.attribute(&base, name, module, depth + 1));
            }
            if !found.is_empty() {
                break;
            }
        }
        found
    }

    /// The class that the method a scope belongs to is a method of.
    pub(crate) fn class_around(&self, module: u32, mut scope: u32) -> Option<u32> {
        let facts = self.facts(module);
        while scope != NONE {
            let entry = &facts.scopes[scope as usize];
            if entry.kind == ScopeKind::Function {
                let function = &facts.functions[entry.owner as usize];
                if function.class != NONE {
                    return Some(function.class);
                }
            }
            scope = entry.parent;
        }
        None
    }

    pub(crate) fn is_property(&self, module: u32, function: u32) -> bool {
        let facts = self.facts(module);
        facts.functions[function as usize]
            .decorators
            .iter()
            .any(|&decorator| match &facts.expr(decorator).node {
                Node::Name { name, .. } | Node::Attr { name, .. } => matches!(
                    facts.text(*name),
                    "property" | "cached_property" | "setter" | "deleter" | "lazyproperty"
                ),
                _ => false,
            })
    }

    /// What a call of a function of the project gives.
    fn returned(&self, module: u32, function: u32) -> Meanings {
        let facts = self.facts(module);
        let entry = &facts.functions[function as usize];
        if entry.is_generator || self.depth.get() > DEEPEST / 2 {
            return Vec::new();
        }
        let key = (module, NONE, function);
        if self.active.borrow().contains(&key) {
            return Vec::new();
        }
        let mut found = self.annotated(module, entry.annotation);
        if found.is_empty() {
            self.active.borrow_mut().push(key);
            for &value in entry.returns.iter().take(8) {
                merge(&mut found, self.eval(module, value));
            }
            self.active.borrow_mut().pop();
        }
        // A parameter that it gives back is the caller's.
        found.retain(|meaning| !meaning.is_guess);
        if found.len() > MOST {
            Vec::new()
        } else {
            found
        }
    }

    fn call(&self, module: u32, func: u32, args: &[Arg]) -> Meanings {
        let facts = self.facts(module);
        if let Node::Name {
            name,
            from,
            home: NONE,
            ..
        } = &facts.expr(func).node
            && facts.text(*name) == "super"
        {
            return self.super_of(module, *from);
        }
        let mut found = Vec::new();
        for meaning in self.eval(module, func) {
            let values = match &meaning.value {
                Value::External(name) => self.external_call(module, name, args),
                Value::Class(..) => {
                    vec![Meaning::plain(Value::Instance(Box::new(
                        meaning.value.clone(),
                    )))]
                }
                Value::Function(home, id) | Value::Method(home, id) => self.returned(*home, *id),
                Value::Module(_) | Value::Instance(_) | Value::Many(_) => Vec::new(),
            };
            for mut value in values {
                for name in &meaning.via {
                    if !value.via.contains(name) {
                        value.via.insert(0, name.clone());
                    }
                }
                value.is_guess |= meaning.is_guess;
                merge(&mut found, vec![value]);
            }
        }
        found
    }

    fn super_of(&self, module: u32, scope: u32) -> Meanings {
        let Some(class) = self.class_around(module, scope) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for &base in &self.facts(module).classes[class as usize].bases {
            merge(&mut found, instances(self.eval(module, base)));
        }
        found
    }

    fn external_call(&self, module: u32, name: &str, args: &[Arg]) -> Meanings {
        let facts = self.facts(module);
        let text = |index: usize| {
            let value = args.get(index)?.value;
            match facts.expr(value).node {
                Node::Text(text) => Some(facts.text(text)),
                _ => None,
            }
        };
        match name {
            "functools.partial"
            | "builtins.staticmethod"
            | "builtins.classmethod"
            | "functools.wraps"
            | "contextlib.closing"
            | "contextlib.contextmanager" => args
                .first()
                .map_or_else(Vec::new, |arg| self.eval(module, arg.value)),
            "builtins.list" | "builtins.tuple" | "builtins.set" | "builtins.sorted"
            | "builtins.reversed" | "builtins.iter" => args
                .first()
                .map_or_else(Vec::new, |arg| self.eval(module, arg.value)),
            "builtins.getattr" => match (args.first(), text(1)) {
                (Some(base), Some(attribute)) => {
                    let base = self.eval(module, base.value);
                    self.attribute_of_all(&base, attribute, module)
                }
                _ => Vec::new(),
            },
            "importlib.import_module"
            | "oslo_utils.importutils.import_module"
            | "oslo_utils.importutils.try_import"
            | "pytest.importorskip" => {
                text(0).map_or_else(Vec::new, |name| self.import(name, module))
            }
            "builtins.__import__" => text(0).map_or_else(Vec::new, |name| {
                self.import(name.split('.').next().unwrap_or(name), module)
            }),
            _ => {
                if let Some(class) = names::returned(name) {
                    return vec![Meaning::plain(Value::Instance(Box::new(Value::External(
                        class,
                    ))))];
                }
                let last = name.rsplit('.').next().unwrap_or(name);
                let is_class = if names::is_ours(name) {
                    names::is_class(name)
                } else {
                    last.starts_with(|c: char| c.is_ascii_uppercase()) || name == "socket.socket"
                };
                if is_class {
                    let class = Value::External(name.into());
                    return vec![Meaning::plain(Value::Instance(Box::new(class)))];
                }
                Vec::new()
            }
        }
    }

    fn item(&self, module: u32, base: u32, key: u32) -> Meanings {
        let outer = self.eval(module, base);
        let facts = self.facts(module);
        if let Node::Text(text) = facts.expr(key).node
            && outer
                .iter()
                .any(|m| m.value == Value::External("sys.modules".into()))
        {
            return self.import(facts.text(text), module);
        }
        elements(outer)
    }

    /// The classes of a class's ancestors, those of Eventlet first in order of lookup.
    pub(crate) fn eventlet_base(&self, module: u32, class: u32, depth: usize) -> Option<Arc<str>> {
        if depth > 12 {
            return None;
        }
        for &base in &self.facts(module).classes[class as usize].bases {
            for meaning in self.eval(module, base) {
                match &meaning.value {
                    Value::External(name) if names::is_ours(name) => return Some(name.clone()),
                    Value::Class(home, id) if (*home, *id) != (module, class) => {
                        if let Some(name) = self.eventlet_base(*home, *id, depth + 1) {
                            return Some(name);
                        }
                    }
                    _ => {}
                }
            }
        }
        None
    }
}

impl Meaning {
    fn external_of(base: &str, name: &str) -> Self {
        Self::plain(Value::External(canonical(&format!("{base}.{name}"))))
    }
}

fn canonical(name: &str) -> Arc<str> {
    if names::is_ours(name) {
        names::canonical(name)
    } else {
        name.into()
    }
}

fn instances(meanings: Meanings) -> Meanings {
    meanings
        .into_iter()
        .filter_map(|meaning| match &meaning.value {
            Value::External(name) if name.starts_with("builtins.") => None,
            Value::External(_) | Value::Class(..) => {
                Some(meaning.with(Value::Instance(Box::new(meaning.value.clone()))))
            }
            Value::Many(_) | Value::Instance(_) => Some(meaning),
            _ => None,
        })
        .collect()
}

fn elements(meanings: Meanings) -> Meanings {
    meanings
        .into_iter()
        .filter_map(|meaning| match &meaning.value {
            Value::Many(inner) => Some(meaning.with((**inner).clone())),
            _ => None,
        })
        .collect()
}

fn merge(found: &mut Meanings, more: Meanings) {
    for meaning in more {
        if let Some(old) = found.iter_mut().find(|old| old.value == meaning.value) {
            old.is_guess &= meaning.is_guess;
        } else if found.len() <= MOST {
            found.push(meaning);
        }
    }
}

/// The index of a text, `NONE` if the file does not have it.
fn lookup_text(facts: &Facts, text: &str) -> u32 {
    facts
        .strings
        .iter()
        .position(|other| **other == *text)
        .map_or(NONE, |at| at as u32)
}

/// The index of a name that a scope binds.
pub(crate) fn lookup(facts: &Facts, scope: u32, name: &str) -> Option<u32> {
    let start = facts.bindings.partition_point(|b| b.scope < scope);
    let mut at = start;
    while let Some(binding) = facts.bindings.get(at)
        && binding.scope == scope
    {
        if facts.text(binding.name) == name {
            return Some(binding.name);
        }
        let here = binding.name;
        at += facts.bindings[at..].partition_point(|b| b.scope == scope && b.name <= here);
    }
    None
}

pub(crate) fn bindings(facts: &Facts, scope: u32, name: u32) -> &[Binding] {
    let start = facts
        .bindings
        .partition_point(|b| (b.scope, b.name) < (scope, name));
    let end = facts
        .bindings
        .partition_point(|b| (b.scope, b.name) <= (scope, name));
    &facts.bindings[start..end]
}

/// The bindings that a use at a place may mean; without a place, those that are left in the end.
fn live_bindings(facts: &Facts, scope: u32, name: u32, at: Option<(u32, u32)>) -> Vec<&Binding> {
    let all = bindings(facts, scope, name);
    if all.len() == 1 {
        return all.iter().collect();
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
pub(crate) fn is_around(facts: &Facts, outer: u32, mut inner: u32) -> bool {
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

pub(crate) fn in_loop(facts: &Facts, mut branch: u32) -> bool {
    while branch != NONE {
        let entry = &facts.branches[branch as usize];
        if entry.kind == BranchKind::Loop {
            return true;
        }
        branch = entry.parent;
    }
    false
}
