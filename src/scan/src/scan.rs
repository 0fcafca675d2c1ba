//! One scan: from paths to findings.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rayon::prelude::*;

use crate::colour::Colours;
use crate::explicit::Hit;
use crate::extract::extract;
use crate::facts::{Facts, NONE};
use crate::files::{self, Found};
use crate::finding::{Confidence, Finding, Fix, Kind};
use crate::graph::Calls;
use crate::link::{self, Linked, Touched};
use crate::patches::Patches;
use crate::project::{Module, Project, is_test, module_name};
use crate::rules;
use crate::safety;
use crate::source::{Lines, decode};
use crate::texts;

/// What a scan looks at.
#[derive(Default, Clone)]
pub(crate) struct Options {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) folder: PathBuf,
    pub(crate) excluded: Vec<String>,
    pub(crate) cache: Option<PathBuf>,
}

/// A site that the project has decided to keep: path, line and reason.
type Kept = (String, u32, String);

/// Everything that is known once all files are read.
pub(crate) struct Scan {
    pub(crate) project: Project,
    pub(crate) hits: Vec<Hit>,
    pub(crate) patches: Patches,
    pub(crate) calls: Calls,
    pub(crate) colours: Colours,
    pub(crate) taken: Touched,
    pub(crate) imports: Vec<Vec<u32>>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) suppressed: usize,
    pub(crate) kept: Vec<Kept>,
    pub(crate) problems: Vec<String>,
    pub(crate) texts: usize,
    pub(crate) lines: u64,
    pub(crate) seconds: f64,
}

/// Trees of generated programs may be deep; a thread's stack is only mapped where it is used.
const STACK: usize = 512 << 20;

/// Runs in threads with stacks for deep trees.
pub(crate) fn in_pool<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    let pool = rayon::ThreadPoolBuilder::new()
        .stack_size(STACK)
        .build()
        .or_else(|_| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .stack_size(STACK / 8)
                .build()
        })
        .map_err(|error| format!("no threads to work with: {error}"))?;
    Ok(pool.install(work))
}

struct Loaded {
    file: PathBuf,
    facts: Facts,
    problem: Option<String>,
}

fn load(file: &Path) -> Loaded {
    let read = std::fs::read(file)
        .map_err(crate::source::Unreadable::Io)
        .and_then(|bytes| decode(&bytes));
    match read {
        Ok(text) => Loaded {
            file: file.to_path_buf(),
            facts: extract(&text),
            problem: None,
        },
        Err(error) => Loaded {
            file: file.to_path_buf(),
            facts: extract(""),
            problem: Some(error.to_string()),
        },
    }
}

/// A path as the user would write it: relative to the folder, with slashes.
pub(crate) fn shown(path: &Path, folder: &Path) -> String {
    let relative = path.strip_prefix(folder).unwrap_or(path);
    let text = relative.to_string_lossy().replace('\\', "/");
    text.strip_prefix("./").map_or(text.clone(), str::to_owned)
}

pub(crate) fn run(options: &Options) -> Scan {
    let started = Instant::now();
    let Found {
        modules,
        texts: text_files,
        errors,
    } = files::discover(&options.paths, &options.excluded);
    let mut problems: Vec<String> = errors
        .iter()
        .map(|(path, reason)| format!("{}: {reason}", shown(path, &options.folder)))
        .collect();
    let loaded: Vec<Loaded> = match &options.cache {
        Some(cache) => crate::cache::load_all(&modules, cache, &mut problems)
            .into_iter()
            .map(|(file, facts, problem)| Loaded {
                file,
                facts,
                problem,
            })
            .collect(),
        None => modules.par_iter().map(|file| load(file)).collect(),
    };
    let mut unreadable = Vec::new();
    let modules: Vec<Module> = loaded
        .into_iter()
        .enumerate()
        .map(|(id, entry)| {
            if let Some(problem) = entry.problem {
                unreadable.push((id as u32, problem));
            }
            let (name, is_package) = module_name(&entry.file);
            let path = shown(&entry.file, &options.folder);
            Module {
                is_test: is_test(&path),
                path,
                file: entry.file,
                name,
                is_package,
                facts: entry.facts,
            }
        })
        .collect();
    let lines = modules
        .iter()
        .map(|module| u64::from(module.facts.lines))
        .sum();
    let project = Project::new(modules);
    let imports = project.imports();
    let Linked {
        hits,
        calls,
        patches,
        colours,
        taken,
    } = link::link(&project, &imports);
    let mut scan = Scan {
        project,
        hits,
        patches,
        calls,
        colours,
        taken,
        imports,
        findings: Vec::new(),
        suppressed: 0,
        kept: Vec::new(),
        problems,
        texts: text_files.len(),
        lines,
        seconds: 0.0,
    };
    scan.report(&unreadable);
    scan.add_texts(&text_files, &options.folder);
    scan.findings.sort_by(|a, b| {
        (&a.path, a.line, a.column, a.rule, &a.symbol)
            .cmp(&(&b.path, b.line, b.column, b.rule, &b.symbol))
    });
    scan.findings.dedup_by(|a, b| {
        (&a.path, a.line, a.column, a.rule, &a.symbol)
            == (&b.path, b.line, b.column, b.rule, &b.symbol)
    });
    scan.seconds = started.elapsed().as_secs_f64();
    scan
}

impl Scan {
    /// Puts the hits into words, with their places in the text.
    fn report(&mut self, unreadable: &[(u32, String)]) {
        let mut by_module: Vec<Vec<usize>> = vec![Vec::new(); self.project.modules.len()];
        for (index, hit) in self.hits.iter().enumerate() {
            if !hit.is_hidden {
                by_module[hit.at.module as usize].push(index);
            }
        }
        let reported: Vec<_> = by_module
            .par_iter()
            .enumerate()
            .map(|(module, hits)| self.report_module(module as u32, hits))
            .collect();
        for (findings, suppressed, kept) in reported {
            self.findings.extend(findings);
            self.suppressed += suppressed;
            self.kept.extend(kept);
        }
        for (module, problem) in unreadable {
            let entry = &self.project.modules[*module as usize];
            self.findings
                .push(unread(&entry.path, 1, 1, format!("the file {problem}")));
        }
    }

    fn report_module(&self, module: u32, hits: &[usize]) -> (Vec<Finding>, usize, Vec<Kept>) {
        let entry = &self.project.modules[module as usize];
        let (mut found, mut suppressed, mut kept) = (Vec::new(), 0, Vec::new());
        if hits.is_empty() && entry.facts.errors.is_empty() {
            return (found, suppressed, kept);
        }
        let text = std::fs::read(&entry.file)
            .ok()
            .and_then(|bytes| decode(&bytes).ok());
        let Some(text) = text else {
            return (found, suppressed, kept);
        };
        let lines = Lines::new(&text);
        for (offset, problem) in entry.facts.errors.iter().take(3) {
            let (line, column) = lines.position(&text, *offset);
            found.push(unread(
                &entry.path,
                line,
                column,
                format!("syntax error: {problem}"),
            ));
        }
        for &index in hits {
            let hit = &self.hits[index];
            let (line, column) = lines.position(&text, hit.at.range.0);
            let (end_line, end_column) = lines.position(&text, hit.at.range.1);
            let answer = entry.facts.suppressions.iter().find(|suppression| {
                (suppression.line == line || suppression.line == end_line)
                    && (suppression.reason.is_some()
                        || suppression.rules.iter().any(|rule| rule == hit.rule))
            });
            if let Some(answer) = answer {
                suppressed += 1;
                if let Some(reason) = &answer.reason {
                    kept.push((entry.path.clone(), line, reason.clone()));
                }
                continue;
            }
            found.push(Finding {
                rule: hit.rule,
                path: entry.path.clone(),
                line,
                column,
                end_line,
                end_column,
                symbol: hit.symbol.clone(),
                module: entry.name.clone(),
                function: entry.qualname(hit.at.function, hit.at.class),
                via: hit.via.clone(),
                kind: hit.kind,
                confidence: hit.confidence,
                test: entry.is_test,
                fix: safety::of(&self.project, &self.patches, hit),
                message: message(hit),
                evidence: None,
            });
        }
        (found, suppressed, kept)
    }

    fn add_texts(&mut self, text_files: &[PathBuf], folder: &Path) {
        let found: Vec<Finding> = text_files
            .par_iter()
            .flat_map_iter(|file| {
                let name = file
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let path = shown(file, folder);
                // What is no text has no configuration in it.
                let text = std::fs::read(file)
                    .ok()
                    .and_then(|bytes| decode(&bytes).ok());
                texts::find(&name, &text.unwrap_or_default())
                    .into_iter()
                    .map(move |hit| text_finding(&path, &hit))
                    .collect::<Vec<_>>()
            })
            .collect();
        self.findings.extend(found);
    }
}

fn text_finding(path: &str, hit: &texts::TextHit) -> Finding {
    let rule = rules::get(hit.rule);
    Finding {
        rule: hit.rule,
        path: path.to_owned(),
        line: hit.line,
        column: hit.columns.0,
        end_line: hit.line,
        end_column: hit.columns.1,
        symbol: hit.symbol.clone(),
        module: String::new(),
        function: String::new(),
        via: Vec::new(),
        kind: Kind::Text,
        confidence: if hit.is_certain {
            Confidence::High
        } else {
            Confidence::Low
        },
        test: is_test(path),
        fix: Fix {
            asyncio: rules::Safety::Manual,
            threads: rules::Safety::Manual,
        },
        message: format!("{}: {}", rule.title, hit.symbol),
        evidence: None,
    }
}

fn unread(path: &str, line: u32, column: u32, message: String) -> Finding {
    Finding {
        rule: "EV001",
        path: path.to_owned(),
        line,
        column,
        end_line: line,
        end_column: column,
        symbol: "".into(),
        module: String::new(),
        function: "<module>".to_owned(),
        via: Vec::new(),
        kind: Kind::Error,
        confidence: Confidence::High,
        test: is_test(path),
        fix: Fix {
            asyncio: rules::Safety::Manual,
            threads: rules::Safety::Manual,
        },
        message,
        evidence: None,
    }
}

fn message(hit: &Hit) -> String {
    let mut text = format!("{}: {}", rules::get(hit.rule).title, hit.symbol);
    if !hit.via.is_empty() {
        text.push_str(" through ");
        text.push_str(&hit.via.join(", "));
    }
    if !hit.note.is_empty() {
        text.push_str(" (");
        text.push_str(&hit.note);
        text.push(')');
    }
    text
}

impl Scan {
    /// How many functions of a module may switch.
    pub(crate) fn switching_functions(&self, module: u32) -> u32 {
        let count = self
            .colours
            .reasons
            .keys()
            .filter(|(home, id)| *home == module && *id != NONE)
            .count();
        count as u32
    }

    /// Modules that hand names of Eventlet on, with the names.
    pub(crate) fn facades(&self) -> std::collections::BTreeMap<String, Vec<String>> {
        let mut found: std::collections::BTreeMap<String, Vec<String>> =
            std::collections::BTreeMap::new();
        for hit in &self.hits {
            for name in &hit.via {
                if let Some((owner, name)) = name.rsplit_once('.')
                    && self.project.has_package(owner)
                    && hit.kind != Kind::Wrapper
                {
                    let names = found.entry(owner.to_owned()).or_default();
                    if !names.iter().any(|other| other == name) {
                        names.push(name.to_owned());
                    }
                }
            }
        }
        for names in found.values_mut() {
            names.sort();
        }
        found
    }
}
