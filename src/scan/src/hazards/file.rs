//! What one file shows by itself.

use rustc_hash::FxHashSet;

use crate::eval::{Evaluator, Value};
use crate::explicit::Hit;
use crate::facts::{BindingKind, Facts, NONE, Node, Place};
use crate::finding::{Confidence, Site};
use crate::graph::Calls;
use crate::implicit;
use crate::strings::called_name;

use super::{Guarded, Suspect, hazard};

/// What was found; the last three count only if other files say so.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) hits: Vec<Hit>,
    pub(crate) guarded: Vec<Guarded>,
    pub(crate) checks: Vec<Suspect>,
    pub(crate) naps: Vec<Hit>,
}

/// Looks at one file; `hits` are its explicit uses.
pub(crate) fn of_file(eval: &Evaluator<'_>, module: u32, calls: &Calls, hits: &[Hit]) -> Found {
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
    Found {
        hits: found,
        guarded: file.locks(calls),
        checks: file.checks(),
        naps: file.naps(hits),
    }
}

struct File<'e, 'p> {
    eval: &'e Evaluator<'p>,
    facts: &'p Facts,
    module: u32,
}

impl File<'_, '_> {
    /// Checks of shared state with a change of it behind.
    fn checks(&self) -> Vec<Suspect> {
        let mut found = Vec::new();
        for check in &self.facts.checks {
            let entry = &self.facts.functions[check.function as usize];
            // Of names only those of the module are shared.
            let is_shared = check.is_attribute
                || !self.facts.bindings_of(0, check.name).is_empty()
                    && self.facts.bindings_of(entry.scope, check.name).is_empty();
            if !is_shared {
                continue;
            }
            let name = self.facts.text(check.name);
            let symbol = if check.is_attribute {
                format!("self.{name}").into()
            } else {
                name.into()
            };
            let at = Site {
                module: self.module,
                range: check.range,
                function: check.function,
                class: NONE,
            };
            let mut hit = hazard("EV302", &symbol, at, NONE, "");
            hit.confidence = Confidence::Low;
            found.push(Suspect {
                hit,
                is_attribute: check.is_attribute,
            });
        }
        found
    }

    /// Sleeps in tests that an assertion follows, with nothing between that waits for the other.
    fn naps(&self, hits: &[Hit]) -> Vec<Hit> {
        let (facts, module) = (self.facts, self.module);
        let mut found = Vec::new();
        if !self.eval.project.modules[module as usize].is_test {
            return found;
        }
        for (id, one) in facts.uses.iter().enumerate() {
            if one.place != Place::Statement || one.call == NONE || one.function == NONE {
                continue;
            }
            let meanings = self.eval.eval(module, one.expr);
            let symbol = meanings.iter().find_map(|meaning| match &meaning.value {
                Value::External(name)
                    if matches!(
                        &**name,
                        "eventlet.greenthread.sleep" | "time.sleep" | "eventlet.green.time.sleep"
                    ) =>
                {
                    Some(name)
                }
                _ => None,
            });
            let Some(symbol) = symbol else { continue };
            let expr = facts.expr(one.expr);
            let next = facts
                .asserts
                .iter()
                .filter(|(function, at)| *function == one.function && *at > expr.start)
                .map(|(_, at)| *at)
                .min();
            let Some(next) = next else { continue };
            let waits = hits.iter().any(|hit| {
                hit.at.function == one.function
                    && expr.start < hit.at.range.0
                    && hit.at.range.0 < next
                    && (hit.symbol.ends_with(".wait") || hit.symbol.ends_with(".waitall"))
            });
            if !waits {
                let at = Site {
                    module,
                    range: (expr.start, expr.end),
                    function: one.function,
                    class: one.class,
                };
                found.push(hazard("EV315", symbol, at, id as u32, ""));
            }
        }
        found
    }

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
            let seeds = self.seeds_in(calls, with.function, with.body);
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
        self.held(calls, &mut found);
        found
    }

    /// Calls that may switch within a part of a function, by number.
    fn seeds_in(&self, calls: &Calls, function: u32, (from, until): (u32, u32)) -> Vec<u32> {
        (0..calls.seeds.len() as u32)
            .filter(|&at| {
                let seed = &calls.seeds[at as usize];
                let one = self.facts.uses.get(seed.site as usize);
                seed.from == (self.module, function)
                    && one.is_some_and(|one| {
                        let start = self.facts.expr(one.expr).start;
                        from <= start && start < until
                    })
            })
            .collect()
    }

    /// From `acquire()` of an OS thread's lock to its `release()`.
    fn held(&self, calls: &Calls, found: &mut Vec<Guarded>) {
        let facts = self.facts;
        for (id, one) in facts.uses.iter().enumerate() {
            let expr = facts.expr(one.expr);
            let Node::Attr { base, name } = expr.node else {
                continue;
            };
            if one.call == NONE || facts.text(name) != "acquire" {
                continue;
            }
            let meanings = self.eval.eval(self.module, one.expr);
            let lock = meanings.iter().find_map(|meaning| match &meaning.value {
                Value::External(name)
                    if matches!(
                        &**name,
                        "threading.Lock.acquire" | "threading.RLock.acquire"
                    ) =>
                {
                    name.strip_suffix(".acquire")
                }
                _ => None,
            });
            let Some(lock) = lock else { continue };
            let release = facts.uses[id..].iter().find_map(|other| {
                let end = facts.expr(other.expr);
                match end.node {
                    Node::Attr { base: owner, name }
                        if other.function == one.function
                            && facts.text(name) == "release"
                            && self.chain(owner) == self.chain(base) =>
                    {
                        Some(end.start)
                    }
                    _ => None,
                }
            });
            let Some(until) = release else { continue };
            let seeds = self.seeds_in(calls, one.function, (expr.end, until));
            if !seeds.is_empty() {
                let at = Site {
                    module: self.module,
                    range: (expr.start, expr.end),
                    function: one.function,
                    class: one.class,
                };
                let hit = hazard("EV308", &lock.into(), at, id as u32, "");
                found.push(Guarded { hit, seeds });
            }
        }
    }

    /// The names of a chain, as they are written.
    fn chain(&self, expr: u32) -> Vec<&str> {
        match self.facts.expr(expr).node {
            Node::Name { name, .. } => vec![self.facts.text(name)],
            Node::Attr { base, name } => {
                let mut names = self.chain(base);
                names.push(self.facts.text(name));
                names
            }
            _ => Vec::new(),
        }
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
