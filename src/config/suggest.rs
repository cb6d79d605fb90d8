//! Did you mean.

/// Words that other tools use, and ours.
const SYNONYMS: &[(&str, &str)] = &[
    ("hostname", "host"),
    ("address", "host"),
    ("username", "user"),
    ("login", "user"),
    ("sslmode", "ssl_mode"),
    ("tls", "ssl_mode"),
    ("ca", "ssl_ca"),
    ("serverid", "server_id"),
    ("threads", "workers"),
    ("bind", "listen"),
    ("port", "listen"),
    ("id", "name"),
];

/// The candidate that `word` was most likely meant to be.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let by_distance = candidates
        .iter()
        .map(|candidate| (distance(&word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).clamp(1, 3))
        .min();
    let synonym = || {
        let (_, ours) =
            SYNONYMS.iter().find(|(theirs, ours)| *theirs == word && candidates.contains(ours))?;
        candidates.iter().copied().find(|candidate| candidate == ours)
    };
    by_distance.map(|(_, candidate)| candidate).or_else(synonym)
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_a_stranger_is_not() {
        let keys = ["host", "port", "user", "ssl_mode", "password_file"];
        assert_eq!(nearest("prot", &keys), Some("port"));
        assert_eq!(nearest("hots", &keys), Some("host"));
        assert_eq!(nearest("ssl-mode", &keys), Some("ssl_mode"));
        assert_eq!(nearest("username", &keys), Some("user"));
        assert_eq!(nearest("flavour", &keys), None);
    }
}
