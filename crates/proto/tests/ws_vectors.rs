//! Wire vectors of `vectors/ws/*.txt`: bytes in, events and violations out, whatever the split.
//!
//! A case is a block of lines: `case NAME`, then `role server|client`, optionally `deflate`, `max_message N`,
//! `max_fragments N`, then `in HEX...` (`HEX*N` repeats a byte), then what comes out, in order: `text ...`,
//! `binary HEX`, `ping HEX`, `pong HEX`, `close`, `close CODE REASON`, `violation NAME`. `#` starts a comment
//! line.

mod ws_support;

use trunkline_proto::ws::{Role, Violation};
use ws_support::{Owned, Setup};

#[test]
fn frames() {
    check(include_str!("vectors/ws/frames.txt"));
}

#[test]
fn fragments() {
    check(include_str!("vectors/ws/fragments.txt"));
}

#[test]
fn text() {
    check(include_str!("vectors/ws/utf8.txt"));
}

#[test]
fn close() {
    check(include_str!("vectors/ws/close.txt"));
}

#[test]
fn deflate() {
    check(include_str!("vectors/ws/deflate.txt"));
}

#[test]
fn violations() {
    check(include_str!("vectors/ws/violations.txt"));
}

/// Every variant is the outcome of at least one vector.
#[test]
fn every_violation_has_a_vector() {
    let all = concat!(
        include_str!("vectors/ws/violations.txt"),
        include_str!("vectors/ws/close.txt"),
        include_str!("vectors/ws/utf8.txt"),
        include_str!("vectors/ws/deflate.txt")
    );
    let cases = parse(all);
    for (expected, code) in [
        (Violation::ReservedBits, 1002),
        (Violation::MisplacedCompressionBit, 1002),
        (Violation::ReservedOpCode(3), 1002),
        (Violation::FragmentedControl, 1002),
        (Violation::ControlTooLong, 1002),
        (Violation::UnexpectedContinuation, 1002),
        (Violation::InterleavedMessage, 1002),
        (Violation::UnmaskedFrame, 1002),
        (Violation::MaskedFrame, 1002),
        (Violation::LengthNotMinimal, 1002),
        (Violation::LengthOverflow, 1002),
        (Violation::MessageTooBig, 1009),
        (Violation::TooManyFragments, 1009),
        (Violation::InvalidUtf8, 1007),
        (Violation::TruncatedCloseCode, 1002),
        (Violation::InvalidCloseCode(1005), 1002),
        (Violation::InvalidCloseReason, 1007),
        (Violation::CorruptDeflate, 1007),
    ] {
        assert_eq!(expected.close_code(), code, "{expected:?}");
        let name = format!("{expected:?}");
        assert!(cases.iter().any(|case| case.violation.as_deref() == Some(&name)), "no vector for {name}");
    }
}

struct Case {
    name: String,
    setup: Setup,
    input: Vec<u8>,
    events: Vec<Owned>,
    violation: Option<String>,
}

fn check(file: &str) {
    for case in parse(file) {
        let verify = |(events, violation): (Vec<Owned>, Option<Violation>), split: &str| {
            assert_eq!(events, case.events, "{}, {split}", case.name);
            assert_eq!(violation.map(|v| format!("{v:?}")), case.violation, "{}, {split}", case.name);
        };
        verify(case.setup.run(&case.input), "whole");
        verify(case.setup.run_in_pieces(&case.input, std::iter::repeat(1)), "byte by byte");
        for at in 1..case.input.len().min(300) {
            verify(case.setup.run_in_pieces(&case.input, [at]), &format!("split at {at}"));
        }
    }
}

fn parse(file: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "case" {
            cases.push(Case {
                name: rest.to_owned(),
                setup: Setup::new(Role::Client),
                input: Vec::new(),
                events: Vec::new(),
                violation: None,
            });
            continue;
        }
        let case = cases.last_mut().expect("a file starts with a case");
        match word {
            "role" => case.setup.role = if rest == "server" { Role::Server } else { Role::Client },
            "deflate" => case.setup.deflate = true,
            "max_message" => case.setup.limits.max_message = rest.parse().expect(line),
            "max_fragments" => case.setup.limits.max_fragments = rest.parse().expect(line),
            "in" => case.input.extend(hex(rest)),
            "text" => case.events.push(Owned::Text(rest.to_owned())),
            "binary" => case.events.push(Owned::Binary(hex(rest))),
            "ping" => case.events.push(Owned::Ping(hex(rest))),
            "pong" => case.events.push(Owned::Pong(hex(rest))),
            "close" if rest.is_empty() => case.events.push(Owned::Close(None)),
            "close" => {
                let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                case.events.push(Owned::Close(Some((code.parse().expect(line), reason.to_owned()))));
            }
            "violation" => case.violation = Some(rest.to_owned()),
            _ => panic!("unknown line {line:?}"),
        }
    }
    cases
}

fn hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        let (digits, times) = word.split_once('*').map_or((word, 1), |(d, n)| (d, n.parse().expect(word)));
        let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect(word));
        let one: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).expect(word)).collect();
        bytes.extend(one.repeat(times));
    }
    bytes
}
