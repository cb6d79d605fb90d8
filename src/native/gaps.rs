//! Up to where a multi-threaded native applier has applied, and whether it left gaps below that.
//!
//! `Exec_Source_Log_Pos` is what the applier's last checkpoint found to be applied without a gap. Workers go on above it,
//! and after a stop by an error it stays behind them (MySQL manual, "Replication and Transaction Inconsistencies"; seen on
//! 9.7 with a single worker, too). Each worker's last transaction is in `mysql.slave_worker_info`. One worker, or workers
//! that commit in the source's order (`replica_preserve_commit_order`), leave no gaps: what the furthest has applied is the
//! position. Others may.

use crate::bail;
use crate::error::{Code, Result};
use crate::position::Coordinates;
use crate::wire::{Connection, ReplicaStatus};

/// What a stopped applier has applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// Everything up to there and nothing above.
    UpTo(Coordinates),
    /// Everything up to there, and some above.
    WithGaps(Coordinates),
}

/// Reads what a stopped channel has applied.
///
/// # Errors
/// `BB4013` if the account may not look and it matters; those of the connection.
pub async fn applied(connection: &mut Connection, status: &ReplicaStatus) -> Result<Applied> {
    let low = place(&status.relay_source_log_file, status.exec_source_log_pos);
    let [workers, order] = if connection.dialect().is_at_least((8, 0, 26)) {
        ["replica_parallel_workers", "replica_preserve_commit_order"]
    } else {
        ["slave_parallel_workers", "slave_preserve_commit_order"]
    };
    let settings = connection.query(&format!("SELECT @@global.{workers}, @@global.{order}")).await?;
    let setting = |index: usize| settings.rows.first().and_then(|row| row.text(index)).unwrap_or("0");
    let workers = setting(0).parse::<u32>().unwrap_or(0);
    if workers == 0 {
        return Ok(Applied::UpTo(low));
    }
    let ordered = workers == 1 || setting(1) == "1";
    let sql =
        format!("SELECT Master_log_name, Master_log_pos FROM mysql.slave_worker_info WHERE Id <= {workers}");
    let rows = match connection.query(&sql).await {
        Ok(rows) => rows,
        // After a stop without an error the applier has made a last checkpoint.
        Err(error) if error.code() == Code::Privilege && ordered && status.last_sql_errno == 0 => {
            return Ok(Applied::UpTo(low));
        }
        Err(error) if error.code() == Code::Privilege => bail!(
            NativeChannel,
            "transactions above the native applier's position may be applied, and the account may not read \
             mysql.slave_worker_info to see: grant SELECT on it, or take over by GTID"
        ),
        Err(error) => return Err(error),
    };
    let received = place(&status.source_log_file, status.read_source_log_pos);
    let places = rows.rows.iter().filter_map(|row| Some(place(row.text(0)?, row.text(1)?.parse().ok()?)));
    Ok(judge(low, &received, places, ordered))
}

/// What lies beyond what was received is of another source, from before.
fn judge(
    low: Coordinates,
    received: &Coordinates,
    workers: impl Iterator<Item = Coordinates>,
    ordered: bool,
) -> Applied {
    let above = workers.filter(|at| is_after(at, &low) && !is_after(at, received));
    let furthest = above.reduce(|one, other| if is_after(&other, &one) { other } else { one });
    match furthest {
        None => Applied::UpTo(low),
        Some(furthest) if ordered => Applied::UpTo(furthest),
        Some(_) => Applied::WithGaps(low),
    }
}

fn place(file: &str, offset: u64) -> Coordinates {
    Coordinates { file: file.into(), offset }
}

/// Files of one server count up; a name without a number is none (a worker that has not worked).
fn is_after(worker: &Coordinates, low: &Coordinates) -> bool {
    let number = |file: &str| file.rsplit_once('.').and_then(|(_, number)| number.parse::<u64>().ok());
    match (number(&worker.file), number(&low.file)) {
        (Some(worker_file), Some(low_file)) => (worker_file, worker.offset) > (low_file, low.offset),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_as_numbers_and_a_worker_without_work_is_nowhere() {
        let low = place("bin.999999", 500);
        assert!(is_after(&place("bin.1000000", 4), &low));
        assert!(is_after(&place("bin.999999", 501), &low));
        assert!(!is_after(&place("bin.999999", 500), &low));
        assert!(!is_after(&place("bin.000007", 900), &low));
        assert!(!is_after(&place("", 900), &low));
    }

    #[test]
    fn ordered_workers_are_as_far_as_the_furthest_and_others_leave_gaps() {
        let low = || place("bin.000007", 500);
        let received = place("bin.000008", 900);
        let judge = |at: &[Coordinates], ordered| judge(low(), &received, at.iter().cloned(), ordered);
        let workers = [place("bin.000007", 700), place("bin.000008", 4), place("", 0)];
        assert_eq!(judge(&workers, true), Applied::UpTo(place("bin.000008", 4)));
        assert_eq!(judge(&workers, false), Applied::WithGaps(low()));
        assert_eq!(judge(&[place("bin.000007", 400)], false), Applied::UpTo(low()));
        assert_eq!(judge(&[place("bin.000031", 4)], false), Applied::UpTo(low()));
    }
}
