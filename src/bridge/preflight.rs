//! Before the stages are built: what would stop them later.

use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};
use uuid::Uuid;

use crate::apply::{Gtids, Session};
use crate::check::{self, Demands, Findings};
use crate::error::{Code, Error, Result};
use crate::native::{Cloud, Words};
use crate::position::Start;
use crate::progress::{Recovered, Row, Tables};
use crate::source::{Registration, ServerId, stable_server_id};
use crate::transaction::{NameCase, Rules};
use crate::wire::Connection;

use super::reader::start_of;
use super::seed::registration;
use super::{Native, Plan};

/// A server that does not answer must not hold the bridge up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Large schemas take their time.
const SCHEMAS: Duration = Duration::from_secs(60);

/// What the checks before a start are of: they need connections of their own and time, so they go on beside the opening
/// of the sessions.
pub(super) struct Checks {
    place: Place,
    words: Words,
    rules: Rules,
}

/// Where the bridge goes on, and whether it has applied anything since the position was stored.
struct Place {
    start: Start,
    untried: bool,
}

impl Checks {
    /// Of a start from the place that is stored; none if there is none.
    pub(super) async fn of(plan: &Plan, words: Words, connection: &mut Connection) -> Option<Self> {
        let prepared = async {
            let tables = Tables::new(&plan.schema, &plan.name);
            let Some(place) = place(connection, &tables).await? else { return Ok(None) };
            let rules = rules(plan, connection).await?;
            Ok::<_, Error>(Some(Self { place, words, rules }))
        };
        prepared.await.unwrap_or_else(|error| {
            unfinished(&error);
            None
        })
    }

    /// What keeps the bridge from starting. What passes by itself is no reason: the stages try again and again.
    ///
    /// # Errors
    /// The first of what was found, which says how much more there is.
    pub(super) async fn require(&self, plan: &Plan) -> Result<()> {
        let mut findings = match self.look(plan).await {
            Ok(findings) => findings,
            Err(error) if may_be_ignored(&error) => {
                unfinished(&error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        findings.overrule(&plan.despite);
        for note in &findings.notes {
            info!(note, "checked before the start");
        }
        for error in findings.blocking.iter().skip(1) {
            warn!(%error, "this, too, keeps the bridge from starting");
        }
        findings.refusal().map_or(Ok(()), Err)
    }

    async fn look(&self, plan: &Plan) -> Result<Findings> {
        let Self { place, words, rules } = self;
        let schemas = async {
            if !place.untried {
                return Ok(Findings::default());
            }
            within(SCHEMAS, check::schemas(&plan.source, &plan.target, rules, true)).await
        };
        let (servers, schemas) =
            tokio::join!(within(PATIENCE, servers(plan, *words, Some(&place.start))), schemas);
        let mut findings = servers?;
        match schemas {
            Ok(found) => findings.extend(found),
            Err(error) => findings.note(format!("the schemas could not be compared: {error}")),
        }
        Ok(findings)
    }
}

fn unfinished(error: &Error) {
    warn!(%error, "the checks before the start could not be finished; starting without");
}

/// What passes, and what a server answers to a question that the bridge itself does not ask.
fn may_be_ignored(error: &Error) -> bool {
    error.is_transient() || matches!(error.code(), Code::Apply | Code::SchemaMismatch)
}

/// What keeps the bridge from going on from `start` on these servers, whatever their tables.
///
/// # Errors
/// As [`require`].
pub(super) async fn require_servers(plan: &Plan, words: Words, start: &Start) -> Result<()> {
    let Ok(mut findings) = within(PATIENCE, servers(plan, words, Some(start))).await else { return Ok(()) };
    findings.overrule(&plan.despite);
    findings.refusal().map_or(Ok(()), Err)
}

async fn within(time: Duration, looking: impl Future<Output = Result<Findings>>) -> Result<Findings> {
    let late = || Error::new(Code::ConnectionLost, "a server did not answer in time");
    timeout(time, looking).await.unwrap_or_else(|_| Err(late()))
}

/// Everything that `binbridge check` looks at. What a server does not let us look at is a finding here.
///
/// # Errors
/// Those of the connection to the target.
pub async fn preflight(plan: &Plan, native: &Native) -> Result<Findings> {
    let mut connection = Connection::connect(&plan.target).await?;
    let tables = Tables::new(&plan.schema, &plan.name);
    let mut findings = Findings::default();
    let place = match place(&mut connection, &tables).await {
        Ok(place) => place,
        Err(error) if error.code() == Code::SchemaMismatch => None,
        Err(error) => return Err(error),
    };
    match &place {
        None => findings.note("no position is stored yet: see binbridge position"),
        Some(place) => {
            if let Err(error) = super::check(plan, &place.start).await {
                findings.block(error.context(source_name(plan)));
            }
        }
    }
    let words = words(native, &mut connection).await?;
    match servers(plan, words, place.as_ref().map(|place| &place.start)).await {
        Ok(found) => findings.extend(found),
        Err(error) => findings.block(error),
    }
    let rules = rules(plan, &mut connection).await?;
    let binding = place.is_none_or(|place| place.untried);
    match check::schemas(&plan.source, &plan.target, &rules, binding).await {
        Ok(found) => findings.extend(found),
        Err(error) => findings.block(error),
    }
    findings.overrule(&plan.despite);
    Ok(findings)
}

async fn servers(plan: &Plan, words: Words, start: Option<&Start>) -> Result<Findings> {
    let preserve = plan.gtids == Gtids::Preserve;
    let uuid = Uuid::new_v4();
    // The source may not know yet that this stream has ended when the bridge's begins, with the id that was chosen.
    let server_id = ServerId::Derived(stable_server_id(uuid));
    let registration = Registration { server_id, ..registration(plan, uuid) };
    let here = |error: Error| error.context(source_name(plan));
    let there = |error: Error| error.context(format!("target {}:{}", plan.target.host, plan.target.port));
    // At once, as each takes many round trips.
    let ((facts, mut findings), session) = tokio::try_join!(
        async { check::source(&registration, start, preserve).await.map_err(here) },
        async { Session::open(&plan.target).await.map_err(there) }
    )?;
    let demands = Demands { preserve, words };
    let of_target = check::target(session, demands, Some(&facts)).await.map_err(there)?;
    findings.blocking = findings.blocking.into_iter().map(here).collect();
    findings.blocking.extend(of_target.blocking.into_iter().map(there));
    findings.notes.extend(of_target.notes);
    Ok(findings)
}

fn source_name(plan: &Plan) -> String {
    format!("source {}:{}", plan.source.host, plan.source.port)
}

async fn place(connection: &mut Connection, tables: &Tables) -> Result<Option<Place>> {
    let rows = Row::parse_all(&connection.query(&tables.read(false)).await?)?;
    if rows.is_empty() {
        return Ok(None);
    }
    let recovered = Recovered::from_rows(&rows)?;
    let low = recovered.frontier.low();
    Ok(Some(Place { start: start_of(low)?, untried: low.seq.0 == 0 }))
}

async fn words(native: &Native, connection: &mut Connection) -> Result<Words> {
    let cloud = match native.cloud {
        Some(cloud) => cloud,
        None => Cloud::detect(connection).await?,
    };
    Ok(Words { cloud, dialect: connection.dialect() })
}

/// With the letters as the target wants them.
async fn rules(plan: &Plan, connection: &mut Connection) -> Result<Rules> {
    let rows = connection.query("SELECT @@lower_case_table_names").await?;
    let fold = plan.fold_names.unwrap_or(rows.scalar() != Some("0"));
    let case = if fold { NameCase::Lower } else { NameCase::Keep };
    Ok(Rules { case, ..plan.rules.clone() })
}
