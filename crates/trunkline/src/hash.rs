//! A quick hash for tables into which no client puts keys of its choice: names that the application registers, and ids that are random.
//!
//! Others need the standard library's, which keeps strangers from making keys that collide.

use std::hash::{BuildHasherDefault, Hasher};

/// Multiplies eight bytes at a time and folds the product, whose middle depends on all of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QuickHasher(u64);

/// For [`std::collections::HashMap`].
pub(crate) type Quick = BuildHasherDefault<QuickHasher>;

/// Odd, with its bits well spread: the golden ratio's first 64 places.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl QuickHasher {
    #[inline]
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}

impl Hasher for QuickHasher {
    #[inline]
    fn write(&mut self, mut bytes: &[u8]) {
        while let Some((word, rest)) = bytes.split_first_chunk() {
            self.add(u64::from_le_bytes(*word));
            bytes = rest;
        }
        if !bytes.is_empty() {
            self.add(bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.add(byte.into());
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn hashes_of_like_names_spread() {
        let names: Vec<String> = (0..4096).map(|n| format!("event{n}")).collect();
        let hashes = || names.iter().map(|name| Quick::default().hash_one(name));
        assert_eq!(hashes().collect::<HashSet<_>>().len(), 4096);
        let low: HashSet<u64> = hashes().map(|hash| hash & 0xfff).collect();
        // Of 4,096 places random numbers take 63 %.
        assert!(low.len() > 2400, "{}", low.len());
        let high: HashSet<u64> = hashes().map(|hash| hash >> 57).collect();
        assert_eq!(high.len(), 128);
    }
}
