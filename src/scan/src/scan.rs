//! One scan: from paths to findings.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use rayon::prelude::*;

use crate::cache;
use crate::colour::Colours;
use crate::explicit::Hit;
use crate::facts::NONE;
use crate::files::{self, Found};
use crate::finding::{Confidence, Finding, Fix, Kind};
use crate::graph::Calls;
use crate::link::{self, Linked, Touched};
use crate::part::{self, Part};
use crate::patches::Patches;
use crate::project::{Module, Packages, Project, is_test};
use crate::rules;
use crate::safety;
use crate::scripts::{self, Scripts};
use crate::texts::{self, TextHit};

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
    pub(crate) parts: Vec<Part>,
    pub(crate) hits: Vec<Hit>,
    pub(crate) patches: Patches,
    pub(crate) calls: Calls,
    pub(crate) colours: Colours,
    pub(crate) taken: Touched,
    pub(crate) imports: Vec<Vec<u32>>,
    pub(crate) scripts: Scripts,
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

/// A path as the user would write it: relative to the folder, with slashes.
pub(crate) fn shown(path: &Path, folder: &Path) -> String {
    let relative = path.strip_prefix(folder).unwrap_or(path);
    let text = relative.to_string_lossy().replace('\\', "/");
    text.strip_prefix("./").map_or(text.clone(), str::to_owned)
}

/// Which modules have changed since the parts were made.
pub(crate) struct Changed {
    contents: Vec<bool>,
    interface: Vec<bool>,
}

impl Changed {
    pub(crate) fn none(count: usize) -> Self {
        Self {
            contents: vec![false; count],
            interface: vec![false; count],
        }
    }

    pub(crate) fn note(&mut self, module: u32, is_interface: bool) {
        self.contents[module as usize] = true;
        self.interface[module as usize] = is_interface;
    }

    /// Makes the parts anew that are no longer true; tells which.
    fn renew(&self, project: &Project, parts: &mut [Part]) -> Vec<bool> {
        let stale: Vec<bool> = parts
            .iter()
            .enumerate()
            .map(|(id, part)| {
                self.contents[id]
                    || part
                        .looked_into
                        .iter()
                        .any(|&id| self.interface[id as usize])
            })
            .collect();
        parts
            .par_iter_mut()
            .enumerate()
            .filter(|(id, _)| stale[*id])
            .for_each(|(id, place)| *place = part::make(project, id as u32));
        stale
    }
}

pub(crate) fn run(options: &Options) -> Scan {
    let (started, at) = (Instant::now(), SystemTime::now());
    let Found {
        modules,
        texts,
        errors,
    } = files::discover(&options.paths, &options.excluded);
    let problems: Vec<String> = errors
        .iter()
        .map(|(path, reason)| format!("{}: {reason}", shown(path, &options.folder)))
        .collect();
    let mut packages = Packages::default();
    let modules: Vec<Module> = modules
        .into_iter()
        .map(|file| {
            let name = packages.module_name(&file);
            Module::new(shown(&file, &options.folder), file, name)
        })
        .collect();
    let cache = options.cache.as_deref();
    let loaded = cache::load(modules, &texts, cache, &options.folder, at);
    let mut project = Project::new(loaded.modules);
    let scripts = scripts::find(scripts::paths(&loaded.texts));
    scripts::mark(&mut project, &scripts);
    let count = project.modules.len();
    let mut changed = Changed::none(count);
    let is_known = loaded.parts.is_some();
    for (id, (contents, interface)) in loaded.changed.into_iter().enumerate() {
        if contents || !is_known {
            changed.note(id as u32, interface || !is_known);
        }
    }
    let mut parts = loaded
        .parts
        .unwrap_or_else(|| (0..count).map(|_| Part::default()).collect());
    let fresh = changed.renew(&project, &mut parts);
    let mut scan = Scan::new(project, parts);
    scan.scripts = scripts;
    scan.problems = problems;
    scan.texts = loaded.texts.len();
    scan.report(&loaded.unreadable);
    scan.add_texts(&loaded.texts, &options.folder);
    if let Some(cache) = loaded.cache
        && let Err(error) = cache.store(
            &scan.project.modules,
            &scan.parts,
            &fresh,
            &loaded.unreadable,
            loaded.texts,
        )
    {
        let path = options.cache.clone().unwrap_or_default();
        scan.problems.push(format!(
            "{}: the cache cannot be written: {error}",
            path.display()
        ));
    }
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
    fn new(project: Project, parts: Vec<Part>) -> Self {
        let imports: Vec<Vec<u32>> = parts.iter().map(|part| part.modules.clone()).collect();
        let lines = project.modules.iter();
        let lines = lines.map(|module| u64::from(module.outline.lines.count));
        let lines = lines.sum();
        let Linked {
            hits,
            calls,
            patches,
            colours,
            taken,
        } = link::link(&project, &parts, &imports);
        Self {
            project,
            parts,
            hits,
            patches,
            calls,
            colours,
            taken,
            imports,
            scripts: Scripts::default(),
            findings: Vec::new(),
            suppressed: 0,
            kept: Vec::new(),
            problems: Vec::new(),
            texts: 0,
            lines,
            seconds: 0.0,
        }
    }

    /// Links anew what has changed in memory. Findings stay those of the files.
    pub(crate) fn relink(&mut self, changed: &Changed) {
        changed.renew(&self.project, &mut self.parts);
        self.imports = self.parts.iter().map(|part| part.modules.clone()).collect();
        let Linked {
            hits,
            calls,
            patches,
            colours,
            taken,
        } = link::link(&self.project, &self.parts, &self.imports);
        (self.hits, self.calls, self.patches) = (hits, calls, patches);
        (self.colours, self.taken) = (colours, taken);
    }
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
        if hits.is_empty() && entry.outline.errors.is_empty() {
            return (found, suppressed, kept);
        }
        let places = entry.outline.lines.places();
        for (offset, problem) in entry.outline.errors.iter().take(3) {
            let (line, column) = places.of(*offset);
            found.push(unread(
                &entry.path,
                line,
                column,
                format!("syntax error: {problem}"),
            ));
        }
        for &index in hits {
            let hit = &self.hits[index];
            let (line, column) = places.of(hit.at.range.0);
            let (end_line, end_column) = places.of(hit.at.range.1);
            let answer = entry.outline.suppressions.iter().find(|suppression| {
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

    fn add_texts(&mut self, texts: &[(PathBuf, Vec<TextHit>)], folder: &Path) {
        for (file, hits) in texts {
            let path = shown(file, folder);
            self.findings
                .extend(hits.iter().map(|hit| text_finding(&path, hit)));
        }
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
    /// How many functions of each module may switch.
    pub(crate) fn switching_functions(&self) -> Vec<u32> {
        let mut counts = vec![0; self.project.modules.len()];
        for (module, function) in self.colours.reasons.keys() {
            counts[*module as usize] += u32::from(*function != NONE);
        }
        counts
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
