//! Masking: each byte of a client's payload is combined with one of four key bytes.
//!
//! It keeps proxies from mistaking a payload for HTTP, and costs a pass over every byte
//! received, so it works on eight bytes at a time, which the compiler widens further.

/// Combines `data` with the key; applied twice it restores the data.
///
/// Args: `offset` is the position of `data` in its frame's payload, which may come in pieces.
pub fn apply(data: &mut [u8], key: [u8; 4], offset: usize) {
    let key: [u8; 4] = std::array::from_fn(|index| key[(offset + index) % 4]);
    let wide = u64::from_ne_bytes([
        key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3],
    ]);
    let mut chunks = data.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::apply;

    #[test]
    fn every_byte_meets_the_key_byte_of_its_position() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..40 {
            for offset in 0..9 {
                let data: Vec<u8> = (0..length).map(|i| i as u8).collect();
                let mut masked = data.clone();
                apply(&mut masked, key, offset);
                let expected: Vec<u8> = (0..length)
                    .map(|i| data[i] ^ key[(offset + i) % 4])
                    .collect();
                assert_eq!(masked, expected, "length {length}, offset {offset}");
            }
        }
    }

    #[test]
    fn the_example_of_the_rfc_is_masked_as_written_there() {
        let mut data = *b"Hello";
        apply(&mut data, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(data, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }
}
