//! How safe the change is that a rule proposes, at one site.

use crate::explicit::Hit;
use crate::facts::NONE;
use crate::finding::{Confidence, Fix, Kind};
use crate::patches::{Patches, State, group_of};
use crate::project::Project;
use crate::rules::{self, Safety};

pub(crate) fn of(project: &Project, patches: &Patches, hit: &Hit) -> Fix {
    let rule = rules::get(hit.rule);
    if hit.confidence == Confidence::Low || hit.kind == Kind::Wrapper {
        return Fix {
            asyncio: Safety::Manual,
            threads: Safety::Manual,
        };
    }
    let facts = &project.modules[hit.at.module as usize].facts;
    let function = facts.functions.get(hit.at.function as usize);
    let in_coroutine = function.is_some_and(|function| function.is_async);
    let state = patches.of_module[hit.at.module as usize];
    let mut asyncio = rule.asyncio;
    // Outside of coroutines it is the plan that decides what becomes one.
    if matches!(hit.rule, "EV101" | "EV102" | "EV180") && !in_coroutine {
        asyncio = Safety::Manual;
    }
    let mut threads = rule.threads;
    if threads == Safety::Safe && !is_proved(hit, state) {
        threads = Safety::Unsafe;
    }
    if hit.rule == "EV152" {
        let proved = threads == Safety::Safe;
        asyncio = if proved { Safety::Safe } else { Safety::Unsafe };
    }
    Fix { asyncio, threads }
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
        "EV101" => true,
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

/// Whether a hit stands in the scope of a coroutine.
pub(crate) fn in_coroutine(project: &Project, hit: &Hit) -> bool {
    let facts = &project.modules[hit.at.module as usize].facts;
    hit.at.function != NONE && facts.functions[hit.at.function as usize].is_async
}
