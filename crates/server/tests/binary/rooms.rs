//! The handlers that need no code: join, leave, publish, and their limits.

use serde_json::{Value, json};

use crate::client::Client;
use crate::program::{Folder, Program};

#[test]
fn members_of_a_room_get_what_is_published() {
    let program = Program::start(&[]);
    let (mut ann, mut bob, mut eve) = (
        Client::connect(program.address),
        Client::connect(program.address),
        Client::connect(program.address),
    );
    assert_eq!(ann.ask(&json!(["join", "lobby"])), json!({"ok": true, "rooms": ["lobby"]}));
    assert_eq!(ann.ask(&json!(["join", "attic"])), json!({"ok": true, "rooms": ["attic", "lobby"]}));
    assert_eq!(bob.ask(&json!(["join", "lobby"])), json!({"ok": true, "rooms": ["lobby"]}));

    let publish = json!(["publish", "lobby", "said", "hello", {"deep": [1, 2.5, null]}]);
    assert_eq!(ann.ask(&publish), json!({"ok": true, "receivers": 1}));
    assert_eq!(bob.event(), json!(["said", "hello", {"deep": [1, 2.5, null]}]));

    assert_eq!(eve.ask(&publish), json!({"ok": false, "error": "not in this room"}));
    assert_eq!(bob.ask(&json!(["leave", "lobby"])), json!({"ok": true, "rooms": []}));
    assert_eq!(ann.ask(&publish), json!({"ok": true, "receivers": 0}));
}

#[test]
fn what_is_wrong_is_said() {
    let program = Program::start(&["--max-rooms", "1", "--max-room-name", "8"]);
    let (mut ann, bob) = (Client::connect(program.address), Client::connect(program.address));
    ann.ask(&json!(["join", "lobby"]));
    let mut check = |event: Value, expected: &str| {
        assert_eq!(ann.ask(&event), json!({"ok": false, "error": expected}), "{event}");
    };
    check(json!(["join"]), "the room's name is missing");
    check(json!(["join", 5]), "the room's name is missing");
    check(json!(["join", ""]), "a room's name has 1 to 8 bytes");
    check(json!(["join", "far too long"]), "a room's name has 1 to 8 bytes");
    check(json!(["join", "attic"]), "a client may be in 1 rooms at most");
    check(json!(["join", "$system"]), "joining this room is not allowed");
    check(json!(["publish", "lobby"]), "publish takes the names of a room and of an event, then data");
    check(json!(["publish", "attic", "said"]), "not in this room");
    let reserved = ann.ask(&json!(["publish", "lobby", "disconnect"]));
    assert_eq!(reserved["ok"], false, "{reserved}");
    assert_eq!(
        ann.ask(&json!(["join", "lobby"])),
        json!({"ok": true, "rooms": ["lobby"]}),
        "it is in already"
    );
    drop(bob);
}

#[test]
fn the_room_of_a_socket_is_its_own() {
    let program = Program::start(&[]);
    let (mut ann, mut bob) = (Client::connect(program.address), Client::connect(program.address));
    let refused = json!({"ok": false, "error": "this room belongs to one socket"});
    assert_eq!(ann.ask(&json!(["join", bob.id])), refused);
    let own = json!(["leave", bob.id]);
    assert_eq!(bob.ask(&own), json!({"ok": false, "error": "a socket cannot leave its own room"}));
}

#[test]
fn too_many_requests_are_refused() {
    let program = Program::start(&["--max-events-per-second", "2"]);
    let mut client = Client::connect(program.address);
    let answers: Vec<Value> = (0..20).map(|_| client.ask(&json!(["join", "lobby"]))).collect();
    let refused = json!({"ok": false, "error": "more than 2 requests in a second"});
    assert_eq!(answers[..2].iter().filter(|a| a["ok"] == true).count(), 2);
    assert!(answers.contains(&refused), "{answers:?}");
}

#[test]
fn the_rules_of_the_file_count() {
    let folder = Folder::new("rules");
    let file = folder.write(
        "trunkline.toml",
        r#"
namespaces = ["/", "/team-{name}"]
[[allow]]
namespace = "/team-*"
room = "news"
join = true
[[allow]]
namespace = "/team-*"
room = "talk-*"
join = true
publish = true
"#,
    );
    let program = Program::start(&["--config", &file]);
    let mut root = Client::connect(program.address);
    let not_joined = json!({"ok": false, "error": "joining this room is not allowed"});
    assert_eq!(root.ask(&json!(["join", "talk-a"])), not_joined, "no rule is about /");

    let mut team = Client::enter(program.address, "/team-red,");
    assert_eq!(team.ask(&json!(["join", "news"]))["ok"], true);
    let not_published = json!({"ok": false, "error": "publishing to this room is not allowed"});
    assert_eq!(team.ask(&json!(["publish", "news", "said"])), not_published);
    assert_eq!(team.ask(&json!(["join", "attic"])), not_joined);
    assert_eq!(team.ask(&json!(["join", "talk-a"]))["ok"], true);
    assert_eq!(team.ask(&json!(["publish", "talk-a", "said"])), json!({"ok": true, "receivers": 0}));
}
