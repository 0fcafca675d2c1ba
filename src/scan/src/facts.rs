//! What one file says, before anything is known of others.
//!
//! Facts are a pure function of a file's text, so they are what the cache keeps; whatever needs
//! a second file is found out when a project is linked. Everything is an index into a table of
//! the same file: facts of a million lines have to be read from disk in a fraction of a second.

use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use rustc_hash::FxHasher;
use serde::{Deserialize, Serialize};

/// An index that points nowhere.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) strings: Vec<Box<str>>,
    pub(crate) lines: u32,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) branches: Vec<Branch>,
    pub(crate) functions: Vec<Function>,
    pub(crate) classes: Vec<Class>,
    pub(crate) exprs: Vec<Expr>,
    /// Sorted by scope and name, then by position.
    pub(crate) bindings: Vec<Binding>,
    pub(crate) stars: Vec<Star>,
    pub(crate) uses: Vec<Use>,
    pub(crate) texts: Vec<Text>,
    pub(crate) handlers: Vec<Handler>,
    pub(crate) withs: Vec<With>,
    pub(crate) checks: Vec<Check>,
    /// Names of functions that are given a WebSocket.
    pub(crate) handlers_of_sockets: Vec<u32>,
    /// Where functions assert something: the function and the place.
    pub(crate) asserts: Vec<(u32, u32)>,
    /// What `__all__` lists, where it can be read.
    pub(crate) exports: Option<Vec<u32>>,
    pub(crate) suppressions: Vec<Suppression>,
    pub(crate) errors: Vec<(u32, String)>,
    /// Has a block for `__name__ == "__main__"`.
    pub(crate) is_program: bool,
    #[serde(skip)]
    index: OnceLock<Index>,
}

/// What makes names quick to find; made when first asked for.
struct Index {
    /// Names that some scope binds, by a hash of their text.
    names: Vec<(u32, u32)>,
    /// Where the bindings of each scope begin.
    starts: Vec<u32>,
}

pub(crate) fn hash_text(text: &str) -> u32 {
    let mut hasher = FxHasher::default();
    text.hash(&mut hasher);
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}

impl Facts {
    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let mut ids: Vec<u32> = self.bindings.iter().map(|b| b.name).collect();
            ids.sort_unstable();
            ids.dedup();
            let mut names: Vec<(u32, u32)> = ids
                .into_iter()
                .map(|id| (hash_text(self.text(id)), id))
                .collect();
            names.sort_unstable();
            let mut starts = Vec::with_capacity(self.scopes.len() + 1);
            let mut at = 0;
            for scope in 0..=self.scopes.len() as u32 {
                while self.bindings.get(at).is_some_and(|b| b.scope < scope) {
                    at += 1;
                }
                starts.push(at as u32);
            }
            Index { names, starts }
        })
    }

    /// The number of a name that some scope binds.
    pub(crate) fn id_of(&self, text: &str) -> Option<u32> {
        let names = &self.index().names;
        let hash = hash_text(text);
        let start = names.partition_point(|(other, _)| *other < hash);
        names[start..]
            .iter()
            .take_while(|(other, _)| *other == hash)
            .find(|(_, id)| self.text(*id) == text)
            .map(|(_, id)| *id)
    }

    /// Whether code of a scope runs in the place where it stands in another: a comprehension
    /// does, a function does not.
    pub(crate) fn runs_in_place(&self, mut scope: u32, home: u32) -> bool {
        while scope != home {
            match self.scopes.get(scope as usize) {
                Some(entry) if entry.kind == ScopeKind::Comprehension => scope = entry.parent,
                _ => return false,
            }
        }
        true
    }

    /// The names that a scope binds, in no order that means anything.
    pub(crate) fn names_in(&self, scope: u32) -> Vec<u32> {
        let starts = &self.index().starts;
        let at = scope as usize;
        let (Some(&start), Some(&end)) = (starts.get(at), starts.get(at + 1)) else {
            return Vec::new();
        };
        let mut names: Vec<u32> = self.bindings[start as usize..end as usize]
            .iter()
            .map(|b| b.name)
            .collect();
        names.dedup();
        names
    }

    /// The bindings of a name in a scope, by position.
    pub(crate) fn bindings_of(&self, scope: u32, name: u32) -> &[Binding] {
        let starts = &self.index().starts;
        let at = scope as usize;
        let (Some(&start), Some(&end)) = (starts.get(at), starts.get(at + 1)) else {
            return &[];
        };
        let all = &self.bindings[start as usize..end as usize];
        let from = all.partition_point(|b| b.name < name);
        let length = all[from..].iter().take_while(|b| b.name == name).count();
        &all[from..from + length]
    }

    pub(crate) fn text(&self, id: u32) -> &str {
        self.strings.get(id as usize).map_or("", |text| text)
    }

    pub(crate) fn expr(&self, id: u32) -> &Expr {
        &self.exprs[id as usize]
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ScopeKind {
    Module,
    Class,
    Function,
    Comprehension,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Scope {
    pub(crate) kind: ScopeKind,
    pub(crate) parent: u32,
    /// The function or class whose scope this is.
    pub(crate) owner: u32,
}

/// A block that need not run. Two arms of one group exclude each other.
#[derive(Serialize, Deserialize)]
pub(crate) struct Branch {
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) arm: u32,
    pub(crate) kind: BranchKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BranchKind {
    Plain,
    /// The whole of a function.
    Body,
    Loop,
    /// Only type checkers take it.
    Typing,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Function {
    pub(crate) name: u32,
    pub(crate) qualname: u32,
    pub(crate) scope: u32,
    /// The scope that it is defined in.
    pub(crate) parent: u32,
    /// The class whose method it is.
    pub(crate) class: u32,
    pub(crate) is_async: bool,
    pub(crate) is_generator: bool,
    pub(crate) is_lambda: bool,
    pub(crate) decorators: Vec<u32>,
    pub(crate) params: Vec<Param>,
    pub(crate) returns: Vec<u32>,
    pub(crate) annotation: u32,
    /// Where its name stands.
    pub(crate) range: (u32, u32),
    pub(crate) body: (u32, u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ParamKind {
    Plain,
    Args,
    KeywordOnly,
    Keywords,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Param {
    pub(crate) name: u32,
    pub(crate) kind: ParamKind,
    pub(crate) annotation: u32,
    pub(crate) default: u32,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Class {
    pub(crate) name: u32,
    pub(crate) qualname: u32,
    pub(crate) scope: u32,
    pub(crate) parent: u32,
    pub(crate) bases: Vec<u32>,
    /// What methods assign to attributes of their first parameter.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) range: (u32, u32),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Attribute {
    pub(crate) name: u32,
    pub(crate) kind: BindingKind,
    pub(crate) function: u32,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Expr {
    pub(crate) node: Node,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Node {
    Other,
    /// `home` is the scope that binds the name, or `NONE`: a built-in one, or from a star.
    Name {
        name: u32,
        from: u32,
        home: u32,
        branch: u32,
    },
    Attr {
        base: u32,
        name: u32,
    },
    Call {
        func: u32,
        args: Vec<Arg>,
    },
    Item {
        base: u32,
        key: u32,
    },
    /// Any of these.
    Either(Vec<u32>),
    /// A list, tuple, set or comprehension of these.
    Many(Vec<u32>),
    Await(u32),
    Lambda(u32),
    Text(u32),
    Int(i64),
    Bool(bool),
    Nothing,
    /// A text that begins like this and goes on with what only the run knows.
    Prefix(u32),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Arg {
    /// The keyword; `NONE` for a positional one.
    pub(crate) name: u32,
    pub(crate) value: u32,
    pub(crate) starred: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Binding {
    pub(crate) scope: u32,
    pub(crate) name: u32,
    pub(crate) pos: u32,
    pub(crate) branch: u32,
    pub(crate) kind: BindingKind,
    /// Of the name, or of the alias in an import.
    pub(crate) range: (u32, u32),
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum BindingKind {
    /// `import a.b` binds `a`; `import a.b as c` binds `a.b`.
    Import {
        module: u32,
        renamed: bool,
    },
    From {
        level: u32,
        module: u32,
        name: u32,
    },
    Value(u32),
    /// An element of it.
    Element(u32),
    /// What entering it gives.
    Entered(u32),
    Annotated(u32),
    Function(u32),
    Class(u32),
    Param {
        function: u32,
        index: u32,
    },
    Deleted,
    /// Bound to what no rule looks into.
    Unknown,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Star {
    pub(crate) scope: u32,
    pub(crate) level: u32,
    pub(crate) module: u32,
    pub(crate) range: (u32, u32),
}

/// A name, or a chain of attributes, that is read; never a part of a longer chain.
#[derive(Serialize, Deserialize)]
pub(crate) struct Use {
    pub(crate) expr: u32,
    pub(crate) function: u32,
    /// The class whose body it stands in, outside of its methods.
    pub(crate) class: u32,
    pub(crate) branch: u32,
    /// The call of it, or `NONE`.
    pub(crate) call: u32,
    pub(crate) place: Place,
    pub(crate) awaited: bool,
}

/// Where a name, or the call of it, stands.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    Other,
    /// A statement of its own: the value is not used.
    Statement,
    /// An attribute is taken of it.
    Attribute(u32),
    With,
    Except,
    Raise,
    Decorator,
    Base,
    Annotation,
    /// The argument of this call with this position.
    Argument(u32, u32),
    Assigned,
    Returned,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Text {
    pub(crate) value: u32,
    pub(crate) range: (u32, u32),
    pub(crate) function: u32,
    pub(crate) class: u32,
    pub(crate) place: TextPlace,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TextPlace {
    /// An argument of a call: the call, its position, its keyword.
    Argument(u32, u32, u32),
    /// A key of what this expression is.
    Key(u32),
    /// Assigned to this name.
    Assigned(u32),
    /// Compared with this expression.
    Compared(u32),
    /// Inside a list or the like, which is an argument (keyword) or assigned (name).
    Listed(u32),
    /// Follows this text in a list.
    After(u32),
    Other,
}

/// A clause of a try statement.
#[derive(Serialize, Deserialize)]
pub(crate) struct Handler {
    pub(crate) function: u32,
    /// What it catches, or `NONE` for everything.
    pub(crate) caught: u32,
    pub(crate) range: (u32, u32),
    /// The statements it guards.
    pub(crate) body: (u32, u32),
    /// Raises again whatever it caught.
    pub(crate) raises: bool,
    /// Clauses before it in the same statement.
    pub(crate) earlier: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct With {
    pub(crate) function: u32,
    pub(crate) item: u32,
    pub(crate) body: (u32, u32),
    pub(crate) is_async: bool,
}

/// A condition on shared state, and in its wake a change of it, with no lock around.
#[derive(Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) function: u32,
    /// The attribute, or the module's name.
    pub(crate) name: u32,
    pub(crate) is_attribute: bool,
    pub(crate) range: (u32, u32),
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Suppression {
    pub(crate) line: u32,
    /// None of them: all rules.
    pub(crate) rules: Vec<String>,
    /// Why, for `# eventlet: keep(reason)`.
    pub(crate) reason: Option<String>,
}
