//! Codecs: bytes to packets and back, at every layer.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput};
use trunkline_bench::orders::orders;
use trunkline_bench::record::Encryptor;
use trunkline_proto::eio::{self, payload_v3};
use trunkline_proto::{sio, ws};

use crate::TEXT;

/// Room for the headers of lower layers in front of a packet.
const ROOM: usize = 15;
/// Packets of a polling payload.
const PACKETS: usize = 16;

pub(crate) fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(30);
    events(&mut group);
    frames(&mut group);
    payloads(&mut group);
    messages(&mut group);
    group.finish();
}

fn events(group: &mut BenchmarkGroup<'_, WallTime>) {
    for (name, parser) in [("json", sio::Parser::Json), ("msgpack", sio::Parser::Msgpack)] {
        group.bench_function(format!("encode event, {name}"), |b| {
            b.iter(|| sio::encode_event(parser, ROOM, "/", None, "post", black_box(TEXT)).expect("encodes"));
        });
        let encoded = sio::encode_event(parser, 0, "/", Some(7), "post", TEXT).expect("encodes");
        let mut decoder = sio::Decoder::new(parser, sio::Limits::default());
        group.bench_function(format!("decode event, {name}"), |b| {
            b.iter(|| match parser {
                sio::Parser::Json => {
                    let text = std::str::from_utf8(encoded.packet()).expect("text");
                    decoder.decode_text(black_box(text)).map(|packet| packet.is_some())
                }
                sio::Parser::Msgpack => {
                    decoder.decode_binary(black_box(encoded.packet()).into()).map(|packet| packet.is_some())
                }
            });
        });
    }
}

fn frames(group: &mut BenchmarkGroup<'_, WallTime>) {
    let mut frame = Vec::new();
    ws::encode_frame(&mut frame, ws::OpCode::Text, false, TEXT.as_bytes(), Some([1, 2, 3, 4]));
    group.throughput(Throughput::Bytes(frame.len() as u64));
    let mut decoder = ws::Decoder::new(ws::Role::Server, ws::Limits::default(), false);
    group.bench_function("decode a masked frame", |b| {
        b.iter_batched_ref(
            || frame.clone(),
            |bytes| decoder.decode(bytes).map(|(used, _)| used),
            BatchSize::SmallInput,
        );
    });
    // As servers send it, and as clients do.
    for (name, mask) in [("encode a frame", None), ("encode a masked frame", Some([1, 2, 3, 4]))] {
        let mut out = Vec::with_capacity(256);
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                ws::encode_frame(&mut out, ws::OpCode::Text, false, black_box(TEXT.as_bytes()), mask);
                black_box(out.len())
            });
        });
    }
}

/// Bodies of polling, of [`PACKETS`] events each; the binary form of version 3 has one binary message more, without which it is not used.
fn payloads(group: &mut BenchmarkGroup<'_, WallTime>) {
    let event = format!("42[\"post\",\"{TEXT}\"]");
    let event = event.as_bytes();
    let v4 = || {
        let mut body = eio::PayloadV4Encoder::new();
        (0..PACKETS).for_each(|_| body.text(black_box(event)));
        body.finish()
    };
    let v3 = |mut body: payload_v3::Encoder, binary: &[u8]| {
        (0..PACKETS).for_each(|_| body.text(black_box(event)));
        if !binary.is_empty() {
            body.binary(black_box(binary));
        }
        body.finish()
    };
    let v3_text = || v3(payload_v3::Encoder::text_form(), b"");
    let v3_binary = || v3(payload_v3::Encoder::binary_form(), TEXT.as_bytes());

    let body = String::from_utf8(v4()).expect("text");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("encode a polling payload of 16", |b| b.iter(v4));
    group.bench_function("decode a polling payload of 16", |b| {
        b.iter(|| eio::decode_payload_v4(black_box(&body)).filter(Result::is_ok).count());
    });
    let body = String::from_utf8(v3_text()).expect("text");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("encode a polling payload of 16, version 3, text form", |b| b.iter(v3_text));
    group.bench_function("decode a polling payload of 16, version 3, text form", |b| {
        b.iter(|| payload_v3::decode_text(black_box(&body)).filter(Result::is_ok).count());
    });
    let body = v3_binary();
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("encode a polling payload of 16 and 1, version 3, binary form", |b| {
        b.iter(v3_binary)
    });
    group.bench_function("decode a polling payload of 16 and 1, version 3, binary form", |b| {
        b.iter(|| payload_v3::decode_binary(black_box(&body)).filter(Result::is_ok).count());
    });
}

/// What is done to whole messages: compressing, once for a broadcast; encrypting, once for each receiver.
fn messages(group: &mut BenchmarkGroup<'_, WallTime>) {
    /// Of a window, in bits: the largest.
    const WINDOW: u8 = 15;
    let json = orders();
    let level = ws::DeflateConfig::default().level;
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("deflate 1 KiB of JSON", |b| {
        b.iter(|| ws::deflate(black_box(json.as_bytes()), WINDOW, level));
    });
    let packed = ws::deflate(json.as_bytes(), WINDOW, level);
    let mut out = Vec::with_capacity(2 * json.len());
    group.bench_function("inflate it", |b| {
        b.iter(|| {
            out.clear();
            ws::inflate(black_box(&packed), 2 * json.len(), &mut out)
        });
    });
    let mut encryptor = Encryptor::new().expect("shakes hands");
    let frame = [b'x'; 80];
    group.throughput(Throughput::Bytes(frame.len() as u64));
    group.bench_function("encrypt a record of 80 bytes", |b| {
        b.iter(|| encryptor.encrypt(black_box(&frame)).expect("encrypts"));
    });
}
