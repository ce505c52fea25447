//! A server with handlers that show what a client does.

use std::net::{SocketAddr, TcpListener};

use serde_json::json;
use trunkline::{Ack, Admission, Args, Data, HandlerError, Io, IoBuilder, Refusal, Reply, Socket, Value};
use trunkline_testkit::TestServer;

/// A server on a port of its own.
pub(crate) struct Server {
    pub(crate) io: Io,
    server: TestServer,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(configure: impl FnOnce(IoBuilder) -> IoBuilder) -> Self {
        let io = io(configure(Io::builder()));
        let server = TestServer::start(1, io.service());
        Self { io, server }
    }

    pub(crate) fn tls() -> Self {
        let io = io(Io::builder());
        let server = TestServer::start_tls(1, io.service());
        Self { io, server }
    }

    pub(crate) fn tls_with(config: rustls::ServerConfig) -> Self {
        let io = io(Io::builder());
        let service = io.service();
        let server = TestServer::spawn(move |listener, end| {
            let serve = trunkline::serve_tls(listener, service, std::sync::Arc::new(config));
            move || serve.threads(1).with_shutdown(end).run().expect("serves")
        });
        Self { io, server }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The address of a namespace: `""` for `/`.
    pub(crate) fn url(&self, namespace: &str) -> String {
        format!("http://{}{namespace}", self.address())
    }

    /// Ends it, and starts another one at its address.
    pub(crate) fn restart(mut self) -> Self {
        let address = self.address();
        self.server.stop();
        let io = io(Io::builder());
        let service = io.service();
        let listener = TcpListener::bind(address).expect("the port is free again");
        let mut server = TestServer::spawn(move |_, end| {
            move || trunkline::serve(listener, service).threads(1).with_shutdown(end).run().expect("serves")
        });
        server.address = address;
        Self { io, server }
    }
}

fn io(builder: IoBuilder) -> Io {
    let io = builder.build();
    io.of("/")
        .on("echo", async |Args(args): Args<Vec<Value>>| Reply(Args(args)))
        .on("back", async |socket: Socket, Args(args): Args<Vec<Value>>| {
            socket.emit("back", Args(args)).expect("there is room");
        })
        .on("fail", async || Err::<(), _>(HandlerError::public("no\u{1b}pe").data(json!({ "code": 7 }))))
        .on("silent", async |_: Ack<()>| std::future::pending::<()>().await)
        .on("ticks", async |socket: Socket, Data(count): Data<u32>| {
            for n in 0..count {
                socket.emit("tick", n).expect("there is room");
            }
        })
        .on("ask me", async |socket: Socket, Data(question): Data<Value>| {
            let answer = socket.emit_with_ack::<Value>("question", question).await;
            Reply(answer.unwrap_or_else(|error| error.to_string().into()))
        })
        .on("headers", async |socket: Socket| {
            let handshake = socket.handshake();
            let query = handshake.query_param("q").map(|value| value.into_owned());
            let text = |name| handshake.header(name).map(str::to_owned);
            Reply(Args((text("x-one"), text("cookie"), query)))
        })
        .on("kick", async |socket: Socket| socket.disconnect(false));
    io.of("/chat").on("where", async |socket: Socket| Reply(socket.namespace().name().to_owned()));
    io.of("/members")
        .check(async |admission: Admission| match admission.auth::<serde_json::Value>() {
            Some(auth) if auth["token"] == "open sesame" => Ok(()),
            _ => Err(Refusal::new("not authorized").data(json!({ "code": 7 }))),
        })
        .on("echo", async |Data(value): Data<Value>| Reply(value));
    io
}
