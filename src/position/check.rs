//! Are coordinates still a place in the source's binlog?

use super::Coordinates;
use crate::bail;
use crate::error::Result;

/// Where the first event of a binlog file begins, behind the magic number.
const FIRST_EVENT: u64 = 4;

/// Compares `coordinates` with what `SHOW BINARY LOGS` says: names and sizes, oldest first.
///
/// The end of a file is a good place. Whether an offset is the start of an event only the dump itself shows.
///
/// # Errors
/// `Purged` if the file is gone, `ImpossiblePosition` if it never was this server's or the offset is beyond its end,
/// `SourceSettings` if the server has no binlog at all.
pub fn check_against_logs(coordinates: &Coordinates, logs: &[(String, u64)]) -> Result<()> {
    let (Some((oldest, _)), Some((newest, newest_size))) = (logs.first(), logs.last()) else {
        bail!(SourceSettings, "the source shows no binary logs at all: log_bin is off there");
    };
    let Coordinates { file, offset } = coordinates;
    let Some((_, size)) = logs.iter().find(|(name, _)| **name == **file) else {
        return missing(coordinates, logs, oldest, newest);
    };
    if *offset < FIRST_EVENT {
        bail!(ImpossiblePosition, "{coordinates}: the first event of a binlog file is at {FIRST_EVENT}");
    }
    if offset > size {
        bail!(
            ImpossiblePosition,
            "{coordinates} is beyond the end of this file, which has {size} bytes; the source's log ends at \
             {newest}:{newest_size}"
        );
    }
    Ok(())
}

/// Why is a file not in the list?
fn missing(coordinates: &Coordinates, logs: &[(String, u64)], oldest: &str, newest: &str) -> Result<()> {
    let range = format!("the source has {oldest} to {newest} ({} files)", logs.len());
    let relay = if coordinates.file.contains("relay") {
        "; this looks like the name of a relay log: take Relay_Source_Log_File (Relay_Master_Log_File), not \
         Relay_Log_File"
    } else {
        ""
    };
    let numbers = (
        Coordinates::numbered(&coordinates.file),
        Coordinates::numbered(oldest),
        Coordinates::numbered(newest),
    );
    let (Some((base, number)), Some((first_base, first)), Some((last_base, last))) = numbers else {
        bail!(ImpossiblePosition, "{coordinates} is in no binlog of the source; {range}{relay}");
    };
    if base != first_base && base != last_base {
        bail!(ImpossiblePosition, "{coordinates} is another server's: {range}{relay}");
    }
    if base == last_base && number > last {
        bail!(
            ImpossiblePosition,
            "{coordinates} is in a file that the source does not have yet: {range}; another server was asked, or \
             this one was reset or replaced"
        );
    }
    if base == first_base && number > first {
        bail!(Purged, "{coordinates}: this file is missing between the others; {range}");
    }
    bail!(Purged, "{coordinates}: the source has purged this file; {range}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn logs() -> Vec<(String, u64)> {
        [(7, 1000), (8, 2000), (10, 500)]
            .map(|(n, size)| (format!("mysql-bin-changelog.{n:06}"), size))
            .to_vec()
    }

    #[test]
    fn places_within_a_file_that_is_there_are_good() {
        for (file, offset) in [(7, 4), (8, 2000), (10, 157), (10, 500)] {
            let coordinates = Coordinates::new(format!("mysql-bin-changelog.{file:06}"), offset);
            check_against_logs(&coordinates, &logs()).unwrap();
        }
    }

    #[test]
    fn places_that_are_not_say_why() {
        for (file, offset, code, word) in [
            (
                "mysql-bin-changelog.000006",
                4,
                Code::Purged,
                "has mysql-bin-changelog.000007 to mysql-bin-changelog.000010",
            ),
            ("mysql-bin-changelog.000009", 4, Code::Purged, "between"),
            ("mysql-bin-changelog.000011", 4, Code::ImpossiblePosition, "not have yet"),
            ("mysql-bin-changelog.000010", 501, Code::ImpossiblePosition, "500 bytes"),
            ("mysql-bin-changelog.000010", 3, Code::ImpossiblePosition, "at 4"),
            ("binlog.000007", 4, Code::ImpossiblePosition, "another server's"),
            ("host-relay-bin.000007", 4, Code::ImpossiblePosition, "Relay_Source_Log_File"),
            ("nonsense", 4, Code::ImpossiblePosition, "no binlog"),
        ] {
            let error = check_against_logs(&Coordinates::new(file, offset), &logs()).unwrap_err();
            assert_eq!(error.code(), code, "{file}:{offset}");
            assert!(error.message().contains(word), "{error}");
        }
        let error = check_against_logs(&Coordinates::new("binlog.000001", 4), &[]).unwrap_err();
        assert_eq!(error.code(), Code::SourceSettings);
    }

    #[test]
    fn file_numbers_that_grew_a_digit_are_newer() {
        let logs = [("b.999999".to_owned(), 10), ("b.1000000".to_owned(), 10)];
        check_against_logs(&Coordinates::new("b.1000000", 4), &logs).unwrap();
        let older = check_against_logs(&Coordinates::new("b.999998", 4), &logs).unwrap_err();
        assert_eq!(older.code(), Code::Purged);
    }
}
