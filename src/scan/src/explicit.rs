//! Explicit uses: every name, in whatever disguise, that is Eventlet's.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use crate::eval::{Evaluator, Meaning, Value};
use crate::facts::{BindingKind, NONE, Node, Place, Use};
use crate::finding::{Confidence, Kind, Site};
use crate::names;
use crate::rules::{self, Safety};

/// A site of a rule, before it is put into words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hit {
    #[serde(with = "rules::by_id")]
    pub(crate) rule: rules::Id,
    pub(crate) symbol: Arc<str>,
    pub(crate) via: Vec<Arc<str>>,
    pub(crate) kind: Kind,
    pub(crate) confidence: Confidence,
    pub(crate) at: Site,
    /// The use that it is about, or `NONE`.
    pub(crate) subject: u32,
    pub(crate) note: String,
    /// An import that only hands on: edited, not counted.
    pub(crate) is_hidden: bool,
    /// How safe a change can be, by the way that it is written.
    pub(crate) shape: Safety,
}

/// Method names that nothing but Eventlet's classes have.
const TELLING: &[(&str, &str)] = &[
    ("spawn_n", "eventlet.greenpool.GreenPool.spawn_n"),
    ("waitall", "eventlet.greenpool.GreenPool.waitall"),
    ("send_exception", "eventlet.event.Event.send_exception"),
    ("spawn_after", "eventlet.greenthread.spawn_after"),
    (
        "spawn_after_local",
        "eventlet.greenthread.spawn_after_local",
    ),
];

/// Functions of other modules that name something of a module by a text.
const BY_NAME: &[&str] = &[
    "getattr",
    "hasattr",
    "setattr",
    "delattr",
    "object",
    "patch_object",
];

pub(crate) struct Explicit<'e, 'p> {
    pub(crate) eval: &'e Evaluator<'p>,
}

impl Explicit<'_, '_> {
    /// Finds the uses in one file. Imports are judged last, by [`imports`].
    pub(crate) fn uses(&self, module: u32) -> Vec<Hit> {
        let facts = self.eval.facts(module);
        let mut hits = Vec::new();
        let mut awaited_spawns = FxHashSet::default();
        for (id, entry) in facts.uses.iter().enumerate() {
            self.one(module, id as u32, entry, &mut hits, &mut awaited_spawns);
        }
        hits.retain(|hit| !awaited_spawns.contains(&hit.at.range));
        if self.touches(module) || !hits.is_empty() {
            for (id, entry) in facts.uses.iter().enumerate() {
                self.telling(module, id as u32, entry, &mut hits);
            }
        }
        hits
    }

    fn one(
        &self,
        module: u32,
        id: u32,
        entry: &Use,
        hits: &mut Vec<Hit>,
        awaited_spawns: &mut FxHashSet<(u32, u32)>,
    ) {
        let facts = self.eval.facts(module);
        let Some(found) = self.resolve(module, entry.expr) else {
            self.by_name_of_project(module, id, entry, hits);
            self.selection(module, id, entry, hits);
            return;
        };
        let whole = found.expr == entry.expr;
        let (place, call) = if whole {
            (entry.place, entry.call)
        } else {
            (Place::Other, NONE)
        };
        if found.is_guess && call == NONE {
            // What a parameter's default is was told at the default.
            return;
        }
        let mut kind = found.kind;
        let mut symbol = found.symbol;
        let mut range = found.range;
        if let Place::Argument(outer, position) = place
            && call == NONE
            && let Some((better, text_range)) = self.named_part(module, outer, position, &symbol)
        {
            symbol = better;
            range = text_range;
            kind = Kind::String;
        }
        if place == Place::Base && found.is_subclass {
            // Counted where it derives from Eventlet's own class.
            return;
        }
        let rule = self.rule(module, &symbol, place, call, kind);
        if rule == "EV111" {
            // The wait of the pair is told with the spawn.
            for other in &facts.uses {
                if let Node::Attr { base, .. } = facts.expr(other.expr).node
                    && base == call
                {
                    let expr = facts.expr(other.expr);
                    awaited_spawns.insert((expr.start, expr.end));
                }
            }
        }
        hits.push(Hit {
            rule,
            symbol,
            via: found.via,
            kind,
            confidence: if found.is_guess {
                Confidence::Low
            } else {
                Confidence::High
            },
            at: Site {
                module,
                range,
                function: entry.function,
                class: entry.class,
            },
            subject: id,
            note: String::new(),
            is_hidden: false,
            shape: Safety::Safe,
        });
    }

    /// The part of a chain that is Eventlet's, as long as possible.
    fn resolve(&self, module: u32, expr: u32) -> Option<Resolved> {
        let facts = self.eval.facts(module);
        // The chain from its root outwards.
        let mut chain = vec![expr];
        while let Node::Attr { base, .. } = facts.expr(chain[chain.len() - 1]).node {
            match facts.expr(base).node {
                Node::Name { .. } | Node::Attr { .. } => chain.push(base),
                _ => {
                    chain.push(base);
                    break;
                }
            }
        }
        chain.reverse();
        if !self.may_be_ours(module, &chain) {
            return None;
        }
        let root = chain[0];
        let root_is_name = matches!(facts.expr(root).node, Node::Name { .. });
        let mut meanings = self.eval.eval(module, root).to_vec();
        let mut best = None;
        if root_is_name {
            best = self.judge(module, root, &meanings);
        }
        for &link in &chain[1..] {
            let Node::Attr { name, .. } = facts.expr(link).node else {
                break;
            };
            let name = facts.text(name);
            meanings.retain(|meaning| match &meaning.value {
                Value::External(owner) if names::is_ours(owner) => {
                    let inner = format!("{owner}.{name}");
                    names::is_module(owner)
                        && (names::has_name(owner, name)
                            || names::is_module(&inner)
                            || !names::is_class(owner))
                        || names::has_member(owner, name)
                }
                _ => true,
            });
            meanings = self.eval.attribute_of_all(&meanings, name).to_vec();
            if meanings.is_empty() {
                break;
            }
            if let Some(better) = self.judge(module, link, &meanings) {
                best = Some(better);
            }
        }
        best
    }

    /// Whether some link of a chain is worth a closer look. Most are not.
    fn may_be_ours(&self, module: u32, chain: &[u32]) -> bool {
        chain.iter().any(|&link| {
            self.eval
                .eval(module, link)
                .iter()
                .any(|meaning| match &meaning.value {
                    Value::External(name) => names::is_ours(name),
                    Value::Class(home, class) => self.eval.eventlet_base(*home, *class).is_some(),
                    _ => false,
                })
        })
    }

    fn judge(&self, module: u32, expr: u32, meanings: &[Meaning]) -> Option<Resolved> {
        let facts = self.eval.facts(module);
        let range = (facts.expr(expr).start, facts.expr(expr).end);
        let resolved =
            |symbol: Arc<str>, via: Vec<Arc<str>>, is_guess, kind, is_subclass| Resolved {
                expr,
                symbol,
                via,
                is_guess,
                kind,
                is_subclass,
                range,
            };
        for meaning in meanings {
            match &meaning.value {
                Value::External(name) if names::is_ours(name) => {
                    return Some(resolved(
                        name.clone(),
                        meaning.via.clone(),
                        meaning.is_guess,
                        Kind::Use,
                        false,
                    ));
                }
                Value::Class(home, class) => {
                    if let Some(base) = self.eval.eventlet_base(*home, *class) {
                        let owner = &self.eval.project.modules[*home as usize];
                        let name = owner.qualname(NONE, *class);
                        let mut via = meaning.via.clone();
                        via.push(format!("{}.{name}", owner.name).into());
                        return Some(resolved(base, via, meaning.is_guess, Kind::Use, true));
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// `getattr(eventlet, "sleep")` and `mock.patch.object(eventlet, "sleep")` are about sleep.
    fn named_part(
        &self,
        module: u32,
        call: u32,
        position: u32,
        owner: &str,
    ) -> Option<(Arc<str>, (u32, u32))> {
        let facts = self.eval.facts(module);
        let Node::Call { func, args } = &facts.expr(call).node else {
            return None;
        };
        if position != 0 || !(names::is_module(owner) || names::is_class(owner)) {
            return None;
        }
        let (Node::Name { name, .. } | Node::Attr { name, .. }) = &facts.expr(*func).node else {
            return None;
        };
        if !BY_NAME.contains(&facts.text(*name)) {
            return None;
        }
        let second = args.iter().filter(|arg| arg.name == NONE).nth(1)?;
        let Node::Text(text) = facts.expr(second.value).node else {
            return None;
        };
        let text = facts.text(text);
        let is_known = names::has_name(owner, text) || names::has_member(owner, text);
        let symbol = is_known.then(|| names::canonical(&format!("{owner}.{text}")))?;
        let first = facts.expr(args.first()?.value);
        Some((symbol, (first.start, facts.expr(second.value).end)))
    }

    /// The same for a module of the project that has the name from Eventlet.
    fn by_name_of_project(&self, module: u32, id: u32, entry: &Use, hits: &mut Vec<Hit>) {
        let Place::Argument(call, 0) = entry.place else {
            return;
        };
        let facts = self.eval.facts(module);
        if entry.call != NONE {
            return;
        }
        let Node::Call { func, args } = &facts.expr(call).node else {
            return;
        };
        let (Node::Name { name, .. } | Node::Attr { name, .. }) = &facts.expr(*func).node else {
            return;
        };
        if !BY_NAME.contains(&facts.text(*name)) {
            return;
        }
        let Some(second) = args.get(1) else { return };
        let Node::Text(text) = facts.expr(second.value).node else {
            return;
        };
        let owners = self.eval.eval(module, entry.expr);
        let meanings = self.eval.attribute_of_all(&owners, facts.text(text));
        let Some(found) = self.judge(module, entry.expr, &meanings) else {
            return;
        };
        if found.is_subclass {
            return;
        }
        let expr = facts.expr(second.value);
        hits.push(Hit {
            rule: rules::of_symbol(&found.symbol),
            symbol: found.symbol,
            via: found.via,
            kind: Kind::String,
            confidence: Confidence::High,
            at: Site {
                module,
                range: (expr.start, expr.end),
                function: entry.function,
                class: entry.class,
            },
            subject: id,
            note: String::new(),
            is_hidden: false,
            shape: Safety::Safe,
        });
    }

    /// Names of other libraries that select Eventlet.
    fn selection(&self, module: u32, id: u32, entry: &Use, hits: &mut Vec<Hit>) {
        let facts = self.eval.facts(module);
        let expr = facts.expr(entry.expr);
        let Node::Attr { name, .. } = expr.node else {
            return;
        };
        if facts.text(name) != "EVENTLET" {
            return;
        }
        for meaning in &*self.eval.eval(module, entry.expr) {
            if let Value::External(symbol) = &meaning.value
                && symbol.starts_with("oslo_service.")
            {
                hits.push(Hit {
                    rule: "EV198",
                    symbol: symbol.clone(),
                    via: meaning.via.clone(),
                    kind: Kind::Use,
                    confidence: Confidence::High,
                    at: Site {
                        module,
                        range: (expr.start, expr.end),
                        function: entry.function,
                        class: entry.class,
                    },
                    subject: id,
                    note: String::new(),
                    is_hidden: false,
                    shape: Safety::Safe,
                });
            }
        }
    }

    fn rule(&self, module: u32, symbol: &str, place: Place, call: u32, kind: Kind) -> &'static str {
        let facts = self.eval.facts(module);
        match symbol {
            "eventlet.greenthread.sleep" => {
                if let Node::Call { args, .. } = &call_node(facts, call)
                    && kind == Kind::Use
                {
                    let is_zero = match args.first() {
                        None => true,
                        Some(arg) => matches!(facts.expr(arg.value).node, Node::Int(0)),
                    };
                    if is_zero {
                        return "EV101";
                    }
                }
                "EV102"
            }
            "eventlet.greenthread.spawn" | "eventlet.greenthread.spawn_n" if call != NONE => {
                match place {
                    Place::Statement => "EV110",
                    Place::Attribute(name) if facts.text(name) == "wait" => "EV111",
                    _ => "EV112",
                }
            }
            _ if names::derives(symbol, "eventlet.timeout.Timeout") => match (place, call) {
                (Place::With, call) if call != NONE => "EV130",
                (Place::Raise, _) | (_, NONE) => "EV131",
                _ => "EV132",
            },
            "eventlet.timeout.Timeout.start" => "EV132",
            "eventlet.green" => "EV199",
            _ => rules::of_symbol(symbol),
        }
    }

    /// Methods on values that nobody knows, whose names say enough to look at them.
    fn telling(&self, module: u32, id: u32, entry: &Use, hits: &mut Vec<Hit>) {
        let facts = self.eval.facts(module);
        let expr = facts.expr(entry.expr);
        let Node::Attr { base, name } = expr.node else {
            return;
        };
        if entry.call == NONE {
            return;
        }
        let name = facts.text(name);
        let Some((_, symbol)) = TELLING.iter().find(|(telling, _)| *telling == name) else {
            return;
        };
        let range = (expr.start, expr.end);
        if hits.iter().any(|hit| hit.at.range == range) {
            return;
        }
        // Known to be something else.
        if !self.eval.eval(module, base).is_empty() {
            return;
        }
        hits.push(Hit {
            rule: rules::of_symbol(symbol),
            symbol: (*symbol).into(),
            via: Vec::new(),
            kind: Kind::Use,
            confidence: Confidence::Low,
            at: Site {
                module,
                range,
                function: entry.function,
                class: entry.class,
            },
            subject: id,
            note: format!("an object that is not known has a method {name}"),
            is_hidden: false,
            shape: Safety::Safe,
        });
    }

    /// Whether a file imports anything of Eventlet's, directly or not.
    pub(crate) fn touches(&self, module: u32) -> bool {
        let facts = self.eval.facts(module);
        facts.bindings.iter().any(|binding| {
            match binding.kind {
            BindingKind::Import { .. } | BindingKind::From { .. } => {
                self.eval.binding(module, &binding.kind).iter().any(|meaning| {
                    matches!(&meaning.value, Value::External(name) if names::is_ours(name))
                })
            }
            _ => false,
        }
        })
    }
}

fn call_node(facts: &crate::facts::Facts, call: u32) -> &Node {
    if call == NONE {
        &Node::Other
    } else {
        &facts.expr(call).node
    }
}

struct Resolved {
    expr: u32,
    symbol: Arc<str>,
    via: Vec<Arc<str>>,
    is_guess: bool,
    kind: Kind,
    is_subclass: bool,
    range: (u32, u32),
}
