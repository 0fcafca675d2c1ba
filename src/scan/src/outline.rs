//! What the whole project needs to know of a file, without its facts.
//!
//! Facts of a million lines take a while to be read from disk; outlines are a tenth of them, so
//! that a scan after a small change reads the facts of few files only.

use serde::{Deserialize, Serialize};

use crate::facts::{Facts, NONE, Node, ScopeKind, Suppression};
use crate::interface;
use crate::source::Lines;

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Outline {
    /// What others may learn of the file, as a number.
    pub(crate) interface: u64,
    pub(crate) functions: Vec<Entry>,
    /// Qualified names of the classes.
    pub(crate) classes: Vec<Box<str>>,
    pub(crate) suppressions: Vec<Suppression>,
    pub(crate) errors: Vec<(u32, String)>,
    /// Has a block for `__name__ == "__main__"`.
    pub(crate) is_program: bool,
    pub(crate) lines: Table,
}

// Four questions, each with its own answer.
#[allow(clippy::struct_excessive_bools)]
#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) qualname: Box<str>,
    /// Where its name stands.
    pub(crate) start: u32,
    pub(crate) is_async: bool,
    pub(crate) is_lambda: bool,
    pub(crate) is_method: bool,
    /// The class around it, be it in a function of it.
    pub(crate) class: u32,
    /// `__init__` of a class that says to be a service.
    pub(crate) is_service: bool,
}

impl Entry {
    pub(crate) fn name(&self) -> &str {
        self.qualname.rsplit('.').next().unwrap_or_default()
    }
}

impl Outline {
    pub(crate) fn new(text: &str, facts: &Facts) -> Self {
        let functions = facts
            .functions
            .iter()
            .enumerate()
            .map(|(id, function)| Entry {
                qualname: facts.text(function.qualname).into(),
                start: function.range.0,
                is_async: function.is_async,
                is_lambda: function.is_lambda,
                is_method: function.class != NONE,
                class: class_around(facts, id as u32),
                is_service: function.class != NONE
                    && facts.text(function.name) == "__init__"
                    && is_service(facts, function.class),
            })
            .collect();
        Self {
            interface: interface::digest(facts),
            functions,
            classes: facts
                .classes
                .iter()
                .map(|class| facts.text(class.qualname).into())
                .collect(),
            suppressions: facts.suppressions.clone(),
            errors: facts.errors.clone(),
            is_program: facts.is_program,
            lines: Table::new(text),
        }
    }

    pub(crate) fn is_async(&self, function: u32) -> bool {
        self.functions
            .get(function as usize)
            .is_some_and(|entry| entry.is_async)
    }
}

fn class_around(facts: &Facts, function: u32) -> u32 {
    let mut scope = facts.functions[function as usize].scope;
    while let Some(entry) = facts.scopes.get(scope as usize) {
        if entry.kind == ScopeKind::Class {
            return entry.owner;
        }
        scope = entry.parent;
    }
    NONE
}

fn is_service(facts: &Facts, class: u32) -> bool {
    facts.classes[class as usize]
        .bases
        .iter()
        .any(|&base| match facts.expr(base).node {
            Node::Name { name, .. } | Node::Attr { name, .. } => {
                facts.text(name).ends_with("Service")
            }
            _ => false,
        })
}

/// Where lines begin, so that offsets become places without the text.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Table {
    /// Lengths of lines in bytes, seven bits at a time.
    lengths: Vec<u8>,
    pub(crate) count: u32,
    /// Characters of more than one byte: where they stand, and how many bytes more they have.
    wide: Vec<(u32, u8)>,
}

/// A table that is ready for questions.
pub(crate) struct Places<'t> {
    starts: Vec<u32>,
    wide: &'t [(u32, u8)],
}

impl Table {
    pub(crate) fn new(text: &str) -> Self {
        let lines = Lines::new(text);
        let starts = lines.starts();
        let mut table = Self {
            count: lines.count(),
            ..Self::default()
        };
        for pair in starts.windows(2) {
            let mut length = pair[1] - pair[0];
            while length >= 0x80 {
                table.lengths.push(length as u8 | 0x80);
                length >>= 7;
            }
            table.lengths.push(length as u8);
        }
        if !text.is_ascii() {
            table.wide = text
                .char_indices()
                .filter(|(_, c)| c.len_utf8() > 1)
                .map(|(at, c)| (at as u32, c.len_utf8() as u8 - 1))
                .collect();
        }
        table
    }

    pub(crate) fn places(&self) -> Places<'_> {
        let mut starts = Vec::with_capacity(self.count as usize);
        let (mut at, mut length, mut shift) = (0u32, 0u32, 0u32);
        starts.push(0);
        for &byte in &self.lengths {
            length |= u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                at += length;
                starts.push(at);
                (length, shift) = (0, 0);
            }
        }
        Places {
            starts,
            wide: &self.wide,
        }
    }
}

impl Places<'_> {
    /// Line and column of an offset, both from 1, the column in characters.
    pub(crate) fn of(&self, offset: u32) -> (u32, u32) {
        let line = self.starts.partition_point(|&start| start <= offset) - 1;
        let start = self.starts[line];
        let from = self.wide.partition_point(|(at, _)| *at < start);
        let more: u32 = self.wide[from..]
            .iter()
            .take_while(|(at, _)| *at < offset)
            .map(|(_, more)| u32::from(*more))
            .sum();
        (line as u32 + 1, (offset - start).saturating_sub(more) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_text() {
        let long = "x".repeat(20_000);
        let text = format!("a = 'ä'\r\nb = '😀' + c\r\n\u{c}{long}\n\ncé\rd");
        let table = Table::new(&text);
        let places = table.places();
        let lines = Lines::new(&text);
        for (offset, _) in text.char_indices() {
            let offset = offset as u32;
            assert_eq!(places.of(offset), lines.position(&text, offset), "{offset}");
        }
        assert_eq!(table.count, lines.count());
    }
}
