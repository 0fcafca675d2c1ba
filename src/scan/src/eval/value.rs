//! What an expression may stand for.

use std::rc::Rc;
use std::sync::Arc;

use crate::names;

/// Names with more meanings than that mean nothing.
pub(super) const MOST: usize = 12;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    /// Defined in no file of the scan; the canonical name, if it is Eventlet's.
    External(Arc<str>),
    Module(u32),
    Function(u32, u32),
    Class(u32, u32),
    /// A method with its receiver bound, of a class of the project.
    Method(u32, u32),
    Instance(Rc<Value>),
    /// A collection of these.
    Many(Rc<Value>),
}

/// One meaning of an expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Meaning {
    pub(crate) value: Value,
    /// The names in the project's modules that it came through.
    pub(crate) via: Vec<Arc<str>>,
    /// A caller may have put something else in its place.
    pub(crate) is_guess: bool,
}

impl Meaning {
    pub(crate) fn plain(value: Value) -> Self {
        Self {
            value,
            via: Vec::new(),
            is_guess: false,
        }
    }

    pub(crate) fn external(name: &str) -> Self {
        Self::plain(Value::External(name.into()))
    }

    pub(super) fn external_of(base: &str, name: &str) -> Self {
        Self::plain(Value::External(canonical(&format!("{base}.{name}"))))
    }

    pub(super) fn with(&self, value: Value) -> Self {
        Self {
            value,
            via: self.via.clone(),
            is_guess: self.is_guess,
        }
    }
}

/// Shared, since the answer to one question is the answer to many.
pub(crate) type Meanings = Rc<[Meaning]>;

pub(super) fn one(value: Value) -> Meanings {
    Rc::from([Meaning::plain(value)])
}

pub(super) fn canonical(name: &str) -> Arc<str> {
    if names::is_ours(name) {
        names::canonical(name)
    } else {
        name.into()
    }
}

pub(super) fn instances(meanings: &[Meaning]) -> Meanings {
    meanings
        .iter()
        .filter_map(|meaning| match &meaning.value {
            Value::External(name) if name.starts_with("builtins.") => None,
            Value::External(_) | Value::Class(..) => {
                Some(meaning.with(Value::Instance(Rc::new(meaning.value.clone()))))
            }
            Value::Many(_) | Value::Instance(_) => Some(meaning.clone()),
            _ => None,
        })
        .collect()
}

pub(super) fn elements(meanings: &[Meaning]) -> Meanings {
    meanings
        .iter()
        .filter_map(|meaning| match &meaning.value {
            Value::Many(inner) => Some(meaning.with((**inner).clone())),
            _ => None,
        })
        .collect()
}

pub(super) fn add(found: &mut Vec<Meaning>, meaning: Meaning) {
    if let Some(old) = found.iter_mut().find(|old| old.value == meaning.value) {
        old.is_guess &= meaning.is_guess;
    } else if found.len() <= MOST {
        found.push(meaning);
    }
}

pub(super) fn merge(found: &mut Vec<Meaning>, more: &[Meaning]) {
    for meaning in more {
        add(found, meaning.clone());
    }
}
