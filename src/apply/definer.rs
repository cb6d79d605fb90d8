//! The `DEFINER` clause of views, triggers, routines and events. An account that may not name another's (Azure grants
//! `SET_ANY_DEFINER` to nobody) can still create them as its own.

/// The statement without its `DEFINER = user` clause; `None` if it has none where the grammar puts it (MySQL 8.4 manual,
/// 15.1.23 `CREATE VIEW` and its like: after `CREATE [OR REPLACE] [ALGORITHM = x]` or `ALTER`).
pub(super) fn without_definer(sql: &[u8]) -> Option<Vec<u8>> {
    let mut at = Cursor { sql, at: 0 };
    let first = at.word()?;
    if !matches_any(first, &["CREATE", "ALTER"]) {
        return None;
    }
    loop {
        let start = at.at;
        let word = at.word()?;
        if matches_any(word, &["DEFINER"]) {
            at.byte(b'=')?;
            at.account()?;
            let head = sql.get(..start)?;
            let tail = sql.get(at.at..)?;
            return Some([head, tail].concat());
        }
        if matches_any(word, &["ALGORITHM"]) {
            at.byte(b'=')?;
            at.word()?;
        } else if !matches_any(word, &["OR", "REPLACE", "AGGREGATE"]) {
            return None;
        }
    }
}

fn matches_any(word: &[u8], words: &[&str]) -> bool {
    words.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

struct Cursor<'a> {
    sql: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        self.sql.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        self.at += self.rest().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }

    fn word(&mut self) -> Option<&'a [u8]> {
        self.skip_space();
        let bare =
            |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'_' | b'$') || !byte.is_ascii();
        let length = self.rest().iter().take_while(bare).count();
        let word = self.rest().get(..length).filter(|word| !word.is_empty())?;
        self.at += length;
        Some(word)
    }

    /// Takes a byte, and the white space before it; nothing, if another stands there.
    fn byte(&mut self, wanted: u8) -> Option<()> {
        let before = self.at;
        self.skip_space();
        if self.rest().first() == Some(&wanted) {
            self.at += 1;
            return Some(());
        }
        self.at = before;
        None
    }

    /// `name`, `name@host`, either quoted, or `CURRENT_USER[()]`.
    fn account(&mut self) -> Option<()> {
        self.name()?;
        if self.byte(b'(').is_some() {
            return self.byte(b')');
        }
        if self.byte(b'@').is_some() { self.name() } else { Some(()) }
    }

    fn name(&mut self) -> Option<()> {
        self.skip_space();
        let quote = *self.rest().first()?;
        if !matches!(quote, b'`' | b'\'' | b'"') {
            return self.word().map(|_| ());
        }
        let mut length = 1;
        loop {
            length += 1 + self.rest().get(length..)?.iter().position(|byte| *byte == quote)?;
            // A quote inside the name is doubled.
            if self.rest().get(length) != Some(&quote) {
                self.at += length;
                return Some(());
            }
            length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(sql: &str) -> Option<String> {
        without_definer(sql.as_bytes()).map(|sql| String::from_utf8(sql).unwrap())
    }

    #[test]
    fn only_the_clause_goes() {
        for (sql, expected) in [
            ("CREATE DEFINER=`root`@`localhost` TRIGGER t BEFORE", "CREATE TRIGGER t BEFORE"),
            (
                "CREATE ALGORITHM=UNDEFINED DEFINER=`a``b`@`%` SQL SECURITY DEFINER VIEW `v` AS select 1",
                "CREATE ALGORITHM=UNDEFINED SQL SECURITY DEFINER VIEW `v` AS select 1",
            ),
            (
                "create or replace definer = 'o''k' @ \"h\" view v as select 'DEFINER=`x`'",
                "create or replace view v as select 'DEFINER=`x`'",
            ),
            ("CREATE DEFINER=CURRENT_USER() PROCEDURE p() SELECT 1", "CREATE PROCEDURE p() SELECT 1"),
            ("ALTER DEFINER=app EVENT e DISABLE", "ALTER EVENT e DISABLE"),
        ] {
            assert_eq!(stripped(sql).as_deref(), Some(expected), "{sql}");
        }
    }

    #[test]
    fn what_has_no_clause_stays() {
        for sql in [
            "CREATE TABLE definer (a int)",
            "CREATE VIEW v AS SELECT 1",
            "DROP VIEW v",
            "CREATE DEFINER=`open",
            "CREATE DEFINER",
            "",
        ] {
            assert_eq!(stripped(sql), None, "{sql}");
        }
    }
}
