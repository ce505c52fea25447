//! What a connection does: the loops of the modes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;
use trunkline_client::{Args, Client, Reconnection, TransportKind, Value};
use trunkline_proto::sio::{Kind, Packet, Parser, encode_event};

use super::options::Options;
use super::tally::{Course, Phase, Tally};
use super::wire::{Address, Wire};
use crate::console;

/// What the connections of a thread share with those of others.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) options: Arc<Options>,
    pub(crate) address: Address,
    pub(crate) course: Arc<Course>,
    pub(crate) tally: Arc<Tally>,
    /// How many may be opened at the same time.
    pub(crate) opening: Arc<Semaphore>,
    pub(crate) fan: Arc<Fan>,
}

/// What one connection is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Echo {
        pause: Option<Duration>,
    },
    Ack {
        pause: Option<Duration>,
    },
    /// Hears, and answers pings.
    Listen,
    /// Publishes, and hears as well.
    Publish {
        pause: Option<Duration>,
    },
    /// Comes and goes.
    Churn {
        pause: Option<Duration>,
    },
    Poll,
}

/// Publications under way: a slot for each.
#[derive(Debug)]
pub(crate) struct Fan {
    slots: Vec<Slot>,
    /// A publication has reached everybody.
    whole: Notify,
    receivers: usize,
}

#[derive(Debug, Default)]
struct Slot {
    number: AtomicU64,
    sent: AtomicU64,
    left: AtomicUsize,
}

impl Fan {
    pub(crate) fn new(window: usize, receivers: usize) -> Self {
        Self { slots: (0..window).map(|_| Slot::default()).collect(), whole: Notify::new(), receivers }
    }

    fn slot(&self, number: u64) -> Option<&Slot> {
        self.slots.get(usize::try_from(number).ok()? % self.slots.len().max(1))
    }

    /// Whether the publication that the number's slot held has reached everybody.
    fn is_free(&self, number: u64) -> bool {
        self.slot(number).is_some_and(|slot| slot.left.load(Ordering::Acquire) == 0)
    }

    fn begin(&self, number: u64, now: u64) {
        if let Some(slot) = self.slot(number) {
            slot.number.store(number, Ordering::Relaxed);
            slot.sent.store(now, Ordering::Relaxed);
            slot.left.store(self.receivers, Ordering::Release);
        }
    }

    /// A receiver heard the number; when it was sent, or `None` if it is not under way.
    fn heard(&self, number: u64) -> Option<u64> {
        let slot = self.slot(number).filter(|slot| slot.number.load(Ordering::Relaxed) == number)?;
        let sent = slot.sent.load(Ordering::Relaxed);
        let less = |left: usize| left.checked_sub(1);
        let left = slot.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).ok()?;
        if left == 1 {
            self.whole.notify_one();
        }
        Some(sent)
    }
}

impl Load {
    /// Runs a connection until it fails; dropped when it is over.
    pub(crate) async fn run(self, role: Role) {
        let done = match role {
            Role::Echo { pause } => self.echo(pause, false).await,
            Role::Ack { pause } => self.echo(pause, true).await,
            Role::Listen => self.listen().await,
            Role::Publish { pause } => self.publish(pause).await,
            Role::Churn { pause } => self.churn(pause).await,
            Role::Poll => self.poll().await,
        };
        if let Err(why) = done {
            self.course.fail(why);
        }
    }

    async fn open(&self) -> Result<Wire, String> {
        // Never closed.
        let turn = self.opening.acquire().await;
        let opened = tokio::time::timeout(self.options.connection.timeout, Wire::open(&self.address)).await;
        drop(turn);
        let wire = opened.unwrap_or_else(|_| Err("no connection within the timeout".into()))?;
        self.course.open.fetch_add(1, Ordering::Relaxed);
        Ok(wire)
    }

    /// The text of a number: as long as is asked for, and nothing in it that JSON escapes.
    fn text(&self, number: u64) -> String {
        format!("{number:012}{}", "x".repeat(self.options.size.saturating_sub(12)))
    }

    fn event(&self, name: &str, id: Option<u64>, text: &str) -> Result<Vec<u8>, String> {
        let encoded = encode_event(Parser::Json, 0, &self.address.namespace, id, name, text);
        encoded.map(|encoded| encoded.packet().to_vec()).map_err(|error| error.to_string())
    }

    /// Keeps messages under way, whose answers have what was sent.
    async fn echo(&self, pause: Option<Duration>, by_ack: bool) -> Result<(), String> {
        let mut wire = self.open().await?;
        let (kind, name) =
            if by_ack { ("ack", &self.options.ack_event) } else { ("echo", &self.options.echo_event) };
        let inflight = if pause.is_some() { 1 } else { self.options.inflight };
        let mut waiting = VecDeque::with_capacity(inflight);
        let mut number = 0;
        loop {
            while waiting.len() < inflight {
                let text = self.text(number);
                wire.push(&self.event(name, by_ack.then_some(number), &text)?);
                waiting.push_back((number, Instant::now(), format!("\"{text}\"")));
                number += 1;
            }
            let before = waiting.len();
            wire.turn(|packet| self.answered(&packet, by_ack, kind, &mut waiting)).await?;
            if let Some(pause) = pause.filter(|_| waiting.len() < before) {
                self.rest(&mut wire, pause).await?;
            }
        }
    }

    fn answered(
        &self,
        packet: &Packet<'_>,
        by_ack: bool,
        kind: &'static str,
        waiting: &mut VecDeque<(u64, Instant, String)>,
    ) {
        // An acknowledgement may overtake others; events keep their order.
        let (at, mut args) = match &packet.kind {
            Kind::Ack { id, args } if by_ack => (waiting.iter().position(|(number, ..)| number == id), *args),
            Kind::Event { name, args, .. } if !by_ack && **name == self.options.echo_event => {
                (Some(0), *args)
            }
            _ => return self.heard(packet),
        };
        let first = args.next();
        match at.and_then(|at| waiting.remove(at)) {
            Some((_, sent, text)) if first.and_then(|arg| arg.as_json()) == Some(&text) => {
                self.tally.add(&self.course, kind, sent.elapsed());
            }
            _ => self.course.wrong(),
        }
    }

    /// What is published is heard by every connection.
    fn heard(&self, packet: &Packet<'_>) {
        let Kind::Event { name, args, .. } = &packet.kind else { return };
        if **name != self.options.message_event {
            return;
        }
        let mut args = *args;
        let text = args.next().and_then(|arg| arg.as_json());
        let number = text.and_then(|text| text.get(1..13)).and_then(|digits| digits.parse().ok());
        match number.and_then(|number| self.fan.heard(number)) {
            Some(sent) => {
                let took = Duration::from_nanos(self.course.now().saturating_sub(sent));
                self.tally.add(&self.course, "fanout", took);
            }
            None => self.course.wrong(),
        }
    }

    async fn listen(&self) -> Result<(), String> {
        let mut wire = self.open().await?;
        loop {
            wire.turn(|packet| self.heard(&packet)).await?;
        }
    }

    /// Publishes as long as a slot is free: an older publication must have reached everybody. With a pause in between nobody
    /// is waited for.
    async fn publish(&self, pause: Option<Duration>) -> Result<(), String> {
        let mut wire = self.open().await?;
        // Everybody must be there to hear the first.
        while self.course.open.load(Ordering::Relaxed) < self.options.connections as u64 && pause.is_none() {
            sleep(CHECK).await;
        }
        for number in 0.. {
            while pause.is_none() && !self.fan.is_free(number) {
                tokio::select! {
                    () = self.fan.whole.notified() => {}
                    turned = wire.turn(|packet| self.heard(&packet)) => turned?,
                }
            }
            self.fan.begin(number, self.course.now());
            wire.push(&self.event(&self.options.publish_event, None, &self.text(number))?);
            wire.flush().await?;
            if let Some(pause) = pause {
                self.rest(&mut wire, pause).await?;
            }
        }
        Ok(())
    }

    async fn churn(&self, pause: Option<Duration>) -> Result<(), String> {
        while self.course.phase() != Phase::Over {
            // Waiting for the turn is not the server's time.
            let turn = self.opening.acquire().await;
            let began = Instant::now();
            let opened =
                tokio::time::timeout(self.options.connection.timeout, Wire::open(&self.address)).await;
            drop(turn);
            let wire = opened.unwrap_or_else(|_| Err("no connection within the timeout".into()))?;
            self.tally.add(&self.course, "connect", began.elapsed());
            drop(tokio::time::timeout(self.options.connection.timeout, wire.close()).await);
            if let Some(pause) = pause {
                sleep(pause).await;
            }
        }
        Ok(())
    }

    /// The echo by HTTP long-polling, with the client library: requests are what costs there.
    async fn poll(&self) -> Result<(), String> {
        let turn = self.opening.acquire().await;
        let builder = console::builder(&self.options.connection).map_err(|failure| failure.to_string())?;
        let builder =
            builder.transports([TransportKind::Polling]).upgrade(false).reconnection(Reconnection::none());
        let client: Client = console::build(builder).map_err(|failure| failure.to_string())?;
        let socket = client.socket(&self.address.namespace).build();
        let mut events = socket.events();
        socket.connect();
        socket.connected().await.map_err(|error| error.to_string())?;
        drop(turn);
        self.course.open.fetch_add(1, Ordering::Relaxed);
        let mut waiting = VecDeque::with_capacity(self.options.inflight);
        let mut number = 0;
        while socket.is_connected() {
            while waiting.len() < self.options.inflight {
                let text = self.text(number);
                socket.emit(&self.options.echo_event, &text).map_err(|error| error.to_string())?;
                waiting.push_back((Instant::now(), text));
                number += 1;
            }
            let Ok(event) = tokio::time::timeout(self.options.connection.timeout, events.next()).await else {
                return Err("no answer within the timeout".into());
            };
            let Some(event) = event.filter(|event| event.name() == self.options.echo_event) else { continue };
            let Args(args) = event.data::<Args<Vec<Value>>>().map_err(|error| error.to_string())?;
            match waiting.pop_front() {
                Some((sent, text)) if args.first().and_then(Value::as_str) == Some(&text) => {
                    self.tally.add(&self.course, "polling", sent.elapsed());
                }
                _ => self.course.wrong(),
            }
        }
        Err("the connection was lost".into())
    }

    /// Hears what comes for a while.
    async fn rest(&self, wire: &mut Wire, time: Duration) -> Result<(), String> {
        let mut end = std::pin::pin!(sleep(time));
        loop {
            tokio::select! {
                () = &mut end => return Ok(()),
                turned = wire.turn(|packet| self.heard(&packet)) => turned?,
            }
        }
    }
}

/// How often it is looked whether all connections are there.
const CHECK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_when_everybody_has_heard() {
        let fan = Fan::new(2, 2);
        assert!(fan.is_free(0) && fan.is_free(1));
        fan.begin(0, 5);
        fan.begin(1, 6);
        assert!(!fan.is_free(2));
        assert_eq!((fan.heard(0), fan.heard(1), fan.heard(0)), (Some(5), Some(6), Some(5)));
        assert!(fan.is_free(2) && !fan.is_free(3));
        assert_eq!((fan.heard(0), fan.heard(7)), (None, None), "once too often, and never published");
    }
}
