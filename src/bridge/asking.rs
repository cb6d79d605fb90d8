//! `binbridge takeover` and `binbridge handback`: what an operator asks of the instance that has the lease, by the row on
//! the target.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::apply::{Lease, Owner};
use crate::bail;
use crate::error::{Code, Result};
use crate::native::{Cloud, Phase, Room, Wanted, Words};
use crate::wire::Connection;

use super::handback::Handback;
use super::takeover::Takeover;
use super::{Native, Plan};

/// What `binbridge takeover --dry-run` and `handback --dry-run` print: every statement that would run now.
///
/// # Errors
/// `BB4013` if the change is not possible now; those of the connection.
pub async fn describe(
    plan: &Plan,
    native: &Native,
    wanted: Wanted,
    by_gtid: Option<bool>,
) -> Result<Vec<String>> {
    let mut connection = Connection::connect(&plan.target).await?;
    let owner = Owner::new(&plan.schema, &plan.name);
    let cloud = match native.cloud {
        Some(cloud) => cloud,
        None => Cloud::detect(&mut connection).await?,
    };
    let words = Words { cloud, dialect: connection.dialect() };
    let (tables, connection) = (&owner.tables, &mut connection);
    if let Some(room) = known(connection, &owner).await? {
        room.require(wanted)?;
    }
    match wanted {
        Wanted::Takeover => Takeover { plan, tables, words, connection }.describe(by_gtid).await,
        Wanted::Handback => {
            Handback { plan, tables, words, source: &native.source, connection }.describe(by_gtid).await
        }
    }
}

/// Asks the instance that has the lease for a change, and waits until it is done. `tell` hears what happens.
///
/// # Errors
/// `BB4013` if the change is not possible in the present phase, or the instance says why it cannot be; `BB2007` if it is not done
/// within `limit`.
pub async fn ask(
    plan: &Plan,
    wanted: Wanted,
    by_gtid: Option<bool>,
    limit: Duration,
    mut tell: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let mut connection = Connection::connect(&plan.target).await?;
    let owner = Owner::new(&plan.schema, &plan.name);
    let tables = &owner.tables;
    let Some(room) = known(&mut connection, &owner).await? else {
        bail!(
            NoPosition,
            "bridge {} has not run against this target yet: start it first (binbridge run)",
            plan.name
        );
    };
    if let Some(before) = room.wanted.filter(|before| *before != wanted)
        && room.require(wanted).is_err()
    {
        // Nothing has come of it: the phase is still what is wanted now.
        connection.execute(&Room::withdraw(tables)).await?;
        return tell(&format!("withdrawn: {} (phase: {})", before.as_str(), room.phase));
    }
    room.require(wanted)?;
    connection.execute(&Room::ask(tables, wanted, by_gtid)).await?;
    tell(&format!("asked:    {} (phase: {})", wanted.as_str(), room.phase))?;
    if !Lease::is_held(&mut connection, &owner).await? {
        tell("waiting:  no instance of the bridge works; one that starts (binbridge run) does it")?;
    }
    let aim = match wanted {
        Wanted::Takeover => Phase::Active,
        Wanted::Handback => Phase::Standby,
    };
    let deadline = Instant::now() + limit;
    let mut seen = room.phase;
    loop {
        let Some(room) = Room::read(&mut connection, tables).await? else {
            bail!(NoPosition, "the bridge's row is gone from the target");
        };
        if room.phase != seen {
            seen = room.phase;
            tell(&format!("phase:    {} ({})", room.phase, room.reason))?;
        }
        if room.phase == aim {
            return Ok(());
        }
        if room.wanted.is_none() && matches!(room.phase, Phase::Active | Phase::Standby) {
            bail!(NativeChannel, "{}", room.reason);
        }
        if Instant::now() > deadline {
            bail!(
                Unavailable,
                "not done after {} s: is a bridge running (binbridge status)? what is wanted stays recorded and is done \
                 when one runs",
                limit.as_secs()
            );
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// The row; none before the first run, when the table may not be there either.
async fn known(connection: &mut Connection, owner: &Owner) -> Result<Option<Room>> {
    match Room::read(connection, &owner.tables).await {
        Err(error) if error.code() == Code::SchemaMismatch => Ok(None),
        read => read,
    }
}
