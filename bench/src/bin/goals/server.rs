//! A `bench-server` in a process of its own, that ends with the value.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use trunkline_bench::tls;

use crate::Failure;
use crate::machine::{Clock, Cpus};

/// What the allocator asks of the system.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Huge ones where it can have them, as servers run.
    Any,
    /// 4 KiB, where memory is measured: of a huge one 2 MiB are resident, though perhaps nothing was ever written to most of it.
    Small,
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// How its certificate is trusted, if it has one.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Where it may run.
    cpus: Vec<usize>,
}

impl Server {
    /// Starts `program` on `cpus` with `options`, and waits until it listens. The caller is pinned to `own` then.
    pub(crate) fn start(
        program: &Path,
        options: &[&str],
        cpus: &[usize],
        own: &[usize],
        pages: Pages,
    ) -> Result<Self, Failure> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut command = Command::new(program);
        command.arg(port.to_string()).args(options).stdout(Stdio::null());
        if pages == Pages::Small {
            command.env("MIMALLOC_ALLOW_THP", "0");
        }
        Cpus::pin(cpus)?;
        let child = command.spawn();
        Cpus::pin(own)?;
        let child = child.map_err(|error| format!("{}: {error}", program.display()))?;
        let mut server = Self { child, address, tls: None, cpus: cpus.to_vec() };
        server.wait()?;
        Ok(server)
    }

    /// As [`Server::start`], by TLS.
    pub(crate) fn start_tls(program: &Path, cpus: &[usize], own: &[usize]) -> Result<Self, Failure> {
        let file = CertificateFile::new();
        let path = file.0.to_str().ok_or("the folder for temporary files has a name that is no text")?;
        let mut server = Self::start(program, &["--shards", "1", "--tls", path], cpus, own, Pages::Any)?;
        server.tls = Some(tls::client(std::fs::read(&file.0)?.into())?);
        Ok(server)
    }

    fn wait(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended with {status}").into());
            }
            if Instant::now() > deadline {
                return Err("the server does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock::new(self.id(), &self.cpus)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where a server leaves its certificate.
struct CertificateFile(PathBuf);

impl CertificateFile {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("trunkline-goals-{}.der", std::process::id())))
    }
}

impl Drop for CertificateFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}
