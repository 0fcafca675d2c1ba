//! The lines of a chunked body (RFC 9112, section 7.1).

/// The size that the line before a chunk tells; `None` if another reader could find another
/// one, or another end of the line.
///
/// `line` comes with its CR LF. Extensions are checked for what they may hold and dropped.
pub fn size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r\n")?;
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let (digits, rest) = line.split_at(digits);
    // Blanks are legal in front of an extension only.
    let blanks = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    let extension = match &rest[blanks..] {
        [] if blanks == 0 => rest,
        [b';', extension @ ..] => extension,
        _ => return None,
    };
    if digits.len() > 16 || !extension.iter().all(|&byte| is_text(byte)) {
        return None;
    }
    // Digits are ASCII, and there is at least one: else this fails.
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Whether a line, with its CR LF, is a header field, as trailers must be.
pub fn is_field(line: &[u8]) -> bool {
    let mut room = [httparse::EMPTY_HEADER];
    let Some(content) = line.strip_suffix(b"\r\n") else {
        return false;
    };
    let mut whole = content.to_vec();
    whole.extend_from_slice(b"\r\n\r\n");
    matches!(
        httparse::parse_headers(&whole, &mut room),
        Ok(httparse::Status::Complete((length, [_]))) if length == whole.len()
    )
}

const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
