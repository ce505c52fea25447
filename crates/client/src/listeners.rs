//! Who listens to a socket: handlers by event, catch-alls, and those of its beginning and end.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use trunkline_proto::sio::{Decoder, Kind, Limits, OwnedArgs, Parser};

use crate::extract::decode_answer;
use crate::handler::ErasedHandler;
use crate::manager::Message;

/// The table of one socket.
#[derive(Default)]
pub(crate) struct Listeners {
    events: HashMap<Box<str>, Vec<Listener>>,
    any: Vec<Arc<dyn ErasedHandler>>,
    pub(crate) connect: Vec<Arc<dyn ErasedHandler>>,
    pub(crate) disconnect: Vec<Arc<dyn ErasedHandler>>,
    pub(crate) connect_error: Vec<Arc<dyn ErasedHandler>>,
    pub(crate) outgoing: Vec<Arc<OutgoingHook>>,
}

/// Told of every event that is sent.
pub(crate) type OutgoingHook = dyn Fn(&Outgoing) + Send + Sync;

struct Listener {
    handler: Arc<dyn ErasedHandler>,
    once: bool,
}

impl Listeners {
    pub(crate) fn add(&mut self, event: &str, handler: Arc<dyn ErasedHandler>, once: bool) {
        self.events.entry(event.into()).or_default().push(Listener { handler, once });
    }

    pub(crate) fn add_any(&mut self, handler: Arc<dyn ErasedHandler>) {
        self.any.push(handler);
    }

    /// Removes the handlers of an event.
    pub(crate) fn remove(&mut self, event: &str) {
        self.events.remove(event);
    }

    pub(crate) fn remove_any(&mut self) {
        self.any.clear();
    }

    /// Whether an event has a handler.
    pub(crate) fn hears(&self, event: &str) -> bool {
        !self.any.is_empty() || self.events.contains_key(event)
    }

    /// The handlers for one occurrence of an event, the catch-alls first; those for one occurrence are removed.
    pub(crate) fn take(&mut self, event: &str) -> Vec<Arc<dyn ErasedHandler>> {
        let mut handlers = self.any.clone();
        if let Some(listeners) = self.events.get_mut(event) {
            handlers.extend(listeners.iter().map(|listener| Arc::clone(&listener.handler)));
            listeners.retain(|listener| !listener.once);
            if listeners.is_empty() {
                self.events.remove(event);
            }
        }
        handlers
    }
}

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listeners").field("events", &self.events.keys()).finish_non_exhaustive()
    }
}

/// An event on its way to the server; see [`Socket::on_any_outgoing`](crate::Socket::on_any_outgoing).
#[derive(Debug)]
pub struct Outgoing {
    name: String,
    args: OwnedArgs,
}

impl Outgoing {
    /// Reads our own packet back.
    pub(crate) fn read(parser: Parser, message: &Message) -> Option<Self> {
        // Our own packet, of any size.
        let limits = Limits { max_attachments: usize::MAX, max_bytes: usize::MAX, ..Limits::default() };
        let mut decoder = Decoder::new(parser, limits);
        let read = |packet: &trunkline_proto::sio::Packet<'_>| match &packet.kind {
            Kind::Event { name, args, .. } => Some(Self { name: (**name).into(), args: args.to_owned() }),
            _ => None,
        };
        let head = if message.binary {
            decoder.decode_binary((&*message.head).into())
        } else {
            decoder.decode_text(std::str::from_utf8(&message.head).ok()?)
        };
        if let Some(packet) = head.ok()? {
            return read(&packet);
        }
        for attachment in &message.attachments {
            if let Some(packet) = decoder.decode_binary(attachment.to_vec().into()).ok()? {
                return read(&packet);
            }
        }
        None
    }

    /// The event's name.
    pub fn event(&self) -> &str {
        &self.name
    }

    /// The first argument as `T`, all of them if `T` is [`Args`](crate::Args); `None` if they are of another type.
    pub fn args<T: DeserializeOwned>(&self) -> Option<T> {
        decode_answer(self.args.as_args()).ok()
    }
}
