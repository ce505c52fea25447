//! What a socket sends to prove who it is: a value, or an async function asked on every attempt.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use serde::Serialize;

use crate::error::BuildError;
use crate::guard::Guarded;
use crate::manager::AuthPayload;

/// The payload of CONNECT.
#[derive(Clone)]
pub(crate) enum Auth {
    Value(AuthPayload),
    Function(Arc<AuthFunction>),
}

/// Gives the payload of one CONNECT.
pub(crate) type AuthFunction =
    dyn Fn() -> BoxFuture<'static, Result<Option<AuthPayload>, String>> + Send + Sync;

impl Auth {
    /// A value that serializes to an object.
    pub(crate) fn value(value: &impl Serialize) -> Result<Self, BuildError> {
        payload(value).map(Self::Value).ok_or(BuildError::AuthNotAnObject)
    }

    /// A function that gives such a value.
    pub(crate) fn function<F, Fut, T, E>(function: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: std::fmt::Display,
    {
        Self::Function(Arc::new(move || {
            let future = function();
            Box::pin(async move {
                let value = future.await.map_err(|error| error.to_string())?;
                payload(&value).map(Some).ok_or_else(|| BuildError::AuthNotAnObject.to_string())
            })
        }))
    }
}

/// Asks the function. Always ends: `timeout` is the longest wait, and a panic is an error.
pub(crate) async fn ask(
    function: Arc<AuthFunction>,
    timeout: Duration,
) -> Result<Option<AuthPayload>, String> {
    let guarded = Guarded::new(async move { function().await });
    match tokio::time::timeout(timeout, guarded).await {
        Ok(Some(result)) => result,
        Ok(None) => Err("the auth function panicked".to_owned()),
        Err(_) => Err("the auth function took too long".to_owned()),
    }
}

fn payload(value: &impl Serialize) -> Option<AuthPayload> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::Object(payload)) => Some(payload),
        _ => None,
    }
}

impl std::fmt::Debug for Auth {
    /// Secrets stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Auth::Value(..)",
            Self::Function(_) => "Auth::Function(..)",
        })
    }
}
