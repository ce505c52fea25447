//! History over HTTP: the three kinds of polling, who may read, and what every answer says.

mod sio_support;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sio_support::serve;
use trunkline::testing::Client;
use trunkline::{
    Admission, Binary, Cors, Data, History, Io, IoBuilder, Namespace, Purpose, Recovery, Refusal, Socket,
    State,
};
use trunkline_testkit::{Conn, Http, Request, Response, TestServer, eventually, uring, within};

struct Rig {
    io: Io,
    ns: Namespace,
    server: TestServer,
}

fn rig(history: History) -> Rig {
    rig_with(history, Recovery::memory(), |builder| builder)
}

fn rig_with(history: History, recovery: Recovery, configure: impl FnOnce(IoBuilder) -> IoBuilder) -> Rig {
    let io = configure(Io::builder().uring(uring()).shards(2)).build();
    let ns = io.of("/").recovery(recovery).history(history);
    let server = serve(&io, 2);
    Rig { io, ns, server }
}

impl Rig {
    async fn http(&self) -> Http {
        Http::connect(self.server.address).await
    }

    async fn get(&self, query: &str) -> Response {
        self.request(&get(query)).await
    }

    async fn request(&self, request: &Request) -> Response {
        within("an answer", async { self.http().await.request(request).await }).await
    }

    /// A stream, and its first part.
    async fn stream(&self, query: &str, id: Option<&str>) -> Stream {
        let mut request = get(query).header("Accept", "text/event-stream");
        if let Some(id) = id {
            request = request.header("Last-Event-ID", id);
        }
        Stream::open(self.http().await, &request).await
    }

    fn emit(&self, n: u64) {
        self.ns.to("lobby").emit("n", n).unwrap();
    }

    async fn waiting(&self, count: u64) {
        eventually("requests wait", || self.io.metrics().history_waiting == count).await;
    }
}

const EVENTS: &str = "/socket.io/history/rooms/lobby/events";

fn get(query: &str) -> Request {
    Request::get(&format!("{EVENTS}?{query}"))
}

fn body(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{response:?}");
    serde_json::from_slice(&response.body).unwrap()
}

/// The first argument of each event.
fn numbers(body: &Value) -> Vec<u64> {
    body["events"].as_array().unwrap().iter().map(|event| event["args"][0].as_u64().unwrap()).collect()
}

fn next(body: &Value) -> &str {
    body["next"].as_str().unwrap()
}

/// An event stream, as its messages.
struct Stream {
    http: Http,
    buf: String,
}

#[derive(Debug, PartialEq)]
struct Message {
    kind: String,
    id: String,
    data: Value,
}

impl Stream {
    async fn open(mut http: Http, request: &Request) -> Self {
        http.send(request).await;
        let head = within("a head", http.head()).await.unwrap();
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        Self { http, buf: String::new() }
    }

    /// The next block that has an id; `None` at the end.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(end) = self.buf.find("\n\n") {
                let block: String = self.buf.drain(..end + 2).collect();
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    line.map(str::to_owned)
                };
                let data = field("data").map_or(Value::Null, |data| serde_json::from_str(&data).unwrap());
                let kind = field("event").unwrap_or_default();
                return Some(Message { kind, id: field("id").unwrap(), data });
            }
            let chunk = within("a part of the stream", self.http.chunk()).await.ok()?;
            if chunk.is_empty() {
                return None;
            }
            self.buf.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next that is a message and no heartbeat.
    async fn message(&mut self) -> Message {
        loop {
            let message = self.next().await.expect("the stream goes on");
            if message.data != Value::Null {
                return message;
            }
        }
    }
}

#[tokio::test]
async fn polling_gives_the_events_of_the_room_with_their_positions() {
    let rig = rig(History::public());
    let empty = body(&rig.get("").await);
    assert_eq!((&empty["events"], &empty["more"], &empty["gap"]), (&json!([]), &json!(false), &json!(null)));

    rig.ns.to("lobby").emit("said", trunkline::Args(("hello", json!({ "deep": [1, null] })))).unwrap();
    rig.ns.to("attic").emit("said", "elsewhere").unwrap();
    rig.ns.emit("said", "to all").unwrap();
    rig.ns.to(["lobby", "attic"]).emit("file", Binary(vec![1u8, 2, 3].into())).unwrap();
    rig.ns.to("lobby").volatile().emit("typing", 1).unwrap();
    rig.ns.to("lobby").except("attic").emit("secret", 1).unwrap();
    let all = body(&rig.get("").await);
    let events = all["events"].as_array().unwrap();
    let named: Vec<_> = events.iter().map(|event| (event["event"].clone(), event["args"].clone())).collect();
    let expected = [
        (json!("said"), json!(["hello", { "deep": [1, null] }])),
        (json!("file"), json!([{ "base64": "AQID" }])),
    ];
    assert_eq!(named, expected);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert!(now - u128::from(events[0]["time"].as_u64().unwrap()) < 60_000);

    let first = events[0]["position"].as_str().unwrap();
    let rest = body(&rig.get(&format!("after={first}")).await);
    assert_eq!(rest["events"], json!([events[1]]));
    assert_eq!(body(&rig.get("last=1").await)["events"], json!([events[1]]));
    assert_eq!(body(&rig.get(&format!("since={}", now + 60_000)).await)["events"], json!([]));
    let page = body(&rig.get("limit=1").await);
    assert_eq!((&page["events"], next(&page), &page["more"]), (&json!([events[0]]), first, &json!(true)));
    // The position that a client of Socket.IO would know is the same.
    let nothing = body(&rig.get(&format!("after={}", next(&all))).await);
    assert_eq!((&nothing["events"], next(&nothing)), (&json!([]), next(&all)));
    assert_eq!(rig.io.metrics().history_events, 5);
}

#[tokio::test]
async fn what_is_lost_is_told() {
    let rig = rig_with(History::public(), Recovery::memory().max_events(2), |builder| builder);
    for n in 1..=5 {
        rig.emit(n);
    }
    let all = body(&rig.get("").await);
    assert_eq!(numbers(&all), [4, 5]);
    let end = next(&all).to_owned();
    let at = |n: u64| format!("{}.{n:011}", end.split('.').next().unwrap());
    assert_eq!(all["gap"], json!({ "from": null, "to": at(3), "reason": "window" }));
    let late = body(&rig.get(&format!("after={}", at(2))).await);
    assert_eq!(numbers(&late), [4, 5]);
    assert_eq!(late["gap"], json!({ "from": at(2), "to": at(3), "reason": "window" }));
    assert_eq!(body(&rig.get(&format!("after={}", at(3))).await)["gap"], json!(null));
    assert_eq!(body(&rig.get("since=1").await)["gap"]["reason"], "window");
    assert_eq!(body(&rig.get("last=2").await)["gap"], json!(null));
    for foreign in [at(6), "zzzzzz.00000000001".to_owned()] {
        let page = body(&rig.get(&format!("after={foreign}")).await);
        assert_eq!(page["gap"], json!({ "from": null, "to": at(3), "reason": "foreign" }));
        assert_eq!(numbers(&page), [4, 5]);
    }
    // A stream says the same, also to an id that is none.
    for (id, reason) in [(at(1), "window"), ("17-0".to_owned(), "foreign")] {
        let mut stream = rig.stream("", Some(&id)).await;
        let gap = stream.message().await;
        assert_eq!((&*gap.kind, &*gap.id, &gap.data["reason"]), ("gap", &*at(3), &json!(reason)));
        assert_eq!(stream.message().await.data["args"], json!([4]));
    }
    // Nor does anybody wait who has missed something.
    assert_eq!(body(&rig.get(&format!("after={}&wait=20s", at(6))).await)["gap"]["reason"], "foreign");
    assert_eq!(rig.io.metrics().history_gaps, 8);
}

#[tokio::test]
async fn long_polling_holds_the_request_until_there_is_news() {
    let rig = rig(History::public());
    rig.emit(1);
    assert_eq!(numbers(&body(&rig.get("wait=20s").await)), [1], "there is something already");
    let here = next(&body(&rig.get("").await)).to_owned();
    let mut http = rig.http().await;
    http.send(&get(&format!("after={here}&wait=20s"))).await;
    rig.waiting(1).await;
    rig.ns.to("attic").emit("n", 0).unwrap();
    rig.emit(2);
    let answer = within("the answer", http.response()).await;
    assert_eq!(numbers(&body(&answer)), [2]);
    rig.waiting(0).await;

    // The last none: what is to come.
    http.send(&get("last=0&wait=20s")).await;
    rig.waiting(1).await;
    rig.emit(3);
    assert_eq!(numbers(&body(&within("the answer", http.response()).await)), [3]);

    // Nothing in time: an empty page, with the position of now.
    let all = body(&rig.get(&format!("after={here}&wait=1ms")).await);
    assert_eq!(numbers(&all), [2, 3]);
    let nothing = body(&rig.get(&format!("after={}&wait=1ms", next(&all))).await);
    assert_eq!((&nothing["events"], &nothing["more"]), (&json!([]), &json!(false)));

    // Who goes away waits no more.
    http.send(&get("last=0&wait=20s")).await;
    rig.waiting(1).await;
    drop(http);
    rig.waiting(0).await;
    let requests = rig.io.metrics().history_requests;
    assert_eq!(requests, [("poll", 3), ("wait", 4), ("stream", 0)]);
}

/// In virtual time, without a port.
#[tokio::test(start_paused = true)]
async fn what_goes_of_other_rooms_while_one_waits_is_no_gap() {
    let io = Io::builder().shards(1).build();
    let ns = io.of("/").recovery(Recovery::memory().max_events(2)).history(History::public());
    let ask = |accept: &str| {
        let request = http::Request::get(format!("{EVENTS}?last=0&wait=50s")).header("accept", accept);
        let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
        tower_service::Service::call(&mut io.service(), request)
    };
    let page = tokio::spawn(async_body(ask("*/*")));
    let mut stream = ask("text/event-stream").await.unwrap().into_body();
    let mut text = String::new();
    for n in 0..5 {
        ns.to("attic").emit("n", n).unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        // The stream moves on while it is read.
        drop(tokio::time::timeout(Duration::from_millis(1_500), frame(&mut stream, &mut text)).await);
    }
    ns.to("lobby").emit("n", 7).unwrap();
    let page: Value = serde_json::from_slice(&page.await.unwrap()).unwrap();
    assert_eq!((numbers(&page), &page["gap"]), (vec![7], &Value::Null));
    while !text.contains("data:") {
        frame(&mut stream, &mut text).await;
    }
    assert!(!text.contains("gap"), "{text}");
}

async fn async_body<B>(
    answer: impl Future<Output = Result<http::Response<B>, std::convert::Infallible>>,
) -> bytes::Bytes
where
    B: http_body::Body<Data = bytes::Bytes, Error = std::convert::Infallible>,
{
    let body = std::pin::pin!(answer.await.unwrap().into_body());
    http_body_util::BodyExt::collect(body).await.unwrap().to_bytes()
}

async fn frame<B>(body: &mut B, text: &mut String)
where
    B: http_body::Body<Data = bytes::Bytes, Error = std::convert::Infallible> + Unpin,
{
    let frame = http_body_util::BodyExt::frame(body).await.unwrap().unwrap();
    text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_while_others_emit() {
    const EACH: u64 = 300;
    let rig = Arc::new(rig(History::public()));
    let emitters: Vec<_> = (0..3)
        .map(|emitter| {
            let ns = rig.ns.clone();
            std::thread::spawn(move || {
                for n in 0..EACH {
                    ns.to(if n % 5 == 0 { "attic" } else { "lobby" }).emit("n", emitter * EACH + n).unwrap();
                    if n % 7 == 0 {
                        std::thread::yield_now();
                    }
                }
                ns.to("lobby").emit("end", emitter).unwrap();
            })
        })
        .collect();
    let (mut polled, mut streamed) = (Vec::new(), Vec::new());
    let poll = async {
        let (mut http, mut after, mut ends) = (rig.http().await, String::new(), 0);
        while ends < 3 {
            let page = body(&http.request(&get(&format!("limit=7&wait=10s{after}"))).await);
            for event in page["events"].as_array().unwrap() {
                ends += u64::from(event["event"] == "end");
                polled.push(event.clone());
            }
            after = format!("&after={}", next(&page));
        }
    };
    let stream = async {
        let (mut id, mut ends) = (None, 0);
        while ends < 3 {
            // It comes back from time to time, as a browser does.
            let mut stream = rig.stream("", id.as_deref()).await;
            for _ in 0..50 {
                let message = stream.message().await;
                ends += u64::from(message.data["event"] == "end");
                id = Some(message.id);
                streamed.push(message.data);
                if ends == 3 {
                    break;
                }
            }
        }
    };
    within("both readers", async { tokio::join!(poll, stream) }).await;
    emitters.into_iter().for_each(|emitter| emitter.join().unwrap());
    assert_eq!(polled.len() as u64, 3 * (EACH - EACH / 5) + 3);
    assert_eq!(polled, streamed, "the same events with the same positions");
    let positions: Vec<_> = polled.iter().map(|event| event["position"].as_str().unwrap()).collect();
    assert!(positions.is_sorted_by(|a, b| a < b));
    for emitter in 0..3 {
        let own = polled
            .iter()
            .filter(|event| event["event"] == "n")
            .map(|event| event["args"][0].as_u64().unwrap());
        let own: Vec<_> = own.filter(|n| n / EACH == emitter).collect();
        let all: Vec<_> = (0..EACH).filter(|n| n % 5 != 0).map(|n| emitter * EACH + n).collect();
        assert_eq!(own, all);
    }
}

#[tokio::test]
async fn a_stream_resumes_where_its_reader_was() {
    let rig = rig(History::public().heartbeat(Duration::from_millis(20)));
    let mut stream = rig.stream("", None).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first.data, Value::Null, "it is open, and says where it is");
    rig.emit(1);
    rig.emit(2);
    let one = stream.message().await;
    assert_eq!((one.data["args"].clone(), &one.data["event"]), (json!([1]), &json!("n")));
    assert_eq!(one.data["position"], *one.id);
    drop(stream);
    rig.emit(3);
    let mut stream = rig.stream("last=0", Some(&one.id)).await;
    assert_eq!(stream.message().await.data["args"], json!([2]));
    let three = stream.message().await;
    assert_eq!(three.data["args"], json!([3]));
    // A heartbeat carries the position on past what others get.
    rig.ns.to("attic").emit("n", 0).unwrap();
    let heartbeat = loop {
        let message = stream.next().await.unwrap();
        if message.id > three.id {
            break message;
        }
    };
    assert_eq!(heartbeat.data, Value::Null);
    let page = body(&rig.get("").await);
    assert_eq!(next(&page), heartbeat.id, "the positions are those of polling");
    assert_eq!(page["events"][2], three.data);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_loses_its_stream_and_nothing_else() {
    let rig = rig(History::public().max_lag(200_000));
    let conn = Conn::open_narrow(rig.server.address, 4096).await;
    let mut stream = Stream::open(Http::over(conn), &get("").header("Accept", "text/event-stream")).await;
    stream.next().await.unwrap();
    let text = "x".repeat(50_000);
    let mut sent = 0;
    // The kernel takes some of it.
    while rig.io.metrics().history_lagged == 0 {
        rig.ns.to("lobby").emit("n", &text).unwrap();
        sent += 1;
        assert!(sent < 2_000, "it is never too late for it");
        tokio::task::yield_now().await;
    }
    rig.waiting(0).await;
    let mut last = None;
    while let Some(message) = stream.next().await {
        last = Some(message.id);
    }
    let mut stream = rig.stream("", last.as_deref()).await;
    rig.ns.to("lobby").emit("end", ()).unwrap();
    let mut more = 0;
    while stream.message().await.data["event"] != "end" {
        more += 1;
    }
    assert!(more > 0 && more <= sent);
    assert_eq!(rig.io.metrics().history_gaps, 0);
}

#[tokio::test]
async fn an_answer_that_nobody_takes_counts_and_ends() {
    const LEN: u64 = 10_000_000;
    let history = History::public().max_bytes(64 << 20).max_sending(Duration::from_millis(500));
    let rig = rig(history);
    let text = "x".repeat(100_000);
    (0..LEN / 100_000).for_each(|_| rig.ns.to("lobby").emit("n", &text).unwrap());
    let kept = rig.io.metrics().memory;
    // The kernel takes some of it.
    let mut http = Http::over(Conn::open_narrow(rig.server.address, 4096).await);
    http.send(&get("limit=1000")).await;
    eventually("the answer counts", || rig.io.metrics().memory >= kept + LEN).await;
    eventually("it is given up", || rig.io.metrics().memory == kept).await;
    assert_eq!(rig.io.metrics().history_lagged, 1);
}

#[tokio::test]
async fn an_answer_that_is_taken_gives_its_memory_back() {
    let history = History::public().max_bytes(64 << 20);
    let rig = rig_with(history, Recovery::memory(), |builder| builder.max_memory(4_000_000));
    let text = "x".repeat(100_000);
    (0..30).for_each(|_| rig.ns.to("lobby").emit("n", &text).unwrap());
    let kept = rig.io.metrics().memory;
    let mut http = rig.http().await;
    for _ in 0..2 {
        http.send(&get("last=3")).await;
        assert!(within("an answer", http.response()).await.body.len() > 300_000);
        eventually("nothing is left of it", || rig.io.metrics().memory == kept).await;
    }
    http.send(&get("limit=1000")).await;
    let refused = within("an answer", http.response()).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "there is no room for it");
    assert_eq!((rig.io.metrics().memory, rig.io.metrics().history_lagged), (kept, 0));
}

#[tokio::test]
async fn tags_and_cache_rules() {
    let public = rig(History::public());
    public.emit(1);
    let answer = public.get("").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let vary: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "vary").map(|(_, v)| &**v).collect();
    assert_eq!(vary, ["Accept", "Origin"]);
    let tag = answer.header("etag").unwrap().to_owned();
    for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let same = public.request(&get("").header("If-None-Match", &known)).await;
        assert_eq!((same.status, same.header("etag"), &*same.body), (304, Some(&*tag), &b""[..]), "{known}");
        assert_eq!(same.header("cache-control"), Some("no-cache"));
    }
    assert_ne!(public.get("limit=1&last=0").await.header("etag"), Some(&*tag));
    // Who knows the answer waits for another one.
    let mut http = public.http().await;
    http.send(&get("wait=20s").header("If-None-Match", &tag)).await;
    public.waiting(1).await;
    public.emit(2);
    let other = within("the answer", http.response()).await;
    assert_eq!(numbers(&body(&other)), [1, 2]);
    let tag = other.header("etag").unwrap();
    assert_eq!(public.request(&get("wait=1ms").header("If-None-Match", tag)).await.status, 304);
    http.send(&Request::new("HEAD", EVENTS)).await;
    let head = within("a head", http.head()).await.unwrap();
    assert_eq!((head.status, head.header("etag")), (200, Some(tag)));
    assert!(head.header("content-length").is_some_and(|len| len != "0"));
    assert_eq!(http.request(&get("")).await.header("etag"), Some(tag), "no body was in between");

    // A full page changes by what follows it.
    let full = public.get("limit=2").await;
    let tag = full.header("etag").unwrap().to_owned();
    http.send(&get("limit=2&wait=20s").header("If-None-Match", &tag)).await;
    public.waiting(1).await;
    public.emit(3);
    let other = body(&within("the answer", http.response()).await);
    assert_eq!(
        (body(&full)["more"].clone(), numbers(&other), &other["more"]),
        (json!(false), vec![1, 2], &json!(true))
    );

    let guarded = rig(History::guarded(async || Ok::<_, Refusal>(())));
    let members = |builder: IoBuilder| {
        builder.allow_request(|handshake| {
            let is_member = handshake.header("cookie").is_some();
            Box::pin(async move { if is_member { Ok(()) } else { Err("who are you".to_owned()) } })
        })
    };
    let for_members = rig_with(History::public(), Recovery::memory(), members);
    for rig in [guarded, for_members] {
        let answer = rig.request(&get("").header("Cookie", "id=1")).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("private, no-cache")));
        let vary = answer.headers.iter().filter(|(name, _)| name == "vary");
        let vary: Vec<_> = vary.map(|(_, value)| &**value).collect();
        assert_eq!(vary, ["Accept", "Authorization", "Cookie", "Origin"]);
    }
}

#[derive(Clone)]
struct Members(&'static str);

#[derive(serde::Deserialize)]
struct Token {
    token: String,
}

#[tokio::test]
async fn the_namespaces_checks_and_the_histories_own_decide() {
    let io =
        Io::builder().uring(uring()).shards(1).state(Members("lobby")).recovery(Recovery::memory()).build();
    io.of("/")
        .check(async |admission: Admission| match admission.auth::<Token>() {
            Some(sent) if sent.token == "letmein" => Ok(()),
            Some(_) => Err(Refusal::new("wrong token").data(json!({ "code": 7 }))),
            None => Err("no token".into()),
        })
        .history(History::guarded(async |admission: Admission, State(members): State<Members>| {
            assert_eq!(admission.purpose(), Purpose::ReadHistory);
            assert_eq!(admission.namespace(), "/");
            if admission.handshake().query_param("panic").is_some() {
                panic!("on purpose");
            }
            if admission.room() == Some(members.0) { Ok(()) } else { Err("not a member") }
        }));
    io.of("/silent");
    let server = serve(&io, 1);
    let ask = async |path: &str, token: Option<&str>| {
        let mut request = Request::get(&format!("/socket.io/history{path}"));
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let answer = Http::connect(server.address).await.request(&request).await;
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        (answer.status, value["error"].clone())
    };
    let lobby = "/rooms/lobby/events";
    assert_eq!(ask(lobby, Some("Bearer letmein")).await, (200, Value::Null));
    assert_eq!(ask(lobby, None).await, (403, json!({ "message": "no token" })));
    assert_eq!(ask(lobby, Some("Basic letmein")).await, (403, json!({ "message": "no token" })));
    let wrong = json!({ "message": "wrong token", "data": { "code": 7 } });
    assert_eq!(ask(lobby, Some("bearer x")).await, (403, wrong));
    assert_eq!(
        ask("/rooms/attic/events", Some("Bearer letmein")).await,
        (403, json!({ "message": "not a member" }))
    );
    assert_eq!(
        ask("/rooms/lobby/events?panic=1", Some("Bearer letmein")).await,
        (500, json!({ "message": "internal error" }))
    );
    assert_eq!(io.metrics().handler_panics, 1);
    let nothing = (404, json!({ "message": "there is no such history" }));
    assert_eq!(ask("/silent/rooms/lobby/events", Some("Bearer letmein")).await, nothing);
    assert_eq!(ask("/nowhere/rooms/lobby/events", Some("Bearer letmein")).await, nothing);
    assert_eq!(io.namespaces().len(), 2, "who asks makes no namespaces");
}

#[tokio::test]
async fn the_room_of_a_socket_is_not_read() {
    let rig = rig(History::public());
    let client = Client::connect(&rig.io, "/", None).await.unwrap();
    let socket = rig.ns.socket(client.id()).unwrap();
    socket.emit("secret", 1).unwrap();
    let path = format!("/socket.io/history/rooms/{}/events", client.id());
    assert_eq!(rig.request(&Request::get(&path)).await.status, 404);

    let open = rig_with(History::public().with_socket_rooms(true), Recovery::memory(), |b| b);
    let client = Client::connect(&open.io, "/", None).await.unwrap();
    open.ns.socket(client.id()).unwrap().emit("secret", 1).unwrap();
    let path = format!("/socket.io/history/rooms/{}/events", client.id());
    assert_eq!(numbers(&body(&open.request(&Request::get(&path)).await)), [1]);
}

#[tokio::test]
async fn namespaces_of_a_pattern_are_read_too() {
    let io = Io::builder()
        .uring(uring())
        .shards(1)
        .recovery(Recovery::memory())
        .cleanup_empty_child_namespaces(true)
        .build();
    io.of_pattern("/team-{name}").register(|ns| ns.history(History::public()));
    io.of_pattern("/mute-{name}");
    let server = serve(&io, 1);
    let ask = |name: &str, query: &str| {
        Request::get(&format!("/socket.io/history/{name}/rooms/lobby/events?{query}"))
    };
    let mut http = Http::connect(server.address).await;
    assert_eq!(http.request(&ask("mute-a", "")).await.status, 404);
    assert_eq!(http.request(&ask("team-a", "")).await.status, 404);
    assert_eq!(io.namespaces().len(), 1, "who asks makes no namespaces");
    io.of("/team-a");
    assert_eq!(http.request(&ask("team-a", "last=0")).await.status, 200);
    assert_eq!(io.namespaces().len(), 1, "it is empty and has gone");
    io.of("/team-a");
    http.send(&ask("team-a", "wait=20s")).await;
    eventually("it waits", || io.metrics().history_waiting == 1).await;
    io.of("/team-a").to("lobby").emit("n", 1).unwrap();
    assert_eq!(numbers(&body(&within("the answer", http.response()).await)), [1]);
}

#[tokio::test]
async fn who_asks_makes_no_logs_but_finds_those_of_before() {
    let folder = std::env::temp_dir().join(format!("trunkline-history-{}", std::process::id()));
    let open = || {
        let io = Io::builder().uring(uring()).shards(1).recovery(Recovery::file(&folder)).build();
        io.of_pattern("/team-{name}").register(|ns| ns.history(History::public()));
        io
    };
    let before = open();
    before.of("/team-a").to("lobby").emit("n", 1).unwrap();
    before.close().await;
    drop(before);
    let logs = || std::fs::read_dir(&folder).unwrap().count();
    let count = logs();
    let io = open();
    let server = serve(&io, 1);
    let mut http = Http::connect(server.address).await;
    for (name, status, namespaces) in [("team-b", 404, 1), ("team-a", 200, 2), ("team-c", 404, 2)] {
        let path = format!("/socket.io/history/{name}/rooms/lobby/events");
        let answer = within("an answer", http.request(&Request::get(&path))).await;
        assert_eq!((answer.status, io.namespaces().len(), logs()), (status, namespaces, count), "{name}");
        if status == 200 {
            assert_eq!(numbers(&body(&answer)), [1]);
        }
    }
    drop((http, server));
    io.close().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Status, message and CORS headers of each error, as a page of another origin sees them.
#[tokio::test]
async fn every_error_says_what_is_wrong_and_carries_its_cors_headers() {
    let rig = rig_with(History::public().max_waiting(0), Recovery::memory(), |builder| {
        builder.cors(Cors::origins(["https://page.example"]).credentials(true)).allow_request(|handshake| {
            let is_banned = handshake.query_param("banned").is_some();
            Box::pin(async move { if is_banned { Err("banned".to_owned()) } else { Ok(()) } })
        })
    });
    let check = async |request: Request, status: u16, message: &str, extra: Option<(&str, &str)>| {
        let answer = rig.request(&request.header("Origin", "https://page.example")).await;
        assert_eq!(answer.status, status, "{message}: {answer:?}");
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(value, json!({ "error": { "message": message } }));
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://page.example"), "{message}");
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(answer.header("vary"), Some("Origin"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        if let Some((name, value)) = extra {
            assert_eq!(answer.header(name), Some(value));
        }
    };
    check(Request::post(EVENTS, "x"), 405, "only GET and HEAD", Some(("allow", "GET, HEAD, OPTIONS"))).await;
    check(get("after=1"), 400, "after is no position", None).await;
    check(get("last=1&after=1"), 400, "after is no position", None).await;
    check(get("limit=0"), 400, "limit is no number above 0", None).await;
    check(get("banned=1"), 403, "banned", None).await;
    let nowhere = Request::get("/socket.io/history/nowhere/rooms/x/events");
    check(nowhere, 404, "there is no such history", None).await;
    check(get("wait=1s"), 503, "try again later", Some(("retry-after", "1"))).await;
    let stream = get("").header("Accept", "text/event-stream");
    check(stream, 503, "try again later", Some(("retry-after", "1"))).await;
    assert_eq!(rig.io.metrics().refused, 8);

    let ok = rig.request(&get("").header("Origin", "https://page.example")).await;
    assert_eq!(ok.status, 200);
    assert_eq!(ok.header("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(
        rig.get("").await.header("access-control-allow-origin"),
        None,
        "who names no origin gets none"
    );
    let foreign = rig.request(&get("").header("Origin", "https://evil.example")).await;
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (403, None));
    assert_eq!(foreign.header("vary"), Some("Origin"));
    let preflight = Request::new("OPTIONS", EVENTS)
        .header("Origin", "https://page.example")
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "authorization");
    let preflight = rig.request(&preflight).await;
    assert_eq!(
        (preflight.status, preflight.header("access-control-allow-headers")),
        (204, Some("authorization"))
    );
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://page.example"));

    rig.io.close().await;
    check(get(""), 503, "try again later", Some(("retry-after", "1"))).await;
}

#[tokio::test]
async fn without_history_the_path_is_the_engines() {
    let io = Io::builder().uring(uring()).shards(1).recovery(Recovery::memory()).build();
    let server = serve(&io, 1);
    let mut http = Http::connect(server.address).await;
    let answer = http.request(&Request::get(EVENTS)).await;
    assert_eq!((answer.status, answer.text()), (400, r#"{"code":0,"message":"Transport unknown"}"#));
    // Nor is a request of Engine.IO's taken for one.
    io.of("/").history(History::public());
    let open = http.request(&get("EIO=4&transport=polling")).await;
    assert!(open.text().starts_with("0{"), "{open:?}");
    // And a namespace that keeps nothing has none.
    let io = Io::builder().uring(uring()).shards(1).build();
    io.of("/").history(History::public());
    let server = serve(&io, 1);
    assert_eq!(Http::connect(server.address).await.request(&get("")).await.status, 404);
}

#[tokio::test]
async fn closing_ends_those_who_wait_in_order() {
    let mut rig = rig(History::public());
    let mut http = rig.http().await;
    http.send(&get("wait=20s")).await;
    let mut stream = rig.stream("", None).await;
    rig.waiting(2).await;
    within("the end", rig.io.close()).await;
    rig.server.stop();
    let answer = within("the answer", http.response()).await;
    assert_eq!(body(&answer)["events"], json!([]));
    while stream.next().await.is_some() {}
}

#[tokio::test]
async fn msgpack_is_read_as_json() {
    let rig = rig_with(History::public(), Recovery::memory(), IoBuilder::msgpack);
    rig.ns.to("lobby").emit("n", (1, Binary(vec![255u8].into()))).unwrap();
    let page = body(&rig.get("").await);
    assert_eq!(page["events"][0]["args"], json!([[1, { "base64": "/w==" }]]));
}

#[tokio::test]
async fn what_sockets_send_to_the_room_is_in_it() {
    let rig = rig(History::public());
    let ns = rig.ns.clone().on_connect(async |socket: Socket| socket.join("lobby")).on(
        "say",
        async |socket: Socket, Data(n): Data<u64>| {
            socket.to("lobby").emit("n", n).unwrap();
        },
    );
    drop(ns);
    let client = Client::connect(&rig.io, "/", None).await.unwrap();
    client.emit("say", 7).unwrap();
    let page = body(&rig.get("wait=20s").await);
    assert_eq!(numbers(&page), [7]);
}
