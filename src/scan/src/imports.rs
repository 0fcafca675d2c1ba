//! Imports of what is Eventlet's: which of them are uses, and which only hand on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::eval::{Evaluator, Value};
use crate::explicit::Hit;
use crate::facts::{BindingKind, NONE, Node};
use crate::finding::{Confidence, Kind, Site};
use crate::link::Touched;
use crate::names;
use crate::rules::Safety;

/// An import of something of Eventlet's.
// Four questions, each with its own answer.
#[allow(clippy::struct_excessive_bools)]
#[derive(Serialize, Deserialize)]
pub(crate) struct Import {
    hit: Hit,
    name: Arc<str>,
    is_green: bool,
    /// Read in its own file.
    is_own: bool,
    is_exported: bool,
    /// At the top of the module, where others can take it from.
    is_top: bool,
}

impl Import {
    /// Judges it: of a green module, or one that nothing uses.
    ///
    /// An import that another module takes its names from is no use of its own: a move of
    /// imports into one module must not change what is counted.
    pub(crate) fn judge(&self, touched: &Touched) -> Hit {
        let mut hit = self.hit.clone();
        let is_touched = touched.contains(&(hit.at.module, self.name.clone()));
        let hands_on = (is_touched || self.is_exported) && !self.is_own && self.is_top;
        hit.is_hidden = if self.is_green {
            hands_on
        } else {
            self.is_own || hands_on
        };
        hit
    }
}

/// Finds the imports in a file that bind what is Eventlet's.
pub(crate) fn find(eval: &Evaluator<'_>, module: u32) -> Vec<Import> {
    let facts = eval.facts(module);
    let mut found = Vec::new();
    for binding in &facts.bindings {
        let (written, is_green) = match &binding.kind {
            BindingKind::Import { module: name, .. } => {
                let name = facts.text(*name);
                (eval.import(name, module), names::is_green_module(name))
            }
            BindingKind::From { .. } => (eval.binding(module, &binding.kind), false),
            _ => continue,
        };
        let Some(meaning) = written.iter().find(
            |meaning| matches!(&meaning.value, Value::External(name) if names::is_ours(name)),
        ) else {
            continue;
        };
        let Value::External(symbol) = &meaning.value else {
            continue;
        };
        let is_green = is_green || symbol.starts_with("eventlet.green.");
        let (function, class) = owner_of(facts, binding.scope);
        found.push(Import {
            hit: Hit {
                rule: if is_green { "EV150" } else { "EV199" },
                symbol: if is_green {
                    green_module_of(symbol)
                } else {
                    symbol.clone()
                },
                via: meaning.via.clone(),
                kind: Kind::Import,
                confidence: Confidence::High,
                at: Site {
                    module,
                    range: binding.range,
                    function,
                    class,
                },
                subject: NONE,
                note: String::new(),
                is_hidden: false,
                shape: Safety::Safe,
            },
            name: facts.text(binding.name).into(),
            is_green,
            is_own: is_read_here(facts, binding.scope, binding.name),
            is_exported: facts
                .exports
                .as_ref()
                .is_some_and(|names| names.contains(&binding.name)),
            is_top: binding.scope == 0,
        });
    }
    found
}

/// The green module that a name of one lies in.
fn green_module_of(symbol: &str) -> Arc<str> {
    let mut name = symbol;
    while !names::is_module(name) {
        match name.rsplit_once('.') {
            Some((outer, _)) => name = outer,
            None => return symbol.into(),
        }
    }
    name.into()
}

fn owner_of(facts: &crate::facts::Facts, scope: u32) -> (u32, u32) {
    use crate::facts::ScopeKind;
    let mut at = scope;
    while at != NONE {
        let entry = &facts.scopes[at as usize];
        match entry.kind {
            ScopeKind::Function => return (entry.owner, NONE),
            ScopeKind::Class => return (NONE, entry.owner),
            _ => at = entry.parent,
        }
    }
    (NONE, NONE)
}

fn is_read_here(facts: &crate::facts::Facts, scope: u32, name: u32) -> bool {
    facts.exprs.iter().any(
        |expr| matches!(expr.node, Node::Name { name: id, home, .. } if id == name && home == scope),
    )
}
