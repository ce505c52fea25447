//! What a log and its packets share: how far the log is written, and what the packets have grown by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Of one log.
#[derive(Debug)]
pub(crate) struct Share {
    /// Records that are written as safely as the log promises.
    written: AtomicU64,
    /// Bytes of the wire forms that were made of the packets that it keeps.
    forms: AtomicUsize,
}

impl Share {
    /// Of a log that makes nobody wait.
    pub(crate) fn open() -> Arc<Self> {
        Arc::new(Self { written: AtomicU64::new(u64::MAX), forms: AtomicUsize::new(0) })
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
        self.share.written.load(Ordering::Acquire) < self.mark
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
