//! Slow readers: what happens to a broadcast's events for a receiver that does not keep up, and how room is made in its queue.
//!
//! **What a receiver gets is a part of what was sent, in the order of sending.** So an older value goes where it stands and the newer
//! one is queued behind all else: in its place it would overtake other events, and the offset that a client keeps for its recovery
//! would pass events that are still queued.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use crate::dynamic::Pattern;
use crate::namespace::Outgoing;
use crate::outbox::{Mode, Outbox};
use crate::rooms::Target;
use crate::shard::Push;
use crate::wire::Packet;

/// What becomes of a broadcast's event for a receiver that reads too slowly; for [`Broadcast::policy`](crate::Broadcast::policy) and
/// [`Namespace::room_policy`](crate::Namespace::room_policy).
///
/// | policy | a receiver that is behind |
/// | --- | --- |
/// | [`disconnect`](Self::disconnect), the default | is disconnected (`slow reader`) once its send buffer is full; with recovery it comes back and gets what it missed |
/// | [`drop_oldest`](Self::drop_oldest) | loses the oldest of these events that wait for it |
/// | [`latest_by_key`](Self::latest_by_key), [`latest_by`](Self::latest_by) | loses those of these events that a newer one of the same key has followed |
///
/// A receiver that keeps up gets every event, whatever the policy. Events that ask for an acknowledgement, volatile ones and those of
/// [`Socket::emit`](crate::Socket::emit) have no policy. What is being written is never dropped, and a packet is dropped with all of
/// its attachments. Whoever reads nothing at all is found by the heartbeat: `ping timeout`.
///
/// A namespace with recovery keeps each event, dropped or not. A client that comes back gets all that followed the last event it has
/// received (or the heartbeat it has answered); what was dropped before that stays lost.
///
/// ```
/// use trunkline::{Io, SlowReaders};
///
/// let io = Io::new();
/// let prices = io.of("/prices").room_policy("chart-{symbol}", SlowReaders::drop_oldest());
/// for (symbol, price) in [("A", 1.5), ("B", 2.0)] {
///     prices.to("all").policy(SlowReaders::latest_by_key(symbol)).emit("price", (symbol, price)).ok();
/// }
/// ```
#[derive(Clone)]
pub struct SlowReaders {
    kind: Kind,
    backlog: Option<usize>,
}

#[derive(Clone)]
enum Kind {
    Disconnect,
    Oldest,
    Latest(Arc<str>),
    LatestBy(KeyOf),
}

type KeyOf = Arc<dyn Fn(&Outgoing<'_>) -> Option<String> + Send + Sync>;

/// Bytes that wait for a receiver before older values are dropped.
const LATEST_BACKLOG: usize = 64 * 1024;

impl SlowReaders {
    /// Whoever cannot take the event is disconnected; nothing is lost unnoticed.
    pub fn disconnect() -> Self {
        Self::of(Kind::Disconnect)
    }

    /// The oldest waiting events of this policy are dropped, some at a time; where that does not make room, the event itself.
    pub fn drop_oldest() -> Self {
        Self::of(Kind::Oldest)
    }

    /// Of the waiting events with the same key, the same name and the same rooms only the newest is kept. A receiver whose send
    /// buffer cannot hold the newest of all keys is disconnected.
    pub fn latest_by_key(key: impl AsRef<str>) -> Self {
        Self::of(Kind::Latest(Arc::from(key.as_ref())))
    }

    /// As [`SlowReaders::latest_by_key`], with a key that is made from each event; `None`: this event is not to be dropped. It is
    /// called once for each broadcast, whether somebody is slow or not, and must not block.
    pub fn latest_by(key: impl Fn(&Outgoing<'_>) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::of(Kind::LatestBy(Arc::new(key)))
    }

    /// From how many waiting bytes on a receiver is behind, counted as in [`max_send_buffer`](crate::IoBuilder::max_send_buffer) and
    /// never more than that; default 64 KiB for the newest by key, `max_send_buffer` for [`SlowReaders::drop_oldest`].
    #[must_use]
    pub fn backlog(mut self, bytes: usize) -> Self {
        self.backlog = Some(bytes);
        self
    }

    fn of(kind: Kind) -> Self {
        Self { kind, backlog: None }
    }

    /// Whether the event has to be shown to it.
    pub(crate) fn looks_at_events(&self) -> bool {
        matches!(self.kind, Kind::LatestBy(_))
    }

    /// How the packet of a broadcast is to be treated; `None`: it is not dropped. `event` is there if the policy looks at events.
    pub(crate) fn lane(
        &self,
        namespace: &str,
        target: &Target,
        name: &str,
        event: Option<&Outgoing<'_>>,
    ) -> Option<Lane> {
        let key = match &self.kind {
            Kind::Disconnect => return None,
            Kind::Oldest => {
                return Some(Lane { key: None, backlog: self.backlog.unwrap_or(usize::MAX) });
            }
            Kind::Latest(key) => Key::new(namespace, target, name, key),
            Kind::LatestBy(key_of) => Key::new(namespace, target, name, &key_of(event?)?),
        };
        Some(Lane { key: Some(key), backlog: self.backlog.unwrap_or(LATEST_BACKLOG) })
    }
}

impl std::fmt::Debug for SlowReaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.kind {
            Kind::Disconnect => "disconnect",
            Kind::Oldest => "drop_oldest",
            Kind::Latest(_) => "latest_by_key",
            Kind::LatestBy(_) => "latest_by",
        };
        f.debug_struct("SlowReaders").field("kind", &kind).field("backlog", &self.backlog).finish()
    }
}

/// The policies of a namespace's rooms.
#[derive(Clone, Default)]
pub(crate) struct RoomPolicies(Vec<(Pattern, SlowReaders)>);

impl RoomPolicies {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, pattern: &str, policy: SlowReaders) {
        self.0.push((Pattern::parse(pattern), policy));
    }

    /// That of the first room that has one.
    pub(crate) fn of(&self, target: &Target) -> Option<SlowReaders> {
        let of_room = |room: &Arc<str>| self.0.iter().find(|(pattern, _)| pattern.matches(room).is_some());
        target.rooms.iter().find_map(of_room).map(|(_, policy)| policy.clone())
    }
}

/// What a packet's queues may do with it.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Older packets of the same key may go; without a key it is the oldest packets that go.
    key: Option<Key>,
    /// Bytes from which on a receiver is behind.
    backlog: usize,
}

/// What two packets have in common of which the newer one is enough.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    hash: u64,
    text: Box<str>,
}

/// Keys may come from clients.
static HASHER: LazyLock<std::hash::RandomState> = LazyLock::new(std::hash::RandomState::new);

impl Key {
    fn new(namespace: &str, target: &Target, name: &str, key: &str) -> Self {
        let mut text = String::with_capacity(64);
        // Whom it was not for does not count: in one queue both are for the same receiver.
        let rooms = target.rooms.iter().map(|room| &**room);
        for part in [namespace, name, key].into_iter().chain(rooms) {
            // With their lengths, so that different parts never make the same text.
            text.push_str(&part.len().to_string());
            text.push(':');
            text.push_str(part);
        }
        Self { hash: HASHER.hash_one(&text), text: text.into_boxed_str() }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Takes the hash that a key has already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// What was dropped on one shard.
#[derive(Default)]
pub(crate) struct Shed {
    /// Packets: the oldest, or the event itself.
    pub(crate) oldest: usize,
    /// Packets that a newer one has made outdated.
    pub(crate) outdated: usize,
    /// Attachments are the application's: what they hold is not to be dropped under a lock.
    late: Vec<Arc<Packet>>,
}

/// Bytes that are taken above a bound while the queue is away, at least.
const AWAY: usize = 64 * 1024;

impl Outbox {
    /// Makes room for a packet that has a lane; apart from the loop over receivers, most of whose packets have none. `limit`: the send buffer's bound in bytes.
    #[cold]
    #[inline(never)]
    pub(crate) fn make_room(&mut self, packet: &Packet, limit: usize, shed: &mut Shed) -> Push {
        let Some(lane) = packet.lane() else { return Push::Full };
        let (cost, backlog) = (packet.cost(), lane.backlog.min(limit));
        if self.bytes + cost <= backlog || self.bytes == 0 {
            self.compact_at = 0;
            self.note_taken(&lane.key);
            return Push::Taken;
        }
        match &lane.key {
            None => self.drop_oldest(cost, backlog, shed),
            Some(key) => self.drop_outdated(key, cost, limit, shed),
        }
    }

    /// A packet that may be dropped is about to be queued: the next look may find something.
    fn note_taken(&mut self, key: &Option<Key>) {
        if key.is_none() {
            self.futile = 0;
        }
    }

    /// Whether the queue is being written outside the lock: it cannot be looked at, but will be back in a moment.
    fn is_away(&self) -> bool {
        self.mode == Mode::Flushing || self.taken
    }

    /// Whether the queue may be over `bound` for a moment.
    fn may_wait(&self, cost: usize, bound: usize) -> bool {
        self.is_away() && self.bytes + cost <= bound.saturating_add((bound / 4).max(AWAY))
    }

    /// Whether all that waits may be dropped for a newer packet without a key.
    fn can_be_emptied(&self) -> bool {
        let is_free = |packet: &Arc<Packet>| packet.lane().is_some_and(|lane| lane.key.is_none());
        self.written == 0 && !self.is_away() && self.queue.iter().all(is_free)
    }

    fn drop_oldest(&mut self, cost: usize, bound: usize, shed: &mut Shed) -> Push {
        if self.may_wait(cost, bound) {
            self.futile = 0;
            return Push::Taken;
        }
        // Longer than all that may wait, it fits into an empty queue alone: nothing is dropped for it in vain.
        if cost > bound && !self.can_be_emptied() {
            shed.oldest += 1;
            return Push::Shed;
        }
        // Nothing was written since the last look, which found nothing.
        let is_futile = self.futile != 0 && self.bytes >= self.futile as usize;
        if !is_futile {
            // Several at a time, since each look moves the rest of the queue; not as many at each receiver, so that they do not all
            // come to it with the same event.
            let aim = bound - bound / (4 + self.generation as usize % 8);
            let begun = usize::from(self.written > 0 && !self.is_away());
            let (mut index, mut left) = (0, self.bytes);
            shed.oldest += self.keep(shed, |packet| {
                index += 1;
                let goes = index > begun
                    && left + cost > aim
                    && packet.lane().is_some_and(|lane| lane.key.is_none());
                if goes {
                    left = left.saturating_sub(packet.cost());
                }
                !goes
            });
        }
        if self.bytes + cost <= bound || self.bytes == 0 {
            self.futile = 0;
            return Push::Taken;
        }
        self.futile = u32::try_from(self.bytes).unwrap_or(u32::MAX);
        shed.oldest += 1;
        Push::Shed
    }

    fn drop_outdated(&mut self, key: &Key, cost: usize, limit: usize, shed: &mut Shed) -> Push {
        let is_full = self.bytes + cost > limit;
        if is_full && self.may_wait(cost, limit) {
            return Push::Taken;
        }
        if self.bytes + cost > self.compact_at as usize || is_full {
            let begun = usize::from(self.written > 0 && !self.is_away());
            let mut newest: HashSet<&Key, BuildHasherDefault<Hashed>> = HashSet::default();
            newest.insert(key);
            let mut stays = vec![true; self.queue.len()];
            for (packet, stays) in self.queue.iter().zip(&mut stays).skip(begun).rev() {
                if let Some(key) = packet.lane().and_then(|lane| lane.key.as_ref()) {
                    *stays = newest.insert(key);
                }
            }
            drop(newest);
            let mut stays = stays.into_iter();
            shed.outdated += self.keep(shed, |_| stays.next().unwrap_or(true));
            // The next look pays if as much has come again.
            let share = self.bytes / (1 + self.generation as usize % 4);
            self.compact_at = u32::try_from(self.bytes + share).unwrap_or(u32::MAX);
        }
        if self.bytes + cost > limit && self.bytes > 0 { Push::Full } else { Push::Taken }
    }

    /// Drops what does not stay; tells how many packets that were.
    fn keep(&mut self, shed: &mut Shed, mut stays: impl FnMut(&Packet) -> bool) -> usize {
        let before = self.queue.len();
        let bytes = &mut self.bytes;
        self.queue.retain(|packet| {
            let stays = stays(packet);
            if !stays {
                *bytes = bytes.saturating_sub(packet.cost());
                if packet.has_attachments() {
                    shed.late.push(Arc::clone(packet));
                }
            }
            stays
        });
        before - self.queue.len()
    }
}
