//! What the command line of `bench` says.

use std::ffi::OsString;
use std::time::Duration;

use crate::Failure;
use crate::console::{self, Own, Transport, Verb};

pub(crate) const HELP: &str = "\
usage: trunkline bench URL [OPTION]...

Loads a Socket.IO server, and tells how many messages it handled and how long they took. The server must do what the mode needs;
connect and idle need nothing.

  --mode NAME            what is done; default connect
      connect            connects, enters the namespace and leaves, over and over
      idle               opens the connections and holds them
      publish            all join a room, one publishes to it, the others hear it: join(room, callback) and
                         publish(room, event, text, callback), as the program trunkline does it; --pause between publications
      echo               every connection sends a text and waits for it to come back: on(echo, text) emits echo(text)
      ack                the same with acknowledgements: on(ack, text, callback) calls callback(text)
      fanout             one connection publishes, all hear it: on(pub, text) emits msg(text) to all, the sender included
      polling            echo over HTTP long-polling
      mixed              of ten connections one echoes, one asks for acknowledgements, one comes and goes; all hear what one publishes
  --connections N        default 64
  --inflight N           messages that a connection has under way (echo, ack, polling); publications (fanout, publish); default 1
  --size BYTES           of the text, from 12; default 64
  --pause TIME           of mixed, between an answer and the next message; of publish, between publications; default 100ms
  --duration TIME        what is measured; default 10s
  --warmup TIME          before that; default 1s
  --parallel N           connections that are opened at the same time; default 64
  --threads N            default half of the machine's cores
  --pid PID              the server's process on this machine: its CPU time and memory are told
  --echo-event NAME, --ack-event NAME, --publish-event NAME, --message-event NAME, --join-event NAME
                         default echo, ack, pub (in the mode publish: publish), msg and join
  --json                 the report as one line of JSON, also on a terminal

and those of its connections, as for trunkline connect: --auth, --path, --header, --query, --cookie, --timeout, --ca, --cert, --key,
--insecure. Its connections are WebSockets, but for polling, and speak JSON. --timeout (10s) is how long an answer may take: at the
end the last ones are waited for, and a connection that gets none is given up.

Exit codes: 0 done; 1 a connection failed or was lost, an answer was wrong or did not come, or nothing was measured; 2 the command line is wrong; 130 SIGINT, 143 SIGTERM.
";

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Connect,
    Idle,
    Publish,
    Echo,
    Ack,
    Fanout,
    Polling,
    Mixed,
}

impl Mode {
    const ALL: [Self; 8] = [
        Self::Connect,
        Self::Idle,
        Self::Publish,
        Self::Echo,
        Self::Ack,
        Self::Fanout,
        Self::Polling,
        Self::Mixed,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Ack => "ack",
            Self::Fanout => "fanout",
            Self::Polling => "polling",
            Self::Connect => "connect",
            Self::Idle => "idle",
            Self::Publish => "publish",
            Self::Mixed => "mixed",
        }
    }
}

/// All options.
#[derive(Debug)]
pub(crate) struct Options {
    /// How a connection is made.
    pub(crate) connection: console::Options,
    pub(crate) mode: Mode,
    pub(crate) connections: usize,
    pub(crate) inflight: usize,
    pub(crate) size: usize,
    pub(crate) pause: Duration,
    pub(crate) duration: Duration,
    pub(crate) warmup: Duration,
    pub(crate) parallel: usize,
    pub(crate) threads: usize,
    pub(crate) pid: Option<u32>,
    pub(crate) echo_event: String,
    pub(crate) ack_event: String,
    pub(crate) publish_event: String,
    pub(crate) message_event: String,
    pub(crate) join_event: String,
}

impl Options {
    /// Reads the words after the verb; `None` if help is asked for.
    ///
    /// # Errors
    /// What is wrong with them: exit code 2.
    pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        let (own, rest) = Own::take(words, &VALUES, &[])?;
        let Some(connection) = console::Options::parse(Verb::Bench, rest)? else { return Ok(None) };
        let name = own.text("mode", Mode::Connect.name());
        let mode = Mode::ALL.into_iter().find(|mode| mode.name() == name).ok_or_else(|| {
            let names = Mode::ALL.map(Mode::name).join(", ");
            Failure::config(format!("--mode: \"{name}\" is none of {names}"))
        })?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let options = Self {
            connection,
            mode,
            connections: own.number("connections", 64, 1..=60_000)?,
            inflight: own.number("inflight", 1, 1..=128)?,
            size: own.number("size", 64, 12..=900_000)?,
            pause: own.time("pause", Duration::from_millis(100))?,
            duration: own.time("duration", Duration::from_secs(10))?,
            warmup: own.time("warmup", Duration::from_secs(1))?,
            parallel: own.number("parallel", 64, 1..=4_096)?,
            threads: own.number("threads", (cores / 2).max(1), 1..=256)?,
            pid: Some(own.number("pid", 0, 1..=u32::MAX)?).filter(|pid| *pid > 0),
            echo_event: own.text("echo-event", "echo"),
            ack_event: own.text("ack-event", "ack"),
            publish_event: own.text("publish-event", if mode == Mode::Publish { "publish" } else { "pub" }),
            message_event: own.text("message-event", "msg"),
            join_event: own.text("join-event", "join"),
        };
        options.check()?;
        Ok(Some(options))
    }

    fn check(&self) -> Result<(), Failure> {
        let connection = &self.connection;
        if connection.msgpack || connection.proxy.is_some() || connection.transport != Transport::Upgrade {
            return Err(Failure::config(
                "bench has neither --parser, --proxy nor --transport; see --mode polling",
            ));
        }
        Ok(())
    }
}

const VALUES: [&str; 15] = [
    "mode",
    "connections",
    "inflight",
    "size",
    "pause",
    "duration",
    "warmup",
    "parallel",
    "threads",
    "pid",
    "echo-event",
    "ack-event",
    "publish-event",
    "message-event",
    "join-event",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, String> {
        Options::parse(line.split_whitespace().map(OsString::from)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn options_and_mistakes() {
        let options = parse("h --mode fanout --pid 7 --connections=9").expect("known").expect("no help");
        assert_eq!((options.mode, options.pid, options.connections), (Mode::Fanout, Some(7), 9));
        assert_eq!(parse("h").expect("known").expect("no help").pid, None);
        let check = |line: &str, expected: &str| {
            let error = parse(line).expect_err(expected);
            assert!(error.contains(expected), "{line}: {error}");
        };
        check("h --mode flood", "--mode: \"flood\" is none of connect, idle,");
        check("h --size 3", "--size: \"3\" is not a number from 12");
        check("h --parser msgpack", "bench has neither");
        check("h --count 3", "unknown option --count; see trunkline bench --help");
    }
}
