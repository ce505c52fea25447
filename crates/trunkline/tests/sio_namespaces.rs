//! Namespaces made on demand: patterns with parameters, functions, their parents, and their end.

mod sio_support;

use sio_support::{Log, logged, logged_with};
use trunkline::testing::{Client, Error};
use trunkline::{Admission, Data, Io, Namespace, Params, Socket, State};
use trunkline_testkit::eventually;

fn is_invalid(result: Result<Client, Error>) -> bool {
    matches!(result, Err(Error::Refused { message, .. }) if message == "Invalid namespace")
}

#[tokio::test]
async fn a_pattern_gives_its_parameters_to_checks_and_handlers() {
    let (io, log) = logged();
    io.of_pattern("/orders/{id}").register(|ns| {
        ns.check(
            async |params: Params| if params.get("id") == Some("0") { Err("no such order") } else { Ok(()) },
        )
        .on_connect(async |params: Params, ns: Namespace, State(log): State<Log>| {
            log.say(format!("{} {}", ns.name(), params.get("id").unwrap()));
        })
        .on("which", async |params: Params| trunkline::Reply(params.get("id").unwrap().to_owned()))
    });
    let client = Client::connect(&io, "/orders/7", None).await.unwrap();
    assert_eq!(log.next().await, "/orders/7 7");
    assert_eq!(client.emit_with_ack::<String>("which", ()).await.unwrap(), "7");
    assert!(Client::connect(&io, "/orders/0", None).await.is_err());
    assert!(is_invalid(Client::connect(&io, "/orders/", None).await));
    assert!(is_invalid(Client::connect(&io, "/orders/7/items", None).await));
}

#[tokio::test]
async fn a_name_has_at_most_256_bytes() {
    let (io, _) = logged();
    io.of_pattern("/{name}").register(|ns| ns);
    assert!(Client::connect(&io, &format!("/{}", "n".repeat(255)), None).await.is_ok());
    assert!(is_invalid(Client::connect(&io, &format!("/{}", "n".repeat(256)), None).await));
    assert_eq!(io.namespaces().len(), 2, "/ and the first of the two");
    assert_eq!(io.metrics().entries_refused, [("auth", 0), ("count", 0), ("name", 1)]);
}

#[tokio::test]
async fn a_static_namespace_comes_before_patterns_and_patterns_before_functions() {
    let (io, log) = logged();
    io.of_fn(async |admission: Admission| admission.namespace() != "/never")
        .register(|ns| ns.on_connect(async |State(log): State<Log>| log.say("function")));
    io.of_pattern("/r-{n}").register(|ns| ns.on_connect(async |State(log): State<Log>| log.say("pattern")));
    io.of("/static").on_connect(async |State(log): State<Log>| log.say("static"));
    let mut clients = Vec::new();
    for (name, expected) in [("/static", "static"), ("/r-1", "pattern"), ("/any", "function")] {
        clients.push(Client::connect(&io, name, None).await.unwrap());
        assert_eq!(log.next().await, expected, "{name}");
    }
    assert!(is_invalid(Client::connect(&io, "/never", None).await));
}

#[tokio::test]
async fn a_function_sees_the_credentials() {
    let (io, _) = logged();
    io.of_fn(async |admission: Admission| {
        tokio::task::yield_now().await;
        admission.auth::<serde_json::Value>().is_some_and(|auth| auth["name"] == admission.namespace()[1..])
    });
    let auth = |name: &str| Some(serde_json::json!({ "name": name }));
    Client::connect(&io, "/ann", auth("ann")).await.expect("her own");
    assert!(is_invalid(Client::connect(&io, "/ann2", auth("ann")).await));
    assert!(is_invalid(Client::connect(&io, "/bob", None).await));
}

#[tokio::test]
async fn a_parent_reaches_the_sockets_of_all_its_children() {
    let (io, _) = logged();
    let parent = io.of_pattern("/g-{n}");
    parent.register(|ns| ns.on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room)));
    let mut one = Client::connect(&io, "/g-1", None).await.unwrap();
    let mut two = one.enter("/g-2", None).await.unwrap();
    let mut root = one.enter("/", None).await.unwrap();
    two.emit_with_ack::<()>("join", "vip").await.unwrap();
    parent.emit("news", 1).unwrap();
    parent.to("vip").emit("news", 2).unwrap();
    parent.except("vip").emit("news", 3).unwrap();
    io.emit("news", 4).unwrap();
    assert_eq!(one.recv_event::<u8>("news").await.unwrap(), 1);
    assert_eq!(one.recv_event::<u8>("news").await.unwrap(), 3);
    assert_eq!(two.recv_event::<u8>("news").await.unwrap(), 1);
    assert_eq!(two.recv_event::<u8>("news").await.unwrap(), 2);
    assert_eq!(root.recv_event::<u8>("news").await.unwrap(), 4);
    let mut names: Vec<_> = parent.children().iter().map(|ns| ns.name().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["/g-1", "/g-2"]);
    assert!(one.received().is_empty() && two.received().is_empty() && root.received().is_empty());
}

#[tokio::test]
async fn of_with_a_name_that_a_pattern_takes_gives_its_child() {
    let (io, _) = logged();
    let parent = io.of_pattern("/g-{n}");
    parent.register(|ns| ns.on("x", async || trunkline::Reply(1)));
    assert_eq!(io.of("/g-5").name(), "/g-5");
    assert_eq!(parent.children().len(), 1);
    let client = Client::connect(&io, "/g-5", None).await.unwrap();
    assert_eq!(client.emit_with_ack::<u8>("x", ()).await.unwrap(), 1);
}

#[tokio::test]
async fn handlers_registered_later_count_for_sockets_that_are_there() {
    let (io, _) = logged();
    let parent = io.of_pattern("/g-{n}");
    let client = Client::connect(&io, "/g-1", None).await.unwrap();
    parent.register(|ns| ns.on("x", async || trunkline::Reply(1)));
    assert_eq!(client.emit_with_ack::<u8>("x", ()).await.unwrap(), 1);
}

#[tokio::test]
async fn each_new_namespace_is_told_once() {
    let (io, log) = logged();
    let hook = log.clone();
    io.on_new_namespace(move |ns| {
        hook.say(ns.name());
        assert!(ns.name() != "/bad", "a hook may panic");
    });
    io.of_pattern("/g-{n}");
    io.of("/a");
    io.of("/a");
    io.of("/bad");
    let client = Client::connect(&io, "/g-1", None).await.unwrap();
    let _second = Client::connect(&io, "/g-1", None).await.unwrap();
    assert!(is_invalid(client.enter("/none", None).await));
    assert_eq!(log.now(), ["/a", "/bad", "/g-1"]);
}

fn names(io: &Io) -> Vec<String> {
    let mut names: Vec<_> = io.namespaces().iter().map(|ns| ns.name().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn empty_children_are_forgotten_if_asked_for() {
    let (io, _) = logged_with(|builder| builder.cleanup_empty_child_namespaces(true));
    io.of("/static");
    io.of_pattern("/g-{n}").register(|ns| {
        ns.check(async |params: Params| if params.get("n") == Some("no") { Err("no") } else { Ok(()) })
    });
    let one = Client::connect(&io, "/g-1", None).await.unwrap();
    let two = Client::connect(&io, "/g-1", None).await.unwrap();
    let fixed = Client::connect(&io, "/static", None).await.unwrap();
    one.disconnect();
    eventually("one is gone", || io.of("/g-1").socket_count() == 1).await;
    assert_eq!(names(&io), ["/", "/g-1", "/static"]);
    two.close();
    fixed.close();
    eventually("all are gone", || io.session_count() == 0).await;
    assert_eq!(names(&io), ["/", "/static"]);
    assert!(Client::connect(&io, "/g-no", None).await.is_err());
    eventually("one that nobody entered is forgotten, too", || names(&io) == ["/", "/static"]).await;
}

#[tokio::test]
async fn empty_children_stay_by_default() {
    let (io, _) = logged();
    io.of_pattern("/g-{n}");
    Client::connect(&io, "/g-1", None).await.unwrap().close();
    eventually("it is gone", || io.session_count() == 0).await;
    assert_eq!(names(&io), ["/", "/g-1"]);
}

#[tokio::test]
async fn a_child_that_a_client_is_about_to_enter_is_not_forgotten() {
    let (io, log) = logged_with(|builder| builder.cleanup_empty_child_namespaces(true));
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    io.of_pattern("/g-{n}").register(|ns| {
        let gate = std::sync::Arc::clone(&gate);
        ns.check(move |admission: Admission, State(log): State<Log>| {
            let gate = std::sync::Arc::clone(&gate);
            async move {
                if admission.auth::<serde_json::Value>().is_some() {
                    log.say("waits");
                    gate.notified().await;
                }
                Ok::<_, String>(())
            }
        })
    });
    let first = Client::connect(&io, "/g-1", None).await.unwrap();
    let second = tokio::spawn({
        let io = io.clone();
        async move { Client::connect(&io, "/g-1", Some(serde_json::json!({}))).await }
    });
    assert_eq!(log.next().await, "waits");
    first.close();
    eventually("the first is gone", || io.session_count() == 1).await;
    gate.notify_one();
    let mut second = second.await.unwrap().unwrap();
    io.of("/g-1").emit("hello", ()).unwrap();
    second.recv_event::<()>("hello").await.expect("it is in the namespace that `of` finds");
}

/// Clients come and go in one child that is forgotten whenever it is empty: who is in must be found by its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn forgetting_empty_children_loses_nobody() {
    let io = Io::builder().shards(2).cleanup_empty_child_namespaces(true).build();
    io.of_pattern("/g-{n}");
    let tasks: Vec<_> = (0..6u32)
        .map(|task| {
            let io = io.clone();
            tokio::spawn(async move {
                for n in 0..60 {
                    let mut client = Client::connect(&io, "/g-1", None).await.unwrap();
                    io.of("/g-1").emit("hello", (task, n)).unwrap();
                    while client.recv_event::<(u32, u32)>("hello").await.unwrap() != (task, n) {}
                    if n % 2 == 0 { client.cut() } else { client.disconnect() }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    eventually("all are gone", || io.session_count() == 0 && names(&io) == ["/"]).await;
}
