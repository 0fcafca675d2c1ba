//! The import statements of a file, and edits of them.

use crate::syntax::ast::{self, Stmt};
use crate::syntax::{self, span};

use super::edit::Edit;

/// One name that an import statement binds.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub(crate) range: (u32, u32),
}

#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) range: (u32, u32),
    pub(crate) aliases: Vec<Alias>,
    /// The only statement of its block: something must stay in its place.
    pub(crate) is_alone: bool,
    /// `from` with parentheses, or anything else that shares its line with nothing.
    pub(crate) has_own_lines: bool,
}

/// What becomes of one alias.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) alias: (u32, u32),
    pub(crate) is_removed: bool,
    /// Statements that come into its place, or before it.
    pub(crate) added: Vec<String>,
}

pub(crate) fn statements(text: &str) -> Vec<Statement> {
    let tree = syntax::parse(text);
    let mut found = Vec::new();
    block(text, tree.body(), &mut found);
    found
}

fn block(text: &str, body: &[Stmt], found: &mut Vec<Statement>) {
    for statement in body {
        let aliases: Option<&[ast::Alias]> = match statement {
            Stmt::Import(node) => Some(&node.names),
            Stmt::ImportFrom(node) => Some(&node.names),
            _ => None,
        };
        if let Some(aliases) = aliases {
            let range = span(statement);
            found.push(Statement {
                range,
                aliases: aliases
                    .iter()
                    .map(|alias| Alias { range: span(alias) })
                    .collect(),
                is_alone: body.len() == 1,
                has_own_lines: owns_lines(text, range),
            });
        }
        match statement {
            Stmt::FunctionDef(node) => block(text, &node.body, found),
            Stmt::ClassDef(node) => block(text, &node.body, found),
            Stmt::If(node) => {
                block(text, &node.body, found);
                for clause in &node.elif_else_clauses {
                    block(text, &clause.body, found);
                }
            }
            Stmt::For(node) => {
                block(text, &node.body, found);
                block(text, &node.orelse, found);
            }
            Stmt::While(node) => {
                block(text, &node.body, found);
                block(text, &node.orelse, found);
            }
            Stmt::With(node) => block(text, &node.body, found),
            Stmt::Try(node) => {
                block(text, &node.body, found);
                for handler in &node.handlers {
                    let ast::ExceptHandler::ExceptHandler(handler) = handler;
                    block(text, &handler.body, found);
                }
                block(text, &node.orelse, found);
                block(text, &node.finalbody, found);
            }
            Stmt::Match(node) => {
                for case in &node.cases {
                    block(text, &case.body, found);
                }
            }
            _ => {}
        }
    }
}

fn owns_lines(text: &str, (start, end): (u32, u32)) -> bool {
    let before = text[..start as usize]
        .rsplit(['\n', '\r'])
        .next()
        .unwrap_or_default();
    let after = text[end as usize..]
        .split(['\n', '\r'])
        .next()
        .unwrap_or_default()
        .trim_start();
    before
        .chars()
        .all(|c| c == ' ' || c == '\t' || c == '\u{c}')
        && (after.is_empty() || after.starts_with('#'))
}

/// Turns the changes of a statement's aliases into edits; `None` if that cannot be done.
pub(crate) fn edits(
    text: &str,
    statement: &Statement,
    changes: &[Change],
    newline: &str,
) -> Option<Vec<Edit>> {
    if !statement.has_own_lines {
        return None;
    }
    let (start, end) = statement.range;
    let indent: String = text[..start as usize]
        .rsplit(['\n', '\r'])
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| *c != '\u{c}')
        .collect();
    let removed: Vec<usize> = statement
        .aliases
        .iter()
        .enumerate()
        .filter(|(_, alias)| {
            changes
                .iter()
                .any(|change| change.is_removed && change.alias == alias.range)
        })
        .map(|(at, _)| at)
        .collect();
    let mut added: Vec<String> = Vec::new();
    for line in changes.iter().flat_map(|change| &change.added) {
        // Names of one module that follow each other stand in one line.
        let joined = line.split_once(" import ").and_then(|(head, name)| {
            let last = added.last_mut()?;
            let is_same = head.starts_with("from ")
                && last
                    .split_once(" import ")
                    .is_some_and(|(other, _)| other == head)
                && !last.contains(['(', '\\'])
                && !line.contains('(')
                && last.len() + name.len() + indent.len() < 78;
            is_same.then(|| *last = format!("{last}, {name}"))
        });
        if joined.is_none() && !added.contains(line) {
            added.push(line.clone());
        }
    }
    if removed.len() == statement.aliases.len() {
        if added.is_empty() && statement.is_alone {
            added.push("pass".to_owned());
        }
        if !added.is_empty() {
            let joined = added.join(&format!("{newline}{indent}"));
            return Some(vec![Edit {
                range: (start, end),
                text: joined,
            }]);
        }
        // With its line, and with a comment on it, which spoke of it.
        let line_start = start as usize - indent.len();
        let rest = &text[end as usize..];
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let range = (line_start as u32, end + length as u32);
        return Some(vec![Edit {
            range,
            text: String::new(),
        }]);
    }
    let mut found = Vec::new();
    if !added.is_empty() {
        let mut lines = added.join(&format!("{newline}{indent}"));
        lines.push_str(newline);
        lines.push_str(&indent);
        found.push(Edit {
            range: (start, start),
            text: lines,
        });
    }
    let last = statement.aliases.len() - 1;
    let mut at = 0;
    while at <= last {
        if !removed.contains(&at) {
            at += 1;
            continue;
        }
        let mut until = at;
        while until < last && removed.contains(&(until + 1)) {
            until += 1;
        }
        // With the comma behind, or with the one before where there is none behind.
        let range = if until < last {
            (
                statement.aliases[at].range.0,
                statement.aliases[until + 1].range.0,
            )
        } else {
            (
                statement.aliases[at - 1].range.1,
                statement.aliases[until].range.1,
            )
        };
        found.push(Edit {
            range,
            text: String::new(),
        });
        at = until + 1;
    }
    Some(found)
}
