//! The chat as its clients see it, over connections in memory.

use std::ops::{Deref, DerefMut};

use serde_json::{Value, json};
use trunkline::testing::{Client, End, Error};
use trunkline::{Args, Io, Recovery};

use super::{CONFIRMATION, Chat, MESSAGES, NAMESPACE, REQUESTS};

fn server() -> Io {
    let io = Io::builder().shards(2).state(Chat::new()).build();
    Chat::register(&io);
    io
}

/// Somebody in the chat.
struct Guest {
    client: Client,
    id: Value,
}

impl Deref for Guest {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Guest {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// Somebody who has just come, with the same key each time.
async fn person(io: &Io, nickname: &str) -> Guest {
    let auth = json!({ "nickname": nickname, "key": format!("key-of-{nickname}") });
    let mut client = Client::connect(io, NAMESPACE, Some(auth)).await.expect("admitted");
    let mut welcome: Value = client.recv_event("welcome").await.expect("a welcome");
    assert!(welcome["run"].is_u64() && welcome["rooms"].is_array(), "{welcome}");
    Guest { client, id: welcome["id"].take() }
}

async fn ask(client: &Client, event: &str, args: Value) -> Value {
    client.emit_with_ack(event, args).await.expect("an answer")
}

async fn joined(io: &Io, nickname: &str, room: &str) -> Guest {
    let client = person(io, nickname).await;
    let answer = ask(&client, "join", json!(room)).await;
    assert_eq!(answer["ok"], true, "{answer}");
    client
}

async fn refused(io: &Io, auth: Option<Value>) -> (String, Value) {
    match Client::connect(io, NAMESPACE, auth).await {
        Err(Error::Refused { message, data }) => (message, data.unwrap_or_default()["code"].take()),
        other => panic!("not refused: {other:?}"),
    }
}

fn nicknames(answer: &Value) -> Vec<&str> {
    let members = answer["members"].as_array().expect("members");
    members.iter().filter_map(|member| member["nickname"].as_str()).collect()
}

#[tokio::test]
async fn a_nickname_is_needed_and_belongs_to_one() {
    let io = server();
    let _ann = person(&io, "Ann").await;
    assert_eq!(refused(&io, None).await.1, "invalid");
    let entry = |nickname: &str| Some(json!({ "nickname": nickname, "key": "other" }));
    assert_eq!(
        refused(&io, entry(" ")).await,
        ("A nickname has 1 to 24 characters.".into(), json!("invalid"))
    );
    assert_eq!(refused(&io, entry("aNN")).await, ("The nickname aNN is taken.".into(), json!("taken")));
    assert_eq!(refused(&io, Some(json!({ "nickname": "bob" }))).await.1, "invalid");
}

#[tokio::test]
async fn who_comes_back_takes_over() {
    let io = server();
    let mut before = joined(&io, "ann", "lobby").await;
    let mut bob = joined(&io, "bob", "lobby").await;
    let after = joined(&io, "ann", "lobby").await;
    before.recv_event::<()>("replaced").await.expect("it is told");
    assert_eq!(before.ended().await, Ok(End::Namespace));
    let left: Value = bob.recv_event("left").await.expect("bob hears it");
    assert_eq!(left, json!({ "room": "lobby", "id": before.id }));
    // The nickname is still hers.
    let taken = Some(json!({ "nickname": "ann", "key": "other" }));
    assert_eq!(refused(&io, taken).await.1, "taken");
    let answer = ask(&after, "post", json!({ "room": "lobby", "key": "1", "text": "again" })).await;
    assert_eq!(answer["ok"], true, "{answer}");
}

/// With recovery the socket is the same, with the rooms of before; the others were told that it left them.
#[tokio::test]
async fn who_is_recovered_joins_its_rooms_again() {
    let io = Io::builder().shards(2).recovery(Recovery::memory()).state(Chat::new()).build();
    Chat::register(&io);
    let ann = joined(&io, "ann", "lobby").await;
    let mut bob = joined(&io, "bob", "lobby").await;
    let pid = ann.private_id().expect("it can come back").to_owned();
    ann.client.cut();
    bob.recv_event::<Args<Vec<Value>>>("left").await.expect("bob hears it");
    let auth = json!({ "nickname": "ann", "key": "key-of-ann", "pid": pid });
    let mut ann = Client::connect(&io, NAMESPACE, Some(auth)).await.expect("admitted");
    assert_eq!(ann.private_id(), Some(&*pid));
    ann.recv_event::<Args<Vec<Value>>>("welcome").await.expect("a welcome");
    let post = ask(&bob, "post", json!({ "room": "lobby", "key": "1", "text": "between" })).await;
    assert_eq!(post["ok"], true, "{post}");
    let answer = ask(&ann, "join", json!("lobby")).await;
    assert!(ann.received().iter().all(|event| event.name() != "post"), "not a member at that time");
    assert_eq!(answer["history"][0]["text"], "between", "{answer}");
}

/// Its line broke and it is back before the server has noticed: the rooms of before include its own of then.
#[tokio::test]
async fn who_is_recovered_does_not_throw_itself_out() {
    let io = Io::builder().shards(2).recovery(Recovery::memory()).state(Chat::new()).build();
    Chat::register(&io);
    let ann = joined(&io, "ann", "lobby").await;
    let mut bob = joined(&io, "bob", "lobby").await;
    let pid = ann.private_id().expect("it can come back").to_owned();
    let auth = json!({ "nickname": "ann", "key": "key-of-ann", "pid": pid });
    let mut again = Client::connect(&io, NAMESPACE, Some(auth)).await.expect("admitted");
    assert_eq!(again.private_id(), Some(&*pid));
    again.recv_event::<Args<Vec<Value>>>("welcome").await.expect("a welcome");
    let answer = ask(&again, "join", json!("lobby")).await;
    assert_eq!(answer["ok"], true, "{answer}");
    assert!(again.received().iter().all(|event| event.name() != "replaced"));
    let left: Value = bob.recv_event("left").await.expect("bob hears it");
    assert_eq!(left, json!({ "room": "lobby", "id": ann.id }));
}

#[tokio::test]
async fn rooms_say_who_is_here() {
    let io = server();
    let mut ann = joined(&io, "ann", "Lobby").await;
    let bob = person(&io, "bob").await;
    let answer = ask(&bob, "join", json!(" LOBBY ")).await;
    assert_eq!((&answer["room"], nicknames(&answer)), (&json!("lobby"), vec!["ann", "bob"]));
    // An id of Engine.IO 3 is a secret: none is told, to be safe.
    assert!(!answer.to_string().contains(ann.client.id().as_str()), "{answer}");
    let heard: Value = ann.recv_event("joined").await.expect("ann hears it");
    assert_eq!(heard, json!({ "room": "lobby", "id": bob.id, "nickname": "bob" }));

    ask(&bob, "join", json!("other")).await;
    let rooms = ask(&ann, "rooms", json!(null)).await;
    let expected = json!([{ "name": "lobby", "members": 2 }, { "name": "other", "members": 1 }]);
    assert_eq!(rooms["rooms"], expected);

    let id = bob.id.clone();
    assert_eq!(ask(&bob, "leave", json!("lobby")).await["ok"], true);
    let left: Value = ann.recv_event("left").await.expect("ann hears it");
    assert_eq!(left, json!({ "room": "lobby", "id": id }));
    let outside = ask(&bob, "post", json!({ "room": "lobby", "key": "1", "text": "x" })).await;
    assert_eq!((&outside["ok"], &outside["code"]), (&json!(false), &json!("outside")));

    // A line that breaks leaves all rooms; everybody sees the numbers.
    bob.client.cut();
    loop {
        let room: Value = ann.recv_event("room").await.expect("ann sees the numbers");
        if room == json!({ "name": "other", "members": 0 }) {
            break;
        }
    }
}

#[tokio::test]
async fn posts_are_heard_once_and_remembered_in_order() {
    let io = server();
    let ann = joined(&io, "ann", "lobby").await;
    let mut bob = joined(&io, "bob", "lobby").await;
    let mut outsider = joined(&io, "carol", "other").await;
    let message = |key: &str, text: &str| json!({ "room": "lobby", "key": key, "text": text });

    let first = ask(&ann, "post", message("a", "  hello\nyou ")).await;
    assert_eq!(first["ok"], true, "{first}");
    // The receipt was lost: the same again is confirmed the same, and not heard again.
    assert_eq!(ask(&ann, "post", message("a", "hello\nyou")).await, first);
    let second = ask(&ann, "post", message("b", "<b>bye</b>")).await;
    assert!(second["id"].as_u64() > first["id"].as_u64());

    let expected = |receipt: &Value, key: &str, text: &str| json!({ "id": receipt["id"], "at": receipt["at"], "key": key, "from": "ann", "text": text });
    let history = json!([expected(&first, "a", "hello\nyou"), expected(&second, "b", "<b>bye</b>")]);
    for expected in history.as_array().expect("two") {
        let mut heard: Value = bob.recv_event("post").await.expect("bob hears it");
        assert_eq!(heard.as_object_mut().and_then(|post| post.remove("room")), Some(json!("lobby")));
        assert_eq!(heard, *expected);
    }
    let late = person(&io, "dave").await;
    assert_eq!(ask(&late, "join", json!("lobby")).await["history"], history);

    // All that was sent to bob and carol before these answers is here: nothing more was.
    ask(&bob, "rooms", json!(null)).await;
    ask(&outsider, "rooms", json!(null)).await;
    for client in [&mut bob, &mut outsider] {
        assert!(client.received().iter().all(|event| event.name() != "post"), "{}", client.id);
    }
}

#[tokio::test]
async fn typing_is_told_to_the_room() {
    let io = server();
    let ann = joined(&io, "ann", "lobby").await;
    let mut bob = joined(&io, "bob", "lobby").await;
    let carol = joined(&io, "carol", "other").await;
    // Not hers to tell, and not a request at all.
    carol.emit("typing", Args(("lobby", true))).expect("sent");
    carol.emit("typing", "lobby").expect("sent");
    ask(&carol, "rooms", json!(null)).await;
    ann.emit("typing", Args(("lobby", true))).expect("sent");
    let heard: Value = bob.recv_event("typing").await.expect("bob sees it");
    assert_eq!(heard, json!({ "room": "lobby", "from": "ann", "on": true }));
}

#[tokio::test]
async fn private_messages_are_confirmed_by_the_other() {
    let io = server();
    let mut ann = joined(&io, "ann", "lobby").await;
    let mut bob = joined(&io, "bob", "lobby").await;
    let mut carol = person(&io, "carol").await;
    let message = |to: &Value| json!({ "to": to, "key": "p1", "text": "psst" });

    let answer = ann.emit_with_ack::<Value>("private", message(&bob.id));
    // It waits, and other requests do not wait for it.
    assert_eq!(ask(&ann, "rooms", json!(null)).await["ok"], true);
    let event = loop {
        let event = bob.recv().await.expect("bob hears it");
        if event.name() == "private" {
            break event;
        }
    };
    let heard: Value = event.data().expect("JSON");
    assert_eq!((&heard["from"], &heard["id"], &heard["text"]), (&json!("ann"), &ann.id, &json!("psst")));
    assert!(event.wants_answer());
    event.answer(true).expect("it is taken");
    let answer = answer.await.expect("confirmed");
    assert_eq!((&answer["ok"], &answer["at"]), (&json!(true), &heard["at"]));

    let gone = bob.id.clone();
    bob.client.close();
    let left: Value = ann.recv_event("left").await.expect("the server knows");
    assert_eq!(left["id"], gone);
    // The other one leaves while it is asked.
    let unanswered = ann.emit_with_ack::<Value>("private", message(&carol.id));
    carol.recv_event::<Value>("private").await.expect("carol hears it");
    carol.client.close();
    assert_eq!(unanswered.await.expect("an answer")["code"], "gone");
    for to in [gone, json!("nobody"), json!(ann.client.id())] {
        assert_eq!(ask(&ann, "private", message(&to)).await["code"], "gone", "{to}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_does_not_confirm_is_named() {
    let io = server();
    let (ann, bob) = (person(&io, "ann").await, person(&io, "bob").await);
    let began = tokio::time::Instant::now();
    let answer = ask(&ann, "private", json!({ "to": bob.id, "key": "p", "text": "psst" })).await;
    assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("silent")));
    assert!(began.elapsed() >= CONFIRMATION);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let io = server();
    let ann = joined(&io, "ann", "lobby").await;
    let check = async |event: &str, args: Value, error: &str| {
        let answer = ask(&ann, event, args).await;
        assert_eq!(answer, json!({ "ok": false, "code": "invalid", "error": error }), "{event}");
    };
    check("join", json!(7), "The arguments are join(room).").await;
    check("join", json!("x".repeat(33)), "A room’s name has 1 to 32 characters.").await;
    let post = |key: &str, text: &str| json!({ "room": "lobby", "key": key, "text": text });
    check("post", json!("hello"), "The arguments are post({room, key, text}).").await;
    check("post", post("k", "  "), "An empty message cannot be sent.").await;
    check("post", post("k", &"x".repeat(2_001)), "A message has at most 2000 characters.").await;
    check("post", post("no key", "x"), "A key has 1 to 64 letters, digits, - and _.").await;
}

#[tokio::test]
async fn too_much_at_once_is_refused() {
    let io = server();
    let ann = joined(&io, "ann", "lobby").await;
    let posts: Vec<_> = (0..20 * MESSAGES)
        .map(|n| {
            let post = json!({ "room": "lobby", "key": n.to_string(), "text": "x" });
            ann.emit_with_ack::<Value>("post", post)
        })
        .collect();
    let mut slow = 0;
    for answer in posts {
        let answer = answer.await.expect("an answer");
        assert!(answer["ok"] == true || answer["code"] == "slow", "{answer}");
        slow += u32::from(answer["code"] == "slow");
    }
    assert!((1..=19 * MESSAGES).contains(&slow), "{slow} of {}", 20 * MESSAGES);

    let asked: Vec<_> = (0..10 * REQUESTS).map(|_| ann.emit_with_ack::<Value>("rooms", ())).collect();
    let mut refused = false;
    for answer in asked {
        refused |= answer.await.expect("an answer")["code"] == "slow";
    }
    assert!(refused);
}
