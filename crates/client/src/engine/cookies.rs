//! The cookies of one client, so that a load balancer finds the server that holds the session (RFC 6265).
//!
//! Written here because a client talks to one host and needs little of the standard; `cookie_store` would bring a URL
//! parser, IDNA tables and a public suffix list. Without that list a `Domain` with a single label is refused.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::SET_COOKIE;
use parking_lot::Mutex;

/// What servers set, kept between requests and sessions. Clones share their content.
#[derive(Clone, Debug, Default)]
pub(crate) struct CookieJar(Arc<Mutex<Vec<Cookie>>>);

/// A request's target, as far as cookies go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) secure: bool,
}

impl CookieJar {
    /// Takes every `Set-Cookie` of an answer from `target`. What is malformed, meant for others or too large is ignored, as
    /// user agents do (RFC 6265 section 5.2).
    pub(super) fn store(&self, target: Target<'_>, headers: &HeaderMap, now: SystemTime) {
        for value in headers.get_all(SET_COOKIE) {
            let Some(cookie) = value.to_str().ok().and_then(|text| Cookie::parse(text, target, now)) else {
                continue;
            };
            let mut cookies = self.0.lock();
            cookies.retain(|old| !old.is_same(&cookie) && !old.is_expired(now));
            if !cookie.is_expired(now) {
                if cookies.len() >= MAX_COOKIES {
                    cookies.remove(0);
                }
                cookies.push(cookie);
            }
        }
    }

    /// The value of the `Cookie` header for `target`; `None` if there is none to send.
    pub(super) fn header(&self, target: Target<'_>, now: SystemTime) -> Option<String> {
        let cookies = self.0.lock();
        let mut fitting: Vec<_> = cookies.iter().filter(|c| !c.is_expired(now) && c.fits(target)).collect();
        // Longer paths first (RFC 6265 section 5.4); the sort keeps the order of arrival otherwise.
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = fitting.iter().map(|c| format!("{}={}", c.name, c.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// Sent to the very host only that set it.
    host_only: bool,
    path: String,
    secure: bool,
    /// `None`: for as long as the jar lives.
    expires: Option<SystemTime>,
}

impl Cookie {
    fn parse(text: &str, target: Target<'_>, now: SystemTime) -> Option<Self> {
        if text.len() > MAX_COOKIE {
            return None;
        }
        let mut parts = text.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        // What we send back must not be able to end a header or to begin another cookie.
        let is_clean = |text: &str| !text.bytes().any(|byte| byte.is_ascii_control() || byte == b',');
        if name.is_empty() || !is_clean(name) || !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return None;
        }
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: target.host.to_ascii_lowercase(),
            host_only: true,
            path: default_path(target.path).to_owned(),
            secure: false,
            expires: None,
        };
        let mut max_age = None;
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "domain" => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    if domain.is_empty() {
                        continue;
                    }
                    if !matches_domain(target.host, &domain) {
                        return None;
                    }
                    cookie.host_only =
                        !domain.contains('.') || domain == cookie.domain && is_address(&domain);
                    if cookie.host_only && domain != cookie.domain {
                        return None;
                    }
                    cookie.domain = domain;
                }
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "secure" => cookie.secure = true,
                "max-age" => max_age = parse_max_age(value).or(max_age),
                "expires" => cookie.expires = httpdate::parse_http_date(value).ok().or(cookie.expires),
                _ => {}
            }
        }
        // Max-Age wins over Expires (RFC 6265 section 5.3).
        if let Some(age) = max_age {
            cookie.expires = Some(now.checked_add(age).unwrap_or(now));
        }
        // A plain connection may not set what a secure one relies on.
        (!cookie.secure || target.secure).then_some(cookie)
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.domain, &self.path) == (&other.name, &other.domain, &other.path)
    }

    fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    fn fits(&self, target: Target<'_>) -> bool {
        let host_fits = if self.host_only {
            target.host.eq_ignore_ascii_case(&self.domain)
        } else {
            matches_domain(target.host, &self.domain)
        };
        host_fits && matches_path(target.path, &self.path) && (!self.secure || target.secure)
    }
}

/// RFC 6265 section 5.1.3.
fn matches_domain(host: &str, domain: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == domain
        || (!is_address(&host) && host.strip_suffix(domain).is_some_and(|front| front.ends_with('.')))
}

fn is_address(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}

/// RFC 6265 section 5.1.4.
fn matches_path(path: &str, cookie: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

/// The folder of the request (RFC 6265 section 5.1.4).
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(end) if end > 0 => path.get(..end).unwrap_or("/"),
        _ => "/",
    }
}

/// RFC 6265 section 5.2.2: zero or less means now.
fn parse_max_age(value: &str) -> Option<Duration> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if value.starts_with('-') {
        return Some(Duration::ZERO);
    }
    Some(Duration::from_secs(digits.parse().unwrap_or(MAX_AGE)).min(Duration::from_secs(MAX_AGE)))
}

/// Cookies kept at a time, RFC 6265 section 6.1's number; the oldest goes first.
const MAX_COOKIES: usize = 50;
/// Bytes of one `Set-Cookie`, RFC 6265 section 6.1's number.
const MAX_COOKIE: usize = 4096;
/// Seconds, 400 days: the longest that browsers keep (RFC 6265bis section 5.5).
const MAX_AGE: u64 = 400 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Target<'_> = Target { host: "a.example.org", path: "/socket.io/", secure: false };

    fn jar(target: Target<'_>, cookies: &[&str]) -> CookieJar {
        let jar = CookieJar::default();
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie.parse().expect("a header"));
        }
        jar.store(target, &headers, SystemTime::UNIX_EPOCH);
        jar
    }

    fn sent(jar: &CookieJar, target: Target<'_>, after: u64) -> String {
        jar.header(target, SystemTime::UNIX_EPOCH + Duration::from_secs(after)).unwrap_or_default()
    }

    #[test]
    fn what_is_set_is_sent_and_replaced() {
        let jar = jar(HERE, &["a=1; HttpOnly; SameSite=Lax", "b=x=y; Path=/", "a=2"]);
        assert_eq!(sent(&jar, HERE, 0), "a=2; b=x=y");
    }

    #[test]
    fn paths_domains_and_security_are_kept() {
        let elsewhere = Target { host: "b.example.org", ..HERE };
        let secure = Target { secure: true, ..HERE };
        for (cookie, from, to, expected) in [
            ("a=1; Path=/socket.io", HERE, HERE, "a=1"),
            ("a=1; Path=/socket", HERE, HERE, ""),
            ("a=1; Path=/other", HERE, HERE, ""),
            ("a=1", HERE, elsewhere, ""),
            ("a=1; Domain=.Example.org", HERE, elsewhere, "a=1"),
            ("a=1; Domain=xample.org", HERE, HERE, ""),
            ("a=1; Domain=org", HERE, HERE, ""),
            ("a=1; Domain=b.example.org", HERE, elsewhere, ""),
            ("a=1; Secure", HERE, secure, ""),
            ("a=1; Secure", secure, HERE, ""),
            ("a=1; Secure", secure, secure, "a=1"),
            ("a=1; Domain=1", Target { host: "127.0.0.1", ..HERE }, HERE, ""),
            ("=1", HERE, HERE, ""),
            ("a", HERE, HERE, ""),
            ("a=\u{7f}", HERE, HERE, ""),
        ] {
            let value = http::HeaderValue::from_bytes(cookie.as_bytes());
            let Ok(_) = value else { continue };
            assert_eq!(sent(&jar(from, &[cookie]), to, 0), expected, "{cookie}");
        }
    }

    #[test]
    fn cookies_end() {
        let jar = jar(
            HERE,
            &[
                "a=1; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:05 GMT",
                "b=1; Expires=Thu, 01 Jan 1970 00:00:05 GMT",
                "c=1; Max-Age=0",
                "d=1; Max-Age=99999999999999999999",
                "e=1; Max-Age=x",
            ],
        );
        assert_eq!(sent(&jar, HERE, 4), "a=1; b=1; d=1; e=1");
        assert_eq!(sent(&jar, HERE, 9), "a=1; d=1; e=1");
        assert_eq!(sent(&jar, HERE, MAX_AGE), "e=1");
    }

    #[test]
    fn a_jar_is_bounded() {
        let many: Vec<String> = (0..60).map(|i| format!("c{i}=1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let long = format!("long={}", "x".repeat(MAX_COOKIE));
        let jar = jar(HERE, &[&many[..], &[&long]].concat());
        let header = sent(&jar, HERE, 0);
        assert_eq!(header.split("; ").count(), MAX_COOKIES);
        assert!(header.starts_with("c10=1; ") && header.ends_with("c59=1"));
    }
}
