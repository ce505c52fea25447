//! A TCP relay before the server, which lets a client read the answer to its WebSocket handshake before what follows it.
//!
//! The server sends its OPEN packet right behind the 101. `ws` hands out a message of the same read before the promises that its
//! `open` resolved, so a case that awaits `open` and only then listens never sees it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Relays what connects to `listener` to `server`, for ever.
pub(crate) fn run(listener: std::net::TcpListener, server: SocketAddr, pause: Duration) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (client, _) = listener.accept().await?;
            // How a connection ends is the business of its two sides.
            tokio::spawn(async move { drop(relay(client, server, pause).await) });
        }
    })
}

async fn relay(client: TcpStream, server: SocketAddr, pause: Duration) -> io::Result<()> {
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
        copy_answers(answers, to_client, pause),
    );
    up.and(down)
}

/// Copies, with a pause behind the head of a 101. Nobody here sends a request before the answer to the last one, so an answer
/// begins with a read.
async fn copy_answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, pause: Duration) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = from.read(&mut buffer).await?;
        let mut rest = &buffer[..n];
        if rest.is_empty() {
            return to.shutdown().await;
        }
        if rest.starts_with(SWITCHING)
            && let Some(end) = rest.windows(END.len()).position(|bytes| bytes == END)
        {
            let (head, behind) = rest.split_at(end + END.len());
            to.write_all(head).await?;
            tokio::time::sleep(pause).await;
            rest = behind;
        }
        to.write_all(rest).await?;
    }
}

const SWITCHING: &[u8] = b"HTTP/1.1 101 ";
const END: &[u8] = b"\r\n\r\n";
