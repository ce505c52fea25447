//! permessage-deflate: what is negotiated, and that every window size gives back what went in.

mod ws_support;

use flate2::{Decompress, FlushDecompress};
use trunkline_proto::ws::{DeflateConfig, Violation, deflate, inflate, negotiate_deflate};
use ws_support::Random;

const BOTH: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn check(offers: &[&str], expected: Option<&str>) {
    let agreement = negotiate_deflate(offers.iter().copied());
    let response = agreement.map(|agreement| agreement.response());
    let expected = expected.map(|params| format!("{BOTH}{params}"));
    assert_eq!(response, expected, "{offers:?}");
}

#[test]
fn what_clients_really_offer() {
    check(&["permessage-deflate; client_max_window_bits"], Some("")); // browsers, ws
    check(&["permessage-deflate"], Some("")); // Safari
    check(&["permessage-deflate; server_no_context_takeover; client_no_context_takeover"], Some(""));
    check(
        &["permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"],
        Some("; server_max_window_bits=12; client_max_window_bits=12"),
    );
}

#[test]
fn values_are_parsed_as_the_rfc_says() {
    check(&["permessage-deflate;server_max_window_bits=15"], Some("; server_max_window_bits=15"));
    check(&[" permessage-deflate ;\tserver_max_window_bits = 9 "], Some("; server_max_window_bits=9"));
    check(&["permessage-deflate; server_max_window_bits=\"10\""], Some("; server_max_window_bits=10"));
    check(&["x-webkit-deflate-frame, permessage-deflate"], Some(""));
    check(
        &["foo; bar=\"permessage-deflate, ;\\\",\", permessage-deflate; server_max_window_bits=11"],
        Some("; server_max_window_bits=11"),
    );
    check(&["foo", "permessage-deflate"], Some(""));
}

#[test]
fn the_first_offer_that_can_be_honoured_is_taken() {
    check(
        &[
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10, permessage-deflate",
        ],
        Some("; server_max_window_bits=10"),
    );
    check(&["permessage-deflate; unknown, permessage-deflate"], Some(""));
}

#[test]
fn what_cannot_be_honoured_is_declined() {
    for offer in [
        "",
        ",",
        ";",
        "; permessage-deflate",
        "permessage_deflate",
        "permessage-deflate;",
        "permessage-deflate; ;",
        "permessage-deflate=1",
        "permessage-deflate; unknown",
        "permessage-deflate; constructor",
        "constructor",
        "__proto__; constructor=1",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; client_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=+10",
        "permessage-deflate; server_max_window_bits=1e1",
        "permessage-deflate; server_max_window_bits=\u{661}\u{662}",
        "permessage-deflate; server_max_window_bits=4294967306",
        "permessage-deflate; server_max_window_bits=\"10",
        "permessage-deflate; server_max_window_bits=\"1\\0\"",
        "permessage-deflate; \"server_no_context_takeover\"",
        "\"permessage-deflate\"",
        "\"permessage-deflate, permessage-deflate",
        "permessage-deflate; x=\"\\",
        "\u{e9}; permessage-deflate",
    ] {
        check(&[offer], None);
    }
    check(&[], None);
}

#[test]
fn junk_of_any_size_is_survived() {
    check(&[&format!("permessage-deflate{}", "; server_no_context_takeover".repeat(1000))], None);
    check(&[&format!("permessage-deflate{}", "; constructor=\"a,b;c\"".repeat(1000))], None);
    check(&[&format!("{}permessage-deflate", "constructor, ".repeat(1000))], Some(""));
    check(&[&format!("{}permessage-deflate", "\"".repeat(65_535))], None);
    check(&[&" ,".repeat(32_768)], None);
    check(&[&"\\\"".repeat(32_768)], None);
}

#[test]
fn defaults() {
    assert_eq!(DeflateConfig::default(), DeflateConfig { threshold: 1024, level: 3 });
    let agreement = negotiate_deflate(["permessage-deflate"].into_iter()).unwrap();
    assert_eq!((agreement.server_max_window_bits, agreement.client_max_window_bits), (15, None));
}

#[test]
fn every_window_and_level_gives_back_what_went_in() {
    let mut random = Random(3);
    let words: Vec<Vec<u8>> = (0..40).map(|_| random.bytes(30)).collect();
    let mixed: Vec<u8> = (0..4000).flat_map(|_| words[random.below(40)].clone()).collect();
    let payloads = [vec![], vec![0], b"Hello".to_vec(), vec![b'a'; 300_000], random.bytes(100_000), mixed];
    for window_bits in 9..=15 {
        for level in 1..=9 {
            for payload in &payloads {
                let packed = deflate(payload, window_bits, level);
                let mut out = b"before".to_vec();
                inflate(&packed, payload.len(), &mut out).unwrap();
                assert!(out.strip_prefix(b"before") == Some(payload), "bits {window_bits}, level {level}");
                assert_eq!(with_window(&packed, window_bits, payload.len()), *payload);
            }
        }
    }
}

#[test]
fn the_rfc_example_and_the_empty_message() {
    let mut out = Vec::new();
    assert_eq!(inflate(&deflate(b"Hello", 15, 3), 5, &mut out), Ok(()));
    assert_eq!(out, b"Hello");
    assert_eq!(deflate(b"", 15, 3), [0]); // RFC 7692 section 7.2.3.6
}

#[test]
fn a_message_cut_anywhere_is_noticed() {
    let packed = deflate(
        &b"a message that is long enough to be cut somewhere, somewhere else, or not".repeat(3),
        15,
        9,
    );
    for end in 1..packed.len() - 1 {
        assert_eq!(inflate(&packed[..end], 10_000, &mut Vec::new()), Err(Violation::CorruptDeflate), "{end}");
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random(11);
    for _ in 0..5000 {
        let len = random.below(200);
        let mut out = Vec::new();
        let _ = inflate(&random.bytes(len), 1000, &mut out);
        assert!(out.len() <= 1001);
    }
}

/// Inflates as a peer would that has only the agreed window.
fn with_window(packed: &[u8], window_bits: u8, len: usize) -> Vec<u8> {
    let mut input = packed.to_vec();
    input.extend_from_slice(&[0, 0, 0xff, 0xff]);
    let mut out = Vec::with_capacity(len + 1);
    let mut decompress = Decompress::new_with_window_bits(false, window_bits);
    decompress.decompress_vec(&input, &mut out, FlushDecompress::Sync).unwrap();
    assert_eq!(decompress.total_in() as usize, input.len());
    out
}
