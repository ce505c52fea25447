//! Rooms: who receives what, and what is told of their changes.

mod sio_support;

use serde_json::{Value, json};
use sio_support::{Log, logged, logged_with};
use trunkline::testing::{Client, End};
use trunkline::{Data, Io, RoomEvent, Socket, State};

/// Four clients on two shards, in the rooms of their names' letters: `a`, `b`, `ab`, and one in none.
struct Rig {
    io: Io,
    clients: Vec<(&'static str, Client)>,
}

impl Rig {
    async fn new() -> Self {
        let (io, _) = logged_with(|builder| builder.shards(2));
        let mut clients = Vec::new();
        for name in ["a", "b", "ab", ""] {
            let client = Client::connect(&io, "/", None).await.unwrap();
            let rooms: Vec<String> = name.chars().map(String::from).collect();
            io.socket(client.id()).unwrap().join(&rooms);
            clients.push((name, client));
        }
        Self { io, clients }
    }

    fn socket(&self, index: usize) -> Socket {
        self.io.socket(self.clients[index].1.id()).unwrap()
    }

    /// Which clients have received `x`, and how often. A mark that all get tells that nothing more comes.
    async fn receivers(&mut self) -> Vec<&'static str> {
        self.io.emit("mark", ()).unwrap();
        let mut names = Vec::new();
        for (name, client) in &mut self.clients {
            loop {
                match client.recv().await.unwrap().name() {
                    "mark" => break,
                    _ => names.push(*name),
                }
            }
        }
        names
    }
}

macro_rules! reaches {
    ($name:ident, |$rig:ident| $selection:expr, $expected:expr) => {
        #[tokio::test]
        async fn $name() {
            let mut $rig = Rig::new().await;
            $selection.emit("x", ()).unwrap();
            assert_eq!($rig.receivers().await, $expected);
        }
    };
}

reaches!(to_a_room_reaches_its_members, |rig| rig.io.to("a"), ["a", "ab"]);
reaches!(two_rooms_reach_each_member_once, |rig| rig.io.to("a").to("b"), ["a", "b", "ab"]);
reaches!(a_list_of_rooms_is_the_same, |rig| rig.io.to(["a", "b", "a"]), ["a", "b", "ab"]);
reaches!(except_leaves_members_out, |rig| rig.io.except("b"), ["a", ""]);
reaches!(to_and_except_combine, |rig| rig.io.to(["a", "b"]).except("b"), ["a"]);
reaches!(without_rooms_all_are_reached, |rig| rig.io.of("/").local(), ["a", "b", "ab", ""]);
reaches!(an_unknown_room_reaches_nobody, |rig| rig.io.to("c"), [""; 0]);
reaches!(a_socket_does_not_reach_itself, |rig| rig.socket(0).to("a"), ["ab"]);
reaches!(nor_by_several_rooms, |rig| rig.socket(2).to(["a", "b"]), ["a", "b"]);
reaches!(within_includes_the_sender, |rig| rig.socket(0).within("a"), ["a", "ab"]);
reaches!(broadcast_reaches_all_others, |rig| rig.socket(3).broadcast(), ["a", "b", "ab"]);
reaches!(except_of_a_socket_leaves_itself_out, |rig| rig.socket(3).except("a"), ["b"]);
reaches!(an_id_is_a_room, |rig| rig.io.to(rig.clients[3].1.id()), [""]);
reaches!(ids_and_rooms_mix_without_duplicates, |rig| rig.io.to(rig.clients[0].1.id()).to("a"), ["a", "ab"]);
reaches!(an_id_can_be_left_out, |rig| rig.io.to("a").except(rig.clients[0].1.id()), ["ab"]);
reaches!(ones_own_id_is_oneself, |rig| rig.socket(0).to(rig.clients[0].1.id()), [""; 0]);

#[tokio::test]
async fn a_socket_in_a_room_named_like_anothers_id_hears_what_is_for_it() {
    let mut rig = Rig::new().await;
    let id = rig.clients[0].1.id().clone();
    rig.socket(3).join(&id);
    rig.io.to(&id).emit("x", ()).unwrap();
    assert_eq!(rig.receivers().await, ["a", ""]);
    rig.io.to(&id).to("a").emit("x", ()).unwrap();
    assert_eq!(rig.receivers().await, ["a", "ab", ""]);
    rig.socket(0).to(&id).emit("x", ()).unwrap();
    assert_eq!(rig.receivers().await, [""]);
    let (_, owner) = rig.clients.remove(0);
    owner.close();
    trunkline_testkit::eventually("the owner is gone", || rig.io.session_count() == 3).await;
    rig.io.to(&id).emit("x", ()).unwrap();
    assert_eq!(rig.receivers().await, [""], "the room outlives the one whose name it has");
}

#[tokio::test]
async fn join_and_leave_may_be_repeated() {
    let mut rig = Rig::new().await;
    let socket = rig.socket(3);
    let own = socket.id().as_str();
    socket.join("c");
    socket.join(["c", "d", "c"]);
    socket.join(own);
    let rooms = |s: &Socket| s.rooms().iter().map(|r| r.to_string()).collect::<Vec<_>>();
    assert_eq!(rooms(&socket), [own, "c", "d"]);
    rig.io.to(["c", "d"]).emit("x", ()).unwrap();
    assert_eq!(rig.receivers().await, [""]);
    socket.leave("c");
    socket.leave(["c", "e"]);
    socket.leave(own);
    assert_eq!(rooms(&socket), [own, "d"]);
    rig.io.to("c").emit("x", ()).unwrap();
    assert_eq!(rig.receivers().await, [""; 0]);
    rig.io.to(own).emit("x", ()).unwrap();
    assert_eq!(rig.receivers().await, [""], "its own room cannot be left");
    assert_eq!(rig.io.of("/").rooms().len(), 3);
}

#[tokio::test]
async fn emits_before_and_after_join_and_leave_take_effect_in_that_order() {
    let mut rig = Rig::new().await;
    let socket = rig.socket(3);
    for n in 0..5 {
        rig.io.to("c").emit("x", (n, "before")).unwrap();
        socket.join("c");
        rig.io.to("c").emit("x", (n, "in")).unwrap();
        socket.leave("c");
        rig.io.to("c").emit("x", (n, "after")).unwrap();
    }
    rig.io.emit("mark", ()).unwrap();
    let client = &mut rig.clients[3].1;
    let mut seen = Vec::new();
    loop {
        let event = client.recv().await.unwrap();
        match event.name() {
            "mark" => break,
            _ => seen.push(event.data::<(u8, String)>().unwrap()),
        }
    }
    assert_eq!(seen, (0..5).map(|n| (n, "in".to_owned())).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_changes_of_rooms_are_told_in_order() {
    let (io, log) = logged();
    let hook = log.clone();
    io.of("/").on_room_event(move |event| {
        hook.say(match event {
            RoomEvent::Create { room } => format!("create {room}"),
            RoomEvent::Delete { room } => format!("delete {room}"),
            RoomEvent::Join { room, socket } => format!("join {room} {socket}"),
            RoomEvent::Leave { room, socket } => format!("leave {room} {socket}"),
        });
    });
    let one = Client::connect(&io, "/", None).await.unwrap();
    let two = Client::connect(&io, "/", None).await.unwrap();
    let (a, b) = (one.id().clone(), two.id().clone());
    io.socket(&a).unwrap().join("r");
    io.socket(&b).unwrap().join("r");
    io.socket(&a).unwrap().leave("r");
    io.socket(&a).unwrap().leave("r");
    io.socket(&b).unwrap().disconnect(false);
    let expected = [
        format!("create {a}"),
        format!("join {a} {a}"),
        format!("create {b}"),
        format!("join {b} {b}"),
        "create r".to_owned(),
        format!("join r {a}"),
        format!("join r {b}"),
        format!("leave r {a}"),
        format!("leave r {b}"),
        "delete r".to_owned(),
        format!("leave {b} {b}"),
        format!("delete {b}"),
    ];
    assert_eq!(log.now(), expected);
}

#[tokio::test]
async fn rooms_of_namespaces_are_apart() {
    let (io, _) = logged();
    io.of("/a");
    let mut root = Client::connect(&io, "/", None).await.unwrap();
    let mut a = root.enter("/a", None).await.unwrap();
    io.socket(root.id()).unwrap().join("r");
    io.of("/a").socket(a.id()).unwrap().join("r");
    io.of("/a").to("r").emit("x", 1).unwrap();
    io.to("r").emit("x", 2).unwrap();
    assert_eq!(root.recv_event::<u8>("x").await.unwrap(), 2);
    assert_eq!(a.recv_event::<u8>("x").await.unwrap(), 1);
    assert!(root.received().is_empty() && a.received().is_empty());
}

#[tokio::test]
async fn sockets_are_fetched_with_handshake_rooms_and_data() {
    let rig = Rig::new().await;
    rig.socket(2).set_data("name", "ann");
    rig.socket(2).set_data("age", 7);
    let mut found = rig.io.to(["a", "b"]).except(rig.clients[1].1.id()).fetch_sockets().await;
    found.sort_by_key(|s| s.rooms().len());
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].id(), found[1].id()), (rig.clients[0].1.id(), rig.clients[2].1.id()));
    assert_eq!(Value::Object(found[1].data()), json!({ "name": "ann", "age": 7 }));
    assert_eq!(found[1].rooms().len(), 3);
    assert_eq!(found[1].handshake().query_param("EIO").as_deref(), Some("4"));
    assert_eq!(rig.io.fetch_sockets().await.len(), 4);
}

#[tokio::test]
async fn many_sockets_are_moved_at_once() {
    let mut rig = Rig::new().await;
    rig.io.to("a").sockets_join(["c", "d"]);
    rig.io.to("c").emit("x", ()).unwrap();
    assert_eq!(rig.receivers().await, ["a", "ab"]);
    rig.io.to("b").sockets_leave("c");
    rig.io.to("c").emit("x", ()).unwrap();
    assert_eq!(rig.receivers().await, ["a"]);
    rig.io.sockets_join("all");
    rig.io.to("all").emit("x", ()).unwrap();
    assert_eq!(rig.receivers().await, ["a", "b", "ab", ""]);
    rig.socket(0).to("all").sockets_leave("all");
    rig.io.to("all").emit("x", ()).unwrap();
    assert_eq!(rig.receivers().await, ["a"]);
}

#[tokio::test]
async fn many_sockets_are_disconnected_with_and_without_their_connections() {
    for close in [false, true] {
        let (io, log) = logged();
        io.of("/a");
        for name in ["/", "/a"] {
            sio_support::log_disconnects(io.of(name));
        }
        let mut one = Client::connect(&io, "/", None).await.unwrap();
        let mut other = one.enter("/a", None).await.unwrap();
        let mut spared = Client::connect(&io, "/", None).await.unwrap();
        io.socket(one.id()).unwrap().join("r");
        io.to("r").emit("last", ()).unwrap();
        io.to("r").disconnect_sockets(close);
        io.to("r").emit("too late", ()).unwrap();
        one.recv_event::<()>("last").await.expect("what was emitted before arrives");
        assert_eq!(one.ended().await, Ok(End::Namespace), "{close}");
        assert!(one.received().is_empty());
        if close {
            assert!(other.ended().await.is_ok());
            let mut lines = log.take(2).await;
            lines.sort();
            assert_eq!(lines, ["/: server namespace disconnect", "/a: server namespace disconnect"]);
            trunkline_testkit::eventually("its connection", || io.session_count() == 1).await;
        } else {
            io.of("/a").emit("x", ()).unwrap();
            other.recv_event::<()>("x").await.expect("the connection lives");
            assert_eq!(log.now(), ["/: server namespace disconnect"]);
        }
        io.emit("x", ()).unwrap();
        spared.recv_event::<()>("x").await.unwrap();
    }
}

#[tokio::test]
async fn a_handle_outlives_its_socket_and_does_nothing() {
    let (io, log) = logged();
    io.of("/").on("x", async |_: Data<u8>, State(_): State<Log>| {});
    let client = Client::connect(&io, "/", None).await.unwrap();
    let socket = io.socket(client.id()).unwrap();
    socket.join("r");
    socket.insert(5u8);
    client.close();
    trunkline_testkit::eventually("the end", || !socket.is_connected()).await;
    // Another socket may have its place by now.
    let next = Client::connect(&io, "/", None).await.unwrap();
    assert_eq!(socket.emit("x", ()), Err(trunkline::EmitError::Closed));
    assert_eq!(socket.volatile().emit("x", ()), Err(trunkline::EmitError::Closed));
    socket.join("r");
    socket.leave("r");
    socket.disconnect(true);
    assert_eq!(socket.drained().await, Err(trunkline::EmitError::Closed));
    assert!(socket.rooms().is_empty() && io.of("/").rooms().is_empty());
    assert_eq!((socket.get::<u8>(), socket.namespace().name()), (Some(5), "/"));
    assert_eq!(io.socket(next.id()).unwrap().rooms().len(), 1);
    socket.broadcast().emit("bye", ()).expect("it can still speak to others");
    assert!(log.now().is_empty());
}
