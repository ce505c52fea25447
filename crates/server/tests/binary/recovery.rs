//! Killed and started again: clients come back to their rooms and to what they missed.

use rustix::process::Signal;
use serde_json::json;
use std::net::{SocketAddr, TcpListener};

use crate::client::{Client, get};
use crate::program::{Folder, Program, run};

/// What an unmodified client keeps to be recovered.
struct Page {
    client: Client,
    pid: String,
    offset: Option<String>,
    seen: Vec<u64>,
}

impl Page {
    fn open(address: SocketAddr) -> Self {
        let (client, pid) = Client::enter_with(address, &json!({}));
        Self { client, pid, offset: None, seen: Vec::new() }
    }

    /// Takes events up to the one with this number.
    fn until(&mut self, number: u64) {
        while self.seen.last() != Some(&number) {
            let event = self.client.event();
            assert_eq!(event[0], "n", "{event}");
            self.seen.push(event[1].as_u64().expect("a number"));
            self.offset = event[2].as_str().map(str::to_owned);
        }
    }

    /// Comes back; the events so far stay.
    fn back(self, address: SocketAddr) -> Self {
        let (id, seen) = (self.client.id.clone(), self.seen);
        drop(self.client);
        let auth = match &self.offset {
            Some(offset) => json!({ "pid": self.pid, "offset": offset }),
            None => json!({ "pid": self.pid }),
        };
        let (client, pid) = Client::enter_with(address, &auth);
        assert_eq!((&pid, &client.id), (&self.pid, &id), "recovered");
        Self { client, pid, offset: self.offset, seen }
    }
}

/// A port that the server can have again after its end.
fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port().to_string()
}

fn start(port: &str, folder: &str, durability: &str) -> Program {
    let flags = ["--recovery", "2m", "--recovery-file", folder, "--recovery-durability", durability];
    Program::start_at(port, &[&flags[..], &["--max-events-per-second", "0"]].concat())
}

fn publish(client: &mut Client, room: &str, number: u64) {
    let answer = client.ask(&json!(["publish", room, "n", number]));
    assert_eq!(answer["ok"], true, "{answer}");
}

fn join(client: &mut Client, room: &str) {
    let answer = client.ask(&json!(["join", room]));
    assert_eq!(answer["ok"], true, "{answer}");
}

#[test]
fn a_killed_server_gives_clients_their_rooms_and_all_that_they_missed() {
    for durability in ["batched", "synced"] {
        let folder = Folder::new(&format!("killed-{durability}"));
        let path = folder.path("log");
        let port = free_port();
        let mut program = start(&port, &path, durability);
        let mut page = Page::open(program.address);
        join(&mut page.client, "news");
        let mut last = 0;
        for _ in 0..3 {
            // What is acknowledged has happened, also for those that are told after the kill.
            let mut speaker = Client::connect(program.address);
            join(&mut speaker, "news");
            for _ in 0..5 {
                last += 1;
                publish(&mut speaker, "news", last);
            }
            page.until(last - 2);
            program.signal(Signal::KILL);
            drop(program);
            program = start(&port, &path, durability);
            page = page.back(program.address);
            page.until(last);
        }
        let mut speaker = Client::connect(program.address);
        join(&mut speaker, "news");
        publish(&mut speaker, "news", last + 1);
        page.until(last + 1);
        let expected: Vec<u64> = (1..=last + 1).collect();
        assert_eq!(page.seen, expected, "{durability}");
    }
}

#[test]
fn an_orderly_end_loses_nothing_either() {
    let folder = Folder::new("ended");
    let (path, port) = (folder.path("log"), free_port());
    let program = start(&port, &path, "none");
    let mut page = Page::open(program.address);
    join(&mut page.client, "news");
    program.signal(Signal::TERM);
    assert_eq!(program.wait(), Some(0));
    let program = start(&port, &path, "none");
    let mut page = page.back(program.address);
    let mut speaker = Client::connect(program.address);
    join(&mut speaker, "news");
    publish(&mut speaker, "news", 1);
    page.until(1);
}

#[test]
fn one_client_that_holds_the_end_up_costs_nobody_the_log() {
    let folder = Folder::new("held-up");
    let (path, port) = (folder.path("log"), free_port());
    let flags = ["--recovery", "2m", "--recovery-file", &path, "--recovery-durability", "none"];
    let program = Program::start_at(&port, &[&flags[..], &["--drain-timeout", "50ms"]].concat());
    let page = Page::open(program.address);
    // It never fetches its last packets.
    assert_eq!(get(program.address, "/socket.io/?EIO=4&transport=polling").status, 200);
    program.signal(Signal::TERM);
    assert_eq!(program.wait(), Some(0));
    let program = start(&port, &path, "none");
    drop(page.back(program.address));
}

#[test]
fn a_log_that_cannot_be_used_is_named() {
    let folder = Folder::new("unusable");
    let path = folder.path("log");
    // One namespace alone: which is opened first is not said.
    let flags = ["--apps", "false", "--recovery", "2m", "--recovery-file", &path];
    let flags = [&["--port", "0", "--internal", "off"], &flags[..]].concat();
    let check = |expected: &str| {
        let output = run(&flags, &[]);
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(expected), "{text:?} does not say {expected:?}");
    };
    let program = start("0", &path, "batched");
    check("%2f: the log is in use by another server");
    drop(program);
    let segment = folder.path("log/%2f/00000000000000000001.events");
    let mut bytes = std::fs::read(&segment).expect("the first segment");
    // The format's number follows eight bytes that are always the same.
    bytes[8] = 9;
    std::fs::write(&segment, &bytes).expect("it can be written");
    check("00000000000000000001.events: has format 9, and this version reads formats up to 1");
    std::fs::write(&segment, b"something else that is long enough to be looked at closely")
        .expect("as above");
    check("00000000000000000001.events: not a log of trunkline");
}

#[test]
fn what_was_acknowledged_in_the_middle_of_it_all_has_happened() {
    let folder = Folder::new("middle");
    let (path, port) = (folder.path("log"), free_port());
    let program = start(&port, &path, "batched");
    let mut page = Page::open(program.address);
    join(&mut page.client, "news");
    let mut speaker = Client::connect(program.address);
    join(&mut speaker, "news");
    for number in 1..=2_000 {
        speaker.tell(&json!(["publish", "news", "n", number]));
    }
    page.until(300);
    program.signal(Signal::KILL);
    // What is still on its way counts.
    let heard = speaker.rest();
    let acknowledged = heard.iter().filter(|text| text.starts_with("43")).count() as u64;
    drop(program);
    let program = start(&port, &path, "batched");
    let mut page = page.back(program.address);
    let mut speaker = Client::connect(program.address);
    join(&mut speaker, "news");
    publish(&mut speaker, "news", 9_999);
    page.until(9_999);
    let last = page.seen.len() as u64 - 1;
    assert!(last >= 300 && last >= acknowledged, "{last} of {acknowledged}");
    let expected: Vec<u64> = (1..=last).chain([9_999]).collect();
    assert_eq!(page.seen, expected);
}
