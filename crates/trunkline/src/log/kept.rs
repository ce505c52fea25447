//! The latest events in memory, with an index by room.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::gate::Share;
use super::{Bounds, Now};
use crate::rooms::Target;
use crate::wire::Packet;

/// One event, and whom it was for.
pub(crate) struct Record {
    pub(crate) sequence: u64,
    at: Instant,
    /// Milliseconds since 1970; never less than that of the event before.
    pub(crate) time: u64,
    pub(crate) target: Target,
    pub(crate) packet: Arc<Packet>,
}

/// Events that a log has given up.
pub(crate) type Outdated = Vec<Record>;

/// What the index costs for each room of an event, in bytes, about.
const INDEX_COST: usize = 32;

impl Record {
    /// Bytes that it holds, about; the wire forms of its packet are counted in [`Share`].
    fn cost(&self) -> usize {
        let names = self.target.rooms.iter().chain(&self.target.except).map(|room| room.len() + INDEX_COST);
        size_of::<Self>() + self.packet.cost() + names.sum::<usize>()
    }
}

/// Events whose numbers follow each other, up to the latest.
pub(crate) struct Kept {
    records: VecDeque<Record>,
    latest: u64,
    bytes: usize,
    /// Knows what wire forms were made of the packets, by replays for instance.
    share: Arc<Share>,
    bounds: Bounds,
    /// The numbers of the events for a room, in order.
    by_room: HashMap<Arc<str>, VecDeque<u64>>,
    /// Those of the events for the whole namespace.
    for_all: VecDeque<u64>,
    /// The time of the latest event that was given up.
    lost: Option<u64>,
}

impl Kept {
    /// `latest`: the number before the first that will be appended.
    pub(crate) fn new(bounds: Bounds, share: Arc<Share>, latest: u64) -> Self {
        Self {
            records: VecDeque::new(),
            latest,
            bytes: 0,
            share,
            bounds,
            by_room: HashMap::new(),
            for_all: VecDeque::new(),
            lost: None,
        }
    }

    /// The number of the latest event; 0 if there was none.
    pub(crate) fn latest(&self) -> u64 {
        self.latest
    }

    /// The number of the oldest event that is kept; of the next one if none is.
    pub(crate) fn oldest(&self) -> u64 {
        self.records.front().map_or(self.latest + 1, |record| record.sequence)
    }

    /// When the latest event was that is kept no more, in milliseconds since 1970; `None` if all are kept.
    pub(crate) fn lost(&self) -> Option<u64> {
        // What an earlier process gave up was before the oldest that is left.
        let earlier = || self.records.front().map_or(u64::MAX, |record| record.time);
        self.lost.or_else(|| (self.oldest() > 1).then(earlier))
    }

    /// When the latest event was appended, in milliseconds since 1970; 0 if none is kept.
    pub(crate) fn time(&self) -> u64 {
        self.records.back().map_or(0, |record| record.time)
    }

    pub(crate) fn get(&self, sequence: u64) -> Option<&Record> {
        let index = sequence.checked_sub(self.records.front()?.sequence)?;
        self.records.get(usize::try_from(index).ok()?)
    }

    /// The number of the last event before `time`, in milliseconds since 1970; that before the oldest if all are later.
    pub(crate) fn before(&self, time: u64) -> u64 {
        let count = self.records.partition_point(|record| record.time < time);
        self.oldest() - 1 + count as u64
    }

    /// The numbers of the events for the whole namespace after `after`.
    pub(crate) fn for_all(&self, after: u64) -> impl DoubleEndedIterator<Item = u64> {
        tail(&self.for_all, after)
    }

    /// The numbers of the events for a room after `after`; those for the whole namespace are not among them.
    pub(crate) fn of_room(&self, room: &str, after: u64) -> impl DoubleEndedIterator<Item = u64> {
        self.by_room.get(room).into_iter().flat_map(move |numbers| tail(numbers, after))
    }

    /// Adds the event that follows the latest.
    pub(crate) fn push(&mut self, target: Target, packet: Arc<Packet>, now: Now) {
        self.latest += 1;
        let time = self.records.back().map_or(now.time, |last| now.time.max(last.time));
        for room in &target.rooms {
            let numbers = match self.by_room.get_mut(&**room) {
                Some(numbers) => numbers,
                None => self.by_room.entry(Arc::clone(room)).or_default(),
            };
            // A room may be named twice.
            if numbers.back() != Some(&self.latest) {
                numbers.push_back(self.latest);
            }
        }
        if target.rooms.is_empty() {
            self.for_all.push_back(self.latest);
        }
        let record = Record { sequence: self.latest, at: now.at, time, target, packet };
        self.bytes += record.cost();
        self.records.push_back(record);
    }

    /// Takes out what is over a bound.
    #[must_use]
    pub(crate) fn trim(&mut self, now: Now) -> Outdated {
        let mut out = Vec::new();
        while let Some(oldest) = self.records.front() {
            let is_over = self.bytes + self.share.form_bytes() > self.bounds.bytes
                || self.records.len() > self.bounds.events
                || now.at.saturating_duration_since(oldest.at) > self.bounds.age;
            if !is_over {
                return out;
            }
            self.pop(&mut out);
        }
        // After the last of them: a log that was long gives its place back.
        self.records.shrink_to(64);
        self.for_all.shrink_to(64);
        self.by_room.shrink_to(64);
        out
    }

    /// Takes out the events up to `last`.
    #[must_use]
    pub(crate) fn give_up(&mut self, last: u64) -> Outdated {
        let mut out = Vec::new();
        while self.oldest() <= last.min(self.latest) {
            self.pop(&mut out);
        }
        out
    }

    /// Takes out the older half, at least one event.
    #[must_use]
    pub(crate) fn halve(&mut self) -> Outdated {
        let mut out = Vec::new();
        for _ in 0..self.records.len().div_ceil(2) {
            self.pop(&mut out);
        }
        out
    }

    fn pop(&mut self, out: &mut Outdated) {
        let Some(record) = self.records.pop_front() else { return };
        self.bytes -= record.cost();
        record.packet.leave_log();
        self.lost = Some(record.time);
        for room in &record.target.rooms {
            if let Some(numbers) = self.by_room.get_mut(&**room) {
                pop(numbers, record.sequence);
                if numbers.is_empty() {
                    self.by_room.remove(&**room);
                }
            }
        }
        pop(&mut self.for_all, record.sequence);
        out.push(record);
    }
}

/// Takes out the first number if it is this one.
fn pop(numbers: &mut VecDeque<u64>, number: u64) {
    if numbers.front() == Some(&number) {
        numbers.pop_front();
    }
}

/// What follows `after` in ascending numbers.
fn tail(numbers: &VecDeque<u64>, after: u64) -> impl DoubleEndedIterator<Item = u64> {
    numbers.range(numbers.partition_point(|number| *number <= after)..).copied()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trunkline_proto::sio;

    use super::super::gate::Gate;
    use super::*;
    use crate::wire::{Budget, HEADROOM};

    fn kept(bytes: usize, events: usize, age: u64) -> Kept {
        let bounds = Bounds { bytes, events, age: Duration::from_secs(age) };
        Kept::new(bounds, Share::open(), 0)
    }

    fn push(kept: &mut Kept, packet: &Arc<Packet>, now: Now, rooms: &[&str]) {
        let target =
            Target { rooms: rooms.iter().map(|room| Arc::from(*room)).collect(), ..Target::default() };
        kept.push(target, Arc::clone(packet), now);
        drop(kept.trim(now));
    }

    fn sequences(kept: &Kept, after: u64) -> Vec<u64> {
        kept.for_all(after).collect()
    }

    #[test]
    fn the_oldest_go_first_at_every_bound() {
        let start = Now::read();
        let later = |seconds| Now { at: start.at + Duration::from_secs(seconds), ..start };
        let budget = Budget::new(usize::MAX);
        let packet = |len: usize| Packet::text(&"x".repeat(len), &budget);

        let mut by_count = kept(usize::MAX, 3, 1000);
        assert_eq!((by_count.oldest(), by_count.latest()), (1, 0));
        for _ in 0..5 {
            push(&mut by_count, &packet(1), start, &[]);
        }
        assert_eq!((by_count.oldest(), by_count.latest()), (3, 5));
        assert_eq!(sequences(&by_count, 0), [3, 4, 5]);
        assert_eq!(sequences(&by_count, 3), [4, 5]);
        assert_eq!(sequences(&by_count, 5), [0; 0]);
        assert_eq!(sequences(&by_count, 9), [0; 0]);

        let mut by_bytes = kept(10_000, usize::MAX, 1000);
        push(&mut by_bytes, &packet(6_000), start, &[]);
        push(&mut by_bytes, &packet(1_000), start, &[]);
        assert_eq!(by_bytes.oldest(), 1);
        push(&mut by_bytes, &packet(6_000), start, &[]);
        assert_eq!((by_bytes.oldest(), by_bytes.latest()), (2, 3));
        // One that is longer than the bound is not kept at all.
        push(&mut by_bytes, &packet(20_000), start, &[]);
        assert_eq!((by_bytes.oldest(), by_bytes.latest()), (5, 4));
        assert_eq!(by_bytes.bytes, 0);

        let mut by_age = kept(usize::MAX, usize::MAX, 10);
        push(&mut by_age, &packet(1), start, &[]);
        push(&mut by_age, &packet(1), later(8), &[]);
        drop(by_age.trim(later(12)));
        assert_eq!(sequences(&by_age, 0), [2]);
        drop(by_count.halve());
        assert_eq!((by_count.oldest(), by_count.latest()), (5, 5));
        drop((by_count, by_bytes, by_age));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_index_names_the_events_of_each_room_and_shrinks_with_them() {
        let now = Now::read();
        let packet = Packet::text("x", &Budget::new(usize::MAX));
        let mut kept = kept(usize::MAX, 4, 1000);
        for rooms in [&["a"][..], &["a", "b", "a"], &[], &["b"]] {
            push(&mut kept, &packet, now, rooms);
        }
        let of = |kept: &Kept, room: &str| kept.of_room(room, 0).collect::<Vec<_>>();
        assert_eq!((of(&kept, "a"), of(&kept, "b"), sequences(&kept, 0)), (vec![1, 2], vec![2, 4], vec![3]));
        assert_eq!(kept.of_room("b", 2).collect::<Vec<_>>(), [4]);
        push(&mut kept, &packet, now, &[]);
        push(&mut kept, &packet, now, &[]);
        assert_eq!((of(&kept, "a"), of(&kept, "b")), (vec![], vec![4]));
        assert_eq!(kept.by_room.len(), 1);
        assert_eq!(kept.get(4).map(|record| record.sequence), Some(4));
        assert!(kept.get(2).is_none() && kept.get(7).is_none());
    }

    #[test]
    fn a_time_finds_the_event_before_it_though_the_clock_went_back() {
        let packet = Packet::text("x", &Budget::new(usize::MAX));
        let mut kept = kept(usize::MAX, usize::MAX, 1000);
        for time in [10, 30, 20, 40] {
            push(&mut kept, &packet, Now { time, ..Now::read() }, &[]);
        }
        let before: Vec<_> = [0, 10, 11, 30, 31, 40, 41].into_iter().map(|time| kept.before(time)).collect();
        assert_eq!(before, [0, 0, 1, 1, 3, 3, 4]);
    }

    #[test]
    fn wire_forms_made_later_count_in_the_bound() {
        let share = Share::open();
        let bounds = Bounds { bytes: 30_000, events: 100, age: Duration::from_secs(1000) };
        let mut kept = Kept::new(bounds, Arc::clone(&share), 0);
        let budget = Budget::new(usize::MAX);
        let packet = || {
            let encoded = sio::encode_event(sio::Parser::Json, HEADROOM, "/", None, "e", &"é ".repeat(3_000));
            Packet::logged(encoded.unwrap(), true, &budget, Some(Gate::new(&share, 0)))
        };
        let packets: Vec<_> = (0..3).map(|_| packet()).collect();
        packets.iter().for_each(|packet| push(&mut kept, packet, Now::read(), &[]));
        assert_eq!(kept.oldest(), 1);
        packets.iter().for_each(|packet| packet.append_payload3(false, &mut Vec::new()));
        // Half of it goes, not all: the forms of those that go count no more.
        drop(kept.trim(Now::read()));
        assert_eq!(kept.oldest(), 3);
        drop((kept, packets));
        assert_eq!((share.form_bytes(), budget.used()), (0, 0));
    }
}
