//! What runs have shown, joined with what sources say.

use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;
use serde_json::json;

use crate::finding::{Finding, Kind};

#[derive(Deserialize)]
struct Document {
    evidence: u32,
    #[serde(default)]
    root: Option<String>,
    #[serde(default)]
    sites: Vec<Site>,
    #[serde(default)]
    calls: Vec<(String, String)>,
    #[serde(default)]
    executed: Option<Vec<Executed>>,
}

#[derive(Deserialize)]
struct Site {
    path: String,
    line: u32,
    #[serde(default)]
    function: String,
    #[serde(default)]
    switches: u64,
    #[serde(default)]
    longest_wait: f64,
    #[serde(default)]
    tests: Vec<String>,
}

#[derive(Deserialize)]
struct Executed {
    path: String,
    name: String,
}

#[derive(Default)]
struct Seen {
    switches: u64,
    longest_wait: f64,
    tests: FxHashSet<String>,
}

#[derive(Default)]
pub(crate) struct Evidence {
    sites: FxHashMap<(PathBuf, u32), Seen>,
    executed: FxHashSet<(PathBuf, String)>,
    knows_executed: bool,
    /// Functions that were seen to switch, and who called them when they did.
    pub(crate) switching: FxHashSet<String>,
    pub(crate) calls: Vec<(String, String)>,
}

/// A qualified name as evidence writes it.
pub(crate) fn plain(name: &str) -> String {
    name.replace("<locals>.", "")
}

impl Evidence {
    pub(crate) fn read(files: &[PathBuf], folder: &Path) -> Result<Option<Self>, String> {
        if files.is_empty() {
            return Ok(None);
        }
        let mut all = Self {
            knows_executed: true,
            ..Self::default()
        };
        for file in files {
            let file = folder.join(file);
            let text = std::fs::read_to_string(&file)
                .map_err(|error| format!("{}: {error}", file.display()))?;
            let document: Document = serde_json::from_str(&text)
                .map_err(|error| format!("{} is no evidence: {error}", file.display()))?;
            if document.evidence != 1 {
                return Err(format!(
                    "{} is evidence of version {}; this version reads 1",
                    file.display(),
                    document.evidence
                ));
            }
            let root = document
                .root
                .map_or_else(|| folder.to_path_buf(), PathBuf::from);
            let full = |path: &str| {
                let path = root.join(path);
                std::fs::canonicalize(&path).unwrap_or(path)
            };
            for site in document.sites {
                let seen = all.sites.entry((full(&site.path), site.line)).or_default();
                seen.switches += site.switches;
                seen.longest_wait = seen.longest_wait.max(site.longest_wait);
                seen.tests.extend(site.tests);
                all.switching.insert(plain(&site.function));
            }
            all.calls.extend(document.calls);
            match document.executed {
                Some(executed) => {
                    for one in executed {
                        all.executed.insert((full(&one.path), plain(&one.name)));
                    }
                }
                None => all.knows_executed = false,
            }
        }
        Ok(Some(all))
    }

    /// Marks each finding with what is known of it.
    pub(crate) fn mark(&self, findings: &mut [Finding], folder: &Path) {
        for finding in findings {
            if !matches!(finding.kind, Kind::Use | Kind::Wrapper | Kind::Implicit) {
                continue;
            }
            let path = folder.join(&finding.path);
            let seen = (finding.line..=finding.end_line)
                .find_map(|line| self.sites.get(&(path.clone(), line)));
            finding.evidence = Some(match seen {
                Some(seen) => json!({
                    "state": "switching",
                    "switches": seen.switches,
                    "longest_wait": seen.longest_wait,
                    "tests": seen.tests.len(),
                }),
                None if !self.knows_executed => json!({"state": "not seen"}),
                None => {
                    let name = plain(&finding.function);
                    let is_executed = self.executed.iter().any(|(file, other)| {
                        *file == path && (*other == name || other.rsplit(':').next() == Some(&name))
                    });
                    let state = if is_executed {
                        "executed, never switched"
                    } else {
                        "never executed"
                    };
                    json!({"state": state})
                }
            });
        }
    }
}
