//! Which files a scan reads.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;

/// Larger ones are data.
const LARGEST: u64 = 32 << 20;
const LARGEST_TEXT: u64 = 2 << 20;

const SKIPPED: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    "node_modules",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".eggs",
];

#[derive(Default)]
pub(crate) struct Found {
    pub(crate) modules: Vec<PathBuf>,
    /// Configuration, deployment and documentation.
    pub(crate) texts: Vec<PathBuf>,
    /// What could not be looked into: a path and why.
    pub(crate) errors: Vec<(PathBuf, String)>,
}

/// Walks folders, as git would see them; a file that is named is read whatever it is called,
/// and a folder that is named although rules above it have git ignore it.
pub(crate) fn discover(paths: &[PathBuf], excluded: &[String]) -> Found {
    let mut found = Found::default();
    for path in paths {
        if path.is_file() {
            match kind_of(path) {
                Some(FileKind::Text) => found.texts.push(path.clone()),
                _ => found.modules.push(path.clone()),
            }
        } else {
            let before = (found.modules.len(), found.texts.len(), found.errors.len());
            walk(path, excluded, true, &mut found);
            if (found.modules.len(), found.texts.len()) == (before.0, before.1) {
                found.errors.truncate(before.2);
                walk(path, excluded, false, &mut found);
            }
        }
    }
    for list in [&mut found.modules, &mut found.texts] {
        list.sort();
        list.dedup();
    }
    found
}

fn walk(root: &Path, excluded: &[String], parents: bool, found: &mut Found) {
    let mut builder = WalkBuilder::new(root);
    builder
        .hidden(false)
        .parents(parents)
        .require_git(false)
        .follow_links(false)
        .filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            let is_skipped = SKIPPED.contains(&&*name) || entry.path().join("pyvenv.cfg").is_file();
            entry.depth() == 0 || !(is_folder && is_skipped)
        });
    if !excluded.is_empty() {
        let mut overrides = OverrideBuilder::new(root);
        for glob in excluded {
            if let Err(error) = overrides.add(&format!("!{glob}")) {
                found
                    .errors
                    .push((root.to_path_buf(), format!("exclude {glob:?}: {error}")));
            }
        }
        if let Ok(overrides) = overrides.build() {
            builder.overrides(overrides);
        }
    }
    for entry in builder.build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                found.errors.push((root.to_path_buf(), error.to_string()));
                continue;
            }
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(size) = entry.metadata().map(|metadata| metadata.len()) else {
            continue;
        };
        let path = entry.path();
        match kind_of(path) {
            Some(FileKind::Module) if size <= LARGEST => found.modules.push(path.to_path_buf()),
            Some(FileKind::Module) => {
                found
                    .errors
                    .push((path.to_path_buf(), "is too large to be a module".into()));
            }
            Some(FileKind::Text) if size <= LARGEST_TEXT => found.texts.push(path.to_path_buf()),
            _ => {}
        }
    }
}

enum FileKind {
    Module,
    Text,
}

fn kind_of(path: &Path) -> Option<FileKind> {
    let name = path.file_name()?.to_string_lossy();
    let extension = path
        .extension()
        .map(|part| part.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("py" | "pyw") => return Some(FileKind::Module),
        Some(
            "ini" | "cfg" | "toml" | "conf" | "service" | "env" | "sh" | "bash" | "yml" | "yaml"
            | "md" | "rst" | "dockerfile" | "properties",
        ) => return Some(FileKind::Text),
        Some("txt" | "in") => {
            let is_list = ["require", "constrain", "deps", "test-req"]
                .iter()
                .any(|part| name.to_ascii_lowercase().contains(part))
                || path
                    .parent()
                    .and_then(Path::file_name)
                    .is_some_and(|folder| folder.to_string_lossy().starts_with("requirements"));
            return is_list.then_some(FileKind::Text);
        }
        _ => {}
    }
    if name.starts_with("Dockerfile")
        || name.starts_with("Containerfile")
        || name.starts_with(".env")
        || matches!(&*name, "Procfile" | "Pipfile" | "Makefile" | "Vagrantfile")
    {
        return Some(FileKind::Text);
    }
    // A program without an extension, by its first line.
    if extension.is_none() && is_script(path) {
        return Some(FileKind::Module);
    }
    None
}

fn is_script(path: &Path) -> bool {
    use std::io::Read;
    let Ok(file) = std::fs::File::open(path) else {
        return false;
    };
    let mut head = Vec::new();
    if file.take(80).read_to_end(&mut head).is_err() || !head.starts_with(b"#!") {
        return false;
    }
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line).contains("python")
}
