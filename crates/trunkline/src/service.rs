//! The tower layer and service that answer the requests below the path and pass on all others; the answers themselves
//! are made in [`crate::request`].

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::engine::EngineCore;
use crate::handshake::ConnectionInfo;
use crate::history::{CountedBody, EventStream};
use crate::request::{Answer, answer};

/// Wraps a service so that requests below the server's path are answered by it; see `Io::layer`.
#[derive(Clone)]
pub struct EngineLayer {
    core: Arc<EngineCore>,
}

impl EngineLayer {
    pub(crate) fn new(core: Arc<EngineCore>) -> Self {
        Self { core }
    }
}

impl<S> tower_layer::Layer<S> for EngineLayer {
    type Service = EngineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        EngineService::new(Arc::clone(&self.core), inner)
    }
}

impl std::fmt::Debug for EngineLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineLayer").finish_non_exhaustive()
    }
}

/// The service that [`EngineLayer`] makes.
#[derive(Clone)]
pub struct EngineService<S> {
    core: Arc<EngineCore>,
    inner: S,
    /// Of the connection that it serves; `None` if requests bring it as an extension.
    info: Option<ConnectionInfo>,
}

impl<S> EngineService<S> {
    pub(crate) fn new(core: Arc<EngineCore>, inner: S) -> Self {
        Self { core, inner, info: None }
    }

    /// For the requests of one connection.
    pub(crate) fn of_connection(&mut self, info: ConnectionInfo) {
        self.info = Some(info);
    }
}

impl<S> std::fmt::Debug for EngineService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineService").finish_non_exhaustive()
    }
}

impl<S, B, R> tower_service::Service<Request<B>> for EngineService<S>
where
    S: tower_service::Service<Request<B>, Response = Response<R>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Display,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.core.config.matches(request.uri().path()) {
            ResponseFuture::Ours { answer: answer(&self.core, request, self.info) }
        } else {
            ResponseFuture::Inner { future: self.inner.call(request) }
        }
    }
}

pin_project_lite::pin_project! {
    /// The answer to come.
    #[project = ResponseFutureProj]
    #[allow(missing_docs)]
    pub enum ResponseFuture<F> {
        /// From this server.
        Ours {
            answer: Answer,
        },
        /// From the wrapped service.
        Inner {
            #[pin]
            future: F,
        },
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ResponseFutureProj::Ours { answer } => {
                answer.poll(cx).map(|response| Ok(response.map(ResponseBody::of)))
            }
            ResponseFutureProj::Inner { future } => {
                future.poll(cx).map_ok(|response| response.map(|body| ResponseBody::Inner { body }))
            }
        }
    }
}

/// The body of an answer of ours, not sent yet.
pub(crate) enum Payload {
    Whole(Bytes),
    Counted(CountedBody),
    Events(EventStream),
}

pin_project_lite::pin_project! {
    /// The body of an answer: ours, or the wrapped service's.
    #[project = ResponseBodyProj]
    #[derive(Debug)]
    #[allow(missing_docs)]
    pub enum ResponseBody<R> {
        /// From this server.
        Ours {
            body: Full<Bytes>,
        },
        /// From this server, in pieces.
        Counted {
            body: CountedBody,
        },
        /// From this server, and it goes on.
        Events {
            body: EventStream,
        },
        /// From the wrapped service.
        Inner {
            #[pin]
            body: R,
        },
    }
}

impl<R> ResponseBody<R> {
    fn of(payload: Payload) -> Self {
        match payload {
            Payload::Whole(bytes) => Self::Ours { body: Full::new(bytes) },
            Payload::Counted(body) => Self::Counted { body },
            Payload::Events(body) => Self::Events { body },
        }
    }
}

impl<R: Body<Data = Bytes>> Body for ResponseBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project() {
            ResponseBodyProj::Ours { body } => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|f| f.map_err(|never| match never {})))
            }
            ResponseBodyProj::Counted { body } => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|f| f.map_err(|never| match never {})))
            }
            ResponseBodyProj::Events { body } => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|f| f.map_err(|never| match never {})))
            }
            ResponseBodyProj::Inner { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ours { body } => body.is_end_stream(),
            Self::Counted { body } => body.is_end_stream(),
            Self::Events { body } => body.is_end_stream(),
            Self::Inner { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ours { body } => body.size_hint(),
            Self::Counted { body } => body.size_hint(),
            Self::Events { body } => body.size_hint(),
            Self::Inner { body } => body.size_hint(),
        }
    }
}

/// Answers 404 to everything: the inner service where there is no application.
#[derive(Debug, Clone, Copy)]
pub struct NotFound;

impl<B> tower_service::Service<Request<B>> for NotFound {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let mut response = Response::new(Full::new(Bytes::from_static(b"not found")));
        *response.status_mut() = StatusCode::NOT_FOUND;
        std::future::ready(Ok(response))
    }
}
