//! `rewrite facade`: moves every import of Eventlet into one module.
//!
//! The first step of a plan: afterwards one file says what is used, and can be changed for
//! all. Uses and mocks stay as they are, since each name is the same object as before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::api::{Answer, Request};
use crate::extract::extract;
use crate::facts::{BindingKind, NONE};
use crate::names;
use crate::report::Paint;
use crate::scan::{self, Options, Scan, shown};
use crate::source::{decode, is_utf8};

use super::edit;
use super::imports::{self, Change};
use super::{Outcome, diff, finish, write};

pub(crate) fn answer(request: &Request, options: &Options) -> Answer {
    if request.module.is_empty() {
        return Answer::wrong(
            "EA428",
            "rewrite facade needs --module NAME, such as app.concurrency",
        );
    }
    let parts: Vec<&str> = request.module.split('.').collect();
    let is_name = |part: &&str| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if !parts.iter().all(is_name) {
        return Answer::wrong(
            "EA428",
            format!("{:?} is no name of a module", request.module),
        );
    }
    let scan = scan::run(options);
    let existing = scan
        .project
        .modules
        .iter()
        .position(|module| module.name == request.module);
    let file = if let Some(at) = existing {
        scan.project.modules[at].file.clone()
    } else {
        let (outer, last) = request
            .module
            .rsplit_once('.')
            .unwrap_or(("", &request.module));
        let folder = if outer.is_empty() {
            options.paths.first().filter(|path| path.is_dir()).cloned()
        } else {
            scan.project
                .modules
                .iter()
                .find(|module| module.is_package && module.name == outer)
                .and_then(|module| module.file.parent().map(std::path::Path::to_path_buf))
        };
        let Some(folder) = folder else {
            return Answer::wrong(
                "EA428",
                format!("there is no package {outer:?} to put the module in"),
            );
        };
        folder.join(format!("{last}.py"))
    };
    let mut facade = Facade::new(&scan, &request.module, existing.map(|at| at as u32));
    let outcome = facade.move_imports();
    let old = std::fs::read_to_string(&file).unwrap_or_default();
    let new = facade.text(&old);
    let path = shown(&file, &options.folder);
    let is_changed = new != old && !outcome.after.is_empty();
    let mut front = String::new();
    let mut error = String::new();
    if is_changed {
        match request.mode.as_str() {
            "diff" => front = diff(&path, &old, &new, &Paint(request.color)),
            "check" => {
                let _ = writeln!(front, "would change {path}");
            }
            _ => match write(&file, &new) {
                Ok(()) => {
                    let _ = writeln!(front, "changed {path}");
                }
                Err(problem) => error = format!("{path}: {problem}"),
            },
        }
    }
    if !error.is_empty() {
        return Answer::wrong("EA428", error);
    }
    let mut answer = finish(request, &scan.project, &outcome);
    answer.out.insert_str(0, &front);
    for line in &facade.skipped {
        let _ = writeln!(answer.err, "{line}");
    }
    answer
}

struct Facade<'s> {
    scan: &'s Scan,
    module: &'s str,
    own: Option<u32>,
    /// The name that the module gives to each of Eventlet's.
    names: BTreeMap<String, String>,
    /// `import eventlet.green.x`, which binds `eventlet` and loads the rest.
    loaded: BTreeSet<String>,
    skipped: Vec<String>,
}

impl<'s> Facade<'s> {
    fn new(scan: &'s Scan, module: &'s str, own: Option<u32>) -> Self {
        let mut names = BTreeMap::new();
        if let Some(own) = own {
            let facts = scan.project.modules[own as usize].facts();
            for binding in facts.bindings.iter().filter(|binding| binding.scope == 0) {
                if let Some(symbol) = written(facts, &binding.kind) {
                    names.insert(symbol, facts.text(binding.name).to_owned());
                }
            }
        }
        Self {
            scan,
            module,
            own,
            names,
            loaded: BTreeSet::new(),
            skipped: Vec::new(),
        }
    }

    /// The name under which the façade offers what is imported.
    fn offered(&mut self, symbol: &str) -> String {
        if let Some(name) = self.names.get(symbol) {
            return name.clone();
        }
        let (owner, last) = symbol.rsplit_once('.').unwrap_or(("", symbol));
        let mut name = last.to_owned();
        if self.names.values().any(|other| *other == name) {
            let outer = owner.rsplit('.').next().unwrap_or_default();
            name = format!("{outer}_{last}");
        }
        self.names.insert(symbol.to_owned(), name.clone());
        name
    }

    fn move_imports(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        let patching: FxHashSet<u32> = self
            .scan
            .hits
            .iter()
            .filter(|hit| &*hit.symbol == "eventlet.patcher.monkey_patch" && hit.subject != NONE)
            .map(|hit| hit.at.module)
            .collect();
        for id in 0..self.scan.project.modules.len() as u32 {
            let module = &self.scan.project.modules[id as usize];
            if Some(id) == self.own || !imports_eventlet(module.facts()) {
                continue;
            }
            if patching.contains(&id) {
                self.skipped.push(format!(
                    "{}: left as it is, since it patches, and nothing must be imported before",
                    module.path
                ));
                continue;
            }
            let bytes = std::fs::read(&module.file).unwrap_or_default();
            let text = decode(&bytes).ok().filter(|_| is_utf8(&bytes));
            let Some(text) = text.filter(|_| module.outline.errors.is_empty()) else {
                self.skipped.push(format!(
                    "{}: left as it is, since it cannot be read",
                    module.path
                ));
                continue;
            };
            if let Some(new) = self.move_file(id, &text)
                && extract(&new).errors.is_empty()
            {
                outcome.before.insert(id, text);
                outcome.after.insert(id, new);
            } else {
                outcome.refused.push(module.path.clone());
            }
        }
        outcome
    }

    fn move_file(&mut self, id: u32, text: &str) -> Option<String> {
        let facts = self.scan.project.modules[id as usize].facts();
        let mut lines: FxHashMap<(u32, u32), String> = FxHashMap::default();
        for binding in &facts.bindings {
            let Some(symbol) = written(facts, &binding.kind) else {
                continue;
            };
            let name = self.offered(&symbol);
            let bound = facts.text(binding.name);
            if let BindingKind::Import {
                module,
                renamed: false,
            } = &binding.kind
            {
                let module = facts.text(*module);
                if module != "eventlet" {
                    self.loaded.insert(module.to_owned());
                }
            }
            let clause = if name == bound {
                name
            } else {
                format!("{name} as {bound}")
            };
            lines.insert(binding.range, clause);
        }
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut edits = Vec::new();
        for statement in imports::statements(text) {
            let clauses: Vec<&String> = statement
                .aliases
                .iter()
                .filter_map(|alias| lines.get(&alias.range))
                .collect();
            if clauses.is_empty() {
                continue;
            }
            let mut unique: Vec<&str> = Vec::new();
            for clause in clauses {
                if !unique.contains(&clause.as_str()) {
                    unique.push(clause);
                }
            }
            let line = import_line(
                self.module,
                &unique,
                newline,
                &indent_of(text, statement.range.0),
            );
            let mut first = true;
            let changes: Vec<Change> = statement
                .aliases
                .iter()
                .filter(|alias| lines.contains_key(&alias.range))
                .map(|alias| Change {
                    alias: alias.range,
                    is_removed: true,
                    added: if std::mem::take(&mut first) {
                        vec![line.clone()]
                    } else {
                        Vec::new()
                    },
                })
                .collect();
            edits.extend(imports::edits(text, &statement, &changes, newline)?);
        }
        edit::apply(text, &edits)
    }

    /// The module itself, with what it had before.
    fn text(&self, old: &str) -> String {
        let mut lines: Vec<String> = self
            .loaded
            .iter()
            .map(|name| format!("import {name}"))
            .collect();
        for (symbol, name) in &self.names {
            lines.push(match symbol.rsplit_once('.') {
                None if symbol == name => format!("import {symbol}"),
                None => format!("import {symbol} as {name}"),
                Some((owner, last)) if last == name => format!("from {owner} import {last}"),
                Some((owner, last)) => format!("from {owner} import {last} as {name}"),
            });
        }
        if old.is_empty() {
            let mut text = String::from(
                "\"\"\"All that this project uses of Eventlet, in one place.\"\"\"\n\n",
            );
            text.push_str(&lines.join("\n"));
            text.push_str("\n\n__all__ = [\n");
            let mut names: Vec<&String> = self.names.values().collect();
            names.sort();
            names.dedup();
            for name in names {
                let _ = writeln!(text, "    \"{name}\",");
            }
            text.push_str("]\n");
            return text;
        }
        let facts = extract(old);
        let has = |line: &str| old.lines().any(|other| other.trim() == line);
        let known: FxHashSet<String> = facts
            .bindings
            .iter()
            .filter(|binding| binding.scope == 0)
            .map(|binding| facts.text(binding.name).to_owned())
            .collect();
        let mut text = old.to_owned();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        for line in lines {
            let name = line.rsplit(' ').next().unwrap_or_default();
            if !has(&line) && (!known.contains(name) || line.starts_with("import ")) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        if text.trim_end() == old.trim_end() {
            old.to_owned()
        } else {
            text
        }
    }
}

fn indent_of(text: &str, start: u32) -> String {
    text[..start as usize]
        .rsplit(['\n', '\r'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// One import, on several lines if it is long.
fn import_line(module: &str, clauses: &[&str], newline: &str, indent: &str) -> String {
    let line = format!("from {module} import {}", clauses.join(", "));
    if line.len() + indent.len() <= 79 {
        return line;
    }
    let mut text = format!("from {module} import ({newline}");
    for clause in clauses {
        let _ = write!(text, "{indent}    {clause},{newline}");
    }
    text.push_str(indent);
    text.push(')');
    text
}

/// The dotted name that an import of Eventlet's names, as it is written.
fn written(facts: &crate::facts::Facts, kind: &BindingKind) -> Option<String> {
    let symbol = match kind {
        BindingKind::Import {
            module,
            renamed: true,
        } => facts.text(*module).to_owned(),
        BindingKind::Import {
            module,
            renamed: false,
        } => facts.text(*module).split('.').next()?.to_owned(),
        BindingKind::From {
            level: 0,
            module,
            name,
        } => {
            format!("{}.{}", facts.text(*module), facts.text(*name))
        }
        _ => return None,
    };
    names::is_ours(&symbol).then_some(symbol)
}

fn imports_eventlet(facts: &crate::facts::Facts) -> bool {
    facts
        .bindings
        .iter()
        .any(|binding| written(facts, &binding.kind).is_some())
}
