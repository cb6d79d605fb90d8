//! The target: what the account may do there, found out by trying what changes nothing.

use crate::apply::{Encoder, Packet, Session};
use crate::error::{Code, Error, Result};
use crate::native::{Words, channel};
use crate::transaction::Format;
use crate::wire::{Connection, Rows};

use super::{Findings, SourceFacts, procedures};

/// What the bridge will want of the target.
#[derive(Debug, Clone, Copy)]
pub struct Demands {
    /// Transactions are to keep the source's GTIDs.
    pub preserve: bool,
    /// Whose words move the target's own replication.
    pub words: Words,
}

/// Looks at the target through a session that has done nothing yet. What is known of the source is compared.
///
/// # Errors
/// Those of the connection.
pub async fn target(
    mut session: Session,
    demands: Demands,
    source: Option<&SourceFacts>,
) -> Result<Findings> {
    let mut findings = Findings::default();
    // In one round trip.
    let questions = [
        "SELECT CURRENT_USER()",
        "SELECT @@global.gtid_mode",
        ENABLED_EVENTS,
        "SELECT @@global.server_id",
        // The format description event sets gtid_next, which no open transaction allows.
        "COMMIT",
    ];
    let answers = session.connection.query_each(&questions.map(str::to_owned)).await?;
    let answer = |index: usize| answers.get(index).and_then(Rows::scalar).unwrap_or_default();
    let account = grantee(answer(0));
    if let Some(format) = source.and_then(|source| source.format.as_ref()) {
        takes_row_events(&mut session, format, &account, &mut findings).await?;
    }
    let connection = &mut session.connection;
    let gtid_mode = answer(1);
    if gtid_mode.starts_with("ON") || demands.preserve {
        takes_gtids(connection, &account, &mut findings).await?;
    }
    if let Some(source) = source.filter(|source| source.max_packet > session.max_packet as u64) {
        findings.note(format!(
            "max_allowed_packet is {} on the target and {} on the source: rows larger than three quarters of the \
             target's stop the bridge (BB3205)",
            session.max_packet, source.max_packet
        ));
    }
    note_events(answer(2), &mut findings);
    let connection = &mut session.connection;
    // An account that may not ask cannot run native replication either.
    if channel(connection).await.ok().flatten().is_some() {
        procedures::may_move(connection, demands.words, &account, &mut findings).await?;
        same_server_id(answer(3), source, &mut findings);
    }
    session.connection.close().await;
    Ok(findings)
}

/// As `GRANT ... TO` takes it.
fn grantee(account: &str) -> String {
    let (user, host) = account.rsplit_once('@').unwrap_or((account, "%"));
    format!("'{}'@'{}'", user.replace('\'', "''"), host.replace('\'', "''"))
}

/// The format description event alone changes nothing but the session.
async fn takes_row_events(
    session: &mut Session,
    format: &Format,
    account: &str,
    findings: &mut Findings,
) -> Result<()> {
    let mut packet = Packet::default();
    Encoder::format(format, &mut packet);
    session.send(&packet).await?;
    for _ in 0..packet.replies {
        let crate::wire::Reply::Failed(server) = session.reply().await? else { continue };
        let error: Error = crate::wire::refused(server);
        match error.code() {
            Code::Privilege => findings.block(lacks(error, "REPLICATION_APPLIER", account)),
            _ => findings.block(error.context("the target refuses the source's format description event")),
        }
        break;
    }
    session.roll_back().await
}

async fn takes_gtids(connection: &mut Connection, account: &str, findings: &mut Findings) -> Result<()> {
    match connection.execute("SET gtid_next = 'AUTOMATIC'").await {
        Err(error) if error.code() == Code::Privilege => {
            findings.block(lacks(error, "REPLICATION_APPLIER", account));
            Ok(())
        }
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

fn lacks(error: Error, privilege: &str, account: &str) -> Error {
    error.context(format!(
        "the target account lacks {privilege}: GRANT {privilege} ON *.* TO {account} (Azure's administrator has it)"
    ))
}

/// Events that run on both sides do everything twice.
fn note_events(enabled: &str, findings: &mut Findings) {
    if enabled != "0" {
        findings.note(format!(
            "{enabled} events are enabled on the target and event_scheduler is ON: what they do is done by the source's \
             events too; turn event_scheduler off until the cut-over"
        ));
    }
}

const ENABLED_EVENTS: &str = "SELECT COUNT(*) FROM information_schema.events WHERE status = 'ENABLED' \
                              AND @@global.event_scheduler = 'ON'";

/// A replica refuses a source of its own id (1593), so there would be no handing back.
fn same_server_id(own: &str, source: Option<&SourceFacts>, findings: &mut Findings) {
    if source.is_some_and(|source| source.identity.server_id.to_string() == own) {
        findings.block(Error::new(
            Code::DuplicateServerId,
            format!(
                "source and target have the same server_id ({own}): the target's own replication cannot run, so there is \
                 nothing to take over from or to hand back to; change server_id of one of the two servers"
            ),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_named_as_grant_takes_it() {
        assert_eq!(grantee("binbridge@%"), "'binbridge'@'%'");
        assert_eq!(grantee("o'neil@home@10.0.0.%"), "'o''neil@home'@'10.0.0.%'");
    }
}
