//! What a collation makes of characters: two texts are equal if the weights of their characters, put one after the
//! other, are. Asked of the target once for each collation that its keys use.
//!
//! Only characters that no neighbour changes are asked for: letters of Latin, Greek, Cyrillic and the Japanese
//! syllabaries, with what stands among them, and Han. Combining marks, and scripts in which two characters may have one
//! weight, are left out; nothing is known of a text that has one of those. Where a collation compares at several levels,
//! the first one alone counts: texts that differ in the others claim the same, which is on the safe side.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use super::hash::{Hash, Stream};

/// The weights of one collation, as codes: texts that are equal have equal codes, byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    charset: Charset,
    /// The code of each ASCII character; 0 for those of which nothing is known.
    ascii: [u8; 128],
    /// Where the code of a character from [`FIRST`] on begins and ends; nothing is known of one without a code.
    places: Vec<(u32, u32)>,
    codes: Vec<u8>,
}

/// How characters are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    /// One byte each, and a weight is one byte.
    Latin1,
}

/// The first character that is not ASCII and may have a weight.
const FIRST: u32 = 0xA1;
/// Characters of UTF-8 whose weights are asked for one by one.
const LETTERS: [RangeInclusive<u32>; 6] = [
    0xA1..=0x24F,
    // Greek.
    0x386..=0x3CE,
    // Cyrillic, up to its combining marks, and from there on.
    0x400..=0x481,
    0x48A..=0x4FF,
    // Hiragana and Katakana.
    0x3041..=0x3096,
    0x30A1..=0x30FA,
];
/// Han: all have weights of the same length.
const HAN: RangeInclusive<u32> = 0x4E00..=0x9FEF;
/// Single characters in a question: a select list has at most 4096 columns.
const ASKED_AT_ONCE: usize = 512;
/// Codes of several bytes begin with it; those of weights that ASCII has are one smaller byte.
const WIDE: u8 = 0xFF;

impl Weights {
    /// The questions whose answers [`of`](Self::of) takes, if this is a collation whose weights can be asked for. They
    /// have one row each.
    pub fn questions(collation: &str) -> Option<Vec<String>> {
        let charset = Charset::of(collation)?;
        let (introducer, _) = collation.split_once('_')?;
        let weight =
            |bytes: &str| format!("HEX(WEIGHT_STRING(_{introducer} X'{bytes}' COLLATE {collation}))");
        let letters: Vec<String> = charset.letters().map(|letter| weight(&charset.hex(letter))).collect();
        let mut questions: Vec<String> =
            letters.chunks(ASKED_AT_ONCE).map(|some| format!("SELECT {}", some.join(", "))).collect();
        if charset == Charset::Utf8 {
            let all: String = HAN.map(|letter| charset.hex(letter)).collect();
            questions.push(format!("SELECT {}", weight(&all)));
        }
        Some(questions)
    }

    /// From the columns of the answers, one after the other. `None` if they are not what is expected.
    pub fn of<'a>(collation: &str, mut answers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let charset = Charset::of(collation)?;
        let mut coder = Coder::default();
        let last = if charset == Charset::Utf8 { *HAN.end() } else { 0xFF };
        let mut weights = Self {
            charset,
            ascii: [0; 128],
            places: vec![(0, 0); usize::try_from(last - FIRST + 1).ok()?],
            codes: Vec::new(),
        };
        for letter in charset.letters() {
            let units = charset.units(answers.next()?)?;
            if let Ok(ascii) = usize::try_from(letter)
                && let Some(code) = weights.ascii.get_mut(ascii)
            {
                let [unit] = units.as_slice() else { return None };
                *code = coder.narrow(*unit)?;
            } else {
                weights.put(letter, &units, &coder)?;
            }
        }
        if charset == Charset::Utf8 {
            let units = charset.units(answers.next()?)?;
            let count = HAN.count();
            // One weight each, or two of which the first says that it is Han (Unicode, implicit weights).
            let each = units.len() / count;
            let whole = units.len() == each * count;
            let implicit = |pair: &[u16]| matches!(pair, [0xFB40..=0xFBC1, low] if *low & 0x8000 != 0);
            if !whole || !(each == 1 || each == 2 && units.chunks(2).all(implicit)) {
                return None;
            }
            for (letter, units) in HAN.zip(units.chunks(each)) {
                weights.put(letter, units, &coder)?;
            }
        }
        Some(weights)
    }

    /// What weighs nothing, or as much as a space, may not count at the end of a text: nothing is known of that.
    fn put(&mut self, letter: u32, units: &[u16], coder: &Coder) -> Option<()> {
        if units
            .iter()
            .any(|unit| coder.0.get(unit).is_some_and(|code| *code == self.ascii[usize::from(b' ')]))
        {
            return Some(());
        }
        let from = u32::try_from(self.codes.len()).ok()?;
        for unit in units {
            coder.code(*unit, &mut self.codes);
        }
        let place = self.places.get_mut(usize::try_from(letter - FIRST).ok()?)?;
        *place = (from, u32::try_from(self.codes.len()).ok()?);
        Some(())
    }

    /// A number that equal texts have in common; `None` if nothing is known of one of its characters.
    pub fn claim(&self, text: &[u8]) -> Option<u64> {
        let mut hash = Hash::new(0);
        self.hash(text, &mut hash).then(|| hash.finish())
    }

    /// Adds a text, trailing spaces left out, so that equal texts add the same. False if nothing is known of one of its
    /// characters.
    pub(super) fn hash(&self, text: &[u8], hash: &mut Hash) -> bool {
        let text = trimmed(text, |byte| byte == b' ');
        let ascii = |byte: u8| self.ascii.get(usize::from(byte)).copied().unwrap_or(0);
        if text.is_ascii() {
            hash.mapped(text, ascii);
            return text.iter().all(|byte| ascii(*byte) != 0);
        }
        let mut stream = Stream::new(hash);
        let mut add = |letter: u32| {
            if letter < 128 {
                let code = u8::try_from(letter).map_or(0, ascii);
                stream.push(code);
                return code != 0;
            }
            let at = letter.checked_sub(FIRST).and_then(|place| usize::try_from(place).ok());
            let (from, to) = at.and_then(|place| self.places.get(place)).copied().unwrap_or((0, 0));
            let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0);
            let code = self.codes.get(range).unwrap_or_default();
            for byte in code {
                stream.push(*byte);
            }
            !code.is_empty()
        };
        let known = match self.charset {
            Charset::Latin1 => text.iter().all(|byte| add(u32::from(*byte))),
            Charset::Utf8 => {
                std::str::from_utf8(text).is_ok_and(|text| text.chars().all(|letter| add(u32::from(letter))))
            }
        };
        stream.finish();
        known
    }
}

impl Charset {
    /// Of the collations that are known to weigh each of those characters by itself. An integration test asks a server
    /// about every pair of them.
    fn of(collation: &str) -> Option<Self> {
        match collation {
            "utf8mb4_0900_ai_ci"
            | "utf8mb4_0900_as_ci"
            | "utf8mb4_0900_as_cs"
            | "utf8mb4_general_ci"
            | "utf8mb4_unicode_ci"
            | "utf8mb4_unicode_520_ci"
            | "utf8mb3_general_ci"
            | "utf8mb3_unicode_ci"
            | "utf8mb3_unicode_520_ci"
            | "utf8_general_ci"
            | "utf8_unicode_ci"
            | "utf8_unicode_520_ci" => Some(Self::Utf8),
            "latin1_swedish_ci" | "latin1_general_ci" | "latin1_german1_ci" => Some(Self::Latin1),
            _ => None,
        }
    }

    /// The characters asked for one by one: ASCII's printable ones first.
    fn letters(self) -> impl Iterator<Item = u32> {
        let others = match self {
            Self::Utf8 => &LETTERS[..],
            Self::Latin1 => &[0xA1..=0xFF],
        };
        (0x20..=0x7E).chain(others.iter().cloned().flatten())
    }

    fn hex(self, letter: u32) -> String {
        if self == Self::Latin1 {
            return format!("{letter:02X}");
        }
        let mut text = String::new();
        for byte in char::from_u32(letter).map(String::from).unwrap_or_default().bytes() {
            let _ = write!(text, "{byte:02X}");
        }
        text
    }

    /// The weights of the first level, from their digits.
    fn units(self, digits: &str) -> Option<Vec<u16>> {
        let size = if self == Self::Latin1 { 2 } else { 4 };
        let units = digits
            .as_bytes()
            .chunks(size)
            .map(|unit| std::str::from_utf8(unit).ok().and_then(|unit| u16::from_str_radix(unit, 16).ok()));
        // A zero is between levels.
        units.take_while(|unit| self == Self::Latin1 || *unit != Some(0)).collect()
    }
}

/// Gives weights codes, none of which begins another.
#[derive(Default)]
struct Coder(HashMap<u16, u8>);

impl Coder {
    /// The code of a weight of an ASCII character.
    fn narrow(&mut self, unit: u16) -> Option<u8> {
        let next = u8::try_from(self.0.len() + 1).ok().filter(|next| *next < WIDE)?;
        Some(*self.0.entry(unit).or_insert(next))
    }

    fn code(&self, unit: u16, into: &mut Vec<u8>) {
        match self.0.get(&unit) {
            Some(code) => into.push(*code),
            None => into.extend([WIDE].into_iter().chain(unit.to_be_bytes())),
        }
    }
}

/// Without what is not counted at its end.
pub(super) fn trimmed(bytes: &[u8], pad: impl Fn(u8) -> bool) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !pad(*byte)).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Answers as a server gives them: `weight` says the weights of a character.
    fn known(collation: &str, weight: impl Fn(u32) -> Vec<u16>) -> Option<Weights> {
        let charset = Charset::of(collation)?;
        let digits =
            |letters: &mut dyn Iterator<Item = u32>| -> String {
                let units = letters.flat_map(&weight);
                units
                    .map(|unit| {
                        if charset == Charset::Latin1 { format!("{unit:02X}") } else { format!("{unit:04X}") }
                    })
                    .collect()
            };
        let mut answers: Vec<String> =
            charset.letters().map(|letter| digits(&mut std::iter::once(letter))).collect();
        answers.push(digits(&mut HAN.clone()));
        Weights::of(collation, answers.iter().map(String::as_str))
    }

    /// Accents and case do not count, sharp s is two letters, an accent alone is a space.
    fn simple(letter: u32) -> Vec<u16> {
        let small = char::from_u32(letter).unwrap().to_lowercase().next().unwrap();
        match small {
            'é' | 'è' => vec![0x65],
            'ß' => vec![0x73, 0x73],
            '´' => vec![0x20],
            '\u{AD}' => vec![],
            'À'..='ÿ' => vec![u16::try_from(u32::from(small)).unwrap(), 0, 0x20],
            '一'..='\u{9FEF}' => vec![0xFB40, u16::try_from(letter).unwrap() | 0x8000],
            _ => vec![u16::try_from(u32::from(small)).unwrap()],
        }
    }

    /// Weights for whom it does not matter which.
    pub(in super::super) fn some() -> Weights {
        known("utf8mb4_0900_ai_ci", simple).unwrap()
    }

    fn claim(weights: &Weights, text: &str) -> Option<u64> {
        weights.claim(text.as_bytes())
    }

    #[test]
    fn texts_of_one_weight_have_one_hash_and_others_do_not() {
        let weights = some();
        let same = |one, other| assert_eq!(claim(&weights, one), claim(&weights, other), "{one} {other}");
        same("Straße ", "STRASSE");
        same("Été", "ete");
        same("ÀB", "àb  ");
        same("東京e", "東京É");
        let all = ["word", "worte", "wört", "東京", "京東", "東", "", "ss", "s"];
        let claims: std::collections::HashSet<_> =
            all.iter().map(|text| claim(&weights, text).unwrap()).collect();
        assert_eq!(claims.len(), all.len());
    }

    #[test]
    fn nothing_is_known_of_what_was_not_asked_for_or_may_not_count() {
        let weights = some();
        for text in ["e\u{301}", "😀", "tab\t", "x´", "soft\u{AD}", "ก", "\u{A0}"] {
            assert_eq!(claim(&weights, text), None, "{text}");
        }
        assert_eq!(weights.claim(&[b'a', 0xE9]), None);
    }

    #[test]
    fn answers_that_are_not_expected_are_not_relied_upon() {
        assert_eq!(known("utf8mb4_lt_0900_ai_ci", simple), None);
        let odd = |letter| if letter == u32::from('x') { vec![1, 2] } else { simple(letter) };
        assert_eq!(known("utf8mb4_0900_ai_ci", odd), None);
        let short = |letter| if letter == 0x4E01 { vec![] } else { simple(letter) };
        assert_eq!(known("utf8mb4_0900_ai_ci", short), None);
        assert_eq!(Weights::of("utf8mb4_0900_ai_ci", std::iter::empty()), None);
        assert!(Weights::questions("utf8mb4_bin").is_none());
    }
}
