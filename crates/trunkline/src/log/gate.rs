//! What a log and its packets share: how far the log is written, and what the packets have grown by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Of one log.
#[derive(Debug)]
pub(crate) struct Share {
    /// Records that were appended.
    queued: AtomicU64,
    /// Records that are written as safely as the log promises.
    written: AtomicU64,
    /// The latest event among them.
    released: AtomicU64,
    /// Bytes of the wire forms that were made of the packets that it keeps.
    forms: AtomicUsize,
}

impl Share {
    /// Of a log that makes nobody wait.
    pub(crate) fn open() -> Arc<Self> {
        let share = Self::closed(0);
        share.release(u64::MAX, u64::MAX);
        share
    }

    /// Of a log with `released` events, in which all others have to be written first.
    pub(crate) fn closed(released: u64) -> Arc<Self> {
        Arc::new(Self {
            queued: AtomicU64::new(0),
            written: AtomicU64::new(0),
            released: AtomicU64::new(released),
            forms: AtomicUsize::new(0),
        })
    }

    /// Records up to `written` are safe, with the events up to `released`.
    pub(crate) fn release(&self, written: u64, released: u64) {
        self.released.fetch_max(released, Ordering::AcqRel);
        self.written.fetch_max(written, Ordering::AcqRel);
    }

    pub(crate) fn queued(&self) -> u64 {
        self.queued.load(Ordering::Acquire)
    }

    /// Another record is appended. Under the log's lock.
    pub(crate) fn queue(&self) -> u64 {
        self.queued.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// The latest event that is safe.
    pub(crate) fn released(&self) -> u64 {
        self.released.load(Ordering::Acquire)
    }

    pub(crate) fn form_bytes(&self) -> usize {
        self.forms.load(Ordering::Relaxed)
    }
}

/// Goes with a packet: it leaves when the log is written up to its mark.
#[derive(Debug)]
pub(crate) struct Gate {
    share: Arc<Share>,
    mark: u64,
    /// What of [`Share::forms`] is this packet's.
    forms: AtomicUsize,
}

impl Gate {
    pub(crate) fn new(share: &Arc<Share>, mark: u64) -> Self {
        Self { share: Arc::clone(share), mark, forms: AtomicUsize::new(0) }
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.mark > 0 && self.share.written() < self.mark
    }

    /// A wire form was made of the packet.
    pub(crate) fn form_made(&self, bytes: usize) {
        self.share.forms.fetch_add(bytes, Ordering::Relaxed);
        self.forms.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The log keeps the packet no more: its forms count no more.
    pub(crate) fn leave(&self) {
        let forms = self.forms.swap(0, Ordering::Relaxed);
        self.share.forms.fetch_sub(forms, Ordering::Relaxed);
    }
}

/// Also what was made after the log had given the packet up.
impl Drop for Gate {
    fn drop(&mut self) {
        self.leave();
    }
}
