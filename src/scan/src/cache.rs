//! Facts of files from scans before, by the contents of the files.
//!
//! One file holds them all: reading it is one system call, and whoever deletes it loses nothing.

use std::hash::Hasher;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::extract::extract;
use crate::facts::{FORMAT, Facts};
use crate::source::decode;

#[derive(Serialize, Deserialize, Default)]
struct Index {
    stamp: String,
    /// Hash of a file's contents, and where its facts begin and end.
    entries: Vec<((u64, u64), u64, u64)>,
}

type Digest = (u64, u64);
/// For each file of the cache where its facts begin and end.
type Known = FxHashMap<Digest, (u64, u64)>;
type Loaded = (PathBuf, Facts, Option<String>);
/// A file, its digest if it could be read, and whether its facts need not be kept anew.
type Outcome = (Loaded, Option<Digest>, bool);

/// Reads all files; only what has changed is parsed.
pub(crate) fn load_all(files: &[PathBuf], cache: &Path, problems: &mut Vec<String>) -> Vec<Loaded> {
    let stored = std::fs::read(cache).unwrap_or_default();
    let (index, blob) = open(&stored);
    let known: Known = index
        .entries
        .iter()
        .map(|(hash, start, end)| (*hash, (*start, *end)))
        .collect();
    let results: Vec<Outcome> = files
        .par_iter()
        .map(|file| {
            let bytes = match std::fs::read(file) {
                Ok(bytes) => bytes,
                Err(error) => {
                    let problem = format!("cannot be read: {error}");
                    return ((file.clone(), extract(""), Some(problem)), None, true);
                }
            };
            let hash = digest(&bytes);
            if let Some((start, end)) = known.get(&hash)
                && let Some(part) = blob.get(*start as usize..*end as usize)
                && let Ok(facts) = postcard::from_bytes::<Facts>(part)
            {
                return ((file.clone(), facts, None), Some(hash), true);
            }
            match decode(&bytes) {
                Ok(text) => ((file.clone(), extract(&text), None), Some(hash), false),
                Err(error) => (
                    (file.clone(), extract(""), Some(error.to_string())),
                    None,
                    true,
                ),
            }
        })
        .collect();
    let is_changed = results
        .iter()
        .any(|(_, hash, cached)| hash.is_some() && !cached);
    if is_changed && let Err(error) = store(&results, &known, blob, cache) {
        problems.push(format!(
            "{}: the cache cannot be written: {error}",
            cache.display()
        ));
    }
    results.into_iter().map(|(loaded, _, _)| loaded).collect()
}

fn stamp() -> String {
    format!("eventlet-scan {} {FORMAT}", env!("CARGO_PKG_VERSION"))
}

fn open(stored: &[u8]) -> (Index, &[u8]) {
    if let Ok((index, blob)) = postcard::take_from_bytes::<Index>(stored)
        && index.stamp == stamp()
    {
        return (index, blob);
    }
    (Index::default(), &[])
}

fn store(results: &[Outcome], known: &Known, old: &[u8], cache: &Path) -> std::io::Result<()> {
    let encoded: Vec<Option<Vec<u8>>> = results
        .par_iter()
        .map(|((_, facts, _), hash, cached)| {
            (hash.is_some() && !cached).then(|| postcard::to_allocvec(facts).unwrap_or_default())
        })
        .collect();
    let mut index = Index {
        stamp: stamp(),
        entries: Vec::new(),
    };
    let mut blob: Vec<u8> = Vec::with_capacity(old.len());
    for ((_, hash, _), new) in results.iter().zip(&encoded) {
        let Some(hash) = hash else { continue };
        let start = blob.len() as u64;
        match (new, known.get(hash)) {
            (Some(new), _) => blob.extend(new),
            (None, Some((from, to))) => blob.extend(&old[*from as usize..*to as usize]),
            (None, None) => continue,
        }
        index.entries.push((*hash, start, blob.len() as u64));
    }
    let mut bytes = postcard::to_allocvec(&index).unwrap_or_default();
    bytes.extend(blob);
    if let Some(folder) = cache.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Another scan may read it at this moment.
    let partial = cache.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&partial, bytes)?;
    std::fs::rename(&partial, cache)
}

fn digest(bytes: &[u8]) -> (u64, u64) {
    let mut one = std::hash::DefaultHasher::new();
    let mut other = std::hash::DefaultHasher::new();
    other.write_u64(0x9e37_79b9_7f4a_7c15);
    for part in bytes.chunks(1 << 16) {
        one.write(part);
        other.write(part);
    }
    (one.finish(), other.finish())
}
