//! What a scenario works with: addresses, clients, servers of its own, and the duty to end all of it.

use std::sync::{Arc, Mutex};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::process::Command;
use trunkline_client::{Builder, Client, Reconnection, TransportKind};

use crate::failure::{Failure, Outcome, within};
use crate::job::{Job, Transport};
use crate::peer::Peer;
use crate::server::{Program, Server};

/// The context of one case.
pub(crate) struct Context {
    pub(crate) job: Arc<Job>,
    tls: Arc<rustls::ClientConfig>,
    clients: Mutex<Vec<Client>>,
}

impl Context {
    pub(crate) fn new(job: Arc<Job>) -> Outcome<Self> {
        // The certificate is trusted, not ignored: its check is part of what is tested.
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&job.settings.certificate.cert)? {
            roots.add(certificate?)?;
        }
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { job, tls: Arc::new(tls), clients: Mutex::default() })
    }

    /// A client of the kind under test that does not come back when it loses its connection.
    pub(crate) fn builder(&self, port: u16) -> Builder {
        let group = &self.job.group;
        let scheme = if group.tls { "https" } else { "http" };
        let transports = match group.transport {
            Transport::Websocket => vec![TransportKind::WebSocket],
            Transport::Polling => vec![TransportKind::Polling],
            Transport::Upgrade => vec![TransportKind::Polling, TransportKind::WebSocket],
        };
        let builder = Client::builder(&format!("{scheme}://127.0.0.1:{port}"))
            .transports(transports)
            .reconnection(Reconnection::none())
            .tls(Arc::clone(&self.tls));
        match group.parser.as_deref() {
            Some("msgpack") => builder.msgpack(),
            _ => builder,
        }
    }

    /// Builds a client that ends with the case.
    pub(crate) fn client(&self, builder: Builder) -> Outcome<Client> {
        let client = builder.build()?;
        self.clients.lock().map_err(|_| Failure::new("a case panicked"))?.push(client.clone());
        Ok(client)
    }

    /// A socket of a client of its own, connecting.
    pub(crate) fn peer(&self, namespace: &str) -> Outcome<Peer> {
        let client = self.client(self.builder(self.job.settings.port))?;
        Ok(Peer::new(&client, namespace))
    }

    /// A connected socket in `/` of the server that all cases share.
    pub(crate) async fn connect(&self) -> Outcome<Peer> {
        self.connect_to("/", self.job.settings.port).await
    }

    /// A connected socket.
    pub(crate) async fn connect_to(&self, namespace: &str, port: u16) -> Outcome<Peer> {
        self.connect_with(self.builder(port), namespace).await
    }

    /// A connected socket of a client with settings of its own.
    pub(crate) async fn connect_with(&self, builder: Builder, namespace: &str) -> Outcome<Peer> {
        let peer = Peer::new(&self.client(builder)?, namespace);
        peer.connected().await?;
        Ok(peer)
    }

    /// The transport at which a connection of this group ends up.
    pub(crate) fn last_transport(&self) -> TransportKind {
        match self.job.group.transport {
            Transport::Polling => TransportKind::Polling,
            Transport::Websocket | Transport::Upgrade => TransportKind::WebSocket,
        }
    }

    /// A server of this case's own, with the group's flags and `extra` ones.
    pub(crate) async fn server(&self, extra: &[String], port: u16) -> Outcome<Server> {
        let settings = &self.job.settings;
        let flags = [settings.flags.as_slice(), extra].concat();
        Server::start(&settings.command, &flags, port).await
    }

    /// The client in a process of its own (which can then be paused), and its socket's id.
    pub(crate) async fn hold(&self, port: u16) -> Outcome<(Program, String)> {
        let mut job = Job::clone(&self.job);
        job.hold = true;
        job.settings.port = port;
        let mut command = Command::new(std::env::current_exe()?);
        let mut program = Program::start(command.arg(serde_json::to_string(&job)?))?;
        let id = program.line().await?.ok_or_else(|| Failure::new("the held client ended"))?;
        Ok((program, id))
    }

    /// Closes all clients, which must not take long whatever has become of their servers.
    pub(crate) async fn end(&self) -> Outcome {
        let clients = self.clients.lock().map(|mut clients| std::mem::take(&mut *clients));
        for client in clients.unwrap_or_else(|poisoned| std::mem::take(&mut *poisoned.into_inner())) {
            within("the end of a client", client.close()).await?;
        }
        Ok(())
    }
}
