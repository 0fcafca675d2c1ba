//! Edits of a text: ranges of bytes and what comes into their place.

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edit {
    pub(crate) range: (u32, u32),
    pub(crate) text: String,
}

/// Applies edits; `None` if two of them overlap. All else keeps its bytes.
pub(crate) fn apply(text: &str, edits: &[Edit]) -> Option<String> {
    let mut edits = edits.to_vec();
    edits.sort();
    edits.dedup();
    let mut out = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for edit in &edits {
        let (start, end) = (edit.range.0 as usize, edit.range.1 as usize);
        if start < at {
            return None;
        }
        out.push_str(text.get(at..start)?);
        out.push_str(&edit.text);
        at = end;
    }
    out.push_str(text.get(at..)?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(start: u32, end: u32, text: &str) -> Edit {
        Edit {
            range: (start, end),
            text: text.to_owned(),
        }
    }

    #[test]
    fn bytes_outside_stay() {
        let edits = [edit(2, 3, "XY"), edit(0, 1, "")];
        assert_eq!(apply("äbc", &[edit(2, 3, "B")]).unwrap(), "äBc");
        assert_eq!(apply("abcd", &edits).unwrap(), "bXYd");
    }

    #[test]
    fn overlaps_are_refused() {
        assert_eq!(apply("abcd", &[edit(0, 2, ""), edit(1, 3, "")]), None);
    }
}
