//! What a statement event is: a boundary of a transaction, a change to pass over, or a change to apply.

use bytes::Bytes;

use crate::bail;
use crate::binlog::QueryEvent;
use crate::error::Result;

use super::{Rules, Xid};

/// What becomes of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Passed over; the position advances.
    Drop(Dropped),
    /// Applied, in these words.
    Keep {
        /// The text, with the target's names.
        sql: Bytes,
        /// The default database, under the target's name; empty for none.
        database: Bytes,
    },
}

/// Why a statement is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// It writes to a server's own schema.
    System,
    /// It is about accounts and grants, which are each server's own.
    Account,
    /// It is about the running of a server (FLUSH, RESET, ...).
    Server,
    /// It drops temporary tables, which were never replicated.
    Temporary,
    /// The operator's filter excludes it.
    Filtered,
}

/// How a statement bounds a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Boundary {
    /// It does not.
    None,
    /// `BEGIN`.
    Begin,
    /// `COMMIT`.
    Commit,
    /// `ROLLBACK` (not `ROLLBACK TO`).
    Rollback,
    /// `XA START`.
    XaStart(Xid),
    /// `XA END`.
    XaEnd,
    /// `XA COMMIT`.
    XaCommit(Xid),
    /// `XA ROLLBACK`.
    XaRollback(Xid),
}

/// Recognises the few statements with which a server bounds transactions in its log; it writes them itself, always in
/// the same form (sql/binlog.cc, sql/xa.cc).
pub(super) fn boundary(sql: &[u8]) -> Result<Boundary> {
    Ok(match sql {
        b"BEGIN" => Boundary::Begin,
        b"COMMIT" => Boundary::Commit,
        b"ROLLBACK" => Boundary::Rollback,
        _ if sql.starts_with(b"XA START ") => Boundary::XaStart(xid(&sql[9..])?),
        _ if sql.starts_with(b"XA END ") => Boundary::XaEnd,
        _ if sql.starts_with(b"XA COMMIT ") => Boundary::XaCommit(xid(&sql[10..])?),
        _ if sql.starts_with(b"XA ROLLBACK ") => Boundary::XaRollback(xid(&sql[12..])?),
        _ => Boundary::None,
    })
}

/// `X'6162',X'',1`: how the server serialises an XID (sql/xa.h, `XID::serialize`).
fn xid(text: &[u8]) -> Result<Xid> {
    let text = String::from_utf8_lossy(text);
    let mut parts = text.split(',').map(str::trim);
    let mut hexadecimal = || {
        let digits = parts.next()?.strip_prefix("X'")?.strip_suffix('\'')?;
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
            .collect::<Option<Vec<u8>>>()
    };
    match (
        hexadecimal(),
        hexadecimal(),
        parts.next().and_then(|number| number.split(' ').next()?.parse::<i32>().ok()),
    ) {
        (Some(gtrid), Some(bqual), Some(format_id)) => {
            Ok(Xid { format_id, gtrid: gtrid.into(), bqual: bqual.into() })
        }
        _ => bail!(BadEvent, "an XA statement whose XID cannot be understood"),
    }
}

/// Whether this is the first half of `CREATE TABLE ... SELECT`, which 8.0.21+ sources log as one transaction
/// (sql/sql_table.cc: the text ends in ` START TRANSACTION`).
pub(super) fn is_create_select(sql: &[u8]) -> bool {
    sql.ends_with(b" START TRANSACTION")
        && sql.get(..6).is_some_and(|word| word.eq_ignore_ascii_case(b"CREATE"))
}

/// What becomes of a statement. `standalone` statements commit by themselves; the others stand inside a transaction.
///
/// # Errors
/// `BB3204` if it cannot be known which tables it touches, or if only some of them are replicated.
pub fn judge(rules: &Rules, query: &QueryEvent, standalone: bool) -> Result<Judgement> {
    super::sql::judge(rules, query, standalone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_boundaries_are_recognised() {
        assert_eq!(boundary(b"BEGIN").unwrap(), Boundary::Begin);
        assert_eq!(boundary(b"ROLLBACK TO `a`").unwrap(), Boundary::None);
        let expected = Xid { format_id: 1, gtrid: vec![0x61, 0x62].into(), bqual: vec![].into() };
        assert_eq!(boundary(b"XA START X'6162',X'',1").unwrap(), Boundary::XaStart(expected.clone()));
        assert_eq!(boundary(b"XA COMMIT X'6162',X'',1").unwrap(), Boundary::XaCommit(expected.clone()));
        assert_eq!(boundary(b"XA ROLLBACK X'6162',X'',1").unwrap(), Boundary::XaRollback(expected));
        assert!(boundary(b"XA START nonsense").is_err());
    }

    #[test]
    fn create_select_is_told_from_a_plain_create() {
        assert!(is_create_select(b"CREATE TABLE `t` (`a` int) START TRANSACTION"));
        assert!(!is_create_select(b"CREATE TABLE `t` (`a` int)"));
    }
}
