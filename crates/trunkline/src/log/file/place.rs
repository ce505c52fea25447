//! Where a namespace's files are.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Bytes of one folder's name; file systems take 255.
const PIECE: usize = 200;

/// The folder of a namespace below `root`. Different names give different folders, also where a file system does not tell small from
/// capital letters: all but small letters, digits, `-` and `_` are written as `%` and two digits. Long names are several folders.
pub(crate) fn folder(root: &Path, namespace: &str) -> PathBuf {
    let mut name = String::with_capacity(namespace.len() + 8);
    for byte in namespace.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_' {
            name.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(name, "%{byte:02x}");
        }
    }
    let mut folder = root.to_owned();
    let mut rest = &*name;
    while rest.len() > PIECE {
        let (piece, after) = rest.split_at(PIECE);
        // No name contains a plus sign: this is no other namespace's folder.
        folder.push(format!("{piece}+"));
        rest = after;
    }
    folder.push(rest);
    folder
}

/// Whether a folder holds those of namespaces with long names.
pub(super) fn is_part(folder: &Path) -> bool {
    folder.as_os_str().as_encoded_bytes().ends_with(b"+")
}

/// A segment's file.
pub(super) fn segment(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}{SUFFIX}"))
}

/// The number of a segment's file; `None` for files of other kinds.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    if digits.len() == 20 { digits.parse().ok() } else { None }
}

const SUFFIX: &str = ".events";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_namespace_has_a_folder_of_its_own() {
        let of = |name: &str| folder(Path::new("d"), name);
        assert_eq!(of("/"), Path::new("d/%2f"));
        assert_eq!(of("/chat-1_x"), Path::new("d/%2fchat-1_x"));
        assert_eq!(of("/A"), Path::new("d/%2f%41"));
        assert_eq!(of("/../é"), Path::new("d/%2f%2e%2e%2f%c3%a9"));
        let long = of(&format!("/{}", "/".repeat(255)));
        assert_eq!(long.components().count(), 5);
        assert!(long.components().all(|part| part.as_os_str().len() <= 255));
        assert!(long.ancestors().skip(1).take(3).all(is_part) && !is_part(&long));
    }

    #[test]
    fn only_segments_have_numbers() {
        assert_eq!(number_of("00000000000000000012.events"), Some(12));
        for name in ["lock", "12.events", "0000000000000000001x.events", "00000000000000000012.events~"] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }
}
