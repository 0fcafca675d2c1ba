//! What hurts on the way although no name of Eventlet stands there.
//!
//! All of it is looked for only in projects that use Eventlet: elsewhere it is no hazard of a
//! migration.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use crate::colour::{Colours, is_live};
use crate::eval::{Evaluator, Value};
use crate::explicit::Hit;
use crate::facts::{BindingKind, Facts, NONE, Node, Place};
use crate::finding::{Confidence, Kind, Site};
use crate::graph::{Calls, EdgeKind};
use crate::implicit;
use crate::part::{Argument, Known, Part};
use crate::patches::Patches;
use crate::project::Project;
use crate::rules::Safety;
use crate::strings::called_name;

/// Green threads cost nothing; a pool of as many OS threads does.
const MANY: i64 = 100;

/// A block that holds an OS thread's lock, if what it is made of is not patched.
#[derive(Serialize, Deserialize)]
pub(crate) struct Guarded {
    hit: Hit,
    /// Calls in it that may switch, by their number among the file's.
    seeds: Vec<u32>,
}

/// Those that depend on more than one file.
pub(crate) struct Hazards<'e> {
    pub(crate) project: &'e Project,
    pub(crate) parts: &'e [Part],
    pub(crate) calls: &'e Calls,
    pub(crate) patches: &'e Patches,
    pub(crate) colours: &'e Colours,
    pub(crate) hits: &'e [Hit],
}

impl Hazards<'_> {
    pub(crate) fn find(&self) -> Vec<Hit> {
        let is_user = self
            .hits
            .iter()
            .any(|hit| hit.kind == Kind::Use && hit.confidence == Confidence::High);
        if !is_user {
            return Vec::new();
        }
        let mut found = Vec::new();
        self.of_hits(&mut found);
        self.of_coroutines(&mut found);
        for (module, part) in self.parts.iter().enumerate() {
            found.extend_from_slice(&part.hazards);
            if self.patches.of_module[module].possibly("thread") {
                continue;
            }
            for one in &part.guarded {
                let seeds = &part.calls.seeds;
                if one
                    .seeds
                    .iter()
                    .any(|&at| is_live(self.patches, &seeds[at as usize]))
                {
                    found.push(one.hit.clone());
                }
            }
        }
        found
    }

    fn site(&self, module: u32, id: u32) -> Option<(Site, &Known)> {
        let one = self.parts[module as usize].uses.get(&id)?;
        Some((one.site(module), one))
    }

    fn of_hits(&self, found: &mut Vec<Hit>) {
        for hit in self.hits {
            if hit.subject == NONE || hit.is_hidden {
                continue;
            }
            let Some((_, one)) = self.site(hit.at.module, hit.subject) else {
                continue;
            };
            let argument = one.argument;
            match &*hit.symbol {
                "eventlet.patcher.monkey_patch" if argument != Argument::NoCall => {
                    if let Some(note) = self.late_patch(hit) {
                        found.push(hazard("EV309", &hit.symbol, hit.at, hit.subject, note));
                    }
                }
                "eventlet.greenpool.GreenPool"
                | "concurrent.futures.ThreadPoolExecutor"
                | "futurist.GreenThreadPoolExecutor" => {
                    let is_green = hit.symbol.starts_with("eventlet");
                    let note = match argument {
                        Argument::None if is_green => "1000 by default",
                        Argument::Int(size) if size >= MANY => "more than OS threads bear",
                        _ => continue,
                    };
                    found.push(hazard("EV310", &hit.symbol, hit.at, hit.subject, note));
                }
                "eventlet.greenthread.GreenThread.kill" | "eventlet.greenthread.kill"
                    if argument != Argument::NoCall
                        && !self.project.modules[hit.at.module as usize].is_test =>
                {
                    let name = self.function_name(hit.at.module, hit.at.function);
                    let is_stop = [
                        "stop",
                        "kill",
                        "terminate",
                        "shutdown",
                        "sigterm",
                        "signal",
                        "exit",
                    ]
                    .iter()
                    .any(|part| name.to_ascii_lowercase().contains(part));
                    let rule = if is_stop { "EV316" } else { "EV311" };
                    found.push(hazard(rule, &hit.symbol, hit.at, hit.subject, ""));
                }
                "time.sleep" if hit.kind == Kind::Implicit && argument == Argument::Int(0) => {
                    found.push(hazard("EV307", &hit.symbol, hit.at, hit.subject, ""));
                }
                _ => {}
            }
            let functions = &self.project.modules[hit.at.module as usize]
                .outline
                .functions;
            if hit.kind == Kind::Implicit
                && matches!(hit.rule, "EV203" | "EV205" | "EV220")
                && functions
                    .get(hit.at.function as usize)
                    .is_some_and(|entry| entry.is_service)
            {
                // What a service makes before its workers are forked.
                found.push(hazard("EV304", &hit.symbol, hit.at, hit.subject, ""));
            }
        }
    }

    fn function_name(&self, module: u32, function: u32) -> &str {
        self.project.modules[module as usize]
            .outline
            .functions
            .get(function as usize)
            .map_or("", |entry| entry.name())
    }

    /// Why a call of `monkey_patch` comes too late, or too far.
    fn late_patch(&self, hit: &Hit) -> Option<&'static str> {
        let module = &self.project.modules[hit.at.module as usize];
        if module.is_package && hit.at.function == NONE {
            return Some("it patches whoever imports the package");
        }
        if hit.at.function != NONE {
            return Some("in a function: what was imported before stays as it was");
        }
        let facts = module.facts();
        let is_late = facts.bindings.iter().any(|binding| {
            let name = match &binding.kind {
                BindingKind::Import { module: name, .. } => facts.text(*name).to_owned(),
                BindingKind::From {
                    level,
                    module: name,
                    ..
                } => module.absolute(*level, facts.text(*name)),
                _ => return false,
            };
            let first = name.split('.').next().unwrap_or_default();
            binding.scope == 0
                && binding.pos < hit.at.range.0
                && !matches!(first, "eventlet" | "__future__" | "os" | "sys" | "")
        });
        is_late.then_some("after other imports")
    }

    fn of_coroutines(&self, found: &mut Vec<Hit>) {
        let is_async = |function| self.project.is_async(function);
        for seed in &self.calls.seeds {
            if !is_async(seed.from) || seed.awaited {
                continue;
            }
            let Some((at, _)) = self.site(seed.from.0, seed.site) else {
                continue;
            };
            let rule = if seed.group().is_empty() {
                "EV314"
            } else {
                "EV312"
            };
            found.push(hazard(rule, &seed.symbol, at, seed.site, ""));
        }
        for edge in &self.calls.edges {
            let Some((at, one)) = self.site(edge.from.0, edge.site) else {
                continue;
            };
            if edge.kind != EdgeKind::Call || one.awaited {
                continue;
            }
            if is_async(edge.to) {
                if one.is_statement {
                    let name: Arc<str> = self.project.function_name(edge.to.0, edge.to.1).into();
                    found.push(hazard("EV313", &name, at, edge.site, "never awaited"));
                }
            } else if is_async(edge.from) && self.colours.reasons.contains_key(&edge.to) {
                let name: Arc<str> = self.project.function_name(edge.to.0, edge.to.1).into();
                found.push(hazard(
                    "EV312",
                    &name,
                    at,
                    edge.site,
                    "it waits further down",
                ));
            }
        }
    }
}

/// Finds what one file shows by itself.
pub(crate) fn of_file(
    eval: &Evaluator<'_>,
    module: u32,
    calls: &Calls,
) -> (Vec<Hit>, Vec<Guarded>) {
    let file = File {
        eval,
        facts: eval.facts(module),
        module,
    };
    let mut found = Vec::new();
    file.handlers(&mut found);
    file.tasks(&mut found);
    file.tests(&mut found);
    file.sessions(&mut found);
    (found, file.locks(calls))
}

struct File<'e, 'p> {
    eval: &'e Evaluator<'p>,
    facts: &'p Facts,
    module: u32,
}

impl File<'_, '_> {
    /// Tasks that nobody keeps may be collected before they end.
    fn tasks(&self, found: &mut Vec<Hit>) {
        let (facts, module) = (self.facts, self.module);
        for (id, one) in facts.uses.iter().enumerate() {
            if one.place == Place::Statement
                && one.call != NONE
                && matches!(called_name(facts, one.call), "create_task" | "ensure_future")
                && self.eval.eval(module, one.expr).iter().any(|meaning| {
                    matches!(&meaning.value, Value::External(name) if name.starts_with("asyncio."))
                })
            {
                let expr = facts.expr(one.expr);
                let at = Site {
                    module,
                    range: (expr.start, expr.end),
                    function: one.function,
                    class: one.class,
                };
                let symbol = "asyncio.create_task".into();
                found.push(hazard("EV313", &symbol, at, id as u32, "the task is not kept"));
            }
        }
    }

    /// `except Exception` inside of a time limit, or around one.
    fn handlers(&self, found: &mut Vec<Hit>) {
        let (facts, module) = (self.facts, self.module);
        let catches = |expr: u32, wanted: &dyn Fn(&str) -> bool| {
            expr != NONE
                && self
                    .eval
                    .eval(module, expr)
                    .iter()
                    .any(|meaning| match &meaning.value {
                        Value::External(name) => wanted(name),
                        Value::Many(inner) => {
                            matches!(&**inner, Value::External(name) if wanted(name))
                        }
                        Value::Class(home, class) => self
                            .eval
                            .eventlet_base(*home, *class)
                            .is_some_and(|name| wanted(&name)),
                        _ => false,
                    })
        };
        let limits: Vec<(u32, (u32, u32), u32)> = facts
            .withs
            .iter()
            .filter(|with| {
                self.eval.eval(module, with.item).iter().any(|meaning| {
                    let Value::Instance(of) = &meaning.value else {
                        return false;
                    };
                    let name = match &**of {
                        Value::External(name) => Some(name.clone()),
                        Value::Class(home, class) => self.eval.eventlet_base(*home, *class),
                        _ => None,
                    };
                    name.is_some_and(|name| {
                        crate::names::derives(&name, "eventlet.timeout.Timeout")
                    })
                })
            })
            .map(|with| (with.function, with.body, facts.expr(with.item).start))
            .collect();
        if limits.is_empty() {
            return;
        }
        for handler in &facts.handlers {
            if handler.raises
                || !catches(handler.caught, &|name| name == "builtins.Exception")
                || handler
                    .earlier
                    .iter()
                    .any(|&caught| catches(caught, &|name| name == "eventlet.timeout.Timeout"))
            {
                continue;
            }
            let is_near = limits.iter().any(|(function, body, start)| {
                *function == handler.function
                    && (body.0 <= handler.range.0 && handler.range.1 <= body.1
                        || handler.body.0 <= *start && body.1 <= handler.body.1)
            });
            if is_near {
                let expr = facts.expr(handler.caught);
                let at = Site {
                    module,
                    range: (expr.start, expr.end),
                    function: handler.function,
                    class: NONE,
                };
                let symbol = "builtins.Exception".into();
                let note = "a time limit passes it today, TimeoutError will not";
                found.push(hazard("EV301", &symbol, at, NONE, note));
            }
        }
    }

    /// `with lock:` on an OS thread's lock, around calls that may switch.
    fn locks(&self, calls: &Calls) -> Vec<Guarded> {
        let (facts, module) = (self.facts, self.module);
        let mut found = Vec::new();
        for with in &facts.withs {
            let meanings = self.eval.eval(module, with.item);
            let lock = meanings.iter().find_map(|meaning| match &meaning.value {
                Value::Instance(of) => match &**of {
                    Value::External(name)
                        if matches!(&**name, "threading.Lock" | "threading.RLock") =>
                    {
                        Some(name.clone())
                    }
                    _ => None,
                },
                _ => None,
            });
            let Some(lock) = lock else { continue };
            let seeds: Vec<u32> = (0..calls.seeds.len() as u32)
                .filter(|&at| {
                    let seed = &calls.seeds[at as usize];
                    seed.from == (module, with.function)
                        && facts.uses.get(seed.site as usize).is_some_and(|one| {
                            let start = facts.expr(one.expr).start;
                            with.body.0 <= start && start < with.body.1
                        })
                })
                .collect();
            if !seeds.is_empty() {
                let expr = facts.expr(with.item);
                let at = Site {
                    module,
                    range: (expr.start, expr.end),
                    function: with.function,
                    class: NONE,
                };
                let hit = hazard("EV308", &lock, at, NONE, "");
                found.push(Guarded { hit, seeds });
            }
        }
        found
    }

    /// Mocks of what all modules share, and databases that live in one thread.
    fn tests(&self, found: &mut Vec<Hit>) {
        if !self.eval.project.modules[self.module as usize].is_test {
            return;
        }
        let (facts, module) = (self.facts, self.module);
        let mut seen = FxHashSet::default();
        for (id, one) in facts.uses.iter().enumerate() {
            let Some(Node::Call { args, .. }) =
                facts.exprs.get(one.call as usize).map(|expr| &expr.node)
            else {
                continue;
            };
            let name = called_name(facts, one.call);
            for arg in args {
                let Node::Text(text) = facts.expr(arg.value).node else {
                    continue;
                };
                let text = facts.text(text);
                let expr = facts.expr(arg.value);
                let range = (expr.start, expr.end);
                let at = Site {
                    module,
                    range,
                    function: one.function,
                    class: one.class,
                };
                if (text == "sqlite://" || text.contains(":memory:")) && seen.insert(range) {
                    let symbol = "sqlite3.connect".into();
                    found.push(hazard(
                        "EV306",
                        &symbol,
                        at,
                        NONE,
                        "each thread sees its own",
                    ));
                }
                let is_global = matches!(name, "patch" | "setattr")
                    && (implicit::entry(text).is_some() || text == "os.close");
                if is_global && seen.insert(range) {
                    found.push(hazard("EV305", &text.into(), at, id as u32, ""));
                }
            }
        }
    }

    /// Sessions that a whole object shares.
    fn sessions(&self, found: &mut Vec<Hit>) {
        let (facts, module) = (self.facts, self.module);
        for class in &facts.classes {
            for attribute in &class.attributes {
                let name = facts.text(attribute.name).trim_start_matches('_');
                let BindingKind::Value(value) = attribute.kind else {
                    continue;
                };
                let called = called_name(facts, value).to_ascii_lowercase();
                let is_init = facts
                    .functions
                    .get(attribute.function as usize)
                    .is_some_and(|function| facts.text(function.name) == "__init__");
                let is_shared =
                    matches!(name, "session" | "db_session" | "context" | "admin_context")
                        && (called.contains("session") || called.contains("context"))
                        && (called.starts_with("get_") || called.starts_with("scoped"));
                if is_init && is_shared {
                    let expr = facts.expr(value);
                    let range = (expr.start, expr.end);
                    let at = Site {
                        module,
                        range,
                        function: attribute.function,
                        class: NONE,
                    };
                    let mut one = hazard("EV303", &called.as_str().into(), at, NONE, "");
                    one.confidence = Confidence::Low;
                    found.push(one);
                }
            }
        }
    }
}

fn hazard(rule: &'static str, symbol: &Arc<str>, at: Site, subject: u32, note: &str) -> Hit {
    Hit {
        rule,
        symbol: symbol.clone(),
        via: Vec::new(),
        kind: Kind::Hazard,
        confidence: Confidence::High,
        at,
        subject,
        note: note.to_owned(),
        is_hidden: false,
        shape: Safety::Safe,
    }
}
