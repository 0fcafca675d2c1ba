//! Calls that switch since the process is patched, and what is known of libraries.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    calls: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) rule: String,
    /// The group of `monkey_patch` that makes it green.
    pub(crate) patched: String,
    /// Whether the call itself may switch, or only makes what does.
    pub(crate) switches: bool,
    pub(crate) asyncio: String,
    pub(crate) threads: String,
    symbols: Vec<String>,
}

/// What is known of a name of the standard library or of another library.
pub(crate) fn entry(symbol: &str) -> Option<&'static Entry> {
    static TABLE: OnceLock<Table> = OnceLock::new();
    static BY_SYMBOL: OnceLock<FxHashMap<&'static str, &'static Entry>> = OnceLock::new();
    let by_symbol = BY_SYMBOL.get_or_init(|| {
        let table = TABLE.get_or_init(|| {
            toml::from_str(include_str!("../data/libraries.toml")).expect("a test reads the table")
        });
        let mut found = FxHashMap::default();
        for entry in &table.calls {
            for symbol in &entry.symbols {
                found.insert(symbol.as_str(), entry);
            }
        }
        found
    });
    by_symbol.get(symbol).copied()
}

/// Names of Eventlet whose call may switch.
const SWITCHING: &[&str] = &[
    "eventlet.greenthread.sleep",
    "eventlet.greenthread.kill",
    "eventlet.greenthread.GreenThread.wait",
    "eventlet.greenthread.GreenThread.kill",
    "eventlet.greenpool.GreenPool.spawn",
    "eventlet.greenpool.GreenPool.spawn_n",
    "eventlet.greenpool.GreenPool.waitall",
    "eventlet.greenpool.GreenPool.imap",
    "eventlet.greenpool.GreenPool.starmap",
    "eventlet.greenpool.GreenPile.spawn",
    "eventlet.greenpool.GreenPile.next",
    "eventlet.greenpool.GreenMap.spawn",
    "eventlet.dagpool.DAGPool.wait",
    "eventlet.dagpool.DAGPool.waitall",
    "eventlet.timeout.with_timeout",
    "eventlet.event.Event.wait",
    "eventlet.semaphore.Semaphore.acquire",
    "eventlet.semaphore.Semaphore.__enter__",
    "eventlet.semaphore.BoundedSemaphore.acquire",
    "eventlet.semaphore.BoundedSemaphore.__enter__",
    "eventlet.semaphore.CappedSemaphore.acquire",
    "eventlet.semaphore.CappedSemaphore.__enter__",
    "eventlet.semaphore.CappedSemaphore.release",
    "eventlet.lock.Lock.acquire",
    "eventlet.lock.Lock.__enter__",
    "eventlet.pools.Pool.get",
    "eventlet.pools.Pool.item",
    "eventlet.pools.TokenPool.get",
    "eventlet.convenience.connect",
    "eventlet.convenience.serve",
    "eventlet.tpool.execute",
    "eventlet.hubs.trampoline",
    "eventlet.wsgi.server",
    "eventlet.websocket.WebSocket.wait",
    "eventlet.websocket.WebSocket.send",
    "eventlet.backdoor.backdoor_server",
    "eventlet.asyncio.await_",
];
const SWITCHING_METHODS: &[&str] = &["get", "put", "join"];
const SWITCHING_SOCKET: &[&str] = &[
    "accept",
    "connect",
    "connect_ex",
    "recv",
    "recv_into",
    "recvfrom",
    "recvfrom_into",
    "recvmsg",
    "send",
    "sendall",
    "sendto",
    "sendmsg",
    "sendfile",
    "do_handshake",
    "read",
    "write",
];

/// Whether a call of a name of Eventlet may switch.
pub(crate) fn switches(symbol: &str) -> bool {
    if SWITCHING.contains(&symbol) {
        return true;
    }
    let (owner, name) = symbol.rsplit_once('.').unwrap_or(("", symbol));
    if owner.starts_with("eventlet.queue.") {
        return SWITCHING_METHODS.contains(&name);
    }
    if owner == "eventlet.greenio.base.GreenSocket" {
        return SWITCHING_SOCKET.contains(&name);
    }
    // A green module's function switches where its twin waits.
    if symbol.starts_with("eventlet.green.") {
        let module = crate::safety::standard_module(symbol);
        let green = owner.strip_prefix("eventlet.green.").unwrap_or_default();
        let rest = symbol.strip_prefix("eventlet.green.").unwrap_or_default();
        // The module may have an old name; what follows it is the same.
        let inner = rest.strip_prefix(green.split('.').next().unwrap_or_default());
        let twin = format!("{module}{}", inner.unwrap_or_default());
        let direct = format!("{module}.{name}");
        return entry(&twin)
            .or_else(|| entry(&direct))
            .is_some_and(|entry| entry.switches)
            || symbol == "eventlet.green.time.sleep";
    }
    false
}

/// Functions that run one of their arguments in a green or OS thread: its position.
pub(crate) fn spawned_argument(symbol: &str) -> Option<(usize, &'static str)> {
    Some(match symbol {
        "eventlet.greenthread.spawn"
        | "eventlet.greenthread.spawn_n"
        | "eventlet.greenpool.GreenPool.spawn"
        | "eventlet.greenpool.GreenPool.spawn_n"
        | "eventlet.greenpool.GreenPool.imap"
        | "eventlet.greenpool.GreenPool.starmap"
        | "eventlet.greenpool.GreenPile.spawn"
        | "eventlet.greenpool.GreenMap.spawn"
        | "eventlet.greenthread.GreenThread.link"
        | "eventlet.tpool.execute" => (0, "func"),
        "eventlet.greenthread.spawn_after"
        | "eventlet.greenthread.spawn_after_local"
        | "eventlet.greenthread.call_after_local"
        | "eventlet.greenthread.call_after_global"
        | "eventlet.dagpool.DAGPool.spawn"
        | "eventlet.hubs.timer.Timer" => (1, "func"),
        "threading.Thread" => (1, "target"),
        "threading.Timer" => (1, "function"),
        "concurrent.futures.ThreadPoolExecutor.submit"
        | "futurist.ThreadPoolExecutor.submit"
        | "futurist.GreenThreadPoolExecutor.submit"
        | "_thread.start_new_thread"
        | "asyncio.create_task"
        | "asyncio.ensure_future" => (0, "fn"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        assert!(entry("time.sleep").is_some_and(|entry| entry.switches));
        assert!(entry("threading.Lock").is_some_and(|entry| !entry.switches));
        assert!(entry("time.time").is_none());
    }

    #[test]
    fn green_twins_switch_as_the_standard_ones_wait() {
        assert!(switches("eventlet.green.subprocess.call"));
        assert!(switches("eventlet.green.urllib2.urlopen"));
        assert!(switches("eventlet.green.socket.create_connection"));
        assert!(!switches("eventlet.green.socket.socket"));
        assert!(switches("eventlet.queue.LifoQueue.get"));
        assert!(!switches("eventlet.event.Event.send"));
    }
}
