//! Namespaces that are left and entered again on a connection that another one holds open.

use super::*;

/// `/` is connected and `/b` is there, never asked to connect.
fn rig() -> (Rig, Nsp) {
    let mut rig = Rig::new(plain(), Sending::default());
    let other = rig.manager.add("/b", Sending::default());
    rig.connect();
    (rig, other)
}

impl Rig {
    fn ask(&mut self, nsp: Nsp) {
        self.manager.connect(nsp, self.now);
        self.manager.handle_auth(nsp, self.manager.auth_attempts, Ok(None), self.now);
    }

    fn text(&mut self, text: &str) {
        self.manager.handle_text(text, self.now);
    }

    /// The auth function's answer, with what was asked for and came of it.
    fn entered_again(&mut self, nsp: Nsp) -> Vec<Did> {
        let attempt = self.manager.auth_attempts;
        self.manager.handle_auth(nsp, attempt, Ok(None), self.now);
        let mut did = self.did();
        let asked = did.iter().position(|did| *did == Did::Auth(attempt));
        did.remove(asked.expect("the auth function was asked"));
        did
    }
}

fn failed(error: ConnectError) -> Did {
    Did::Change(Lifecycle::ConnectError(error))
}

/// A server with a check that takes its time ends the whole connection at a DISCONNECT of what was not entered.
#[test]
fn who_leaves_before_the_answer_says_so_after_it() {
    for error in [ConnectError::Closed, ConnectError::Timeout] {
        for (answer, goodbye) in [(r#"0/b,{"sid":"b"}"#, Some("1/b,")), (r#"4/b,{"message":"no"}"#, None)] {
            let (mut rig, other) = rig();
            rig.ask(other);
            assert_eq!(rig.did(), [Did::Auth(2), sent("0/b,")]);
            if error == ConnectError::Timeout {
                assert_eq!(rig.next_deadline(), 20 * SECOND);
            } else {
                rig.manager.disconnect(other);
            }
            assert_eq!(rig.did(), [failed(error.clone())]);
            rig.text(answer);
            assert_eq!(rig.did(), goodbye.map(sent).into_iter().collect::<Vec<_>>());
            assert!(!rig.manager.is_connected(other) && rig.manager.is_connected(rig.nsp));
            assert_eq!(rig.manager.poll_timeout(), None);
            // The next time is like the first.
            rig.ask(other);
            rig.text(r#"0/b,{"sid":"b2"}"#);
            assert_eq!(rig.did(), [Did::Auth(3), sent("0/b,"), connected()]);
        }
    }
}

#[test]
fn who_enters_again_waits_for_the_answer_to_the_first_time() {
    for (answer, goodbye) in [(r#"0/b,{"sid":"b1","pid":"p1"}"#, vec![sent("1/b,")]), ("4/b", vec![])] {
        let (mut rig, other) = rig();
        rig.ask(other);
        rig.manager.disconnect(other);
        rig.did();
        rig.manager.connect(other, rig.now);
        assert_eq!(rig.did(), [], "a second CONNECT is a violation");
        rig.text(answer);
        assert!(!rig.manager.is_connected(other), "that was the first one's");
        let did = rig.entered_again(other);
        assert_eq!(did, goodbye.into_iter().chain([sent("0/b,")]).collect::<Vec<_>>());
        rig.text(r#"0/b,{"sid":"b2","pid":"p2"}"#);
        assert_eq!(rig.did(), [connected()]);
        assert_eq!(rig.manager.id(other), Some("b2"));
    }
}

#[test]
fn who_waits_for_the_first_answer_does_not_wait_for_ever() {
    let (mut rig, other) = rig();
    rig.ask(other);
    rig.manager.disconnect(other);
    rig.manager.connect(other, rig.now);
    rig.did();
    assert_eq!(rig.next_deadline(), 20 * SECOND);
    assert_eq!(rig.did(), [failed(ConnectError::Timeout)]);
    rig.manager.connect(other, rig.now);
    assert_eq!(rig.did(), []);
    // Another connection owes nothing.
    rig.lose();
    assert!(rig.did().contains(&failed(ConnectError::Lost(DisconnectReason::TransportClose))));
    rig.next_deadline();
    rig.opened();
    let attempts = rig.manager.auth_attempts;
    rig.did();
    rig.manager.handle_auth(rig.nsp, attempts - 1, Ok(None), rig.now);
    rig.manager.handle_auth(other, attempts, Ok(None), rig.now);
    rig.text(r#"0/b,{"sid":"b"}"#);
    assert_eq!(rig.did(), [sent("0"), sent("0/b,"), connected()]);
}

#[test]
fn what_a_left_session_had_under_way_is_not_the_next_ones() {
    for server_leaves in [true, false] {
        let (mut rig, other) = rig();
        rig.ask(other);
        rig.text(r#"0/b,{"sid":"b1","pid":"p1"}"#);
        if server_leaves {
            rig.text("1/b,");
        } else {
            rig.manager.disconnect(other);
        }
        rig.ask(other);
        rig.did();
        rig.text(r#"2/b,["stale","offset"]"#);
        rig.text(r#"2/b,7["stale"]"#);
        rig.text("1/b,");
        rig.text(r#"0/b,{"sid":"b2","pid":"p2"}"#);
        assert_eq!(rig.did(), [connected()]);
        assert_eq!(rig.manager.namespaces[other.0].offset, None);
        rig.text(r#"2/b,["new","offset"]"#);
        assert_eq!(rig.did(), [Did::Event("new".into())]);
    }
}

/// What the model of a server thinks of `/b`.
#[derive(Debug, PartialEq)]
enum Seat {
    Outside,
    Entering,
    Inside(u32),
    /// Sent away, of which the client may not know yet.
    SentAway,
}

/// Against a server with slow checks behind slow lines: it never sees a packet out of place, what it sends to a session is
/// that session's, and in the end both are of one mind.
#[test]
fn random_comings_and_goings_keep_the_protocol() {
    let (mut entered, mut heard) = (0, 0);
    for seed in 1..400u64 {
        let (mut rig, other) = rig();
        let mut random = seed * 0x9e37_79b9;
        let mut dice = move |sides: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % sides
        };
        let (mut up, mut down) = (VecDeque::<String>::new(), VecDeque::<String>::new());
        let (mut seat, mut sid) = (Seat::Outside, 0);
        for step in 0..600 {
            let is_end = step >= 300;
            match dice(20) {
                0..=1 if !is_end => rig.manager.connect(other, rig.now),
                2 if !is_end => rig.manager.disconnect(other),
                3 if !is_end => rig.advance(Duration::from_secs(dice(12))),
                4..=6 => {
                    rig.manager.handle_auth(other, rig.manager.auth_attempts, Ok(None), rig.now);
                }
                7..=9 => match up.pop_front().as_deref() {
                    None => {}
                    Some("0/b,") => {
                        assert!(matches!(seat, Seat::Outside | Seat::SentAway), "seed {seed}: {seat:?}");
                        seat = Seat::Entering;
                    }
                    Some("1/b,") => {
                        assert!(matches!(seat, Seat::Inside(_) | Seat::SentAway), "seed {seed}: {seat:?}");
                        seat = Seat::Outside;
                    }
                    Some(other) => panic!("seed {seed}: {other}"),
                },
                10..=11 if seat == Seat::Entering && dice(4) == 0 => {
                    seat = Seat::Outside;
                    down.push_back(r#"4/b,{"message":"no"}"#.into());
                }
                10..=11 if seat == Seat::Entering => {
                    sid += 1;
                    seat = Seat::Inside(sid);
                    down.push_back(format!(r#"0/b,{{"sid":"{sid}"}}"#));
                }
                12 if matches!(seat, Seat::Inside(_)) && dice(6) == 0 && !is_end => {
                    seat = Seat::SentAway;
                    down.push_back("1/b,".into());
                }
                12..=13 if let Seat::Inside(sid) = seat => down.push_back(format!(r#"2/b,["{sid}"]"#)),
                _ => {
                    if let Some(text) = down.pop_front() {
                        rig.text(&text);
                    }
                }
            }
            for did in rig.did() {
                match did {
                    Did::Sent(text) => up.push_back(text),
                    Did::Event(name) => {
                        assert_eq!(rig.manager.id(other), Some(&*name), "seed {seed}");
                        heard += 1;
                    }
                    Did::Change(Lifecycle::Connect { .. }) => entered += 1,
                    Did::Auth(_) | Did::Change(_) => {}
                    Did::Open | Did::Close | Did::Answer(..) => panic!("seed {seed}: {did:?}"),
                }
            }
        }
        assert!(up.is_empty(), "seed {seed}: the end is long enough");
        match seat {
            Seat::Inside(sid) => assert_eq!(rig.manager.id(other), Some(&*sid.to_string()), "seed {seed}"),
            _ => assert!(!rig.manager.is_connected(other), "seed {seed}: {seat:?}"),
        }
    }
    assert!(entered > 500 && heard > 1000, "the sequences get far enough: {entered} entered, {heard} heard");
}
