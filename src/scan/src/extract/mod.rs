//! From a file's text to its facts.
//!
//! One walk over the tree. Scopes follow Python's rules; which binding of a scope a name means
//! is left to the linker, which knows what the bindings are worth.

mod checks;
mod expressions;
mod functions;
mod statements;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::facts::{
    Binding, BindingKind, Branch, BranchKind, Expr, Facts, NONE, Node, Place, Scope, ScopeKind,
    Suppression, Use,
};
use crate::source::Lines;
use crate::syntax;

/// Reads one file.
pub(crate) fn extract(source: &str) -> Facts {
    let tree = syntax::parse(source);
    let mut walk = Walk::new(source);
    walk.facts.errors.clone_from(&tree.errors);
    walk.statements(tree.body());
    let lines = Lines::new(source);
    walk.facts.lines = lines.count();
    for range in tree.comments() {
        let (start, end) = (usize::from(range.start()), usize::from(range.end()));
        if let Some(mut found) = suppression(&source[start..end]) {
            found.line = lines.position(source, range.start().to_u32()).0;
            walk.facts.suppressions.push(found);
        }
    }
    walk.finish()
}

/// Reads `# noqa: EV101, EV102` and `# eventlet: keep(reason)`.
///
/// A `noqa` without rules is no answer to this tool: it is written for linters, by the hundred.
fn suppression(comment: &str) -> Option<Suppression> {
    let lower = comment.to_ascii_lowercase();
    if let Some(at) = lower.find("noqa:") {
        let rules: Vec<String> = comment[at + 5..]
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|word| word.len() == 5 && word[..2].eq_ignore_ascii_case("EV"))
            .map(str::to_ascii_uppercase)
            .collect();
        if !rules.is_empty() {
            return Some(Suppression {
                line: 0,
                rules,
                reason: None,
            });
        }
    }
    let text = comment.trim_start_matches('#').trim_start();
    let reason = text.strip_prefix("eventlet:")?.trim_start();
    let reason = reason.strip_prefix("keep(")?.split(')').next()?;
    Some(Suppression {
        line: 0,
        rules: Vec::new(),
        reason: Some(reason.trim().to_owned()),
    })
}

/// The place of the walk in the tree, and what it has collected.
struct Walk<'a> {
    source: &'a str,
    facts: Facts,
    interned: FxHashMap<Box<str>, u32>,
    bound: FxHashSet<(u32, u32)>,
    /// Names that a scope declares to be another scope's; `true`: the module's.
    declared: FxHashMap<(u32, u32), bool>,
    scope: u32,
    function: u32,
    class: u32,
    branch: u32,
    groups: u32,
    /// The first parameter of the method around, and its class.
    receiver: Option<(u32, u32)>,
    prefix: String,
    /// The name that a value is being assigned to.
    target: u32,
    /// Where bindings begin to hold: after the value that is bound.
    holds_from: u32,
    /// How many locks are held here.
    locks: u32,
}

impl<'a> Walk<'a> {
    fn new(source: &'a str) -> Self {
        let mut walk = Self {
            source,
            facts: Facts::default(),
            interned: FxHashMap::default(),
            bound: FxHashSet::default(),
            declared: FxHashMap::default(),
            scope: 0,
            function: NONE,
            class: NONE,
            branch: NONE,
            groups: 0,
            receiver: None,
            prefix: String::new(),
            target: NONE,
            holds_from: 0,
            locks: 0,
        };
        walk.facts.scopes.push(Scope {
            kind: ScopeKind::Module,
            parent: NONE,
            owner: NONE,
        });
        walk
    }

    fn intern(&mut self, text: &str) -> u32 {
        if let Some(&id) = self.interned.get(text) {
            return id;
        }
        let id = self.facts.strings.len() as u32;
        self.facts.strings.push(text.into());
        self.interned.insert(text.into(), id);
        id
    }

    fn node(&mut self, node: Node, (start, end): (u32, u32)) -> u32 {
        self.facts.exprs.push(Expr { node, start, end });
        self.facts.exprs.len() as u32 - 1
    }

    fn open_scope(&mut self, kind: ScopeKind, owner: u32) -> u32 {
        self.facts.scopes.push(Scope {
            kind,
            parent: self.scope,
            owner,
        });
        self.facts.scopes.len() as u32 - 1
    }

    fn open_branch(&mut self, group: u32, arm: u32, kind: BranchKind) -> u32 {
        self.facts.branches.push(Branch {
            parent: self.branch,
            group,
            arm,
            kind,
        });
        self.facts.branches.len() as u32 - 1
    }

    fn new_group(&mut self) -> u32 {
        self.groups += 1;
        self.groups
    }

    /// Visits a block that need not run.
    fn block(&mut self, body: &[syntax::ast::Stmt], group: u32, arm: u32, kind: BranchKind) {
        let outer = self.branch;
        self.branch = self.open_branch(group, arm, kind);
        self.statements(body);
        self.branch = outer;
    }

    fn bind(&mut self, name: &str, range: (u32, u32), kind: BindingKind) {
        let name = self.intern(name);
        // A name bound in a comprehension by := belongs to the function around.
        let scope = match self.declared.get(&(self.scope, name)) {
            Some(true) => 0,
            Some(false) => self.outer_home(self.scope, name),
            None => self.scope,
        };
        self.bound.insert((scope, name));
        let (pos, branch) = (range.0.max(self.holds_from), self.branch);
        self.facts.bindings.push(Binding {
            scope,
            name,
            pos,
            branch,
            kind,
            range,
        });
    }

    fn outer_home(&self, scope: u32, name: u32) -> u32 {
        let mut at = self.facts.scopes[scope as usize].parent;
        while at != NONE {
            if self.bound.contains(&(at, name)) {
                return at;
            }
            at = self.facts.scopes[at as usize].parent;
        }
        0
    }

    fn record_use(&mut self, expr: u32, place: Place) -> usize {
        self.facts.uses.push(Use {
            expr,
            function: self.function,
            class: self.class,
            branch: self.branch,
            call: NONE,
            place,
            awaited: false,
        });
        self.facts.uses.len() - 1
    }

    fn qualname(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Finds the scope of each name, now that all bindings are known.
    fn finish(mut self) -> Facts {
        let mut exprs = std::mem::take(&mut self.facts.exprs);
        for expr in &mut exprs {
            if let Node::Name {
                name, from, home, ..
            } = &mut expr.node
            {
                *home = self.home(*from, *name);
            }
        }
        self.facts.exprs = exprs;
        self.facts
            .bindings
            .sort_by_key(|b| (b.scope, b.name, b.pos));
        self.facts
    }

    fn home(&self, from: u32, name: u32) -> u32 {
        let mut at = from;
        let mut direct = true;
        while at != NONE {
            let scope = &self.facts.scopes[at as usize];
            match self.declared.get(&(at, name)) {
                Some(true) => {
                    return if self.bound.contains(&(0, name)) {
                        0
                    } else {
                        NONE
                    };
                }
                // The body of a class is not seen from the functions in it.
                None if (scope.kind != ScopeKind::Class || direct)
                    && self.bound.contains(&(at, name)) =>
                {
                    return at;
                }
                Some(false) | None => {}
            }
            direct = direct && scope.kind == ScopeKind::Comprehension;
            at = scope.parent;
        }
        NONE
    }
}
