//! A socket's public id.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sid::Id;

/// The public id of a socket: 20 characters, another one in each namespace. Clients of Engine.IO 3 compute their ids
/// themselves, from the session's id: theirs are that, or `<namespace>#<sid>` (SECURITY.md says what that means).
#[derive(Clone)]
pub struct SocketId(Text);

/// Nearly all ids have 20 characters: those need no allocation.
#[derive(Clone)]
enum Text {
    Short(Id),
    Other(Arc<str>),
}

impl SocketId {
    pub(crate) fn random() -> Self {
        Self(Text::Short(Id::random()))
    }

    pub(crate) fn for_v3(namespace: &str, sid: &Id) -> Self {
        if namespace == "/" {
            Self(Text::Short(*sid))
        } else {
            Self(Text::Other(Arc::from(format!("{namespace}#{sid}"))))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Short(id) => id.as_str(),
            Text::Other(text) => text,
        }
    }
}

// All as those of the text, by which ids are looked up.
impl PartialEq for SocketId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for SocketId {}

impl PartialOrd for SocketId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SocketId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl std::hash::Hash for SocketId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl From<&str> for SocketId {
    /// The id that a client sent; whether there is such a socket, [`Namespace::socket`](crate::Namespace::socket) tells.
    fn from(text: &str) -> Self {
        Self(text.parse().map_or_else(|_| Text::Other(Arc::from(text)), Text::Short))
    }
}

impl Borrow<str> for SocketId {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for SocketId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketId({self})")
    }
}

impl Serialize for SocketId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SocketId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}
