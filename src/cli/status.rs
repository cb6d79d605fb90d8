//! `binbridge status`: asks the running bridge's admin server.

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::KEYS;
use crate::error::{Code, Error, Result};
use crate::observe::{Snapshot, line};

use super::args::StatusArgs;
use super::{block_on, say};

const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn run(args: &StatusArgs) -> Result<()> {
    let address = match &args.admin {
        Some(address) => address.clone(),
        None => listening(args)?,
    };
    let away =
        |what: String| Error::new(Code::Unavailable, format!("no bridge answers at {address}: {what}"));
    let asked = block_on(async { timeout(PATIENCE, ask(&address)).await })?;
    let body = asked.map_err(|_| away("no answer in time".to_owned()))?.map_err(away)?;
    let text = String::from_utf8_lossy(&body);
    if args.json {
        return say(&format!("{}\n", text.trim_end()));
    }
    let snapshot: Snapshot = serde_json::from_str(&text)
        .map_err(|error| away(format!("not the status of a binbridge ({error})")))?;
    say(&format!("{}\n", line(&snapshot)))
}

/// Where the bridge of this configuration listens; without a file, where bridges listen by default.
fn listening(args: &StatusArgs) -> Result<String> {
    let key = KEYS.iter().find(|key| key.path == "admin.listen");
    if let (None, Some(default)) = (args.settings.file(), key.and_then(|key| key.default)) {
        let variable = key.and_then(|key| std::env::var(key.variable()).ok());
        return Ok(variable.unwrap_or_else(|| default.to_owned()));
    }
    let listen = args.settings.load()?.config.admin.listen;
    let listen =
        listen.ok_or_else(|| Error::new(Code::Usage, "admin.listen is off: there is nobody to ask"))?;
    Ok(listen.to_string())
}

async fn ask(address: &str) -> Result<Bytes, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let request = Request::get("/status")
        .header("host", address)
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        Ok(response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes())
    };
    tokio::select! {
        answer = answer => answer,
        ended = connection => Err(format!("the connection ended: {ended:?}")),
    }
}
