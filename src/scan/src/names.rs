//! Eventlet's names: which are one and the same, and what classes offer.
//!
//! The table is made from this project's stubs (`tools/scan_names.py`), so what the scanner
//! looks for is what the product has.

use std::sync::{Arc, OnceLock};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    modules: FxHashSet<String>,
    aliases: FxHashMap<String, String>,
    classes: FxHashMap<String, ClassEntry>,
    names: FxHashMap<String, FxHashSet<String>>,
}

#[derive(Deserialize)]
struct ClassEntry {
    bases: Vec<String>,
    members: FxHashSet<String>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        serde_json::from_str(include_str!("../data/names.json")).expect("a test reads the table")
    })
}

/// What calls give that are worth following.
const RETURNS: &[(&str, &str)] = &[
    (
        "eventlet.greenthread.spawn",
        "eventlet.greenthread.GreenThread",
    ),
    (
        "eventlet.greenthread.spawn_after",
        "eventlet.greenthread.GreenThread",
    ),
    (
        "eventlet.greenthread.spawn_after_local",
        "eventlet.greenthread.GreenThread",
    ),
    (
        "eventlet.greenpool.GreenPool.spawn",
        "eventlet.greenthread.GreenThread",
    ),
    (
        "eventlet.convenience.listen",
        "eventlet.greenio.base.GreenSocket",
    ),
    (
        "eventlet.convenience.connect",
        "eventlet.greenio.base.GreenSocket",
    ),
    (
        "eventlet.convenience.wrap_ssl",
        "eventlet.greenio.base.GreenSocket",
    ),
    ("subprocess.Popen", "subprocess.Popen"),
    ("socket.create_connection", "socket.socket"),
    ("socket.create_server", "socket.socket"),
    ("socket.socketpair", "socket.socket"),
    ("threading.current_thread", "threading.Thread"),
    ("select.poll", "select.poll"),
    ("select.epoll", "select.epoll"),
    ("eventlet.semaphore.Semaphore.__enter__", "builtins.bool"),
];

/// Whether a dotted name lies in Eventlet.
pub(crate) fn is_ours(name: &str) -> bool {
    name == "eventlet" || name.starts_with("eventlet.")
}

pub(crate) fn is_module(name: &str) -> bool {
    table().modules.contains(name)
}

pub(crate) fn is_green_module(name: &str) -> bool {
    name.starts_with("eventlet.green.") && is_module(name)
}

/// The one name of what `name` means.
pub(crate) fn canonical(name: &str) -> Arc<str> {
    let table = table();
    if let Some(target) = table.aliases.get(name) {
        return canonical(target);
    }
    // A part of it may have another name, too: eventlet.convenience.greenthread.spawn.
    if let Some((owner, rest)) = name.rsplit_once('.')
        && is_ours(owner)
    {
        let better = canonical(owner);
        if *better != *owner {
            return canonical(&format!("{better}.{rest}"));
        }
    }
    name.into()
}

pub(crate) fn is_class(name: &str) -> bool {
    table().classes.contains_key(name)
}

/// Whether instances of a class of Eventlet have this attribute.
pub(crate) fn has_member(class: &str, member: &str) -> bool {
    let Some(entry) = table().classes.get(class) else {
        return false;
    };
    // Sockets have whatever the system's have.
    derives(class, "eventlet.greenio.whole.Whole")
        || entry.members.contains(member)
        || entry.members.contains("*") && !member.starts_with('_')
        || entry.bases.iter().any(|base| has_member(base, member))
}

/// Whether a module is known to have a name; green modules have all those of their twins.
pub(crate) fn has_name(module: &str, name: &str) -> bool {
    module.starts_with("eventlet.green.")
        || table()
            .names
            .get(module)
            .is_some_and(|names| names.contains(name))
}

/// The public names that `from module import *` gives.
pub(crate) fn star(module: &str, name: &str) -> bool {
    !name.starts_with('_')
        && table()
            .names
            .get(module)
            .is_some_and(|names| names.contains(name))
}

/// The class of what a call of `name` gives.
pub(crate) fn returned(name: &str) -> Option<Arc<str>> {
    RETURNS
        .iter()
        .find(|(called, _)| *called == name)
        .map(|(_, class)| (*class).into())
}

/// Whether a class of Eventlet is another, or derives from it.
pub(crate) fn derives(class: &str, base: &str) -> bool {
    class == base
        || table()
            .classes
            .get(class)
            .is_some_and(|entry| entry.bases.iter().any(|parent| derives(parent, base)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_fold_to_the_defining_module() {
        assert_eq!(&*canonical("eventlet.sleep"), "eventlet.greenthread.sleep");
        assert_eq!(&*canonical("eventlet.Timeout"), "eventlet.timeout.Timeout");
        assert_eq!(&*canonical("eventlet.coros.Event"), "eventlet.event.Event");
        assert_eq!(
            &*canonical("eventlet.convenience.greenthread.spawn"),
            "eventlet.greenthread.spawn"
        );
        assert_eq!(
            &*canonical("eventlet.green.time.sleep"),
            "eventlet.green.time.sleep"
        );
    }

    #[test]
    fn members_are_inherited() {
        assert!(has_member("eventlet.queue.LifoQueue", "get"));
        assert!(has_member("eventlet.greenpool.GreenPool", "waitall"));
        assert!(!has_member("eventlet.greenpool.GreenPool", "nonsense"));
    }
}
