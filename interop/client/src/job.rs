//! What the runner asks for: one JSON argument, as every worker of the suite gets it.

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};

/// A group, the names of its cases, and where the servers are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) group: Group,
    #[serde(default)]
    pub(crate) names: Vec<String>,
    pub(crate) settings: Settings,
    /// Only to connect, print the socket's id, and stay.
    #[serde(default)]
    pub(crate) hold: bool,
}

/// One combination of the matrix.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) transport: Transport,
    pub(crate) tls: bool,
    #[serde(default)]
    pub(crate) parser: Option<String>,
}

/// How a connection begins and where it ends up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    Websocket,
    Polling,
    Upgrade,
}

/// What the runner knows of the servers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The words that start a server; `flags` are those of the group.
    pub(crate) command: Vec<String>,
    pub(crate) flags: Vec<String>,
    pub(crate) certificate: Certificate,
    /// The server that all cases share, and the one of it with quick heartbeats.
    pub(crate) port: u16,
    pub(crate) fast_port: u16,
    pub(crate) fast_flags: Vec<String>,
    /// Interval and timeout of the quick heartbeat together, in ms.
    pub(crate) fast_ms: u64,
}

/// PEM files of the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Certificate {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Job {
    pub(crate) fn from_args() -> Outcome<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [job] = words.as_slice() else {
            return Err(Failure::new("usage: interop-client <job as JSON>; interop/run.mjs starts it"));
        };
        Ok(serde_json::from_str(job)?)
    }
}
