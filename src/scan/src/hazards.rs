//! What hurts on the way although no name of Eventlet stands there.
//!
//! All of it is looked for only in projects that use Eventlet: elsewhere it is no hazard of a
//! migration.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::colour::{Colours, is_live};
use crate::eval::{Evaluator, Value};
use crate::explicit::Hit;
use crate::facts::{BindingKind, Facts, NONE, Node, Place, Use};
use crate::finding::{Confidence, Kind, Site};
use crate::graph::{Calls, EdgeKind};
use crate::implicit;
use crate::patches::Patches;
use crate::project::Project;
use crate::strings::called_name;

/// Green threads cost nothing; a pool of as many OS threads does.
const MANY: i64 = 100;

pub(crate) struct Hazards<'e, 'p> {
    pub(crate) eval: &'e Evaluator<'p>,
    pub(crate) project: &'p Project,
    pub(crate) calls: &'e Calls,
    pub(crate) patches: &'e Patches,
    pub(crate) colours: &'e Colours,
    pub(crate) hits: &'e [Hit],
}

impl Hazards<'_, '_> {
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
        for module in 0..self.project.modules.len() as u32 {
            self.of_handlers(module, &mut found);
            self.of_locks(module, &mut found);
            self.of_tests(module, &mut found);
            self.of_services(module, &mut found);
        }
        found
    }

    fn facts(&self, module: u32) -> &Facts {
        &self.project.modules[module as usize].facts
    }

    fn site(&self, module: u32, id: u32) -> Option<(Site, &Use)> {
        let facts = self.facts(module);
        let one = facts.uses.get(id as usize)?;
        let expr = facts.expr(one.expr);
        let range = (expr.start, expr.end);
        Some((
            Site {
                module,
                range,
                function: one.function,
                class: one.class,
            },
            one,
        ))
    }

    /// The first argument of a call; `None` within for a call without any.
    #[allow(clippy::option_option)]
    fn first_argument(&self, module: u32, one: &Use) -> Option<Option<&Node>> {
        let facts = self.facts(module);
        match &facts.exprs.get(one.call as usize)?.node {
            Node::Call { args, .. } => Some(args.first().map(|arg| &facts.expr(arg.value).node)),
            _ => None,
        }
    }

    fn of_hits(&self, found: &mut Vec<Hit>) {
        for hit in self.hits {
            if hit.subject == NONE || hit.is_hidden {
                continue;
            }
            let Some((_, one)) = self.site(hit.at.module, hit.subject) else {
                continue;
            };
            let argument = self.first_argument(hit.at.module, one);
            match &*hit.symbol {
                "eventlet.patcher.monkey_patch" if one.call != NONE => {
                    if let Some(note) = self.late_patch(hit) {
                        found.push(hazard("EV309", &hit.symbol, hit.at, hit.subject, note));
                    }
                }
                "eventlet.greenpool.GreenPool"
                | "concurrent.futures.ThreadPoolExecutor"
                | "futurist.GreenThreadPoolExecutor" => {
                    let is_green = hit.symbol.starts_with("eventlet");
                    let note = match argument {
                        Some(None) if is_green => "1000 by default",
                        Some(Some(Node::Int(size))) if *size >= MANY => "more than OS threads bear",
                        _ => continue,
                    };
                    found.push(hazard("EV310", &hit.symbol, hit.at, hit.subject, note));
                }
                "eventlet.greenthread.GreenThread.kill" | "eventlet.greenthread.kill"
                    if one.call != NONE
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
                "time.sleep" if hit.kind == Kind::Implicit => {
                    if matches!(argument, Some(Some(Node::Int(0)))) {
                        found.push(hazard("EV307", &hit.symbol, hit.at, hit.subject, ""));
                    }
                }
                _ => {}
            }
        }
    }

    fn function_name(&self, module: u32, function: u32) -> &str {
        let facts = self.facts(module);
        facts
            .functions
            .get(function as usize)
            .map_or("", |entry| facts.text(entry.name))
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
        let is_late = module.facts.bindings.iter().any(|binding| {
            let name = match &binding.kind {
                BindingKind::Import { module: name, .. } => module.facts.text(*name).to_owned(),
                BindingKind::From {
                    level,
                    module: name,
                    ..
                } => module.absolute(*level, module.facts.text(*name)),
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
        let is_async = |(module, function): (u32, u32)| {
            self.facts(module)
                .functions
                .get(function as usize)
                .is_some_and(|f| f.is_async)
        };
        for seed in &self.calls.seeds {
            if !is_async(seed.from) || seed.awaited {
                continue;
            }
            let Some((at, _)) = self.site(seed.from.0, seed.site) else {
                continue;
            };
            let rule = if seed.group.is_empty() {
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
                if one.place == Place::Statement {
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
        for (module, entry) in self.project.modules.iter().enumerate() {
            for (id, one) in entry.facts.uses.iter().enumerate() {
                if one.place == Place::Statement
                    && one.call != NONE
                    && matches!(called_name(&entry.facts, one.call), "create_task" | "ensure_future")
                    && let Some((at, _)) = self.site(module as u32, id as u32)
                    && self.eval.eval(at.module, one.expr).iter().any(|meaning| {
                        matches!(&meaning.value, Value::External(name) if name.starts_with("asyncio."))
                    })
                {
                    let symbol = "asyncio.create_task".into();
                    found.push(hazard("EV313", &symbol, at, id as u32, "the task is not kept"));
                }
            }
        }
    }

    /// `except Exception` inside of a time limit, or around one.
    fn of_handlers(&self, module: u32, found: &mut Vec<Hit>) {
        let facts = self.facts(module);
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
                            .eventlet_base(*home, *class, 0)
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
                        Value::Class(home, class) => self.eval.eventlet_base(*home, *class, 0),
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

    /// `with lock:` on an OS thread's lock, around a switch.
    fn of_locks(&self, module: u32, found: &mut Vec<Hit>) {
        if self.patches.of_module[module as usize].possibly("thread") {
            return;
        }
        let facts = self.facts(module);
        for with in &facts.withs {
            let lock = self
                .eval
                .eval(module, with.item)
                .into_iter()
                .find_map(|meaning| match meaning.value {
                    Value::Instance(of) => match *of {
                        Value::External(name)
                            if matches!(&*name, "threading.Lock" | "threading.RLock") =>
                        {
                            Some(name)
                        }
                        _ => None,
                    },
                    _ => None,
                });
            let Some(lock) = lock else { continue };
            let switches = self.calls.seeds.iter().any(|seed| {
                seed.from == (module, with.function)
                    && is_live(self.patches, seed)
                    && facts.uses.get(seed.site as usize).is_some_and(|one| {
                        let start = facts.expr(one.expr).start;
                        with.body.0 <= start && start < with.body.1
                    })
            });
            if switches {
                let expr = facts.expr(with.item);
                let range = (expr.start, expr.end);
                let at = Site {
                    module,
                    range,
                    function: with.function,
                    class: NONE,
                };
                found.push(hazard("EV308", &lock, at, NONE, ""));
            }
        }
    }

    /// Mocks of what all modules share, and databases that live in one thread.
    fn of_tests(&self, module: u32, found: &mut Vec<Hit>) {
        if !self.project.modules[module as usize].is_test {
            return;
        }
        let facts = self.facts(module);
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

    /// What a service makes before its workers are forked.
    fn of_services(&self, module: u32, found: &mut Vec<Hit>) {
        let facts = self.facts(module);
        for hit in self.hits {
            if hit.at.module != module
                || hit.kind != Kind::Implicit
                || !matches!(hit.rule, "EV203" | "EV205" | "EV220")
            {
                continue;
            }
            let Some(function) = facts.functions.get(hit.at.function as usize) else {
                continue;
            };
            if facts.text(function.name) != "__init__" || function.class == NONE {
                continue;
            }
            let class = &facts.classes[function.class as usize];
            let is_service = class.bases.iter().any(|&base| match facts.expr(base).node {
                Node::Name { name, .. } | Node::Attr { name, .. } => {
                    facts.text(name).ends_with("Service")
                }
                _ => false,
            });
            if is_service {
                found.push(hazard("EV304", &hit.symbol, hit.at, hit.subject, ""));
            }
        }
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
    }
}
