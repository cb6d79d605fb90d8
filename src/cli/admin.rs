//! Asks the admin server of a running bridge.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::KEYS;
use crate::error::{Code, Error, Result};

use super::args::{Admin, Settings};
use super::block_on;

const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked.
pub(super) enum Ask<'a> {
    /// To be told what is at this path.
    Get(&'a str),
    /// To follow an order: path, JSON and the token.
    Post(&'a str, String, Option<&'a str>),
}

/// The admin server of one bridge.
pub(super) struct Bridge {
    address: String,
}

impl Bridge {
    /// The one that is named, or that of the configuration.
    pub(super) fn of(args: &Admin) -> Result<Self> {
        let address = match &args.admin {
            Some(address) => address.clone(),
            None => listening(&args.settings)?,
        };
        Ok(Self { address })
    }

    /// # Errors
    /// `BB2007` if nobody answers.
    pub(super) fn ask(&self, what: Ask<'_>) -> Result<(StatusCode, Bytes)> {
        let asked = block_on(async { timeout(PATIENCE, ask(&self.address, what)).await })?;
        asked.map_err(|_| self.away("no answer in time"))?.map_err(|why| self.away(&why))
    }

    pub(super) fn away(&self, why: &str) -> Error {
        Error::new(Code::Unavailable, format!("no bridge answers at {}: {why}", self.address))
    }
}

/// Where the bridge of this configuration listens; without a file, where bridges listen by default.
fn listening(settings: &Settings) -> Result<String> {
    if settings.file().is_none() && settings.set.is_empty() {
        let default = KEYS.iter().find(|key| key.path == "admin.listen").and_then(|key| key.default);
        if let Some(address) = variable("admin.listen").or_else(|| default.map(str::to_owned)) {
            return Ok(address);
        }
    }
    let listen = settings.load()?.config.admin.listen;
    let listen =
        listen.ok_or_else(|| Error::new(Code::Usage, "admin.listen is off: there is nobody to ask"))?;
    Ok(listen.to_string())
}

/// A key's value in the environment.
pub(super) fn variable(path: &str) -> Option<String> {
    KEYS.iter().find(|key| key.path == path).and_then(|key| std::env::var(key.variable()).ok())
}

async fn ask(address: &str, what: Ask<'_>) -> Result<(StatusCode, Bytes), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let request = match what {
        Ask::Get(path) => Request::get(path).header(HOST, address).body(Full::default()),
        Ask::Post(path, body, token) => {
            let mut request =
                Request::post(path).header(HOST, address).header(CONTENT_TYPE, "application/json");
            if let Some(token) = token {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            request.body(Full::new(Bytes::from(body)))
        }
    };
    let request = request.map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    };
    tokio::select! {
        answer = answer => answer,
        ended = connection => Err(format!("the connection ended: {ended:?}")),
    }
}
