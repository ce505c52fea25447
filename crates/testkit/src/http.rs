//! A small HTTP/1.1 client that shows exactly what the server answered.

use std::io;
use std::net::SocketAddr;

use crate::conn::Conn;

/// A request, written as it is given: nothing is checked, little is added.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// Any method.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: None }
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST with a body and its `Content-Length`.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: Some(body.into()), ..Self::new("POST", target) }
    }

    /// A GET that asks to become a WebSocket.
    pub fn upgrade(target: &str) -> Self {
        Self::get(target)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// Adds a header; repeated names stay repeated.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.header_bytes(name, value.as_bytes())
    }

    /// Adds a header whose value need not be text.
    #[must_use]
    pub fn header_bytes(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Removes a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            out.extend_from_slice(b"Host: localhost\r\n");
        }
        for (name, value) in &self.headers {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        if let Some(body) = &self.body {
            out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.body.as_deref().unwrap_or_default());
        out
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// All headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, decoded from chunks but not from compression.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text body")
    }
}

/// A connection that is kept alive between requests.
#[derive(Debug)]
pub struct Http {
    conn: Conn,
    buf: Vec<u8>,
}

impl Http {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(Conn::open(address).await)
    }

    /// Speaks HTTP on a connection.
    pub fn over(conn: Conn) -> Self {
        Self { conn, buf: Vec::new() }
    }

    /// Writes a request without waiting for its answer.
    pub async fn send(&mut self, request: &Request) {
        self.conn.write(&request.bytes()).await;
    }

    /// Writes bytes as they are, such as a part of a request.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.conn.write(bytes).await;
    }

    /// As [`Http::send_raw`], to a server that may close meanwhile.
    ///
    /// # Errors
    /// If it did.
    pub async fn try_send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.conn.try_write(bytes).await
    }

    /// Writes a request and reads its answer.
    pub async fn request(&mut self, request: &Request) -> Response {
        self.send(request).await;
        self.response().await
    }

    /// The next answer.
    pub async fn response(&mut self) -> Response {
        self.try_response().await.expect("an answer")
    }

    /// The next answer.
    ///
    /// # Errors
    /// If the connection ends before it is complete.
    pub async fn try_response(&mut self) -> io::Result<Response> {
        let mut response = self.head().await?;
        response.body = self.body(&response).await?;
        Ok(response)
    }

    /// The answer's head only; what follows stays to be read.
    ///
    /// # Errors
    /// If the connection ends before it is complete.
    pub async fn head(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(at) = self.buf.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            self.more().await?;
        };
        let head: Vec<u8> = self.buf.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())).collect();
        Ok(Response { status: status.ok_or(io::ErrorKind::InvalidData)?, headers, body: Vec::new() })
    }

    async fn body(&mut self, head: &Response) -> io::Result<Vec<u8>> {
        if matches!(head.status, 101 | 204 | 304) {
            return Ok(Vec::new());
        }
        if head.header("transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            loop {
                let chunk = self.chunk().await?;
                if chunk.is_empty() {
                    return Ok(body);
                }
                body.extend(chunk);
            }
        }
        if let Some(len) = head.header("content-length") {
            return self.exactly(len.parse().map_err(|_| io::ErrorKind::InvalidData)?).await;
        }
        while self.more().await.is_ok() {}
        Ok(std::mem::take(&mut self.buf))
    }

    /// The next chunk of a chunked body whose head was read; empty at its end.
    ///
    /// # Errors
    /// If the connection ends before it is complete.
    pub async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.line().await?;
        let len = usize::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
        let chunk = self.exactly(len).await?;
        self.exactly(2).await?;
        Ok(chunk)
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.buf.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buf.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.buf.len() < len {
            self.more().await?;
        }
        Ok(self.buf.drain(..len).collect())
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.conn.read(&mut self.buf).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Reads on to the connection's end, and tells how many bytes came before it.
    pub async fn ended(&mut self) -> usize {
        while self.more().await.is_ok() {}
        self.buf.len()
    }

    /// The connection, and what was read of it beyond the last answer.
    pub fn into_parts(self) -> (Conn, Vec<u8>) {
        (self.conn, self.buf)
    }
}
