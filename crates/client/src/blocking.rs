//! The client for programs without an async runtime: the same sockets, driven by a thread of the client's own.
//!
//! ```no_run
//! use trunkline_client::{Data, blocking};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = blocking::Client::new(trunkline_client::Client::builder("http://127.0.0.1:3000"))?;
//!     let chat = client.of("/chat");
//!     chat.on("post", async |Data(text): Data<String>| println!("{text}"));
//!     chat.connected()?;
//!     let id: u64 = chat.emit_with_ack("post", "hello")?;
//!     println!("post {id}");
//!     Ok(())
//! }
//! ```
//!
//! Calls that wait block their thread; they panic inside an async runtime, as Tokio's `block_on` does.

use std::io;
use std::ops::Deref;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::error::{AckError, BuildError, ConnectError};
use crate::events::Items;
use crate::{Builder, Event, Lifecycle};

/// Why a blocking client cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewError {
    /// The client cannot be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The system gave no thread.
    #[error("cannot start the client's thread")]
    Thread(#[from] io::Error),
}

/// A [`Client`](crate::Client) with a thread of its own; whatever does not wait is called on that.
///
/// When the last handle is dropped, what is queued is sent, then the connection and the thread end.
#[derive(Clone, Debug)]
pub struct Client {
    inner: crate::Client,
    /// Of the client's thread, which drives sockets and timers.
    runtime: Handle,
}

impl Client {
    /// Makes the client that `builder` describes.
    ///
    /// # Errors
    /// What cannot be used, or no thread.
    pub fn new(builder: Builder) -> Result<Self, NewError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let inner = {
            let _inside = runtime.enter();
            builder.build()?
        };
        let mut ended = inner.shared().ended.subscribe();
        std::thread::Builder::new().name("trunkline-client".to_owned()).spawn(move || {
            // An error means that the sender is gone, which is an end too.
            drop(runtime.block_on(ended.wait_for(|ended| *ended)));
        })?;
        Ok(Self { inner, runtime: handle })
    }

    /// As [`Client::of`](crate::Client::of).
    pub fn of(&self, namespace: &str) -> Socket {
        Socket { inner: self.inner.of(namespace), runtime: self.runtime.clone() }
    }

    /// A socket described by [`Client::socket`](crate::Client::socket), which is to be had by dereference.
    pub fn wrap(&self, socket: crate::Socket) -> Socket {
        Socket { inner: socket, runtime: self.runtime.clone() }
    }

    /// As [`Client::connect`](crate::Client::connect).
    ///
    /// # Errors
    /// Those of that.
    pub fn connect(&self) -> Result<(), ConnectError> {
        self.runtime.block_on(self.inner.connect())
    }

    /// As [`Client::close`](crate::Client::close).
    pub fn close(&self) -> bool {
        self.runtime.block_on(self.inner.close())
    }
}

impl Deref for Client {
    type Target = crate::Client;

    fn deref(&self) -> &crate::Client {
        &self.inner
    }
}

/// A [`Socket`](crate::Socket) of a blocking client; whatever does not wait is called on that. Handlers are async
/// functions here too, and run on the client's thread: while one blocks, the connection stands still.
#[derive(Clone, Debug)]
pub struct Socket {
    inner: crate::Socket,
    runtime: Handle,
}

impl Socket {
    /// As [`Socket::connected`](crate::Socket::connected).
    ///
    /// # Errors
    /// Those of that.
    pub fn connected(&self) -> Result<(), ConnectError> {
        self.runtime.block_on(self.inner.connected())
    }

    /// As [`Socket::emit_with_ack`](crate::Socket::emit_with_ack).
    ///
    /// # Errors
    /// Those of that.
    pub fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        args: impl Serialize,
    ) -> Result<T, AckError> {
        let answer = self.inner.emit_with_ack(event, args);
        self.runtime.block_on(answer)
    }

    /// The same with a timeout of its own.
    ///
    /// # Errors
    /// As above.
    pub fn emit_with_ack_timeout<T: DeserializeOwned>(
        &self,
        timeout: Duration,
        event: &str,
        args: impl Serialize,
    ) -> Result<T, AckError> {
        let answer = self.inner.timeout(timeout).emit_with_ack(event, args);
        self.runtime.block_on(answer)
    }

    /// The events from now on; see [`Socket::events`](crate::Socket::events).
    pub fn events(&self) -> Iter<Event> {
        Iter { items: self.inner.events(), runtime: self.runtime.clone() }
    }

    /// What happens to the socket from now on; see [`Socket::lifecycle`](crate::Socket::lifecycle).
    pub fn lifecycle(&self) -> Iter<Lifecycle> {
        Iter { items: self.inner.lifecycle(), runtime: self.runtime.clone() }
    }
}

impl Deref for Socket {
    type Target = crate::Socket;

    fn deref(&self) -> &crate::Socket {
        &self.inner
    }
}

/// A stream as an iterator whose `next` waits; it ends with its client.
#[derive(Debug)]
pub struct Iter<T> {
    items: Items<T>,
    runtime: Handle,
}

impl<T> Iter<T> {
    /// The next item, if it comes in time.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<T> {
        let Self { items, runtime } = self;
        runtime.block_on(async { tokio::time::timeout(timeout, items.next()).await.ok().flatten() })
    }
}

impl<T> Iterator for Iter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let Self { items, runtime } = self;
        runtime.block_on(items.next())
    }
}
