//! Findings as text for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use crate::finding::{Confidence, Finding, Kind, SCHEMA};
use crate::rules::{self, Safety};
use crate::scan::Scan;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    Asyncio,
    Threads,
    Both,
}

impl Target {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "asyncio" => Some(Self::Asyncio),
            "threads" => Some(Self::Threads),
            "both" | "" => Some(Self::Both),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Asyncio => "asyncio",
            Self::Threads => "threads",
            Self::Both => "both",
        }
    }
}

/// Counts of one package.
#[derive(Default, Serialize)]
pub(crate) struct Package {
    pub(crate) files: u32,
    pub(crate) explicit: u32,
    pub(crate) facade: u32,
    pub(crate) implicit: u32,
    pub(crate) hazards: u32,
    pub(crate) functions: u32,
    pub(crate) switching: u32,
}

/// The package that a module is counted under: its first two parts.
pub(crate) fn package_of(module: &str) -> String {
    let mut parts = module.split('.');
    let first = parts.next().unwrap_or_default();
    match (parts.next(), parts.next()) {
        (Some(second), Some(_)) => format!("{first}.{second}"),
        _ => first.to_owned(),
    }
}

pub(crate) fn packages(scan: &Scan, findings: &[&Finding]) -> BTreeMap<String, Package> {
    let mut found: BTreeMap<String, Package> = BTreeMap::new();
    let switching = scan.switching_functions();
    for (module, switching) in scan.project.modules.iter().zip(switching) {
        let entry = found.entry(package_of(&module.name)).or_default();
        let functions = &module.outline.functions;
        entry.files += 1;
        entry.functions += functions.iter().filter(|f| !f.is_lambda).count() as u32;
        entry.switching += switching;
    }
    for finding in findings {
        let entry = found.entry(package_of(&finding.module)).or_default();
        match finding.kind {
            Kind::Implicit => entry.implicit += 1,
            Kind::Hazard | Kind::Error => entry.hazards += 1,
            _ if finding.via.is_empty() => entry.explicit += 1,
            _ => entry.facade += 1,
        }
    }
    found.retain(|name, entry| {
        !name.is_empty() && entry.explicit + entry.facade + entry.implicit + entry.hazards > 0
    });
    found
}

pub(crate) fn summary(scan: &Scan, findings: &[&Finding]) -> Value {
    let mut by_rule: BTreeMap<&str, u32> = BTreeMap::new();
    let mut by_symbol: BTreeMap<&str, u32> = BTreeMap::new();
    let mut fixes: BTreeMap<&str, BTreeMap<&str, u32>> = BTreeMap::new();
    let (mut production, mut tests, mut low) = (0, 0, 0);
    for finding in findings {
        *by_rule.entry(finding.rule).or_default() += 1;
        if !finding.symbol.is_empty() {
            *by_symbol.entry(&finding.symbol).or_default() += 1;
        }
        for (target, safety) in [
            ("asyncio", finding.fix.asyncio),
            ("threads", finding.fix.threads),
        ] {
            *fixes
                .entry(target)
                .or_default()
                .entry(safety_name(safety))
                .or_default() += 1;
        }
        if finding.test {
            tests += 1;
        } else {
            production += 1;
        }
        if finding.confidence == Confidence::Low {
            low += 1;
        }
    }
    let facades = scan.facades();
    json!({
        "files": scan.project.modules.len(),
        "text_files": scan.texts,
        "lines": scan.lines,
        "seconds": (scan.seconds * 1000.0).round() / 1000.0,
        "findings": findings.len(),
        "production": production,
        "tests": tests,
        "low_confidence": low,
        "suppressed": scan.suppressed,
        "kept": scan.kept.iter().map(|(path, line, reason)| {
            json!({"path": path, "line": line, "reason": reason})
        }).collect::<Vec<_>>(),
        "patched": scan.patches.is_any,
        "by_rule": by_rule,
        "by_symbol": by_symbol,
        "by_package": packages(scan, findings),
        "fixes": fixes,
        "facades": facades,
        "problems": scan.problems,
    })
}

pub(crate) fn safety_name(safety: Safety) -> &'static str {
    match safety {
        Safety::Safe => "safe",
        Safety::Unsafe => "unsafe",
        Safety::Manual => "manual",
    }
}

/// The document that `--format json` prints.
pub(crate) fn json(scan: &Scan, findings: &[&Finding], target: Target, version: &str) -> Value {
    json!({
        "schema": SCHEMA,
        "tool": {"name": "eventlet-asyncio", "version": version},
        "target": target.name(),
        "findings": findings,
        "rules": used_rules(findings),
        "summary": summary(scan, findings),
    })
}

/// The titles of the rules that found something, and what they propose in general.
fn used_rules(findings: &[&Finding]) -> BTreeMap<&'static str, Value> {
    let mut found = BTreeMap::new();
    for finding in findings {
        found.entry(finding.rule).or_insert_with(|| {
            let rule = rules::get(finding.rule);
            json!({"title": rule.title, "asyncio": rule.asyncio, "threads": rule.threads})
        });
    }
    found
}

fn letter(safety: Safety) -> &'static str {
    match safety {
        Safety::Safe => "S",
        Safety::Unsafe => "U",
        Safety::Manual => "M",
    }
}

/// Colours of terminals, if they are wanted.
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    pub(crate) fn with(&self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// What a terminal must not take for its own.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The text that people read.
pub(crate) fn text(scan: &Scan, findings: &[&Finding], target: Target, paint: &Paint) -> String {
    let mut out = String::new();
    for finding in findings {
        let class = match target {
            Target::Asyncio => format!("[{}]", letter(finding.fix.asyncio)),
            Target::Threads => format!("[{}]", letter(finding.fix.threads)),
            Target::Both => {
                format!(
                    "[{}/{}]",
                    letter(finding.fix.asyncio),
                    letter(finding.fix.threads)
                )
            }
        };
        let guess = if finding.confidence == Confidence::Low {
            " (possibly)"
        } else {
            ""
        };
        let place = format!(
            "{}:{}:{}",
            printable(&finding.path),
            finding.line,
            finding.column
        );
        let _ = writeln!(
            out,
            "{}  {} {class} {}{guess}",
            paint.with("1", &place),
            paint.with(
                if finding.kind == Kind::Hazard {
                    "31"
                } else {
                    "33"
                },
                finding.rule
            ),
            printable(&finding.message),
        );
    }
    let packages = packages(scan, findings);
    if !packages.is_empty() {
        let width = packages
            .keys()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0)
            .max(7);
        let _ = writeln!(
            out,
            "\n{:width$}  explicit  via façade  implicit  hazards  switching functions",
            "package"
        );
        for (name, entry) in &packages {
            let share = format!("{} / {}", entry.switching, entry.functions);
            let _ = writeln!(
                out,
                "{name:width$}  {:8}  {:10}  {:8}  {:7}  {share:>19}",
                entry.explicit, entry.facade, entry.implicit, entry.hazards
            );
        }
        out.push('\n');
    }
    out.push_str(&closing(scan, findings, target));
    out
}

fn closing(scan: &Scan, findings: &[&Finding], target: Target) -> String {
    let mut out = String::new();
    let targets: &[(&str, Target)] = match target {
        Target::Both => &[
            ("asyncio: ", Target::Asyncio),
            ("threads: ", Target::Threads),
        ],
        Target::Asyncio => &[("", Target::Asyncio)],
        Target::Threads => &[("", Target::Threads)],
    };
    let hazards = findings
        .iter()
        .filter(|finding| finding.kind == Kind::Hazard)
        .count();
    for (name, target) in targets {
        let count = |safety| {
            findings
                .iter()
                .filter(|finding| !matches!(finding.kind, Kind::Hazard | Kind::Implicit))
                .filter(|finding| match target {
                    Target::Asyncio => finding.fix.asyncio == safety,
                    _ => finding.fix.threads == safety,
                })
                .count()
        };
        let _ = writeln!(
            out,
            "{name}{} S fixable (--write) · {} U (--unsafe) · {} manual · {hazards} hazards",
            count(Safety::Safe),
            count(Safety::Unsafe),
            count(Safety::Manual),
        );
    }
    let _ = writeln!(
        out,
        "{} findings in {:.1} s, {} files, {} lines",
        findings.len(),
        scan.seconds,
        scan.project.modules.len() + scan.texts,
        scan.lines
    );
    out
}
