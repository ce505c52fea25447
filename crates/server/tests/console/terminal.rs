//! `trunkline connect` on a terminal: a line editor that events do not disturb, colours, and modes that are given back.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use trunkline_testkit::DEADLINE;

use crate::program::command;
use crate::server::Server;

const PROMPT: &str = "> ";

/// The binary on a terminal of its own.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    /// Keeps the terminal open, and is asked for its modes.
    screen: File,
    shown: Receiver<String>,
    /// What was shown since [`Terminal::forget`].
    pub(crate) text: String,
}

impl Terminal {
    /// Starts a session, and waits for its prompt.
    fn start(words: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut terminal = Self::open(words, environment);
        // Before it the terminal itself takes the keys.
        terminal.see(PROMPT);
        terminal
    }

    /// Starts what has no prompt.
    pub(crate) fn open(words: &[&str], environment: &[(&str, &str)]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name").into_string().expect("UTF-8");
        let screen = OpenOptions::new().read(true).write(true).open(name).expect("it opens");
        let size = Winsize { ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&screen, size).expect("it has a size");
        let side = || OwnedFd::from(screen.try_clone().expect("a descriptor"));
        let child = command(words)
            .envs(environment.iter().copied())
            .env("TERM", "xterm")
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .expect("the binary starts");
        let keyboard = File::from(master);
        let shown = reader(keyboard.try_clone().expect("a descriptor"));
        Self { child, keyboard, screen, shown, text: String::new() }
    }

    fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal takes it");
    }

    /// Waits until this is shown.
    pub(crate) fn see(&mut self, part: &str) {
        self.see_that(part, |text| text.contains(part));
    }

    pub(crate) fn see_that(&mut self, what: &str, holds: impl Fn(&str) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !holds(&self.text) {
            match self.shown.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(text) => self.text.push_str(&text),
                Err(error) => panic!("{error}: {what:?} is not in {:?}", self.text),
            }
        }
    }

    fn forget(&mut self) {
        self.text.clear();
    }

    /// Whether the terminal edits and echoes lines by itself, as it did at first.
    fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.screen).expect("a terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    pub(crate) fn wait(&mut self) -> Option<i32> {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not end: {:?}", self.text);
            // What it still shows must not fill the terminal up.
            if let Ok(text) = self.shown.recv_timeout(std::time::Duration::from_millis(10)) {
                self.text.push_str(&text);
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn reader(mut from: File) -> Receiver<String> {
    let (sender, shown) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let text = String::from_utf8_lossy(buffer.get(..read).unwrap_or_default()).into_owned();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    shown
}

#[test]
fn an_event_keeps_the_line_that_is_being_typed() {
    let server = Server::start();
    let mut terminal = Terminal::start(&["connect", &server.url("")], &[("NO_COLOR", "1")]);
    terminal.see("connected to / as ");
    terminal.type_in("ack echo half");
    terminal.see("half");
    terminal.forget();
    server.io.of("/").emit("news", "from\u{1b}[2Joutside").expect("there is room");
    // The event in a line of its own, then the prompt with what was typed.
    terminal.see("news \"from\\u001b[2Joutside\"");
    terminal.see_that("the line again", |text| {
        text.split_once("outside\"").is_some_and(|(_, after)| after.contains("> ack echo half"))
    });
    assert!(!terminal.text.contains("\u{1b}[2J"), "{:?}", terminal.text);
    assert!(!terminal.text.contains("\u{1b}[36m"), "colours were not wanted: {:?}", terminal.text);
    terminal.type_in("-done\r");
    terminal.see("echo answered \"half-done\"");
    terminal.type_in("quit\r");
    assert_eq!(terminal.wait(), Some(0));
    assert!(terminal.is_as_before());
}

#[test]
fn events_have_colours_and_binary_is_shown_as_hex() {
    let server = Server::start();
    let mut terminal = Terminal::start(&["connect", &server.url("")], &[]);
    terminal.see("connected to / as ");
    terminal.type_in("emit back hex:00ff 1\r");
    terminal.see("\u{1b}[1;36mback\u{1b}[0m \u{1b}[35m<2 bytes 00 ff>\u{1b}[0m \u{1b}[33m1\u{1b}[0m");
    terminal.type_in("jump\r");
    let problem = "unknown command \"jump\"; try help";
    terminal.see_that("a prompt", |text| {
        text.split_once(problem).is_some_and(|(_, after)| after.contains(PROMPT))
    });
    // Ctrl-D; mistakes of a person are no failure.
    terminal.type_in("\u{4}");
    assert_eq!(terminal.wait(), Some(0));
}

#[test]
fn many_events_and_lines_at_once_come_to_an_end() {
    let server = Server::start();
    let mut terminal = Terminal::start(&["connect", &server.url("")], &[("NO_COLOR", "1")]);
    terminal.see("connected to / as ");
    for _ in 0..20 {
        terminal.type_in("emit ticks 50\r");
    }
    terminal.type_in("ack echo all\r");
    terminal.see("echo answered \"all\"");
    // Answers overtake events that wait to be printed.
    terminal.see_that("all ticks", |text| text.matches("tick 49").count() == 20);
    assert_eq!(terminal.text.matches("tick 0").count(), 20);
    terminal.see_that("a prompt", |text| {
        text.rsplit_once("ack echo all").is_some_and(|(_, after)| after.contains(PROMPT))
    });
    terminal.type_in("\u{3}");
    assert_eq!(terminal.wait(), Some(130));
    assert!(terminal.is_as_before());
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let server = Server::start();
    let mut terminal = Terminal::start(&["connect", &server.url("")], &[]);
    terminal.see("connected to / as ");
    terminal.type_in("emit half");
    terminal.see("half");
    assert!(!terminal.is_as_before(), "the line editor is at work");
    let id = rustix::process::Pid::from_child(&terminal.child);
    rustix::process::kill_process(id, Signal::TERM).expect("the process is there");
    assert_eq!(terminal.wait(), Some(143));
    assert!(terminal.is_as_before());
    terminal.see("\u{1b}[?2004l\r\n");
}

#[test]
fn who_sits_there_sees_what_fails_and_goes_on() {
    let server = Server::start();
    let mut terminal = Terminal::start(&["connect", &server.url("")], &[("NO_COLOR", "1")]);
    terminal.see("connected to / as ");
    terminal.type_in("emit kick\r");
    terminal.see("disconnected: io server disconnect");
    terminal.type_in("emit echo\r");
    terminal.see("echo: not connected; try connect");
    terminal.forget();
    terminal.type_in("connect\r");
    terminal.see("connected to / as ");
    terminal.type_in("ack fail\r");
    terminal.see("fail answered {\"error\": {\"data\": {\"code\": 7}, \"message\": \"no\\u001bpe\"}}");
    terminal.type_in("quit\r");
    assert_eq!(terminal.wait(), Some(0));
}
