use super::{is_host, read, split_target, unquote};

fn plain(method: &str, target: &str) -> Option<(String, Option<String>)> {
    let (target, host) = read(method, target).ok()?;
    Some((target.into_owned(), host.map(String::from)))
}

#[test]
fn each_form_of_a_target_belongs_to_its_methods() {
    for (method, target, path, host) in [
        ("GET", "/", "/", None),
        ("GET", "//evil.example//a", "//evil.example//a", None),
        ("GET", "/a?b?c", "/a?b?c", None),
        ("GET", "http://a/b?c", "/b?c", Some("a")),
        ("GET", "HTTPS://a:443//b", "//b", Some("a:443")),
        ("GET", "http://a", "/", Some("a")),
        ("GET", "http://a?b", "/?b", Some("a")),
        ("OPTIONS", "http://a", "*", Some("a")),
        ("OPTIONS", "*", "*", None),
        ("CONNECT", "a:80", "a:80", None),
        ("CONNECT", "[::1]:80", "[::1]:80", None),
    ] {
        let expected = Some((path.into(), host.map(String::from)));
        assert_eq!(plain(method, target), expected, "{method} {target}");
    }
    for (method, target) in [
        ("GET", "*"),
        ("GET", "a"),
        ("GET", "a:80"),
        ("GET", "?a"),
        ("GET", "/a#b"),
        ("GET", "http://"),
        ("GET", "http:///a"),
        ("GET", "http://u@a/"),
        ("GET", "http://a:b/"),
        ("GET", "ftp://a/"),
        ("GET", "http:/a"),
        ("GET", "http:\u{e9}/a"),
        ("CONNECT", "/"),
        ("CONNECT", "a"),
        ("CONNECT", "a:"),
        ("CONNECT", ":80"),
        ("CONNECT", "http://a/"),
    ] {
        assert_eq!(plain(method, target), None, "{method} {target}");
    }
}

#[test]
fn hosts_are_names_and_addresses() {
    for host in [
        "a",
        "a.b-c_d:80",
        "1.2.3.4",
        "[::1]",
        "[::1]:8",
        "a:",
        "%e4",
        "x!$&'()*+;=~",
    ] {
        assert!(is_host(host.as_bytes()), "{host:?}");
    }
    for host in [
        "", ":80", "a b", "a/b", "a,b", "u@a", "a:80:80", "a:b", "a:123456", "[::1", "[::1]a",
        "[a]", "::1", "a\\b", "a?b", "a#b", "<a>", "a\tb", "\u{e9}", "a\0",
    ] {
        assert!(!is_host(host.as_bytes()), "{host:?}");
    }
}

#[test]
fn targets_are_split_and_unquoted() {
    assert_eq!(split_target("/a?b?c"), ("/a", Some("b?c")));
    assert_eq!(split_target("/a"), ("/a", None));
    assert_eq!(unquote(b"/a"), None);
    assert_eq!(unquote(b"/%41%zz%4").as_deref(), Some(&b"/A%zz%4"[..]));
    assert_eq!(unquote(b"%e4%BD").as_deref(), Some(&b"\xe4\xbd"[..]));
}
