//! A TCP relay before the server that is as slow as a network, since the suites have cases that fail over loopback.
//!
//! The server sends its OPEN packet right behind the 101. `ws` hands out a message of the same read before the promises that its
//! `open` resolved, so a case that awaits `open` and only then listens never sees it. Other cases ask for a session by polling
//! exactly interval plus timeout after they had its OPEN packet, when the server is about to close it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Relays what connects to `listener` to `server`, for ever.
pub(crate) fn run(listener: std::net::TcpListener, server: SocketAddr, latency: Duration) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (client, _) = listener.accept().await?;
            // How a connection ends is the business of its two sides.
            tokio::spawn(async move { drop(relay(client, server, latency).await) });
        }
    })
}

async fn relay(client: TcpStream, server: SocketAddr, latency: Duration) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut requests, to_client) = client.into_split();
    let (answers, mut to_server) = server.into_split();
    let (up, down) = tokio::join!(
        async {
            tokio::io::copy(&mut requests, &mut to_server).await?;
            to_server.shutdown().await
        },
        copy_answers(answers, to_client, latency),
    );
    up.and(down)
}

/// Copies each answer late, and what follows a 101 later once more; then at once. Nobody here sends a request before the answer
/// to the last one, so an answer begins with a read.
async fn copy_answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, latency: Duration) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = from.read(&mut buffer).await?;
        let answer = &buffer[..n];
        tokio::time::sleep(latency).await;
        if answer.starts_with(SWITCHING)
            && let Some(end) = answer.windows(END.len()).position(|bytes| bytes == END)
        {
            let (head, behind) = answer.split_at(end + END.len());
            to.write_all(head).await?;
            tokio::time::sleep(latency).await;
            to.write_all(behind).await?;
            break;
        }
        to.write_all(answer).await?;
        if answer.is_empty() {
            break;
        }
    }
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

const SWITCHING: &[u8] = b"HTTP/1.1 101 ";
const END: &[u8] = b"\r\n\r\n";
