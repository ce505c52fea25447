//! A shard: one lock over the outboxes of its sessions and the rooms of their sockets, and the list of receivers
//! that its flusher has to write to.
//!
//! An emit puts shared packets into outboxes under the lock and wakes the flusher once; see [`crate::flush`].
//! A shard is a lock, not an actor: a push from any thread takes effect in program order.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::oneshot;

use crate::alarms::Alarms;
use crate::clock;
use crate::dirty::{Dirty, FEW};
use crate::hash::Quick;
use crate::metrics::ShardCounters;
use crate::outbox::{Mode, Outbox, PollSender, Sink};
use crate::rooms::{Rooms, Target};
use crate::session::{Command, Session};
use crate::sid::Id;
use crate::slow::Shed;
use crate::socket::Socket;
use crate::turn;
use crate::uring::Batches;
use crate::wire::{Budget, Packet, Queue, Wire};

/// Where a session's outbox is. The generation tells a later tenant of the same slot apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Slot {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// One shard; sessions belong to it for life.
pub(crate) struct Shard {
    pub(crate) index: usize,
    state: Mutex<State>,
    /// Sessions by their secret id.
    sessions: Mutex<HashSet<BySid, Quick>>,
    pub(crate) alarms: Alarms,
    pub(crate) counters: ShardCounters,
    /// What writes for many receivers at once.
    pub(crate) batches: Batches,
}

/// A session, found by its secret id.
struct BySid(Arc<Session>);

impl Borrow<Id> for BySid {
    fn borrow(&self) -> &Id {
        &self.0.sid
    }
}

impl PartialEq for BySid {
    fn eq(&self, other: &Self) -> bool {
        self.0.sid == other.0.sid
    }
}

impl Eq for BySid {}

impl Hash for BySid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.sid.hash(state);
    }
}

/// What the shard's lock guards.
pub(crate) struct State {
    pub(crate) outboxes: Slab<Outbox>,
    pub(crate) rooms: Rooms,
    /// Outboxes in mode `Dirty`, and some that were.
    pub(crate) dirty: Dirty,
    /// Outboxes in which all that waits has to wait for a log.
    pub(crate) held: Vec<Slot>,
    /// The flusher's waker while it sleeps.
    pub(crate) flusher: Option<Waker>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) limit: usize,
    /// The engine is gone, and with it all sessions.
    pub(crate) ended: bool,
    /// The flusher knows that memory is short.
    pub(crate) pressed: bool,
    generation: u32,
}

/// How a packet counts and what happens to it when its receiver cannot take it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// An event: bounded by the send buffer.
    Event,
    /// An event that may be dropped for others, as its packet says.
    Sheddable,
    /// Dropped if the receiver's line is blocked at this moment.
    Volatile,
    /// Heartbeats, CONNECT, DISCONNECT, acknowledgements, close: have `CONTROL_HEADROOM` bytes more.
    Control,
}

/// What a push did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Push {
    Taken,
    /// Volatile, and the line was blocked.
    Dropped,
    /// Sheddable, and there was no room for it.
    Shed,
    /// Over the receiver's bound; nothing was queued.
    Full,
    Closed,
}

/// Bytes beyond the send buffer's bound that control packets may use (design 8.2).
const CONTROL_HEADROOM: usize = 64 * 1024;

impl Shard {
    /// `limit`: the bound of one receiver's queue in bytes.
    pub(crate) fn new(index: usize, limit: usize, budget: Arc<Budget>, batches: Batches) -> Arc<Self> {
        Arc::new(Self {
            index,
            state: Mutex::new(State {
                outboxes: Slab::new(),
                rooms: Rooms::default(),
                dirty: Dirty::default(),
                held: Vec::new(),
                flusher: None,
                budget,
                limit,
                ended: false,
                pressed: false,
                generation: 0,
            }),
            sessions: Mutex::default(),
            alarms: Alarms::new(clock::now()),
            counters: ShardCounters::default(),
            batches,
        })
    }

    /// Runs `f` under the shard's lock, then wakes the flusher if there is work for it ([`crate::turn`] may put that off). `f` must not
    /// call user code.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = f(&mut state);
        let is_wanted = !state.dirty.is_empty() || (!state.pressed && state.budget.is_over());
        let is_wanted = is_wanted && state.flusher.is_some() && !turn::defers(self);
        let waker = if is_wanted { state.flusher.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }

    /// Finds a session by its secret id.
    pub(crate) fn session(&self, sid: &Id) -> Option<Arc<Session>> {
        self.sessions.lock().get(sid).map(|found| Arc::clone(&found.0))
    }

    pub(crate) fn insert_session(&self, session: &Arc<Session>) {
        self.sessions.lock().insert(BySid(Arc::clone(session)));
    }

    pub(crate) fn remove_session(&self, sid: &Id) {
        self.sessions.lock().remove(sid);
    }

    /// All sessions, at this moment.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        self.sessions.lock().iter().map(|found| Arc::clone(&found.0)).collect()
    }

    /// Wakes the sessions whose alarm has rung.
    pub(crate) fn ring(&self, due: &mut Vec<Slot>) {
        if due.is_empty() {
            return;
        }
        let session = |state: &mut State, slot| state.get(slot)?.session.clone();
        let sessions: Vec<_> =
            self.with(|state| due.drain(..).filter_map(|slot| session(state, slot)).collect());
        sessions.iter().for_each(|session| session.ring());
    }

    /// A packet for one receiver.
    pub(crate) fn push(&self, slot: Slot, packet: &Arc<Packet>, class: Class) -> Push {
        self.with(|state| state.push(slot, packet, class))
    }
}

impl State {
    /// Makes an outbox; its session is attached by [`State::attach`].
    pub(crate) fn open(&mut self, wire: Wire, sink: Sink) -> Slot {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let index = self.outboxes.insert(Outbox::new(generation, wire, sink));
        Slot { index: u32::try_from(index).unwrap_or(u32::MAX), generation }
    }

    pub(crate) fn attach(&mut self, slot: Slot, session: &Arc<Session>) {
        if let Some(outbox) = self.get(slot) {
            outbox.session = Some(Arc::clone(session));
        }
    }

    /// Ends an outbox and gives it back, with all that was never sent.
    pub(crate) fn close(&mut self, slot: Slot) -> Option<Outbox> {
        self.get(slot)?;
        let mut outbox = self.outboxes.remove(slot.index as usize);
        outbox.wake_drained();
        Some(outbox)
    }

    #[inline]
    pub(crate) fn get(&mut self, slot: Slot) -> Option<&mut Outbox> {
        self.outboxes.get_mut(slot.index as usize).filter(|o| o.generation == slot.generation)
    }

    /// Puts `packet` into a receiver's outbox.
    #[inline]
    pub(crate) fn push(&mut self, slot: Slot, packet: &Arc<Packet>, class: Class) -> Push {
        debug_assert_ne!(class, Class::Sheddable, "for broadcasts");
        let mut shed = Shed::default();
        enqueue(&mut self.outboxes, &mut self.dirty, self.limit, slot, packet, class, true, &mut shed)
    }

    /// Puts packets into a receiver's outbox, in order. False if one did not fit: nothing more is taken then, so that nothing follows
    /// the gap, and the session is to be closed.
    pub(crate) fn push_all<'a>(
        &mut self,
        slot: Slot,
        packets: impl IntoIterator<Item = (&'a Arc<Packet>, Class)>,
    ) -> bool {
        let all = packets.into_iter().all(|(packet, class)| self.push(slot, packet, class) != Push::Full);
        if !all && let Some(outbox) = self.get(slot) {
            outbox.finishing = true;
        }
        all
    }

    /// Puts `packet` into the outbox of every receiver of `target`; gives the sessions whose outbox was full and how many
    /// receivers there were. `seen` is called for each of them.
    pub(crate) fn broadcast(
        &mut self,
        namespace: u32,
        target: &Target,
        packet: &Arc<Packet>,
        class: Class,
        mut seen: impl FnMut(&Socket),
    ) -> Delivery {
        let Self { outboxes, dirty, limit, rooms, .. } = self;
        let mut delivery = Delivery::default();
        rooms.select(namespace, target, |slot, socket| {
            delivery.receivers += 1;
            seen(socket);
            let is_for_few = delivery.receivers <= FEW;
            match enqueue(outboxes, dirty, *limit, slot, packet, class, is_for_few, &mut delivery.shed) {
                Push::Taken | Push::Closed | Push::Shed => {}
                Push::Dropped => delivery.dropped += 1,
                Push::Full => {
                    // It is closed once, and gets nothing behind the gap.
                    if let Some(outbox) = outboxes.get_mut(slot.index as usize) {
                        outbox.finishing = true;
                    }
                    delivery.full.push(Arc::clone(socket.session()));
                }
            }
        });
        delivery
    }

    /// Marks an outbox dirty if it has something to send and somewhere to send it.
    pub(crate) fn kick(&mut self, slot: Slot) {
        let Some(outbox) = self.get(slot) else { return };
        if outbox.mode == Mode::Idle && outbox.sink.is_ready() && !outbox.queue.is_empty() {
            outbox.mode = Mode::Dirty;
            outbox.ahead = true;
            self.dirty.push(slot, true);
        }
    }

    /// All that waits in an outbox has to wait for a log: [`State::release`] will find it.
    pub(crate) fn hold(&mut self, slot: Slot) {
        if let Some(outbox) = self.get(slot).filter(|outbox| !outbox.listed) {
            outbox.listed = true;
            self.held.push(slot);
        }
    }

    /// A log was written: what waited for it is looked at again.
    pub(crate) fn release(&mut self) {
        for slot in std::mem::take(&mut self.held) {
            if let Some(outbox) = self.get(slot) {
                outbox.listed = false;
                self.kick(slot);
            }
        }
    }

    /// A polling GET has come.
    pub(crate) fn poll(&mut self, slot: Slot) -> Result<Polled, NoPoll> {
        let Some(outbox) = self.get(slot) else { return Err(NoPoll::Closed) };
        match outbox.sink {
            Sink::Poll(_) => return Err(NoPoll::Overlap),
            // Upgraded since the request was looked at.
            Sink::Tcp(_) | Sink::Other(_) | Sink::Task => return Err(NoPoll::Upgraded),
            Sink::Waiting => {}
        }
        let queue = outbox.take_answer();
        if outbox.queue.is_empty() {
            outbox.wake_drained();
        }
        if queue.is_empty() {
            let (sender, receiver) = oneshot::channel();
            outbox.sink = Sink::Poll(sender);
            if outbox.held {
                self.hold(slot);
            }
            return Ok(Polled::Later(receiver));
        }
        Ok(Polled::Now(queue))
    }

    /// The session changes to another transport; the GET that may wait is given back.
    pub(crate) fn switch(&mut self, slot: Slot, wire: Wire, sink: Sink) -> Option<PollSender> {
        let outbox = self.get(slot)?;
        let old = std::mem::replace(&mut outbox.sink, sink);
        outbox.wire = wire;
        outbox.since = None;
        if outbox.mode == Mode::Dirty {
            outbox.mode = Mode::Idle;
        }
        self.kick(slot);
        if let Sink::Poll(sender) = old { Some(sender) } else { None }
    }

    /// Answers a waiting GET with `packet`, past the queue; true if one waited.
    pub(crate) fn answer_poll(&mut self, slot: Slot, packet: &Arc<Packet>) -> bool {
        let Some(outbox) = self.get(slot) else { return false };
        if !matches!(outbox.sink, Sink::Poll(_)) || !outbox.queue.is_empty() {
            return false;
        }
        if let Sink::Poll(sender) = std::mem::replace(&mut outbox.sink, Sink::Waiting) {
            return sender.send(Queue::from_iter([Arc::clone(packet)])).is_ok();
        }
        false
    }

    /// The receivers with the oldest unsent bytes, up to `most`, and the bytes of those that end already: they are free when the tasks of
    /// those have ended.
    pub(crate) fn slowest(&self, most: usize) -> (Vec<Slot>, usize) {
        let mut oldest: Vec<(Instant, Slot)> = Vec::new();
        let mut ending = 0;
        for (index, outbox) in &self.outboxes {
            if outbox.finishing {
                ending += outbox.bytes;
            } else if let (Some(since), false) = (outbox.since, outbox.queue.is_empty()) {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                oldest.push((since, Slot { index, generation: outbox.generation }));
            }
        }
        oldest.sort_unstable_by_key(|(since, _)| *since);
        (oldest.into_iter().take(most).map(|(_, slot)| slot).collect(), ending)
    }

    /// Closes a receiver that is still as slow. Gives what was not begun, to be dropped outside of the lock because attachments are the
    /// application's, and how many bytes are left.
    pub(crate) fn shed(&mut self, slot: Slot) -> Option<(Queue, usize)> {
        let outbox = self.get(slot).filter(|outbox| !outbox.finishing && outbox.since.is_some())?;
        outbox.finishing = true;
        let unsent = outbox.take_unsent();
        if let Some(session) = &outbox.session {
            session.command(Command::Close(trunkline_proto::eio::CloseReason::SlowReader));
        }
        Some((unsent, outbox.bytes))
    }
}

/// What a broadcast did on one shard.
#[derive(Default)]
pub(crate) struct Delivery {
    pub(crate) receivers: usize,
    /// Volatile, and the line was blocked.
    pub(crate) dropped: usize,
    /// Those over their bound: the slow-reader policy is for them.
    pub(crate) full: Vec<Arc<Session>>,
    /// What was dropped by policy.
    pub(crate) shed: Shed,
}

#[inline]
#[expect(
    clippy::too_many_arguments,
    reason = "inlined where it is called; parts of a state that is borrowed otherwise"
)]
fn enqueue(
    outboxes: &mut Slab<Outbox>,
    dirty: &mut Dirty,
    limit: usize,
    slot: Slot,
    packet: &Arc<Packet>,
    class: Class,
    is_for_few: bool,
    shed: &mut Shed,
) -> Push {
    let Some(outbox) = outboxes.get_mut(slot.index as usize).filter(|o| o.generation == slot.generation)
    else {
        return Push::Closed;
    };
    if outbox.finishing {
        return Push::Closed;
    }
    let cost = packet.cost();
    match class {
        Class::Volatile if outbox.is_blocked() => return Push::Dropped,
        // One packet is always taken by an empty outbox, however long: the queue is bounded, not the message.
        Class::Event | Class::Volatile if outbox.bytes + cost > limit && outbox.bytes > 0 => {
            return Push::Full;
        }
        Class::Sheddable => match outbox.make_room(packet, limit, shed) {
            Push::Taken => {}
            other => return other,
        },
        Class::Control if outbox.bytes + cost > limit.max(cost).saturating_add(CONTROL_HEADROOM) => {
            return Push::Full;
        }
        _ => {}
    }
    outbox.queue.push(Arc::clone(packet));
    outbox.bytes += cost;
    if packet.is_held() {
        outbox.held = true;
    }
    if outbox.mode == Mode::Idle {
        if outbox.sink.is_ready() {
            outbox.mode = Mode::Dirty;
            outbox.ahead = is_for_few;
            dirty.push(slot, is_for_few);
        } else if outbox.since.is_none() {
            outbox.since = Some(Instant::now());
        }
    } else if is_for_few && !outbox.ahead {
        outbox.ahead = true;
        if outbox.mode == Mode::Dirty {
            dirty.push(slot, true);
        }
    }
    Push::Taken
}

/// What a GET gets.
pub(crate) enum Polled {
    /// What waited for it.
    Now(Queue),
    /// Nothing waits: it is told when something comes.
    Later(oneshot::Receiver<Queue>),
}

/// Why a GET cannot wait (reference/socketio.md 1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoPoll {
    /// Another GET waits already.
    Overlap,
    /// The session is a WebSocket's now.
    Upgraded,
    /// The session has ended.
    Closed,
}
