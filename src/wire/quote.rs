//! SQL literals and identifiers that mean the same under every `sql_mode` and connection character set.

use std::fmt::Write;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// A text literal. Plain quotes where nothing in it can be misread, else `_utf8mb4 X'..'`: a backslash depends on
/// `NO_BACKSLASH_ESCAPES`, and bytes above 127 on the connection's character set.
pub fn quote_text(text: &str) -> String {
    let plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\'' && byte != b'\\');
    if plain { format!("'{text}'") } else { format!("_utf8mb4 {}", hex_literal(text.as_bytes())) }
}

/// An identifier in backticks, which `ANSI_QUOTES` leaves alone.
pub fn quote_identifier(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len() + 2);
    let _ = write!(quoted, "`{}`", name.replace('`', "``"));
    quoted
}

/// A binary string literal, `X'..'`.
pub fn hex_literal(bytes: &[u8]) -> String {
    let mut literal = String::with_capacity(bytes.len() * 2 + 3);
    literal.push_str("X'");
    for &byte in bytes {
        literal.push(char::from(HEX[usize::from(byte >> 4)]));
        literal.push(char::from(HEX[usize::from(byte & 15)]));
    }
    literal.push('\'');
    literal
}

/// Appends the binary string literal `X'..'` to a statement that is being built from bytes.
pub fn push_hex(statement: &mut Vec<u8>, bytes: &[u8]) {
    statement.reserve(bytes.len() * 2 + 3);
    statement.extend_from_slice(b"X'");
    statement
        .extend(bytes.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]));
    statement.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_readable() {
        assert_eq!(quote_text("binlog.000001"), "'binlog.000001'");
        assert_eq!(quote_text(""), "''");
    }

    #[test]
    fn what_a_server_setting_could_misread_becomes_hex() {
        assert_eq!(quote_text("o'k"), "_utf8mb4 X'6F276B'");
        assert_eq!(quote_text("\\"), "_utf8mb4 X'5C'");
        assert_eq!(quote_text("é"), "_utf8mb4 X'C3A9'");
        assert_eq!(quote_text("a\0b\n"), "_utf8mb4 X'6100620A'");
    }

    #[test]
    fn backticks_in_identifiers_are_doubled() {
        assert_eq!(quote_identifier("a`b"), "`a``b`");
        assert_eq!(quote_identifier("plain"), "`plain`");
    }

    #[test]
    fn both_hex_writers_agree() {
        let mut statement = b"SELECT ".to_vec();
        push_hex(&mut statement, &[0, 0x7f, 0xff]);
        assert_eq!(statement, b"SELECT X'007FFF'");
        assert_eq!(hex_literal(&[0, 0x7f, 0xff]), "X'007FFF'");
        assert_eq!(hex_literal(&[]), "X''");
    }
}
