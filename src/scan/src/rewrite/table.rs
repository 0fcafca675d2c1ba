//! What stands for a name of Eventlet where there is no Eventlet.

use crate::names;
use crate::report::Target;
use crate::safety::standard_module;

/// A name of the standard library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replacement {
    pub(crate) module: String,
    /// Empty where the module itself is meant.
    pub(crate) name: String,
}

impl Replacement {
    pub(crate) fn dotted(&self) -> String {
        if self.name.is_empty() {
            self.module.clone()
        } else {
            format!("{}.{}", self.module, self.name)
        }
    }
}

const THREADS: &[(&str, &str, &str)] = &[
    ("eventlet.greenthread.sleep", "time", "sleep"),
    ("eventlet.queue", "queue", ""),
    ("eventlet.queue.Queue", "queue", "Queue"),
    ("eventlet.queue.LightQueue", "queue", "Queue"),
    ("eventlet.queue.LifoQueue", "queue", "LifoQueue"),
    ("eventlet.queue.PriorityQueue", "queue", "PriorityQueue"),
    ("eventlet.queue.Empty", "queue", "Empty"),
    ("eventlet.queue.Full", "queue", "Full"),
    ("eventlet.semaphore.Semaphore", "threading", "Semaphore"),
    (
        "eventlet.semaphore.BoundedSemaphore",
        "threading",
        "BoundedSemaphore",
    ),
    ("eventlet.lock.Lock", "threading", "Lock"),
    ("eventlet.corolocal.local", "threading", "local"),
    (
        "eventlet.patcher.import_patched",
        "importlib",
        "import_module",
    ),
    ("eventlet.patcher.original", "importlib", "import_module"),
    (
        "eventlet.convenience.connect",
        "socket",
        "create_connection",
    ),
    ("eventlet.convenience.listen", "socket", "create_server"),
];

/// The standard name for a name of Eventlet, if there is one that needs no more than the name.
pub(crate) fn replacement(symbol: &str, target: Target) -> Option<Replacement> {
    if target != Target::Threads {
        return None;
    }
    if let Some((_, module, name)) = THREADS.iter().find(|(from, _, _)| *from == symbol) {
        return Some(Replacement {
            module: (*module).to_owned(),
            name: (*name).to_owned(),
        });
    }
    if symbol.starts_with("eventlet.green.") {
        let module = standard_module(symbol);
        if module.is_empty() {
            return None;
        }
        let mut prefix = symbol;
        while !names::is_module(prefix) {
            prefix = prefix.rsplit_once('.')?.0;
        }
        let rest = symbol[prefix.len()..].trim_start_matches('.');
        return Some(Replacement {
            module,
            name: rest.to_owned(),
        });
    }
    None
}

/// An import statement that binds what a replacement means to a name.
pub(crate) fn import_text(replacement: &Replacement, bound: &str) -> String {
    let Replacement { module, name } = replacement;
    if name.is_empty() {
        return match module.rsplit_once('.') {
            None if module == bound => format!("import {module}"),
            Some((outer, last)) if last == bound => format!("from {outer} import {last}"),
            _ => format!("import {module} as {bound}"),
        };
    }
    // An attribute of what the module has cannot be imported.
    let (first, _) = name.split_once('.').unwrap_or((name, ""));
    if first == bound {
        format!("from {module} import {first}")
    } else {
        format!("from {module} import {first} as {bound}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(symbol: &str) -> String {
        replacement(symbol, Target::Threads).map_or_else(String::new, |r| r.dotted())
    }

    #[test]
    fn green_modules_become_their_twins() {
        assert_eq!(
            threads("eventlet.green.socket.create_connection"),
            "socket.create_connection"
        );
        assert_eq!(
            threads("eventlet.green.urllib2.urlopen"),
            "urllib.request.urlopen"
        );
        assert_eq!(threads("eventlet.green.httplib"), "http.client");
        assert_eq!(threads("eventlet.timeout.Timeout"), "");
    }

    #[test]
    fn imports_keep_the_bound_name() {
        let green = |name: &str| replacement(name, Target::Threads).unwrap();
        assert_eq!(
            import_text(&green("eventlet.green.httplib"), "httplib"),
            "import http.client as httplib"
        );
        assert_eq!(
            import_text(&green("eventlet.green.http.client"), "client"),
            "from http import client"
        );
        assert_eq!(import_text(&green("eventlet.green.os"), "os"), "import os");
        assert_eq!(
            import_text(&green("eventlet.greenthread.sleep"), "zzz"),
            "from time import sleep as zzz"
        );
    }
}
