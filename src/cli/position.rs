//! `binbridge position`: finds the start in what people have, checks it against the source, stores it.

use std::io::Read;
use std::path::Path;

use crate::bail;
use crate::bridge::{Plan, ask_replica, check, decide_ddl, store};
use crate::error::{Code, Error, Result};
use crate::position::{Choice, Coordinates, Start, Whose, find_with};
use crate::source::Identity;
use crate::wire::{Connection, Endpoint, Secret};

use super::args::{DdlArg, PositionArgs, WhoseArg};
use super::run::plan;
use super::{block_on, say};

/// Of a dump, the head is enough.
const MOST_TEXT: u64 = 1 << 20;

pub(super) fn run(args: &PositionArgs) -> Result<()> {
    let plan = plan(&args.settings.load()?.config)?;
    block_on(find_check_store(args, &plan))?
}

async fn find_check_store(args: &PositionArgs, plan: &Plan) -> Result<()> {
    if let Some(word) = args.ddl {
        decide_ddl(plan, word == DdlArg::Done).await?;
        return say("recorded; start the bridge again\n");
    }
    let Place { start, server } = match &args.replica {
        Some(replica) => from_replica(args, plan, replica).await?,
        None => from_words(args)?,
    };
    let source = format!("{}:{}", plan.source.host, plan.source.port);
    let here = |error: Error| error.context(format!("source {source}"));
    let mut connection = Connection::connect(&plan.source).await.map_err(here)?;
    let identity = Identity::ask(&mut connection).await.map_err(here)?;
    require_same(&start, server.as_deref(), &identity.uuid, &source)?;
    connection.close().await;
    let checked = check(plan, &start).await.map_err(here)?;
    say(&format!(
        "checked:  {source} ({}, server_uuid {}) can stream from there\n",
        checked.identity.version, checked.identity.uuid
    ))?;
    if checked.identity.binlog_format != "ROW" {
        say(&format!(
            "note:     binlog_format is {} on the source: ROW makes catching up several times faster\n",
            checked.identity.binlog_format
        ))?;
    }
    if args.dry_run {
        return say("stored:   nothing (--dry-run)\n");
    }
    let target = format!("{}:{}", plan.target.host, plan.target.port);
    store(plan, &start, &checked.identity.uuid, args.replace)
        .await
        .map_err(|error| error.context(format!("target {target}")))?;
    say(&format!("stored:   as the start of bridge {} on {target}; next: binbridge run\n", plan.name))
}

/// A start, and the `server_uuid` of the server whose binlog it is a place in, where that is known.
struct Place {
    start: Start,
    server: Option<String>,
}

/// Servers of one cloud name their files alike, and each file begins at the same offset: nothing else would show that a
/// place is another server's. GTIDs mean the same on every server.
fn require_same(start: &Start, named: Option<&str>, uuid: &str, source: &str) -> Result<()> {
    match (start, named) {
        (Start::File(at), Some(named)) if !named.eq_ignore_ascii_case(uuid) => bail!(
            Position,
            "{at} is a place in the binlog of the server with server_uuid {named}, but the source, {source}, has {uuid}: \
             make that server the source, or take the coordinates in the source's binlog"
        ),
        (Start::File(_), None) => say(&format!(
            "warning:  nothing says which server this place belongs to; make sure that it is {source}\n"
        )),
        _ => Ok(()),
    }
}

async fn from_replica(args: &PositionArgs, plan: &Plan, replica: &str) -> Result<Place> {
    let endpoint = replica_endpoint(args, plan, replica)?;
    let here = |error: Error| error.context(format!("replica {}:{}", endpoint.host, endpoint.port));
    let mut connection = Connection::connect(&endpoint).await.map_err(here)?;
    let asked = ask_replica(&mut connection, args.own_binlog, args.by_gtid).await.map_err(here)?;
    let found = shown(&asked.start);
    say(&format!("found:    {found}\nfrom:     {}:{}, {}\n", endpoint.host, endpoint.port, asked.note))?;
    Ok(Place { start: asked.start, server: asked.server_uuid })
}

fn replica_endpoint(args: &PositionArgs, plan: &Plan, replica: &str) -> Result<Endpoint> {
    let mut endpoint = plan.source.clone();
    let (host, port) = match replica.rsplit_once(':') {
        // An IPv6 address without port has several colons and no brackets.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (replica, None),
    };
    host.trim_matches(['[', ']']).clone_into(&mut endpoint.host);
    if let Some(port) = port {
        endpoint.port = port
            .parse()
            .map_err(|_| Error::new(Code::Usage, format!("--replica {replica}: `{port}` is not a port")))?;
    }
    if let Some(user) = &args.replica_user {
        endpoint.user.clone_from(user);
    }
    if let Some(file) = &args.replica_password_file {
        endpoint.secret = Secret::File(file.clone());
    }
    Ok(endpoint)
}

fn from_words(args: &PositionArgs) -> Result<Place> {
    let (start, from) = match (&args.text, &args.file, args.offset, &args.gtid_set) {
        (Some(path), ..) => return from_text(args, path),
        (None, Some(file), Some(offset), _) => {
            (Start::File(format!("{file}:{offset}").parse::<Coordinates>()?), "--file and --offset")
        }
        (None, _, _, Some(set)) => (Start::Gtid(set.parse()?), "--gtid-set"),
        _ => bail!(
            Usage,
            "say where the position is: a TEXT file, --replica, --file and --offset, or --gtid-set"
        ),
    };
    say(&format!("found:    {}\nfrom:     {from}\n", shown(&start)))?;
    Ok(Place { start, server: None })
}

fn from_text(args: &PositionArgs, path: &Path) -> Result<Place> {
    let text = read(path)?;
    let whose = args.whose.map(|whose| match whose {
        WhoseArg::Source => Whose::SourceOfReplica,
        WhoseArg::Itself => Whose::ServerItself,
    });
    let found = find_with(&text, &Choice { channel: args.channel.as_deref(), whose })
        .map_err(|error| error.context(path.display().to_string()))?;
    let starts = found.starts();
    let wanted = starts.iter().find(|start| matches!(start, Start::Gtid(_)) == args.by_gtid);
    let Some(start) = wanted else {
        bail!(
            Position,
            "{}: no {} in it",
            path.display(),
            if args.by_gtid { "GTID set" } else { "file and offset; add --by-gtid to start by GTID" }
        );
    };
    say(&format!(
        "found:    {}\nfrom:     {}: {}\nwhose:    {}\n",
        shown(start),
        path.display(),
        found.origin,
        found.whose
    ))?;
    for warning in &found.warnings {
        say(&format!("warning:  {warning}\n"))?;
    }
    if let Some(host) = &found.server.host {
        let port = found.server.port.map_or(String::new(), |port| format!(":{port}"));
        say(&format!("server:   {host}{port}, as the text names it\n"))?;
    }
    Ok(Place { start: start.clone(), server: found.server.uuid.map(|uuid| uuid.to_string()) })
}

fn read(path: &Path) -> Result<String> {
    let cannot = |error: std::io::Error| {
        Error::new(Code::Position, format!("cannot read {}: {error}", path.display()))
    };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(MOST_TEXT).read_to_end(&mut bytes).map_err(cannot)?;
    } else {
        std::fs::File::open(path).map_err(cannot)?.take(MOST_TEXT).read_to_end(&mut bytes).map_err(cannot)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn shown(start: &Start) -> String {
    match start {
        Start::File(at) => at.to_string(),
        Start::Gtid(set) => format!("after GTIDs {set}"),
    }
}
