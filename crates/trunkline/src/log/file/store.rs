//! The files of one log while it is open: a buffer that the log appends to, and whoever writes it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::open::Closed;
use super::{open, place};
use crate::log::{Durability, Share};
use crate::wire::Budget;

/// One log's files.
pub(super) struct Store {
    folder: PathBuf,
    durability: Durability,
    share: Arc<Share>,
    budget: Arc<Budget>,
    buffer: Mutex<Buffer>,
    /// Locked by whoever writes, before the buffer is taken.
    files: Mutex<Files>,
    /// Called after each writing, with no lock held.
    written: Box<dyn Fn(Written) + Send + Sync>,
}

/// What became of a writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// More packets may leave.
    Done,
    /// The log is not written any more: from now on it lives in memory alone.
    Failed,
}

/// What is to be written.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// Where in `bytes` segments start, their numbers, and the number of the last event before each.
    starts: Vec<(usize, u64, u64)>,
    /// The record and the event that `bytes` end with.
    last: (u64, u64),
    /// Events before this one are not needed any more.
    oldest: u64,
    /// It waits for the writer.
    is_queued: bool,
    has_failed: bool,
}

struct Files {
    current: Option<File>,
    /// Older segments, and the last event of each.
    older: VecDeque<(u64, u64)>,
    number: u64,
    /// What the life before has noted at its end; until the first writing.
    closed: Option<Closed>,
    _lock: File,
}

/// What a buffer that was once long keeps, in bytes.
const SPARE: usize = 64 * 1024;

impl Store {
    pub(super) fn new(
        folder: PathBuf,
        durability: Durability,
        found: (Vec<(u64, u64)>, Option<Closed>, File),
        share: Arc<Share>,
        budget: Arc<Budget>,
        written: Box<dyn Fn(Written) + Send + Sync>,
    ) -> Arc<Self> {
        let (segments, closed, lock) = found;
        let files = Files { current: None, older: segments.into(), number: 0, closed, _lock: lock };
        Arc::new(Self {
            folder,
            durability,
            share,
            budget,
            buffer: Mutex::default(),
            files: Mutex::new(files),
            written,
        })
    }

    /// Has `encode` append a record; `sequence` is the latest event then. True if the writer is to be told.
    pub(super) fn append(&self, sequence: u64, encode: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.change(|buffer| {
            let before = buffer.bytes.len();
            encode(&mut buffer.bytes);
            self.budget.add(buffer.bytes.len() - before);
            buffer.last = (self.share.queue(), sequence);
        })
    }

    /// As [`Store::append`], at the start of another segment.
    pub(super) fn start(&self, number: u64, sequence: u64, encode: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.change(|buffer| {
            let before = buffer.bytes.len();
            buffer.starts.push((before, number, sequence));
            encode(&mut buffer.bytes);
            self.budget.add(buffer.bytes.len() - before);
            buffer.last = (self.share.queue(), sequence);
        })
    }

    /// Events before `oldest` are not needed any more. True if the writer is to be told.
    pub(super) fn need(&self, oldest: u64) -> bool {
        self.change(|buffer| buffer.oldest = oldest)
    }

    fn change(&self, change: impl FnOnce(&mut Buffer)) -> bool {
        let mut buffer = self.buffer.lock();
        if buffer.has_failed {
            return false;
        }
        change(&mut buffer);
        !std::mem::replace(&mut buffer.is_queued, true)
    }

    /// Writes what waits, and lets go what waited for it. `sync`: to the disk, whatever the durability.
    pub(super) fn flush(&self, sync: bool) {
        let result = {
            let mut files = self.files.lock();
            let mut batch = {
                let mut buffer = self.buffer.lock();
                buffer.is_queued = false;
                Buffer {
                    bytes: std::mem::take(&mut buffer.bytes),
                    starts: std::mem::take(&mut buffer.starts),
                    ..*buffer
                }
            };
            if batch.has_failed {
                return;
            }
            let result = self.write(&mut files, &batch, sync);
            self.budget.sub(batch.bytes.len());
            match &result {
                Ok(()) => {
                    let mut buffer = self.buffer.lock();
                    self.share.release(batch.last.0, batch.last.1);
                    batch.bytes.clear();
                    if buffer.bytes.is_empty() && batch.bytes.capacity() <= SPARE {
                        buffer.bytes = batch.bytes;
                    }
                }
                Err(_) => {
                    self.buffer.lock().end(&self.budget);
                    // First: what clients know from the release on is not in it.
                    self.remove_files(&mut files);
                    self.share.release(u64::MAX, u64::MAX);
                }
            }
            result
        };
        match result {
            Ok(()) => (self.written)(Written::Done),
            Err(error) => {
                let folder = self.folder.display();
                tracing::error!(%folder, %error, "the log cannot be written: it lives in memory from now on");
                (self.written)(Written::Failed);
            }
        }
    }

    /// Keeps everybody from writing.
    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Sized + '_ {
        self.files.lock()
    }

    fn write(&self, files: &mut Files, batch: &Buffer, sync: bool) -> io::Result<()> {
        let mut at = 0;
        for (start, number, last) in &batch.starts {
            files.write(&batch.bytes[at..*start])?;
            files.next(&self.folder, *number, *last, self.durability)?;
            at = *start;
        }
        files.write(&batch.bytes[at..])?;
        if sync || (self.durability == Durability::Synced && !batch.bytes.is_empty()) {
            files.sync()?;
        }
        if let Some(closed) = files.closed.take() {
            open::take_up(&self.folder, closed).map_err(io::Error::other)?;
        }
        self.remove_unneeded(&mut files.older, batch.oldest);
        Ok(())
    }

    /// Removes segments without an event that is kept, also between others: the sessions are in the one that is being written.
    fn remove_unneeded(&self, older: &mut VecDeque<(u64, u64)>, oldest: u64) {
        let mut before = None;
        older.retain(|(number, last)| {
            let has_events = before.replace(*last) != Some(*last);
            if has_events && *last >= oldest {
                return true;
            }
            let path = place::segment(&self.folder, *number);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a file of a log that is not needed any more stays");
            }
            false
        });
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Nothing is written any more, and nobody waits for it. Waits for no disk; [`Store::remove`] has to follow.
    pub(super) fn discard(&self) {
        self.buffer.lock().end(&self.budget);
        self.share.release(u64::MAX, u64::MAX);
    }

    /// Removes all that is in the folder.
    pub(super) fn remove(&self) {
        self.remove_files(&mut self.files.lock());
    }

    fn remove_files(&self, files: &mut Files) {
        files.current = None;
        if let Err(error) = open::remove(&self.folder) {
            let folder = self.folder.display();
            tracing::error!(
                %folder, %error,
                "the log's folder cannot be removed: REMOVE IT BEFORE THE NEXT START, or clients that come back miss events"
            );
        }
    }
}

impl Buffer {
    /// Nothing more is to be written.
    fn end(&mut self, budget: &Budget) {
        self.has_failed = true;
        budget.sub(self.bytes.len());
        self.bytes = Vec::new();
    }
}

impl Files {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.current {
            Some(file) => file.write_all(bytes),
            None if bytes.is_empty() => Ok(()),
            None => Err(io::Error::other("no segment was started")),
        }
    }

    /// Goes on in another segment. `last`: the latest event before it.
    fn next(&mut self, folder: &Path, number: u64, last: u64, durability: Durability) -> io::Result<()> {
        if let Some(before) = self.current.take() {
            // From now on damage in it is none that the end of the machine explains.
            before.sync_data()?;
            self.older.push_back((self.number, last));
        }
        self.current =
            Some(OpenOptions::new().write(true).create_new(true).open(place::segment(folder, number))?);
        self.number = number;
        if durability == Durability::Synced {
            // Its name, too.
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current.as_ref().map_or(Ok(()), File::sync_data)
    }
}
