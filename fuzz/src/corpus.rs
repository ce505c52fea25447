//! The inputs on disk: the corpus, and what failed.

use std::io;
use std::path::{Path, PathBuf};

/// All inputs of a target's corpus, in the order of their names, so that a seed means the same everywhere.
pub(crate) fn load(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(root().join("corpus").join(target))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    paths.sort();
    paths.iter().map(std::fs::read).collect()
}

/// Writes an input that failed; its name comes from its content, so that the same one is written once.
pub(crate) fn save_failure(target: &str, input: &[u8]) -> io::Result<PathBuf> {
    let folder = root().join("failures");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{target}-{:016x}", fingerprint(input)));
    std::fs::write(&path, input)?;
    Ok(path)
}

/// This package's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// FNV-1a, 64 bits.
fn fingerprint(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::TARGETS;

    #[test]
    fn every_target_has_a_corpus_and_takes_it() {
        for target in TARGETS {
            let entries = load(target.name).expect(target.name);
            assert!(entries.len() >= 5, "{}: {} inputs", target.name, entries.len());
            entries.iter().for_each(|input| (target.run)(input));
        }
    }

    #[test]
    fn every_corpus_has_a_target() {
        for folder in std::fs::read_dir(root().join("corpus")).expect("a corpus") {
            let name = folder.expect("a folder").file_name();
            assert!(TARGETS.iter().any(|target| *target.name == *name), "{name:?}");
        }
    }
}
