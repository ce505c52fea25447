//! What the command line of `verify` says.

use std::ffi::OsString;
use std::time::Duration;

use super::dice::chance;
use crate::Failure;
use crate::console::{self, Own, Verb};

pub(crate) const HELP: &str = "\
usage: trunkline verify URL [OPTION]...

Publishes numbered events to rooms of a Socket.IO server while the receivers' connections are cut, left half open and slowed,
and counts what was lost, came twice or out of order. The server needs two handlers: join(room, ack) and
publish(room, event, data, ack), which sends event(data) to the room; the program trunkline has them.

  --clients N            receivers; default 50
  --rooms N              rooms, each with its share of the receivers and a publisher of its own; default 5
  --rate N               events in a second, over all rooms; default 200
  --duration TIME        how long is published and cut; default 30s
  --settle TIME          how long at most is waited afterwards for what is missing; default 30s
  --size BYTES           added to each event; default 0
  --cuts-per-second N    cuts over all clients, at random; default 1, 0 for none
  --half-open SHARE      of the cuts, 0 to 1: one side or both are not told; default 0.3
  --half-open-time TIME  until they are; default 3s
  --delay TIME           each piece is held for a random time up to this; default none
  --slow-readers N       so many receivers read slowly; default 0
  --slow-rate BYTES      that is, so many bytes in a second; default 4096
  --reconnect-delay TIME before the first attempt to come back, doubling up to ten times that; default 200ms
  --seed N               the same cuts again; default random
  --strict               a gap is a failure too
  --join-event NAME      default join
  --publish-event NAME   default publish
  --event NAME           what is published; default verify
  --json                 the report as one line of JSON, also on a terminal

and those of its connections, as for trunkline connect: --auth, --path, --transport (upgrade), --parser, --header, --query,
--cookie, --timeout (of a connection and of an answer, 10s), --ca, --cert, --key, --insecure.

Exit codes: 0 nothing was lost; 1 something was, or came twice, out of order or to the wrong room, or there is no connection;
2 the command line is wrong; 130 SIGINT, 143 SIGTERM, after the report of what was seen so far.
";

/// All options.
#[derive(Debug)]
pub(crate) struct Options {
    /// How a connection is made.
    pub(crate) connection: console::Options,
    pub(crate) clients: usize,
    pub(crate) rooms: usize,
    /// Events in a second.
    pub(crate) rate: f64,
    pub(crate) duration: Duration,
    pub(crate) settle: Duration,
    pub(crate) size: usize,
    pub(crate) cuts_per_second: f64,
    pub(crate) half_open: f64,
    pub(crate) half_open_time: Duration,
    pub(crate) delay: Duration,
    pub(crate) slow_readers: usize,
    pub(crate) slow_rate: u32,
    pub(crate) reconnect_delay: Duration,
    pub(crate) seed: u64,
    pub(crate) strict: bool,
    pub(crate) join_event: String,
    pub(crate) publish_event: String,
    pub(crate) event: String,
}

impl Options {
    /// Reads the words after the verb; `None` if help is asked for.
    ///
    /// # Errors
    /// What is wrong with them: exit code 2.
    pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        let (own, rest) = Own::take(words, &VALUES, &["strict"])?;
        let Some(connection) = console::Options::parse(Verb::Verify, rest)? else { return Ok(None) };
        let options = Self {
            connection,
            clients: own.number("clients", 50, 1..=10_000)?,
            rooms: own.number("rooms", 5, 1..=1_000)?,
            rate: own.number("rate", 200.0, 0.1..=100_000.0)?,
            duration: own.time("duration", Duration::from_secs(30))?,
            settle: own.time("settle", Duration::from_secs(30))?,
            size: own.number("size", 0, 0..=500_000)?,
            cuts_per_second: own.number("cuts-per-second", 1.0, 0.0..=1_000.0)?,
            half_open: own.number("half-open", 0.3, 0.0..=1.0)?,
            half_open_time: own.time("half-open-time", Duration::from_secs(3))?,
            delay: own.time("delay", Duration::ZERO)?,
            slow_readers: own.number("slow-readers", 0, 0..=10_000)?,
            slow_rate: own.number("slow-rate", 4_096, 1..=u32::MAX)?,
            reconnect_delay: own.time("reconnect-delay", Duration::from_millis(200))?,
            seed: own.number("seed", chance() >> 12, 0..=u64::MAX)?,
            strict: own.has("strict"),
            join_event: own.text("join-event", "join"),
            publish_event: own.text("publish-event", "publish"),
            event: own.text("event", "verify"),
        };
        options.check()?;
        Ok(Some(options))
    }

    fn check(&self) -> Result<(), Failure> {
        let wrong = |message| Err(Failure::config(message));
        if self.rooms > self.clients {
            return wrong("--rooms: more than --clients, so rooms would be empty");
        }
        if self.slow_readers > self.clients {
            return wrong("--slow-readers: more than --clients");
        }
        if self.connection.proxy.is_some() {
            return wrong("--proxy: verify puts a proxy of its own between");
        }
        Ok(())
    }
}

const VALUES: [&str; 17] = [
    "clients",
    "rooms",
    "rate",
    "duration",
    "settle",
    "size",
    "cuts-per-second",
    "half-open",
    "half-open-time",
    "delay",
    "slow-readers",
    "slow-rate",
    "reconnect-delay",
    "seed",
    "join-event",
    "publish-event",
    "event",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, String> {
        Options::parse(line.split_whitespace().map(OsString::from)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn own_options_and_those_of_the_connection() {
        let line = "--clients=7 h/chat --rooms 3 --transport polling --strict --seed 9 --json --half-open 1";
        let options = parse(line).expect("all of it is known").expect("no help is asked for");
        assert_eq!((options.clients, options.rooms, options.seed, options.strict), (7, 3, 9, true));
        assert_eq!(options.connection.target.namespace, "/chat");
        assert!(options.connection.json);
        assert_eq!(options.duration, Duration::from_secs(30));
        assert!(parse("--rooms 3 --help").expect("known").is_none());
    }

    #[test]
    fn mistakes_are_named() {
        let check = |line: &str, expected: &str| assert_eq!(parse(line).unwrap_err(), expected, "{line}");
        check("--clients 5", "the URL is missing");
        check("h --clients", "--clients needs a value");
        check("h --clients 0", "--clients: \"0\" is not a number from 1 to 10000");
        check("h --rate x", "--rate: \"x\" is not a number from 0.1 to 100000");
        check("h --half-open nan", "--half-open: \"nan\" is not a number from 0 to 1");
        check("h --duration 5", "--duration: \"5\" is not a duration such as \"5s\" or \"500ms\"");
        check("h --strict=1", "--strict takes no value");
        check("h --rooms 51", "--rooms: more than --clients, so rooms would be empty");
        check("h --proxy http://p", "--proxy: verify puts a proxy of its own between");
        check("h --bogus", "unknown option --bogus; see trunkline verify --help");
    }
}
