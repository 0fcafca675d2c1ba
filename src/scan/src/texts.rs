//! Files that are no programs: configuration, deployment, documentation.
//!
//! Only what selects or names Eventlet for a machine to read is found; prose that mentions it
//! is not.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::names;
use crate::rules;
use crate::source::decode;
use crate::strings::is_requirement;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TextHit {
    #[serde(with = "rules::by_id")]
    pub(crate) rule: rules::Id,
    pub(crate) symbol: Arc<str>,
    pub(crate) line: u32,
    /// Columns in characters, from 1.
    pub(crate) columns: (u32, u32),
    pub(crate) is_certain: bool,
}

const CONFIRMING: &[&str] = &[
    "worker_class",
    "worker-class",
    "async_mode",
    "executor",
    "pool",
    "worker_pool",
    "-k",
    "-P",
    "--pool",
    "--worker-class",
    "GUNICORN_CMD_ARGS",
    "thread_model",
];

/// Finds what a file says about Eventlet; what is no text has no configuration in it.
pub(crate) fn find_in(file: &Path) -> Vec<TextHit> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let text = std::fs::read(file)
        .ok()
        .and_then(|bytes| decode(&bytes).ok());
    find(&name, &text.unwrap_or_default())
}

/// Finds what a text says about Eventlet.
fn find(file_name: &str, text: &str) -> Vec<TextHit> {
    if !text.contains("eventlet") && !text.contains("EVENTLET_") {
        return Vec::new();
    }
    let ends = |ends: &[&str]| ends.iter().any(|end| file_name.ends_with(end));
    let is_prose = ends(&[".md", ".rst"]);
    let is_list = ends(&[".txt", ".in"]);
    let is_structured = [".toml", ".cfg", ".ini", ".yml", ".yaml", "Pipfile"]
        .iter()
        .any(|end| file_name.ends_with(end));
    let mut found = Vec::new();
    let mut section = "";
    for (index, line) in text.lines().enumerate() {
        if is_structured && line.starts_with('[') {
            section = line;
        }
        if !line.contains("eventlet") && !line.contains("EVENTLET_") {
            continue;
        }
        let trimmed = line.trim_start();
        // What is commented out selects nothing.
        if !is_prose && (trimmed.starts_with('#') || trimmed.starts_with(';')) {
            continue;
        }
        let mut add = |rule, symbol: Arc<str>, at: usize, length: usize| {
            let start = line[..at].chars().count() as u32 + 1;
            let end = start + line[at..at + length].chars().count() as u32;
            found.push(TextHit {
                rule,
                symbol,
                line: index as u32 + 1,
                columns: (start, end),
                is_certain: !is_prose,
            });
        };
        if let Some((at, name)) = variable(line) {
            add("EV198", name.into(), at, name.len());
            continue;
        }
        if is_list {
            if is_requirement(trimmed) {
                add(
                    "EV198",
                    "eventlet".into(),
                    line.len() - trimmed.len(),
                    "eventlet".len(),
                );
            }
            continue;
        }
        if is_prose {
            if let Some((at, name)) = dotted_call(line) {
                let symbol = names::canonical(name);
                add(rules::of_symbol(&symbol), symbol.clone(), at, name.len());
                continue;
            }
            let code = trimmed.trim_start_matches([' ', '>', '$', '.']);
            if code.starts_with("import eventlet") || code.starts_with("from eventlet") {
                add(
                    "EV199",
                    "eventlet".into(),
                    line.len() - code.len(),
                    code.len(),
                );
                continue;
            }
        }
        if let Some(at) = option(line).or_else(|| line.find("geventlet.EventletWorker")) {
            add("EV198", "eventlet".into(), at, "eventlet".len());
        } else if is_structured && !is_prose {
            let item = trimmed.trim_start_matches(['-', ' ', '"', '\'']);
            let from = line.len() - item.len();
            let item_name = item.trim_end_matches(['"', '\'', ',', ' ']);
            let pinned = item.starts_with("eventlet = ") || item.starts_with("eventlet=");
            let listed = item.split_once('=').filter(|(name, value)| {
                (section.contains("extras") || matches!(name.trim(), "deps" | "install_requires"))
                    && is_requirement(value.trim())
            });
            if let Some((name, value)) = listed {
                let at = from + name.len() + 1 + (value.len() - value.trim_start().len());
                add("EV198", "eventlet".into(), at, "eventlet".len());
            } else if (is_requirement(item_name) && !item.starts_with("eventlet:")) || pinned {
                add("EV198", "eventlet".into(), from, "eventlet".len());
            } else if let Some(at) = quoted_requirement(line) {
                add("EV198", "eventlet".into(), at, "eventlet".len());
            }
        }
    }
    found
}

/// `EVENTLET_HUB=...`, in any of the ways that variables are set.
fn variable(line: &str) -> Option<(usize, &str)> {
    let at = line.find("EVENTLET_")?;
    let rest = &line[at..];
    let end = rest
        .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .unwrap_or(rest.len());
    let after = rest[end..].trim_start_matches(['"', '\'']).trim_start();
    let is_set = after.starts_with('=')
        || after.starts_with(':')
        || line.trim_start().starts_with("ENV ")
        || line.contains("export ");
    let is_whole =
        at == 0 || !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    (is_set && is_whole && end > "EVENTLET_".len()).then(|| (at, &rest[..end]))
}

/// `-k eventlet`, `--pool=eventlet`, `worker_class = "eventlet"` and the like.
pub(crate) fn option(line: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = line[from..].find("eventlet") {
        let at = from + at;
        from = at + "eventlet".len();
        let before = line[..at].trim_end_matches(['"', '\'', ' ', '=', ':', ',']);
        let follows = &line[from..];
        let is_word = !follows.starts_with(|c: char| c.is_alphanumeric() || "_-.".contains(c));
        let glued = before.len() == at;
        let word = before
            .rsplit([' ', '\t', '"', '\'', '[', '(', ',', '{', '-'].as_slice())
            .next()
            .unwrap_or_default();
        let dashed = before
            .rsplit([' ', '\t', '"', '\'', '[', '(', ','].as_slice())
            .next()
            .unwrap_or_default();
        if is_word && !glued && (CONFIRMING.contains(&dashed) || CONFIRMING.contains(&word)) {
            return Some(at);
        }
        if is_word && (line[..at].ends_with("-keventlet") || before.ends_with("-P") && glued) {
            return Some(at);
        }
    }
    None
}

/// Whether what follows a word of a command line chooses Eventlet.
pub(crate) fn is_option(word: &str) -> bool {
    word.starts_with('-') && CONFIRMING.contains(&word)
        || CONFIRMING.contains(&word.trim_start_matches('-')) && word.starts_with("--")
}

/// `"eventlet>=0.30"` in a list.
fn quoted_requirement(line: &str) -> Option<usize> {
    for quote in ['"', '\''] {
        if let Some(at) = line.find(&format!("{quote}eventlet"))
            && let Some(text) = line[at + 1..].split(quote).next()
            && is_requirement(text)
            && (text.len() > "eventlet".len() || line.contains('['))
        {
            return Some(at + 1);
        }
    }
    None
}

/// `eventlet.spawn(` in an example.
fn dotted_call(line: &str) -> Option<(usize, &str)> {
    let mut from = 0;
    while let Some(at) = line[from..].find("eventlet.") {
        let at = from + at;
        let rest = &line[at..];
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        let (owner, last) = name.rsplit_once('.').unwrap_or((name, ""));
        let is_whole = at == 0
            || !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "_./".contains(c));
        if is_whole
            && rest[end..].starts_with('(')
            && names::is_module(owner)
            && names::has_name(owner, last)
        {
            return Some((at, name));
        }
        from = at + end;
    }
    None
}
