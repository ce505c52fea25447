//! Binary data wherever it stands in a type, in JSON with attachments and in msgpack.

mod sio_support;

use serde::{Deserialize, Serialize};
use sio_support::{Log, ended, raw, serve};
use trunkline::testing::Client;
use trunkline::{Args, Binary, Data, Io, Reply, Socket, State, Value};
use trunkline_testkit::{Frame, uring};

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct File {
    name: String,
    data: Binary,
    #[serde(flatten)]
    more: More,
    parts: Vec<Part>,
    thumbnail: Option<Binary>,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct More {
    checksum: Binary,
    size: u64,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(untagged)]
enum Part {
    Bytes { bytes: Binary },
    Text { text: String },
    Bare(Binary),
}

fn bytes(data: &[u8]) -> Binary {
    Binary(data.to_vec().into())
}

fn file() -> File {
    File {
        name: "a \u{1f600}".into(),
        data: bytes(&[0, 1, 2, 255]),
        more: More { checksum: bytes(b"sum"), size: 4 },
        parts: vec![
            Part::Bytes { bytes: bytes(&[7; 300]) },
            Part::Text { text: "no bytes".into() },
            Part::Bare(bytes(b"")),
        ],
        thumbnail: Some(bytes(b"small")),
    }
}

async fn both(test: impl AsyncFn(Io)) {
    test(Io::builder().uring(uring()).shards(1).build()).await;
    test(Io::builder().uring(uring()).shards(1).msgpack().build()).await;
}

#[tokio::test]
async fn binary_travels_nested_flattened_and_untagged_in_both_directions() {
    both(async |io: Io| {
        io.of("/").on("file", async |socket: Socket, Data(file): Data<File>| {
            socket.emit("copy", &file).unwrap();
            Reply(file)
        });
        let mut client = Client::connect(&io, "/", None).await.unwrap();
        let answer: File = client.emit_with_ack("file", file()).await.unwrap();
        assert_eq!(answer, file());
        assert_eq!(client.recv_event::<File>("copy").await.unwrap(), file());
    })
    .await;
}

#[tokio::test]
async fn binary_stands_beside_other_arguments_and_in_answers_of_the_client() {
    both(async |io: Io| {
        io.of("/").on(
            "ask",
            async |socket: Socket, Data(a): Data<Binary>, Data(n): Data<u8>, Data(b): Data<Binary>| {
                let answer: Args<(Binary, u8)> =
                    socket.emit_with_ack("q", Args((a, n, b))).await.expect("answered");
                Reply(answer)
            },
        );
        let mut client = Client::connect(&io, "/", None).await.unwrap();
        let answer = client.emit_with_ack::<Args<(Binary, u8)>>("ask", Args((bytes(b"a"), 1, bytes(b"b"))));
        let question = client.recv().await.unwrap();
        assert_eq!(question.args::<(Binary, u8, Binary)>().unwrap(), (bytes(b"a"), 1, bytes(b"b")));
        question.answer(Args((bytes(b"c"), 2))).unwrap();
        assert_eq!(answer.await.unwrap(), Args((bytes(b"c"), 2)));
    })
    .await;
}

#[tokio::test]
async fn values_of_no_fixed_type_keep_their_bytes() {
    both(async |io: Io| {
        io.of("/").on("any", async |Args(args): Args<Vec<Value>>| Reply(args));
        let client = Client::connect(&io, "/", None).await.unwrap();
        let echoed: (Binary, String, File) =
            client.emit_with_ack("any", Args((bytes(b"x"), "text", file()))).await.unwrap();
        assert_eq!(echoed, (bytes(b"x"), "text".to_owned(), file()));
    })
    .await;
}

#[tokio::test]
async fn a_broadcast_with_attachments_arrives_whole_and_in_order() {
    both(async |io: Io| {
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(Client::connect(&io, "/", None).await.unwrap());
        }
        for n in 0..20u8 {
            io.emit("n", Args((n, bytes(&[n; 100]), bytes(&[n; 3])))).unwrap();
            io.emit("text", n).unwrap();
        }
        for client in &mut clients {
            for n in 0..20u8 {
                let (m, a, b) = client.recv().await.unwrap().args::<(u8, Binary, Binary)>().unwrap();
                assert_eq!((m, a, b), (n, bytes(&[n; 100]), bytes(&[n; 3])));
                assert_eq!(client.recv().await.unwrap().data::<u8>().unwrap(), n);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn attachments_on_the_wire_are_those_of_the_protocol() {
    let io = Io::builder().uring(uring()).shards(1).build();
    io.of("/").on("x", async |Args((a, b)): Args<(Binary, Binary)>| Reply(Args((b, "mid", a))));
    let server = serve(&io, 1);
    let (mut ws, _) = raw(&server, 4).await;
    ws.send("40").await;
    ws.text().await;
    ws.send("452-7[\"x\",{\"_placeholder\":true,\"num\":1},{\"num\":0,\"_placeholder\":true}]").await;
    ws.send_binary(b"zero").await;
    ws.send_binary(b"one").await;
    let expected = "462-7[{\"_placeholder\":true,\"num\":0},\"mid\",{\"_placeholder\":true,\"num\":1}]";
    assert_eq!(ws.text().await, expected);
    assert_eq!(ws.recv().await, Frame::Binary(b"zero".to_vec()));
    assert_eq!(ws.recv().await, Frame::Binary(b"one".to_vec()));
    ws.send("450-8[\"x\",\"\",\"\"]").await;
    assert_eq!(ws.text().await, "438[{\"error\":{\"message\":\"invalid arguments\"}}]");
}

#[tokio::test]
async fn a_msgpack_server_takes_no_text() {
    let io = Io::builder().uring(uring()).shards(1).msgpack().build();
    let server = serve(&io, 1);
    let (mut ws, _) = raw(&server, 4).await;
    ws.send("40").await;
    ended(&mut ws).await;
    assert_eq!(io.metrics().violations, 1);
}

#[tokio::test]
async fn broken_msgpack_closes_the_connection_and_nothing_else() {
    let io = Io::builder().uring(uring()).shards(1).msgpack().build();
    io.of("/").on("live", async || {});
    let bystander = Client::connect(&io, "/", None).await.unwrap();
    for bad in [
        &b""[..],
        b"\xc1",
        b"\x81",
        b"\xdf\xff\xff\xff\xff",
        b"\x82\xa4type\x02\xa4data\xdd\xff\xff\xff\xff",
        b"\x82\xa4type\x02\xa4data\x90",
        b"\x82\xa4type\x09\xa4data\xc0",
        b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa7connect",
        b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xc6\xff\xff\xff\xff",
    ] {
        let mut client = Client::connect(&io, "/", None).await.unwrap();
        client.send_binary(bad);
        client.ended().await.expect("closed");
    }
    bystander.emit_with_ack::<()>("live", ()).await.unwrap();
    assert_eq!(io.metrics().violations, 9);
}

#[tokio::test]
async fn an_attachment_may_be_as_long_as_a_message() {
    let (io, log) = sio_support::logged_with(|builder| builder.max_payload(50_000_000));
    io.of("/").on("f", async |Data(file): Data<Binary>, State(log): State<Log>| {
        log.say(format!("{} bytes", file.as_ref().len()));
    });
    let server = serve(&io, 1);
    let (mut ws, _) = raw(&server, 4).await;
    ws.send("40").await;
    assert!(ws.text().await.starts_with("40{"));
    ws.send("451-[\"f\",{\"_placeholder\":true,\"num\":0}]").await;
    ws.send_binary(&vec![7; 20_000_000]).await;
    assert_eq!(log.next().await, "20000000 bytes");
}
