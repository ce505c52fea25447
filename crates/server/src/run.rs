//! `trunkline serve`: from the configuration to a running server, and its orderly end.

use std::net::SocketAddr;

use tokio::sync::watch;
use tower_layer::Layer;
use tracing_subscriber::EnvFilter;
use trunkline::{Cookie, Cors, Io, Recovery};

use crate::apps::chat::Chat;
use crate::config::Config;
use crate::handlers::{self, Policy};
use crate::setting::{Durability, Internal, Parser, Transport, Uring};
use crate::tls::Certificate;
use crate::web::{self, Site};
use crate::{Failure, listen, say, signals};

/// Serves until a signal ends it.
///
/// # Errors
/// If a file, a port or a thread is not to be had.
pub(crate) fn serve(config: &Config) -> Result<(), Failure> {
    log(config)?;
    listen::raise_open_files();
    let certificate = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => Some(Certificate::load(cert, key)?),
        _ => None,
    };
    let tls = certificate.as_ref().map(Certificate::server_config).transpose()?;
    let io = build(config)?;
    handlers::register(&io, config);
    if config.has_chat() {
        Chat::register(&io);
    }

    for namespace in io.namespaces() {
        namespace.open_recovery().map_err(|error| Failure::system(error.to_string()))?;
    }

    let listener = listen::bind(&config.host, config.port)?;
    let internal = match config.internal {
        Internal::Off => None,
        Internal::At(address) => Some(listen::bind(&address.ip().to_string(), address.port())?),
    };
    let draining = signals::listen(certificate)?;
    let site = Site::new(&io, config, draining.clone());

    let scheme = if tls.is_some() { "https" } else { "http" };
    let shards = config.shard_count();
    let plural = if shards == 1 { "" } else { "s" };
    let mut line = format!(
        "trunkline {} listening on {scheme}://{} ({shards} shard{plural})",
        env!("CARGO_PKG_VERSION"),
        address(&listener)?
    );
    if let Some(internal) = internal {
        line.push_str(&format!(", metrics on http://{}/metrics", address(&internal)?));
        let served = trunkline::serve(internal, web::internal(&site)).threads(1);
        let thread = std::thread::Builder::new().name("internal".into()).spawn(move || {
            if let Err(error) = served.run() {
                tracing::error!(%error, "the internal listener has ended");
            }
        });
        thread.map_err(|error| Failure::system(format!("cannot start a thread: {error}")))?;
    }
    say(&line);

    let app = io.layer().layer(web::public(&site));
    let served = match tls {
        None => trunkline::serve(listener, app),
        Some(tls) => trunkline::serve_tls(listener, app, tls),
    };
    let end = drain(io.clone(), draining, config.drain_timeout.0, config.drain_pace);
    let served = served.threads(shards).with_shutdown(end).run();
    // Again, if the drain was in time: clients that it did not wait for have gone only now.
    io.close_logs();
    served.map_err(|error| Failure::system(error.to_string()))
}

/// Ends every session in order once told to, within a bounded time. New ones are refused meanwhile, and
/// `/healthz` says so.
async fn drain(io: Io, mut draining: watch::Receiver<bool>, limit: std::time::Duration, pace: u32) {
    if draining.wait_for(|drain| *drain).await.is_err() {
        // Nobody can tell any more: serve on.
        std::future::pending::<()>().await;
    }
    let sessions = io.session_count();
    tracing::info!(sessions, "draining");
    let close = async {
        match pace {
            0 => io.close().await,
            pace => io.close_at_pace(pace).await,
        }
    };
    if tokio::time::timeout(limit, close).await.is_err() {
        tracing::warn!(sessions = io.session_count(), "the drain timeout is over: the rest is dropped");
    }
}

fn log(config: &Config) -> Result<(), Failure> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => {
            EnvFilter::try_new(directives).map_err(|error| Failure::config(format!("RUST_LOG: {error}")))?
        }
        _ => EnvFilter::try_new(&config.log.0).map_err(|error| Failure::config(format!("log: {error}")))?,
    };
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).init();
    Ok(())
}

fn address(listener: &std::net::TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::system(error.to_string()))
}

fn build(config: &Config) -> Result<Io, Failure> {
    let transports: Vec<_> = config
        .transports
        .iter()
        .map(|transport| match transport {
            Transport::Polling => trunkline::Transport::Polling,
            Transport::WebSocket => trunkline::Transport::WebSocket,
        })
        .collect();
    let uring = match config.uring {
        Uring::Auto => trunkline::Uring::auto(),
        Uring::On => {
            trunkline::Uring::on().map_err(|error| Failure::system(format!("uring = \"on\": {error}")))?
        }
        Uring::Off => trunkline::Uring::off(),
    };
    let mut builder = Io::builder()
        .path(&config.path.0)
        .shards(config.shard_count())
        .uring(uring)
        .allow_eio3(config.allow_eio3)
        .transports(&transports)
        .ping_interval(config.ping_interval.0)
        .ping_timeout(config.ping_timeout.0)
        .upgrade_timeout(config.upgrade_timeout.0)
        .connect_timeout(config.connect_timeout.0)
        .close_timeout(config.close_timeout.0)
        .post_timeout(config.post_timeout.0)
        .attachments_timeout(config.attachments_timeout.0)
        .per_message_deflate(config.per_message_deflate)
        .http_compression((config.http_compression > 0).then_some(config.http_compression))
        .max_payload(config.max_payload.0)
        .max_attachments(config.max_attachments)
        .max_namespaces(config.max_namespaces.0)
        .max_pending_events(config.max_pending_events.0)
        .max_pending_bytes(config.max_pending_bytes.0)
        .max_send_buffer(config.max_send_buffer.0)
        .max_memory(config.max_memory.0)
        .max_sessions(config.max_sessions.unwrap_or(usize::MAX))
        // Clients name the namespaces of a pattern: what nobody is in must not stay.
        .cleanup_empty_child_namespaces(true)
        .serve_client(config.serve_client)
        .state(Policy::new(config))
        .state(Chat::new());
    if let Some(handshakes) = config.max_handshakes_per_second {
        builder = builder.max_handshakes_per_second(handshakes);
    }
    if config.parser == Parser::Msgpack {
        builder = builder.msgpack();
    }
    if let Some(time) = config.recovery {
        let kept = config.recovery_file.as_ref().map_or_else(Recovery::memory, Recovery::file);
        let durability = match config.recovery_durability {
            Durability::None => trunkline::Durability::None,
            Durability::Batched => trunkline::Durability::Batched,
            Durability::Synced => trunkline::Durability::Synced,
        };
        let recovery = kept.max_disconnection(time.0).max_bytes(config.recovery_bytes.0);
        builder = builder.recovery(recovery.durability(durability));
    }
    if let Some(bytes) = config.socket_send_buffer {
        builder = builder.socket_send_buffer(bytes);
    }
    if let Some(name) = &config.cookie {
        let secure = config.tls_cert.is_some();
        builder = builder.cookie(Cookie { name: name.clone(), secure, ..Cookie::default() });
    }
    if !config.cors_origins.is_empty() {
        let all = config.cors_origins.iter().any(|origin| origin.0 == "*");
        let cors = if all {
            Cors::any()
        } else {
            Cors::origins(config.cors_origins.iter().map(|origin| &*origin.0))
        };
        builder = builder.cors(cors.credentials(config.cors_credentials));
    }
    Ok(builder.build())
}
