//! Commands that a project installs, and the modules that they start in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::project::Project;

/// Commands by name, each with its module.
pub(crate) type Scripts = BTreeMap<String, String>;

/// Reads what `pyproject.toml` and `setup.cfg` say; what cannot be read says nothing.
pub(crate) fn find<'f>(files: impl Iterator<Item = &'f Path>) -> Scripts {
    let mut found = Scripts::new();
    for file in files {
        let text = || std::fs::read_to_string(file).unwrap_or_default();
        match file.file_name().and_then(|name| name.to_str()) {
            Some("pyproject.toml") => of_toml(&text(), &mut found),
            Some("setup.cfg") => of_cfg(&text(), &mut found),
            _ => {}
        }
    }
    found
}

/// Marks the modules that commands start in.
pub(crate) fn mark(project: &mut Project, scripts: &Scripts) {
    let entries: Vec<u32> = scripts
        .values()
        .filter_map(|module| project.find(module, 0))
        .collect();
    for id in entries {
        project.modules[id as usize].is_entry = true;
    }
}

fn add(name: &str, target: &str, found: &mut Scripts) {
    let module = target.split([':', '[', ' ']).next().unwrap_or_default();
    if !module.is_empty() {
        found.insert(name.to_owned(), module.to_owned());
    }
}

fn of_toml(text: &str, found: &mut Scripts) {
    let Ok(table) = toml::from_str::<toml::Table>(text) else {
        return;
    };
    let get = |path: &[&str]| {
        let mut at = toml::Value::Table(table.clone());
        for part in path {
            at = at.get(part)?.clone();
        }
        Some(at)
    };
    for path in [
        &["project", "scripts"][..],
        &["project", "gui-scripts"],
        &["project", "entry-points", "console_scripts"],
        &["tool", "poetry", "scripts"],
    ] {
        if let Some(toml::Value::Table(scripts)) = get(path) {
            for (name, target) in &scripts {
                if let Some(target) = target.as_str() {
                    add(name, target, found);
                }
            }
        }
    }
}

/// `console_scripts =` with lines of `name = module:function` below, in any section.
fn of_cfg(text: &str, found: &mut Scripts) {
    let mut is_inside = false;
    for line in text.lines() {
        let is_indented = line.starts_with([' ', '\t']);
        if !is_indented {
            let key = line.split('=').next().unwrap_or_default().trim();
            is_inside = matches!(key, "console_scripts" | "gui_scripts" | "wsgi_scripts");
            continue;
        }
        if is_inside
            && !line.trim_start().starts_with(['#', ';'])
            && let Some((name, target)) = line.split_once('=')
        {
            add(name.trim(), target.trim(), found);
        }
    }
}

/// Which of the files of a scan may name commands.
pub(crate) fn paths<T>(texts: &[(PathBuf, T)]) -> impl Iterator<Item = &Path> {
    texts.iter().map(|(path, _)| path.as_path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_both_files() {
        let mut found = Scripts::new();
        of_toml(
            "[project.scripts]\na = 'app.main:run'\n[tool.poetry.scripts]\nb = 'b:c'\n",
            &mut found,
        );
        let cfg = "[entry_points]\nconsole_scripts =\n  c = app.cmd.c:main\n  # d = e:f\n";
        of_cfg(&format!("{cfg}paste =\n  x = y:z\n"), &mut found);
        of_toml("[broken", &mut found);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(name, module)| (name.as_str(), module.as_str()))
            .collect();
        let expected = [("a", "app.main"), ("b", "b"), ("c", "app.cmd.c")];
        assert_eq!(found, expected);
    }
}
