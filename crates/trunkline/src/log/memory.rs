//! A log that lives as long as its process.

use std::sync::Arc;

use super::gate::{Gate, Share};
use super::{Bounds, EventLog, Kept, Now, Outdated};
use crate::rooms::Target;
use crate::wire::Packet;

/// The latest events, in memory alone.
pub(crate) struct MemoryLog {
    epoch: u32,
    kept: Kept,
    share: Arc<Share>,
}

impl MemoryLog {
    pub(crate) fn new(epoch: u32, bounds: Bounds) -> Self {
        let share = Share::open();
        Self { epoch, kept: Kept::new(bounds, Arc::clone(&share), 0), share }
    }
}

impl EventLog for MemoryLog {
    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn kept(&self) -> &Kept {
        &self.kept
    }

    fn gate(&self, _: bool) -> Gate {
        Gate::new(&self.share, 0)
    }

    fn share(&self) -> &Arc<Share> {
        &self.share
    }

    fn released(&self) -> u64 {
        self.kept.latest()
    }

    fn append(&mut self, target: &Target, packet: &Arc<Packet>, now: Now) -> Outdated {
        self.kept.push(target.clone(), Arc::clone(packet), now);
        self.kept.trim(now)
    }

    fn trim(&mut self, now: Now) -> Outdated {
        self.kept.trim(now)
    }

    fn halve(&mut self) -> Outdated {
        self.kept.halve()
    }
}
