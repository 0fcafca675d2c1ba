use super::{is_field, size};

#[test]
fn a_size_is_hexadecimal_digits_and_nothing_else() {
    for (line, expected) in [
        ("0\r\n", 0),
        ("1aF\r\n", 0x1AF),
        ("0000000000000005\r\n", 5),
        ("ffffffffffffffff\r\n", u64::MAX),
        ("5;a=b;c\r\n", 5),
        ("5 ;\ta = \"b;c\"\r\n", 5),
        ("5;\r\n", 5),
    ] {
        assert_eq!(size(line.as_bytes()), Some(expected), "{line:?}");
    }
    for line in [
        "",
        "\r\n",
        "5",
        "5\n",
        "5\r",
        "5 \r\n",
        "5\t\r\n",
        " 5\r\n",
        "+5\r\n",
        "-5\r\n",
        "0x5\r\n",
        "1_0\r\n",
        "5 5\r\n",
        "5,\r\n",
        "g\r\n",
        "5\0\r\n",
        ";a\r\n",
        "5\r\r\n",
        "5;a\rb\r\n",
        "5;a\nb\r\n",
        "5;a\0b\r\n",
        "5;a\u{8}\r\n",
        "5;a\u{7f}\r\n",
        "5\u{c};a\r\n",
        "00000000000000005\r\n",
        "10000000000000000\r\n",
    ] {
        assert_eq!(size(line.as_bytes()), None, "{line:?}");
    }
}

#[test]
fn trailers_are_fields() {
    for line in ["A: b\r\n", "A:\r\n", "A: \u{e9}\r\n"] {
        assert!(is_field(line.as_bytes()), "{line:?}");
    }
    for line in [
        "\r\n",
        "A\r\n",
        " b\r\n",
        "A : b\r\n",
        "A: b\n",
        "A: b\rC: d\r\n",
        "A: b\0\r\n",
        "A: b\nC: d\r\n",
        ": b\r\n",
        "GET /x HTTP/1.1\r\n",
        "A: b",
        "A: b\r\nC: d\r\n",
    ] {
        assert!(!is_field(line.as_bytes()), "{line:?}");
    }
}
