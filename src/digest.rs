//! What is the SHA-256 of several parts?

use aws_lc_rs::digest::{Context, SHA256};

/// SHA-256 over `parts`, one after the other. Where their borders matter, put each length in front.
#[must_use]
pub fn sha256<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part.as_ref());
    }
    first(context.finish().as_ref())
}

/// The first `N` bytes of `bytes`; what is missing is 0.
#[must_use]
pub fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    for (to, from) in array.iter_mut().zip(bytes) {
        *to = *from;
    }
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::hex;

    #[test]
    fn the_parts_are_hashed_as_one_text() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(["a", "bc"])), expected);
    }
}
