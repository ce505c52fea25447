//! A server with handlers that show what a client does.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use serde_json::json;
use trunkline::{Ack, Admission, Args, Data, HandlerError, Io, IoBuilder, Refusal, Reply, Socket, Value};
use trunkline_testkit::TestServer;

/// A server on a port of its own.
pub(crate) struct Server {
    pub(crate) io: Io,
    server: TestServer,
    listener: TcpListener,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(configure: impl FnOnce(IoBuilder) -> IoBuilder) -> Self {
        Self::serving(io(configure(Io::builder())), None)
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
        self.server.stop();
        // Nobody else gets the port meanwhile: this is another handle of the socket that listens.
        let listener = self.listener.try_clone().expect("a descriptor");
        Self::serving(io(Io::builder()), Some(listener))
    }

    /// Serves at a listener, or at a port of its own.
    fn serving(io: Io, at: Option<TcpListener>) -> Self {
        let service = io.service();
        let mut kept = None;
        let mut server = TestServer::spawn(|free, end| {
            let listener = at.unwrap_or(free);
            kept = listener.try_clone().ok();
            move || trunkline::serve(listener, service).threads(1).with_shutdown(end).run().expect("serves")
        });
        let listener = kept.expect("a descriptor");
        server.address = listener.local_addr().expect("a bound listener");
        Self { io, server, listener }
    }
}

/// A server over TLS; with the certificate of the tests, if none is given.
pub(crate) fn serve_tls(config: Option<rustls::ServerConfig>) -> TestServer {
    let service = io(Io::builder()).service();
    match config {
        None => TestServer::start_tls(1, service),
        Some(config) => TestServer::spawn(move |listener, end| {
            let serve = trunkline::serve_tls(listener, service, Arc::new(config));
            move || serve.threads(1).with_shutdown(end).run().expect("serves")
        }),
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
