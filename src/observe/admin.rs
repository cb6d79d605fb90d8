//! The admin server: HTTP for people, probes and Prometheus, who only read, and for an operator's orders.
//!
//! | path | answer |
//! |---|---|
//! | `/` | the status page |
//! | `/status` | [`super::Snapshot`] as JSON |
//! | `/history` | [`super::Series`] as JSON: the last 15 minutes |
//! | `/metrics` | Prometheus text format 0.0.4 |
//! | `/livez`, `/healthz` | 200 while the process runs |
//! | `/readyz` | 200 once source and target are connected and the position is loaded (standing by: the target), else 503 and what is missing |
//!
//! Orders are POST, see [`super::command`]; who may give them, see [`super::token`].

use super::token::{Guard, Refusal};
use super::{Observer, command};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Connections at a time; more are told to come back.
const MAX_CONNECTIONS: usize = 64;
/// A request's line and headers, in bytes.
const MAX_HEADER: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// The body of an order, in bytes.
const MAX_BODY: usize = 4096;
/// Who has not sent a whole request by then is cut off; also the time a connection may be idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// No connection lives longer, however slowly it reads; a browser makes a new one without a sign of it.
const CONNECTION_LIFE: Duration = Duration::from_secs(60);
/// After a failed accept (no file descriptors left), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const PAGE: &str = include_str!("page/index.html");
const PATHS: &str =
    "/ /status /history /metrics /livez /readyz, and by POST /pause /resume /skip /until /limit";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n";
/// The page is one file: nothing is loaded from anywhere, and it talks to this server only.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Serves until dropped.
pub(super) async fn serve(listener: TcpListener, observer: Arc<Observer>, guard: Guard) {
    let guard = Arc::new(guard);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() >= MAX_CONNECTIONS => refuse(&stream),
                Ok((stream, _)) => { connections.spawn(connection(stream, Arc::clone(&observer), Arc::clone(&guard))); }
                Err(error) => {
                    tracing::debug!(%error, "admin connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Best effort: whoever floods the port does not read answers either.
fn refuse(stream: &TcpStream) {
    if let Err(error) = stream.try_write(BUSY) {
        tracing::debug!(%error, "admin connection refused without a word");
    }
}

async fn connection(stream: TcpStream, observer: Arc<Observer>, guard: Arc<Guard>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (observer, guard) = (Arc::clone(&observer), Arc::clone(&guard));
        async move { Ok::<_, Infallible>(respond(request, &observer, &guard).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_LIFE, pin!(served)).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "admin connection ended"),
    }
}

async fn respond(request: Request<Incoming>, observer: &Observer, guard: &Guard) -> Response<Full<Bytes>> {
    let takes_orders = command::PATHS.contains(&request.uri().path());
    match *request.method() {
        Method::POST if takes_orders => match order(request, observer, guard).await {
            Ok(said) => answer(StatusCode::OK, TEXT, said),
            Err((status, why)) => answer(status, TEXT, why),
        },
        Method::GET | Method::HEAD if !takes_orders => tell(request.uri().path(), observer),
        _ if takes_orders => not_allowed("POST", "orders are given by POST\n"),
        _ => not_allowed("GET, HEAD", "only GET and HEAD: this changes nothing\n"),
    }
}

fn not_allowed(allowed: &'static str, why: &'static str) -> Response<Full<Bytes>> {
    let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, why);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn order(request: Request<Incoming>, observer: &Observer, guard: &Guard) -> Result<String, Refusal> {
    let (head, body) = request.into_parts();
    guard.admits(&head.headers).await?;
    let body = tokio::time::timeout(HEADER_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
    match body {
        Ok(Ok(body)) => command::order(head.uri.path(), &body.to_bytes(), observer),
        Ok(Err(_)) => {
            Err((StatusCode::PAYLOAD_TOO_LARGE, format!("an order has {MAX_BODY} bytes at most\n")))
        }
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the body did not come\n".to_owned())),
    }
}

fn tell(path: &str, observer: &Observer) -> Response<Full<Bytes>> {
    match path {
        "/" => page(),
        "/status" => json(&observer.progress()),
        "/history" => json(&observer.history()),
        "/metrics" => answer(StatusCode::OK, METRICS, observer.metrics()),
        "/livez" | "/healthz" => answer(StatusCode::OK, TEXT, "alive\n"),
        "/readyz" => ready(observer),
        _ => answer(StatusCode::NOT_FOUND, TEXT, format!("nothing here; there are {PATHS}\n")),
    }
}

fn page() -> Response<Full<Bytes>> {
    let mut response = answer(StatusCode::OK, HTML, PAGE);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
    response
}

fn ready(observer: &Observer) -> Response<Full<Bytes>> {
    let ready = observer.progress().ready;
    let latches = [
        (ready.source_connected, "source connected"),
        (ready.target_connected, "target connected"),
        (ready.position_loaded, "position loaded"),
    ];
    let (status, mut text) = if ready.ready {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned())
    };
    for (set, latch) in latches {
        text.push_str(if set { "[+] " } else { "[-] " });
        text.push_str(latch);
        text.push_str(if set { "\n" } else { ": not yet\n" });
    }
    answer(status, TEXT, text)
}

fn json<T: serde::Serialize>(value: &T) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(text) => answer(StatusCode::OK, JSON, text),
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
