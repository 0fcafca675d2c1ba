//! The head of a frame: two bytes, an extended length, a key.

/// The longest head: two bytes, eight of length, four of key.
pub const MAX_LENGTH: usize = 14;

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The last frame of its message.
    pub fin: bool,
    /// The three reserved bits, the first of them as 4.
    pub reserved: u8,
    pub opcode: u8,
    pub key: Option<[u8; 4]>,
    pub length: u64,
}

/// Why a head cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// More bytes of length than the length needs: two readers could disagree.
    Length,
    /// The highest bit of a length must not be set.
    Sign,
}

/// Reads a head; `None` if there is more of it to come.
///
/// Returns the head and the number of bytes it takes.
pub fn parse(data: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let &[first, second, ref rest @ ..] = data else {
        return Ok(None);
    };
    let (length, rest, size) = match second & 0x7f {
        126 => match rest.split_first_chunk::<2>() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest, 4),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk::<8>() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest, 10),
            None => return Ok(None),
        },
        length => (u64::from(length), rest, 2),
    };
    if length >> 63 != 0 {
        return Err(Malformed::Sign);
    }
    if (size == 4 && length < 126) || (size == 10 && length < 1 << 16) {
        return Err(Malformed::Length);
    }
    let (key, size) = if second & 0x80 == 0 {
        (None, size)
    } else {
        match rest.first_chunk::<4>() {
            Some(key) => (Some(*key), size + 4),
            None => return Ok(None),
        }
    };
    let header = Header {
        fin: first & 0x80 != 0,
        reserved: first >> 4 & 7,
        opcode: first & 0x0f,
        key,
        length,
    };
    Ok(Some((header, size)))
}

/// Writes a head; returns it and the number of its bytes that count.
pub fn write(header: &Header) -> ([u8; MAX_LENGTH], usize) {
    let mut out = [0; MAX_LENGTH];
    out[0] = u8::from(header.fin) << 7 | header.reserved << 4 | header.opcode;
    let mut size = match header.length {
        length @ ..126 => {
            out[1] = length as u8;
            2
        }
        length @ ..0x1_0000 => {
            out[1] = 126;
            out[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        }
        length => {
            out[1] = 127;
            out[2..10].copy_from_slice(&length.to_be_bytes());
            10
        }
    };
    if let Some(key) = header.key {
        out[1] |= 0x80;
        out[size..size + 4].copy_from_slice(&key);
        size += 4;
    }
    (out, size)
}

#[cfg(test)]
mod tests {
    use super::{Header, Malformed, parse, write};

    fn header(length: u64, key: Option<[u8; 4]>) -> Header {
        Header {
            fin: true,
            reserved: 4,
            opcode: 2,
            key,
            length,
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_no_byte_sooner() {
        for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, u64::MAX >> 1] {
            for key in [None, Some([1, 2, 3, 4])] {
                let header = header(length, key);
                let (bytes, size) = write(&header);
                for cut in 0..size {
                    assert_eq!(parse(&bytes[..cut]), Ok(None), "{length} cut at {cut}");
                }
                assert_eq!(parse(&bytes[..size]), Ok(Some((header, size))));
            }
        }
    }

    #[test]
    fn a_length_in_more_bytes_than_it_needs_is_refused() {
        assert_eq!(parse(&[0x82, 126, 0, 125]), Err(Malformed::Length));
        assert_eq!(
            parse(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
            Err(Malformed::Length)
        );
    }

    #[test]
    fn a_negative_length_is_refused() {
        let data = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(parse(&data), Err(Malformed::Sign));
    }
}
