//! Acknowledgements in both directions, and what happens when none comes.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::mpsc::unbounded_channel;
use trunkline_client::{Ack, AckError, Args, Data, Reply, Value};

use crate::context::Context;
use crate::failure::{Failure, Outcome, STEP, ensure, equal};
use crate::peer::Peer;
use crate::values::{args, bytes, object, texts, unique};

/// How long this suite waits for an answer that must not come.
const SILENCE: Duration = Duration::from_millis(250);

pub(super) async fn from_server(ctx: &Context) -> Outcome {
    let peer = ctx.connect().await?;
    equal(peer.call("echo-ack", args![]).await?, args![])?;
    let values = args![1, "two", object! { "three" => 3 }];
    equal(peer.call("echo-ack", values.clone()).await?, values)?;
    // Many at once: each answer must find its own question.
    let answers = try_join_all((0..100).map(|n| peer.call("echo-ack", args![n]))).await?;
    equal(answers, (0..100).map(|n| args![n]).collect::<Vec<_>>())
}

pub(super) async fn from_client(ctx: &Context) -> Outcome {
    let peer = ctx.connect().await?;
    peer.socket.on("question", async |Data(value): Data<Value>| Reply(object! { "heard" => value }));
    for value in [object! { "a" => Value::Array(args![1, "ü"]) }, bytes(50, 1)] {
        peer.emit("ask-me", args![value.clone(), millis(STEP)])?;
        peer.expect("answer", args!["ok", object! { "heard" => value }]).await?;
    }
    Ok(())
}

pub(super) async fn timeout_at_client(ctx: &Context) -> Outcome {
    let peer = ctx.connect().await?;
    let answer = peer.socket.timeout(SILENCE).emit_with_ack::<Args<Vec<Value>>>("never", "x").await;
    ensure(matches!(answer, Err(AckError::Timeout)), || format!("an event nobody answers gave {answer:?}"))?;
    equal(peer.call("echo-ack", args!["alive"]).await?, args!["alive"])
}

pub(super) async fn timeout_at_server(ctx: &Context) -> Outcome {
    let peer = ctx.connect().await?;
    let (sender, mut acks) = unbounded_channel();
    peer.socket.on("question", move |ack: Ack<&'static str>| {
        let sender = sender.clone();
        async move { drop(sender.send(ack)) }
    });
    peer.emit("ask-me", args!["silence", millis(SILENCE)])?;
    peer.expect("answer", args!["timeout", ()]).await?;
    // An answer that comes too late is nothing to the server, and the socket lives on.
    let ack = acks.try_recv().map_err(|_| Failure::new("nothing was asked"))?;
    ack.send("late")?;
    equal(peer.call("echo-ack", args!["alive"]).await?, args!["alive"])
}

pub(super) async fn from_room(ctx: &Context) -> Outcome {
    let room = unique("asked");
    let peers = [ctx.connect().await?, ctx.connect().await?, ctx.connect().await?];
    for peer in &peers {
        equal(peer.call("join", args![room.as_str()]).await?, args![vec![room.as_str()]])?;
    }
    let [first, second, third] = &peers;
    answer_with(first, "1");
    answer_with(second, "2");
    let outsider = ctx.connect().await?;
    answer_with(&outsider, "nobody asked");

    // The third stays silent: the two answers are kept.
    outsider.emit("ask-room", args![room.as_str(), "q", millis(4 * SILENCE)])?;
    answers(&outsider, "timeout", &["q 1", "q 2"]).await?;
    answer_with(third, "3");
    outsider.emit("ask-room", args![room.as_str(), "r", millis(STEP)])?;
    answers(&outsider, "ok", &["r 1", "r 2", "r 3"]).await
}

fn answer_with(peer: &Peer, name: &'static str) {
    peer.socket
        .on("question", move |Data(value): Data<String>| async move { Reply(format!("{value} {name}")) });
}

/// Waits for the outcome of `ask-room`; answers may come in any order.
async fn answers(peer: &Peer, outcome: &str, expected: &[&str]) -> Outcome {
    let told = peer.next("answers").await?;
    let [state, Value::Array(values)] = told.as_slice() else {
        return Err(Failure::new(format!("answers with other arguments: {told:?}")));
    };
    let mut values = texts(values);
    values.sort_unstable();
    equal((state.as_str(), values), (Some(outcome), expected.iter().map(ToString::to_string).collect()))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
