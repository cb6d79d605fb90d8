//! Whether the account may move the target's own replication: asked in ways that move nothing.

use crate::error::{Code, Error, Result};
use crate::native::{Cloud, Words};
use crate::wire::Connection;

use super::Findings;

/// `ER_SP_WRONG_NO_OF_ARGS`: the server looks at the right to execute first (`sql/sql_call.cc`), so that this is a yes.
const WRONG_NUMBER_OF_ARGUMENTS: u16 = 1318;
/// `ER_SP_DOES_NOT_EXIST`.
const NO_SUCH_PROCEDURE: u16 = 1305;
/// More arguments than any of them takes.
const TOO_MANY: &str = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12";

pub(super) async fn may_move(
    connection: &mut Connection,
    words: Words,
    account: &str,
    findings: &mut Findings,
) -> Result<()> {
    if words.cloud == Cloud::Vanilla {
        return may_stop(connection, words, account, findings).await;
    }
    for procedure in words.procedures() {
        let called = connection.execute(&format!("CALL mysql.{procedure}({TOO_MANY})")).await;
        let Err(error) = called else { continue };
        match error.server().map(|server| server.number) {
            Some(WRONG_NUMBER_OF_ARGUMENTS) => {}
            Some(NO_SUCH_PROCEDURE) => findings.block(Error::new(
                Code::NativeChannel,
                format!("the target has no procedure mysql.{procedure}: is native.dialect right ({})?", words.cloud),
            )),
            Some(_) if error.code() == Code::Privilege => findings.block(error.context(format!(
                "taking over and handing back need it: GRANT EXECUTE ON PROCEDURE mysql.{procedure} TO {account}"
            ))),
            Some(_) => findings.note(format!("mysql.{procedure} answers {error}")),
            None => return Err(error),
        }
    }
    Ok(())
}

/// There is no way to try that moves nothing, and a role may give what the list does not show.
async fn may_stop(
    connection: &mut Connection,
    words: Words,
    account: &str,
    findings: &mut Findings,
) -> Result<()> {
    let grants = connection.query("SHOW GRANTS").await?;
    let text: Vec<&str> = grants.rows.iter().filter_map(|row| row.text(0)).collect();
    let may = ["REPLICATION_SLAVE_ADMIN", "SUPER", "GRANT ALL PRIVILEGES ON *.*"];
    if !text.iter().any(|grant| may.iter().any(|word| grant.contains(word))) {
        findings.note(format!(
            "taking over and handing back ({}) need what the account does not seem to have: GRANT \
             REPLICATION_SLAVE_ADMIN ON *.* TO {account}",
            words.stop()
        ));
    }
    Ok(())
}
