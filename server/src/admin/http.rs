//! As much of HTTP/1.1 as probes and scrapes need: the head of a request, and a reply.
//!
//! [`parse`] is a total function over what has arrived: it asks for more, or hands out a request, or
//! names the status that refuses it. Requests have no bodies here.

/// Longest request line.
pub(super) const LINE_MAX: usize = 4 << 10;
/// Longest head: request line and header fields.
pub(super) const HEAD_MAX: usize = 16 << 10;
/// Most header fields.
const FIELDS_MAX: usize = 100;

/// The methods that are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    /// As [`Method::Get`], without the body.
    Head,
}

/// The head of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Without the query.
    pub(super) path: &'a str,
    pub(super) accept: &'a str,
    /// The connection stays open behind the reply.
    pub(super) keep_alive: bool,
    /// Bytes that the head takes.
    pub(super) len: usize,
}

/// What has arrived so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// The head has not ended.
    More,
    Request(Request<'a>),
    /// It is refused, and the connection closes behind the reply.
    Refused(Status),
}

/// A status line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(pub(super) u16, pub(super) &'static str);

pub(super) const OK: Status = Status(200, "OK");
pub(super) const BAD_REQUEST: Status = Status(400, "Bad Request");
pub(super) const NOT_FOUND: Status = Status(404, "Not Found");
pub(super) const METHOD: Status = Status(405, "Method Not Allowed");
pub(super) const TIMEOUT: Status = Status(408, "Request Timeout");
pub(super) const BODY: Status = Status(413, "Content Too Large");
pub(super) const LONG_LINE: Status = Status(414, "URI Too Long");
pub(super) const LONG_HEAD: Status = Status(431, "Request Header Fields Too Large");
pub(super) const UNAVAILABLE: Status = Status(503, "Service Unavailable");
pub(super) const VERSION: Status = Status(505, "HTTP Version Not Supported");

/// Reads the head of a request.
pub(super) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let end = bytes.windows(4).take(HEAD_MAX).position(|w| w == b"\r\n\r\n");
    let line_end = bytes.windows(2).take(LINE_MAX).position(|w| w == b"\r\n");
    let Some(line_end) = line_end else {
        return if bytes.len() > LINE_MAX { Parsed::Refused(LONG_LINE) } else { Parsed::More };
    };
    let Some(end) = end else {
        return if bytes.len() > HEAD_MAX { Parsed::Refused(LONG_HEAD) } else { Parsed::More };
    };
    let head = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok());
    let Some(head) = head else { return Parsed::Refused(BAD_REQUEST) };
    match request(head, line_end, end + 4) {
        Ok(request) => Parsed::Request(request),
        Err(status) => Parsed::Refused(status),
    }
}

fn request(head: &str, line_end: usize, len: usize) -> Result<Request<'_>, Status> {
    let (line, fields) = head.split_at_checked(line_end).ok_or(BAD_REQUEST)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BAD_REQUEST);
    };
    let since_1_1 = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ if version.starts_with("HTTP/") => return Err(VERSION),
        _ => return Err(BAD_REQUEST),
    };
    let mut keep_alive = since_1_1;
    let (mut accept, mut host) = ("", false);
    for (i, field) in fields.split("\r\n").filter(|f| !f.is_empty()).enumerate() {
        if i >= FIELDS_MAX {
            return Err(LONG_HEAD);
        }
        let (name, value) = field.split_once(':').ok_or(BAD_REQUEST)?;
        let token = |b: u8| b.is_ascii_graphic() && b != b':';
        if name.is_empty() || !name.bytes().all(token) {
            return Err(BAD_REQUEST);
        }
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_str() {
            "connection" => {
                let has = |word| value.split(',').any(|v| v.trim().eq_ignore_ascii_case(word));
                keep_alive = !has("close") && (since_1_1 || has("keep-alive"));
            }
            "content-length" if value != "0" => return Err(BODY),
            "transfer-encoding" => return Err(BODY),
            "host" if host => return Err(BAD_REQUEST),
            "host" => host = true,
            "accept" => accept = value,
            _ => {}
        }
    }
    if since_1_1 && !host {
        return Err(BAD_REQUEST);
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        m if !m.is_empty() && m.bytes().all(|b| b.is_ascii_uppercase()) => return Err(METHOD),
        _ => return Err(BAD_REQUEST),
    };
    // The absolute form is for proxies.
    let path = target.split(['?', '#']).next().filter(|p| p.starts_with('/'));
    Ok(Request { method, path: path.ok_or(BAD_REQUEST)?, accept, keep_alive, len })
}

/// The reply to a request.
pub(super) fn reply(
    status: Status,
    content_type: &str,
    body: &str,
    method: Method,
    keep_alive: bool,
) -> Vec<u8> {
    let Status(code, reason) = status;
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let allow = if status == METHOD { "Allow: GET, HEAD\r\n" } else { "" };
    let mut out = format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{allow}\
         Connection: {connection}\r\n\r\n",
        body.len()
    );
    if method == Method::Get {
        out.push_str(body);
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<u16> {
        match parse(text.as_bytes()) {
            Parsed::Refused(Status(code, _)) => Some(code),
            _ => None,
        }
    }

    #[test]
    fn a_request_is_read_to_its_end() {
        let text = "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\naccept:  text/plain \r\n\r\nGET /";
        for len in 0..text.len() - 5 {
            assert_eq!(parse(&text.as_bytes()[..len]), Parsed::More, "{len}");
        }
        let want = Request {
            method: Method::Get,
            path: "/metrics",
            accept: "text/plain",
            keep_alive: true,
            len: text.len() - 5,
        };
        assert_eq!(parse(text.as_bytes()), Parsed::Request(want));
    }

    #[test]
    fn connections_stay_open_as_the_client_says() {
        for (version, fields, want) in [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "Connection: a, Close\r\n", false),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
        ] {
            let text = format!("HEAD / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
            let Parsed::Request(request) = parse(text.as_bytes()) else { panic!("{text}") };
            assert_eq!((request.keep_alive, request.method), (want, Method::Head), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_has_its_status() {
        let long = "x".repeat(LINE_MAX);
        let field = format!("a: {}\r\n", "x".repeat(1000));
        for (text, code) in [
            ("GET / HTTP/1.1\r\n\r\n".to_string(), 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n".into(), 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n".into(), 400),
            ("GET / HTTP/1.1\r\nHost: a\r\na b: c\r\n\r\n".into(), 400),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
            ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
            ("get / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
            ("PING\r\n\r\n".into(), 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), 505),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 405),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n".into(), 413),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".into(), 413),
            (format!("GET /{long}"), 414),
            (format!("GET / HTTP/1.1\r\n{}", field.repeat(17)), 431),
            (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a:b\r\n".repeat(101)), 431),
        ] {
            assert_eq!(refused(&text), Some(code), "{text}");
        }
        assert_eq!(refused("GET / HTTP/1.0\r\nContent-Length: 0\r\n\r\n"), None);
    }

    #[test]
    fn any_bytes_are_parsed() {
        let seed = b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        for _ in 0..20_000 {
            let mut bytes = seed.to_vec();
            for _ in 0..1 + random(4) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            bytes.truncate(random(bytes.len() + 1));
            if let Parsed::Request(request) = parse(&bytes) {
                assert!(request.len <= bytes.len() && request.path.starts_with('/'));
            }
        }
    }

    #[test]
    fn replies_state_their_length() {
        let text = String::from_utf8(reply(NOT_FOUND, "text/plain", "no\n", Method::Get, false));
        let text = text.expect("text");
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"), "{text}");
        assert!(text.contains("\r\nContent-Length: 3\r\n") && text.ends_with("\r\n\r\nno\n"));
        let head = reply(METHOD, "text/plain", "no\n", Method::Head, true);
        let head = String::from_utf8(head).expect("text");
        assert!(head.contains("\r\nAllow: GET, HEAD\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    }
}
