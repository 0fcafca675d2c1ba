//! Plans as text, as Markdown and as a graph.

use std::fmt::Write;

use crate::colour::Colour;
use crate::plan_document::{Plan, Step};
use crate::report::printable;

fn names(step: &Step) -> String {
    let names: Vec<String> = step
        .functions
        .iter()
        .map(|one| printable(&one.name))
        .collect();
    names.join(", ")
}

fn reason(step: &Step) -> String {
    let mut parts = Vec::new();
    if step.cycle {
        parts.push("one circle of calls".to_owned());
    }
    if step.after.is_empty() && !step.cycle {
        parts.push("leaf".to_owned());
    } else if !step.after.is_empty() {
        let numbers: Vec<String> = step.after.iter().map(ToString::to_string).collect();
        let word = if numbers.len() == 1 { "step" } else { "steps" };
        parts.push(format!("calls {word} {}", numbers.join(", ")));
    }
    if !step.switches.is_empty() {
        parts.push(format!("switches: {}", step.switches.join(", ")));
    }
    parts.join(", ")
}

pub(crate) fn text(plan: &Plan) -> String {
    let mut out = String::new();
    for part in &plan.first {
        let _ = writeln!(out, "first   {}\n        {}", part.command, part.why);
    }
    if plan.steps.is_empty() {
        out.push_str("nothing has to change\n");
        return out;
    }
    for step in &plan.steps {
        let _ = writeln!(
            out,
            "step {:<3} {}  {}  callers {}  tests {}  bridges if last {}",
            step.step,
            names(step),
            reason(step),
            step.callers,
            step.tests,
            step.bridges
        );
        if step.proof.len() > 1 {
            let way: Vec<String> = step
                .proof
                .iter()
                .map(|one| format!("{}:{}", printable(&one.path), one.line))
                .collect();
            let symbol = step
                .proof
                .last()
                .and_then(|one| one.symbol.as_deref())
                .unwrap_or("");
            let _ = writeln!(out, "         switches by {} {symbol}", way.join(" > "));
        }
    }
    if !plan.cuts.is_empty() && plan.target == "asyncio" {
        out.push_str("\ncut alternatives:\n");
        for cut in &plan.cuts {
            let mark = if cut.cheapest { "  <- cheapest" } else { "" };
            let sites = cut.sites.len();
            let word = if sites == 1 { "site" } else { "sites" };
            let _ = writeln!(
                out,
                "  bridge at {} ({sites} call {word}, {} steps){mark}",
                printable(&cut.function),
                cut.steps.len()
            );
            for site in cut.sites.iter().take(3) {
                let _ = writeln!(
                    out,
                    "    {}:{} in {}",
                    printable(&site.path),
                    site.line,
                    site.function
                );
            }
        }
        let _ = writeln!(out, "bridge: {}", plan.cuts[0].bridge);
    }
    out
}

pub(crate) fn markdown(plan: &Plan) -> String {
    let mut out = format!("# Plan for {}\n\n", plan.target);
    for part in &plan.first {
        let _ = writeln!(out, "- [ ] `{}`: {}", part.command, part.why);
    }
    for step in &plan.steps {
        let names: Vec<String> = step
            .functions
            .iter()
            .map(|one| format!("`{}`", one.name.replace('`', "")))
            .collect();
        let _ = writeln!(
            out,
            "- [ ] {}. {} ({}; {} callers, {} tests)",
            step.step,
            names.join(", "),
            reason(step),
            step.callers,
            step.tests
        );
    }
    if !plan.cuts.is_empty() && plan.target == "asyncio" {
        out.push_str("\n## Where a bridge costs least\n\n");
        for cut in &plan.cuts {
            let _ = writeln!(
                out,
                "- `{}`: {} call sites, {} steps",
                cut.function.replace('`', ""),
                cut.sites.len(),
                cut.steps.len()
            );
        }
    }
    out
}

pub(crate) fn dot(plan: &Plan) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut out = String::from("digraph plan {\n    rankdir=BT;\n    node [shape=box];\n");
    for step in &plan.steps {
        let names: Vec<String> = step.functions.iter().map(|one| quoted(&one.name)).collect();
        let must = step.functions.iter().any(|one| one.colour == Colour::Must);
        let style = if must { ", style=bold" } else { "" };
        let _ = writeln!(
            out,
            "    s{} [label=\"{}. {}\"{style}];",
            step.step,
            step.step,
            names.join("\\n")
        );
        for other in &step.after {
            let _ = writeln!(out, "    s{} -> s{other};", step.step);
        }
    }
    out.push_str("}\n");
    out
}
