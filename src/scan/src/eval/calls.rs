//! Calls: what functions give, of the project and of others.

use std::rc::Rc;

use crate::facts::{Arg, NONE, Node};
use crate::names;

use super::value::{MOST, add, elements, instances, merge};
use super::{DEEPEST, Evaluator, Meaning, Meanings, Value, one};

impl Evaluator<'_> {
    /// What a call of a function of the project gives.
    pub(super) fn returned(&self, module: u32, function: u32) -> Meanings {
        let facts = self.facts(module);
        let entry = &facts.functions[function as usize];
        if entry.is_generator || self.depth.get() > DEEPEST / 2 {
            return self.nothing.clone();
        }
        let key = (module, NONE, function);
        if self.active.borrow().contains(&key) {
            return self.nothing.clone();
        }
        let mut found = self.annotated(module, entry.annotation).to_vec();
        if found.is_empty() {
            self.active.borrow_mut().push(key);
            for &value in entry.returns.iter().take(8) {
                merge(&mut found, &self.eval(module, value));
            }
            self.active.borrow_mut().pop();
        }
        // A parameter that it gives back is the caller's.
        found.retain(|meaning| !meaning.is_guess);
        if found.len() > MOST {
            self.nothing.clone()
        } else {
            found.into()
        }
    }

    pub(super) fn call(&self, module: u32, func: u32, args: &[Arg]) -> Meanings {
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
        if let Node::Attr { base, name } = facts.expr(func).node
            && args.len() < 2
            && matches!(facts.text(name), "values" | "get" | "pop" | "popleft")
        {
            let inner = self.eval(module, base);
            let is_many = |meaning: &Meaning| matches!(meaning.value, Value::Many(_));
            if !inner.is_empty() && inner.iter().all(is_many) {
                return match facts.text(name) {
                    "values" => inner,
                    _ => elements(&inner),
                };
            }
        }
        let mut found = Vec::new();
        for meaning in &*self.eval(module, func) {
            let values = match &meaning.value {
                Value::External(name) => self.external_call(module, name, args),
                Value::Class(..) => one(Value::Instance(Rc::new(meaning.value.clone()))),
                Value::Function(home, id) | Value::Method(home, id) => self.returned(*home, *id),
                Value::Module(_) | Value::Instance(_) | Value::Many(_) => continue,
            };
            for value in &*values {
                let mut value = value.clone();
                for name in &meaning.via {
                    if !value.via.contains(name) {
                        value.via.insert(0, name.clone());
                    }
                }
                value.is_guess |= meaning.is_guess;
                add(&mut found, value);
            }
        }
        found.into()
    }

    fn super_of(&self, module: u32, scope: u32) -> Meanings {
        let Some(class) = self.class_around(module, scope) else {
            return self.nothing.clone();
        };
        let mut found = Vec::new();
        for &base in &self.facts(module).classes[class as usize].bases {
            merge(&mut found, &instances(&self.eval(module, base)));
        }
        found.into()
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
                .map_or_else(|| self.nothing.clone(), |arg| self.eval(module, arg.value)),
            "builtins.list" | "builtins.tuple" | "builtins.set" | "builtins.sorted"
            | "builtins.reversed" | "builtins.iter" => args
                .first()
                .map_or_else(|| self.nothing.clone(), |arg| self.eval(module, arg.value)),
            "builtins.getattr" => match (args.first(), text(1)) {
                (Some(base), Some(attribute)) => {
                    let base = self.eval(module, base.value);
                    self.attribute_of_all(&base, attribute)
                }
                _ => self.nothing.clone(),
            },
            "importlib.import_module"
            | "oslo_utils.importutils.import_module"
            | "oslo_utils.importutils.try_import"
            | "pytest.importorskip" => {
                text(0).map_or_else(|| self.nothing.clone(), |name| self.import(name, module))
            }
            "builtins.__import__" => text(0).map_or_else(
                || self.nothing.clone(),
                |name| self.import(name.split('.').next().unwrap_or(name), module),
            ),
            _ => {
                if let Some(class) = names::returned(name) {
                    return one(Value::Instance(Rc::new(Value::External(class))));
                }
                let last = name.rsplit('.').next().unwrap_or(name);
                let is_class = if names::is_ours(name) {
                    names::is_class(name)
                } else {
                    last.starts_with(|c: char| c.is_ascii_uppercase()) || name == "socket.socket"
                };
                if is_class {
                    let class = Value::External(name.into());
                    return one(Value::Instance(Rc::new(class)));
                }
                self.nothing.clone()
            }
        }
    }

    pub(super) fn item(&self, module: u32, base: u32, key: u32) -> Meanings {
        let outer = self.eval(module, base);
        let facts = self.facts(module);
        if let Node::Text(text) = facts.expr(key).node
            && outer
                .iter()
                .any(|m| m.value == Value::External("sys.modules".into()))
        {
            return self.import(facts.text(text), module);
        }
        if outer.is_empty()
            && let Node::Text(text) = facts.expr(key).node
            && facts.text(text) == "wsgi.input"
        {
            return one(Value::Instance(Rc::new(Value::External(
                "wsgi.input".into(),
            ))));
        }
        elements(&outer)
    }
}
