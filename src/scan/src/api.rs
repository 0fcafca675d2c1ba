//! The one way in: a request as JSON, an answer as JSON.
//!
//! The answer holds what to print and the exit status, so that the caller, whatever its
//! language, decides nothing.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::baseline;
use crate::evidence::Evidence;
use crate::explain;
use crate::finding::{Finding, Kind};
use crate::plan;
use crate::report::{self, Paint, Target};
use crate::rewrite;
use crate::rules;
use crate::scan::{self, Options, Scan};

// Each is a flag of the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) command: String,
    pub(crate) paths: Vec<PathBuf>,
    /// The folder that paths are shown relative to.
    pub(crate) folder: PathBuf,
    pub(crate) target: String,
    pub(crate) format: String,
    pub(crate) select: Vec<String>,
    pub(crate) ignore: Vec<String>,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) color: bool,
    pub(crate) version: String,
    pub(crate) config: Option<PathBuf>,
    pub(crate) baseline: String,
    pub(crate) baseline_file: Option<PathBuf>,
    pub(crate) strict: bool,
    pub(crate) evidence: Vec<PathBuf>,
    pub(crate) rules: Vec<String>,
    pub(crate) from: String,
    pub(crate) entry: Vec<String>,
    pub(crate) mode: String,
    pub(crate) unsafe_too: bool,
    pub(crate) force: bool,
    pub(crate) module: String,
}

#[derive(Serialize, Default)]
pub(crate) struct Answer {
    pub(crate) exit: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    /// An answer to a wrong question, with the code that the page of errors explains.
    pub(crate) fn wrong(code: &str, message: impl Into<String>) -> Self {
        Self {
            exit: 2,
            out: String::new(),
            err: format!("eventlet-asyncio: {}\n", coded(code, &message.into())),
        }
    }
}

/// Adds to a message its code and where that is explained, as all of the package does.
fn coded(code: &str, message: &str) -> String {
    let target = code.to_ascii_lowercase();
    format!("{message} [{code}: docs/reference/errors.md#{target}]")
}

/// What the project's own configuration says.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Config {
    exclude: Vec<String>,
    select: Vec<String>,
    ignore: Vec<String>,
    target: Option<String>,
    baseline: Option<PathBuf>,
}

/// Answers one request; never fails, whatever it is asked.
#[must_use]
pub fn handle(request: &str) -> String {
    let answer = match serde_json::from_str::<Request>(request) {
        Ok(request) => answer(request),
        Err(error) => Answer::wrong("EA901", format!("the request cannot be read: {error}")),
    };
    serde_json::to_string(&answer).unwrap_or_else(|error| {
        format!("{{\"exit\": 2, \"out\": \"\", \"err\": \"no answer: {error}\"}}")
    })
}

fn answer(mut request: Request) -> Answer {
    if request.command == "explain" {
        return explain::answer(&request);
    }
    if request.command == "groups" {
        let names: Vec<&str> = rules::GROUPS.iter().map(|group| group.0).collect();
        return Answer {
            exit: 0,
            out: format!("{} all facade", names.join(" ")),
            err: String::new(),
        };
    }
    if request.paths.is_empty() {
        request.paths.push(PathBuf::from("."));
    }
    let mut problems = String::new();
    let config = configure(&mut request, &mut problems);
    let Some(target) = Target::parse(&request.target) else {
        return Answer::wrong(
            "EA421",
            format!(
                "there is no target {:?}: choose asyncio, threads or both",
                request.target
            ),
        );
    };
    for word in request.select.iter().chain(&request.ignore) {
        if !rules::all().keys().any(|id| rules::is_meant(id, word)) {
            return Answer::wrong(
                "EA422",
                format!("there is no rule {word:?}: see eventlet-asyncio explain"),
            );
        }
    }
    let mut paths = Vec::new();
    for path in &request.paths {
        let full = request.folder.join(path);
        if !full.exists() {
            return Answer::wrong("EA423", format!("there is no {}", path.display()));
        }
        paths.push(clean(&full));
    }
    let options = Options {
        paths,
        folder: clean(&request.folder),
        excluded: config.exclude,
        cache: request.cache.clone(),
    };
    let done = scan::in_pool(|| match request.command.as_str() {
        "scan" => scan_command(&request, &options, target),
        "plan" => plan::answer(&request, &options, target),
        "rewrite" => rewrite::answer(&request, &options, target),
        other => Answer::wrong("EA421", format!("there is no command {other:?}")),
    });
    let mut answer = done.unwrap_or_else(|error| Answer::wrong("EA901", error));
    answer.err.insert_str(0, &problems);
    answer
}

/// A path without `.` and `..`, so that prefixes of paths can be compared.
fn clean(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Reads `[tool.eventlet-asyncio]`; a broken file is told and passed over.
fn configure(request: &mut Request, problems: &mut String) -> Config {
    let file = request.config.clone().map_or_else(
        || nearest_config(&request.folder.join(&request.paths[0])),
        |file| Some(request.folder.join(file)),
    );
    let Some(file) = file else {
        return Config::default();
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            let _ = writeln!(problems, "{}: {error}", file.display());
            return Config::default();
        }
    };
    let parsed: Result<toml::Table, _> = toml::from_str(&text);
    let config = parsed.map_err(|error| error.to_string()).and_then(|table| {
        let own = table
            .get("tool")
            .and_then(|tool| tool.get("eventlet-asyncio"))
            .cloned();
        own.map_or_else(
            || Ok(Config::default()),
            |own| own.try_into::<Config>().map_err(|error| error.to_string()),
        )
    });
    match config {
        Ok(config) => {
            if request.select.is_empty() {
                request.select.clone_from(&config.select);
            }
            request.ignore.extend(config.ignore.iter().cloned());
            if request.target.is_empty() {
                request.target = config.target.clone().unwrap_or_default();
            }
            if request.baseline_file.is_none() {
                let folder = file.parent().unwrap_or(Path::new(""));
                request.baseline_file = config.baseline.as_ref().map(|path| folder.join(path));
            }
            config
        }
        Err(error) => {
            let first = error.lines().next().unwrap_or_default();
            let _ = writeln!(
                problems,
                "{}",
                coded(
                    "EA429",
                    &format!(
                        "{}: its [tool.eventlet-asyncio] is not used, since it cannot be \
                         read: {first}",
                        file.display()
                    )
                )
            );
            Config::default()
        }
    }
}

fn nearest_config(path: &Path) -> Option<PathBuf> {
    let path = clean(path);
    let mut folder = Some(if path.is_dir() {
        path.as_path()
    } else {
        path.parent()?
    });
    while let Some(at) = folder {
        let file = at.join("pyproject.toml");
        if file.is_file() {
            return Some(file);
        }
        if at.join(".git").exists() {
            return None;
        }
        folder = at.parent();
    }
    None
}

/// The findings that the user wants to see.
fn wanted<'s>(request: &Request, scan: &'s Scan) -> Vec<&'s Finding> {
    scan.findings
        .iter()
        .filter(|finding| {
            // What cannot be read is told whatever is asked for.
            finding.rule == "EV001"
                || (request.select.is_empty()
                    || request
                        .select
                        .iter()
                        .any(|word| rules::is_meant(finding.rule, word)))
                    && !request
                        .ignore
                        .iter()
                        .any(|word| rules::is_meant(finding.rule, word))
        })
        .collect()
}

fn scan_command(request: &Request, options: &Options, target: Target) -> Answer {
    let evidence = match Evidence::read(&request.evidence, &options.folder) {
        Ok(evidence) => evidence,
        Err(problem) => return Answer::wrong("EA401", problem),
    };
    let mut scan = scan::run(options);
    if let Some(evidence) = evidence {
        evidence.mark(&mut scan.findings, &options.folder);
    }
    let mut findings = wanted(request, &scan);
    let mut answer = Answer::default();
    for problem in &scan.problems {
        answer.err.push_str(problem);
        answer.err.push('\n');
    }
    let file = request
        .baseline_file
        .clone()
        .unwrap_or_else(|| baseline::DEFAULT.into());
    let file = options.folder.join(file);
    let mut is_stale = false;
    match request.baseline.as_str() {
        "" => {}
        "write" => {
            let entries = baseline::entries(&findings, &options.folder);
            if let Err(problem) = baseline::write(&file, &entries) {
                return Answer::wrong("EA424", problem);
            }
            let _ = writeln!(
                answer.err,
                "{} findings written to {}",
                findings.len(),
                scan::shown(&file, &options.folder)
            );
            return answer;
        }
        "check" => {
            let known = match baseline::read(&file) {
                Ok(known) => known,
                Err(problem) => return Answer::wrong("EA424", problem),
            };
            let entries = baseline::entries(&findings, &options.folder);
            let mut outcome = baseline::check(&known, &entries);
            // An import whose last use has gone is no new use.
            let (idle, new): (Vec<usize>, Vec<usize>) = outcome.new.iter().partition(|&&index| {
                let finding = findings[index];
                finding.kind == Kind::Import
                    && finding.rule == "EV199"
                    && outcome
                        .gone
                        .iter()
                        .any(|name| name.starts_with(&*finding.symbol))
            });
            outcome
                .left
                .extend(idle.iter().map(|&index| entries[index].clone()));
            outcome.new = new;
            findings = outcome.new.iter().map(|&index| findings[index]).collect();
            if outcome.stale > 0 {
                let _ = writeln!(
                    answer.err,
                    "{} entries of the baseline are gone",
                    outcome.stale
                );
                is_stale = request.strict;
                // The ratchet: what has gone must not come back.
                if !request.strict
                    && findings.is_empty()
                    && baseline::write(&file, &outcome.left).is_ok()
                {
                    let _ = writeln!(answer.err, "the baseline now has {}", outcome.left.len());
                }
            }
        }
        other => {
            return Answer::wrong(
                "EA421",
                format!("there is no --baseline {other:?}: choose write or check"),
            );
        }
    }
    answer.exit = u8::from(!findings.is_empty() || is_stale);
    match request.format.as_str() {
        "" | "text" => {
            answer.out = report::text(&scan, &findings, target, &Paint(request.color));
        }
        "json" => {
            let document = report::json(&scan, &findings, target, &request.version);
            answer.out = format!("{document:#}\n");
        }
        other => {
            return Answer::wrong(
                "EA421",
                format!("there is no format {other:?}: choose text or json"),
            );
        }
    }
    answer
}
