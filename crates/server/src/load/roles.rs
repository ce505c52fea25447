//! What a connection does: the loops of the modes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::sleep;
use trunkline_client::Value;
use trunkline_proto::sio::{self, Args, Packet, Parser, encode_event};

use super::course::Course;
use super::fan::Fan;
use super::lost::Lost;
use super::options::Options;
use super::owed::{Owed, Patience};
use super::tally::{Kind, Tally};
use super::wire::{Address, Wire};
use crate::console::{self, Json, json_line};

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
    /// What every connection joins at first, in the mode `publish`.
    pub(crate) room: Option<Arc<str>>,
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
        /// Whether an older publication must have reached everybody.
        waits: bool,
    },
    /// Comes and goes.
    Churn {
        pause: Option<Duration>,
    },
    Poll,
}

impl Load {
    /// Runs a connection until it fails, or there is nothing more to do; dropped when it is over.
    ///
    /// # Errors
    /// Why it failed.
    pub(crate) async fn run(&self, role: Role) -> Result<(), Lost> {
        match role {
            Role::Echo { pause } => self.echo(pause, Kind::Echo).await,
            Role::Ack { pause } => self.echo(pause, Kind::Ack).await,
            Role::Listen => self.listen(self.open().await?).await,
            Role::Publish { pause, waits } => self.publish(pause, waits).await,
            Role::Churn { pause } => self.churn(pause).await,
            Role::Poll => self.poll().await,
        }
    }

    async fn open(&self) -> Result<Wire, Lost> {
        let opened = async {
            let mut wire = self.entered(Wire::open(&self.address)).await?;
            if let Some(room) = &self.room {
                let limit = self.options.connection.timeout;
                let joined = tokio::time::timeout(limit, self.join(&mut wire, room)).await;
                joined.unwrap_or(Err(Lost::Unanswered(limit)))?;
            }
            Ok(wire)
        };
        let opened = opened.await;
        self.course.opened(opened.is_ok());
        opened
    }

    /// Waits for its turn, then for what opens a connection, as long as the timeout lets it.
    pub(crate) async fn entered<T>(&self, opening: impl Future<Output = Result<T, Lost>>) -> Result<T, Lost> {
        // Never closed.
        let _turn = self.opening.acquire().await;
        let opened = tokio::time::timeout(self.options.connection.timeout, opening).await;
        opened.unwrap_or_else(|_| Err("no connection within the timeout".into()))
    }

    /// Enters the room.
    async fn join(&self, wire: &mut Wire, room: &str) -> Result<(), Lost> {
        wire.push(&self.event(&self.options.join_event, Some(0), &room)?);
        let mut joined = None;
        while joined.is_none() {
            wire.turn(|packet| {
                if let sio::Kind::Ack { id: 0, args } = &packet.kind {
                    joined = Some(accepted(*args));
                }
            })
            .await?;
        }
        joined.unwrap_or(Ok(()))
    }

    /// The text of a number: as long as is asked for, and nothing in it that JSON escapes.
    pub(crate) fn text(&self, number: u64) -> String {
        format!("{number:012}{}", "x".repeat(self.options.size.saturating_sub(12)))
    }

    fn event<A: serde::Serialize>(&self, name: &str, id: Option<u64>, args: &A) -> Result<Vec<u8>, Lost> {
        let encoded = encode_event(Parser::Json, 0, &self.address.namespace, id, name, args);
        encoded.map(|encoded| encoded.packet().to_vec()).map_err(|error| error.to_string().into())
    }

    pub(crate) fn owed(&self, kind: Kind) -> (Owed, Patience) {
        (Owed::new(kind, Arc::clone(&self.tally)), Patience::new(self.options.connection.timeout))
    }

    /// Keeps messages under way, whose answers have what was sent.
    async fn echo(&self, pause: Option<Duration>, kind: Kind) -> Result<(), Lost> {
        let mut wire = self.open().await?;
        let by_ack = kind == Kind::Ack;
        let name = if by_ack { &self.options.ack_event } else { &self.options.echo_event };
        let inflight = if pause.is_some() { 1 } else { self.options.inflight };
        let (mut owed, mut patience) = self.owed(kind);
        let mut number = 0;
        loop {
            while self.course.is_sending() && owed.len() < inflight {
                let text = self.text(number);
                wire.push(&self.event(name, by_ack.then_some(number), &text)?);
                owed.sent(number, format!("\"{text}\""));
                number += 1;
            }
            if owed.is_empty() {
                // It still hears what others publish.
                return self.listen(wire).await;
            }
            let (before, oldest) = (owed.len(), owed.oldest());
            patience.wait(oldest, wire.turn(|packet| self.answered(&packet, by_ack, &mut owed))).await?;
            if let Some(pause) = pause.filter(|_| owed.len() < before) {
                self.rest(&mut wire, pause, |packet| self.heard(&packet)).await?;
            }
        }
    }

    fn answered(&self, packet: &Packet<'_>, by_ack: bool, owed: &mut Owed) {
        // An acknowledgement may overtake others; events keep their order.
        let (number, mut args) = match &packet.kind {
            sio::Kind::Ack { id, args } if by_ack => (Some(*id), *args),
            sio::Kind::Event { name, args, .. } if !by_ack && **name == self.options.echo_event => {
                (None, *args)
            }
            _ => return self.heard(packet),
        };
        let first = args.next();
        let first = first.as_ref().and_then(|arg| arg.as_json());
        owed.answered(&self.course, number, |expected| first == Some(expected));
    }

    /// What is published is heard by every connection.
    fn heard(&self, packet: &Packet<'_>) {
        let sio::Kind::Event { name, args, .. } = &packet.kind else { return };
        if **name != self.options.message_event {
            return;
        }
        let mut args = *args;
        let text = args.next().and_then(|arg| arg.as_json());
        let number = text.and_then(|text| text.get(1..13)).and_then(|digits| digits.parse().ok());
        match number.and_then(|number| self.fan.heard(number)) {
            Some(sent) => {
                let took = Duration::from_nanos(self.course.now().saturating_sub(sent));
                self.tally.add(&self.course, Kind::Fanout, took);
            }
            None => self.course.wrong(),
        }
    }

    async fn listen(&self, mut wire: Wire) -> Result<(), Lost> {
        loop {
            wire.turn(|packet| self.heard(&packet)).await?;
        }
    }

    async fn publish(&self, pause: Option<Duration>, waits: bool) -> Result<(), Lost> {
        let mut wire = self.open().await?;
        // Everybody must be there to hear the first.
        while !self.course.is_opened() {
            self.rest(&mut wire, CHECK, |packet| self.heard(&packet)).await?;
        }
        // By the room's handler it does not hear itself.
        let receivers = self.course.open().saturating_sub(u64::from(self.room.is_some()));
        let (mut owed, mut patience) = self.owed(Kind::Publish);
        for number in 0.. {
            let began = Instant::now();
            while waits && !(self.fan.is_free(number) && owed.len() < self.options.inflight) {
                let mut done = Ok(());
                let turn = async {
                    tokio::select! {
                        () = self.fan.whole() => Ok(()),
                        turned = wire.turn(|packet| self.published(&packet, &mut owed, &mut done)) => turned,
                    }
                };
                patience.wait(Some(began), turn).await?;
                done?;
            }
            if !self.course.is_sending() {
                break;
            }
            let text = self.text(number);
            let missed = self.fan.begin(number, receivers as usize, self.course.now());
            self.tally.missed(Kind::Fanout, missed as u64);
            let event = &self.options.publish_event;
            match &self.room {
                Some(room) => {
                    let args = sio::Many((&**room, &self.options.message_event, text));
                    wire.push(&self.event(event, Some(number), &args)?);
                    owed.sent(number, String::new());
                }
                None => wire.push(&self.event(event, None, &text)?),
            }
            wire.flush().await?;
            if let Some(pause) = pause {
                let mut done = Ok(());
                self.rest(&mut wire, pause, |packet| self.published(&packet, &mut owed, &mut done)).await?;
                done?;
            }
        }
        loop {
            let (oldest, mut done) = (owed.oldest(), Ok(()));
            let turn = wire.turn(|packet| self.published(&packet, &mut owed, &mut done));
            patience.wait(oldest, turn).await?;
            done?;
        }
    }

    /// What a publisher hears: what all hear, and in a room whether its publications were taken.
    fn published(&self, packet: &Packet<'_>, owed: &mut Owed, done: &mut Result<(), Lost>) {
        let sio::Kind::Ack { id, args } = &packet.kind else { return self.heard(packet) };
        let accepted = accepted(*args);
        owed.answered(&self.course, Some(*id), |_| accepted.is_ok());
        if done.is_ok() {
            *done = accepted;
        }
    }

    async fn churn(&self, pause: Option<Duration>) -> Result<(), Lost> {
        while self.course.is_sending() {
            // Waiting for the turn is not the server's time.
            let (wire, took) = self
                .entered(async {
                    let began = Instant::now();
                    Wire::open(&self.address).await.map(|wire| (wire, began.elapsed()))
                })
                .await?;
            self.tally.add(&self.course, Kind::Connect, took);
            drop(tokio::time::timeout(self.options.connection.timeout, wire.close()).await);
            if let Some(pause) = pause {
                sleep(pause).await;
            }
        }
        Ok(())
    }

    /// Hears what comes for a while.
    async fn rest(
        &self,
        wire: &mut Wire,
        time: Duration,
        mut hear: impl FnMut(Packet<'_>),
    ) -> Result<(), Lost> {
        let mut end = std::pin::pin!(sleep(time));
        loop {
            tokio::select! {
                () = &mut end => return Ok(()),
                turned = wire.turn(&mut hear) => turned?,
            }
        }
    }
}

/// Whether the server did what it was asked for.
fn accepted(args: Args<'_>) -> Result<(), Lost> {
    let sio::Many(values) =
        args.deserialize_all::<sio::Many<Vec<Value>>>().map_err(|error| Lost::Failed(error.to_string()))?;
    match console::error_of(&values) {
        Some(error) => Err(Lost::Failed(format!("the answer is an error: {}", json_line(&Json(error))))),
        None => Ok(()),
    }
}

/// How often it is looked whether all connections are there.
const CHECK: Duration = Duration::from_millis(10);
