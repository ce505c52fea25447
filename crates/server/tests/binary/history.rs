//! History with the binary: the examples of docs/history.md as they stand there, rules, and what joining gives.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::{Client, get};
use crate::program::{DEADLINE, Folder, Program};

const GUIDE: &str = include_str!("../../../../docs/history.md");
const EVENTS: &str = "/socket.io/history/rooms/lobby/events";

/// The commands of the guide, in order.
fn commands() -> Vec<&'static str> {
    GUIDE.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default().trim()).collect()
}

/// A command, ended when dropped.
struct Shell(Child);

impl Shell {
    /// Runs it with the server and the position of this test in place of those of the guide.
    fn run(command: &str, program: &Program, position: &str, folder: &str) -> Self {
        let command = command
            .replace("127.0.0.1:3000", &program.address.to_string())
            .replace("1k3v9q.0000000000c", position);
        let mut shell = Command::new("sh");
        // Without `exec` the end of the shell would leave curl behind.
        shell
            .arg("-c")
            .arg(format!("exec {command}"))
            .current_dir(folder)
            .env("CURL_HOME", folder)
            .stdout(Stdio::piped());
        Self(shell.spawn().expect("a shell starts"))
    }

    fn output(mut self) -> String {
        let mut text = String::new();
        let mut out = self.0.stdout.take().expect("it is piped");
        std::io::Read::read_to_string(&mut out, &mut text).expect("text");
        assert!(self.0.wait().expect("it is our child").success(), "curl has failed; is it installed?");
        text
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn metric(program: &Program, name: &str) -> u64 {
    let text = get(program.internal.expect("an internal port"), "/metrics").body;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
    line.and_then(|value| value.parse().ok()).expect("a metric")
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let end = std::time::Instant::now() + DEADLINE;
    while !condition() {
        assert!(std::time::Instant::now() < end, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn said(client: &mut Client, text: &str) {
    let answer = client.ask(&json!(["publish", "lobby", "said", text]));
    assert_eq!(answer["ok"], true, "{answer}");
}

#[test]
fn the_examples_of_the_guide_do_what_it_says() {
    let program = Program::start(&["--recovery", "2m", "--history", "true"]);
    let folder = Folder::new("history");
    let tag = folder.write("tag", "");
    // A command that does not end must not hold the test.
    folder.write(".curlrc", &format!("max-time = {}\n", DEADLINE.as_secs()));
    let dir = tag.trim_end_matches("/tag");
    let mut client = Client::connect(program.address);
    client.ask(&json!(["join", "lobby"]));
    for text in ["before", "hello", "there"] {
        said(&mut client, text);
    }
    let [plain, tagged, waiting, stream] = commands()[..] else { panic!("the guide has other commands") };

    let page: Value = serde_json::from_str(&Shell::run(plain, &program, "", dir).output()).expect("JSON");
    let args: Vec<_> =
        page["events"].as_array().expect("events").iter().map(|event| &event["args"]).collect();
    assert_eq!(args, [&json!(["hello"]), &json!(["there"])]);
    assert_eq!((&page["more"], &page["gap"]), (&json!(false), &json!(null)));
    let shown = GUIDE.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an answer");
    let shown: Value = serde_json::from_str(shown).expect("the guide shows JSON");
    let names = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>());
    assert_eq!(names(&shown), names(&page));
    assert_eq!(names(&shown["events"][0]), names(&page["events"][0]));

    let first = Shell::run(tagged, &program, "", dir).output();
    assert_eq!(serde_json::from_str::<Value>(&first).expect("JSON"), page);
    assert_eq!(Shell::run(tagged, &program, "", dir).output(), "", "nothing is sent twice");

    let position = page["next"].as_str().expect("a position");
    let held = Shell::run(waiting, &program, position, dir);
    wait_for("a request waits", || metric(&program, "trunkline_history_waiting") == 1);
    said(&mut client, "news");
    let news: Value = serde_json::from_str(&held.output()).expect("JSON");
    assert_eq!(news["events"][0]["args"], json!(["news"]));
    assert_eq!(news["events"].as_array().map(Vec::len), Some(1));

    let mut stream = Shell::run(stream, &program, position, dir);
    let mut lines =
        BufReader::new(stream.0.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let mut message = || {
        let id = lines.find_map(|line| line.strip_prefix("id: ").map(str::to_owned)).expect("an id");
        let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).expect("data");
        (id, serde_json::from_str::<Value>(&data).expect("JSON"))
    };
    let (id, data) = message();
    assert_eq!(data, news["events"][0], "the same event with the same position");
    assert_eq!(data["position"], *id);
    said(&mut client, "bye");
    assert_eq!(message().1["args"], json!(["bye"]));
}

#[test]
fn rules_say_which_rooms_are_read() {
    let folder = Folder::new("history-rules");
    let file = folder.write(
        "trunkline.toml",
        r#"
recovery = "1m"
history = true
[[allow]]
room = "lobby"
join = true
publish = true
[[allow]]
room = "news"
join = true
publish = true
read = true
"#,
    );
    let program = Program::start(&["--config", &file]);
    let mut client = Client::connect(program.address);
    let status = |path: &str| get(program.address, path).status;
    assert_eq!(status(EVENTS), 403);
    assert_eq!(status("/socket.io/history/rooms/news/events"), 200);
    assert_eq!(status("/socket.io/history/rooms/attic/events"), 403);
    let refused = json!({"ok": false, "error": "reading the past of this room is not allowed"});
    assert_eq!(client.ask(&json!(["join", "lobby", {"last": 5}])), refused);
    assert_eq!(client.ask(&json!(["join", "lobby"]))["ok"], true, "it may join all the same");

    let program = Program::start(&["--recovery", "1m"]);
    let mut client = Client::connect(program.address);
    assert_eq!(client.ask(&json!(["join", "lobby", {"last": 5}])), refused, "off by default");
    assert_eq!(get(program.address, EVENTS).status, 400);
}

#[test]
fn who_joins_gets_the_past_before_the_answer() {
    let program = Program::start(&["--recovery", "1m", "--history", "true"]);
    let mut ann = Client::connect(program.address);
    ann.ask(&json!(["join", "lobby"]));
    for text in ["one", "two", "three"] {
        said(&mut ann, text);
    }
    let page: Value = serde_json::from_str(&get(program.address, EVENTS).body).expect("JSON");
    let position = |index: usize| page["events"][index]["position"].clone();
    for wish in
        [json!({"last": 2}), json!({"after": position(0)}), json!({"since": page["events"][0]["time"]})]
    {
        let mut bob = Client::connect(program.address);
        bob.send(format!("420{}", json!(["join", "lobby", wish])));
        let mut seen = Vec::new();
        let answer = loop {
            let text = bob.receive().expect("a packet");
            match text.strip_prefix("430") {
                Some(answer) => break serde_json::from_str::<Value>(answer).expect("JSON")[0].take(),
                None => seen.push(serde_json::from_str::<Value>(&text[2..]).expect("JSON")[1].clone()),
            }
        };
        let expected = if wish.get("since").is_some() {
            json!(["one", "two", "three"])
        } else {
            json!(["two", "three"])
        };
        assert_eq!(json!(seen), expected);
        let past = json!({"events": seen.len(), "gap": false});
        assert_eq!(answer, json!({"ok": true, "rooms": ["lobby"], "past": past}));
    }
    let wrong = json!({"ok": false, "error": "what comes after the room is {last}, {after} or {since}"});
    let mut eve = Client::connect(program.address);
    assert_eq!(eve.ask(&json!(["join", "lobby", {"lats": 2}])), wrong);
}
