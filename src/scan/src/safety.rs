//! How safe the change is that a rule proposes, at one site.

use crate::explicit::Hit;
use crate::facts::{Facts, NONE, Node};
use crate::finding::{Confidence, Fix, Kind};
use crate::patches::{Patches, State, group_of};
use crate::project::Project;
use crate::report::Target;
use crate::rewrite::sites::{has_edit, keeps_member};
use crate::rewrite::table::replacement;
use crate::rules::{self, Safety};

pub(crate) fn of(project: &Project, patches: &Patches, hit: &Hit) -> Fix {
    let rule = rules::get(hit.rule);
    if hit.confidence == Confidence::Low || hit.kind == Kind::Wrapper {
        return Fix {
            asyncio: Safety::Manual,
            threads: Safety::Manual,
        };
    }
    let in_coroutine = project.is_async((hit.at.module, hit.at.function));
    let state = patches.of_module[hit.at.module as usize];
    let mut asyncio = rule.asyncio;
    // Outside of coroutines it is the plan that decides what becomes one.
    if matches!(hit.rule, "EV101" | "EV102" | "EV180") && !in_coroutine {
        asyncio = Safety::Manual;
    }
    let mut threads = rule.threads.max(hit.shape);
    if threads == Safety::Safe && !is_proved(hit, state) {
        threads = Safety::Unsafe;
    }
    // Nobody is promised what no program does.
    if !has_edit(hit, Target::Asyncio, in_coroutine) {
        asyncio = Safety::Manual;
    }
    if !has_edit(hit, Target::Threads, in_coroutine) {
        threads = Safety::Manual;
    }
    Fix { asyncio, threads }
}

/// How safe a site lets a change be, by the way it is written.
pub(crate) fn shape(facts: &Facts, hit: &Hit) -> Safety {
    let Some(one) = facts.uses.get(hit.subject as usize) else {
        return Safety::Safe;
    };
    let call = facts.exprs.get(one.call as usize).map(|expr| &expr.node);
    let args = match call {
        Some(Node::Call { args, .. }) => Some(args),
        _ => None,
    };
    let has_twin = replacement(&hit.symbol, Target::Threads).is_some();
    match hit.rule {
        // Whoever is handed the function may call it without the argument that time.sleep needs.
        "EV101" | "EV102" if hit.kind == Kind::Use => match args {
            Some(args) if args.len() <= 1 && args.iter().all(|arg| !arg.starred) => Safety::Safe,
            _ => Safety::Unsafe,
        },
        // A size of 0 is a channel there, and no limit here.
        "EV140" if has_twin && hit.symbol.ends_with("Queue") => match args.map(Vec::as_slice) {
            Some([]) => Safety::Safe,
            Some([arg]) if matches!(facts.expr(arg.value).node, Node::Int(size) if size > 0) => {
                Safety::Safe
            }
            _ => Safety::Unsafe,
        },
        "EV152" => match args.map(Vec::as_slice) {
            Some([arg]) if has_twin && arg.name == NONE && !arg.starred => Safety::Safe,
            _ => Safety::Manual,
        },
        "EV172" if has_twin => match args.map(Vec::as_slice) {
            Some([arg]) if arg.name == NONE && !arg.starred => Safety::Safe,
            _ => Safety::Unsafe,
        },
        "EV140" | "EV142" if has_twin => Safety::Safe,
        // What belongs to an object follows the object.
        "EV140" | "EV142" | "EV172" => {
            let (owner, member) = hit.symbol.rsplit_once('.').unwrap_or_default();
            let follows = keeps_member(owner, member) || owner.ends_with(".GreenSocket");
            if follows {
                Safety::Safe
            } else {
                Safety::Manual
            }
        }
        _ => Safety::Safe,
    }
}

/// Whether what the change relies on holds in every process that runs the line.
fn is_proved(hit: &Hit, state: State) -> bool {
    let symbol = &*hit.symbol;
    match hit.rule {
        "EV152" => match symbol {
            "eventlet.patcher.import_patched" => state.surely("socket") && state.surely("thread"),
            // What was original must stay so.
            _ => state.possibly == 0,
        },
        "EV150" | "EV151" => {
            let module = standard_module(symbol);
            state.surely(group_of(&module))
        }
        "EV101" => state.surely("time"),
        rule => {
            let group = &rules::get(rule).patched;
            group.is_empty() || state.surely(group)
        }
    }
}

/// The standard module that a green one, or a name in it, stands for.
pub(crate) fn standard_module(symbol: &str) -> String {
    let mut name = symbol;
    while !crate::names::is_module(name) {
        match name.rsplit_once('.') {
            Some((outer, _)) => name = outer,
            None => return String::new(),
        }
    }
    let module = name.strip_prefix("eventlet.green.").unwrap_or_default();
    match module {
        "BaseHTTPServer" | "SimpleHTTPServer" | "CGIHTTPServer" => "http.server".to_owned(),
        "Queue" => "queue".to_owned(),
        "SocketServer" => "socketserver".to_owned(),
        "builtin" => "builtins".to_owned(),
        "httplib" => "http.client".to_owned(),
        "thread" => "_thread".to_owned(),
        "urllib2" => "urllib.request".to_owned(),
        other => other.to_owned(),
    }
}
