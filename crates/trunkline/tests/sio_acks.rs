//! Acknowledgements, both ways, to one and to many: answers, timeouts, and answers that do not count.

mod sio_support;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sio_support::{logged, settle};
use trunkline::testing::{Client, Error};
use trunkline::{Ack, AckError, Args, Data, EmitError, Io, Reply, Socket, State};
use trunkline_testkit::within;

const SHORT: Duration = Duration::from_millis(40);

#[derive(Clone, Default)]
struct Kept(Arc<std::sync::Mutex<Vec<Ack<u8>>>>);

#[tokio::test]
async fn a_kept_ack_answers_later_and_a_dropped_one_ends_the_wait() {
    let kept = Kept::default();
    let io = Io::builder().shards(1).state(kept.clone()).build();
    io.of("/")
        .on("keep", async |ack: Ack<u8>, State(kept): State<Kept>| {
            assert!(ack.is_wanted());
            kept.0.lock().unwrap().push(ack);
        })
        .on("optional", async |ack: Ack<u8>| drop(ack.send(1)))
        .on("live", async || {});
    let client = Client::connect(&io, "/", None).await.unwrap();
    let first = client.emit_with_ack::<u8>("keep", ());
    let second = client.emit_with_ack::<Value>("keep", ());
    client.emit_with_ack::<()>("live", ()).await.unwrap();
    let mut acks = std::mem::take(&mut *kept.0.lock().unwrap());
    drop(acks.pop());
    assert_eq!(second.await.unwrap(), json!({ "error": { "message": "not answered" } }));
    acks.pop().unwrap().send(7).unwrap();
    assert_eq!(first.await.unwrap(), 7);
    client.emit("optional", ()).unwrap();
    client.emit_with_ack::<()>("live", ()).await.unwrap();
}

#[tokio::test]
async fn an_ack_after_the_disconnect_is_told_so() {
    let kept = Kept::default();
    let io = Io::builder().shards(1).state(kept.clone()).build();
    io.of("/").on("keep", async |ack: Ack<u8>, State(kept): State<Kept>| kept.0.lock().unwrap().push(ack));
    let client = Client::connect(&io, "/", None).await.unwrap();
    let answer = client.emit_with_ack::<u8>("keep", ());
    trunkline_testkit::eventually("the event", || !kept.0.lock().unwrap().is_empty()).await;
    io.socket(client.id()).unwrap().disconnect(true);
    trunkline_testkit::eventually("the end", || io.session_count() == 0).await;
    let ack = kept.0.lock().unwrap().pop().unwrap();
    assert_eq!(ack.send(1), Err(EmitError::Closed));
    assert_eq!(answer.await, Err(Error::Closed));
}

#[tokio::test]
async fn answers_go_out_in_the_order_in_which_they_are_given() {
    let (io, _) = logged();
    io.of("/").on("x", async |socket: Socket, Data(n): Data<u32>| {
        socket.emit("event", n).unwrap();
        Reply(n)
    });
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    let answers: Vec<_> = (0..50u32).map(|n| client.emit_with_ack::<u32>("x", n)).collect();
    for (n, answer) in (0u32..).zip(answers) {
        assert_eq!(answer.await.unwrap(), n);
        assert_eq!(client.recv_event::<u32>("event").await.unwrap(), n);
    }
}

#[tokio::test]
async fn the_client_answers_with_any_number_of_values() {
    let (io, _) = logged();
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    let socket = io.socket(client.id()).unwrap();
    let one = socket.emit_with_ack::<u8>("q", ());
    client.recv().await.unwrap().answer(1).unwrap();
    assert_eq!(one.await, Ok(1));
    let none = socket.emit_with_ack::<()>("q", ());
    client.recv().await.unwrap().answer(()).unwrap();
    assert_eq!(none.await, Ok(()));
    let two = socket.emit_with_ack::<Args<(u8, String)>>("q", Args((1, 2)));
    let event = client.recv().await.unwrap();
    assert_eq!(event.args::<(u8, u8)>().unwrap(), (1, 2));
    event.answer(Args((3, "x"))).unwrap();
    assert_eq!(two.await, Ok(Args((3, "x".to_owned()))));
    let wrong = socket.emit_with_ack::<u8>("q", ());
    client.recv().await.unwrap().answer("text").unwrap();
    assert!(matches!(wrong.await, Err(AckError::Decode(_))));
}

#[tokio::test]
async fn a_wait_ends_by_timeout_and_a_late_answer_is_ignored() {
    let (io, _) = logged();
    io.of("/").on("live", async || {});
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    let socket = io.socket(client.id()).unwrap();
    let answer = socket.timeout(SHORT).emit_with_ack::<u8>("q", ());
    let event = client.recv().await.unwrap();
    assert_eq!(answer.await, Err(AckError::Timeout));
    assert_eq!(io.metrics().ack_timeouts, 1);
    event.answer(1).unwrap();
    let next = socket.emit_with_ack::<u8>("q", ());
    client.recv().await.unwrap().answer(2).unwrap();
    assert_eq!(next.await, Ok(2), "the late one did not count for the next");
    client.emit_with_ack::<()>("live", ()).await.expect("nor is it a broken rule");
}

#[tokio::test]
async fn a_wait_ends_with_the_socket() {
    let (io, _) = logged();
    let client = Client::connect(&io, "/", None).await.unwrap();
    let socket = io.socket(client.id()).unwrap();
    let answer = socket.emit_with_ack::<u8>("q", ());
    client.disconnect();
    assert_eq!(within("the end", answer).await, Err(AckError::Disconnected));
    assert_eq!(socket.emit_with_ack::<u8>("q", ()).await, Err(AckError::Emit(EmitError::Closed)));
}

#[tokio::test]
async fn only_the_first_answer_of_a_socket_that_was_asked_counts() {
    let (io, _) = logged();
    let mut asked = Client::connect(&io, "/", None).await.unwrap();
    let other = Client::connect(&io, "/", None).await.unwrap();
    let answer = io.socket(asked.id()).unwrap().emit_with_ack::<u8>("q", ());
    let event = asked.recv().await.unwrap();
    for id in 0..20 {
        other.send_text(&format!("3{id}[66]"));
        other.send_text(&format!("3{id}[\"x\"]"));
    }
    settle().await;
    event.answer(1).unwrap();
    event.answer(2).unwrap();
    assert_eq!(answer.await, Ok(1));
    assert_eq!(io.metrics().violations, 0);
}

#[tokio::test]
async fn an_abandoned_wait_leaves_nothing_behind() {
    let (io, _) = logged();
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    let socket = io.socket(client.id()).unwrap();
    drop(socket.emit_with_ack::<u8>("q", ()));
    let all = io.of("/");
    let broadcast = all.emit_with_ack::<u8>("q", ());
    drop(tokio::time::timeout(Duration::from_millis(1), broadcast).await);
    for _ in 0..2 {
        client.recv().await.unwrap().answer(1).unwrap();
    }
    let answer = socket.emit_with_ack::<u8>("q", ());
    client.recv().await.unwrap().answer(5).unwrap();
    assert_eq!(answer.await, Ok(5));
}

#[tokio::test]
async fn a_broadcast_collects_the_answers_that_come() {
    let (io, _) = logged();
    let mut good = Client::connect(&io, "/", None).await.unwrap();
    let mut wrong = Client::connect(&io, "/", None).await.unwrap();
    let mut silent = Client::connect(&io, "/", None).await.unwrap();
    let mut leaving = Client::connect(&io, "/", None).await.unwrap();
    let ns = io.of("/");
    let vote =
        tokio::spawn(
            async move { ns.timeout(Duration::from_millis(300)).emit_with_ack::<u8>("vote", "?").await },
        );
    good.recv().await.unwrap().answer(1).unwrap();
    wrong.recv().await.unwrap().answer("x").unwrap();
    silent.recv().await.unwrap();
    leaving.recv().await.unwrap();
    let ids = [good.id().clone(), wrong.id().clone(), silent.id().clone(), leaving.id().clone()];
    leaving.disconnect();
    let answers = within("answers", vote).await.unwrap().unwrap();
    let of = |id| answers.iter().find(|a| a.socket == id).map(|a| a.result.clone()).unwrap();
    let [good, wrong, silent, leaving] = ids;
    assert_eq!(answers.len(), 4);
    assert_eq!(of(good), Ok(1));
    assert!(matches!(of(wrong), Err(AckError::Decode(_))));
    assert_eq!(of(silent), Err(AckError::Timeout));
    assert_eq!(of(leaving), Err(AckError::Disconnected));
    assert_eq!(io.metrics().ack_timeouts, 1, "the silent one's");
}

#[tokio::test]
async fn a_broadcast_ends_early_when_all_have_answered_or_gone() {
    let (io, _) = logged();
    let mut one = Client::connect(&io, "/", None).await.unwrap();
    let mut two = Client::connect(&io, "/", None).await.unwrap();
    let ns = io.of("/");
    let vote =
        tokio::spawn(
            async move { ns.timeout(Duration::from_secs(600)).emit_with_ack::<u8>("vote", ()).await },
        );
    one.recv().await.unwrap().answer(1).unwrap();
    two.recv().await.unwrap();
    two.close();
    assert_eq!(within("answers", vote).await.unwrap().unwrap().len(), 2);
    let nobody = io.to("nobody").timeout(Duration::from_secs(600)).emit_with_ack::<u8>("vote", ());
    assert_eq!(within("no answers", nobody).await.unwrap(), []);
}

#[tokio::test]
async fn a_handler_waits_for_its_own_client() {
    let (io, _) = logged();
    io.of("/").on("sum", async |socket: Socket| {
        let a: u8 = socket.emit_with_ack("a", ()).await?;
        let b: u8 = socket.emit_with_ack("b", ()).await?;
        Ok::<_, trunkline::HandlerError>(a + b)
    });
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    let sum = client.emit_with_ack::<u8>("sum", ());
    for (name, n) in [("a", 1), ("b", 2)] {
        let event = client.recv().await.unwrap();
        assert_eq!((event.name(), event.wants_answer()), (name, true));
        event.answer(n).unwrap();
    }
    assert_eq!(sum.await.unwrap(), 3);
}

#[tokio::test]
async fn a_value_that_cannot_be_encoded_ends_the_clients_wait() {
    let (io, log) = logged();
    io.of("/").on("bad", async || {
        Reply(std::collections::HashMap::from([(vec![1u8], 1)])) // JSON's keys are strings
    });
    let client = Client::connect(&io, "/", None).await.unwrap();
    let answer: Value = client.emit_with_ack("bad", ()).await.unwrap();
    assert_eq!(answer, json!({ "error": { "message": "internal error" } }));
    assert!(log.next().await.starts_with("error in bad"));
}

#[tokio::test]
async fn waits_of_many_tasks_do_not_mix() {
    let (io, _) = logged();
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    let socket = io.socket(client.id()).unwrap();
    let waits: Vec<_> = (0..100u32)
        .map(|n| {
            let socket = socket.clone();
            tokio::spawn(async move { (n, socket.emit_with_ack::<u32>("echo", n).await.unwrap()) })
        })
        .collect();
    let mut events = Vec::new();
    for _ in 0..100 {
        events.push(client.recv().await.unwrap());
    }
    for event in events.iter().rev() {
        event.answer(event.data::<u32>().unwrap()).unwrap();
    }
    for wait in waits {
        let (asked, answered) = wait.await.unwrap();
        assert_eq!(asked, answered);
    }
}

/// A value whose end is a mistake of the application's.
struct Mistaken;

impl serde::Serialize for Mistaken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

impl Drop for Mistaken {
    fn drop(&mut self) {
        panic!("a value's end (a test)");
    }
}

#[tokio::test]
async fn a_value_that_panics_at_its_end_is_answered_once() {
    let (io, log) = logged();
    io.of("/").on("e", async || Reply(Mistaken)).on("ok", async || Reply(2));
    let server = sio_support::serve(&io, 1);
    let (mut ws, _) = sio_support::raw(&server, 4).await;
    ws.send("40").await;
    assert!(ws.text().await.starts_with("40{"));
    ws.send("420[\"e\"]").await;
    assert_eq!(ws.text().await, "430[1]");
    ws.send("421[\"ok\"]").await;
    assert_eq!(ws.text().await, "431[2]");
    assert_eq!(log.next().await, "error in e: the handler panicked");
}
