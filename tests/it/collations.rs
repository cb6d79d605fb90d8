//! What claims take collations for, asked of a server: texts that are equal to it must have equal claims.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use binbridge::hex::hex;
use binbridge::schedule::{Collation, Weights};

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

/// A collation of which weights are asked for.
struct Weighing<'a> {
    server: &'a Server,
    charset: &'a str,
    collation: &'a str,
}

impl Weighing<'_> {
    fn known(&self) -> Option<Weights> {
        let questions = Weights::questions(self.collation)?;
        let answers: Vec<String> = questions.iter().map(|question| self.server.sql(question)).collect();
        let columns = answers.iter().flat_map(|row| row.trim_end().split('\t'));
        Some(Weights::of(self.collation, columns).expect(self.collation))
    }

    /// The characters of which something is known, as they are stored.
    fn letters(&self, known: &Weights) -> Vec<Vec<u8>> {
        let all = 0x20..0xA000_u32;
        let stored = all.filter_map(|letter| match self.charset {
            "latin1" => u8::try_from(letter).ok().map(|byte| vec![byte]),
            _ => char::from_u32(letter).map(|letter| letter.to_string().into_bytes()),
        });
        stored.filter(|letter| known.claim(letter).is_some()).collect()
    }

    /// Of several levels, the first, as hexadecimal digits.
    fn weigh(&self, texts: &[&[u8]]) -> Vec<String> {
        let Self { server, charset, collation } = self;
        let of =
            |text: &&[u8]| format!("HEX(WEIGHT_STRING(_{charset} X'{}' COLLATE {collation}))", hex(text));
        let columns: Vec<String> = texts.iter().map(of).collect();
        let row = server.sql(&format!("SELECT {}", columns.join(", ")));
        row.trim_end().split('\t').map(|digits| self.first_level(digits)).collect()
    }

    fn first_level(&self, digits: &str) -> String {
        let size = if self.charset == "latin1" { 2 } else { 4 };
        let units = digits.as_bytes().chunks(size).map(|unit| std::str::from_utf8(unit).unwrap());
        units.take_while(|unit| self.charset == "latin1" || *unit != "0000").collect()
    }

    /// Characters beside others: all pairs of those that are not Han, or a sample of them.
    fn neighbours<'l>(&self, some: &'l [Vec<u8>], han: &'l [Vec<u8>]) -> Vec<&'l [u8]> {
        let mut random = fastrand::Rng::with_seed(1);
        let mut text: Vec<&[u8]> = Vec::new();
        // Those that differ in more levels, or are of the old three bytes, have the same first level.
        let every = !self.collation.starts_with("utf8mb3") && !self.collation.contains("_as_");
        for first in some {
            if every {
                text.extend(some.iter().flat_map(|second| [&first[..], second]));
            } else {
                text.extend((0..40).flat_map(|_| [&first[..], random.choice(some).unwrap()]));
            }
        }
        for letter in han {
            text.extend([&letter[..], random.choice(some).unwrap(), random.choice(han).unwrap()]);
        }
        text
    }

    fn characters_weigh_the_same_beside_any_other(&self, letters: &[Vec<u8>]) {
        let all: Vec<&[u8]> = letters.iter().map(Vec::as_slice).collect();
        let alone = all.chunks(1000).flat_map(|some| self.weigh(some));
        let alone: HashMap<&[u8], String> = all.iter().copied().zip(alone).collect();
        let (some, han) = letters.split_at(letters.len().min(1300));
        for text in self.neighbours(some, han).chunks(400_000) {
            let expected: String = text.iter().map(|letter| alone[letter].as_str()).collect();
            let together = self.weigh(&[&text.concat()]);
            assert!(together[0] == expected, "{} weighs pairs in another way", self.collation);
        }
    }

    fn texts_taken_for_equal_have_one_claim(&self, known: &Weights, letters: &[Vec<u8>]) {
        let mut random = fastrand::Rng::with_seed(2);
        let alphabet = &letters[..letters.len().min(700)];
        let mut values = String::new();
        for _ in 0..6000 {
            let text: Vec<u8> =
                (0..random.usize(1..4)).flat_map(|_| random.choice(alphabet).unwrap().clone()).collect();
            let _ = write!(values, "{}(X'{}')", if values.is_empty() { "" } else { ", " }, hex(&text));
        }
        let Self { server, charset, collation } = self;
        let groups = server.sql(&format!(
            "SET SESSION group_concat_max_len = 1000000; CREATE DATABASE IF NOT EXISTS probe; \
             DROP TABLE IF EXISTS probe.words; \
             CREATE TABLE probe.words (a VARCHAR(9) CHARACTER SET {charset} COLLATE {collation}); \
             INSERT INTO probe.words VALUES {values}; \
             SELECT GROUP_CONCAT(HEX(a)) FROM probe.words GROUP BY a HAVING COUNT(*) > 1"
        ));
        let mut met = 0;
        for group in groups.lines() {
            let claims: HashSet<Option<u64>> =
                group.split(',').map(|text| known.claim(&unhex(text))).collect();
            assert!(claims.len() == 1 && !claims.contains(&None), "{collation}: {group}");
            met += 1;
        }
        assert!(met > 100, "{collation}: {met} texts have others that are equal");
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    let bytes = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    bytes.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn weights_are_those_that_a_server_compares_by() {
    let server = Server::start(ServerOptions::new("weights"));
    let all = server.sql("SELECT character_set_name, collation_name FROM information_schema.collations");
    let mut asked = 0;
    for (charset, collation) in all.lines().filter_map(|line| line.split_once('\t')) {
        let weighing = Weighing { server: &server, charset, collation };
        let Some(known) = weighing.known() else { continue };
        asked += 1;
        assert_eq!(Collation::of(Some(collation)), Collation::Folded, "{collation}");
        let letters = weighing.letters(&known);
        assert!(letters.len() > if charset == "latin1" { 180 } else { 20_000 }, "{collation}");
        weighing.characters_weigh_the_same_beside_any_other(&letters);
        weighing.texts_taken_for_equal_have_one_claim(&known, &letters);
    }
    assert!(asked >= 12, "{asked} collations");
}
