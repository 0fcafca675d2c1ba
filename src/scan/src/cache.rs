//! What scans before have found out, so that the next one looks at what has changed only.
//!
//! Two files. The index has for each file of the scan how it looked (size and times), a hash of
//! its contents, its outline and its part; it is written anew when something has changed. The
//! other has the facts, by far the most; new ones are added at its end, and only those that are
//! asked for are read. Whoever deletes either loses nothing but time.
//!
//! A file that was written at the moment of a scan may change again without looking different:
//! of such a file the looks are not kept, and its contents are compared the next time.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::outline::Outline;
use crate::part::Part;
use crate::project::Module;
use crate::source::decode;
use crate::texts::{self, TextHit};

type Digest = (u64, u64);
/// Begin and end of something in a file.
type Place = (u64, u64);

/// Clocks of file systems are coarse, those of other machines may differ.
const DOUBTFUL: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize, Default)]
struct Index {
    stamp: String,
    folder: PathBuf,
    /// Which file of facts belongs to it.
    generation: u64,
    modules: Vec<Entry>,
    texts: Vec<TextEntry>,
}

#[derive(Serialize, Deserialize, Clone)]
struct Entry {
    path: PathBuf,
    looks: Option<Looks>,
    digest: Digest,
    problem: Option<String>,
    facts: Place,
    sum: u64,
    outline: Place,
    part: Place,
}

#[derive(Serialize, Deserialize)]
struct TextEntry {
    path: PathBuf,
    looks: Option<Looks>,
    hits: Vec<TextHit>,
}

/// What tells that a file was written to, short of reading it.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
struct Looks {
    size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Looks {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            size: metadata.size(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Itself, if a later change is sure to be seen in it.
    fn lasting(self, started: SystemTime) -> Option<Self> {
        let limit = started
            .checked_sub(DOUBTFUL)?
            .duration_since(UNIX_EPOCH)
            .ok()?
            .as_secs() as i64;
        (self.modified.0 < limit && self.changed.0 < limit).then_some(self)
    }
}

/// Facts that lie in a file.
pub(crate) struct Stored {
    file: Arc<File>,
    place: Place,
    sum: u64,
}

impl Stored {
    fn bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.place.1 - self.place.0).ok()?];
        self.file.read_exact_at(&mut bytes, self.place.0).ok()?;
        (checksum(&bytes) == self.sum).then_some(bytes)
    }

    pub(crate) fn load(&self) -> Option<Facts> {
        postcard::from_bytes(&self.bytes()?).ok()
    }
}

/// How a module of the scan compares with the cache.
enum State {
    /// As entry number so-and-so.
    Kept(usize),
    /// New here, with the contents that an entry had elsewhere.
    Moved(usize),
    New,
}

/// What was read.
pub(crate) struct Loaded {
    pub(crate) modules: Vec<Module>,
    /// The parts that are known; those of changed files are empty.
    pub(crate) parts: Option<Vec<Part>>,
    /// Whose contents have changed, and whose interface has.
    pub(crate) changed: Vec<(bool, bool)>,
    pub(crate) unreadable: Vec<(u32, String)>,
    pub(crate) texts: Vec<(PathBuf, Vec<TextHit>)>,
    pub(crate) cache: Option<Cache>,
}

/// What is needed to write the cache anew.
pub(crate) struct Cache {
    path: PathBuf,
    folder: PathBuf,
    old: Index,
    /// The bytes after the old index.
    blob: Vec<u8>,
    facts: Option<Arc<File>>,
    states: Vec<State>,
    digests: Vec<(Option<Looks>, Digest)>,
    text_looks: Vec<Option<Looks>>,
    is_current: bool,
}

fn stamp() -> String {
    concat!("eventlet-scan ", env!("SCAN_SOURCES")).to_owned()
}

fn facts_file(cache: &Path) -> PathBuf {
    cache.with_extension("facts")
}

/// Reads what there is; anything odd about it, and there is nothing.
fn open(cache: &Path) -> Option<(Index, Vec<u8>, Arc<File>)> {
    let stored = std::fs::read(cache).ok()?;
    let (sum, rest) = stored.split_at_checked(8)?;
    if checksum(rest).to_le_bytes() != *sum {
        return None;
    }
    let (index, blob) = postcard::take_from_bytes::<Index>(rest).ok()?;
    if index.stamp != stamp() {
        return None;
    }
    let file = File::open(facts_file(cache)).ok()?;
    let mut head = [0; 8];
    (&file).read_exact(&mut head).ok()?;
    if u64::from_le_bytes(head) != index.generation {
        return None;
    }
    let blob = blob.to_vec();
    Some((index, blob, Arc::new(file)))
}

fn part_of<T: for<'d> Deserialize<'d>>(blob: &[u8], place: Place) -> Option<T> {
    let bytes = blob.get(place.0 as usize..place.1 as usize)?;
    postcard::from_bytes(bytes).ok()
}

/// A module, how it looks, what it contains, and why it cannot be read.
type FileRead = (State, Option<Looks>, Digest, Option<String>);

/// Reads all files; only what has changed is parsed.
pub(crate) fn load(
    mut modules: Vec<Module>,
    text_files: &[PathBuf],
    cache: Option<&Path>,
    folder: &Path,
    started: SystemTime,
) -> Loaded {
    let (old, blob, facts) = match cache.and_then(open) {
        Some((index, blob, file)) => (index, blob, Some(file)),
        None => (Index::default(), Vec::new(), None),
    };
    let by_path: FxHashMap<&Path, usize> = (old.modules.iter().enumerate())
        .map(|(at, entry)| (entry.path.as_path(), at))
        .collect();
    let by_digest: FxHashMap<Digest, usize> = (old.modules.iter().enumerate())
        .map(|(at, entry)| (entry.digest, at))
        .collect();
    let read: Vec<FileRead> = modules
        .par_iter_mut()
        .map(|module| {
            let looks = Looks::of(&module.file);
            let known = by_path.get(module.file.as_path()).copied();
            if let Some(at) = known
                && looks.is_some()
                && old.modules[at].looks == looks
            {
                let entry = &old.modules[at];
                let problem = entry.problem.clone();
                return (State::Kept(at), looks, entry.digest, problem);
            }
            let (bytes, problem) = match std::fs::read(&module.file) {
                Ok(bytes) => (bytes, None),
                Err(error) => (Vec::new(), Some(format!("cannot be read: {error}"))),
            };
            let digest = digest(&bytes, problem.as_deref());
            let looks = looks.and_then(|looks| looks.lasting(started));
            if let Some(at) = known
                && old.modules[at].digest == digest
            {
                let problem = old.modules[at].problem.clone();
                return (State::Kept(at), looks, digest, problem);
            }
            if let Some(&at) = by_digest.get(&digest) {
                let problem = old.modules[at].problem.clone();
                return (State::Moved(at), looks, digest, problem);
            }
            let problem = match (problem, decode(&bytes)) {
                (None, Ok(text)) => {
                    module.read(&text);
                    None
                }
                (problem, decoded) => {
                    module.read("");
                    problem.or_else(|| decoded.err().map(|error| error.to_string()))
                }
            };
            (State::New, looks, digest, problem)
        })
        .collect();
    let is_same = old.folder == *folder
        && old.modules.len() == modules.len()
        && (old.modules.iter().zip(&modules)).all(|(entry, module)| entry.path == module.file);
    // Outlines of what has not changed, and of what was there before where it has.
    let recalled: Vec<(Option<Outline>, Option<Part>)> = read
        .par_iter()
        .enumerate()
        .map(|(id, (state, ..))| match state {
            State::Kept(at) => {
                let entry = &old.modules[*at];
                let part = if is_same {
                    part_of(&blob, entry.part)
                } else {
                    None
                };
                (part_of(&blob, entry.outline), part)
            }
            State::Moved(at) => (part_of(&blob, old.modules[*at].outline), None),
            State::New if is_same => (part_of(&blob, old.modules[id].outline), None),
            State::New => (None, None),
        })
        .collect();
    let mut changed = Vec::with_capacity(modules.len());
    let mut parts = Vec::with_capacity(modules.len());
    let (mut states, mut digests) = (Vec::new(), Vec::new());
    let mut unreadable = Vec::new();
    let mut is_whole = is_same;
    let mut is_current = is_same && facts.is_some();
    for (id, ((state, looks, digest, problem), (outline, part))) in
        read.into_iter().zip(recalled).enumerate()
    {
        let module = &mut modules[id];
        match &state {
            State::Kept(at) | State::Moved(at) => {
                let entry = &old.modules[*at];
                let is_kept = matches!(state, State::Kept(_));
                let before = if is_kept || !is_same {
                    None
                } else {
                    part_of::<Outline>(&blob, old.modules[id].outline)
                };
                is_whole &= outline.is_some() && (part.is_some() || !is_kept);
                is_current &= is_kept && entry.looks == looks;
                if let (Some(outline), Some(file)) = (outline, &facts) {
                    let is_other = before.map(|before| before.interface != outline.interface);
                    changed.push((!is_kept, !is_kept && is_other.unwrap_or(true)));
                    let stored = Stored {
                        file: file.clone(),
                        place: entry.facts,
                        sum: entry.sum,
                    };
                    module.recall(outline, stored);
                } else {
                    // It cannot be read after all.
                    let text = std::fs::read(&module.file)
                        .ok()
                        .and_then(|bytes| decode(&bytes).ok());
                    module.read(&text.unwrap_or_default());
                    changed.push((true, true));
                }
            }
            State::New => {
                let is_other =
                    outline.is_none_or(|before| before.interface != module.outline.interface);
                changed.push((true, is_other));
                is_current = false;
            }
        }
        parts.push(part.unwrap_or_default());
        states.push(state);
        digests.push((looks, digest));
        if let Some(problem) = problem {
            unreadable.push((id as u32, problem));
        }
    }
    let (texts, text_looks, same_texts) = read_texts(text_files, &old.texts, started);
    Loaded {
        modules,
        parts: is_whole.then_some(parts),
        changed,
        unreadable,
        texts,
        cache: cache.map(|cache| Cache {
            path: cache.to_path_buf(),
            folder: folder.to_path_buf(),
            old,
            blob,
            facts,
            states,
            digests,
            text_looks,
            is_current: is_current && same_texts,
        }),
    }
}

type TextRead = ((PathBuf, Vec<TextHit>), Option<Looks>, bool);
type Texts = (Vec<(PathBuf, Vec<TextHit>)>, Vec<Option<Looks>>, bool);

/// What is found in files that are no programs, and whether all of it was known.
fn read_texts(files: &[PathBuf], old: &[TextEntry], started: SystemTime) -> Texts {
    let known: FxHashMap<&Path, &TextEntry> = old
        .iter()
        .map(|entry| (entry.path.as_path(), entry))
        .collect();
    let read: Vec<TextRead> = files
        .par_iter()
        .map(|file| {
            let looks = Looks::of(file);
            if let Some(entry) = known.get(file.as_path())
                && looks.is_some()
                && entry.looks == looks
            {
                return ((file.clone(), entry.hits.clone()), looks, true);
            }
            let looks = looks.and_then(|looks| looks.lasting(started));
            ((file.clone(), texts::find_in(file)), looks, false)
        })
        .collect();
    let mut is_same = files.len() == old.len();
    let (mut found, mut looks) = (Vec::new(), Vec::new());
    for (one, look, was_known) in read {
        is_same &= was_known;
        found.push(one);
        looks.push(look);
    }
    (found, looks, is_same)
}

impl Cache {
    /// Writes it anew, if anything has changed; `fresh` tells which parts were made anew.
    pub(crate) fn store(
        self,
        modules: &[Module],
        parts: &[Part],
        fresh: &[bool],
        unreadable: &[(u32, String)],
        texts: Vec<(PathBuf, Vec<TextHit>)>,
    ) -> std::io::Result<()> {
        if self.is_current && !fresh.contains(&true) {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let problems: FxHashMap<u32, &String> = unreadable.iter().map(|(id, p)| (*id, p)).collect();
        let encoded: Vec<[Option<Vec<u8>>; 3]> = modules
            .par_iter()
            .enumerate()
            .map(|(id, module)| {
                let is_new = self.entry(id).is_none();
                [
                    is_new.then(|| encode(module.facts())),
                    is_new.then(|| encode(&module.outline)),
                    fresh[id].then(|| encode(&parts[id])),
                ]
            })
            .collect();
        let kept = (0..modules.len()).filter_map(|id| self.entry(id));
        let live: u64 = kept.map(|entry| entry.facts.1 - entry.facts.0).sum();
        let Some(mut writer) = Writer::open(&self, live)? else {
            // Another scan is writing at this moment.
            return Ok(());
        };
        let mut blob: Vec<u8> = Vec::with_capacity(self.blob.len());
        let mut put = |new: &Option<Vec<u8>>, old: Option<Place>| {
            let start = blob.len() as u64;
            match (new, old) {
                (Some(new), _) => blob.extend(new),
                (None, Some((from, to))) => {
                    blob.extend(self.blob.get(from as usize..to as usize).unwrap_or(&[]));
                }
                (None, None) => {}
            }
            (start, blob.len() as u64)
        };
        let mut entries = Vec::with_capacity(modules.len());
        for (id, [facts, outline, part]) in encoded.iter().enumerate() {
            let old = self.entry(id);
            let (facts, sum) = match (facts, old) {
                (Some(bytes), _) => (writer.add(bytes), checksum(bytes)),
                (None, Some(old)) => (writer.keep(old.facts)?, old.sum),
                (None, None) => continue,
            };
            let (looks, digest) = self.digests[id];
            entries.push(Entry {
                path: modules[id].file.clone(),
                looks,
                digest,
                problem: problems.get(&(id as u32)).map(|&problem| problem.clone()),
                facts,
                sum,
                outline: put(outline, old.map(|old| old.outline)),
                part: put(part, old.map(|old| old.part)),
            });
        }
        let generation = writer.finish()?;
        let texts = texts.into_iter().zip(self.text_looks);
        let index = Index {
            stamp: stamp(),
            folder: self.folder,
            generation,
            modules: entries,
            texts: texts
                .map(|((path, hits), looks)| TextEntry { path, looks, hits })
                .collect(),
        };
        let mut bytes = encode(&index);
        bytes.extend(blob);
        let partial = partial(&self.path);
        let mut file = File::create(&partial)?;
        file.write_all(&checksum(&bytes).to_le_bytes())?;
        file.write_all(&bytes)?;
        std::fs::rename(&partial, &self.path)
    }

    /// What the old index has of a module's contents.
    fn entry(&self, id: usize) -> Option<&Entry> {
        match self.states[id] {
            State::Kept(at) | State::Moved(at) if self.facts.is_some() => {
                Some(&self.old.modules[at])
            }
            _ => None,
        }
    }
}

/// Adds to the file of facts, or writes another where most of it is dead.
struct Writer<'c> {
    path: &'c Path,
    old: Option<&'c File>,
    generation: u64,
    /// Where what is added begins, in a file that goes on.
    start: Option<u64>,
    file: File,
    added: Vec<u8>,
}

impl<'c> Writer<'c> {
    fn open(cache: &'c Cache, live: u64) -> std::io::Result<Option<Self>> {
        let path = facts_file(&cache.path);
        if let Some(old) = &cache.facts {
            let length = old.metadata()?.len();
            if length < 2 * live + (1 << 20) {
                let file = File::options().read(true).write(true).open(&path)?;
                let mut head = [0; 8];
                file.read_exact_at(&mut head, 0)?;
                if file.try_lock().is_err() || u64::from_le_bytes(head) != cache.old.generation {
                    return Ok(None);
                }
                return Ok(Some(Self {
                    path: &cache.path,
                    old: Some(old),
                    generation: cache.old.generation,
                    start: Some(file.metadata()?.len()),
                    file,
                    added: Vec::new(),
                }));
            }
        }
        let mut hasher = DefaultHasher::new();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        hasher.write_u128(now.unwrap_or_default().as_nanos());
        hasher.write_u32(std::process::id());
        let generation = hasher.finish();
        Ok(Some(Self {
            path: &cache.path,
            old: cache.facts.as_deref(),
            generation,
            start: None,
            file: File::create(partial(&path))?,
            added: generation.to_le_bytes().to_vec(),
        }))
    }

    fn add(&mut self, bytes: &[u8]) -> Place {
        let start = self.start.unwrap_or(0) + self.added.len() as u64;
        self.added.extend(bytes);
        (start, start + bytes.len() as u64)
    }

    fn keep(&mut self, place: Place) -> std::io::Result<Place> {
        match (self.start, self.old) {
            (None, Some(old)) => {
                let mut bytes = vec![0; (place.1 - place.0) as usize];
                old.read_exact_at(&mut bytes, place.0)?;
                Ok(self.add(&bytes))
            }
            _ => Ok(place),
        }
    }

    fn finish(self) -> std::io::Result<u64> {
        self.file
            .write_all_at(&self.added, self.start.unwrap_or(0))?;
        if self.start.is_none() {
            let path = facts_file(self.path);
            std::fs::rename(partial(&path), path)?;
        }
        Ok(self.generation)
    }
}

/// Another scan may read a file at the moment that it is written.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    name.into()
}

fn encode(what: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(what).unwrap_or_default()
}

fn digest(bytes: &[u8], problem: Option<&str>) -> Digest {
    let mut one = DefaultHasher::new();
    let mut other = DefaultHasher::new();
    one.write(problem.unwrap_or_default().as_bytes());
    other.write_u64(0x9e37_79b9_7f4a_7c15);
    for part in bytes.chunks(1 << 16) {
        one.write(part);
        other.write(part);
    }
    (one.finish(), other.finish())
}

/// Finds damage, not malice; eight bytes at a time.
fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = bytes.len() as u64;
    let mut parts = bytes.chunks_exact(8);
    for part in &mut parts {
        let word = u64::from_le_bytes(part.try_into().unwrap_or_default());
        sum = (sum.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    for &byte in parts.remainder() {
        sum = (sum.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    sum
}
