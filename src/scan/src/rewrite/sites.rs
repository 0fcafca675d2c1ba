//! Edits of single sites: arguments of calls, and calls that become other calls.

use crate::explicit::Hit;
use crate::facts::{BindingKind, NONE, Node, Place};
use crate::finding::Kind;
use crate::report::Target;

use super::imports;
use super::pass::{Edits, Pass};
use super::table::replacement;

/// Members that the standard class has, too, with the same meaning.
pub(crate) fn keeps_member(class: &str, member: &str) -> bool {
    match class {
        "eventlet.queue.Queue"
        | "eventlet.queue.LightQueue"
        | "eventlet.queue.LifoQueue"
        | "eventlet.queue.PriorityQueue" => matches!(
            member,
            "empty"
                | "full"
                | "get"
                | "get_nowait"
                | "join"
                | "maxsize"
                | "put"
                | "put_nowait"
                | "qsize"
                | "task_done"
                | "unfinished_tasks"
        ),
        "eventlet.semaphore.Semaphore"
        | "eventlet.semaphore.BoundedSemaphore"
        | "eventlet.lock.Lock" => {
            matches!(member, "acquire" | "release")
        }
        "eventlet.corolocal.local" => true,
        _ => class.starts_with("eventlet.green."),
    }
}

/// Changes the arguments of a call whose function gets another name.
pub(crate) fn edit_arguments(pass: &Pass<'_>, index: usize, edits: &mut Edits) {
    let hit = &pass.hits[index];
    let facts = pass.facts(hit.at.module);
    let Some(one) = facts.uses.get(hit.subject as usize) else {
        return;
    };
    let Some(call) = facts.exprs.get(one.call as usize) else {
        return;
    };
    let Node::Call { args, .. } = &call.node else {
        return;
    };
    let text = &pass.texts[&hit.at.module];
    match &*hit.symbol {
        "eventlet.greenthread.sleep" => match args.first() {
            None => edits.add(hit.at.module, (call.end - 1, call.end - 1), "0"),
            Some(arg) if arg.name != NONE => {
                // time.sleep takes no keyword.
                let start = facts.expr(arg.value).start;
                let before = text[..start as usize].trim_end();
                if let Some(rest) = before.strip_suffix('=')
                    && let Some(rest) = rest.trim_end().strip_suffix("seconds")
                {
                    edits.add(hit.at.module, (rest.len() as u32, start), "");
                }
            }
            Some(_) => {}
        },
        "eventlet.convenience.listen" => {
            if let [arg] = &args[..] {
                let end = facts.expr(arg.value).end;
                // The length of the queue that Eventlet asks for.
                edits.add(hit.at.module, (end, end), ", backlog=50");
            }
        }
        _ => {}
    }
}

/// Changes a site that needs no other to change with it.
pub(crate) fn edit(pass: &Pass<'_>, index: usize, edits: &mut Edits) {
    let hit = &pass.hits[index];
    if hit.kind != Kind::Use || hit.subject == NONE {
        return;
    }
    match (hit.rule, pass.target) {
        ("EV111", Target::Threads) => call_directly(pass, index, edits),
        ("EV101" | "EV102", Target::Asyncio) => await_call(pass, index, "sleep", edits),
        ("EV180", Target::Asyncio) => await_call(pass, index, "to_thread", edits),
        ("EV130", Target::Asyncio) => limit(pass, index, edits),
        _ => {}
    }
}

/// Whether some edit is made for a site, if its class allows it.
pub(crate) fn has_edit(hit: &Hit, target: Target, in_coroutine: bool) -> bool {
    if target == Target::Asyncio {
        return in_coroutine
            && hit.kind == Kind::Use
            && (matches!(hit.rule, "EV101" | "EV102" | "EV130")
                || &*hit.symbol == "eventlet.tpool.execute");
    }
    hit.rule == "EV111"
        || replacement(&hit.symbol, target).is_some()
        || hit
            .symbol
            .rsplit_once('.')
            .is_some_and(|(owner, member)| keeps_member(owner, member))
        || hit.symbol.starts_with("eventlet.greenio.base.GreenSocket.")
}

/// `eventlet.spawn(f, a).wait()` becomes `f(a)`.
fn call_directly(pass: &Pass<'_>, index: usize, edits: &mut Edits) {
    let hit = &pass.hits[index];
    let facts = pass.facts(hit.at.module);
    let call = facts.uses[hit.subject as usize].call;
    let waited = facts.exprs.iter().find_map(|expr| match &expr.node {
        Node::Call { func, args } if args.is_empty() => match facts.expr(*func).node {
            Node::Attr { base, .. } if base == call => Some((expr.start, expr.end)),
            _ => None,
        },
        _ => None,
    });
    let (Some(range), Node::Call { args, .. }) = (waited, &facts.expr(call).node) else {
        return;
    };
    let Some(function) = args.first().filter(|arg| arg.name == NONE && !arg.starred) else {
        return;
    };
    let text = &pass.texts[&hit.at.module];
    let function = facts.expr(function.value);
    if !matches!(function.node, Node::Name { .. } | Node::Attr { .. }) {
        return;
    }
    let name = &text[function.start as usize..function.end as usize];
    let rest = &text[function.end as usize..facts.expr(call).end as usize];
    let rest = rest.trim_start().trim_start_matches(',').trim_start();
    edits.add(hit.at.module, range, format!("{name}({rest}"));
}

/// `with Timeout(n):` in a coroutine becomes `async with asyncio.timeout(n):`.
fn limit(pass: &Pass<'_>, index: usize, edits: &mut Edits) {
    let hit = &pass.hits[index];
    let facts = pass.facts(hit.at.module);
    let one = &facts.uses[hit.subject as usize];
    let Some(with) = facts.withs.iter().find(|with| with.item == one.call) else {
        return;
    };
    let is_alone = facts
        .withs
        .iter()
        .filter(|other| other.body == with.body)
        .count()
        == 1;
    let Node::Call { args, .. } = &facts.expr(one.call).node else {
        return;
    };
    let is_plain = matches!(&args[..], [arg] if arg.name == NONE && !arg.starred);
    let text = &pass.texts[&hit.at.module];
    let call = facts.expr(one.call);
    let before = text[..call.start as usize].trim_end();
    let after = text[call.end as usize..].trim_start();
    let is_bare = before.ends_with("with") && after.starts_with(':');
    if !is_alone || with.is_async || !is_plain || !is_bare {
        return;
    }
    let Some(name) = asyncio_name(pass, hit.at.module, edits) else {
        return;
    };
    let start = before.len() as u32 - 4;
    edits.add(hit.at.module, (start, start), "async ");
    edits.add(hit.at.module, hit.at.range, format!("{name}.timeout"));
}

/// `eventlet.sleep(n)` in a coroutine becomes `await asyncio.sleep(n)`.
fn await_call(pass: &Pass<'_>, index: usize, called: &str, edits: &mut Edits) {
    let hit = &pass.hits[index];
    let facts = pass.facts(hit.at.module);
    let one = &facts.uses[hit.subject as usize];
    let is_plain = matches!(
        one.place,
        Place::Statement | Place::Assigned | Place::Returned
    );
    let Some(function) = facts.functions.get(one.function as usize) else {
        return;
    };
    if !is_plain || one.awaited || one.call == NONE || !function.is_async {
        return;
    }
    if called == "to_thread" && &*hit.symbol != "eventlet.tpool.execute" {
        return;
    }
    let Some(name) = asyncio_name(pass, hit.at.module, edits) else {
        return;
    };
    let start = facts.expr(one.call).start;
    edits.add(
        hit.at.module,
        (start, hit.at.range.1),
        format!("await {name}.{called}"),
    );
    if called != "sleep" {
        return;
    }
    let text = &pass.texts[&hit.at.module];
    if let Node::Call { args, .. } = &facts.expr(one.call).node {
        match args.first() {
            None => {
                let end = facts.expr(one.call).end - 1;
                edits.add(hit.at.module, (end, end), "0");
            }
            Some(arg) if arg.name != NONE => {
                let start = facts.expr(arg.value).start;
                let before = text[..start as usize].trim_end();
                if let Some(rest) = before.strip_suffix('=')
                    && let Some(rest) = rest.trim_end().strip_suffix("seconds")
                {
                    edits.add(hit.at.module, (rest.len() as u32, start), "");
                }
            }
            Some(_) => {}
        }
    }
}

/// The name that asyncio has at the top of a module; without an import one is added.
fn asyncio_name(pass: &Pass<'_>, module: u32, edits: &mut Edits) -> Option<String> {
    let facts = pass.facts(module);
    let bound = facts.bindings.iter().find(|binding| {
        binding.scope == 0
            && matches!(&binding.kind, BindingKind::Import { module, .. }
                if facts.text(*module) == "asyncio")
    });
    if let Some(binding) = bound {
        return Some(facts.text(binding.name).to_owned());
    }
    // Something else has the name.
    if facts.id_of("asyncio").is_some() {
        return None;
    }
    if !edits.imports_asyncio.contains(&module) {
        let text = &pass.texts[&module];
        let place = imports::statements(text).into_iter().find(|statement| {
            let (start, _) = statement.range;
            let at_line_start = start == 0 || text[..start as usize].ends_with(['\n', '\r']);
            at_line_start
                && statement.has_own_lines
                && !text[start as usize..].starts_with("from __future__")
        })?;
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let (start, _) = place.range;
        edits.add(module, (start, start), format!("import asyncio{newline}"));
        edits.imports_asyncio.insert(module);
    }
    Some("asyncio".to_owned())
}
