//! `binbridge position`: finds the start in what people have, checks it against the source, stores it.

use std::io::Read;
use std::path::Path;

use crate::bail;
use crate::bridge::{Plan, ask_replica, check, decide_ddl, store};
use crate::error::{Code, Error, Result};
use crate::position::{Choice, Coordinates, Start, Whose, find_with};
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
    let start = match &args.replica {
        Some(replica) => from_replica(args, plan, replica).await?,
        None => from_words(args)?,
    };
    let source = format!("{}:{}", plan.source.host, plan.source.port);
    let checked = check(plan, &start).await.map_err(|error| error.context(format!("source {source}")))?;
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

async fn from_replica(args: &PositionArgs, plan: &Plan, replica: &str) -> Result<Start> {
    let endpoint = replica_endpoint(args, plan, replica)?;
    let here = |error: Error| error.context(format!("replica {}:{}", endpoint.host, endpoint.port));
    let mut connection = Connection::connect(&endpoint).await.map_err(here)?;
    let (start, note) = ask_replica(&mut connection, args.own_binlog, args.by_gtid).await.map_err(here)?;
    say(&format!("found:    {}\nfrom:     {}:{}, {note}\n", shown(&start), endpoint.host, endpoint.port))?;
    Ok(start)
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

fn from_words(args: &PositionArgs) -> Result<Start> {
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
    Ok(start)
}

fn from_text(args: &PositionArgs, path: &Path) -> Result<Start> {
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
    Ok(start.clone())
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
