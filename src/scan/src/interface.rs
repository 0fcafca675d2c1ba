//! What other files may learn of a file, as a number.
//!
//! While it stays the same, nothing that was found out about another file changes: neither where
//! lines stand nor what functions merely do is a part of it.

use std::hash::{DefaultHasher, Hash, Hasher};

use rustc_hash::FxHashMap;

use crate::eval::live_bindings;
use crate::facts::{BindingKind, Facts, NONE, Node, ScopeKind};

struct Digest<'f> {
    facts: &'f Facts,
    state: DefaultHasher,
    /// What is a part of it already: scope, name and places of the bindings that are meant.
    seen: FxHashMap<(u32, u32, Vec<u32>), u32>,
}

/// Makes the number. It depends on nothing but the facts.
pub(crate) fn digest(facts: &Facts) -> u64 {
    let mut digest = Digest {
        facts,
        state: DefaultHasher::new(),
        seen: FxHashMap::default(),
    };
    digest.module();
    digest.state.finish()
}

impl Digest<'_> {
    fn number(&mut self, value: u32) {
        self.state.write_u32(value);
    }

    fn text(&mut self, id: u32) {
        if id == NONE {
            self.state.write_u8(0xfe);
        } else {
            self.facts.text(id).hash(&mut self.state);
        }
    }

    fn module(&mut self) {
        let facts = self.facts;
        match &facts.exports {
            Some(names) => {
                self.number(names.len() as u32);
                for &name in names {
                    self.text(name);
                }
            }
            None => self.number(NONE),
        }
        for star in &facts.stars {
            self.number(star.level);
            self.number(star.scope);
            self.text(star.module);
        }
        for &name in &facts.handlers_of_sockets {
            self.text(name);
        }
        self.number(facts.functions.len() as u32);
        for function in &facts.functions {
            self.text(function.qualname);
            self.number(function.class);
            self.number(self.owner(function.parent));
            self.number(
                u32::from(function.is_async)
                    | u32::from(function.is_generator) << 1
                    | u32::from(function.is_lambda) << 2,
            );
            self.number(function.params.len() as u32);
            for param in &function.params {
                self.text(param.name);
                self.number(param.kind as u32);
                self.expr(param.annotation);
                self.expr(param.default);
            }
            self.all(&function.decorators);
            self.all(&function.returns);
            self.expr(function.annotation);
        }
        self.number(facts.classes.len() as u32);
        for class in &facts.classes {
            self.text(class.qualname);
            self.number(self.owner(class.parent));
            self.all(&class.bases);
            self.number(class.attributes.len() as u32);
            for attribute in &class.attributes {
                self.text(attribute.name);
                self.kind(&attribute.kind);
            }
        }
        // Names are numbered as they come in the text, which says nothing; their order here is
        // that of their texts.
        let mut scopes: Vec<u32> = vec![0];
        scopes.extend(facts.classes.iter().map(|class| class.scope));
        for scope in scopes {
            let mut names: Vec<u32> = facts.names_in(scope);
            names.sort_unstable_by_key(|&name| facts.text(name));
            self.number(names.len() as u32);
            for name in names {
                self.text(name);
                self.bindings(scope, name, None);
            }
        }
    }

    /// Whose scope it is: 0 for the module's, numbers of functions and classes after that.
    fn owner(&self, scope: u32) -> u32 {
        match self.facts.scopes.get(scope as usize) {
            Some(scope) => match scope.kind {
                ScopeKind::Module => 0,
                ScopeKind::Class => scope.owner * 4 + 1,
                ScopeKind::Function => scope.owner * 4 + 2,
                ScopeKind::Comprehension => 3,
            },
            None => NONE,
        }
    }

    fn all(&mut self, exprs: &[u32]) {
        self.number(exprs.len() as u32);
        for &expr in exprs {
            self.expr(expr);
        }
    }

    /// The bindings that a name may mean, at a place or in the end.
    fn bindings(&mut self, scope: u32, name: u32, at: Option<(u32, u32)>) {
        let facts = self.facts;
        let live = live_bindings(facts, scope, name, at);
        let next = self.seen.len() as u32;
        let key = (scope, name, live.iter().map(|b| b.pos).collect());
        if let Some(&known) = self.seen.get(&key) {
            self.number(known);
            return;
        }
        self.seen.insert(key, next);
        self.number(live.len() as u32);
        self.number((live.len() == facts.bindings_of(scope, name).len()).into());
        for binding in live {
            self.kind(&binding.kind);
        }
    }

    fn kind(&mut self, kind: &BindingKind) {
        match kind {
            BindingKind::Import { module, renamed } => {
                self.number(1);
                self.text(*module);
                self.number((*renamed).into());
            }
            BindingKind::From {
                level,
                module,
                name,
            } => {
                self.number(2);
                self.number(*level);
                self.text(*module);
                self.text(*name);
            }
            BindingKind::Value(expr) => {
                self.number(3);
                self.expr(*expr);
            }
            BindingKind::Element(expr) => {
                self.number(4);
                self.expr(*expr);
            }
            BindingKind::Entered(expr) => {
                self.number(5);
                self.expr(*expr);
            }
            BindingKind::Annotated(expr) => {
                self.number(6);
                self.expr(*expr);
            }
            BindingKind::Function(id) => {
                self.number(7);
                self.number(*id);
            }
            BindingKind::Class(id) => {
                self.number(8);
                self.number(*id);
            }
            BindingKind::Param { function, index } => {
                self.number(9);
                self.number(*function);
                self.number(*index);
            }
            BindingKind::Unknown => self.number(10),
            BindingKind::Deleted => self.number(11),
        }
    }

    fn expr(&mut self, id: u32) {
        if id == NONE {
            self.number(NONE);
            return;
        }
        let facts = self.facts;
        let expr = facts.expr(id);
        match &expr.node {
            Node::Other => self.number(20),
            Node::Name {
                name,
                from,
                home,
                branch,
            } => {
                self.number(21);
                self.text(*name);
                self.number(self.owner(*from));
                self.number(self.owner(*home));
                let in_place = facts.runs_in_place(*from, *home);
                if *home != NONE && (*home != 0 || in_place) {
                    let at = in_place.then_some((*branch, expr.start));
                    self.bindings(*home, *name, at);
                }
            }
            Node::Attr { base, name } => {
                self.number(22);
                self.expr(*base);
                self.text(*name);
            }
            Node::Call { func, args } => {
                self.number(23);
                self.expr(*func);
                self.number(args.len() as u32);
                for arg in args {
                    self.text(arg.name);
                    self.number(arg.starred.into());
                    self.expr(arg.value);
                }
            }
            Node::Item { base, key } => {
                self.number(24);
                self.expr(*base);
                self.expr(*key);
            }
            Node::Either(parts) => {
                self.number(25);
                self.all(parts);
            }
            Node::Many(parts) => {
                self.number(26);
                self.all(parts);
            }
            Node::Await(inner) => {
                self.number(27);
                self.expr(*inner);
            }
            Node::Lambda(function) => {
                self.number(28);
                self.number(*function);
            }
            Node::Text(text) => {
                self.number(29);
                self.text(*text);
            }
            Node::Int(value) => {
                self.number(30);
                self.state.write_i64(*value);
            }
            Node::Bool(value) => {
                self.number(31);
                self.number((*value).into());
            }
            Node::Nothing => self.number(32),
            Node::Prefix(text) => {
                self.number(33);
                self.text(*text);
            }
        }
    }
}
