//! The source: whether its settings can work, and whether its binlog stays long enough.

use std::sync::Arc;
use std::time::Duration;

use crate::binlog::Body;
use crate::error::{Code, Error, Result};
use crate::position::{Coordinates, Start};
use crate::source::{Identity, Registration, Stream};
use crate::transaction::Format;
use crate::wire::{Connection, Row};

use super::Findings;
use super::retention::{FileFacts, Kept, Outlook, outlook, surely_stays};

/// The offset of a file's first event.
const FIRST_EVENT: u64 = 4;

/// What the source says of itself, as far as the other checks need it.
#[derive(Debug)]
pub struct SourceFacts {
    /// Who it is.
    pub identity: Identity,
    /// The format description event of its binlog, as a target takes it; none if the stream could not be opened.
    pub format: Option<Format>,
    /// Its `max_allowed_packet`.
    pub max_packet: u64,
}

/// Looks at the source. `start` is where the bridge would go on; `preserve` is whether transactions are to keep their
/// GTIDs.
///
/// # Errors
/// Those of the connection; what shows there is no finding.
pub async fn source(
    registration: &Registration,
    start: Option<&Start>,
    preserve: bool,
) -> Result<(SourceFacts, Findings)> {
    // At once, as each takes many round trips.
    let (asked, (begun, format)) =
        tokio::join!(Asked::of(registration, start), first_format(registration, start));
    let Asked { identity, max_packet, now, binlog } = asked?;
    let mut findings = settings(&identity, preserve);
    if let (Some(Start::File(at)), Some(begun), Some(binlog)) = (start, begun, binlog) {
        findings.extend(will_stay(registration, &binlog?, at, begun, now).await);
    }
    Ok((SourceFacts { identity, format, max_packet }, findings))
}

/// What the source answers, but for its stream.
struct Asked {
    identity: Identity,
    max_packet: u64,
    /// Seconds since the epoch, by its clock.
    now: u64,
    /// Where the start is a place in a file. Its error is none while the stream has one, which says more.
    binlog: Option<Result<Binlog>>,
}

/// What of its binlog the source has, and for how long.
struct Binlog {
    kept: Kept,
    /// The setting that says so.
    says: String,
    /// Names and sizes.
    files: Vec<(String, u64)>,
}

impl Asked {
    async fn of(registration: &Registration, start: Option<&Start>) -> Result<Self> {
        let mut connection = Connection::connect(&registration.endpoint).await?;
        let identity = Identity::ask(&mut connection).await?;
        let rows = connection.query("SELECT @@global.max_allowed_packet, UNIX_TIMESTAMP()").await?;
        let number = |index: usize| rows.rows.first().and_then(|row| row.text(index)?.parse::<u64>().ok());
        let (max_packet, now) = (number(0).unwrap_or(0), number(1).unwrap_or(0));
        let binlog = match start {
            Some(Start::File(_)) => Some(Binlog::ask(&mut connection).await),
            _ => None,
        };
        connection.close().await;
        Ok(Self { identity, max_packet, now, binlog })
    }
}

impl Binlog {
    async fn ask(connection: &mut Connection) -> Result<Self> {
        let (kept, says) = kept(connection).await?;
        let logs = connection.query(connection.dialect().binary_logs()).await?;
        let size = |row: &Row| row.text(1).and_then(|size| size.parse().ok());
        let files = logs.rows.iter().filter_map(|row| Some((row.text(0)?.to_owned(), size(row)?))).collect();
        Ok(Self { kept, says, files })
    }
}

fn settings(identity: &Identity, preserve: bool) -> Findings {
    let mut findings = Findings::default();
    if preserve && !identity.gtid_mode {
        findings.block(Error::new(
            Code::SourceSettings,
            "gtid_mode is not ON on the source: apply.gtid = \"preserve\" needs gtid_mode = ON on both servers",
        ));
    }
    if identity.binlog_format == "STATEMENT" {
        findings.note(
            "binlog_format is STATEMENT on the source: statements that are not safe to repeat are logged as such \
             there, and stop the bridge where it can tell; ROW is safe, and several times faster",
        );
    } else if identity.binlog_format != "ROW" {
        findings.note(format!(
            "binlog_format is {} on the source: ROW makes catching up several times faster",
            identity.binlog_format
        ));
    }
    findings
}

/// The format description event that a stream from `start` begins with, and when its file was begun. Why there is none
/// is told by the bridge's own stream.
async fn first_format(registration: &Registration, start: Option<&Start>) -> (Option<u64>, Option<Format>) {
    let Some(start) = start else { return (None, None) };
    match format_at(registration, start).await {
        Ok((begun, format)) => (Some(begun), Some(format)),
        Err(_) => (None, None),
    }
}

async fn format_at(registration: &Registration, start: &Start) -> Result<(u64, Format)> {
    let mut registration = registration.clone();
    // Not the bridge's own: the source would end the stream of a bridge that runs.
    registration.uuid = uuid::Uuid::new_v4();
    let mut stream = Stream::open(&registration, start).await?;
    loop {
        let located = stream.next().await?;
        match &located.event.body {
            Body::FormatDescription(format) => {
                return Ok((u64::from(located.event.header.timestamp), Format::of(format)));
            }
            Body::Rotate { artificial: true, .. } => {}
            _ => return Err(Error::new(Code::BadEvent, "a stream that begins without its format")),
        }
    }
}

/// Whether the file to be read next stays until it is read. The file that the source writes is never purged.
async fn will_stay(
    registration: &Registration,
    Binlog { kept, says, files }: &Binlog,
    at: &Coordinates,
    begun: u64,
    now: u64,
) -> Findings {
    let mut findings = Findings::default();
    let Some(index) = files.iter().position(|(name, _)| **name == *at.file) else { return findings };
    let (size, next) = (files.get(index).map_or(0, |(_, size)| *size), files.get(index + 1));
    if surely_stays(*kept, begun, now) {
        return findings;
    }
    let next_begun = match next {
        None if *kept == Kept::AsLittleAsPossible => now,
        None => return findings,
        Some((name, _)) => {
            let next = Coordinates { file: Arc::from(name.as_str()), offset: FIRST_EVENT };
            match format_at(registration, &Start::File(next)).await {
                Ok((begun, _)) => begun,
                Err(_) => return findings,
            }
        }
    };
    let file = FileFacts { begun, next_begun, size, read: at.offset };
    let place = format!("the bridge goes on from {at}");
    match outlook(*kept, file, now) {
        Outlook::Stays => {}
        Outlook::Expired => findings.block(
            Error::new(Code::Retention, format!("the source may purge the binlog before it is read: {says}"))
                .context(place),
        ),
        Outlook::TooSoon { left, needed } => findings.block(
            Error::new(
                Code::Retention,
                format!(
                    "the source will purge the next binlog file in {}, and at the pace at which it was written reading \
                     it takes {}: {says}",
                    humantime::format_duration(left),
                    humantime::format_duration(needed)
                ),
            )
            .context(place),
        ),
    }
    findings
}

/// How long the source keeps its binlog, and the setting that says so. RDS has one of its own; who may not ask there is
/// told nothing.
async fn kept(connection: &mut Connection) -> Result<(Kept, String)> {
    match connection.query("CALL mysql.rds_show_configuration").await {
        Ok(rows) => {
            let hours = rows.rows.iter().find(|row| row.text(0) == Some("binlog retention hours"));
            if let Some(row) = hours {
                return Ok(match row.text(1).and_then(|hours| hours.parse::<u64>().ok()) {
                    Some(hours) => (
                        Kept::For(Duration::from_secs(hours * 3600)),
                        format!("'binlog retention hours' is {hours}"),
                    ),
                    None => (
                        Kept::AsLittleAsPossible,
                        "'binlog retention hours' is not set, so RDS purges as soon as it can".to_owned(),
                    ),
                });
            }
        }
        Err(error) if error.server().is_some() => {}
        Err(error) => return Err(error),
    }
    // MySQL 8.0 manual, "Binary Logging Options and Variables"; the seconds win where both are set.
    let seconds = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('binlog_expire_logs_seconds', 'expire_logs_days', \
                   'binlog_expire_logs_auto_purge')";
    let rows = connection.query(seconds).await?;
    let value =
        |name: &str| rows.rows.iter().find(|row| row.text(0) == Some(name)).and_then(|row| row.text(1));
    if value("binlog_expire_logs_auto_purge") == Some("OFF") {
        return Ok((Kept::Unknown, String::new()));
    }
    let number = |name: &str| value(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let (seconds, days) = (number("binlog_expire_logs_seconds"), number("expire_logs_days"));
    Ok(match (seconds, days) {
        (0, 0) => (Kept::Unknown, String::new()),
        (0, days) => (Kept::For(Duration::from_secs(days * 86_400)), format!("expire_logs_days is {days}")),
        (seconds, _) => {
            (Kept::For(Duration::from_secs(seconds)), format!("binlog_expire_logs_seconds is {seconds}"))
        }
    })
}
