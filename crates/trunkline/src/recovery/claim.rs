//! What a client that comes back says of itself, and what becomes of it.

use serde::Deserialize;
use trunkline_proto::sio::OwnedArgs;

/// What a client that comes back says of itself.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    pub(crate) pid: Option<String>,
    pub(crate) offset: Option<String>,
}

impl Claim {
    /// What is not of the right type was not sent by a client that wants to be recovered.
    pub(crate) fn of(auth: Option<&OwnedArgs>) -> Self {
        #[derive(Deserialize)]
        struct Sent {
            #[serde(default)]
            pid: Option<serde_json::Value>,
            #[serde(default)]
            offset: Option<serde_json::Value>,
        }
        let sent = auth.and_then(|auth| auth.as_args().next()).and_then(|arg| arg.deserialize::<Sent>().ok());
        // Offsets of other servers are short as well; what is longer is none of anybody.
        let text = |value: Option<serde_json::Value>| match value {
            Some(serde_json::Value::String(text)) if text.len() <= MAX_CLAIM => Some(text),
            Some(serde_json::Value::String(_)) => Some(String::new()),
            _ => None,
        };
        sent.map_or_else(Self::default, |sent| Self { pid: text(sent.pid), offset: text(sent.offset) })
    }
}

/// Bytes of a private id or an offset that are looked at.
const MAX_CLAIM: usize = 64;

/// What became of a client's wish to be recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Restored,
    /// No session of this private id, or not any more.
    Unknown,
    /// The events after its offset are not all kept any more.
    Window,
    /// The offset is none of this log.
    Foreign,
    /// What it missed is more than its send buffer takes.
    Bytes,
}

impl Outcome {
    pub(crate) const ALL: [Self; 5] =
        [Self::Restored, Self::Unknown, Self::Window, Self::Foreign, Self::Bytes];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Unknown => "unknown",
            Self::Window => "window",
            Self::Foreign => "foreign",
            Self::Bytes => "bytes",
        }
    }
}
