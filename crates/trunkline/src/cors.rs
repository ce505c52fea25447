//! Which origins may connect, and the CORS headers of every answer.
//!
//! WebSockets bypass the browser's CORS checks, and so do script tags, which read JSONP: the same allow-list is applied to them here
//! (CWE-1385, reference/security.md).

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::header::{self, HeaderMap, HeaderValue};

use crate::handshake::query_pairs;

/// Which pages of other origins may connect. The default admits none but the server's own; requests without an `Origin`
/// header (programs, not pages) are always admitted.
#[derive(Clone, Default)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
    max_age: Option<Duration>,
}

#[derive(Clone, Default)]
enum Origins {
    #[default]
    SameOnly,
    Any,
    List(Arc<[String]>),
    Check(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Cors {
    /// Pages of every origin. With [`Cors::credentials`] any page on the web can act with its visitor's cookies.
    pub fn any() -> Self {
        Self { origins: Origins::Any, ..Self::default() }
    }

    /// Pages of these origins, such as `https://example.com` or `http://localhost:8080`; compared whole, without case.
    pub fn origins<I>(origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let list = origins.into_iter().map(|o| o.into().trim_end_matches('/').to_ascii_lowercase());
        Self { origins: Origins::List(list.collect()), ..Self::default() }
    }

    /// Pages of the origins for which `check` says true; it gets the header's value as sent.
    pub fn check(check: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { origins: Origins::Check(Arc::new(check)), ..Self::default() }
    }

    /// Whether pages may send cookies and other credentials; default false.
    #[must_use]
    pub fn credentials(mut self, allow: bool) -> Self {
        self.credentials = allow;
        self
    }

    /// The methods named in a preflight's answer; default `GET,HEAD,PUT,PATCH,POST,DELETE`.
    #[must_use]
    pub fn methods(mut self, methods: HeaderValue) -> Self {
        self.methods = Some(methods);
        self
    }

    /// The request headers named in a preflight's answer; default those that it asks for.
    #[must_use]
    pub fn allowed_headers(mut self, headers: HeaderValue) -> Self {
        self.headers = Some(headers);
        self
    }

    /// The answer's headers that pages may read.
    #[must_use]
    pub fn exposed_headers(mut self, headers: HeaderValue) -> Self {
        self.exposed = Some(headers);
        self
    }

    /// How long browsers may keep a preflight's answer; default as they like.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// By the headers of a request and its target.
    pub(crate) fn judge(&self, request: &HeaderMap, target: &Uri) -> Judgement {
        let Some(origin) = request.get(header::ORIGIN) else { return self.judge_script(request, target) };
        let Ok(text) = origin.to_str() else { return Judgement::Invalid };
        if self.admits(text) {
            return Judgement::Allowed(origin.clone());
        }
        if is_same_origin(text, request, target) { Judgement::SameOrigin } else { Judgement::Foreign }
    }

    fn admits(&self, origin: &str) -> bool {
        match &self.origins {
            Origins::SameOnly => false,
            // `null` stands for sandboxed frames and local files: anybody's.
            Origins::Any => !self.credentials || origin != "null",
            Origins::List(list) => list.iter().any(|o| o.eq_ignore_ascii_case(origin)),
            Origins::Check(check) => check(origin),
        }
    }

    /// Without `Origin`: from a program, from a page of our own, or from a script tag of any page, which reads the answer if that is
    /// JSONP. Browsers tell the last apart (`Sec-Fetch-Site`); those that do not are older than what needs it.
    fn judge_script(&self, request: &HeaderMap, target: &Uri) -> Judgement {
        let site = request.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let is_jsonp = || query_pairs(target.query().unwrap_or_default()).any(|(name, _)| name == "j");
        if !matches!(site, Some(b"cross-site" | b"same-site")) || !is_jsonp() {
            return Judgement::NoOrigin;
        }
        let page = request.get(header::REFERER).and_then(|page| origin_of(page.to_str().ok()?));
        // A page that does not say which it is, is anybody's.
        if self.admits(page.unwrap_or("null")) { Judgement::NoOrigin } else { Judgement::Foreign }
    }

    /// Adds what every answer carries.
    pub(crate) fn decorate(&self, judgement: &Judgement, headers: &mut HeaderMap) {
        let depends_on_origin = !matches!(self.origins, Origins::Any) || self.credentials;
        if depends_on_origin && !matches!(self.origins, Origins::SameOnly) {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Judgement::Allowed(origin) = judgement else { return };
        let value = if depends_on_origin { origin.clone() } else { HeaderValue::from_static("*") };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(exposed) = &self.exposed {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }

    /// Adds what the answer to a preflight carries beyond that.
    pub(crate) fn preflight(&self, judgement: &Judgement, request: &HeaderMap, headers: &mut HeaderMap) {
        if !matches!(judgement, Judgement::Allowed(_)) {
            return;
        }
        let methods =
            self.methods.clone().unwrap_or(HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        if self.headers.is_none() {
            headers.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
        }
        if let Some(allowed) = self.headers.clone().or(asked) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        if let Some(age) = self.max_age {
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
        }
    }
}

impl std::fmt::Debug for Cors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origins = match &self.origins {
            Origins::SameOnly => "same origin".to_owned(),
            Origins::Any => "any".to_owned(),
            Origins::List(list) => list.join(" "),
            Origins::Check(_) => "by function".to_owned(),
        };
        f.debug_struct("Cors").field("origins", &origins).field("credentials", &self.credentials).finish()
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Not from a page.
    NoOrigin,
    SameOrigin,
    /// From another origin that is on the list.
    Allowed(HeaderValue),
    /// From another origin that is not: refused.
    Foreign,
    /// No text: refused as a bad request, in the order of the other checks.
    Invalid,
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> Option<&str> {
    let start = url.find("://")? + 3;
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |end| start + end);
    Some(&url[..end])
}

/// Whether the origin's host and port are those of the request's `Host`. The scheme is left out: behind a proxy that ends TLS the
/// server does not know it. HTTP/2 has no `Host`: there the target names it.
fn is_same_origin(origin: &str, request: &HeaderMap, target: &Uri) -> bool {
    let Some(authority) = origin.split_once("://").map(|(_, authority)| authority) else { return false };
    let host = match request.get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => target.authority().map(http::uri::Authority::as_str),
    };
    host.is_some_and(|host| !host.is_empty() && host.eq_ignore_ascii_case(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(cors: &Cors, origin: &str) -> Judgement {
        let mut request = HeaderMap::new();
        request.insert(header::HOST, HeaderValue::from_static("example.com:3000"));
        request.insert(header::ORIGIN, HeaderValue::from_str(origin).expect("a header value"));
        cors.judge(&request, &Uri::default())
    }

    #[test]
    fn only_whole_origins_match() {
        let cors = Cors::origins(["https://Good.example"]);
        assert!(matches!(judge(&cors, "https://good.example"), Judgement::Allowed(_)));
        for origin in [
            "https://evilgood.example",
            "https://good.example.evil",
            "https://good.example:444",
            "http://good.example",
            "https://sub.good.example",
            "null",
            "https://good.example/",
        ] {
            assert_eq!(judge(&cors, origin), Judgement::Foreign, "{origin}");
        }
    }

    #[test]
    fn the_default_admits_the_own_origin_only() {
        let cors = Cors::default();
        assert_eq!(judge(&cors, "http://example.com:3000"), Judgement::SameOrigin);
        assert_eq!(judge(&cors, "http://EXAMPLE.com:3000"), Judgement::SameOrigin);
        assert_eq!(judge(&cors, "http://example.com"), Judgement::Foreign);
        assert_eq!(judge(&cors, "http://example.com:30000"), Judgement::Foreign);
        assert_eq!(cors.judge(&HeaderMap::new(), &Uri::default()), Judgement::NoOrigin);
    }

    #[test]
    fn script_tags_of_foreign_pages_read_nothing() {
        let judge = |cors: &Cors, site: &str, page: Option<&str>, query: &str| {
            let mut request = HeaderMap::new();
            request.insert("sec-fetch-site", HeaderValue::from_str(site).expect("a header value"));
            if let Some(page) = page {
                request.insert(header::REFERER, HeaderValue::from_str(page).expect("a header value"));
            }
            let target = format!("/socket.io/?{query}").parse().expect("a target");
            cors.judge(&request, &target) == Judgement::NoOrigin
        };
        let listed = Cors::origins(["https://good.example"]);
        let script = "EIO=3&transport=polling&j=0";
        for (cors, site, page, query, admitted) in [
            (&listed, "cross-site", Some("https://good.example/a?b"), script, true),
            (&listed, "cross-site", Some("https://good.example"), script, true),
            (&listed, "cross-site", Some("https://good.example.evil/"), script, false),
            (&listed, "same-site", Some("https://evil.good.example/"), script, false),
            (&listed, "cross-site", Some("no URL"), script, false),
            (&listed, "cross-site", None, script, false),
            (&Cors::default(), "cross-site", Some("https://good.example/"), script, false),
            (&Cors::default(), "same-origin", None, script, true),
            // Typed by hand, or a program's.
            (&Cors::default(), "none", None, script, true),
            // What is not JSONP it cannot read.
            (&Cors::default(), "cross-site", None, "EIO=4&transport=polling", true),
            (&Cors::any(), "cross-site", None, script, true),
            (&Cors::any().credentials(true), "cross-site", None, script, false),
        ] {
            assert_eq!(judge(cors, site, page, query), admitted, "{cors:?} {site} {page:?} {query}");
        }
    }

    #[test]
    fn credentials_name_the_origin() {
        let mut headers = HeaderMap::new();
        let cors = Cors::any().credentials(true);
        cors.decorate(&judge(&cors, "http://a.example"), &mut headers);
        assert_eq!(headers["access-control-allow-origin"], "http://a.example");
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(headers["vary"], "Origin");
        let mut headers = HeaderMap::new();
        let cors = Cors::any();
        cors.decorate(&judge(&cors, "http://a.example"), &mut headers);
        assert_eq!(headers["access-control-allow-origin"], "*");
    }
}
