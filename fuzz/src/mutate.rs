//! New inputs: random bytes, and changes of those that are known.

use crate::random::Random;

/// No input is longer (bytes): longer ones are slower, and find the same.
pub(crate) const MAX_LEN: usize = 4096;

/// Changes of one input.
const MOST_CHANGES: usize = 6;

/// Where lengths change their form or overflow, and where limits lie.
const LENGTHS: &[u64] = &[
    0,
    1,
    2,
    3,
    9,
    10,
    15,
    16,
    31,
    32,
    63,
    64,
    99,
    100,
    123,
    124,
    125,
    126,
    127,
    128,
    255,
    256,
    1023,
    1024,
    4096,
    32_767,
    32_768,
    65_535,
    65_536,
    999_999,
    1_000_000,
    1_000_001,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// The next input.
pub(crate) fn input(random: &mut Random, corpus: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut input = match random.below(16) {
        0 => noise(random),
        1 => sentence(random, words),
        _ => random.pick(corpus).cloned().unwrap_or_else(|| noise(random)),
    };
    for _ in 0..=random.below(MOST_CHANGES) {
        change(random, &mut input, corpus, words);
    }
    input.truncate(MAX_LEN);
    input
}

fn noise(random: &mut Random) -> Vec<u8> {
    let len = random.below(64) * random.below(8);
    (0..len).map(|_| random.byte()).collect()
}

fn sentence(random: &mut Random, words: &[&[u8]]) -> Vec<u8> {
    let len = random.below(12);
    (0..len).filter_map(|_| random.pick(words).copied()).flatten().copied().collect()
}

fn change(random: &mut Random, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]]) {
    let at = random.below(input.len() + 1);
    match random.below(12) {
        0 | 1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            let value = random.byte();
            if let Some(byte) = input.get_mut(at) {
                *byte = value;
            }
        }
        3 => {
            let by = [1, 255, 16, 240][random.below(4)];
            if let Some(byte) = input.get_mut(at) {
                *byte = byte.wrapping_add(by);
            }
        }
        4 => input.insert(at, random.byte()),
        5 => input.truncate(at),
        6 => drop(input.drain(piece(random, input.len()))),
        7 => {
            // Doubled, sometimes many times: nesting, floods, long runs.
            let piece = input[piece(random, input.len())].to_vec();
            let times = if random.below(8) == 0 { random.below(200) } else { 1 };
            let repeated = piece.repeat(times.min(MAX_LEN / piece.len().max(1)));
            input.splice(at..at, repeated);
        }
        8 => {
            // The beginning of one, the end of another.
            if let Some(other) = random.pick(corpus) {
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
        9 => {
            if let Some(other) = random.pick(corpus) {
                let piece = &other[piece(random, other.len())];
                input.splice(at..at, piece.iter().copied());
            }
        }
        10 => {
            if let Some(word) = random.pick(words) {
                let end = if random.below(2) == 0 { at } else { input.len().min(at + word.len()) };
                input.splice(at..end, word.iter().copied());
            }
        }
        _ => {
            let length = length(random);
            let end = if random.below(2) == 0 { at } else { input.len().min(at + length.len()) };
            input.splice(at..end, length);
        }
    }
    input.truncate(MAX_LEN);
}

/// Part of an input of `len` bytes.
fn piece(random: &mut Random, len: usize) -> std::ops::Range<usize> {
    let start = random.below(len + 1);
    let longest = if random.below(4) == 0 { len - start } else { (len - start).min(16) };
    start..start + random.below(longest + 1)
}

/// An interesting number, as a length is written: in big-endian bytes or in digits.
fn length(random: &mut Random) -> Vec<u8> {
    let number = random.pick(LENGTHS).copied().unwrap_or_default();
    let bytes = number.to_be_bytes();
    match random.below(6) {
        0 => bytes[7..].to_vec(),
        1 => bytes[6..].to_vec(),
        2 => bytes[4..].to_vec(),
        3 => bytes.to_vec(),
        _ => number.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_depend_on_the_seed_alone_and_stay_short() {
        let corpus = vec![b"42[\"a\",1]".to_vec(), vec![7; MAX_LEN], Vec::new()];
        let words: &[&[u8]] = &[b"word", b"\xff"];
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..2000).map(|_| input(&mut random, &corpus, words)).collect::<Vec<_>>()
        };
        let inputs = draw(1);
        assert_eq!(inputs, draw(1));
        assert_ne!(inputs, draw(2));
        assert!(inputs.iter().all(|input| input.len() <= MAX_LEN));
        let distinct: std::collections::HashSet<_> = inputs.iter().collect();
        assert!(distinct.len() > inputs.len() / 2, "{} distinct inputs", distinct.len());
    }

    #[test]
    fn an_empty_corpus_is_enough() {
        let mut random = Random::new(5);
        assert!((0..500).any(|_| !input(&mut random, &[], &[]).is_empty()));
    }
}
