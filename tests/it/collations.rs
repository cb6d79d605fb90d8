//! What claims take collations for, asked of a server: texts that are equal to it must have equal claims.

use std::fmt::Write as _;

use binbridge::hex::hex;
use binbridge::schedule::Collation;

use crate::support::{Server, ServerOptions};

/// Texts of printable ASCII, each normalised as claims do, so that all of them are different keys: every one of two
/// characters, every one of three letters (what languages count as one letter is found among these), and some longer
/// ones.
fn texts(fold: bool) -> Vec<String> {
    let printable: Vec<u8> = (b' '..=b'~').filter(|byte| !fold || !byte.is_ascii_uppercase()).collect();
    let one = printable.iter().map(|byte| vec![*byte]);
    let two = printable.iter().flat_map(|first| printable.iter().map(|second| vec![*first, *second]));
    let mut texts: Vec<Vec<u8>> = one.chain(two).collect();
    let letters = b'a'..=b'z';
    for first in letters.clone() {
        for second in letters.clone() {
            // Hungarian writes a double `cs` as `ccs`.
            texts.push(vec![first, second, first, second]);
            texts.extend(letters.clone().map(|third| vec![first, second, third]));
        }
    }
    let mut random = fastrand::Rng::with_seed(1);
    texts.extend(
        (0..4000)
            .map(|_| (0..random.usize(3..7)).map(|_| random.choice(&printable).copied().unwrap()).collect()),
    );
    let mut texts: Vec<String> =
        texts.into_iter().map(|text| String::from_utf8(text).unwrap().trim_end().to_owned()).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// How many of a table's texts each collation tells apart.
fn told_apart(server: &Server, asked: &[Asked<'_>]) -> Vec<usize> {
    let questions: Vec<String> = asked
        .iter()
        .map(|asked| format!("SELECT COUNT(DISTINCT {}) FROM probe.{}", asked.text(), asked.table))
        .collect();
    server.sql(&questions.join("; ")).lines().map(|count| count.parse().unwrap()).collect()
}

struct Asked<'a> {
    charset: &'a str,
    collation: &'a str,
    table: &'a str,
}

impl Asked<'_> {
    /// The text as its collation sees it: the bytes themselves, but where characters are wider.
    fn text(&self) -> String {
        let wide = ["ucs2", "utf16", "utf16le", "utf32"].contains(&self.charset);
        let ascii = if wide { "CONVERT(a USING ascii)" } else { "a" };
        format!("CONVERT({ascii} USING {}) COLLATE {}", self.charset, self.collation)
    }

    /// Texts that it takes for equal.
    fn joined(&self, server: &Server) -> String {
        server.sql(&format!(
            "SELECT GROUP_CONCAT(CONVERT(a USING ascii) SEPARATOR ' = ') FROM probe.{} GROUP BY {} \
             HAVING COUNT(*) > 1 LIMIT 9",
            self.table,
            self.text()
        ))
    }
}

fn fill(server: &Server, table: &str, texts: &[String]) {
    let mut sql = format!("CREATE TABLE probe.{table} (a VARBINARY(8) NOT NULL PRIMARY KEY);");
    for some in texts.chunks(5000) {
        let values: Vec<String> = some.iter().map(|text| format!("(X'{}')", hex(text.as_bytes()))).collect();
        let _ = write!(sql, "INSERT INTO probe.{table} VALUES {};", values.join(", "));
    }
    server.sql(&sql);
}

/// Each was once taken for one that does nothing but fold, or counts several letters as one.
const JOINING: [(&str, &str); 7] = [
    ("big5", "big5_chinese_ci"),
    ("gbk", "gbk_chinese_ci"),
    ("gb2312", "gb2312_chinese_ci"),
    ("macce", "macce_general_ci"),
    ("geostd8", "geostd8_general_ci"),
    ("koi8u", "koi8u_general_ci"),
    ("utf8mb4", "utf8mb4_hu_0900_ai_ci"),
];

#[test]
fn texts_that_a_server_takes_for_equal_have_equal_claims() {
    let server = Server::start(ServerOptions::new("probe"));
    server.sql("CREATE DATABASE probe");
    let (folded, exact) = (texts(true), texts(false));
    fill(&server, "folded", &folded);
    fill(&server, "exact", &exact);
    let all = server.sql("SELECT character_set_name, collation_name FROM information_schema.collations");
    let asked: Vec<Asked<'_>> = all
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(charset, collation)| match Collation::of(Some(collation)) {
            Collation::Folded => Some(Asked { charset, collation, table: "folded" }),
            // Binary strings have no character set to be converted to.
            _ if collation == "binary" => None,
            Collation::Bytes => Some(Asked { charset, collation, table: "exact" }),
            Collation::Unknown => None,
        })
        .collect();
    assert!(asked.len() > 70, "{} of {} collations", asked.len(), all.lines().count());
    let mut wrong = Vec::new();
    for (asked, counted) in asked.iter().zip(told_apart(&server, &asked)) {
        let expected = if asked.table == "folded" { folded.len() } else { exact.len() };
        if counted != expected {
            wrong.push(format!("{}: {}", asked.collation, asked.joined(&server)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The question finds what it is for.
    let joining = JOINING.map(|(charset, collation)| Asked { charset, collation, table: "folded" });
    for (asked, counted) in joining.iter().zip(told_apart(&server, &joining)) {
        assert_eq!(Collation::of(Some(asked.collation)), Collation::Unknown, "{}", asked.collation);
        assert!(counted < folded.len(), "{} tells all apart", asked.collation);
    }
}
