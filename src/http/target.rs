//! Request targets and hosts (RFC 9112, section 3.2).

use std::borrow::Cow;
use std::net::Ipv6Addr;

use memchr::memchr;

use super::head::Refusal;

/// Reads a request target, in the one form that its method allows: path and query, or `*`, or
/// the address of CONNECT; and the host that an absolute target names.
///
/// The path is as it was sent, `//a` too: whoever decided on it, a proxy in front for instance,
/// has decided on that, and what is changed here passes for something else.
///
/// # Errors
/// It is none of them.
pub fn read<'a>(method: &str, target: &'a str) -> Result<(Cow<'a, str>, Option<&'a str>), Refusal> {
    if memchr(b'#', target.as_bytes()).is_some() {
        return Err(Refusal::Malformed("a request target has no fragment"));
    }
    if method == "CONNECT" {
        return match target.rsplit_once(':') {
            Some((_, port)) if !port.is_empty() && is_host(target.as_bytes()) => {
                Ok((Cow::Borrowed(target), None))
            }
            _ => Err(Refusal::Malformed("CONNECT must name host and port")),
        };
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok((Cow::Borrowed(target), None));
    }
    let Some(rest) = ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    }) else {
        return Err(Refusal::Malformed(
            "the request target is no path and no address",
        ));
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    if !is_host(host.as_bytes()) {
        return Err(Refusal::Malformed("the request target names no host"));
    }
    let path = match path.as_bytes() {
        [] if method == "OPTIONS" => Cow::Borrowed("*"),
        [] => Cow::Borrowed("/"),
        [b'/', ..] => Cow::Borrowed(path),
        _ => Cow::Owned(format!("/{path}")),
    };
    Ok((path, Some(host)))
}

/// Whether this is the name or the address of a host, with a port or without.
///
/// A comma, which the grammar of URIs allows, is not taken: it would pass for two hosts where
/// fields are joined.
pub fn is_host(value: &[u8]) -> bool {
    let (name, port) = if let [b'[', inner @ ..] = value {
        let Some(end) = memchr(b']', inner) else {
            return false;
        };
        let inside = std::str::from_utf8(&inner[..end]).unwrap_or_default();
        if inside.parse::<Ipv6Addr>().is_err() {
            return false;
        }
        (None, &inner[end + 1..])
    } else {
        let end = memchr(b':', value).unwrap_or(value.len());
        (Some(&value[..end]), &value[end..])
    };
    let named = name.is_none_or(|name| {
        let legal =
            |&byte: &u8| byte.is_ascii_alphanumeric() || memchr(byte, b"-._~%!$&'()*+;=").is_some();
        !name.is_empty() && name.iter().all(legal)
    });
    let addressed = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    named && addressed
}

/// The path and the query of a request target, both as they were sent.
pub fn split_target(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// Replaces `%XX` by the byte it stands for; `None` if there is none.
pub fn unquote(path: &[u8]) -> Option<Vec<u8>> {
    let first = memchr(b'%', path)?;
    let mut out = Vec::with_capacity(path.len());
    out.extend_from_slice(&path[..first]);
    let mut rest = &path[first..];
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%'
            && let [high, low, tail @ ..] = tail
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            out.push(high << 4 | low);
            rest = tail;
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    Some(out)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
