//! The text of a rule; the same that its page in the documentation has.

use std::fmt::Write;

use crate::api::{Answer, Request};
use crate::report::safety_name;
use crate::rules::{self, Rule};

pub(crate) fn answer(request: &Request) -> Answer {
    if request.format == "json" {
        let text = serde_json::to_string_pretty(rules::all()).unwrap_or_default();
        return Answer {
            exit: 0,
            out: text + "\n",
            err: String::new(),
        };
    }
    if request.format == "markdown" {
        return Answer {
            exit: 0,
            out: page(),
            err: String::new(),
        };
    }
    if request.rules.is_empty() {
        let mut out = String::new();
        for (id, rule) in rules::all() {
            let _ = writeln!(out, "{id}  {}", rule.title);
        }
        return Answer {
            exit: 0,
            out,
            err: String::new(),
        };
    }
    let mut out = String::new();
    for word in &request.rules {
        let found: Vec<_> = rules::all()
            .iter()
            .filter(|(id, _)| rules::is_meant(id, word))
            .collect();
        if found.is_empty() {
            return Answer::wrong(
                "EA422",
                format!("there is no rule {word:?}: eventlet-asyncio explain lists them all"),
            );
        }
        for (id, rule) in found {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&text(id, rule));
        }
    }
    Answer {
        exit: 0,
        out,
        err: String::new(),
    }
}

fn sections(rule: &Rule) -> [(&'static str, &str); 5] {
    [
        ("Before", &rule.before),
        ("On the way to asyncio", &rule.asyncio_way),
        ("After, with asyncio", &rule.asyncio_after),
        ("On the way to threads", &rule.threads_way),
        ("After, with threads", &rule.threads_after),
    ]
}

fn text(id: &str, rule: &Rule) -> String {
    let mut out = format!("{id}: {}\n", rule.title);
    let _ = writeln!(
        out,
        "asyncio: {} · threads: {}",
        safety_name(rule.asyncio),
        safety_name(rule.threads)
    );
    if !rule.why.is_empty() {
        let _ = write!(out, "\n{}", rule.why);
    }
    for (title, code) in sections(rule) {
        if !code.is_empty() {
            let _ = writeln!(out, "\n{title}:\n");
            for line in code.lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
    out.replace("    \n", "\n")
}

/// All rules as one page in Markdown.
fn page() -> String {
    let mut out = String::from(include_str!("../data/rules-head.md"));
    for (id, rule) in rules::all() {
        let _ = write!(out, "\n({})=\n## {id}: {}\n", id.to_lowercase(), rule.title);
        let _ = write!(
            out,
            "\nProposes for asyncio: {}; for threads: {}.\n",
            safety_name(rule.asyncio),
            safety_name(rule.threads)
        );
        if !rule.why.is_empty() {
            let _ = write!(out, "\n{}", rule.why);
        }
        for (title, code) in sections(rule) {
            if !code.is_empty() {
                let _ = write!(out, "\n{title}:\n\n```python\n{code}```\n");
            }
        }
    }
    out
}
