//! The files of a scan, as modules that import each other.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::cache::Stored;
use crate::extract::extract;
use crate::facts::{BindingKind, Facts, NONE};
use crate::names;
use crate::outline::Outline;
use crate::source::decode;

pub(crate) struct Module {
    /// As given to the user: relative to where the scan was started, if it lies there.
    pub(crate) path: String,
    pub(crate) file: PathBuf,
    /// The name that it is imported by.
    pub(crate) name: String,
    pub(crate) is_package: bool,
    pub(crate) is_test: bool,
    /// A command of the project starts here.
    pub(crate) is_entry: bool,
    pub(crate) outline: Outline,
    facts: OnceLock<Facts>,
    /// Where the facts can be read from when they are asked for.
    stored: Option<Stored>,
}

impl Module {
    pub(crate) fn new(path: String, file: PathBuf, (name, is_package): (String, bool)) -> Self {
        Self {
            is_test: is_test(&path),
            path,
            file,
            name,
            is_package,
            is_entry: false,
            outline: Outline::default(),
            facts: OnceLock::new(),
            stored: None,
        }
    }

    /// Reads a text as that of the module.
    pub(crate) fn read(&mut self, text: &str) {
        let facts = extract(text);
        self.outline = Outline::new(text, &facts);
        self.facts = facts.into();
    }

    /// Takes what an earlier scan has found.
    pub(crate) fn recall(&mut self, outline: Outline, stored: Stored) {
        self.outline = outline;
        self.stored = Some(stored);
    }

    pub(crate) fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| {
            let stored = self.stored.as_ref().and_then(Stored::load);
            // The cache is damaged: the file itself is still there.
            stored.unwrap_or_else(|| {
                let text = std::fs::read(&self.file)
                    .ok()
                    .and_then(|bytes| decode(&bytes).ok());
                extract(&text.unwrap_or_default())
            })
        })
    }

    /// `module:qualname` of a function; `<module>` outside of all.
    pub(crate) fn qualname(&self, function: u32, class: u32) -> String {
        if let Some(function) = self.outline.functions.get(function as usize) {
            return function.qualname.to_string();
        }
        match self.outline.classes.get(class as usize) {
            Some(class) => class.to_string(),
            None => "<module>".to_owned(),
        }
    }

    /// The absolute name that an import in this module means.
    pub(crate) fn absolute(&self, level: u32, module: &str) -> String {
        if level == 0 {
            return module.to_owned();
        }
        let mut parts: Vec<&str> = self.name.split('.').collect();
        let up = level as usize - usize::from(self.is_package);
        parts.truncate(parts.len().saturating_sub(up));
        if !module.is_empty() {
            parts.push(module);
        }
        parts.join(".")
    }
}

pub(crate) struct Project {
    pub(crate) modules: Vec<Module>,
    by_name: FxHashMap<String, Vec<(u8, u32)>>,
}

impl Project {
    pub(crate) fn new(modules: Vec<Module>) -> Self {
        let mut by_name: FxHashMap<String, Vec<(u8, u32)>> = FxHashMap::default();
        for (id, module) in modules.iter().enumerate() {
            by_name
                .entry(module.name.clone())
                .or_default()
                .push((0, id as u32));
            // Folders above that have no __init__ may be namespace packages.
            let depth = module.name.split('.').count();
            let mut folder = module.file.as_path();
            for _ in 0..depth + usize::from(module.is_package) {
                folder = folder.parent().unwrap_or(Path::new(""));
            }
            let mut name = module.name.clone();
            let mut weight = 1;
            while let Some(part) = folder.file_name().and_then(|part| part.to_str())
                && weight < 6
            {
                name = format!("{part}.{name}");
                by_name
                    .entry(name.clone())
                    .or_default()
                    .push((weight, id as u32));
                weight += 1;
                folder = folder.parent().unwrap_or(Path::new(""));
            }
        }
        for found in by_name.values_mut() {
            found.sort_unstable();
        }
        Self { modules, by_name }
    }

    /// The module of this name that `from` would import.
    pub(crate) fn find(&self, name: &str, from: u32) -> Option<u32> {
        if names::is_ours(name) {
            return None;
        }
        let found = self.by_name.get(name)?;
        let best = found.first()?.0;
        if found.get(1).is_none_or(|(weight, _)| *weight != best) {
            return found.first().map(|(_, id)| *id);
        }
        let own = &self.modules[from as usize].file;
        let common = |id: u32| {
            let other = &self.modules[id as usize].file;
            own.components()
                .zip(other.components())
                .take_while(|(a, b)| a == b)
                .count()
        };
        found
            .iter()
            .filter(|(weight, _)| *weight == best)
            // Of several the nearest; the first of those, so that the answer is always the same.
            .max_by_key(|(_, id)| (common(*id), std::cmp::Reverse(*id)))
            .map(|(_, id)| *id)
    }

    /// Whether some module lies in a package of this name.
    pub(crate) fn has_package(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The modules that a module imports, at any time.
    pub(crate) fn imports(&self, id: u32) -> Vec<u32> {
        let module = &self.modules[id as usize];
        let facts = module.facts();
        let mut found = FxHashSet::default();
        let mut seen: FxHashSet<String> = FxHashSet::default();
        let mut add = |name: &str| {
            if !seen.insert(name.to_owned()) {
                return;
            }
            // Importing a module imports the packages around it.
            let mut end = 0;
            for part in name.split('.') {
                end += part.len() + usize::from(end > 0);
                if let Some(target) = self.find(&name[..end], id)
                    && target != id
                {
                    found.insert(target);
                }
            }
        };
        for binding in &facts.bindings {
            match &binding.kind {
                BindingKind::Import { module: name, .. } => add(facts.text(*name)),
                BindingKind::From {
                    level,
                    module: base,
                    name,
                } => {
                    let base = module.absolute(*level, facts.text(*base));
                    add(&format!("{base}.{}", facts.text(*name)));
                }
                _ => {}
            }
        }
        for star in &facts.stars {
            add(&module.absolute(star.level, facts.text(star.module)));
        }
        let mut found: Vec<u32> = found.into_iter().collect();
        found.sort_unstable();
        found
    }

    pub(crate) fn is_async(&self, (module, function): (u32, u32)) -> bool {
        self.modules[module as usize].outline.is_async(function)
    }

    pub(crate) fn function_name(&self, module: u32, function: u32) -> String {
        let module = &self.modules[module as usize];
        format!("{}:{}", module.name, module.qualname(function, NONE))
    }
}

/// Folders, and whether each is a package.
#[derive(Default)]
pub(crate) struct Packages(FxHashMap<PathBuf, bool>);

impl Packages {
    fn has(&mut self, folder: &Path) -> bool {
        if let Some(&known) = self.0.get(folder) {
            return known;
        }
        let is_package = folder.join("__init__.py").is_file();
        self.0.insert(folder.to_path_buf(), is_package);
        is_package
    }

    /// The name that a file is imported by, from the packages around it.
    pub(crate) fn module_name(&mut self, file: &Path) -> (String, bool) {
        let stem = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let is_package = stem == "__init__";
        let mut parts = Vec::new();
        if !is_package {
            parts.push(stem);
        }
        let mut folder = file.parent();
        while let Some(at) = folder
            && self.has(at)
            && let Some(part) = at.file_name().and_then(|part| part.to_str())
        {
            parts.push(part);
            folder = at.parent();
        }
        parts.reverse();
        (parts.join("."), is_package)
    }
}

/// Whether a file holds tests, by the names that test runners look for.
pub(crate) fn is_test(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or_default();
    file.starts_with("test_")
        || file.ends_with("_test.py")
        || file == "conftest.py"
        || parts.any(|part| part == "test" || part == "tests" || part == "testing")
}
