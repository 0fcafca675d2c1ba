//! `rewrite`: changes sources by rules, as little of them as can be.
//!
//! Passes are made in memory until nothing is left to do, so a second run finds nothing. After
//! each pass the project is read anew as it would be; a file that does not parse, or in which
//! as much is found as before, is put back.

mod edit;
mod facade;
mod imports;
mod pass;
pub(crate) mod sites;
pub(crate) mod table;

use std::fmt::Write;
use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};
use similar::TextDiff;

use crate::api::{Answer, Request};
use crate::explicit::Hit;
use crate::extract::extract;
use crate::finding::Kind;
use crate::project::Project;
use crate::report::{Paint, Target};
use crate::rules;
use crate::safety;
use crate::scan::{self, Changed, Options, Scan};
use crate::source::{Lines, decode, is_utf8};

use pass::{Pass, is_allowed};

const MOST_PASSES: usize = 5;

/// The files that a rewrite changes, with their texts before and after.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) before: FxHashMap<u32, String>,
    pub(crate) after: FxHashMap<u32, String>,
    /// Files that did not come out as they should, and were put back.
    pub(crate) refused: Vec<String>,
}

pub(crate) fn answer(request: &Request, options: &Options, target: Target) -> Answer {
    if request.mode.is_empty() {
        return Answer::wrong("EA426", "rewrite needs one of --check, --diff and --write");
    }
    if request.rules.is_empty() {
        return Answer::wrong(
            "EA426",
            "rewrite needs rules: EV102, or a group such as sleep, or all",
        );
    }
    if request.mode == "write"
        && !request.force
        && let Some(dirty) = dirty_file(&options.folder, &options.paths)
    {
        return Answer::wrong(
            "EA427",
            format!(
                "{dirty} has changes that are not committed: commit them first, so that the \
             rewrite can be seen and undone, or use --force"
            ),
        );
    }
    if request.rules == ["facade"] {
        return facade::answer(request, options);
    }
    for word in &request.rules {
        if !rules::all().keys().any(|id| rules::is_meant(id, word)) {
            return Answer::wrong(
                "EA422",
                format!(
                    "there is no rule or group {word:?}: eventlet-asyncio explain lists the rules, \
                 the groups are {}",
                    rules::GROUPS
                        .iter()
                        .map(|group| group.0)
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            );
        }
    }
    // Threads: what is written then runs on Eventlet, too.
    let target = if target == Target::Both {
        Target::Threads
    } else {
        target
    };
    let mut scan = scan::run(options);
    let outcome = run(&mut scan, request, target);
    finish(request, &scan.project, &outcome)
}

/// What counts for a file that was rewritten: all that is explicit.
fn explicit(hits: &[Hit]) -> FxHashMap<u32, usize> {
    let mut found = FxHashMap::default();
    for hit in hits {
        if matches!(
            hit.kind,
            Kind::Use | Kind::Import | Kind::String | Kind::Wrapper
        ) {
            *found.entry(hit.at.module).or_default() += 1;
        }
    }
    found
}

fn run(scan: &mut Scan, request: &Request, target: Target) -> Outcome {
    let mut outcome = Outcome::default();
    let mut refused: FxHashSet<u32> = FxHashSet::default();
    for _ in 0..MOST_PASSES {
        let texts = read_texts(scan, &outcome.after);
        let allowed = allowed(scan, request, target, &texts, &refused);
        let pass = Pass {
            project: &scan.project,
            hits: &scan.hits,
            allowed,
            target,
            taken: &scan.taken,
            texts: &texts,
        };
        let edits = pass.edits();
        let mut changed: FxHashMap<u32, String> = FxHashMap::default();
        for (module, edits) in &edits.of_module {
            if refused.contains(module) {
                continue;
            }
            let old = &texts[module];
            match edit::apply(old, edits) {
                Some(new) if new == *old => {}
                Some(new) if extract(&new).errors.is_empty() => {
                    changed.insert(*module, new);
                }
                _ => {
                    refused.insert(*module);
                }
            }
        }
        if changed.is_empty() {
            break;
        }
        let before = explicit(&scan.hits);
        relink(scan, &changed);
        let after = explicit(&scan.hits);
        let mut back: FxHashMap<u32, String> = FxHashMap::default();
        for module in changed.keys() {
            let (old, new) = (before.get(module), after.get(module));
            // A file in which only the arguments change has as many as before.
            if new > old {
                refused.insert(*module);
                back.insert(*module, texts[module].clone());
            }
        }
        for (module, text) in &changed {
            outcome
                .before
                .entry(*module)
                .or_insert_with(|| texts[module].clone());
            if !back.contains_key(module) {
                outcome.after.insert(*module, text.clone());
            }
        }
        if !back.is_empty() {
            relink(scan, &back);
        }
    }
    outcome
        .after
        .retain(|module, text| outcome.before.get(module) != Some(text));
    outcome.refused = refused
        .iter()
        .map(|&id| scan.project.modules[id as usize].path.clone())
        .collect();
    outcome.refused.sort();
    outcome
}

/// Reads the project as it would be with these texts.
fn relink(scan: &mut Scan, texts: &FxHashMap<u32, String>) {
    let mut changed = Changed::none(scan.project.modules.len());
    for (module, text) in texts {
        let entry = &mut scan.project.modules[*module as usize];
        let before = entry.outline.interface;
        entry.read(text);
        changed.note(*module, before != entry.outline.interface);
    }
    scan.relink(&changed);
}

/// The texts of files that something was found in; those that cannot be edited are left out.
fn read_texts(scan: &Scan, newer: &FxHashMap<u32, String>) -> FxHashMap<u32, String> {
    let mut found = FxHashMap::default();
    for hit in &scan.hits {
        let module = hit.at.module;
        if found.contains_key(&module) {
            continue;
        }
        if let Some(text) = newer.get(&module) {
            found.insert(module, text.clone());
            continue;
        }
        let bytes = std::fs::read(&scan.project.modules[module as usize].file).ok();
        let text = bytes
            .filter(|bytes| is_utf8(bytes))
            .and_then(|bytes| decode(&bytes).ok());
        found.insert(module, text.unwrap_or_default());
    }
    found
}

fn allowed(
    scan: &Scan,
    request: &Request,
    target: Target,
    texts: &FxHashMap<u32, String>,
    refused: &FxHashSet<u32>,
) -> Vec<bool> {
    let lines: FxHashMap<u32, Lines> = texts
        .iter()
        .map(|(module, text)| (*module, Lines::new(text)))
        .collect();
    scan.hits
        .iter()
        .map(|hit| {
            let module = &scan.project.modules[hit.at.module as usize];
            let text = &texts[&hit.at.module];
            if text.is_empty()
                || refused.contains(&hit.at.module)
                || !module.outline.errors.is_empty()
            {
                return false;
            }
            // A green module's import and its uses change together.
            let is_meant = request.rules.iter().any(|word| {
                rules::is_meant(hit.rule, word)
                    || matches!(hit.rule, "EV150" | "EV151")
                        && (rules::is_meant("EV150", word) || rules::is_meant("EV151", word))
            });
            let fix = safety::of(&scan.project, &scan.patches, hit);
            let fix = if target == Target::Asyncio {
                fix.asyncio
            } else {
                fix.threads
            };
            if !is_meant || !is_allowed(fix, request.unsafe_too) {
                return false;
            }
            let (line, _) = lines[&hit.at.module].position(text, hit.at.range.0);
            !module.outline.suppressions.iter().any(|suppression| {
                suppression.line == line
                    && (suppression.reason.is_some()
                        || suppression.rules.iter().any(|rule| rule == hit.rule))
            })
        })
        .collect()
}

/// Prints or writes what came out.
pub(crate) fn finish(request: &Request, project: &Project, outcome: &Outcome) -> Answer {
    let mut answer = Answer::default();
    let mut modules: Vec<u32> = outcome.after.keys().copied().collect();
    modules.sort_unstable();
    for path in &outcome.refused {
        let _ = writeln!(
            answer.err,
            "{path}: left as it is, since the result would not be right"
        );
    }
    for &module in &modules {
        let entry = &project.modules[module as usize];
        let (old, new) = (&outcome.before[&module], &outcome.after[&module]);
        match request.mode.as_str() {
            "diff" => answer
                .out
                .push_str(&diff(&entry.path, old, new, &Paint(request.color))),
            "check" => {
                let _ = writeln!(answer.out, "would change {}", entry.path);
            }
            _ => {
                if let Err(error) = write(&entry.file, new) {
                    let _ = writeln!(answer.err, "{}: {error}", entry.path);
                    answer.exit = 2;
                } else {
                    let _ = writeln!(answer.out, "changed {}", entry.path);
                }
            }
        }
    }
    if request.mode != "write" {
        answer.exit = u8::from(!modules.is_empty());
    }
    if request.mode != "diff" {
        let verb = if request.mode == "check" {
            "would change"
        } else {
            "changed"
        };
        let _ = writeln!(answer.out, "{} files {verb}", modules.len());
    }
    answer
}

pub(crate) fn diff(path: &str, old: &str, new: &str, paint: &Paint) -> String {
    let changes = TextDiff::from_lines(old, new);
    let text = changes
        .unified_diff()
        .context_radius(3)
        .header(&format!("a/{path}"), &format!("b/{path}"))
        .to_string();
    if !paint.0 {
        return text;
    }
    text.split_inclusive('\n')
        .map(|line| match line.as_bytes().first() {
            Some(b'+') => paint.with("32", line),
            Some(b'-') => paint.with("31", line),
            Some(b'@') => paint.with("36", line),
            _ => line.to_owned(),
        })
        .collect()
}

/// Puts a file's new text in the place of the old one, at once.
pub(crate) fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let old = std::fs::read(file).unwrap_or_default();
    let mut bytes = Vec::with_capacity(text.len() + 3);
    if old.starts_with(b"\xef\xbb\xbf") {
        bytes.extend(b"\xef\xbb\xbf");
    }
    bytes.extend(text.as_bytes());
    let partial = file.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&partial, bytes)?;
    if let Ok(metadata) = std::fs::metadata(file) {
        std::fs::set_permissions(&partial, metadata.permissions())?;
    }
    std::fs::rename(&partial, file)
}

/// A file below the paths that git would not restore as it is.
fn dirty_file(folder: &Path, paths: &[std::path::PathBuf]) -> Option<String> {
    let mut command = std::process::Command::new("git");
    command.arg("-C").arg(
        paths
            .first()
            .filter(|path| path.is_dir())
            .map_or(folder, |p| p),
    );
    command
        .args(["status", "--porcelain", "--untracked-files=no", "--"])
        .args(paths);
    let done = command.output().ok()?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    text.lines()
        .next()
        .map(|line| line.get(3..).unwrap_or(line).to_owned())
}
