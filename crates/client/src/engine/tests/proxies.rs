//! Both kinds of proxy, small real ones: whatever the transport, every connection goes through them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use trunkline_testkit::Rig;

use super::support::{BOTH, POLLING, WEBSOCKET, config, connect, echoes, tls};
use crate::engine::{ConnectError, EngineConfig, Proxy, ProxyError, Url};

/// A proxy that ends with this handle and counts its tunnels.
struct TestProxy {
    address: SocketAddr,
    tunnels: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl TestProxy {
    /// `accept` reads what a client asks and gives the target, or `None` after it has refused.
    async fn start<F>(accept: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<(TcpStream, String, &'static [u8])>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let tunnels = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&tunnels);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (asked, count) = (accept(stream), Arc::clone(&count));
                connections.spawn(async move {
                    let Some((mut client, target, agreed)) = asked.await else { return };
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    count.fetch_add(1, Ordering::Relaxed);
                    if client.write_all(agreed).await.is_ok() {
                        drop(copy_bidirectional(&mut client, &mut server).await);
                    }
                });
            }
        });
        Self { address, tunnels, task }
    }

    fn url(&self, scheme: &str, credentials: &str) -> Proxy {
        Proxy::parse(&format!("{scheme}://{credentials}{}", self.address)).expect("valid")
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An HTTP proxy that wants `us er` and `pass`.
async fn http_proxy() -> TestProxy {
    TestProxy::start(|mut stream| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).ok()?;
        let target = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
        let is_known = head.to_ascii_lowercase().contains("proxy-authorization: basic dxmgzxi6cgfzcw==");
        if !is_known {
            let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(refusal).await.ok()?;
            return None;
        }
        Some((stream, target, &b"HTTP/1.1 200 Connection established\r\n\r\n"[..]))
    })
    .await
}

/// A SOCKS5 proxy; with credentials it wants `us er` and `pass`.
async fn socks_proxy(authenticates: bool) -> TestProxy {
    TestProxy::start(move |mut stream| async move {
        let mut start = [0; 2];
        stream.read_exact(&mut start).await.ok()?;
        let mut methods = vec![0; start[1].into()];
        stream.read_exact(&mut methods).await.ok()?;
        let method = if authenticates { 2 } else { 0 };
        if start[0] != 5 || !methods.contains(&method) {
            stream.write_all(&[5, 0xff]).await.ok()?;
            return None;
        }
        stream.write_all(&[5, method]).await.ok()?;
        if authenticates {
            let version = stream.read_u8().await.ok()?;
            let (user, password) = (counted(&mut stream).await?, counted(&mut stream).await?);
            let is_known = (version, &*user, &*password) == (1, b"us er", b"pass");
            stream.write_all(&[1, u8::from(!is_known)]).await.ok()?;
        }
        socks_target(stream).await
    })
    .await
}

async fn socks_target(mut stream: TcpStream) -> Option<(TcpStream, String, &'static [u8])> {
    let mut request = [0; 4];
    stream.read_exact(&mut request).await.ok()?;
    let host = match request {
        [5, 1, 0, 1] => {
            let mut ip = [0; 4];
            stream.read_exact(&mut ip).await.ok()?;
            std::net::Ipv4Addr::from(ip).to_string()
        }
        [5, 1, 0, 3] => String::from_utf8(counted(&mut stream).await?).ok()?,
        _ => return None,
    };
    let port = stream.read_u16().await.ok()?;
    if host == "refused.invalid" {
        stream.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
        return None;
    }
    Some((stream, format!("{host}:{port}"), &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]))
}

/// A length byte, and so many bytes.
async fn counted(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; stream.read_u8().await.ok()?.into()];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

async fn echoes_through(mut config: EngineConfig, proxy: &TestProxy, url: Proxy) {
    config.proxy = Some(url);
    let before = proxy.tunnels.load(Ordering::Relaxed);
    let mut engine = connect(&config).await.expect("connects");
    echoes(&mut engine).await;
    engine.close().await;
    assert!(proxy.tunnels.load(Ordering::Relaxed) > before);
}

#[tokio::test]
async fn a_connect_proxy_carries_every_transport() {
    let (rig, secure) = (Rig::start(1), Rig::tls(1, |builder| builder));
    let proxy = http_proxy().await;
    for transports in [POLLING, WEBSOCKET, BOTH] {
        let url = proxy.url("http", "us%20er:pass@");
        echoes_through(config(rig.address(), transports), &proxy, url.clone()).await;
        let mut config = config(secure.address(), transports);
        config.url =
            Url::parse(&format!("https://localhost:{}/engine.io/", secure.address().port())).expect("valid");
        config.tls = Some(tls());
        echoes_through(config, &proxy, url).await;
    }
}

#[tokio::test]
async fn a_socks_proxy_carries_every_transport() {
    let rig = Rig::start(1);
    let (open, closed) = (socks_proxy(false).await, socks_proxy(true).await);
    for transports in [POLLING, WEBSOCKET, BOTH] {
        let mut config = config(rig.address(), transports);
        echoes_through(config.clone(), &open, open.url("socks5", "")).await;
        // The proxy resolves the name.
        config.url.host = "localhost".to_owned();
        echoes_through(config.clone(), &open, open.url("socks5h", "")).await;
        echoes_through(config, &closed, closed.url("socks5h", "us%20er:pass@")).await;
    }
}

#[tokio::test]
async fn what_a_proxy_refuses_is_named() {
    let rig = Rig::start(1);
    let (http, socks) = (http_proxy().await, socks_proxy(true).await);
    let open = socks_proxy(false).await;
    let mut config = config(rig.address(), WEBSOCKET);
    let mut refused = async |proxy: Proxy, host: &str| {
        config.proxy = Some(proxy);
        config.url.host = host.to_owned();
        match connect(&config).await {
            Err(ConnectError::Proxy { source, .. }) => source,
            other => panic!("{:?}", other.map(drop)),
        }
    };
    assert!(matches!(refused(http.url("http", ""), "127.0.0.1").await, ProxyError::Credentials));
    assert!(matches!(refused(socks.url("socks5", ""), "127.0.0.1").await, ProxyError::Credentials));
    assert!(matches!(refused(socks.url("socks5", "u:p@"), "127.0.0.1").await, ProxyError::Credentials));
    let reply = refused(open.url("socks5h", ""), "refused.invalid").await;
    assert!(matches!(reply, ProxyError::Refused("connection refused")), "{reply:?}");
    // A web server is no proxy.
    let web = Proxy::parse(&format!("http://{}", rig.address())).expect("valid");
    let answer = refused(web, "127.0.0.1").await;
    assert!(matches!(answer, ProxyError::Status(404)), "{answer:?}");
}
