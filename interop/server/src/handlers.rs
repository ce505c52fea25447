//! The events of the contract.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use trunkline::{
    Ack, Admission, Args, BroadcastError, Data, DisconnectReason, EmitError, ExactlyOnce, HandlerError,
    Handshake, Io, Namespace, Refusal, Reply, Socket, State, Value,
};

/// How many `count` events came, and whether in order.
type Count = Arc<Mutex<(u64, bool)>>;

pub(crate) fn register(io: &Io) {
    ordinary(io.of("/"));
    ordinary(io.of("/other"));
    io.of_fn(async |admission: Admission| {
        let digits = admission.namespace().strip_prefix("/dyn-").unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())
    })
    .register(ordinary);
    io.of("/refuse").check(async || {
        let data = serde_json::json!({ "code": 42, "why": ["no", { "deep": true }] });
        Err::<(), _>(Refusal::new("refused").data(data))
    });
    io.of("/watch");
    io.of("/once")
        .exactly_once(ExactlyOnce::new())
        .on("hold", async |Data(key): Data<String>, State(held): State<Held>| {
            held.0.send_modify(|keys| keys.entry(key.clone()).or_default().count += 1);
            Reply(held.count(&key, |key| key.is_released).await)
        })
        .on("held", async |Data(key): Data<String>, State(held): State<Held>| {
            Reply(held.count(&key, |key| key.count > 0).await)
        })
        .on("release", async |Data(key): Data<String>, State(held): State<Held>| {
            held.0.send_modify(|keys| keys.entry(key).or_default().is_released = true);
        });
}

/// How often which key was held in `/once`.
#[derive(Clone, Default)]
pub(crate) struct Held(Arc<watch::Sender<HashMap<String, Key>>>);

#[derive(Default)]
struct Key {
    count: u32,
    is_released: bool,
}

impl Held {
    /// The count of a key, once it is as `wanted`.
    async fn count(&self, key: &str, wanted: impl Fn(&Key) -> bool) -> u32 {
        let mut keys = self.0.subscribe();
        let keys = keys.wait_for(|keys| keys.get(key).is_some_and(&wanted)).await;
        keys.ok().and_then(|keys| keys.get(key).map(|key| key.count)).unwrap_or_default()
    }
}

fn ordinary(ns: Namespace) -> Namespace {
    ns.on_connect(connected)
        .on("echo", async |socket: Socket, args: Args<Vec<Value>>| socket.emit("echo", args))
        .on("echo-ack", async |args: Args<Vec<Value>>| Reply(args))
        .on("never", async |ack: Ack<()>| std::mem::forget(ack))
        .on("where", async |socket: Socket| {
            Reply(Args((socket.namespace().name().to_owned(), socket.id().clone())))
        })
        .on("cookie", async |handshake: Handshake| Reply(handshake.header("cookie").map(str::to_owned)))
        .on("kick", async |socket: Socket| socket.disconnect(false))
        .on("join", async |socket: Socket, Data(room): Data<String>| {
            socket.join(room);
            Reply(rooms(&socket))
        })
        .on("leave", async |socket: Socket, Data(room): Data<String>| {
            socket.leave(room);
            Reply(rooms(&socket))
        })
        .on("say", say)
        .on("ask-me", ask_me)
        .on("ask-room", ask_room)
        .on("count", async |socket: Socket, Data(n): Data<u64>| {
            let Some(count) = socket.get::<Count>() else { return };
            let mut count = count.lock().expect("no handler panics while it counts");
            count.1 &= n == count.0;
            count.0 += 1;
        })
        .on("counted", async |socket: Socket| {
            let count = socket.get::<Count>().unwrap_or_default();
            let count = *count.lock().expect("no handler panics while it counts");
            Reply(Args(count))
        })
        .on("flood", async |socket: Socket, Data(from): Data<u64>, Data(to): Data<u64>| {
            (from..to).try_for_each(|i| socket.emit("n", i))
        })
        .on_disconnect(async |socket: Socket, io: Io, reason: DisconnectReason| {
            io.of("/watch").emit("gone", Args((socket.id(), socket.namespace().name(), reason.as_str())))
        })
}

async fn connected(socket: Socket) -> Result<(), EmitError> {
    socket.insert::<Count>(Arc::new(Mutex::new((0, true))));
    let auth = socket.auth::<Value>().unwrap_or_else(|| Value::Object(Default::default()));
    let token = socket.handshake().query_param("token").map(std::borrow::Cow::into_owned);
    socket.emit("auth", Args((auth, token)))
}

fn rooms(socket: &Socket) -> Vec<String> {
    let own = socket.id().as_str();
    let mut rooms: Vec<String> =
        socket.rooms().iter().filter(|room| &***room != own).map(ToString::to_string).collect();
    rooms.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
    rooms
}

async fn say(
    socket: Socket,
    Data(mode): Data<String>,
    Data(rooms): Data<Vec<String>>,
    Data(except): Data<Vec<String>>,
    Data(value): Data<Value>,
) -> Result<(), BroadcastError> {
    let selection = if mode == "to" { socket.to(rooms) } else { socket.within(rooms) };
    selection.except(except).emit("said", value)
}

async fn ask_me(socket: Socket, Data(value): Data<Value>, Data(ms): Data<u64>) -> Result<(), EmitError> {
    let answer = socket.timeout(Duration::from_millis(ms)).emit_with_ack::<Value>("question", value).await;
    match answer {
        Ok(answer) => socket.emit("answer", Args(("ok", answer))),
        Err(_) => socket.emit("answer", Args(("timeout", None::<()>))),
    }
}

async fn ask_room(
    socket: Socket,
    Data(room): Data<String>,
    Data(value): Data<Value>,
    Data(ms): Data<u64>,
) -> Result<(), HandlerError> {
    let asked = socket.within(room).timeout(Duration::from_millis(ms));
    let answers = asked.emit_with_ack::<Value>("question", value).await?;
    let all = answers.iter().all(|answer| answer.result.is_ok());
    let values: Vec<Value> = answers.into_iter().filter_map(|answer| answer.result.ok()).collect();
    socket.emit("answers", Args((if all { "ok" } else { "timeout" }, values)))?;
    Ok(())
}
