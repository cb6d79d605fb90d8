//! The observer's own thread: what it tells does not wait for the stages, and the stages do not wait for it.

use super::token::Guard;
use super::{Observer, admin, line};
use crate::error::{Code, Error, Result};
use std::io::{IsTerminal as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

const TICK: Duration = Duration::from_secs(1);
/// How often people want to hear from it.
const LINE: Duration = Duration::from_secs(5);

/// What the thread is to do beside taking samples.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the admin server listens; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// How often the status line goes to stderr; `None`: never.
    pub line: Option<Duration>,
    /// The file with the token that orders need; without it, they are taken on a loopback address only.
    pub token_file: Option<PathBuf>,
}

/// How often the status line is printed here: on a terminal only.
pub fn line_interval() -> Option<Duration> {
    std::io::stderr().is_terminal().then_some(LINE)
}

/// The running thread. Dropped, it ends.
#[derive(Debug)]
pub struct Running {
    address: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Where the admin server listens, with the port that was really bound.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the observer's thread has panicked");
        }
    }
}

/// Starts the thread: a sample each second, the status line, and the admin server.
///
/// # Errors
/// `LocalIo` if the address cannot be bound or the thread cannot be started.
pub fn serve(observer: Arc<Observer>, options: Options) -> Result<Running> {
    let listener = options.listen.map(bind).transpose()?;
    let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let loopback = address.is_some_and(|address| address.ip().is_loopback());
    let guard = Guard { loopback, token_file: options.token_file };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| local("the observer's runtime cannot be started", &error))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new()
        .name("observe".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = stopped => {}
                    () = run(&observer, listener, guard, options.line) => {}
                }
            });
        })
        .map_err(|error| local("the observer's thread cannot be started", &error))?;
    Ok(Running { address, stop: Some(stop), thread: Some(thread) })
}

async fn run(observer: &Arc<Observer>, listener: Option<TcpListener>, guard: Guard, line: Option<Duration>) {
    tokio::join!(sample(observer), print(observer, line), admin(observer, listener, guard));
}

async fn sample(observer: &Observer) {
    let mut seconds = interval(TICK);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        observer.tick();
    }
}

async fn print(observer: &Observer, every: Option<Duration>) {
    let Some(every) = every else { return };
    let mut times = interval_at(Instant::now() + every, every);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        let text = line(&observer.progress());
        if writeln!(std::io::stderr().lock(), "{text}").is_err() {
            return;
        }
    }
}

async fn admin(observer: &Arc<Observer>, listener: Option<TcpListener>, guard: Guard) {
    let Some(listener) = listener else { return };
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => admin::serve(listener, Arc::clone(observer), guard).await,
        Err(error) => tracing::error!(%error, "the admin server cannot listen"),
    }
}

/// Binds at once, so that an address that is taken is an error of the start.
fn bind(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .map_err(|error| local(&format!("admin address {address} cannot be bound"), &error))?;
    listener
        .set_nonblocking(true)
        .map_err(|error| local(&format!("admin address {address} cannot be used"), &error))?;
    Ok(listener)
}

fn local(what: &str, error: &std::io::Error) -> Error {
    Error::new(Code::LocalIo, format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::net::TcpStream;

    fn started() -> (Arc<Observer>, Running) {
        started_with([127, 0, 0, 1], None)
    }

    fn started_with(address: [u8; 4], token_file: Option<PathBuf>) -> (Arc<Observer>, Running) {
        let observer = Observer::new("main");
        let listen = Some(SocketAddr::from((address, 0)));
        let options = Options { listen, line: None, token_file };
        let running = serve(Arc::clone(&observer), options).unwrap();
        (observer, running)
    }

    fn post(running: &Running, path: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        let begin = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        ask(running, &format!("{begin}content-length: {length}\r\n{headers}\r\n{body}"))
    }

    fn ask(running: &Running, request: &str) -> String {
        let port = running.address().unwrap().port();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(running: &Running, path: &str) -> String {
        ask(running, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    }

    #[test]
    fn readiness_names_what_is_missing_until_nothing_is() {
        use super::super::End;
        let (observer, running) = started();
        observer.connected(End::Source, true);
        let answer = get(&running, "/readyz");
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("[+] source connected\n[-] target connected: not yet\n"), "{answer}");
        observer.connected(End::Target, true);
        observer.loaded(&"mysql-bin.000001:4".parse().unwrap());
        assert!(get(&running, "/readyz").starts_with("HTTP/1.1 200"));
    }

    #[test]
    fn every_documented_path_answers() {
        let (_observer, running) = started();
        for (path, holds) in [
            ("/", "<!doctype html>"),
            ("/status", "\"applied_seconds\":null"),
            ("/status?now=1", "\"bridge\":\"main\""),
            ("/history", "\"interval_seconds\":1"),
            ("/metrics", "binbridge_lag_seconds{stage=\"applied\",bridge=\"main\"} NaN"),
            ("/livez", "alive"),
        ] {
            let answer = get(&running, path);
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{path}: {answer}");
            assert!(answer.contains(holds), "{path}: {answer}");
        }
    }

    #[test]
    fn unknown_paths_and_methods_are_told_what_there_is() {
        let (_observer, running) = started();
        assert!(get(&running, "/nope").contains("404 Not Found"));
        assert!(get(&running, "/nope").contains("/status"));
        let answer = ask(
            &running,
            "POST /status HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, HEAD"), "{answer}");
    }

    const JSON: &str = "content-type: application/json\r\n";

    #[test]
    fn an_order_is_followed_and_shown_and_the_state_says_paused() {
        use super::super::Lifecycle;
        let (observer, running) = started();
        observer.lifecycle(Lifecycle::Streaming, "in step with the source");
        let answer = post(&running, "/pause", JSON, "{\"reason\":\"upgrade\"}");
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("paused, upgrade"), "{answer}");
        let status = get(&running, "/status");
        assert!(status.contains("\"state\":{\"name\":\"paused\",\"reason\":\"upgrade\""), "{status}");
        assert!(status.contains("\"paused\":{\"by\":\"operator\",\"reason\":\"upgrade\""), "{status}");
        let metrics = get(&running, "/metrics");
        assert!(metrics.contains("binbridge_paused{reason=\"operator\",bridge=\"main\"} 1"), "{metrics}");
        assert!(
            metrics.contains("binbridge_lifecycle_state{state=\"paused\",bridge=\"main\"} 1"),
            "{metrics}"
        );
        assert!(post(&running, "/resume", JSON, "").contains("resumed"));
        assert!(get(&running, "/status").contains("\"name\":\"streaming\""));
    }

    #[test]
    fn orders_are_bounded_have_their_method_and_are_no_form_of_a_web_page() {
        let (observer, running) = started();
        let long = format!("{{\"reason\":\"{}\"}}", "a".repeat(5000));
        assert!(post(&running, "/pause", JSON, &long).starts_with("HTTP/1.1 413"));
        assert!(post(&running, "/pause", "content-type: text/plain\r\n", "{}").starts_with("HTTP/1.1 415"));
        assert!(post(&running, "/skip", JSON, "{\"target\":\"x\"}").starts_with("HTTP/1.1 400"));
        let answer = get(&running, "/pause");
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: POST"), "{answer}");
        assert!(observer.control().orders().paused.is_none());
    }

    #[test]
    fn where_others_reach_it_orders_need_the_token_and_its_file() {
        let (observer, running) = started_with([0, 0, 0, 0], None);
        let answer = post(&running, "/pause", JSON, "");
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("admin.token_file"), "{answer}");
        drop(running);
        assert!(observer.control().orders().paused.is_none());

        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "s3cret").unwrap();
        for address in [[0, 0, 0, 0], [127, 0, 0, 1]] {
            let (observer, running) = started_with(address, Some(file.path().to_owned()));
            assert!(post(&running, "/pause", JSON, "").starts_with("HTTP/1.1 401"));
            let wrong = format!("{JSON}authorization: Bearer other\r\n");
            let answer = post(&running, "/pause", &wrong, "");
            assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("s3cret"), "{answer}");
            assert!(observer.control().orders().paused.is_none());
            let right = format!("{JSON}authorization: Bearer s3cret\r\n");
            assert!(post(&running, "/pause", &right, "").starts_with("HTTP/1.1 200"));
            assert!(observer.control().orders().paused.is_some());
        }
    }

    #[test]
    fn head_has_no_body() {
        let (_observer, running) = started();
        let answer = ask(&running, "HEAD /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert!(answer.contains("content-length: 6") && answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[test]
    fn hostile_requests_are_cut_off_and_others_are_still_served() {
        let (_observer, running) = started();
        let long = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(64 * 1024));
        let mut stream = TcpStream::connect(running.address().unwrap()).unwrap();
        stream.write_all(long.as_bytes()).ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        assert!(ask(&running, "\x16\x03\x01 garbage\r\n\r\n").starts_with("HTTP/1.1 400"));
        assert!(get(&running, "/livez").contains("alive"));
    }

    #[test]
    fn more_connections_than_allowed_are_told_to_come_back() {
        let (_observer, running) = started();
        let held: Vec<_> = (0..64).map(|_| TcpStream::connect(running.address().unwrap()).unwrap()).collect();
        let mut extra = TcpStream::connect(running.address().unwrap()).unwrap();
        extra.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = String::new();
        extra.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        drop(held);
    }

    #[test]
    fn an_address_in_use_is_a_local_error_that_names_it() {
        let (observer, running) = started();
        let listen = running.address();
        let error = serve(observer, Options { listen, ..Options::default() }).unwrap_err();
        assert_eq!(error.code(), Code::LocalIo);
        assert!(error.to_string().contains(&listen.unwrap().to_string()), "{error}");
    }

    #[test]
    fn the_thread_takes_samples_and_ends_when_dropped() {
        let (observer, running) = started();
        std::thread::sleep(Duration::from_millis(2200));
        assert!(!observer.history().lag_seconds.is_empty());
        let address = running.address().unwrap();
        drop(running);
        assert!(TcpStream::connect(address).is_err());
    }
}
