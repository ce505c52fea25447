//! Many clients on one thread.

use std::ops::Range;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::Failure;
use crate::conn::{Conn, Door};

/// All clients of a measurement.
pub(crate) struct Load {
    poll: Poll,
    events: Events,
    conns: Vec<Conn>,
    buffer: Vec<u8>,
    entered: usize,
    /// Connections that ended.
    pub(crate) lost: u64,
}

/// Clients that are on their way in at one time.
const ENTERING: usize = 128;
/// How long nothing may happen while clients enter, and how long they may take to enter rooms.
const PATIENCE: Duration = Duration::from_secs(10);
/// Sockets looked at between two questions of what is ready; so what came first is not noticed much later.
const TURN: usize = 64;

impl Load {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(TURN),
            conns: Vec::new(),
            buffer: vec![0; 256 * 1024],
            entered: 0,
            lost: 0,
        })
    }

    /// Lets `count` clients in, and gives their places.
    pub(crate) fn enter(&mut self, door: &Door, count: usize) -> Result<Range<usize>, Failure> {
        let first = self.conns.len();
        let before = self.entered;
        let mut entered = 0;
        let mut since = Instant::now();
        while entered < count {
            while self.conns.len() < first + count && self.conns.len() - first - entered < ENTERING {
                let place = self.conns.len();
                let mut conn = Conn::open(door, place)?;
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(conn.source(), Token(place), interest)?;
                self.conns.push(conn);
            }
            self.turn(Some(Duration::from_millis(100)), |_, _| {});
            if self.lost > 0 {
                return Err("a client was not let in".into());
            }
            if self.entered - before > entered {
                entered = self.entered - before;
                since = Instant::now();
            } else if since.elapsed() > PATIENCE {
                return Err(format!("clients do not get in: {entered} of {count} have").into());
            }
        }
        Ok(first..first + count)
    }

    /// Sends a Socket.IO packet from the client at `place`.
    pub(crate) fn send(&mut self, place: usize, packet: &str) {
        let sent = self.conns.get_mut(place).map_or(Err("no such client".into()), |conn| conn.send(packet));
        self.note(place, sent);
    }

    /// Waits for something at most so long (`None`: looks only), and gives `hear` each packet with the client's place.
    pub(crate) fn turn(&mut self, wait: Option<Duration>, mut hear: impl FnMut(usize, &str)) {
        if self.poll.poll(&mut self.events, Some(wait.unwrap_or_default())).is_err() {
            // Interrupted by a signal.
            return;
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let place = event.token().0;
            let Some(conn) = self.conns.get_mut(place) else { continue };
            let (mut outcome, had_entered) = (Ok(()), conn.has_entered());
            if event.is_readable() {
                outcome = conn.read(&mut self.buffer, &mut |packet| hear(place, packet));
            }
            if event.is_writable() && outcome.is_ok() {
                outcome = conn.flush();
            }
            self.entered += usize::from(!had_entered && conn.has_entered());
            self.note(place, outcome);
        }
        self.events = events;
    }

    fn note(&mut self, place: usize, outcome: Result<(), Failure>) {
        if let Err(error) = outcome {
            self.lost += 1;
            eprintln!("client {place}: {error}");
            if let Some(conn) = self.conns.get_mut(place) {
                drop(self.poll.registry().deregister(conn.source()));
            }
        }
    }

    /// Has clients of `/rooms` enter rooms, and waits until they are in.
    pub(crate) fn join(
        &mut self,
        clients: Range<usize>,
        rooms: impl Fn(usize) -> Vec<String>,
    ) -> Result<(), Failure> {
        let count = clients.len();
        for client in clients {
            let names = serde_json::to_string(&rooms(client))?;
            self.send(client, &format!("2/rooms,1[\"join\",{names}]"));
        }
        let (mut joined, deadline) = (0, Instant::now() + PATIENCE);
        while joined < count {
            self.turn(Some(Duration::from_millis(20)), |_, packet| {
                joined += usize::from(packet == "3/rooms,1[\"joined\"]");
            });
            if Instant::now() > deadline {
                return Err(format!("{joined} of {count} clients could enter their rooms").into());
            }
        }
        Ok(())
    }

    /// For a time: answers heartbeats, and expects nothing else.
    pub(crate) fn rest(&mut self, time: Duration) -> u64 {
        let end = Instant::now() + time;
        let mut heard = 0;
        while Instant::now() < end {
            self.turn(Some(Duration::from_millis(20)), |_, _| heard += 1);
        }
        heard
    }

    /// Bytes that have come to these clients.
    pub(crate) fn received(&self, clients: Range<usize>) -> u64 {
        self.conns.get(clients).into_iter().flatten().map(|conn| conn.received).sum()
    }
}
