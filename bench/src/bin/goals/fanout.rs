//! Publications and their deliveries, each of them checked: to whom it came, in which order, how often, and every byte.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::load::Load;
use crate::machine::Clock;

/// A room as its publisher and its members see it. Between the two halves of each text stands the publication's number.
pub(crate) struct Room {
    /// The Socket.IO packet that publishes.
    pub(crate) publish: [String; 2],
    /// The one that each member gets.
    pub(crate) deliver: [String; 2],
    /// The clients in it.
    pub(crate) members: Range<usize>,
}

impl Room {
    /// The room of the namespace `/`: `size` bytes of text.
    pub(crate) fn of_all(members: Range<usize>, size: usize) -> Self {
        let rest = format!("{}\"]", "abcdefghij".chars().cycle().take(size - DIGITS).collect::<String>());
        Self {
            publish: ["2[\"pub\",\"".to_owned(), rest.clone()],
            deliver: ["2[\"msg\",\"".to_owned(), rest],
            members,
        }
    }

    /// One of the namespace `/rooms`; `rest` are the members of its JSON object behind `"n":"…"`.
    pub(crate) fn named(name: &str, members: Range<usize>, rest: &str) -> Self {
        let rest = format!("\"{rest}}}]");
        Self {
            publish: [format!("2/rooms,[\"to\",\"{name}\",{{\"n\":\""), rest.clone()],
            deliver: ["2/rooms,[\"msg\",{\"n\":\"".to_owned(), rest],
            members,
        }
    }
}

/// Digits of a publication's number.
const DIGITS: usize = 10;

/// When the next publication leaves.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// When all deliveries of the one before have come.
    Closed,
    /// By the clock, so long after the one before.
    Every(Duration),
}

/// A client that has its words sent back, beside the publications.
pub(crate) struct Echo {
    pub(crate) client: usize,
    sent: Option<Instant>,
    next: Instant,
    micros: Vec<u32>,
}

/// Between an answer and the next question: no divisor of anything else's time.
const ECHO_PAUSE: Duration = Duration::from_micros(2300);

impl Echo {
    pub(crate) fn new(client: usize) -> Self {
        Self { client, sent: None, next: Instant::now(), micros: Vec::new() }
    }

    fn ask(&mut self, load: &mut Load) {
        if self.sent.is_none() && Instant::now() >= self.next {
            self.sent = Some(Instant::now());
            load.send(self.client, ECHO);
        }
    }

    fn heard(&mut self) -> bool {
        let Some(sent) = self.sent.take() else { return false };
        self.micros.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        self.next = Instant::now() + ECHO_PAUSE;
        true
    }

    /// The times of all answers so far, in microseconds, in order.
    pub(crate) fn micros(mut self) -> Vec<u32> {
        self.micros.sort_unstable();
        self.micros
    }
}

/// In the namespace `/`, 64 bytes of text; comes back as it went.
pub(crate) const ECHO: &str =
    "2[\"echo\",\"abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz01\"]";

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Of the server's CPU, in µs.
    pub(crate) micros_per_delivery: f64,
    /// As the network carried them, by the members.
    pub(crate) bytes_per_delivery: f64,
}

/// Publishes to rooms in turn.
pub(crate) struct Fanout {
    rooms: Vec<Room>,
    publisher: usize,
    /// Publications that are under way, the oldest first.
    open: VecDeque<Open>,
    /// The number of the first of them.
    base: u64,
    /// For each client the number that it was given last, plus one.
    last: Vec<u64>,
    /// Messages that were not expected, or twice, or not in order, or wrong.
    pub(crate) wrong: u64,
    /// Deliveries that did not come.
    pub(crate) missing: u64,
}

struct Open {
    room: usize,
    left: usize,
}

/// How long deliveries are waited for when nothing more is published.
const DRAIN: Duration = Duration::from_secs(5);

impl Fanout {
    pub(crate) fn new(rooms: Vec<Room>, publisher: usize) -> Self {
        let clients = rooms.iter().map(|room| room.members.end).max().unwrap_or(0);
        Self {
            rooms,
            publisher,
            open: VecDeque::new(),
            base: 0,
            last: vec![0; clients],
            wrong: 0,
            missing: 0,
        }
    }

    /// Publishes for a time, and waits for all deliveries. What else the server does meanwhile is counted too.
    /// `wait`: how long the socket's news are waited for, `None` to ask again and again.
    pub(crate) fn run(
        &mut self,
        load: &mut Load,
        clock: &Clock,
        pace: Pace,
        time: Duration,
        wait: Option<Duration>,
        mut echo: Option<&mut Echo>,
    ) -> Result<Cost, Failure> {
        let members = self.rooms.iter().map(|room| room.members.start).min().unwrap_or(0)..self.last.len();
        let (nanos, received) = (clock.nanos(), load.received(members.clone()));
        let begin = Instant::now();
        let (mut deliveries, mut published) = (0, 0_u32);
        let mut deadline = None;
        loop {
            let now = Instant::now();
            let is_over = now >= begin + time;
            let is_due = match pace {
                Pace::Closed => self.open.is_empty(),
                Pace::Every(pause) => now >= begin + pause * published,
            };
            let is_drained = self.open.is_empty() && echo.as_ref().is_none_or(|echo| echo.sent.is_none());
            if is_over && (is_drained || now > *deadline.get_or_insert(now + DRAIN)) {
                break;
            }
            if is_due && !is_over {
                deliveries += self.publish(load);
                published += 1;
            }
            if let Some(echo) = echo.as_mut().filter(|_| !is_over) {
                echo.ask(load);
            }
            load.turn(wait, |client, packet| {
                if packet == ECHO && echo.as_mut().is_some_and(|echo| echo.client == client && echo.heard()) {
                    return;
                }
                self.wrong += u64::from(!self.hear(client, packet));
            });
        }
        self.base += self.open.len() as u64;
        self.missing += self.open.drain(..).map(|open| open.left as u64).sum::<u64>();
        let total = (clock.nanos() - nanos) as f64 / 1000.0;
        let bytes = load.received(members) - received;
        if deliveries == 0 {
            return Err("nothing was delivered".into());
        }
        Ok(Cost {
            micros_per_delivery: total / deliveries as f64,
            bytes_per_delivery: bytes as f64 / deliveries as f64,
        })
    }

    /// Publishes to the next room; gives how many members it has.
    fn publish(&mut self, load: &mut Load) -> u64 {
        let number = self.base + self.open.len() as u64;
        let at = usize::try_from(number).unwrap_or(0) % self.rooms.len();
        let room = &self.rooms[at];
        let left = room.members.len();
        self.open.push_back(Open { room: at, left });
        load.send(self.publisher, &format!("{}{number:010}{}", room.publish[0], room.publish[1]));
        left as u64
    }

    /// Whether this is what was to come to `client`.
    fn hear(&mut self, client: usize, packet: &str) -> bool {
        // All rooms start alike, so that the number is found before the room is known.
        let start = &self.rooms[0].deliver[0];
        let number = packet.strip_prefix(start.as_str()).and_then(|rest| rest.split_at_checked(DIGITS));
        let Some((number, rest)) = number.and_then(|(n, rest)| Some((n.parse::<u64>().ok()?, rest))) else {
            return false;
        };
        let index = number.checked_sub(self.base).and_then(|index| usize::try_from(index).ok());
        let Some(open) = index.and_then(|index| self.open.get_mut(index)) else { return false };
        let room = &self.rooms[open.room];
        let Some(last) = self.last.get_mut(client) else { return false };
        if !room.members.contains(&client) || rest != room.deliver[1] || *last > number || open.left == 0 {
            return false;
        }
        *last = number + 1;
        open.left -= 1;
        while self.open.front().is_some_and(|open| open.left == 0) {
            self.open.pop_front();
            self.base += 1;
        }
        true
    }
}
