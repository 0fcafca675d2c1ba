//! The rules, from one data file that the documentation is made of, too.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Safety {
    Safe,
    Unsafe,
    Manual,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) title: String,
    pub(crate) asyncio: Safety,
    pub(crate) threads: Safety,
    /// What must be patched wherever the line runs for the change to threads to be safe.
    #[serde(default)]
    pub(crate) patched: String,
    #[serde(default)]
    pub(crate) symbols: Vec<String>,
    /// Why it matters, and what is special.
    #[serde(default)]
    pub(crate) why: String,
    #[serde(default)]
    pub(crate) before: String,
    #[serde(default, rename = "asyncio-way")]
    pub(crate) asyncio_way: String,
    #[serde(default, rename = "asyncio-after")]
    pub(crate) asyncio_after: String,
    #[serde(default, rename = "threads-way")]
    pub(crate) threads_way: String,
    #[serde(default, rename = "threads-after")]
    pub(crate) threads_after: String,
}

pub(crate) fn all() -> &'static BTreeMap<String, Rule> {
    static RULES: OnceLock<BTreeMap<String, Rule>> = OnceLock::new();
    RULES.get_or_init(|| {
        toml::from_str(include_str!("../data/rules.toml")).expect("a test reads the rules")
    })
}

pub(crate) fn get(id: &str) -> &'static Rule {
    all().get(id).expect("only rules of the table are found")
}

/// The lasting text of a rule's name.
pub(crate) fn id(name: &str) -> &'static str {
    all().get_key_value(name).map_or("EV001", |(id, _)| id)
}

/// The name of a rule, for ever.
pub(crate) type Id = &'static str;

/// Rules in the cache: by name, and read as the lasting text.
pub(crate) mod by_id {
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(crate) fn serialize<S: Serializer>(rule: &&'static str, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(rule)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<&'static str, D::Error> {
        <&str>::deserialize(from).map(super::id)
    }
}

/// The rule of a name of Eventlet, wherever it stands.
pub(crate) fn of_symbol(symbol: &str) -> &'static str {
    static EXACT: OnceLock<FxHashMap<&'static str, &'static str>> = OnceLock::new();
    let exact = EXACT.get_or_init(|| {
        let mut found = FxHashMap::default();
        for (id, rule) in all() {
            for symbol in &rule.symbols {
                found.insert(symbol.as_str(), id.as_str());
            }
        }
        found
    });
    if let Some(rule) = exact.get(symbol) {
        return rule;
    }
    let mut prefix = symbol;
    while let Some((outer, _)) = prefix.rsplit_once('.') {
        if let Some(rule) = exact.get(format!("{outer}.*").as_str()) {
            return rule;
        }
        prefix = outer;
    }
    "EV199"
}

/// Whether a rule is meant by a word: its name, the beginning of it, or a group.
pub(crate) fn is_meant(id: &str, word: &str) -> bool {
    let word = word.to_ascii_uppercase();
    if word == "ALL" {
        return true;
    }
    if let Some(group) = GROUPS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(&word))
    {
        return group.1.contains(&id);
    }
    word.len() >= 3 && word.starts_with("EV") && id.starts_with(&word)
}

/// Names for rules that change together.
pub(crate) const GROUPS: &[(&str, &[&str])] = &[
    ("sleep", &["EV101", "EV102"]),
    ("spawn", &["EV110", "EV111", "EV112", "EV113", "EV114"]),
    ("pools", &["EV120", "EV121", "EV122", "EV143"]),
    ("timeout", &["EV130", "EV131", "EV132"]),
    ("sync", &["EV140", "EV141", "EV142"]),
    ("green", &["EV150", "EV151", "EV152"]),
    ("sockets", &["EV172"]),
    ("tpool", &["EV180"]),
    (
        "implicit",
        &[
            "EV201", "EV202", "EV203", "EV204", "EV205", "EV206", "EV207", "EV208", "EV209",
            "EV210", "EV220",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_says_why() {
        for (id, rule) in all() {
            assert!(rule.why.ends_with('\n'), "{id} has no text");
            if id.starts_with("EV1") && !matches!(id.as_str(), "EV198" | "EV199") {
                for part in [&rule.before, &rule.asyncio_after, &rule.threads_after] {
                    assert!(part.ends_with('\n'), "{id} lacks an example");
                }
            }
        }
    }

    #[test]
    fn each_symbol_exists() {
        for (id, rule) in all() {
            for symbol in &rule.symbols {
                let name = symbol.trim_end_matches(".*");
                let (owner, last) = name.rsplit_once('.').unwrap_or(("", name));
                assert!(
                    crate::names::is_module(name)
                        || crate::names::is_class(name)
                        || crate::names::has_name(owner, last),
                    "{id} is about {symbol}, which does not exist"
                );
            }
        }
    }

    #[test]
    fn names_find_their_rules() {
        for (symbol, rule) in [
            ("eventlet.greenthread.sleep", "EV102"),
            ("eventlet.greenpool.GreenPool", "EV120"),
            ("eventlet.greenpool.GreenPool.spawn_n", "EV121"),
            ("eventlet.queue.Queue.get", "EV140"),
            ("eventlet.green.socket.socket", "EV151"),
            ("eventlet.version_info", "EV199"),
            ("eventlet.wsgi.server", "EV170"),
        ] {
            assert_eq!(of_symbol(symbol), rule, "{symbol}");
        }
    }
}
