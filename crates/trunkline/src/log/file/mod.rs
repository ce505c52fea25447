//! A log whose events and sessions outlive the process: what is kept is in memory, and written to a folder as well.
//!
//! A folder holds segments. The last one is appended to, by one write for all that has collected meanwhile; older ones are removed
//! when none of their events is kept any more, and the oldest events are given up when those segments are too long. What an event's receivers get waits until the event is written
//! ([`Gate`](super::Gate)).

mod format;
mod open;
mod place;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::gate::{Gate, Share};
use super::{Bounds, Change, Durability, EventLog, Kept, LogError, Now, Outdated, Saved};
use crate::rooms::Target;
use crate::wire::{Budget, Packet};

use format::Header;
pub(crate) use open::sweep;
pub(crate) use place::folder;
use store::Store;
pub(crate) use store::Written;
pub(crate) use writer::Writer;

/// Where a log is written, and how.
pub(crate) struct Place {
    /// The log's own.
    pub(crate) folder: PathBuf,
    pub(crate) durability: Durability,
    /// Whether packets are msgpack.
    pub(crate) msgpack: bool,
    pub(crate) budget: Arc<Budget>,
    pub(crate) writer: Arc<Writer>,
    /// Called after each writing, by the writer's thread.
    pub(crate) written: Box<dyn Fn(Written) + Send + Sync>,
}

/// A log in a folder.
pub(crate) struct FileLog {
    header: Header,
    kept: Kept,
    share: Arc<Share>,
    store: Arc<Store>,
    writer: Arc<Writer>,
    /// Bytes of the segment that is being written, and from how many on another one is started.
    len: usize,
    most: usize,
    /// Of the segments before it that have events: the last event, and bytes.
    older: VecDeque<(u64, usize)>,
    /// Up to here events are to be given up: their segments are full of what became of sessions.
    surplus: u64,
    bounds: Bounds,
}

/// A log that was opened, and what its sessions had been through.
pub(crate) struct Loaded {
    pub(crate) log: FileLog,
    pub(crate) changes: Vec<Change>,
}

/// Bytes of a segment, at least and at most, before another one is started.
const SEGMENT: (usize, usize) = (64 << 10, 16 << 20);
/// A segment is at least so many times as long as the snapshot at its start.
const PER_SNAPSHOT: usize = 4;
/// How much longer older segments may be than the events that are kept: they hold the changes of sessions as well.
const PER_EVENTS: usize = 2;

impl FileLog {
    /// Opens a log, with `epoch` if it starts anew. [`EventLog::snapshot`] has to be called before anything is appended.
    pub(crate) fn open(place: Place, bounds: Bounds, epoch: u32, now: Now) -> Result<Loaded, LogError> {
        let Place { folder, durability, msgpack, budget, writer, written } = place;
        writer.wait_until_removed(&folder);
        let boot = open::boot_id();
        let mut found = open::open(&folder, msgpack, boot)?;
        if durability == Durability::None
            && let Some(closed) = found.closed.take()
        {
            // Nobody waits for the first writing.
            open::take_up(&folder, closed)?;
        }
        let (epoch, latest, events, changes) = match found.life {
            Some(life) => (life.epoch, life.latest, life.events, life.changes),
            None => (epoch, 0, Vec::new(), Vec::new()),
        };
        let share = Share::closed(latest);
        let first = events.first().map_or(latest, |event| event.sequence - 1);
        let mut kept = Kept::new(bounds, Arc::clone(&share), first);
        for event in events {
            let gate = Some(Gate::new(&share, 0));
            let packet = Packet::logged(event.encoded, event.compress, &budget, gate);
            let age = Duration::from_millis(now.time.saturating_sub(event.time));
            // An age that the clock of this boot cannot express is over every bound.
            let at = now.at.checked_sub(age);
            kept.push(event.target, packet, Now { at: at.unwrap_or(now.at), time: event.time });
            let now = if at.is_some() { now } else { Now { at: now.at + bounds.age * 2, ..now } };
            drop(kept.trim(now));
        }
        let keep = u32::try_from(bounds.age.as_secs().saturating_add(1)).unwrap_or(u32::MAX);
        let header = Header { durability, msgpack, epoch, number: found.next, boot, keep };
        let older = found.segments.iter().map(|segment| (segment.last, segment.len)).collect();
        let segments = found.segments.iter().map(|segment| (segment.number, segment.last)).collect();
        let found = (segments, found.closed, found.lock);
        let store = Store::new(folder, durability, found, Arc::clone(&share), budget, written);
        let most = (bounds.bytes / 4).clamp(SEGMENT.0, SEGMENT.1);
        let len = usize::MAX;
        let log = Self { header, kept, share, store, writer, len, most, older, surplus: 0, bounds };
        log.writer.opened();
        Ok(Loaded { log, changes })
    }

    fn queue_if(&self, is_wanted: bool) {
        if is_wanted {
            self.writer.queue(&self.store);
        }
    }

    fn append_record(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut len = 0;
        let is_wanted = self.store.append(self.kept.latest(), |out| {
            len = out.len();
            encode(out);
            len = out.len() - len;
        });
        self.len = self.len.saturating_add(len);
        self.queue_if(is_wanted);
    }

    /// The segment ends that is being written.
    fn ended(&mut self) {
        let latest = self.kept.latest();
        // What was found on opening is noted already.
        if self.len != usize::MAX && self.older.back().is_none_or(|(last, _)| *last != latest) {
            self.older.push_back((latest, self.len));
        }
        while self.older.front().is_some_and(|(last, _)| *last < self.kept.oldest()) {
            self.older.pop_front();
        }
        let most = self.bounds.bytes.max(self.most).saturating_mul(PER_EVENTS);
        let mut sum: usize = self.older.iter().map(|(_, len)| len).sum();
        while sum > most
            && let Some((last, len)) = self.older.pop_front()
        {
            self.surplus = last;
            sum -= len;
        }
    }

    fn take_out(&mut self, now: Now) -> Outdated {
        let mut outdated = self.kept.give_up(self.surplus);
        outdated.extend(self.kept.trim(now));
        self.shrunk(&outdated);
        outdated
    }

    /// After something was taken out.
    fn shrunk(&self, outdated: &Outdated) {
        if !outdated.is_empty() {
            self.queue_if(self.store.need(self.kept.oldest()));
        }
    }
}

impl EventLog for FileLog {
    fn epoch(&self) -> u32 {
        self.header.epoch
    }

    fn kept(&self) -> &Kept {
        &self.kept
    }

    fn gate(&self, next: bool) -> Gate {
        let mark = match self.header.durability {
            Durability::None => 0,
            Durability::Batched | Durability::Synced => self.share.queued() + u64::from(next),
        };
        Gate::new(&self.share, mark)
    }

    fn share(&self) -> &Arc<Share> {
        &self.share
    }

    fn released(&self) -> u64 {
        match self.header.durability {
            Durability::None => self.kept.latest(),
            Durability::Batched | Durability::Synced => self.share.released().min(self.kept.latest()),
        }
    }

    fn is_journal(&self) -> bool {
        true
    }

    fn journal(&mut self, change: &Change) {
        self.append_record(|out| format::change(out, change));
    }

    fn wants_snapshot(&self) -> bool {
        self.len >= self.most
    }

    fn snapshot(&mut self, sessions: &mut dyn Iterator<Item = Saved>) {
        self.ended();
        let (header, latest) = (self.header, self.kept.latest());
        let mut len = 0;
        let is_wanted = self.store.start(header.number, latest, |out| {
            len = out.len();
            header.encode(out);
            format::snapshot(out, latest, sessions);
            len = out.len() - len;
        });
        self.header.number += 1;
        self.len = len;
        self.most = (self.bounds.bytes / 4).clamp(SEGMENT.0, SEGMENT.1).max(len * PER_SNAPSHOT);
        self.queue_if(is_wanted | self.store.need(self.kept.oldest()));
    }

    fn close(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        self.append_record(format::closed);
        let store = Arc::clone(&self.store);
        Some(Box::new(move || store.flush(true)))
    }

    fn discard(&mut self) {
        self.store.discard();
        self.writer.remove(&self.store);
    }

    fn append(&mut self, target: &Target, packet: &Arc<Packet>, now: Now) -> Outdated {
        self.kept.push(target.clone(), Arc::clone(packet), now);
        let (sequence, time) = (self.kept.latest(), self.kept.time());
        self.append_record(|out| format::event(out, sequence, time, target, packet));
        self.take_out(now)
    }

    fn trim(&mut self, now: Now) -> Outdated {
        self.take_out(now)
    }

    fn halve(&mut self) -> Outdated {
        let outdated = self.kept.halve();
        self.shrunk(&outdated);
        outdated
    }
}

impl Drop for FileLog {
    fn drop(&mut self) {
        // On this thread: the process may be about to end.
        self.append_record(format::closed);
        self.store.flush(true);
        self.writer.dropped();
    }
}
