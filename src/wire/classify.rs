//! From a server's error number to our code. Numbers and names: MySQL 9.x "Server Error Message Reference"; those above
//! 1900 and below 2000 are MariaDB's.

use std::borrow::Cow;

use crate::error::{Code, Error, ServerError};

/// The code of a server's error; what is not known here is [`Code::Apply`].
pub fn classify(server: &ServerError) -> Code {
    match server.number {
        1045 | 1129 | 1130 | 1698 | 1820 | 1862 | 3118 | 3955 => Code::AccessDenied,
        1044 | 1095 | 1142 | 1143 | 1227 | 1370 | 1410 | 1419 => Code::Privilege,
        1251 | 1275 | 1524 | 2059 => Code::AuthPlugin,
        1022 | 1062 | 1586 | 1859 => Code::DuplicateKey,
        1032 => Code::RowMissing,
        1216 | 1217 | 1451 | 1452 | 1761 | 1762 => Code::ForeignKey,
        1205 | 1213 | 1613 | 1614 | 3058 | 3101 | 3572 => Code::LockConflict,
        1290 => option_prevents(&server.message),
        1792 | 1836 | 3100 => Code::ReadOnly,
        1040 | 1041 | 1053 | 1135 | 1203 | 1226 | 1317 | 1637 | 3168 => Code::ServerBusy,
        1153 | 1301 => Code::TooLarge,
        1007 | 1008 | 1046 | 1049 | 1050 | 1051 | 1054 | 1060 | 1061 | 1072 | 1091 | 1136 | 1146 | 1535
        | 1677 => Code::SchemaMismatch,
        3159 => Code::Tls,
        1236 => dump_refused(&server.message),
        1381 => Code::SourceSettings,
        1789 => Code::Purged,
        1080 | 1152 | 1158..=1161 | 1184 | 1927 | 2006 | 2013 | 3169 | 4031 => Code::ConnectionLost,
        _ => Code::Apply,
    }
}

/// `ER_OPTION_PREVENTS_STATEMENT` names `--read-only`, `--super-read-only`, or an option that is no matter of state.
fn option_prevents(message: &str) -> Code {
    let message = message.to_ascii_lowercase();
    if message.contains("read-only") || message.contains("read_only") { Code::ReadOnly } else { Code::Apply }
}

/// `ER_SOURCE_FATAL_ERROR_READING_BINLOG` has one number for everything; the texts are those of `rpl_binlog_sender.cc`
/// and `rpl_source.cc`, in the words of 5.7 (master, slave) to 9.x (source, replica).
fn dump_refused(message: &str) -> Code {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if says(&["same server_uuid/server_id", "same server_id", "same server_uuid"]) {
        Code::DuplicateServerId
    } else if says(&["could not find first log file", "purged", "could not find next log"]) {
        Code::Purged
    } else if says(&["impossible position", "position > file size", "position < 4", "has more gtids than"]) {
        Code::ImpossiblePosition
    } else if says(&["auto_position mode"]) {
        Code::SourceSettings
    } else if says(&["max_allowed_packet"]) {
        Code::TooLarge
    } else {
        Code::Dump
    }
}

/// The error for what a server refused. Of its text only that is repeated which names objects and accounts, never what may
/// quote a row's values; [`Error::server`] has all of it.
pub fn refused(server: ServerError) -> Error {
    let code = classify(&server);
    let mut message = format!("server answers error {}", server.number);
    if !server.state.is_empty() {
        message = format!("{message} ({})", server.state);
    }
    let words = without_values(&server, code);
    if !words.is_empty() {
        message = format!("{message}: {words}");
    }
    Error::new(code, message).with_server(server)
}

/// A server's text without what may be a value.
fn without_values(server: &ServerError, code: Code) -> Cow<'_, str> {
    let text = server.message.as_str();
    match server.number {
        // Whatever a SIGNAL of the user's says.
        1643..=1645 => Cow::Borrowed(""),
        // Errors that name columns and constraints only.
        1048 | 1264 | 1364 | 1406 | 3819 => Cow::Borrowed(text),
        1761 | 1762 => masked(text),
        _ => match code {
            // `Duplicate entry '<value>' for key '<name>'`: a value may look like the end, the last one is the end.
            Code::DuplicateKey => match text.rfind("' for key ") {
                Some(end) => Cow::Owned(format!("duplicate entry{}", &text[end + 1..])),
                None => Cow::Borrowed(""),
            },
            Code::Apply | Code::Protocol => masked(text),
            _ => Cow::Borrowed(text),
        },
    }
}

/// The text with everything from its first quote to its last one left out.
fn masked(text: &str) -> Cow<'_, str> {
    let quote = |c: char| matches!(c, '\'' | '"');
    match (text.find(quote), text.rfind(quote)) {
        (Some(first), Some(last)) => Cow::Owned(format!("{}'...'{}", &text[..first], &text[last + 1..])),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(number: u16, message: &str) -> ServerError {
        ServerError { number, state: "HY000".to_owned(), message: message.to_owned() }
    }

    #[test]
    fn numbers_lead_to_codes() {
        for (number, code) in [
            (1045, Code::AccessDenied),
            (1129, Code::AccessDenied),
            (1142, Code::Privilege),
            (1227, Code::Privilege),
            (1044, Code::Privilege),
            (1062, Code::DuplicateKey),
            (1032, Code::RowMissing),
            (1451, Code::ForeignKey),
            (1452, Code::ForeignKey),
            (1205, Code::LockConflict),
            (1213, Code::LockConflict),
            (1836, Code::ReadOnly),
            (3100, Code::ReadOnly),
            (1040, Code::ServerBusy),
            (1053, Code::ServerBusy),
            (1203, Code::ServerBusy),
            (1153, Code::TooLarge),
            (1146, Code::SchemaMismatch),
            (1054, Code::SchemaMismatch),
            (1677, Code::SchemaMismatch),
            (3159, Code::Tls),
            (1381, Code::SourceSettings),
            (2013, Code::ConnectionLost),
            (1064, Code::Apply),
        ] {
            assert_eq!(classify(&error(number, "")), code, "{number}");
        }
    }

    #[test]
    fn an_option_that_prevents_a_statement_is_read_only_only_if_it_says_so() {
        let read_only =
            "The MySQL server is running with the --super-read-only option so it cannot execute this";
        let secure =
            "The MySQL server is running with the --secure-file-priv option so it cannot execute this";
        assert_eq!(classify(&error(1290, read_only)), Code::ReadOnly);
        assert_eq!(classify(&error(1290, secure)), Code::Apply);
    }

    #[test]
    fn refused_dumps_are_told_apart_by_the_words_of_old_and_new_servers() {
        for (message, code) in [
            ("Could not find first log file name in binary log index file", Code::Purged),
            (
                "The slave is connecting using CHANGE MASTER TO MASTER_AUTO_POSITION = 1, but the master has purged \
                 binary logs containing GTIDs that the slave requires.",
                Code::Purged,
            ),
            ("Cannot replicate because the source purged required binary logs.", Code::Purged),
            (
                "Client requested source to start replication from position > file size",
                Code::ImpossiblePosition,
            ),
            (
                "Client requested master to start replication from impossible position; the first event 'b.1' at 4",
                Code::ImpossiblePosition,
            ),
            (
                "A slave with the same server_uuid/server_id as this slave has connected to the master",
                Code::DuplicateServerId,
            ),
            (
                "A replica with the same server_uuid/server_id as this replica has connected to the source",
                Code::DuplicateServerId,
            ),
            (
                "Slave has more GTIDs than the master has, using the master's SERVER_UUID.",
                Code::ImpossiblePosition,
            ),
            (
                "The replication sender thread cannot start in AUTO_POSITION mode: this server has GTID_MODE = OFF",
                Code::SourceSettings,
            ),
            ("log event entry exceeded max_allowed_packet", Code::TooLarge),
            ("Binary log is not open", Code::Dump),
        ] {
            assert_eq!(classify(&error(1236, message)), code, "{message}");
        }
    }

    #[test]
    fn values_in_a_servers_text_are_not_repeated_and_names_are() {
        for (number, text, shown) in [
            (1062, "Duplicate entry 'hunter2' for key 't.PRIMARY'", "entry for key 't.PRIMARY'"),
            (1062, "Duplicate entry 'x' for key 'hunter2' for key 't.a'", "entry for key 't.a'"),
            (1064, "syntax to use near 'hunter2'' at line 1", "near '...' at line 1"),
            (1366, "Incorrect string value: 'hunter2' for column 'c' at row 1", "value: '...' at row 1"),
            (1644, "hunter2 is not allowed", "error 1644"),
            (1048, "Column 'c' cannot be null", "Column 'c' cannot be null"),
            (1146, "Table 'a.b' doesn't exist", "'a.b'"),
            (1452, "a foreign key constraint fails (`a`.`b`, CONSTRAINT `c`", "CONSTRAINT `c`"),
        ] {
            let error = refused(ServerError { number, state: String::new(), message: text.to_owned() });
            let words = error.to_string();
            assert!(words.contains(shown) && !words.contains("hunter2"), "{words}");
            assert_eq!(error.server().unwrap().message, text);
        }
    }
}
