//! Conditions on shared state that are followed by a change of it.
//!
//! Between two switches a green thread is alone, so nobody wrote a lock; OS threads are not.

use crate::facts::{Check, NONE};
use crate::syntax::ast::{self, Expr, Stmt};
use crate::syntax::span;

use super::Walk;

/// Methods that change what they are called on.
const CHANGING: &[&str] = &[
    "add",
    "append",
    "appendleft",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "popleft",
    "put_nowait",
    "remove",
    "setdefault",
    "update",
];

/// What a condition is about: an attribute of the receiver, or a name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Subject<'n> {
    name: &'n str,
    is_attribute: bool,
}

impl Walk<'_> {
    /// Looks at a condition and at what follows it in its block.
    pub(super) fn check(&mut self, node: &ast::StmtIf, rest: &[Stmt]) {
        if self.function == NONE || self.locks > 0 {
            return;
        }
        let function = &self.facts.functions[self.function as usize];
        let name = self.facts.text(function.name);
        if function.is_async || name.starts_with("__") {
            return;
        }
        let receiver = self
            .receiver
            .map(|(_, name)| self.facts.text(name).to_owned());
        let receiver = receiver.as_deref();
        let mut subjects = Vec::new();
        asked(&node.test, receiver, &mut subjects);
        let mut blocks: Vec<&[Stmt]> = vec![&node.body];
        blocks.extend(node.elif_else_clauses.iter().map(|clause| &clause.body[..]));
        if node.body.last().is_some_and(leaves) {
            blocks.push(rest);
        }
        let found = subjects.into_iter().find(|subject| {
            blocks
                .iter()
                .any(|block| changes(block, receiver, *subject))
        });
        if let Some(Subject { name, is_attribute }) = found {
            // A name of the function's own is nobody else's.
            let id = self.intern(name);
            if !is_attribute && self.bound.contains(&(self.scope, id)) {
                return;
            }
            self.facts.checks.push(Check {
                function: self.function,
                name: id,
                is_attribute,
                range: span(&*node.test),
            });
        }
    }
}

/// What is asked of shared state: whether it is there, or has something.
fn asked<'n>(test: &'n Expr, receiver: Option<&str>, found: &mut Vec<Subject<'n>>) {
    match test {
        Expr::UnaryOp(node) => asked(&node.operand, receiver, found),
        Expr::BoolOp(node) => {
            for value in &node.values {
                asked(value, receiver, found);
            }
        }
        Expr::Compare(node) => {
            for side in std::iter::once(&*node.left).chain(&node.comparators) {
                asked(side, receiver, found);
            }
        }
        Expr::Call(node) => {
            if let Expr::Name(name) = &*node.func
                && name.id == "len"
                && let [argument] = &*node.arguments.args
            {
                asked(argument, receiver, found);
            }
        }
        other => found.extend(subject(other, receiver)),
    }
}

fn subject<'n>(expr: &'n Expr, receiver: Option<&str>) -> Option<Subject<'n>> {
    match expr {
        Expr::Attribute(node) => match &*node.value {
            Expr::Name(base) if Some(base.id.as_str()) == receiver => Some(Subject {
                name: &node.attr.id,
                is_attribute: true,
            }),
            _ => None,
        },
        Expr::Name(name) => Some(Subject {
            name: &name.id,
            is_attribute: false,
        }),
        _ => None,
    }
}

/// Whether a statement ends its block for good.
fn leaves(statement: &Stmt) -> bool {
    matches!(
        statement,
        Stmt::Return(_) | Stmt::Raise(_) | Stmt::Continue(_)
    )
}

/// Whether a block changes it.
fn changes(block: &[Stmt], receiver: Option<&str>, wanted: Subject<'_>) -> bool {
    let is_it = |expr: &Expr| {
        let expr = match expr {
            Expr::Subscript(node) => &node.value,
            other => other,
        };
        subject(expr, receiver) == Some(wanted)
    };
    block.iter().any(|statement| match statement {
        Stmt::Assign(node) => node.targets.iter().any(is_it),
        Stmt::AugAssign(node) => is_it(&node.target),
        Stmt::AnnAssign(node) => is_it(&node.target),
        Stmt::Delete(node) => node.targets.iter().any(is_it),
        Stmt::Expr(node) => match &*node.value {
            Expr::Call(call) => match &*call.func {
                Expr::Attribute(method) => {
                    CHANGING.contains(&method.attr.id.as_str()) && is_it(&method.value)
                }
                _ => false,
            },
            _ => false,
        },
        Stmt::If(node) => {
            changes(&node.body, receiver, wanted)
                || node
                    .elif_else_clauses
                    .iter()
                    .any(|clause| changes(&clause.body, receiver, wanted))
        }
        Stmt::For(node) => changes(&node.body, receiver, wanted),
        Stmt::While(node) => changes(&node.body, receiver, wanted),
        Stmt::Try(node) => [&node.body, &node.orelse, &node.finalbody]
            .iter()
            .any(|block| changes(block, receiver, wanted)),
        // With a lock or without: what is entered may be one.
        _ => false,
    })
}

/// Whether an expression speaks of a lock.
pub(super) fn names_lock(expr: &Expr) -> bool {
    let says = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["lock", "mutex", "sem", "cond", "synchron"]
            .iter()
            .any(|word| name.contains(word))
    };
    match expr {
        Expr::Name(name) => says(&name.id),
        Expr::Attribute(attribute) => says(&attribute.attr.id) || names_lock(&attribute.value),
        Expr::Call(call) => names_lock(&call.func),
        Expr::Subscript(node) => names_lock(&node.value),
        _ => false,
    }
}
