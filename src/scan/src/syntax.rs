//! The parser, behind one door: no other module names its crates.
//!
//! They promise no stability between versions, so the version is pinned and what changes with
//! it changes here. Trees are the parser's own; a copy of them would cost more than it saves.

pub(crate) use ruff_python_ast as ast;
pub(crate) use ruff_text_size::{Ranged, TextRange};

use ruff_python_ast::{Expr, ModModule};
use ruff_python_parser::{Mode, ParseOptions, Parsed, parse_string_annotation, parse_unchecked};

/// A module with what the parser could not read in it.
pub(crate) struct Tree {
    parsed: Parsed<ModModule>,
    pub(crate) errors: Vec<(u32, String)>,
}

impl Tree {
    pub(crate) fn body(&self) -> &[ast::Stmt] {
        &self.parsed.syntax().body
    }

    /// Comments as ranges, in order.
    pub(crate) fn comments(&self) -> Vec<TextRange> {
        self.parsed
            .tokens()
            .iter()
            .filter(|token| token.kind().is_comment())
            .map(Ranged::range)
            .collect()
    }
}

/// Reads a module in the newest syntax that the parser knows.
///
/// What follows an error is read as well as it can be: a finding in half a file is worth more
/// than silence.
pub(crate) fn parse(source: &str) -> Tree {
    let options = ParseOptions::from(Mode::Module).with_target_version(ast::PythonVersion::PY315);
    let parsed = parse_unchecked(source, options)
        .try_into_module()
        .expect("the mode asks for a module");
    let errors = parsed
        .errors()
        .iter()
        .map(|error| (error.location.start().to_u32(), error.error.to_string()))
        .collect();
    Tree { parsed, errors }
}

/// Reads an annotation that is written as a string; `None` if it is no expression.
pub(crate) fn parse_annotation(source: &str, literal: &ast::StringLiteral) -> Option<Expr> {
    parse_string_annotation(source, literal)
        .ok()
        .map(|parsed| *parsed.into_syntax().body)
}

pub(crate) fn span(node: &impl Ranged) -> (u32, u32) {
    (node.start().to_u32(), node.end().to_u32())
}
