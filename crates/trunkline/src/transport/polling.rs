//! Bodies of HTTP long-polling: a payload assembled once per answer, and the packets of a POST.

use std::borrow::Cow;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use trunkline_proto::eio::{self, Packet, Version, Violation, jsonp, payload_v3};

use crate::session::PostBody;
use crate::wire::Queue;

/// Gives the packets of a POST body to `each` until that returns false; gives back what was not read, `None` at the end.
pub(crate) fn decode(
    version: Version,
    body: PostBody,
    mut each: impl FnMut(Result<Packet<'_>, Violation>) -> bool,
) -> Option<PostBody> {
    match body {
        PostBody::Binary(bytes) => {
            let mut packets = payload_v3::decode_binary(&bytes);
            while packets.next().is_some_and(&mut each) {}
            let rest = bytes.len() - packets.rest()?.len();
            Some(PostBody::Binary(bytes.slice(rest..)))
        }
        PostBody::Text(bytes) => {
            let Ok(text) = std::str::from_utf8(&bytes) else {
                each(Err(Violation::InvalidUtf8));
                return None;
            };
            let rest = match version {
                Version::V4 => {
                    let mut packets = eio::decode_payload_v4(text);
                    while packets.next().is_some_and(&mut each) {}
                    packets.rest()?
                }
                Version::V3 => {
                    let mut packets = payload_v3::decode_text(text);
                    while packets.next().is_some_and(&mut each) {}
                    packets.rest()?
                }
            };
            let rest = bytes.len() - rest.len();
            Some(PostBody::Text(bytes.slice(rest..)))
        }
    }
}

/// How a client wants its polling answers.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    pub(crate) version: Version,
    /// The client takes no binary payloads (`b64`).
    pub(crate) base64: bool,
    /// JSONP: the digits of `j`.
    pub(crate) jsonp: Option<String>,
    pub(crate) encoding: Option<Encoding>,
    /// From how many bytes on an answer is compressed.
    pub(crate) threshold: usize,
    /// Old Internet Explorers need a header against their "XSS filter".
    pub(crate) no_xss_filter: bool,
}

/// A content coding that the client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Deflate,
}

impl Encoding {
    /// The first of gzip and deflate that `Accept-Encoding` admits.
    pub(crate) fn accepted(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(header::ACCEPT_ENCODING) {
            return None;
        }
        let accepts = |name: &str| {
            headers
                .get_all(header::ACCEPT_ENCODING)
                .iter()
                .filter_map(|v| v.to_str().ok())
                .flat_map(|v| v.split(','))
                .any(|item| {
                    let (coding, params) = item.split_once(';').unwrap_or((item, ""));
                    let is_refused = params.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
                    coding.trim().eq_ignore_ascii_case(name) && !is_refused
                })
        };
        if accepts("gzip") {
            Some(Self::Gzip)
        } else if accepts("deflate") {
            Some(Self::Deflate)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    fn compress(self, data: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(data)?;
                encoder.finish()
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(data)?;
                encoder.finish()
            }
        }
    }
}

/// The answer to a GET with these packets.
pub(crate) fn answer(queue: &Queue, style: &Style) -> Response<Bytes> {
    let (body, is_binary) = payload(queue, style);
    let may_compress = queue.iter().any(|p| p.may_compress());
    respond(body, is_binary, may_compress, style)
}

/// The answer to a handshake: the open packet, given as text.
pub(crate) fn answer_open(packet: &str, style: &Style) -> Response<Bytes> {
    let packet = crate::wire::Packet::control(packet);
    answer(&Queue::from_iter([packet]), style)
}

fn payload(queue: &Queue, style: &Style) -> (Vec<u8>, bool) {
    let mut body = Vec::with_capacity(queue.iter().map(|p| p.cost()).sum());
    if style.version == Version::V4 {
        queue.iter().for_each(|p| p.append_payload4(&mut body));
        return (body, false);
    }
    let is_binary = !style.base64 && style.jsonp.is_none() && queue.iter().any(|p| p.has_binary());
    queue.iter().for_each(|p| p.append_payload3(is_binary, &mut body));
    if body.is_empty() {
        body.extend_from_slice(b"0:");
    }
    (body, is_binary)
}

fn respond(body: Vec<u8>, is_binary: bool, may_compress: bool, style: &Style) -> Response<Bytes> {
    let (content_type, body) = match &style.jsonp {
        Some(index) => {
            let text = String::from_utf8_lossy(&body);
            (
                HeaderValue::from_static("text/javascript; charset=UTF-8"),
                jsonp::response(index, &text).into_bytes(),
            )
        }
        None if is_binary => (HeaderValue::from_static("application/octet-stream"), body),
        None => (HeaderValue::from_static("text/plain; charset=UTF-8"), body),
    };
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    decorate(headers, style.no_xss_filter);
    let packed = style
        .encoding
        .filter(|_| may_compress && body.len() >= style.threshold)
        .and_then(|encoding| Some((encoding, encoding.compress(&body).ok()?)));
    let body = match packed {
        Some((encoding, packed)) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
            packed
        }
        None => body,
    };
    *response.body_mut() = body.into();
    response
}

/// The answer to a POST.
pub(crate) fn ok(no_xss_filter: bool) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"ok"));
    // text/html, as the reference: Internet Explorer would otherwise offer the answer as a download.
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    decorate(response.headers_mut(), no_xss_filter);
    response
}

/// The answer to a request that broke a rule.
pub(crate) fn refusal(violation: &Violation) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(violation.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
    if let Some(body) = violation.body() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *response.body_mut() = match body {
            Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
            Cow::Owned(text) => text.into(),
        };
    }
    decorate(response.headers_mut(), false);
    response
}

fn decorate(headers: &mut HeaderMap, no_xss_filter: bool) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if no_xss_filter {
        headers.insert(header::X_XSS_PROTECTION, HeaderValue::from_static("0"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_encoding_prefers_gzip_and_respects_refusals() {
        let check = |value: &'static str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(Encoding::accepted(&headers), expected, "{value}");
        };
        check("deflate, gzip", Some(Encoding::Gzip));
        check("gzip;q=0, deflate", Some(Encoding::Deflate));
        check("br", None);
        check("GZIP ; q=0.5", Some(Encoding::Gzip));
    }
}
