//! JSON: the `@.json` of a MySQL Shell dump, and status rows as programs export them.

use serde_json::{Map, Value};

use super::records::Record;
use super::{Candidate, Found, Kind, Whose, coordinates, tables};
use crate::bail;
use crate::error::Result;

/// How deep rows may be wrapped.
const DEPTH: usize = 8;

/// Candidates from a JSON text; none if it is none.
pub(super) fn read(text: &str) -> Result<Vec<Candidate>> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) {
        return Ok(Vec::new());
    }
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        // The sections of mydumper's metadata begin with a bracket, too.
        Err(_) if text.starts_with('[') => return Ok(Vec::new()),
        Err(error) => {
            bail!(
                Position,
                "the text begins as JSON, but line {} column {} is not",
                error.line(),
                error.column()
            )
        }
    };
    let mut reader = Reader { lines: text.lines().count(), records: Vec::new(), dumps: Vec::new() };
    reader.visit(&value, 0);
    let mut candidates = tables::candidates(&reader.records)?;
    candidates.extend(reader.dumps);
    if candidates.is_empty() {
        bail!(
            Position,
            "this JSON holds no status row and no binlogFile and binlogPosition of a MySQL Shell dump"
        );
    }
    Ok(candidates)
}

struct Reader {
    lines: usize,
    records: Vec<Record>,
    dumps: Vec<Candidate>,
}

impl Reader {
    fn visit(&mut self, value: &Value, depth: usize) {
        let inner: Box<dyn Iterator<Item = &Value>> = match value {
            _ if depth == DEPTH => return,
            Value::Object(object) if is_dump(object) => {
                let found = self.dump(object);
                self.dumps.push(Candidate {
                    whose: Whose::ServerItself,
                    channel: String::new(),
                    line: 1,
                    found,
                });
                return;
            }
            Value::Object(object) => {
                let record = record(object);
                if record.is_replica_status() || record.is_log_status() || record.is_gtid_set() {
                    self.records.push(record);
                    return;
                }
                Box::new(object.values())
            }
            Value::Array(values) => Box::new(values.iter()),
            _ => return,
        };
        for value in inner {
            self.visit(value, depth + 1);
        }
    }

    /// The root of a dump by MySQL Shell (`Dumper::write_dump_started_metadata` in its `dumper.cc`).
    fn dump(&self, object: &Map<String, Value>) -> Result<Found> {
        let mut found = Found::new(Kind::ShellDump, 1..=self.lines, Whose::ServerItself);
        if lookup(object, &["consistent"]).as_deref() == Some("false") {
            bail!(
                Position,
                "this dump is not consistent (\"consistent\": false): its coordinates do not fit its data; dump again \
                 with consistent: true"
            );
        }
        let file = lookup(object, &["binlogFile", "binlog.file"]).filter(|file| !file.is_empty());
        let offset = lookup(object, &["binlogPosition", "binlog.position"]);
        if let (Some(file), Some(offset)) = (&file, offset) {
            found.file = Some(coordinates((file, 1), (&offset, 1))?);
        }
        let gtids = lookup(object, &["gtidExecuted"]).unwrap_or_default();
        if lookup(object, &["gtidExecutedInconsistent"]).as_deref() == Some("true") {
            found.warnings.push(
                "gtidExecutedInconsistent is true: the GTID set does not fit the data, left out".to_owned(),
            );
        } else {
            found.take_gtids(&gtids, 1)?;
        }
        if found.file.is_none() && found.gtids.is_none() {
            bail!(
                Position,
                "this dump holds no binlogFile and no GTIDs: the server has no binlog, or the account that dumped has \
                 no REPLICATION CLIENT"
            );
        }
        found.server.host = lookup(object, &["server", "hostname"]);
        found.server.port = lookup(object, &["port"]).and_then(|port| port.parse().ok());
        found.server.uuid = lookup(object, &["serverUuid"]).and_then(|uuid| uuid.parse().ok());
        Ok(found)
    }
}

fn is_dump(object: &Map<String, Value>) -> bool {
    object.contains_key("binlogFile") || object.contains_key("gtidExecuted") || object.contains_key("dumper")
}

/// The first value that is there, at the top or in `source`; a dot goes one object down.
fn lookup(object: &Map<String, Value>, names: &[&str]) -> Option<String> {
    let source = object.get("source").and_then(Value::as_object);
    let places = [Some(object), source];
    places.into_iter().flatten().find_map(|place| {
        names.iter().find_map(|name| match name.split_once('.') {
            Some((outer, inner)) => place.get(outer)?.get(inner).and_then(plain),
            None => place.get(*name).and_then(plain),
        })
    })
}

fn record(object: &Map<String, Value>) -> Record {
    let mut record = Record::default();
    for (name, value) in object {
        record.add(name, &plain(value).unwrap_or_default(), 1);
    }
    record
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
