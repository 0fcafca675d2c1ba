//! Texts of files: bytes to characters, offsets to lines.

use std::fmt;

/// Why bytes cannot be read as a Python module.
#[derive(Debug)]
pub(crate) struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Decodes a module's bytes as Python does: UTF-8, or what its first two lines declare.
///
/// The text of a UTF-8 file keeps its byte order mark out but nothing else changes, so offsets
/// in it plus the mark's length are offsets in the file.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, Unreadable> {
    let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => match declared_encoding(body).as_deref() {
            Some("latin-1" | "iso-8859-1" | "latin1" | "l1" | "iso8859-1" | "cp1252") => {
                Ok(body.iter().map(|&byte| char::from(byte)).collect())
            }
            Some(name) if !name.starts_with("utf") => Err(Unreadable(format!(
                "is written in {name}, which is not read"
            ))),
            _ => Err(Unreadable(format!(
                "is not UTF-8 (byte {} of it)",
                error.valid_up_to()
            ))),
        },
    }
}

/// Whether a file's bytes are its text, so that it can be edited by offsets.
pub(crate) fn is_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

fn declared_encoding(bytes: &[u8]) -> Option<String> {
    for line in bytes.split(|&byte| byte == b'\n').take(2) {
        let line = String::from_utf8_lossy(line);
        if !line.trim_start().starts_with('#') {
            continue;
        }
        if let Some(at) = line.find("coding") {
            let name = line[at + 6..].trim_start_matches([':', '=', ' ']);
            let end = name
                .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
                .unwrap_or(name.len());
            return Some(name[..end].to_ascii_lowercase().replace('_', "-"));
        }
    }
    None
}

/// Where the lines of a text begin. A form feed ends no line.
pub(crate) struct Lines {
    starts: Vec<u32>,
}

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        let mut starts = vec![0];
        let bytes = text.as_bytes();
        for (at, &byte) in bytes.iter().enumerate() {
            let ends = byte == b'\n' || byte == b'\r' && bytes.get(at + 1) != Some(&b'\n');
            if ends {
                starts.push(at as u32 + 1);
            }
        }
        Self { starts }
    }

    pub(crate) fn starts(&self) -> &[u32] {
        &self.starts
    }

    pub(crate) fn count(&self) -> u32 {
        self.starts.len() as u32
    }

    /// Line and column of an offset, both from 1, the column in characters.
    pub(crate) fn position(&self, text: &str, offset: u32) -> (u32, u32) {
        let line = self.starts.partition_point(|&start| start <= offset) - 1;
        let start = self.starts[line] as usize;
        let column = text
            .get(start..offset as usize)
            .map_or(0, |part| part.chars().count());
        (line as u32 + 1, column as u32 + 1)
    }

    /// The text of a line, from 1, without its end.
    pub(crate) fn line<'t>(&self, text: &'t str, line: u32) -> &'t str {
        let at = line as usize - 1;
        let start = self
            .starts
            .get(at)
            .map_or(text.len(), |&start| start as usize);
        let end = self
            .starts
            .get(at + 1)
            .map_or(text.len(), |&end| end as usize);
        text[start..end].trim_end_matches(['\n', '\r'])
    }
}
