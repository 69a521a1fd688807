//! Edits of bytes that are in order: what chance cannot make (a signature, a hash of the right bytes) is there to
//! begin with, and what is done to it is up to the fuzzer.

/// `base` after the edits that a script says: each has a place (two bytes, modulo the length), how many bytes go, how
/// many come, and those.
pub fn edited(base: &[u8], mut script: &[u8]) -> Vec<u8> {
    let mut bytes = base.to_vec();
    while let Some(([high, low, gone, come], rest)) = script.split_first_chunk() {
        let start = usize::from(u16::from_be_bytes([*high, *low])) % (bytes.len() + 1);
        let end = bytes.len().min(start + usize::from(*gone));
        let (inserted, rest) = rest.split_at(rest.len().min(usize::from(*come)));
        bytes.splice(start..end, inserted.iter().copied());
        script = rest;
    }
    bytes
}
