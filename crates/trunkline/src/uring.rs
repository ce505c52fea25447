//! Whether broadcasts are sent through io_uring, and the rings of the shards.

use std::io;

use parking_lot::Mutex;

use crate::flush::Job;
use crate::flush::ring::Ring;

/// Whether the server sends through io_uring: one system call then hands the kernel the packets for up to 128 receivers.
///
/// Only sends are made so, only those of plain WebSockets, and only where several receivers are written at once; nothing
/// else changes. Linux alone has it, from 5.6 on, and containers often forbid it.
///
/// ```
/// # fn main() -> Result<(), trunkline::UringError> {
/// # if trunkline::Uring::on().is_err() { return Ok(()) }
/// let io = trunkline::Io::builder().uring(trunkline::Uring::on()?).build();
/// # drop(io);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uring {
    choice: Choice,
    from: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Auto,
    On,
    Off,
}

/// A call for a ring costs about 1 µs more and saves 0.25 µs for each receiver (bench/NOTES.md): even at 4, surely cheaper at 8.
const FROM: usize = 8;

impl Uring {
    /// Used where it is to be had; a line of the log says why if it is not.
    pub fn auto() -> Self {
        Self { choice: Choice::Auto, from: FROM }
    }

    /// Wanted: where it is not to be had, the application learns it here, and not from the log. A shard whose own ring is refused
    /// later, for want of memory or descriptors, still writes without it, which is an error in the log.
    ///
    /// # Errors
    /// If it is not to be had in this process.
    pub fn on() -> Result<Self, UringError> {
        Ring::new().map_err(UringError)?;
        Ok(Self { choice: Choice::On, from: FROM })
    }

    /// Not used: each receiver is written by a call of its own.
    pub fn off() -> Self {
        Self { choice: Choice::Off, from: FROM }
    }

    /// From how many receivers on, written at one time, it is used; default 8. Fewer are written by a call each.
    #[must_use]
    pub fn from_receivers(mut self, receivers: usize) -> Self {
        self.from = receivers;
        self
    }

    /// What `count` shards write with.
    pub(crate) fn batches(self, count: usize) -> Vec<Batches> {
        let mut rings: Vec<Option<Ring>> = Vec::with_capacity(count);
        while self.choice != Choice::Off && rings.len() < count {
            match Ring::new() {
                Ok(ring) => rings.push(Some(ring)),
                Err(error) => {
                    let (reason, shards) = (UringError(error), count - rings.len());
                    if self.choice == Choice::Auto {
                        tracing::info!(%reason, shards, "broadcasts are sent without io_uring");
                    } else {
                        tracing::error!(%reason, shards, "broadcasts are sent without io_uring");
                    }
                    break;
                }
            }
        }
        rings.resize_with(count, || None);
        rings.into_iter().map(|ring| Batches { ring: Mutex::new(ring), from: self.from }).collect()
    }
}

impl Default for Uring {
    fn default() -> Self {
        Self::auto()
    }
}

/// Why there is no io_uring for this process.
#[derive(Debug, thiserror::Error)]
#[error("no io_uring: {}", reason(.0))]
pub struct UringError(io::Error);

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("{error} (a seccomp filter, as containers have, or kernel.io_uring_disabled)")
        }
        io::ErrorKind::OutOfMemory => format!("{error} (RLIMIT_MEMLOCK may be too low)"),
        _ => error.to_string(),
    }
}

/// A shard's ring, if it has one. Whoever flushes uses it, unless somebody else does at that moment.
#[derive(Default)]
pub(crate) struct Batches {
    ring: Mutex<Option<Ring>>,
    from: usize,
}

impl Batches {
    #[cfg(test)]
    pub(crate) fn with(ring: Ring) -> Self {
        Self { ring: Mutex::new(Some(ring)), from: 1 }
    }

    /// Sends what a ring sends better than as many calls, and notes it in the jobs; gives how many it sent.
    pub(crate) fn send(&self, jobs: &mut [Job]) -> usize {
        if jobs.len() < self.from {
            return 0;
        }
        let Some(mut guard) = self.ring.try_lock() else { return 0 };
        if guard.as_ref().is_some_and(|ring| !ring.is_at_home()) {
            // The process was forked off since. To drop the other's ring would unmap what is not its own.
            std::mem::forget(std::mem::replace(&mut *guard, Ring::new().ok()));
        }
        match guard.as_mut().map(|ring| ring.send(jobs)) {
            None => 0,
            Some(Ok(sent)) => sent,
            Some(Err(error)) => {
                // Without it, what it was given and did not begin is never begun.
                *guard = None;
                tracing::warn!(%error, "io_uring has failed: this shard's broadcasts are sent without it from now on");
                0
            }
        }
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        if let Some(ring) = self.ring.get_mut().take_if(|ring| !ring.is_at_home()) {
            std::mem::forget(ring);
        }
    }
}
