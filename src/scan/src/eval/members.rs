//! Attributes: of modules, classes, and what classes make.

use std::rc::Rc;
use std::sync::Arc;

use crate::facts::{NONE, Node, ScopeKind};
use crate::names;

use super::value::{add, merge};
use super::{Evaluator, Meaning, Meanings, Value, lookup, one};

impl Evaluator<'_> {
    pub(crate) fn attribute_of_all(&self, base: &[Meaning], name: &str) -> Meanings {
        if let [meaning] = base
            && meaning.via.is_empty()
            && !meaning.is_guess
        {
            return self.attribute(&meaning.value, name, 0);
        }
        let mut found = Vec::new();
        for meaning in base {
            for inner in &*self.attribute(&meaning.value, name, 0) {
                let mut inner = inner.clone();
                inner.is_guess |= meaning.is_guess;
                let own = std::mem::take(&mut inner.via);
                inner.via.clone_from(&meaning.via);
                for name in own {
                    if !inner.via.contains(&name) {
                        inner.via.push(name);
                    }
                }
                add(&mut found, inner);
            }
        }
        found.into()
    }

    fn attribute(&self, value: &Value, name: &str, depth: usize) -> Meanings {
        match value {
            // What attributes of Eventlet's objects are, nobody knows.
            Value::External(base)
                if names::is_ours(base)
                    && base
                        .rsplit_once('.')
                        .is_some_and(|(owner, _)| names::is_class(owner)) =>
            {
                self.nothing.clone()
            }
            Value::External(base) => Rc::from([Meaning::external_of(base, name)]),
            Value::Module(id) => self.member(*id, name),
            Value::Class(home, class) => self.class_member(*home, *class, name, false, depth),
            Value::Instance(of) => match &**of {
                Value::External(class) => {
                    if names::is_ours(class) && !names::has_member(class, name) {
                        return self.nothing.clone();
                    }
                    one(Value::External(format!("{class}.{name}").into()))
                }
                Value::Class(home, class) => self.class_member(*home, *class, name, true, depth),
                _ => self.nothing.clone(),
            },
            Value::Function(..) | Value::Method(..) | Value::Many(_) => self.nothing.clone(),
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
            return self.nothing.clone();
        }
        let facts = self.facts(module);
        let entry = &facts.classes[class as usize];
        let mut found = Vec::new();
        if let Some(id) = lookup(facts, entry.scope, name) {
            for meaning in &*self.scope_name(module, entry.scope, id) {
                let value = match meaning.value {
                    Value::Function(home, function) if bound => {
                        if self.is_property(home, function) {
                            merge(&mut found, &self.returned(home, function));
                            continue;
                        }
                        Value::Method(home, function)
                    }
                    ref value => value.clone(),
                };
                add(&mut found, meaning.with(value));
            }
        }
        for attribute in &entry.attributes {
            if facts.text(attribute.name) == name {
                let key = (module, NONE - 1 - class, attribute.name);
                if self.active.borrow().contains(&key) {
                    continue;
                }
                self.active.borrow_mut().push(key);
                merge(&mut found, &self.binding(module, &attribute.kind));
                self.active.borrow_mut().pop();
            }
        }
        if !found.is_empty() {
            return found.into();
        }
        for &base in &entry.bases {
            for meaning in &*self.eval(module, base) {
                let base = match &meaning.value {
                    class @ Value::Class(..) if bound => Value::Instance(Rc::new(class.clone())),
                    Value::External(class) if names::is_class(class) => {
                        Value::Instance(Rc::new(meaning.value.clone()))
                    }
                    // Of a class that nobody can look into: it may have anything.
                    Value::External(_) => continue,
                    other => other.clone(),
                };
                merge(&mut found, &self.attribute(&base, name, depth + 1));
            }
            if !found.is_empty() {
                break;
            }
        }
        found.into()
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

    /// The classes of a class's ancestors, those of Eventlet first in order of lookup.
    pub(crate) fn eventlet_base(&self, module: u32, class: u32) -> Option<Arc<str>> {
        if let Some(found) = self.bases.borrow().get(&(module, class)) {
            return found.clone();
        }
        let found = self.find_base(module, class, 0);
        if self.active.borrow().is_empty() {
            let key = (module, class);
            self.bases.borrow_mut().insert(key, found.clone());
        }
        found
    }

    fn find_base(&self, module: u32, class: u32, depth: usize) -> Option<Arc<str>> {
        if depth > 12 {
            return None;
        }
        for &base in &self.facts(module).classes[class as usize].bases {
            for meaning in &*self.eval(module, base) {
                match &meaning.value {
                    Value::External(name) if names::is_ours(name) => return Some(name.clone()),
                    Value::Class(home, id) if (*home, *id) != (module, class) => {
                        if let Some(name) = self.find_base(*home, *id, depth + 1) {
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
