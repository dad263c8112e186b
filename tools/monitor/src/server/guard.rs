//! [`Guard`]: who may ask for what, how often; what every answer says of how it is to be treated.

use std::hint::black_box;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Shared;
use super::pace::Pace;

/// Where the page itself is: it holds no data.
const OPEN: [&str; 3] = ["/", "/app.js", "/style.css"];
/// How long a request may take to come in whole and be answered; streams are answered once they are open.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Nothing is loaded from anywhere else, nothing inline is run, and nobody frames the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HEADERS: [(header::HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        header::HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        header::HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// From where a connection comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client(pub(super) IpAddr);

/// Decides who may ask.
pub(super) struct Guard {
    token: Option<String>,
    is_loopback: bool,
    pace: Pace,
}

impl Guard {
    pub(super) fn new(token: Option<String>, address: IpAddr) -> Guard {
        Guard {
            token,
            is_loopback: address.is_loopback(),
            pace: Pace::default(),
        }
    }

    /// What a request is refused for, if it is.
    fn refusal(&self, client: Client, request: &Request) -> Option<(StatusCode, &'static str)> {
        if !self.pace.has_room(client.0, Instant::now()) {
            return Some((
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests; wait a second",
            ));
        }
        if self.is_loopback && !names_this_machine(request.headers()) {
            // A page elsewhere whose name was made to mean this machine.
            return Some((
                StatusCode::MISDIRECTED_REQUEST,
                "the Host is not this machine",
            ));
        }
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
        let is_open = OPEN.contains(&request.uri().path()) && !changes;
        if is_open || (self.is_loopback && !changes) {
            return None;
        }
        let Some(token) = &self.token else {
            return Some((
                StatusCode::FORBIDDEN,
                "this wants a token, and the server was started without",
            ));
        };
        let given = request.headers().get(header::AUTHORIZATION);
        let given = given.and_then(|given| given.to_str().ok()?.strip_prefix("Bearer "));
        match given {
            None => Some((
                StatusCode::UNAUTHORIZED,
                "this wants the token: Authorization: Bearer …",
            )),
            Some(given) if is_same(given.trim(), token) => None,
            Some(_) => Some((StatusCode::UNAUTHORIZED, "this is not the token")),
        }
    }
}

/// Compares without telling by its time how much is right.
fn is_same(given: &str, token: &str) -> bool {
    let pairs = given.bytes().zip(token.bytes());
    // The compiler is not to see that the rest does not matter once one differs.
    let differs = pairs.fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    given.len() == token.len() && differs == 0
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let Some(host) = host else {
        return false;
    };
    let (name, port) = match host.strip_prefix('[') {
        Some(six) => six.split_once(']').unwrap_or_default(),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    // Strictly: whatever else follows makes it another name.
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    let is_here = name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    is_here && is_port
}

/// Lets a request through or refuses it, and adds the headers that each answer has.
pub(super) async fn watch(
    State(shared): State<Shared>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    let refused =
        |(status, why): (StatusCode, &str)| (status, Json(json!({ "error": why }))).into_response();
    let mut response = match shared.guard.refusal(client, &request) {
        Some(refusal) => refused(refusal),
        None => tokio::time::timeout(ANSWERED_WITHIN, next.run(request))
            .await
            .unwrap_or_else(|_| refused((StatusCode::REQUEST_TIMEOUT, "this took too long"))),
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    with_headers(response)
}

fn with_headers(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        assert!(is_same("secret", "secret"));
        for wrong in ["", "secre", "secrets", "Secret", "secreT"] {
            assert!(!is_same(wrong, "secret"), "{wrong}");
        }
    }

    #[test]
    fn names_of_this_machine_are_told_from_others() {
        for (host, is_here) in [
            ("localhost:1", true),
            ("LocalHost", true),
            ("127.0.0.1", true),
            ("[::1]:80", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("[::1].evil.example", false),
            ("localhost@evil.example", false),
            ("evil.example@localhost", false),
            ("[::1", false),
            ("localhost:80@evil.example", false),
            ("localhost80", false),
            ("127.0.0.1:", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            assert_eq!(names_this_machine(&headers), is_here, "{host}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }
}
