//! Session and socket ids: 20 url-safe characters from the operating system's random source.
//!
//! Three JavaScript components assume 20 characters of `[A-Za-z0-9_-]` (reference/socketio.md, section 9, row 1).

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Length of every id, in characters.
pub const ID_LEN: usize = 20;

/// An id of 20 characters: the secret key of an Engine.IO session, or the public id of a Socket.IO socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; ID_LEN]);

impl Id {
    /// 20 random characters: 120 bits.
    pub fn random() -> Self {
        let mut id = [0; ID_LEN];
        fill(&mut id);
        Self(id)
    }

    /// An engine sid: 3 characters that name the node, 1 the shard, 16 random ones (96 bits).
    pub(crate) fn for_session(node: [u8; 3], shard: usize) -> Self {
        let mut id = [0; ID_LEN];
        id[..3].copy_from_slice(&node);
        id[3] = ALPHABET[shard % ALPHABET.len()];
        fill(&mut id[4..]);
        Self(id)
    }

    /// Which shard an engine sid names; meaningless for ids of other origin.
    pub(crate) fn shard(&self) -> usize {
        usize::from(match self.0[3] {
            c @ b'A'..=b'Z' => c - b'A',
            c @ b'a'..=b'z' => 26 + c - b'a',
            c @ b'0'..=b'9' => 52 + c - b'0',
            b'-' => 62,
            _ => 63,
        })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // The constructors admit only ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 20 characters of A-Z, a-z, 0-9, '-' and '_'")]
pub struct InvalidId;

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bytes: [u8; ID_LEN] = text.as_bytes().try_into().map_err(|_| InvalidId)?;
        // Without a branch for each character, so that it can be done for many at once.
        let is_valid = |c: u8| c.is_ascii_alphanumeric() | (c == b'-') | (c == b'_');
        let valid = bytes.iter().fold(true, |valid, c| valid & is_valid(*c));
        if valid { Ok(Self(bytes)) } else { Err(InvalidId) }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.as_str())
    }
}

impl AsRef<str> for Id {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Three random characters that name this process in its session ids.
pub(crate) fn node_name() -> [u8; 3] {
    let mut name = [0; 3];
    fill(&mut name);
    name
}

/// Fills `out` with random characters. The kernel is asked for `POOL` bytes at a time, per thread; bytes handed
/// out are wiped from the pool.
fn fill(out: &mut [u8]) {
    POOL.with_borrow_mut(|pool| {
        for c in out {
            if pool.1 == 0 {
                if let Err(error) = getrandom::fill(&mut pool.0) {
                    // Without randomness every session would be guessable: there is no way on.
                    panic!("the operating system gives no random bytes: {error}");
                }
                pool.1 = POOL_LEN;
            }
            pool.1 -= 1;
            let byte = std::mem::take(&mut pool.0[pool.1]);
            *c = ALPHABET[usize::from(byte & 63)];
        }
    });
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const POOL_LEN: usize = 1024;

thread_local! {
    static POOL: RefCell<([u8; POOL_LEN], usize)> = const { RefCell::new(([0; POOL_LEN], 0)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_parse_back() {
        let ids: std::collections::HashSet<Id> = (0..10_000).map(|_| Id::random()).collect();
        assert_eq!(ids.len(), 10_000);
        let id = Id::random();
        assert_eq!(id.as_str().parse(), Ok(id));
    }

    #[test]
    fn a_session_id_names_its_shard() {
        for shard in 0..64 {
            assert_eq!(Id::for_session(*b"abc", shard).shard(), shard);
        }
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for text in ["", "short", "0123456789012345678!", "012345678901234567890", "ééééééééééé"] {
            assert_eq!(text.parse::<Id>(), Err(InvalidId), "{text}");
        }
    }
}
