//! Texts in programs that name Eventlet: targets of mocks, dynamic imports, options.

use std::sync::Arc;

use crate::eval::{Evaluator, Value};
use crate::explicit::Hit;
use crate::facts::{Facts, NONE, Node, TextPlace};
use crate::finding::{Confidence, Kind, Site};
use crate::names;
use crate::rules::{self, Safety};

/// Options that libraries and servers select Eventlet by.
const OPTIONS: &[&str] = &[
    "async_mode",
    "executor",
    "pool",
    "pool_cls",
    "worker_class",
    "worker_pool",
    "backend_type",
    "CELERYD_POOL",
    "celeryd_pool",
    "worker-class",
    "CELERY_WORKER_POOL",
    "CELERYD_WORKER_POOL",
    "WORKER_POOL",
    "WORKER_CLASS",
    "GUNICORN_WORKER_CLASS",
    "ASYNC_MODE",
    "SOCKETIO_ASYNC_MODE",
];
/// Functions that run a command line.
const RUNNERS: &[&str] = &[
    "run",
    "call",
    "check_call",
    "check_output",
    "Popen",
    "system",
    "popen",
    "getoutput",
    "getstatusoutput",
    "create_subprocess_shell",
    "execute",
];
/// The worker that gunicorn has for Eventlet.
const WORKER: &str = "gunicorn.workers.geventlet.EventletWorker";
const REQUIREMENTS: &[&str] = &[
    "install_requires",
    "extras_require",
    "tests_require",
    "requires",
    "requirements",
    "INSTALL_REQUIRES",
    "REQUIREMENTS",
    "deps",
    "dependencies",
];
const IMPORTERS: &[&str] = &[
    "import_module",
    "__import__",
    "try_import",
    "importorskip",
    "find_spec",
    "find_loader",
    "import_class",
    "import_object",
    "import_any",
    "reload",
    "import_string",
];
const PATCHERS: &[&str] = &["patch", "setattr", "delattr", "multiple", "replace"];

/// The last name of what a call calls.
pub(crate) fn called_name(facts: &Facts, call: u32) -> &str {
    let Some(expr) = facts.exprs.get(call as usize) else {
        return "";
    };
    let Node::Call { func, .. } = &expr.node else {
        return "";
    };
    match &facts.expr(*func).node {
        Node::Name { name, .. } | Node::Attr { name, .. } => facts.text(*name),
        _ => "",
    }
}

fn is_sys_modules(eval: &Evaluator<'_>, module: u32, expr: u32) -> bool {
    eval.eval(module, expr)
        .iter()
        .any(|m| m.value == Value::External("sys.modules".into()))
}

/// The base of the method that a call calls.
fn receiver(facts: &Facts, call: u32) -> Option<u32> {
    let Node::Call { func, .. } = &facts.expr(call).node else {
        return None;
    };
    match facts.expr(*func).node {
        Node::Attr { base, .. } => Some(base),
        _ => None,
    }
}

pub(crate) fn find(eval: &Evaluator<'_>, module: u32) -> Vec<Hit> {
    let facts = eval.facts(module);
    let mut hits = Vec::new();
    for text in &facts.texts {
        let value = facts.text(text.value);
        let Some((rule, symbol, kind)) = judge(eval, module, value, text.place) else {
            continue;
        };
        hits.push(hit(
            rule,
            symbol,
            kind,
            Site {
                module,
                range: text.range,
                function: text.function,
                class: text.class,
            },
        ));
    }
    for entry in &facts.uses {
        let Some(call) = facts.exprs.get(entry.call as usize) else {
            continue;
        };
        let Node::Call { args, .. } = &call.node else {
            continue;
        };
        let name = called_name(facts, entry.call);
        let Some(first) = args.first() else { continue };
        let expr = facts.expr(first.value);
        let site = Site {
            module,
            range: (expr.start, expr.end),
            function: entry.function,
            class: entry.class,
        };
        match expr.node {
            Node::Prefix(text) if IMPORTERS.contains(&name) => {
                let text = facts.text(text);
                if text == "eventlet" || text.starts_with("eventlet.") {
                    let symbol = text.trim_end_matches('.');
                    let green = symbol.starts_with("eventlet.green");
                    let rule = if green { "EV150" } else { "EV199" };
                    hits.push(hit(rule, names::canonical(symbol), Kind::String, site));
                }
            }
            Node::Text(text) if PATCHERS.contains(&name) => {
                let target = facts.text(text);
                if let Some((symbol, via)) = project_target(eval, module, target) {
                    let mut found = hit(
                        rules::of_symbol(&symbol),
                        symbol.clone(),
                        Kind::String,
                        site,
                    );
                    found.via = via;
                    hits.push(found);
                }
            }
            _ => {}
        }
    }
    hits
}

fn hit(rule: &'static str, symbol: Arc<str>, kind: Kind, at: Site) -> Hit {
    Hit {
        rule,
        symbol,
        via: Vec::new(),
        kind,
        confidence: Confidence::High,
        at,
        subject: NONE,
        note: String::new(),
        is_hidden: false,
        shape: Safety::Safe,
    }
}

fn judge(
    eval: &Evaluator<'_>,
    module: u32,
    value: &str,
    place: TextPlace,
) -> Option<(&'static str, Arc<str>, Kind)> {
    let facts = eval.facts(module);
    let symbol = || names::canonical(value);
    if value.starts_with("EVENTLET_") {
        let is_environment = match place {
            TextPlace::Argument(call, 0, _) => matches!(
                called_name(facts, call),
                "get"
                    | "getenv"
                    | "setdefault"
                    | "pop"
                    | "setenv"
                    | "delenv"
                    | "putenv"
                    | "unsetenv"
                    | "EnvironmentVariable"
            ),
            TextPlace::Key(_) | TextPlace::Compared(_) => true,
            _ => false,
        };
        return is_environment.then(|| ("EV198", value.into(), Kind::String));
    }
    if value == WORKER || value == "egg:gunicorn#eventlet" {
        return Some(("EV198", "eventlet".into(), Kind::String));
    }
    if !names::is_ours(value) {
        return match place {
            TextPlace::Argument(call, 0, _) if RUNNERS.contains(&called_name(facts, call)) => {
                crate::texts::option(value).map(|_| ("EV198", "eventlet".into(), Kind::String))
            }
            TextPlace::After(_) | TextPlace::Other => (value.starts_with('-')
                && crate::texts::option(value).is_some())
            .then(|| ("EV198", "eventlet".into(), Kind::String)),
            TextPlace::Listed(target) if REQUIREMENTS.contains(&facts.text(target)) => {
                is_requirement(value).then(|| ("EV198", "eventlet".into(), Kind::String))
            }
            _ => None,
        };
    }
    match place {
        TextPlace::Argument(call, position, keyword) => {
            let name = called_name(facts, call);
            if keyword != NONE {
                let keyword = facts.text(keyword);
                if value == "eventlet" && OPTIONS.contains(&keyword) {
                    return Some(("EV198", "eventlet".into(), Kind::String));
                }
                if !(keyword == "target" || keyword == "name") {
                    return None;
                }
            } else if position == 1 && name == "dict" {
                // patch.dict(sys.modules, {"eventlet": None})
                return Some((mock_rule(&symbol()), symbol(), Kind::String));
            } else if position != 0 {
                return None;
            }
            if IMPORTERS.contains(&name) {
                let green = value.starts_with("eventlet.green.");
                let rule = if green { "EV150" } else { "EV199" };
                return Some((rule, symbol(), Kind::String));
            }
            if PATCHERS.contains(&name) || name == "dict" {
                return Some((mock_rule(&symbol()), symbol(), Kind::String));
            }
            let base = receiver(facts, call)?;
            is_sys_modules(eval, module, base).then(|| ("EV199", symbol(), Kind::Use))
        }
        TextPlace::Key(base) => {
            is_sys_modules(eval, module, base).then(|| ("EV199", symbol(), Kind::Use))
        }
        TextPlace::Compared(other) => (other != NONE && is_sys_modules(eval, module, other))
            .then(|| ("EV199", symbol(), Kind::Use)),
        TextPlace::Assigned(target) => (value == "eventlet"
            && OPTIONS.contains(&facts.text(target)))
        .then(|| ("EV198", "eventlet".into(), Kind::String)),
        TextPlace::Listed(target) => REQUIREMENTS
            .contains(&facts.text(target))
            .then(|| ("EV198", "eventlet".into(), Kind::String)),
        TextPlace::After(before) => (value == "eventlet"
            && crate::texts::is_option(facts.text(before)))
        .then(|| ("EV198", "eventlet".into(), Kind::String)),
        TextPlace::Other => None,
    }
}

/// The rule of what a mock puts in the place of.
fn mock_rule(symbol: &str) -> &'static str {
    if symbol == "eventlet.timeout.Timeout" {
        "EV131"
    } else {
        rules::of_symbol(symbol)
    }
}

/// Whether a line of requirements asks for Eventlet itself.
pub(crate) fn is_requirement(text: &str) -> bool {
    let text = text.trim();
    text.strip_prefix("eventlet").is_some_and(|rest| {
        rest.is_empty() || rest.starts_with(|c: char| " <>=!~;[#@,\t".contains(c))
    })
}

/// What a dotted target in a module of the project means, if it is Eventlet's.
fn project_target(
    eval: &Evaluator<'_>,
    module: u32,
    target: &str,
) -> Option<(Arc<str>, Vec<Arc<str>>)> {
    if names::is_ours(target) || !target.contains('.') {
        return None;
    }
    let parts: Vec<&str> = target.split('.').collect();
    for cut in (1..parts.len()).rev() {
        let Some(owner) = eval.project.find(&parts[..cut].join("."), module) else {
            continue;
        };
        let mut meanings = eval.member(owner, parts[cut]);
        for part in &parts[cut + 1..] {
            meanings = eval.attribute_of_all(&meanings, part);
        }
        return meanings.iter().find_map(|meaning| match &meaning.value {
            Value::External(name) if names::is_ours(name) => {
                Some((name.clone(), meaning.via.clone()))
            }
            _ => None,
        });
    }
    None
}
