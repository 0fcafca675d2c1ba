//! One pass: which edits the findings of a project ask for.
//!
//! An import is changed where it stands if every use of its name can follow, here and wherever
//! else it is imported from; then the uses, and the mocks of them, keep their text. Where a
//! use goes through a module (`eventlet.sleep`) the use itself is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::eval;
use crate::explicit::Hit;
use crate::facts::{Arg, BindingKind, Facts, NONE, Node, Place};
use crate::finding::{Confidence, Kind};
use crate::link::Touched;
use crate::project::Project;
use crate::report::Target;
use crate::rules::Safety;

use super::edit::Edit;
use super::imports::{self, Change, Statement};
use super::sites;
use super::table::{Replacement, import_text, replacement};

/// A name of a scope: module, scope, name.
pub(crate) type Key = (u32, u32, u32);

pub(crate) struct Pass<'p> {
    pub(crate) project: &'p Project,
    pub(crate) hits: &'p [Hit],
    /// For each hit how safe its change is; `Manual` if it is not to be made.
    pub(crate) allowed: Vec<bool>,
    pub(crate) target: Target,
    /// Names that other modules import, or read as attributes.
    pub(crate) taken: &'p Touched,
    pub(crate) texts: &'p FxHashMap<u32, String>,
}

#[derive(Default)]
pub(crate) struct Edits {
    pub(crate) of_module: BTreeMap<u32, Vec<Edit>>,
    /// Modules that an import of asyncio is added to.
    pub(crate) imports_asyncio: FxHashSet<u32>,
}

impl Edits {
    pub(crate) fn add(&mut self, module: u32, range: (u32, u32), text: impl Into<String>) {
        self.of_module.entry(module).or_default().push(Edit {
            range,
            text: text.into(),
        });
    }
}

/// A use of an imported name: the hit, and where its chain begins.
struct Ref {
    hit: usize,
    root: u32,
}

/// The whole of the changes to import statements, by module.
type Changes = FxHashMap<u32, Vec<Change>>;

pub(crate) fn is_allowed(fix: Safety, unsafe_too: bool) -> bool {
    fix == Safety::Safe || unsafe_too && fix == Safety::Unsafe
}

impl Pass<'_> {
    pub(crate) fn edits(&self) -> Edits {
        let mut edits = Edits::default();
        let mut changes = Changes::default();
        let mut done: FxHashSet<usize> = FxHashSet::default();
        if self.target == Target::Threads {
            let groups = self.groups();
            let mut keys: Vec<&Key> = groups.keys().collect();
            keys.sort_unstable();
            let through = self.through();
            for &key in &keys {
                if let Some(symbol) = self.imported(*key) {
                    let covered = &groups[key];
                    let others = through.get(key).map_or(&[][..], Vec::as_slice);
                    let whole = replacement(&symbol, self.target);
                    if whole.is_some() && self.all_follow(*key, covered, others) {
                        self.change_import(
                            *key,
                            &symbol,
                            covered,
                            others,
                            &mut changes,
                            &mut edits,
                            &mut done,
                        );
                    } else {
                        self.change_uses(*key, covered, &mut changes, &mut edits, &mut done);
                    }
                }
            }
            self.change_imports_alone(&groups, &through, &mut changes, &mut done);
        }
        for index in 0..self.hits.len() {
            if !done.contains(&index) && self.allowed[index] {
                sites::edit(self, index, &mut edits);
            }
        }
        self.follow_strings(&done, &mut edits);
        self.apply_changes(&changes, &mut edits);
        edits
    }

    pub(crate) fn facts(&self, module: u32) -> &Facts {
        self.project.modules[module as usize].facts()
    }

    fn is_taken(&self, (module, scope, name): Key) -> bool {
        scope == 0
            && self
                .taken
                .contains(&(module, self.facts(module).text(name).into()))
    }

    /// The uses by the imported name that they begin with.
    fn groups(&self) -> FxHashMap<Key, Vec<Ref>> {
        let mut found: FxHashMap<Key, Vec<Ref>> = FxHashMap::default();
        for (index, hit) in self.hits.iter().enumerate() {
            if hit.subject == NONE
                || hit.kind == Kind::Wrapper
                || hit.kind == Kind::Implicit
                || hit.kind == Kind::Hazard
            {
                continue;
            }
            let facts = self.facts(hit.at.module);
            let mut root = facts.uses[hit.subject as usize].expr;
            while let Node::Attr { base, .. } = facts.expr(root).node {
                root = base;
            }
            if let Node::Name { name, home, .. } = facts.expr(root).node
                && home != NONE
            {
                let key = (hit.at.module, home, name);
                found.entry(key).or_default().push(Ref { hit: index, root });
            }
        }
        found
    }

    /// The hits of other modules by the import here that they came through.
    fn through(&self) -> FxHashMap<Key, Vec<usize>> {
        let mut found: FxHashMap<Key, Vec<usize>> = FxHashMap::default();
        for (index, hit) in self.hits.iter().enumerate() {
            for name in &hit.via {
                let Some((owner, last)) = name.rsplit_once('.') else {
                    continue;
                };
                let Some(module) = self.project.find(owner, hit.at.module) else {
                    continue;
                };
                if let Some(name) = eval::lookup(self.facts(module), 0, last) {
                    found.entry((module, 0, name)).or_default().push(index);
                }
            }
        }
        found
    }

    /// What a name means whose only bindings are imports of one thing of Eventlet's.
    fn imported(&self, (module, scope, name): Key) -> Option<Arc<str>> {
        let facts = self.facts(module);
        let mut found: Option<Arc<str>> = None;
        for binding in facts.bindings_of(scope, name) {
            let symbol: Arc<str> = match &binding.kind {
                BindingKind::Import {
                    module: name,
                    renamed,
                } => {
                    let name = facts.text(*name);
                    if *renamed {
                        crate::names::canonical(name)
                    } else {
                        name.split('.').next().unwrap_or(name).into()
                    }
                }
                BindingKind::From {
                    level: 0,
                    module: base,
                    name,
                } => {
                    crate::names::canonical(&format!("{}.{}", facts.text(*base), facts.text(*name)))
                }
                _ => return None,
            };
            if !crate::names::is_ours(&symbol) || found.as_ref().is_some_and(|old| *old != symbol) {
                return None;
            }
            found = Some(symbol);
        }
        found
    }

    /// How many times a name is read in its file.
    fn reads(&self, (module, scope, name): Key) -> usize {
        self.facts(module)
            .exprs
            .iter()
            .filter(|expr| {
                matches!(expr.node, Node::Name { name: id, home, .. } if id == name && home == scope)
            })
            .count()
    }

    /// Whether a hit needs no edit once the class it belongs to has changed.
    fn follows(hit: &Hit) -> bool {
        hit.symbol
            .rsplit_once('.')
            .is_some_and(|(owner, member)| sites::keeps_member(owner, member))
    }

    fn all_follow(&self, key: Key, covered: &[Ref], others: &[usize]) -> bool {
        let goes = |index: usize| {
            let hit = &self.hits[index];
            hit.kind == Kind::String && hit.subject == NONE
                || self.allowed[index]
                    && (replacement(&hit.symbol, self.target).is_some() || Self::follows(hit))
        };
        let mut roots: Vec<u32> = covered.iter().map(|one| one.root).collect();
        roots.sort_unstable();
        roots.dedup();
        let is_taken = self.is_taken(key);
        covered.iter().all(|one| goes(one.hit))
            && others.iter().all(|&index| goes(index))
            && roots.len() == self.reads(key)
            // Taken by a module whose use of it was not seen.
            && (!is_taken || !others.is_empty())
            && self.facts(key.0).bindings_of(key.1, key.2).len() == 1
    }

    #[allow(clippy::too_many_arguments)]
    fn change_import(
        &self,
        key: Key,
        symbol: &str,
        covered: &[Ref],
        others: &[usize],
        changes: &mut Changes,
        edits: &mut Edits,
        done: &mut FxHashSet<usize>,
    ) {
        let facts = self.facts(key.0);
        let binding = &facts.bindings_of(key.1, key.2)[0];
        let Some(new) = replacement(symbol, self.target) else {
            return;
        };
        if !self.imports_allowed(key.0, binding.range) {
            return;
        }
        let text = import_text(&new, facts.text(key.2));
        changes.entry(key.0).or_default().push(Change {
            alias: binding.range,
            is_removed: true,
            added: vec![text],
        });
        for index in covered
            .iter()
            .map(|one| one.hit)
            .chain(others.iter().copied())
        {
            let hit = &self.hits[index];
            done.insert(index);
            sites::edit_arguments(self, index, edits);
            // queue.LightQueue becomes queue.Queue.
            if let Some(inner) = replacement(&hit.symbol, self.target)
                && hit.subject != NONE
            {
                let facts = self.facts(hit.at.module);
                let written = self.written(hit);
                if let Node::Attr { base, name } = facts.expr(written).node {
                    let last = inner.name.rsplit('.').next().unwrap_or_default();
                    if facts.text(name) != last && !last.is_empty() && new.name.is_empty() {
                        let start = facts.expr(base).end + 1;
                        edits.add(hit.at.module, (start, facts.expr(written).end), last);
                    }
                }
            }
        }
        for (index, hit) in self.hits.iter().enumerate() {
            if hit.kind == Kind::Import && hit.at.module == key.0 && hit.at.range == binding.range {
                done.insert(index);
            }
        }
    }

    /// Whether nobody asked for an import to be kept.
    fn imports_allowed(&self, module: u32, range: (u32, u32)) -> bool {
        self.hits.iter().enumerate().all(|(index, hit)| {
            hit.kind != Kind::Import
                || hit.at.module != module
                || hit.at.range != range
                || hit.is_hidden
                || self.allowed[index]
        })
    }

    fn change_uses(
        &self,
        key: Key,
        covered: &[Ref],
        changes: &mut Changes,
        edits: &mut Edits,
        done: &mut FxHashSet<usize>,
    ) {
        let facts = self.facts(key.0);
        let mut added: Vec<String> = Vec::new();
        let mut changed: FxHashSet<u32> = FxHashSet::default();
        for one in covered {
            let hit = &self.hits[one.hit];
            let Some(new) = replacement(&hit.symbol, self.target) else {
                continue;
            };
            if !self.allowed[one.hit] || new.name.is_empty() || hit.symbol.is_empty() {
                continue;
            }
            let (written, text) = if hit.kind == Kind::String {
                let written = facts.uses[hit.subject as usize].expr;
                if self.rename_text(hit, &new, edits).is_none() {
                    continue;
                }
                (written, new.module.clone())
            } else {
                (self.written(hit), new.dotted())
            };
            let Node::Attr { .. } = facts.expr(written).node else {
                // A bare name whose import cannot change stays as it is.
                if hit.kind != Kind::String {
                    continue;
                }
                if self.add_import(key, one.root, &new.module, &mut added) {
                    let expr = facts.expr(written);
                    edits.add(key.0, (expr.start, expr.end), text);
                    changed.insert(one.root);
                    done.insert(one.hit);
                }
                continue;
            };
            if !self.add_import(key, one.root, &new.module, &mut added) {
                continue;
            }
            let expr = facts.expr(written);
            edits.add(key.0, (expr.start, expr.end), text);
            sites::edit_arguments(self, one.hit, edits);
            changed.insert(one.root);
            done.insert(one.hit);
        }
        if changed.is_empty() {
            return;
        }
        let is_exported = key.1 == 0
            && facts
                .exports
                .as_ref()
                .is_some_and(|names| names.contains(&key.2));
        let is_gone = changed.len() == self.reads(key) && !self.is_taken(key) && !is_exported;
        for (at, binding) in facts.bindings_of(key.1, key.2).iter().enumerate() {
            let is_removed = is_gone && self.imports_allowed(key.0, binding.range);
            changes.entry(key.0).or_default().push(Change {
                alias: binding.range,
                is_removed,
                added: if at == 0 { added.clone() } else { Vec::new() },
            });
        }
    }

    /// The part of a chain that a hit is about.
    fn written(&self, hit: &Hit) -> u32 {
        let facts = self.facts(hit.at.module);
        let mut at = facts.uses[hit.subject as usize].expr;
        while (facts.expr(at).start, facts.expr(at).end) != hit.at.range {
            match facts.expr(at).node {
                Node::Attr { base, .. } => at = base,
                _ => break,
            }
        }
        at
    }

    /// `patch.object(eventlet, "sleep")`: the text of the second argument.
    fn rename_text(&self, hit: &Hit, new: &Replacement, edits: &mut Edits) -> Option<()> {
        let facts = self.facts(hit.at.module);
        let Place::Argument(call, _) = facts.uses[hit.subject as usize].place else {
            return None;
        };
        let Node::Call { args, .. } = &facts.expr(call).node else {
            return None;
        };
        let second: &Arg = args.get(1)?;
        let Node::Text(text) = facts.expr(second.value).node else {
            return None;
        };
        let old = facts.text(text);
        let last = new.name.rsplit('.').next()?;
        if old != last {
            let expr = facts.expr(second.value);
            let range = inside(&self.texts[&hit.at.module], (expr.start, expr.end), old)?;
            edits.add(hit.at.module, range, last);
        }
        Some(())
    }

    /// Sees to it that a module can be reached by its name where a use stands.
    fn add_import(&self, key: Key, root: u32, module: &str, added: &mut Vec<String>) -> bool {
        let facts = self.facts(key.0);
        let first = module.split('.').next().unwrap_or(module);
        let Node::Name { from, .. } = facts.expr(root).node else {
            return false;
        };
        let mut scope = from;
        let mut is_there = false;
        while scope != NONE {
            if let Some(name) = eval::lookup(facts, scope, first) {
                for binding in facts.bindings_of(scope, name) {
                    match &binding.kind {
                        BindingKind::Import {
                            module: other,
                            renamed: false,
                        } if facts.text(*other) == module => {
                            // In another function's scope, or later, it would not help.
                            is_there |=
                                binding.branch == NONE && binding.pos < facts.expr(root).start;
                        }
                        BindingKind::Import {
                            module: other,
                            renamed: false,
                        } if facts.text(*other).split('.').next() == Some(first) => {}
                        _ => return false,
                    }
                }
            }
            scope = facts.scopes[scope as usize].parent;
        }
        let line = format!("import {module}");
        if !is_there && !added.contains(&line) {
            added.push(line);
        }
        true
    }

    /// Imports of green modules that only hand on, or are used in no way that is a finding.
    fn change_imports_alone(
        &self,
        groups: &FxHashMap<Key, Vec<Ref>>,
        through: &FxHashMap<Key, Vec<usize>>,
        changes: &mut Changes,
        done: &mut FxHashSet<usize>,
    ) {
        for (index, hit) in self.hits.iter().enumerate() {
            if hit.kind != Kind::Import || !self.allowed[index] || done.contains(&index) {
                continue;
            }
            let facts = self.facts(hit.at.module);
            let Some(binding) = facts.bindings.iter().find(|b| b.range == hit.at.range) else {
                continue;
            };
            let key = (hit.at.module, binding.scope, binding.name);
            if groups.contains_key(&key) {
                continue;
            }
            let Some(symbol) = self.imported(key) else {
                continue;
            };
            let Some(new) = replacement(&symbol, self.target) else {
                continue;
            };
            let others = through.get(&key).map_or(&[][..], Vec::as_slice);
            if !self.all_follow(key, &[], others) {
                continue;
            }
            done.insert(index);
            done.extend(others);
            changes.entry(key.0).or_default().push(Change {
                alias: binding.range,
                is_removed: true,
                added: vec![import_text(&new, facts.text(key.2))],
            });
        }
    }

    /// Texts that name a target follow when the last use of it in the program does.
    fn follow_strings(&self, done: &FxHashSet<usize>, edits: &mut Edits) {
        let mut left: FxHashSet<&str> = FxHashSet::default();
        let mut gone: FxHashSet<&str> = FxHashSet::default();
        for (index, hit) in self.hits.iter().enumerate() {
            let module = &self.project.modules[hit.at.module as usize];
            if hit.kind == Kind::Use && !module.is_test && hit.confidence == Confidence::High {
                if done.contains(&index) {
                    gone.insert(&hit.symbol);
                } else {
                    left.insert(&hit.symbol);
                }
            }
        }
        for hit in self.hits {
            if hit.kind != Kind::String || hit.subject != NONE || !hit.via.is_empty() {
                continue;
            }
            let Some(new) = replacement(&hit.symbol, self.target) else {
                continue;
            };
            if left.contains(&*hit.symbol) || !gone.contains(&*hit.symbol) || new.name.is_empty() {
                continue;
            }
            let text = &self.texts[&hit.at.module];
            let written = &text[hit.at.range.0 as usize..hit.at.range.1 as usize];
            let value = written.trim_start_matches(|c: char| c.is_alphabetic());
            let value = value.trim_matches(['"', '\'']);
            if let Some(range) = inside(text, hit.at.range, value) {
                edits.add(hit.at.module, range, new.dotted());
            }
        }
    }

    fn apply_changes(&self, changes: &Changes, edits: &mut Edits) {
        for (&module, changes) in changes {
            let text = &self.texts[&module];
            let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
            let statements = imports::statements(text);
            let mut by_statement: Vec<(&Statement, Vec<Change>)> = Vec::new();
            for statement in &statements {
                let own: Vec<Change> = changes
                    .iter()
                    .filter(|change| statement.aliases.iter().any(|a| a.range == change.alias))
                    .cloned()
                    .collect();
                if !own.is_empty() {
                    by_statement.push((statement, own));
                }
            }
            for (statement, own) in by_statement {
                if let Some(found) = imports::edits(text, statement, &own, newline) {
                    edits.of_module.entry(module).or_default().extend(found);
                } else {
                    // Without its imports no edit of the file would hold.
                    edits.of_module.remove(&module);
                    break;
                }
            }
        }
    }
}

/// The bytes of a value inside of its literal.
pub(crate) fn inside(text: &str, (start, end): (u32, u32), value: &str) -> Option<(u32, u32)> {
    let at = text.get(start as usize..end as usize)?.find(value)? as u32;
    Some((start + at, start + at + value.len() as u32))
}
