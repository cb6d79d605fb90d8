//! The observer's own thread: what it tells does not wait for the stages, and the stages do not wait for it.

use super::{Observer, admin, line};
use crate::error::{Code, Error, Result};
use std::io::{IsTerminal as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

const TICK: Duration = Duration::from_secs(1);
/// How often people want to hear from it.
const LINE: Duration = Duration::from_secs(5);

/// What the thread is to do beside taking samples.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Where the admin server listens; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// How often the status line goes to stderr; `None`: never.
    pub line: Option<Duration>,
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
                    () = run(&observer, listener, options.line) => {}
                }
            });
        })
        .map_err(|error| local("the observer's thread cannot be started", &error))?;
    Ok(Running { address, stop: Some(stop), thread: Some(thread) })
}

async fn run(observer: &Arc<Observer>, listener: Option<TcpListener>, line: Option<Duration>) {
    tokio::join!(sample(observer), print(observer, line), admin(observer, listener));
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

async fn admin(observer: &Arc<Observer>, listener: Option<TcpListener>) {
    let Some(listener) = listener else { return };
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => admin::serve(listener, Arc::clone(observer)).await,
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
        let observer = Observer::new("main");
        let listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let running = serve(Arc::clone(&observer), Options { listen, line: None }).unwrap();
        (observer, running)
    }

    fn ask(running: &Running, request: &str) -> String {
        let mut stream = TcpStream::connect(running.address().unwrap()).unwrap();
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
        let error = serve(observer, Options { listen, line: None }).unwrap_err();
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
