//! One event for many sockets: selected, encoded once, put into each receiver's outbox.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;
use trunkline_proto::eio::CloseReason;
use trunkline_proto::sio;

use crate::ack::{AskedSockets, ManyAcks};
use crate::error::{AckError, BroadcastError, EncodeError};
use crate::log::PLACEHOLDER;
use crate::namespace::{NamespaceCore, Outgoing};
use crate::rooms::Target;
use crate::session::Command;
use crate::shard::{Class, Delivery};
use crate::slow::SlowReaders;
use crate::socket::{Flags, Socket, SocketId};
use crate::wire::{HEADROOM, Packet};

/// One room name, or several: `"a"`, `["a", "b"]`, `&names`, a socket's id.
pub trait IntoRooms {
    /// The names.
    fn into_rooms(self) -> SmallVec<[Arc<str>; 2]>;
}

macro_rules! one_room {
    ($($type:ty),*) => {$(
        impl IntoRooms for $type {
            fn into_rooms(self) -> SmallVec<[Arc<str>; 2]> {
                let name: &str = self.as_ref();
                SmallVec::from_iter([Arc::from(name)])
            }
        }
    )*};
}
one_room!(&str, String, &String, SocketId, &SocketId, Arc<str>, &Arc<str>, std::borrow::Cow<'_, str>);

impl<T: AsRef<str>, const N: usize> IntoRooms for [T; N] {
    fn into_rooms(self) -> SmallVec<[Arc<str>; 2]> {
        self.iter().map(|name| Arc::from(name.as_ref())).collect()
    }
}

impl<T: AsRef<str>> IntoRooms for &[T] {
    fn into_rooms(self) -> SmallVec<[Arc<str>; 2]> {
        self.iter().map(|name| Arc::from(name.as_ref())).collect()
    }
}

impl<T: AsRef<str>> IntoRooms for Vec<T> {
    fn into_rooms(self) -> SmallVec<[Arc<str>; 2]> {
        self.as_slice().into_rooms()
    }
}

impl<T: AsRef<str>> IntoRooms for &Vec<T> {
    fn into_rooms(self) -> SmallVec<[Arc<str>; 2]> {
        self.as_slice().into_rooms()
    }
}

/// A selection of a namespace's sockets, and what to do with them. Nothing happens before the last call.
#[derive(Clone)]
#[must_use = "a selection does nothing by itself"]
pub struct Broadcast {
    namespaces: SmallVec<[Arc<NamespaceCore>; 1]>,
    target: Target,
    flags: Flags,
    timeout: Option<Duration>,
    policy: Option<SlowReaders>,
}

impl Broadcast {
    pub(crate) fn new(namespace: Arc<NamespaceCore>) -> Self {
        Self::over(SmallVec::from_iter([namespace]))
    }

    /// Over several namespaces: the children of a pattern.
    pub(crate) fn over(namespaces: SmallVec<[Arc<NamespaceCore>; 1]>) -> Self {
        Self { namespaces, target: Target::default(), flags: Flags::default(), timeout: None, policy: None }
    }

    pub(crate) fn without(mut self, sender: SocketId) -> Self {
        self.target.sender = Some(sender);
        self
    }

    /// Adds rooms: the sockets in any of them, each once. Without rooms: all sockets of the namespace.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.target.rooms.extend(rooms.into_rooms());
        self
    }

    /// As [`Broadcast::to`], with the speaking socket included.
    pub fn within(mut self, rooms: impl IntoRooms) -> Self {
        self.target.sender = None;
        self.to(rooms)
    }

    /// Leaves out the sockets of these rooms.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.target.except.extend(rooms.into_rooms());
        self
    }

    /// This node's sockets only.
    pub fn local(self) -> Self {
        // There is no other node yet; the flag is part of the API from the start.
        self
    }

    /// Receivers whose line is blocked at that moment do not get it.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// What slow readers may miss of it; default what the rooms say ([`crate::Namespace::room_policy`]), or to disconnect them. Without
    /// effect on `emit_with_ack` and beside `volatile`.
    pub fn policy(mut self, policy: SlowReaders) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Whether transports may compress it; default true.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = compress;
        self
    }

    /// How long `emit_with_ack` waits; default 10 s or [`crate::IoBuilder::ack_timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends an event to all selected sockets. A receiver whose send buffer is full is disconnected (`slow reader`), unless a policy
    /// says otherwise: [`Broadcast::policy`].
    ///
    /// # Errors
    /// [`BroadcastError::Encode`] for a reserved name or what cannot be encoded; [`BroadcastError::Overloaded`] while the server
    /// holds a quarter more than [`crate::IoBuilder::max_memory`]: nothing was sent to anybody.
    pub fn emit(self, event: &str, args: impl Serialize) -> Result<(), BroadcastError> {
        for namespace in &self.namespaces {
            self.send(namespace, event, &args, None, |_| {})?;
        }
        Ok(())
    }

    /// Sends an event and collects the receivers' answers, until all have answered or the timeout is over. The answers that
    /// came are kept: each receiver has one entry, with [`AckError::Timeout`] where none came.
    /// While memory is short (`max_memory`) further answers are not kept: those receivers have [`AckError::Timeout`] too.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub async fn emit_with_ack<T: DeserializeOwned>(
        self,
        event: &str,
        args: impl Serialize,
    ) -> Result<Vec<Answer<T>>, BroadcastError> {
        let (asked, many, done, timeout) = {
            let args = args;
            let Some(first) = self.namespaces.first() else { return Ok(Vec::new()) };
            let (many, done) = ManyAcks::new(&first.io.parts.budget);
            let mut asked = AskedSockets::default();
            let mut timeout = Duration::ZERO;
            for namespace in &self.namespaces {
                let id = namespace.next_ack_id();
                timeout = timeout.max(self.timeout.unwrap_or(namespace.io.config.ack_timeout));
                self.send(namespace, event, &args, Some(id), |socket| {
                    socket.core().acks.wait_for_many(id, &many);
                    asked.0.push((socket.clone(), id));
                })?;
            }
            many.expect(asked.0.len());
            (asked, many, done, timeout)
        };
        // Over or not: what came is taken.
        drop(tokio::time::timeout(timeout, done).await);
        let mut answers: std::collections::HashMap<_, _> = many.take().into_iter().collect();
        let result = asked.0.iter().map(|(socket, _)| {
            let answer = answers.remove(socket.id()).unwrap_or_else(|| Err(missing(socket)));
            let answer = answer.and_then(|args| {
                crate::extract::decode_answer(args.as_args()).map_err(|e| AckError::Decode(e.to_string()))
            });
            Answer { socket: socket.id().clone(), result: answer }
        });
        Ok(result.collect())
    }

    fn send(
        &self,
        namespace: &NamespaceCore,
        event: &str,
        args: &impl Serialize,
        id: Option<u64>,
        mut seen: impl FnMut(&Socket),
    ) -> Result<(), BroadcastError> {
        let io = &namespace.io;
        io.parts.budget.relieve();
        if io.parts.budget.is_exhausted() {
            return Err(BroadcastError::Overloaded);
        }
        let parser = io.config.parser;
        let log = namespace.log().filter(|_| id.is_none());
        let encoded = match log {
            None => sio::encode_event(parser, HEADROOM, &namespace.name, id, event, args),
            Some(_) => {
                sio::encode_event_with_offset(parser, HEADROOM, &namespace.name, event, args, PLACEHOLDER)
            }
        };
        let encoded = encoded.map_err(EncodeError::from)?;
        let Flags { volatile, compress } = self.flags;
        let (wants_outgoing, rooms_policy) = namespace.on_the_way_out(&self.target);
        let policy = self.policy.as_ref().or(rooms_policy.as_ref()).filter(|_| !volatile && id.is_none());
        let mut lane = None;
        if wants_outgoing || policy.is_some() {
            let is_shown = wants_outgoing || policy.is_some_and(SlowReaders::looks_at_events);
            // The hooks see no offset: it is not known yet.
            let plain = match log {
                Some(_) if is_shown => Some(
                    sio::encode_event(parser, HEADROOM, &namespace.name, id, event, args)
                        .map_err(EncodeError::from)?,
                ),
                _ => None,
            };
            let outgoing = || Outgoing::to_rooms(&self.target, event, plain.as_ref().unwrap_or(&encoded));
            if wants_outgoing {
                namespace.notify_outgoing(outgoing);
            }
            if let Some(policy) = policy {
                let outgoing = is_shown.then(outgoing);
                // A key that panics is no key: the event is kept for everybody.
                io.guard("the key of an event", || {
                    lane = policy.lane(&namespace.name, &self.target, event, outgoing.as_ref());
                });
            }
        }
        let class = match lane {
            _ if volatile => Class::Volatile,
            Some(_) => Class::Sheddable,
            None => Class::Event,
        };
        let mut push = |packet: &Arc<Packet>| -> SmallVec<[Delivery; 4]> {
            if let Some(lane) = lane.take() {
                packet.set_lane(lane);
            }
            let shards = io.parts.shards.iter();
            shards
                .map(|s| {
                    s.with(|state| state.broadcast(namespace.id, &self.target, packet, class, &mut seen))
                })
                .collect()
        };
        let deliveries = match log {
            None => push(&Packet::encoded(encoded, compress, &io.parts.budget)),
            Some(log) => {
                let mut bytes = 0;
                let push = |p: &Arc<Packet>| {
                    bytes = p.cost();
                    (push(p), true)
                };
                let deliveries = log.emit(encoded, compress, &io.parts.budget, &self.target, !volatile, push);
                if !volatile {
                    namespace.readers.tell(&self.target.rooms, bytes);
                }
                deliveries
            }
        };
        for (shard, delivery) in io.parts.shards.iter().zip(deliveries) {
            if delivery.dropped > 0 {
                shard.counters.dropped_volatile.add(delivery.dropped as u64);
            }
            if delivery.shed.oldest > 0 || delivery.shed.outdated > 0 {
                shard.counters.dropped_oldest.add(delivery.shed.oldest as u64);
                shard.counters.dropped_outdated.add(delivery.shed.outdated as u64);
            }
            if !delivery.full.is_empty() {
                shard.counters.dropped_full.add(delivery.full.len() as u64);
                delivery.full.iter().for_each(|s| s.command(Command::Close(CloseReason::SlowReader)));
            }
        }
        Ok(())
    }

    /// How many sockets of this node are selected, at this moment.
    pub fn count(&self) -> usize {
        let mut count = 0;
        for namespace in &self.namespaces {
            for shard in &*namespace.io.parts.shards {
                shard.with(|state| state.rooms.select(namespace.id, &self.target, |_, _| count += 1));
            }
        }
        count
    }

    /// The selected sockets, at this moment.
    pub fn sockets(&self) -> Vec<Socket> {
        let mut sockets = Vec::new();
        for namespace in &self.namespaces {
            for shard in &*namespace.io.parts.shards {
                shard.with(|state| {
                    state.rooms.select(namespace.id, &self.target, |_, socket| sockets.push(socket.clone()));
                });
            }
        }
        sockets
    }

    /// The selected sockets of all nodes, each with its handshake, rooms and data.
    #[expect(clippy::unused_async, reason = "asks other nodes once there are some")]
    pub async fn fetch_sockets(self) -> Vec<RemoteSocket> {
        self.sockets().into_iter().map(|socket| RemoteSocket { socket }).collect()
    }

    /// Has the selected sockets enter rooms.
    pub fn sockets_join(self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        self.sockets().iter().for_each(|socket| socket.join(rooms.as_slice()));
    }

    /// Has the selected sockets leave rooms.
    pub fn sockets_leave(self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        self.sockets().iter().for_each(|socket| socket.leave(rooms.as_slice()));
    }

    /// Disconnects the selected sockets; with `close`, their connections with all namespaces.
    pub fn disconnect_sockets(self, close: bool) {
        self.sockets().iter().for_each(|socket| socket.disconnect(close));
    }
}

/// Why a receiver has not answered when the wait is over.
fn missing(socket: &Socket) -> AckError {
    if !socket.is_connected() {
        return AckError::Disconnected;
    }
    socket.namespace_core().io.parts.metrics.ack_timeouts.add(1);
    AckError::Timeout
}

impl std::fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broadcast")
            .field("target", &self.target)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// What one receiver of a broadcast answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// Who.
    pub socket: SocketId,
    /// The answer, or why there is none.
    pub result: Result<T, AckError>,
}

/// A socket found by [`Broadcast::fetch_sockets`].
#[derive(Debug, Clone)]
pub struct RemoteSocket {
    socket: Socket,
}

impl RemoteSocket {
    /// Its id.
    pub fn id(&self) -> &SocketId {
        self.socket.id()
    }

    /// The request that opened its connection.
    pub fn handshake(&self) -> &crate::Handshake {
        self.socket.handshake()
    }

    /// The rooms it is in, its own-id room first.
    pub fn rooms(&self) -> Vec<Arc<str>> {
        self.socket.rooms()
    }

    /// What [`Socket::set_data`] has set.
    pub fn data(&self) -> serde_json::Map<String, serde_json::Value> {
        self.socket.data()
    }

    /// See [`Socket::emit`].
    ///
    /// # Errors
    /// As there.
    pub fn emit(&self, event: &str, args: impl Serialize) -> Result<(), crate::EmitError> {
        self.socket.emit(event, args)
    }

    /// See [`Socket::join`].
    pub fn join(&self, rooms: impl IntoRooms) {
        self.socket.join(rooms);
    }

    /// See [`Socket::leave`].
    pub fn leave(&self, rooms: impl IntoRooms) {
        self.socket.leave(rooms);
    }

    /// See [`Socket::disconnect`].
    pub fn disconnect(&self, close: bool) {
        self.socket.disconnect(close);
    }
}
