//! What the server does with no code: clients join and leave rooms, publish to rooms they are in, and read what was sent
//! before. Every request is acknowledged with what happened.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use trunkline::{
    Admission, Args, Data, ExtractError, History, Io, Namespace, Reply, Rewind, Rewound, SlowReaders, Socket,
    SocketId, State, Value,
};

use crate::bucket::Bucket;
use crate::config::Config;
use crate::setting::{Allow, SlowPolicy, SlowRule};

/// What clients may do; the state of all handlers.
#[derive(Debug)]
pub(crate) struct Policy {
    allow: Vec<Allow>,
    slow_readers: Vec<SlowRule>,
    max_rooms: usize,
    max_room_name: usize,
    max_events_per_second: u32,
    has_history: bool,
}

/// The acknowledgement: `{"ok":true,"rooms":[…]}`, `{"ok":true,"receivers":n}` or `{"ok":false,"error":"…"}`.
#[derive(Debug, Serialize)]
struct Outcome {
    ok: bool,
    /// The rooms it is in now, without its own-id room, sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms: Option<Vec<String>>,
    /// How many others are in the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    receivers: Option<usize>,
    /// What it was sent of the room's past.
    #[serde(skip_serializing_if = "Option::is_none")]
    past: Option<Past>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// How many events of a room's past were sent, and whether there were others that are kept no more.
#[derive(Debug, Serialize)]
struct Past {
    events: usize,
    gap: bool,
}

/// What a client that joins wants of the room's past: one of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum Wish {
    /// So many events.
    Last(usize),
    /// Those after this position, the offset that the client knows.
    After(String),
    /// Those since this time, in milliseconds since 1970.
    Since(u64),
}

impl Wish {
    fn rewind(&self) -> Rewind {
        match self {
            Self::Last(events) => Rewind::last(*events),
            Self::After(position) => Rewind::after(position),
            Self::Since(time) => {
                let time = UNIX_EPOCH.checked_add(Duration::from_millis(*time));
                time.map_or_else(|| Rewind::last(0), Rewind::since)
            }
        }
    }
}

impl Policy {
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            allow: config.allow.clone(),
            slow_readers: config.slow_readers.clone(),
            max_rooms: config.max_rooms,
            max_room_name: config.max_room_name.0,
            max_events_per_second: config.max_events_per_second,
            has_history: config.history,
        })
    }

    /// The rule for a room: the first that fits.
    fn rule(&self, namespace: &str, room: &str) -> Option<&Allow> {
        self.allow.iter().find(|rule| rule.namespace.matches(namespace) && rule.room.matches(room))
    }

    fn may_join(&self, socket: &Socket, room: &str) -> Result<(), String> {
        if room.is_empty() || room.len() > self.max_room_name {
            return Err(format!("a room's name has 1 to {} bytes", self.max_room_name));
        }
        let namespace = socket.namespace();
        // A socket's id is a room of its own: who could join it would read what is sent to somebody else.
        if namespace.socket(&SocketId::from(room)).is_some() {
            return Err("this room belongs to one socket".into());
        }
        if !self.rule(namespace.name(), room).is_some_and(|rule| rule.join) {
            return Err("joining this room is not allowed".into());
        }
        let rooms = socket.rooms();
        // The own-id room is not counted.
        if rooms.len() > self.max_rooms && !rooms.iter().any(|r| **r == *room) {
            return Err(format!("a client may be in {} rooms at most", self.max_rooms));
        }
        Ok(())
    }

    fn may_publish(&self, socket: &Socket, room: &str) -> Result<(), String> {
        if !socket.rooms().iter().any(|r| **r == *room) {
            return Err("not in this room".into());
        }
        let allowed = self.rule(socket.namespace().name(), room).is_some_and(|rule| rule.publish);
        if allowed { Ok(()) } else { Err("publishing to this room is not allowed".into()) }
    }

    /// What slow readers may miss of an event to a room; `data`: its first argument.
    fn slow_readers(&self, namespace: &str, room: &str, data: Option<&Value>) -> SlowReaders {
        let fits = |rule: &&SlowRule| rule.namespace.matches(namespace) && rule.room.matches(room);
        let Some(rule) = self.slow_readers.iter().find(fits) else { return SlowReaders::disconnect() };
        match (rule.policy, &rule.key) {
            (SlowPolicy::Disconnect, _) => SlowReaders::disconnect(),
            (SlowPolicy::DropOldest, _) => SlowReaders::drop_oldest(),
            (SlowPolicy::LatestByKey, None) => SlowReaders::latest_by_key(""),
            (SlowPolicy::LatestByKey, Some(member)) => match data.and_then(|data| data.get(member)) {
                Some(Value::String(key)) => SlowReaders::latest_by_key(key),
                Some(Value::Number(key)) => SlowReaders::latest_by_key(key.to_string()),
                // It cannot be told what would replace it.
                _ => SlowReaders::disconnect(),
            },
        }
    }

    fn may_read(&self, namespace: &str, room: &str) -> Result<(), String> {
        let allowed = self.has_history && self.rule(namespace, room).is_some_and(|rule| rule.read);
        if allowed { Ok(()) } else { Err("reading the past of this room is not allowed".into()) }
    }

    /// Counts a request of a client. The bucket is made at its first one: silent clients cost nothing.
    fn within_rate(&self, socket: &Socket) -> Result<(), String> {
        let rate = self.max_events_per_second;
        if rate == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let bucket = socket.get::<Arc<Mutex<Bucket>>>().unwrap_or_else(|| {
            let bucket = Arc::new(Mutex::new(Bucket::new(rate, now)));
            socket.insert(Arc::clone(&bucket));
            bucket
        });
        let taken = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(rate, now);
        if taken { Ok(()) } else { Err(format!("more than {rate} requests in a second")) }
    }
}

/// Registers the handlers in all namespaces of the configuration.
pub(crate) fn register(io: &Io, config: &Config) {
    let history = config.history.then(|| {
        History::guarded(may_read)
            .max_wait(config.history_max_wait.0)
            .max_waiting(config.history_max_waiting.0)
    });
    let register = |namespace: Namespace| match &history {
        Some(history) => handlers(namespace).history(history.clone()),
        None => handlers(namespace),
    };
    for name in &config.namespaces {
        if name.is_pattern() {
            io.of_pattern(&name.0).register(register);
        } else {
            register(io.of(&name.0));
        }
    }
    if !config.namespaces.iter().any(|name| name.0 == "/") {
        // It exists always, since old clients enter it by themselves; it just does nothing.
        tracing::debug!("\"/\" is not among the namespaces: its clients are left without handlers");
    }
}

fn handlers(namespace: Namespace) -> Namespace {
    namespace.on("join", join).on("leave", leave).on("publish", publish)
}

/// The check of history over HTTP.
async fn may_read(admission: Admission, State(policy): State<Arc<Policy>>) -> Result<(), String> {
    policy.may_read(admission.namespace(), admission.room().unwrap_or_default())
}

type Room = Result<Data<String>, ExtractError>;

/// `join(room)`, `join(room, {last: 50})`: with that, the room's past comes before the answer.
async fn join(
    socket: Socket,
    State(policy): State<Arc<Policy>>,
    room: Room,
    wish: Result<Data<Option<Wish>>, ExtractError>,
) -> Reply<Outcome> {
    answer(|| {
        policy.within_rate(&socket)?;
        let room = name(room)?;
        let wish = wish.map_err(|_| "what comes after the room is {last}, {after} or {since}".to_owned())?.0;
        policy.may_join(&socket, &room)?;
        let Some(wish) = wish else {
            socket.join(room);
            return Ok(in_rooms(&socket));
        };
        policy.may_read(socket.namespace().name(), &room)?;
        let Rewound { events, gap } = socket.join_with_history(&room, wish.rewind());
        Ok(Outcome { past: Some(Past { events, gap }), ..in_rooms(&socket) })
    })
}

async fn leave(socket: Socket, State(policy): State<Arc<Policy>>, room: Room) -> Reply<Outcome> {
    answer(|| {
        policy.within_rate(&socket)?;
        let room = name(room)?;
        if room == socket.id().as_str() {
            return Err("a socket cannot leave its own room".into());
        }
        socket.leave(room);
        Ok(in_rooms(&socket))
    })
}

/// `publish(room, event, data…)`: everybody else in the room gets `event` with the data.
async fn publish(
    socket: Socket,
    State(policy): State<Arc<Policy>>,
    args: Args<Vec<Value>>,
) -> Reply<Outcome> {
    answer(|| {
        policy.within_rate(&socket)?;
        let mut args = args.0.into_iter();
        let (Some(Value::String(room)), Some(Value::String(event))) = (args.next(), args.next()) else {
            return Err("publish takes the names of a room and of an event, then data".into());
        };
        policy.may_publish(&socket, &room)?;
        let others = socket.to(&room);
        let receivers = others.count();
        let data: Vec<_> = args.collect();
        let slow_readers = policy.slow_readers(socket.namespace().name(), &room, data.first());
        others.policy(slow_readers).emit(&event, Args(data)).map_err(|error| error.to_string())?;
        Ok(Outcome { receivers: Some(receivers), ..Outcome::done() })
    })
}

impl Outcome {
    fn done() -> Self {
        Self { ok: true, rooms: None, receivers: None, past: None, error: None }
    }
}

fn answer(act: impl FnOnce() -> Result<Outcome, String>) -> Reply<Outcome> {
    Reply(act().unwrap_or_else(|error| Outcome { ok: false, error: Some(error), ..Outcome::done() }))
}

fn name(room: Room) -> Result<String, String> {
    room.map(|Data(room)| room).map_err(|_| "the room's name is missing".to_owned())
}

fn in_rooms(socket: &Socket) -> Outcome {
    let own = socket.id().as_str();
    let mut rooms: Vec<_> = socket.rooms().iter().filter(|r| ***r != *own).map(ToString::to_string).collect();
    rooms.sort_unstable();
    Outcome { rooms: Some(rooms), ..Outcome::done() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_readers_have_the_first_rule_that_fits() {
        let text = "[[slow_readers]]\nroom = \"chart-*\"\npolicy = \"drop-oldest\"\n\
                    [[slow_readers]]\nnamespace = \"/\"\npolicy = \"latest-by-key\"\nkey = \"symbol\"";
        let policy = Policy::new(&toml::from_str(text).expect("a configuration"));
        let check = |namespace: &str, room: &str, data: Value, expected: SlowReaders| {
            let found = policy.slow_readers(namespace, room, Some(&data));
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{namespace} {room} {data:?}");
        };
        let symbol = |value: Value| Value::Object([("symbol".to_owned(), value)].into());
        check("/x", "chart-1", Value::Null, SlowReaders::drop_oldest());
        check("/x", "prices", symbol("a".into()), SlowReaders::disconnect());
        check("/", "prices", symbol("a".into()), SlowReaders::latest_by_key("a"));
        check("/", "prices", symbol(7.into()), SlowReaders::latest_by_key("7"));
        check("/", "prices", Value::Null, SlowReaders::disconnect());
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let policy = Policy::new(&Config::default());
        let may_join =
            |namespace: &str, room: &str| policy.rule(namespace, room).is_some_and(|rule| rule.join);
        assert!(may_join("/", "lobby"));
        assert!(!may_join("/", "$system"));
        assert!(!may_join("/chat", "lobby"), "no rule is about /chat");
    }
}
