//! Exactly once from client to server: the last keys of a session keep their acknowledgement, and a repeat gets it again.
//!
//! A key is named by the application ([`Namespace::once_by`](crate::Namespace::once_by)), or it is the ack id, where a client says that
//! it repeats an event with the same one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use trunkline_proto::sio::{self, Encoded};

use crate::ack::AckTarget;
use crate::clock;
use crate::run::guard;
use crate::sid::Id;
use crate::socket::Socket;
use crate::wire::Budget;

/// How much of a session a namespace remembers to tell repeated events from new ones; for
/// [`Namespace::exactly_once`](crate::Namespace::exactly_once).
#[derive(Debug, Clone, Copy)]
pub struct ExactlyOnce {
    max_keys: usize,
    max_bytes: usize,
    keep: Duration,
}

impl Default for ExactlyOnce {
    fn default() -> Self {
        Self::new()
    }
}

impl ExactlyOnce {
    /// With the defaults.
    pub fn new() -> Self {
        Self { max_keys: 256, max_bytes: 64 * 1024, keep: Duration::from_secs(120) }
    }

    /// How many keys of one session are remembered; default 256. The first to be answered are forgotten first: a repeat of an event
    /// that more new ones than this have followed is handled as a new one.
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys.max(1);
        self
    }

    /// Bytes of one session's keys and acknowledgements, 64 counted for each besides; default 64 KiB. They count in
    /// [`IoBuilder::max_memory`](crate::IoBuilder::max_memory). A longer acknowledgement is not kept: its repeat is not handled, but
    /// answered with an error.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long after the disconnect they are kept for a session that can be recovered; default 2 min.
    #[must_use]
    pub fn keep(mut self, time: Duration) -> Self {
        self.keep = time.min(Duration::from_secs(31_536_000));
        self
    }
}

/// What can name an event for [`Namespace::once_by`](crate::Namespace::once_by): a text, an integer, or an option of these.
pub trait IntoKey {
    /// The key; `None`: the event has none and is handled whenever it comes.
    fn into_key(self) -> Option<String>;
}

impl IntoKey for String {
    fn into_key(self) -> Option<String> {
        Some(self)
    }
}

impl<K: IntoKey> IntoKey for Option<K> {
    fn into_key(self) -> Option<String> {
        self.and_then(K::into_key)
    }
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl IntoKey for $type {
            fn into_key(self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}
numbers!(u32 u64 u128 i32 i64 i128);

type KeyOf = Arc<dyn Fn(sio::Args<'_>) -> Option<String> + Send + Sync>;

/// What a namespace knows of repeats; part of its handlers.
#[derive(Clone, Default)]
pub(crate) struct OnceRules {
    settings: ExactlyOnce,
    /// Whether clients are told that ack ids are keys.
    pub(crate) takes_ids: bool,
    events: HashMap<Box<str>, KeyOf>,
}

impl OnceRules {
    pub(crate) fn set(&mut self, settings: ExactlyOnce) {
        self.settings = settings;
        self.takes_ids = true;
    }

    pub(crate) fn add<T, K>(&mut self, event: &str, key: impl Fn(&T) -> K + Send + Sync + 'static)
    where
        T: DeserializeOwned + 'static,
        K: IntoKey + 'static,
    {
        // What has no such argument has no key: its handlers will say what is wrong with it.
        let key_of =
            move |args: sio::Args<'_>| key(&crate::extract::decode_answer::<T>(args).ok()?).into_key();
        self.events.insert(event.into(), Arc::new(key_of));
    }

    /// Looks an event up before it is handled.
    pub(crate) fn meet(
        &self,
        socket: &Socket,
        name: &str,
        args: sio::Args<'_>,
        ack: Option<Arc<AckTarget>>,
    ) -> Met {
        if self.takes_ids && name == sio::KEEPS_IDS {
            socket.core().keeps_ids.store(true, Ordering::Relaxed);
            return Met::Repeat;
        }
        let metrics = &socket.io_core().parts.metrics;
        let key = match self.events.get(name) {
            Some(key_of) => match guard(metrics, "the key of an event", || key_of(args)) {
                // One that panics is no key.
                None | Some(None) => return Met::New(ack),
                Some(Some(key)) if key.len() > MAX_KEY => {
                    if let Some(ack) = ack {
                        ack.fail("the event's key is too long", None);
                    }
                    return Met::Repeat;
                }
                Some(Some(key)) => Key::Named(format!("{}:{name}{key}", name.len()).into()),
            },
            None => match ack.as_ref().and_then(|ack| ack.id()) {
                Some(id) if socket.core().keeps_ids.load(Ordering::Relaxed) => Key::Id(id),
                _ => return Met::New(ack),
            },
        };
        let id = ack.as_ref().and_then(|ack| ack.id());
        match socket.keys(&self.settings).meet(key, ack) {
            Some(ticket) => Met::New(Some(AckTarget::with_ticket(socket.clone(), id, ticket))),
            None => {
                metrics.repeats.add(1);
                Met::Repeat
            }
        }
    }
}

/// What an event is.
pub(crate) enum Met {
    /// To be handled, with this acknowledgement.
    New(Option<Arc<AckTarget>>),
    /// It was handled before, or is being handled; its answer is there or will come.
    Repeat,
}

/// Bytes of a key.
const MAX_KEY: usize = 1024;
/// What a key counts beside its bytes.
const KEY_COST: usize = 64;
/// Repeats that wait for one answer; a client asks one at a time.
const MAX_WAITING: usize = 8;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    /// The event and the application's key.
    Named(Arc<str>),
    /// The ack id.
    Id(u64),
}

impl Key {
    fn cost(&self) -> usize {
        KEY_COST + if let Self::Named(text) = self { text.len() } else { 0 }
    }
}

/// The keys of one session.
pub(crate) struct Keys {
    table: Mutex<Table>,
    settings: ExactlyOnce,
    budget: Arc<Budget>,
}

#[derive(Default)]
struct Table {
    by_key: HashMap<Key, Arc<Slot>>,
    /// In the order of their coming.
    order: VecDeque<Key>,
    bytes: usize,
}

/// What became of one key.
#[derive(Default)]
struct Slot(Mutex<Outcome>);

enum Outcome {
    /// It is being handled; who waits for the answer besides.
    Running(Vec<Arc<AckTarget>>),
    /// `None`: the answer was too long to be kept.
    Answered(Option<Arc<Encoded>>),
}

impl Default for Outcome {
    fn default() -> Self {
        Self::Running(Vec::new())
    }
}

/// Bytes that an acknowledgement holds.
fn size(answer: &Encoded) -> usize {
    answer.head.len() + answer.attachments.iter().map(bytes::Bytes::len).sum::<usize>()
}

impl Keys {
    pub(crate) fn new(settings: &ExactlyOnce, budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self { table: Mutex::default(), settings: *settings, budget: Arc::clone(budget) })
    }

    /// A ticket for a new key. `None` for a known one: `ack` is answered, now or later.
    fn meet(self: &Arc<Self>, key: Key, ack: Option<Arc<AckTarget>>) -> Option<Ticket> {
        let mut table = self.table.lock();
        let Some(slot) = table.by_key.get(&key).cloned() else {
            let slot = Arc::<Slot>::default();
            table.add(&key, &slot, &self.budget);
            let out = table.trim(&self.settings, &self.budget);
            drop(table);
            drop(out);
            return Some(Ticket { keys: Arc::clone(self), key, slot });
        };
        drop(table);
        let ack = ack?;
        let mut given_up = None;
        let answered = match &mut *slot.0.lock() {
            Outcome::Running(waiting) => {
                waiting.push(ack);
                given_up = (waiting.len() > MAX_WAITING).then(|| waiting.remove(0));
                None
            }
            Outcome::Answered(answer) => Some((ack, answer.clone())),
        };
        drop(given_up);
        if let Some((ack, answer)) = answered {
            repeat(&ack, answer.as_deref());
        }
        None
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.budget.sub(self.table.get_mut().bytes);
    }
}

impl Table {
    fn add(&mut self, key: &Key, slot: &Arc<Slot>, budget: &Budget) {
        self.by_key.insert(key.clone(), Arc::clone(slot));
        self.order.push_back(key.clone());
        self.bytes += key.cost();
        budget.add(key.cost());
    }

    fn remove(&mut self, key: &Key, budget: &Budget) -> Option<Arc<Slot>> {
        let slot = self.by_key.remove(key)?;
        let answer = match &*slot.0.lock() {
            Outcome::Answered(Some(answer)) => size(answer),
            _ => 0,
        };
        self.order.retain(|known| known != key);
        self.bytes -= key.cost() + answer;
        budget.sub(key.cost() + answer);
        Some(slot)
    }

    /// Forgets what is over a bound: what is answered first, but never the newest.
    #[must_use]
    fn trim(&mut self, settings: &ExactlyOnce, budget: &Budget) -> Vec<Arc<Slot>> {
        let mut out = Vec::new();
        while self.order.len() > 1
            && (self.order.len() > settings.max_keys || self.bytes > settings.max_bytes)
        {
            let is_answered = |key: &&Key| {
                let slot = self.by_key.get(*key);
                slot.is_some_and(|slot| matches!(&*slot.0.lock(), Outcome::Answered(_)))
            };
            let older = self.order.iter().take(self.order.len() - 1);
            let Some(key) = older.clone().find(is_answered).or_else(|| self.order.front()).cloned() else {
                break;
            };
            out.extend(self.remove(&key, budget));
        }
        out
    }
}

/// Gives a repeat the answer of before.
fn repeat(ack: &AckTarget, answer: Option<&Encoded>) {
    match answer {
        Some(answer) => ack.repeat(answer),
        None => ack.fail("handled already; the answer was too long to be kept", None),
    }
}

/// The duty to tell what a new key's event was answered.
pub(crate) struct Ticket {
    keys: Arc<Keys>,
    key: Key,
    slot: Arc<Slot>,
}

impl Ticket {
    /// The event is answered.
    pub(crate) fn settle(&self, answer: &Encoded) {
        let size = size(answer);
        let Keys { table, settings, budget } = &*self.keys;
        let fits = self.key.cost() + size <= settings.max_bytes;
        let answer = Arc::new(answer.clone());
        let (waiting, out) = {
            let mut table = table.lock();
            let kept = fits.then(|| Arc::clone(&answer));
            let before = std::mem::replace(&mut *self.slot.0.lock(), Outcome::Answered(kept));
            let is_known = table.by_key.get(&self.key).is_some_and(|slot| Arc::ptr_eq(slot, &self.slot));
            if is_known && fits {
                table.bytes += size;
                budget.add(size);
            }
            (before, table.trim(settings, budget))
        };
        drop(out);
        if let Outcome::Running(waiting) = waiting {
            waiting.iter().for_each(|ack| repeat(ack, Some(&answer)));
        }
    }

    /// Nobody will answer any more: the next one is as new.
    pub(crate) fn abandon(&self) {
        let mut table = self.keys.table.lock();
        if table.by_key.get(&self.key).is_some_and(|slot| Arc::ptr_eq(slot, &self.slot)) {
            let slot = table.remove(&self.key, &self.keys.budget);
            drop(table);
            drop(slot);
        }
    }
}

/// The keys of those who may come back, by private id.
#[derive(Default)]
pub(crate) struct KeptKeys(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// With the number of its departure, if it has left.
    by_pid: HashMap<Id, (Arc<Keys>, Option<u64>)>,
    /// Who is gone, by the number of the departure: the oldest first.
    gone: BTreeMap<u64, (Instant, Id)>,
    departures: u64,
}

/// Sessions that are remembered besides those that are connected.
const MAX_GONE: usize = 10_000;

impl KeptKeys {
    /// Those of a session that has come back, or `new` ones. `has_left`: the socket that asks is not connected any more; it takes
    /// nothing from one that has come back since.
    pub(crate) fn of(
        &self,
        pid: Id,
        has_left: impl FnOnce() -> bool,
        new: impl FnOnce() -> Arc<Keys>,
    ) -> Arc<Keys> {
        let mut kept = self.0.lock();
        let has_left = has_left();
        if let Some((keys, departure)) = kept.by_pid.get_mut(&pid) {
            let keys = Arc::clone(keys);
            if !has_left && let Some(number) = departure.take() {
                kept.gone.remove(&number);
            }
            return keys;
        }
        let keys = new();
        kept.by_pid.insert(pid, (Arc::clone(&keys), None));
        let out = if has_left { kept.depart(pid, clock::now()) } else { Vec::new() };
        drop(kept);
        drop(out);
        keys
    }

    /// A session has left, and does not come back if `is_final`. What is forgotten is to be dropped outside of all locks.
    #[must_use]
    pub(crate) fn left(&self, pid: Id, now: Instant, is_final: bool) -> Vec<Arc<Keys>> {
        let mut kept = self.0.lock();
        if is_final { kept.remove(&pid).into_iter().collect() } else { kept.depart(pid, now) }
    }

    /// Gives up the older half of those who are gone, because memory is short; false if there were none.
    pub(crate) fn halve(&self) -> bool {
        let mut kept = self.0.lock();
        let count = kept.gone.len().div_ceil(2);
        let out: Vec<_> = (0..count).filter_map(|_| kept.remove_oldest()).collect();
        drop(kept);
        !out.is_empty()
    }
}

impl Kept {
    fn depart(&mut self, pid: Id, now: Instant) -> Vec<Arc<Keys>> {
        self.departures += 1;
        let number = self.departures;
        if let Some((_, departure @ None)) = self.by_pid.get_mut(&pid) {
            *departure = Some(number);
            self.gone.insert(number, (now, pid));
        }
        let mut out = Vec::new();
        while let Some((_, (at, pid))) = self.gone.first_key_value() {
            let keep = self.by_pid.get(pid).map_or(Duration::ZERO, |(keys, _)| keys.settings.keep);
            if now.saturating_duration_since(*at) <= keep && self.gone.len() <= MAX_GONE {
                break;
            }
            out.extend(self.remove_oldest());
        }
        out
    }

    fn remove(&mut self, pid: &Id) -> Option<Arc<Keys>> {
        let (keys, departure) = self.by_pid.remove(pid)?;
        if let Some(number) = departure {
            self.gone.remove(&number);
        }
        Some(keys)
    }

    fn remove_oldest(&mut self) -> Option<Arc<Keys>> {
        let (_, (_, pid)) = self.gone.pop_first()?;
        self.by_pid.remove(&pid).map(|(keys, _)| keys)
    }
}
