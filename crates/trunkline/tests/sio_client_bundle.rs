//! The browser client below the path: its names, its caching, its compression, and who may have it.

use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tower_service::Service;
use trunkline::{Cors, Io};

/// An answer whose body has been read.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

async fn ask(io: &Io, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", "example.com");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::new())).expect("a request");
    let (head, body) = io.service().call(request).await.expect("it cannot fail").into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

async fn get(io: &Io, path: &str) -> Answer {
    ask(io, "GET", path, &[]).await
}

#[tokio::test]
async fn the_names_of_the_reference_are_served() {
    let io = Io::new();
    let script = get(&io, "/socket.io/socket.io.js").await;
    assert_eq!(script.status, StatusCode::OK);
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(script.header("content-length"), script.body.len().to_string());
    assert_eq!(get(&io, "/socket.io/socket.io.min.js?v=2").await.body, script.body);

    let module = get(&io, "/socket.io/socket.io.esm.min.js").await;
    assert_eq!(module.header("content-type"), "text/javascript; charset=utf-8");
    assert_ne!(module.body, script.body);
    assert!(String::from_utf8_lossy(&module.body).contains("export"), "a module exports something");

    // Each script names a map that is there.
    for (path, script) in [("socket.io.js", script), ("socket.io.esm.min.js", module)] {
        let text = String::from_utf8(script.body.to_vec()).expect("UTF-8");
        let (_, map) = text.rsplit_once("//# sourceMappingURL=").expect("a map is named");
        for path in [map.trim().to_owned(), format!("{path}.map")] {
            let map = get(&io, &format!("/socket.io/{path}")).await;
            assert_eq!(map.header("content-type"), "application/json", "{path}");
            let map: serde_json::Value = serde_json::from_slice(&map.body).expect("JSON");
            assert_eq!(map["version"], 3, "{path}");
        }
    }
}

#[tokio::test]
async fn it_is_where_the_server_is() {
    let io = Io::builder().path("/live/").build();
    assert_eq!(get(&io, "/live/socket.io.js").await.status, StatusCode::OK);
    assert_eq!(get(&io, "/socket.io/socket.io.js").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&io, "/live/socket.io.jsx").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(get(&io, "/live/x/socket.io.js").await.status, StatusCode::BAD_REQUEST);
    // A session's requests have the same path, up to the name.
    assert_eq!(get(&io, "/live/?EIO=4&transport=polling").await.status, StatusCode::OK);
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let io = Io::builder().serve_client(false).build();
    assert_eq!(get(&io, "/socket.io/socket.io.js").await.status, StatusCode::BAD_REQUEST);
    // With the name or without, it is a request for the server then.
    let polling = get(&io, "/socket.io/socket.io.js?EIO=4&transport=polling").await;
    assert_eq!((polling.status, polling.body.first()), (StatusCode::OK, Some(&b'0')));
}

#[tokio::test]
async fn it_is_compressed_for_those_who_accept_it() {
    let io = Io::new();
    let path = "/socket.io/socket.io.esm.min.js.map";
    let plain = get(&io, path).await;
    assert!(!plain.headers.contains_key("content-encoding"));
    let packed = ask(&io, "GET", path, &[("accept-encoding", "br, gzip;q=0.8")]).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_eq!(packed.header("content-length"), packed.body.len().to_string());
    assert!(packed.body.len() < plain.body.len() / 2, "{} of {}", packed.body.len(), plain.body.len());
    let mut unpacked = Vec::new();
    GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, plain.body);
    for answer in [&plain, &packed] {
        assert_eq!(answer.header("vary"), "Accept-Encoding");
    }
    for refused in ["gzip;q=0", "br", "deflate", "identity"] {
        let answer = ask(&io, "GET", path, &[("accept-encoding", refused)]).await;
        assert_eq!((answer.header("content-encoding"), &answer.body), ("", &plain.body), "{refused}");
    }
}

#[tokio::test]
async fn who_has_it_is_told_so() {
    let io = Io::new();
    let path = "/socket.io/socket.io.js";
    let gzip = ("accept-encoding", "gzip");
    let plain = get(&io, path).await;
    let packed = ask(&io, "GET", path, &[gzip]).await;
    assert_eq!(plain.header("cache-control"), "public, max-age=0");
    let (tag, packed_tag) = (plain.header("etag").to_owned(), packed.header("etag").to_owned());
    assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{tag} is no strong tag");
    assert_ne!(tag, packed_tag, "other bytes need another strong tag");
    assert_ne!(tag, get(&io, "/socket.io/socket.io.esm.min.js").await.header("etag"));

    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&io, method, path, &[("if-none-match", &known)]).await;
            assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0), "{method} {known}");
            assert_eq!((answer.header("etag"), answer.header("vary")), (&*tag, "Accept-Encoding"));
            assert_eq!(answer.header("cache-control"), "public, max-age=0");
        }
    }
    for unknown in ["\"other\"", "", &packed_tag] {
        assert_eq!(
            ask(&io, "GET", path, &[("if-none-match", unknown)]).await.status,
            StatusCode::OK,
            "{unknown}"
        );
    }
    let answer = ask(&io, "GET", path, &[("if-none-match", &packed_tag), gzip]).await;
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn other_methods_get_its_head_or_nothing() {
    let io = Io::new();
    let path = "/socket.io/socket.io.js";
    let (got, head) = (get(&io, path).await, ask(&io, "HEAD", path, &[]).await);
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    for name in ["content-length", "content-type", "etag", "cache-control"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = ask(&io, method, path, &[]).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
        assert!(answer.body.is_empty());
    }
    assert_eq!(ask(&io, "OPTIONS", path, &[]).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn pages_of_other_origins_may_read_it_if_they_may_connect() {
    let io = Io::builder().cors(Cors::origins(["https://good.example"]).credentials(true)).build();
    let path = "/socket.io/socket.io.esm.min.js";
    let good = ask(&io, "GET", path, &[("origin", "https://good.example")]).await;
    assert_eq!(good.status, StatusCode::OK);
    assert_eq!(good.header("access-control-allow-origin"), "https://good.example");
    assert_eq!(good.header("access-control-allow-credentials"), "true");
    let vary: Vec<_> = good.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["Accept-Encoding", "Origin"]);

    // It is no secret: it comes, but a foreign page's module loader does not get it.
    let foreign = ask(&io, "GET", path, &[("origin", "https://foreign.example")]).await;
    assert_eq!(foreign.status, StatusCode::OK);
    assert!(!foreign.headers.contains_key("access-control-allow-origin"));
}
