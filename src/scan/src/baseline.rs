//! The ratchet: what was there when the baseline was written may stay, and nothing may come.
//!
//! An entry is known by rule, name of Eventlet, function and text of the line, not by path and
//! line number: code may move within a file and between files, and files may be renamed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::source::{Lines, decode};

pub(crate) const DEFAULT: &str = ".eventlet-baseline.json";
const SCHEMA: u32 = 1;

#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Entry {
    rule: String,
    symbol: String,
    function: String,
    /// A hash of the line without its spaces.
    line: String,
    count: u32,
}

type Key<'e> = (&'e str, &'e str, &'e str, &'e str);

/// What a check has found.
pub(crate) struct Outcome {
    /// Positions of the findings that are not in the baseline.
    pub(crate) new: Vec<usize>,
    /// Entries that nothing in the code matches any more.
    pub(crate) stale: u32,
    /// The names of Eventlet in those.
    pub(crate) gone: Vec<String>,
    /// The entries that are left.
    pub(crate) left: Vec<Entry>,
}

pub(crate) fn entries(findings: &[&Finding], folder: &Path) -> Vec<Entry> {
    let mut texts: FxHashMap<&str, Option<(String, Lines)>> = FxHashMap::default();
    findings
        .iter()
        .map(|finding| {
            let text = texts.entry(&finding.path).or_insert_with(|| {
                let bytes = std::fs::read(folder.join(&finding.path)).ok()?;
                let text = decode(&bytes).ok()?;
                let lines = Lines::new(&text);
                Some((text, lines))
            });
            let line = text
                .as_ref()
                .map_or("", |(text, lines)| lines.line(text, finding.line));
            Entry {
                rule: finding.rule.to_owned(),
                symbol: finding.symbol.to_string(),
                function: finding.function.clone(),
                line: hash(line),
                count: 1,
            }
        })
        .collect()
}

/// FNV-1a of what is no space: the same everywhere and for ever.
fn hash(line: &str) -> String {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in line.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{state:016x}")
}

fn join(entries: &[Entry]) -> Vec<Entry> {
    let mut counted: BTreeMap<Entry, u32> = BTreeMap::new();
    for entry in entries {
        let key = Entry {
            count: 0,
            ..entry.clone()
        };
        *counted.entry(key).or_default() += entry.count;
    }
    counted
        .into_iter()
        .map(|(entry, count)| Entry { count, ..entry })
        .collect()
}

pub(crate) fn write(file: &PathBuf, entries: &[Entry]) -> Result<(), String> {
    let document = File {
        schema: SCHEMA,
        entries: join(entries),
    };
    let text = serde_json::to_string_pretty(&document).map_err(|error| error.to_string())?;
    std::fs::write(file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))
}

pub(crate) fn read(file: &PathBuf) -> Result<Vec<Entry>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        format!(
            "{}: {error}; scan --baseline write makes one",
            file.display()
        )
    })?;
    let document: File = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no baseline: {error}", file.display()))?;
    if document.schema != SCHEMA {
        return Err(format!(
            "{} is a baseline of another version",
            file.display()
        ));
    }
    Ok(document.entries)
}

/// Finds what is new: the same line first, then the same function, then the same line elsewhere.
pub(crate) fn check(known: &[Entry], found: &[Entry]) -> Outcome {
    let mut left: Vec<Entry> = join(known);
    let mut matched = vec![false; found.len()];
    let keys: [fn(&Entry) -> Key<'_>; 4] = [
        |e| (&e.rule, &e.symbol, &e.function, &e.line),
        |e| (&e.rule, &e.symbol, &e.function, ""),
        |e| ("", &e.symbol, &e.function, ""),
        |e| (&e.rule, &e.symbol, "", &e.line),
    ];
    for key in keys {
        let mut open: FxHashMap<(String, String, String, String), Vec<usize>> =
            FxHashMap::default();
        let owned =
            |(a, b, c, d): Key<'_>| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned());
        for (at, entry) in left.iter().enumerate() {
            open.entry(owned(key(entry))).or_default().push(at);
        }
        for (index, entry) in found.iter().enumerate() {
            if matched[index] {
                continue;
            }
            let Some(places) = open.get(&owned(key(entry))) else {
                continue;
            };
            if let Some(&at) = places.iter().find(|&&at| left[at].count > 0) {
                left[at].count -= 1;
                matched[index] = true;
            }
        }
    }
    let stale = left.iter().map(|entry| entry.count).sum();
    Outcome {
        new: (0..found.len()).filter(|&index| !matched[index]).collect(),
        stale,
        gone: left
            .iter()
            .filter(|entry| entry.count > 0)
            .map(|entry| entry.symbol.clone())
            .collect(),
        left: found
            .iter()
            .zip(&matched)
            .filter(|(_, m)| **m)
            .map(|(e, _)| e.clone())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(symbol: &str, function: &str, line: &str) -> Entry {
        Entry {
            rule: "EV102".to_owned(),
            symbol: symbol.to_owned(),
            function: function.to_owned(),
            line: hash(line),
            count: 1,
        }
    }

    #[test]
    fn spaces_and_order_change_nothing() {
        let known = [entry("a", "f", "sleep(1)"), entry("a", "g", "sleep(2)")];
        let found = [entry("a", "g", "  sleep( 2 )"), entry("a", "f", "sleep(1)")];
        let outcome = check(&known, &found);
        assert!(outcome.new.is_empty() && outcome.stale == 0);
    }

    #[test]
    fn one_more_of_the_same_is_new() {
        let known = [entry("a", "f", "sleep(1)")];
        let found = [entry("a", "f", "sleep(1)"), entry("a", "f", "sleep(1)")];
        assert_eq!(check(&known, &found).new, [1]);
    }

    #[test]
    fn a_changed_line_and_a_renamed_function_are_known() {
        let known = [entry("a", "f", "sleep(1)"), entry("a", "g", "sleep(2)")];
        let found = [entry("a", "f", "sleep(3)"), entry("a", "h", "sleep(2)")];
        assert!(check(&known, &found).new.is_empty());
    }

    #[test]
    fn what_has_gone_is_stale() {
        let known = [entry("a", "f", "sleep(1)"), entry("b", "f", "spawn()")];
        let outcome = check(&known, &[entry("a", "f", "sleep(1)")]);
        assert_eq!(
            (outcome.new.len(), outcome.stale, outcome.left.len()),
            (0, 1, 1)
        );
    }
}
