//! The JavaScript client for browsers, served below the path under the names that pages know from the reference
//! (`serveClient`, reference/socketio.md 2.1): a page that loaded `/socket.io/socket.io.js` keeps working.
//!
//! The files are those of `js/dist`, embedded so that a server needs nothing beside its program. `client/` in this crate
//! holds symbolic links to them: there is one copy in the repository, and cargo puts the files themselves into a package,
//! where `js/` would be missing.

use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};

use crate::transport::polling::Encoding;

/// A file of the client.
#[derive(Debug)]
pub(crate) struct File {
    content: &'static [u8],
    content_type: HeaderValue,
    /// Both forms, made when first asked for.
    forms: OnceLock<[Form; 2]>,
}

/// What is sent: the file as it is, or compressed.
#[derive(Debug, Clone)]
struct Form {
    body: Bytes,
    /// Strong (RFC 9110, 8.8.1), hence another one for each form.
    etag: HeaderValue,
    encoding: Option<HeaderValue>,
}

/// The file that a request below `path` asks for.
pub(crate) fn find(path: &str, requested: &str) -> Option<&'static File> {
    match requested.strip_prefix(path)?.strip_prefix('/')? {
        "socket.io.js" | "socket.io.min.js" => Some(&CLASSIC),
        "socket.io.esm.min.js" => Some(&MODULE),
        // The last names are those that the scripts themselves give.
        "socket.io.js.map" | "socket.io.min.js.map" | "trunkline.min.js.map" => Some(&CLASSIC_MAP),
        "socket.io.esm.min.js.map" | "trunkline.esm.min.js.map" => Some(&MODULE_MAP),
        _ => None,
    }
}

impl File {
    const fn new(content: &'static [u8], content_type: &'static str) -> Self {
        assert!(
            content.len() > 256,
            "a link of client/ was checked out as a text file: git needs core.symlinks"
        );
        Self { content, content_type: HeaderValue::from_static(content_type), forms: OnceLock::new() }
    }

    /// The answer to a request for this file.
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            return response;
        }
        let [plain, packed] = self.forms();
        let takes_gzip = Encoding::accepted(request.headers()) == Some(Encoding::Gzip);
        let form = if takes_gzip { packed } else { plain };
        // Browsers keep it but ask each time, as with the reference: a new server brings a new client at once.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
        headers.insert(header::ETAG, form.etag.clone());
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if is_known(request.headers(), &form.etag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(form.body.len()));
        if let Some(encoding) = &form.encoding {
            headers.insert(header::CONTENT_ENCODING, encoding.clone());
        }
        if *request.method() == Method::GET {
            *response.body_mut() = form.body.clone();
        }
        response
    }

    fn forms(&self) -> &[Form; 2] {
        self.forms.get_or_init(|| {
            let plain = Form::new(Bytes::from_static(self.content), None);
            let packed = compress(self.content)
                .map_or_else(|_| plain.clone(), |packed| Form::new(packed.into(), Some("gzip")));
            [plain, packed]
        })
    }
}

impl Form {
    fn new(body: Bytes, encoding: Option<&'static str>) -> Self {
        let mut crc = Crc::new();
        crc.update(&body);
        let tag = format!("\"{}-{:x}-{:08x}\"", env!("CARGO_PKG_VERSION"), body.len(), crc.sum());
        let etag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""));
        Self { body, etag, encoding: encoding.map(HeaderValue::from_static) }
    }
}

fn compress(content: &[u8]) -> std::io::Result<Vec<u8>> {
    // Once in the program's life: the best there is.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    is_named(values.filter_map(|value| value.to_str().ok()), etag)
}

/// Whether these values of `If-None-Match` name `etag`; weak comparison (RFC 9110, 13.1.2), since proxies weaken tags.
pub(crate) fn is_named<'a>(values: impl Iterator<Item = &'a str>, etag: &HeaderValue) -> bool {
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}

static CLASSIC: File = File::new(include_bytes!("../client/trunkline.min.js"), SCRIPT);
static CLASSIC_MAP: File = File::new(include_bytes!("../client/trunkline.min.js.map"), MAP);
static MODULE: File = File::new(include_bytes!("../client/trunkline.esm.min.js"), SCRIPT);
static MODULE_MAP: File = File::new(include_bytes!("../client/trunkline.esm.min.js.map"), MAP);

const SCRIPT: &str = "text/javascript; charset=utf-8";
const MAP: &str = "application/json";
