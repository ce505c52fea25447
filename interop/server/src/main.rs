//! The server under test: keeps `interop/CONTRACT.md` on trunkline.

mod handlers;
mod options;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use options::Options;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tower_layer::Layer;
use trunkline::engine::{Engine, Message};
use trunkline::{Cookie, Cors, Io, Recovery};

fn main() {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("interop-server: {error}");
            std::process::exit(2);
        }
    };
    if let Err(error) = run(&options) {
        eprintln!("interop-server: {error}");
        std::process::exit(1);
    }
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let (io, engine) = (io(options), engine(options));
    handlers::register(&io);
    let app = io.layer().layer(engine.service());
    let listener = std::net::TcpListener::bind(("127.0.0.1", options.port))?;
    println!("listening {}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let end = async move {
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .expect("a signal handler can be installed");
        terminated.recv().await;
        let all = async {
            io.close().await;
            engine.close().await;
        };
        // Clients that poll no more are not waited for.
        drop(tokio::time::timeout(Duration::from_secs(5), all).await);
    };
    let serve = match &options.tls {
        None => trunkline::serve(listener, app),
        Some((cert, key)) => trunkline::serve_tls(listener, app, tls(cert, key)?),
    };
    serve.threads(options.shards).with_shutdown(end).run()?;
    Ok(())
}

fn io(options: &Options) -> Io {
    let mut builder = Io::builder()
        .allow_eio3(true)
        .shards(options.shards)
        .ping_interval(options.ping_interval)
        .ping_timeout(options.ping_timeout)
        .max_payload(options.max_payload)
        .state(handlers::Held::default());
    if let Some(time) = options.recovery {
        builder = builder.recovery(Recovery::memory().max_disconnection(time));
    }
    if options.msgpack {
        builder = builder.msgpack();
    }
    if !options.origins.is_empty() {
        builder =
            builder.cors(Cors::origins(options.origins.clone()).credentials(true)).cookie(Cookie::default());
    }
    builder.build()
}

fn engine(options: &Options) -> Engine {
    let mut builder = Engine::builder()
        .allow_eio3(true)
        .shards(options.shards)
        .ping_interval(options.ping_interval)
        .ping_timeout(options.ping_timeout)
        .max_payload(options.max_payload)
        .on_message(|session, message| {
            // An echo to a session that has just ended is lost with it.
            drop(match message {
                Message::Text(text) => session.send(text),
                Message::Binary(data) => session.send_binary(data),
            });
        });
    if !options.origins.is_empty() {
        builder =
            builder.cors(Cors::origins(options.origins.clone()).credentials(true)).cookie(Cookie::default());
    }
    builder.build()
}

fn tls(cert: &str, key: &str) -> Result<Arc<rustls::ServerConfig>, Box<dyn std::error::Error>> {
    let certs = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(certs, key)?;
    Ok(Arc::new(config))
}
