//! The chat: nicknames, rooms, who is here and who types, messages to a room and to one person. Every request but
//! `typing` is answered: `{"ok":true,…}`, or `{"ok":false,"code":"…","error":"…"}`.
//!
//! | the client sends | and gets | others hear |
//! | --- | --- | --- |
//! | auth `{nickname, key}` | `welcome {run, id, rooms}`, or a refusal with `code` | |
//! | `join(room)` | `room`, `members`, `history` | `joined {room, id, nickname}`, `room {name, members}` |
//! | `leave(room)` | | `left {room, id}`, `room {name, members}` |
//! | `rooms()` | `rooms` | |
//! | `post({room, key, text})` | `id`, `at` | `post {room, id, key, from, text, at}` |
//! | `private({to, key, text})` | `at`, once the other has confirmed it | `private {id, from, key, text, at}`, to be answered |
//! | `typing(room, whether)` | | `typing {room, from, on}`, dropped where a line is blocked |
//!
//! Who comes back with the same key takes the nickname over; the old socket hears `replaced` and is disconnected.

mod rules;
mod state;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};
use trunkline::{
    Ack, AckError, Admission, Args, Cx, Data, EmitError, EventPhase, Extension, Extract, ExtractError, Io,
    Namespace, Refusal, Reply, Socket, State,
};

use crate::bucket::Bucket;
use rules::{Code, Refused};
use state::{ChatState, Draft, PersonId, Summary};

/// Its namespace.
pub(crate) const NAMESPACE: &str = "/chat";
/// Requests of one socket per second.
const REQUESTS: u32 = 20;
/// Messages of one socket per second.
const MESSAGES: u32 = 5;
/// Private messages of one socket that wait for their confirmation.
const MAX_WAITING: usize = 8;
/// How long the other one may take to confirm a private message.
const CONFIRMATION: Duration = Duration::from_secs(5);

/// The state of all handlers.
#[derive(Debug)]
pub(crate) struct Chat {
    /// Tells this run of the server from others: numbers of messages begin anew in each.
    run: u64,
    /// People who have been admitted in it.
    admitted: AtomicU64,
    /// Held while something is told to a room, so that all hear it in the order in which it is remembered.
    state: Mutex<ChatState>,
}

/// Whom a socket belongs to.
#[derive(Debug)]
struct Person {
    id: PersonId,
    nickname: String,
    key: String,
    requests: Mutex<Bucket>,
    messages: Mutex<Bucket>,
    /// Private messages that wait.
    waiting: AtomicUsize,
}

/// What a client sends to prove who it is.
#[derive(Deserialize)]
struct Entry {
    nickname: String,
    key: String,
}

#[derive(Deserialize)]
struct Message {
    room: String,
    key: String,
    text: String,
}

#[derive(Deserialize)]
struct PrivateMessage {
    to: String,
    key: String,
    text: String,
}

impl Chat {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { run: now_ms(), admitted: AtomicU64::new(0), state: Mutex::default() })
    }

    /// Registers the handlers; the builder of `io` was given this as a state.
    pub(crate) fn register(io: &Io) {
        io.of(NAMESPACE)
            .check(check)
            .on_connect(enter)
            .on("join", join)
            .on("leave", leave)
            .on("rooms", rooms)
            .on("post", post)
            .on("private", private)
            .on("typing", typing)
            .on_disconnect(exit);
    }

    /// An id that was never given before, also not in an earlier run: clients may still send to those.
    fn new_id(&self) -> PersonId {
        PersonId(format!("{}-{}", self.run, self.admitted.fetch_add(1, Ordering::Relaxed)))
    }

    fn state(&self) -> MutexGuard<'_, ChatState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Person {
    fn new(id: PersonId, nickname: String, key: String) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            id,
            nickname,
            key,
            requests: Mutex::new(Bucket::new(REQUESTS, now)),
            messages: Mutex::new(Bucket::new(MESSAGES, now)),
            waiting: AtomicUsize::new(0),
        })
    }

    /// The room that a request is about, if the request is not one too many.
    fn asks_for(&self, room: Text, usage: &str) -> Result<String, Refused> {
        self.within_rate()?;
        rules::room(&given(room, usage)?)
    }

    fn within_rate(&self) -> Result<(), Refused> {
        take(&self.requests, REQUESTS)
    }
}

fn take(bucket: &Mutex<Bucket>, rate: u32) -> Result<(), Refused> {
    let taken = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(rate, Instant::now());
    if taken { Ok(()) } else { Err(Refused::new(Code::Slow, "Too fast: wait a moment.")) }
}

// --- coming and going ----------------------------------------------------------------------------------------------

async fn check(admission: Admission, State(chat): State<Arc<Chat>>) -> Result<(), Refusal> {
    let admit = || {
        let entry: Option<Entry> = admission.auth();
        let entry = entry.ok_or_else(|| Refused::invalid("A nickname and a key are needed to enter."))?;
        let (nickname, key) = (rules::nickname(&entry.nickname)?, rules::key(entry.key)?);
        chat.state().may_enter(&nickname, &key)?;
        admission.insert(Person::new(chat.new_id(), nickname, key));
        Ok(())
    };
    admit().map_err(|refused: Refused| {
        Refusal::new(refused.error).data(json!({ "code": refused.code.as_str() }))
    })
}

async fn enter(socket: Socket, State(chat): State<Arc<Chat>>, Extension(person): Extension<Arc<Person>>) {
    let mut state = chat.state();
    // One that was recovered is in the rooms of before: the others were told that it left them, so it joins them again. Its
    // own of then goes first: below it would be found by it, and be taken for the one that it replaces.
    let restored: Vec<_> = socket.rooms().into_iter().skip(1).collect();
    socket.leave(restored);
    match state.enter(&person.nickname, &person.key, &person.id) {
        Ok(before) => {
            if let Some(before) = before.and_then(|id| socket_of(&socket.namespace(), &id)) {
                before.emit("replaced", ()).ok();
                before.disconnect(false);
            }
            socket.join(own_channel(&person.id));
            let rooms = state.list(Instant::now());
            socket.emit("welcome", json!({ "run": chat.run, "id": person.id, "rooms": rooms })).ok();
        }
        // Somebody else was faster, between the check and now.
        Err(refused) => {
            socket.emit("refused", refusal(&refused)).ok();
            socket.disconnect(false);
        }
    }
}

async fn exit(socket: Socket, State(chat): State<Arc<Chat>>, Extension(person): Extension<Arc<Person>>) {
    let mut state = chat.state();
    for room in state.exit(&person.nickname, &person.id, Instant::now()) {
        tell_left(&socket, &person, &room);
    }
}

// --- rooms ---------------------------------------------------------------------------------------------------------

type Text = Result<Data<String>, ExtractError>;

/// Who asks, and by which socket.
struct Caller {
    socket: Socket,
    chat: Arc<Chat>,
    person: Arc<Person>,
}

impl Extract<EventPhase> for Caller {
    fn extract(cx: &mut Cx<'_>) -> Result<Self, ExtractError> {
        let socket = Extract::<EventPhase>::extract(cx)?;
        let State(chat) = Extract::<EventPhase>::extract(cx)?;
        let Extension(person) = Extract::<EventPhase>::extract(cx)?;
        Ok(Self { socket, chat, person })
    }
}

async fn join(Caller { socket, chat, person }: Caller, room: Text) -> Reply<Value> {
    answer(|| {
        let room = person.asks_for(room, "join(room)")?;
        let mut state = chat.state();
        let is_new = state.join(&room, &person.id, &person.nickname, Instant::now())?;
        let members = state.members(&room);
        if is_new {
            socket.join(channel(&room));
            let joined = json!({ "room": room, "id": person.id, "nickname": person.nickname });
            socket.to(channel(&room)).emit("joined", joined).ok();
            tell_room(&socket.namespace(), &Summary { name: room.clone(), members: members.len() });
        }
        Ok(json!({ "room": room, "members": members, "history": state.history(&room) }))
    })
}

async fn leave(Caller { socket, chat, person }: Caller, room: Text) -> Reply<Value> {
    answer(|| {
        let room = person.asks_for(room, "leave(room)")?;
        let mut state = chat.state();
        if let Some(left) = state.leave(&room, &person.id, Instant::now()) {
            socket.leave(channel(&room));
            tell_left(&socket, &person, &left);
        }
        Ok(json!({ "room": room }))
    })
}

async fn rooms(Caller { chat, person, .. }: Caller) -> Reply<Value> {
    answer(|| {
        person.within_rate()?;
        Ok(json!({ "rooms": chat.state().list(Instant::now()) }))
    })
}

async fn typing(
    Caller { socket, chat, person }: Caller,
    request: Result<Args<(String, bool)>, ExtractError>,
) {
    let Ok(Args((room, on))) = request else { return };
    // What is too much or wrong is not worth an answer.
    let (Ok(()), Ok(room)) = (person.within_rate(), rules::room(&room)) else { return };
    if chat.state().is_member(&room, &person.id) {
        let typing = json!({ "room": room, "from": person.nickname, "on": on });
        socket.to(channel(&room)).volatile().emit("typing", typing).ok();
    }
}

fn tell_left(socket: &Socket, person: &Person, room: &Summary) {
    let left = json!({ "room": room.name, "id": person.id });
    socket.namespace().to(channel(&room.name)).emit("left", left).ok();
    tell_room(&socket.namespace(), room);
}

/// Everybody sees how many are in which room.
fn tell_room(namespace: &Namespace, room: &Summary) {
    namespace.emit("room", room).ok();
}

/// The room of the library for a room of the chat: none of them is a socket's own.
fn channel(room: &str) -> String {
    format!("room:{room}")
}

/// The room of the library in which somebody is alone.
fn own_channel(id: &PersonId) -> String {
    format!("person:{}", id.0)
}

fn socket_of(namespace: &Namespace, id: &PersonId) -> Option<Socket> {
    namespace.to(own_channel(id)).sockets().pop()
}

// --- messages ------------------------------------------------------------------------------------------------------

async fn post(
    Caller { socket, chat, person }: Caller,
    request: Result<Data<Message>, ExtractError>,
) -> Reply<Value> {
    answer(|| {
        take(&person.messages, MESSAGES)?;
        let Message { room, key, text } = given(request, "post({room, key, text})")?;
        let (room, key, text) = (rules::room(&room)?, rules::key(key)?, rules::text(&text)?);
        let mut state = chat.state();
        let post = match state.draft(&room, &person.id, key, text, now_ms())? {
            Draft::Known(post) => post,
            Draft::New(post) => {
                let mut heard = json!(post);
                heard["room"] = json!(room);
                let sent = socket.to(channel(&room)).emit("post", heard);
                sent.map_err(|_| Refused::new(Code::Slow, "The server has too much to do."))?;
                state.keep(&room, post.clone());
                post
            }
        };
        Ok(json!({ "id": post.id, "at": post.at }))
    })
}

/// The confirmation may take long: it is waited for beside the socket's other events.
async fn private(
    socket: Socket,
    Extension(person): Extension<Arc<Person>>,
    request: Result<Data<PrivateMessage>, ExtractError>,
    ack: Ack<Value>,
) {
    let at = now_ms();
    let asked = (|| {
        take(&person.messages, MESSAGES)?;
        let PrivateMessage { to, key, text } = given(request, "private({to, key, text})")?;
        let (key, text) = (rules::key(key)?, rules::text(&text)?);
        let other = socket_of(&socket.namespace(), &PersonId(to));
        let other = other.ok_or_else(|| Refused::new(Code::Gone, "This person is not here any more."))?;
        let waiting = Waiting::begin(&person)?;
        let message = json!({ "id": person.id, "from": person.nickname, "key": key, "text": text, "at": at });
        Ok((other.timeout(CONFIRMATION).emit_with_ack::<Value>("private", message), waiting))
    })();
    match asked {
        Err(refused) => drop(ack.send(refusal(&refused))),
        Ok((confirmation, waiting)) => drop(tokio::spawn(async move {
            let confirmed = confirmation.await;
            drop(waiting);
            let answer = confirmed
                .map(|_| json!({ "ok": true, "at": at }))
                .unwrap_or_else(|e| refusal(&unconfirmed(&e)));
            // Who asked may be gone, too.
            drop(ack.send(answer));
        })),
    }
}

fn unconfirmed(error: &AckError) -> Refused {
    match error {
        AckError::Disconnected | AckError::Emit(EmitError::Closed) => {
            Refused::new(Code::Gone, "This person is not here any more.")
        }
        AckError::Emit(_) => Refused::new(Code::Slow, "This person’s line is full: wait a moment."),
        _ => Refused::new(Code::Silent, "This person’s window has not confirmed it."),
    }
}

/// A private message that waits, counted until this is dropped.
struct Waiting(Arc<Person>);

impl Waiting {
    fn begin(person: &Arc<Person>) -> Result<Self, Refused> {
        let waiting = Self(Arc::clone(person));
        if person.waiting.fetch_add(1, Ordering::AcqRel) < MAX_WAITING {
            Ok(waiting)
        } else {
            Err(Refused::new(Code::Slow, format!("{MAX_WAITING} messages wait for their confirmation.")))
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

// --- answers -------------------------------------------------------------------------------------------------------

fn answer(act: impl FnOnce() -> Result<Value, Refused>) -> Reply<Value> {
    Reply(match act() {
        Ok(mut value) => {
            value["ok"] = Value::Bool(true);
            value
        }
        Err(refused) => refusal(&refused),
    })
}

fn refusal(refused: &Refused) -> Value {
    json!({ "ok": false, "code": refused.code.as_str(), "error": refused.error })
}

fn given<T>(request: Result<Data<T>, ExtractError>, usage: &str) -> Result<T, Refused> {
    request.map(|Data(value)| value).map_err(|_| Refused::invalid(format!("The arguments are {usage}.")))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}
