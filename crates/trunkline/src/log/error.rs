//! What can be wrong with a log's files.

use std::io;
use std::path::PathBuf;

/// Why a log cannot be opened; see [`Namespace::open_recovery`](crate::Namespace::open_recovery).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The operating system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// Another process, or another server of this one, writes the log.
    #[error("{}: the log is in use by another server", path.display())]
    InUse {
        /// The log's folder.
        path: PathBuf,
    },
    /// It has the name of a log's file, but is none.
    #[error("{}: not a log of trunkline", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later version of trunkline has written it.
    #[error("{}: has format {found}, and this version reads formats up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u16,
        /// The newest that is known.
        known: u16,
    },
    /// The file was changed or damaged at a place that had been written in order. (What was being written when the machine stopped
    /// is no error.) Moving the folder away makes a new log; nobody is recovered then.
    #[error("{}: damaged at byte {at}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl LogError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
