//! From text to values: the small grammars of durations, sizes, lists and names.

use std::net::SocketAddr;
use std::time::Duration;

use super::filter::{Name, Pattern};

/// A duration such as `5s` or `1m 30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if text.trim().parse::<f64>().is_ok() {
        return Err("a duration needs a unit, such as \"5s\" or \"2m\"".to_owned());
    }
    humantime::parse_duration(text.trim())
        .map_err(|_| "expected a duration such as \"5s\", \"250ms\" or \"1m 30s\"".to_owned())
}

/// A size such as `4 MiB`, or a number of bytes.
///
/// # Errors
/// What was expected, in words.
pub fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        _ => return Err("expected a size in B, KiB, MiB or GiB, such as \"4 MiB\"".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a size such as \"4 MiB\"".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "this size is too large".to_owned())
}

/// A size as it would be written.
pub(super) fn size_text(bytes: u64) -> String {
    [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        .iter()
        .find(|(factor, _)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(|| format!("{bytes} B"), |(factor, unit)| format!("{} {unit}", bytes / factor))
}

/// A host name or an address; an IPv6 address may stand in brackets. What does not fit is not repeated: it may hold a
/// password.
pub(super) fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    if text.contains('@') || text.contains("//") {
        return Err("expected a host name, not a URL: user and password have keys of their own".to_owned());
    }
    if text.contains(':') {
        return Err("expected a host name without a port: port has a key of its own".to_owned());
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 253 || !text.chars().all(fits) {
        return Err("expected a host name or an IP address".to_owned());
    }
    Ok(text.to_owned())
}

/// `address:port`, or `off`.
pub(super) fn listen(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    let text =
        text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    let parsed = text.parse().map(Some);
    parsed.map_err(|_| {
        "expected an address and a port such as \"127.0.0.1:9306\" or \"0.0.0.0:9306\", or \"off\"".to_owned()
    })
}

/// `db.*` or `db.table`.
pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    let wrong = || "expected \"db.*\" or \"db.table\"".to_owned();
    match *names(text)?.as_slice() {
        [ref schema, ref table] if schema.quoted || schema.text != "*" => {
            let table = (table.quoted || table.text != "*").then(|| table.text.clone());
            plain(schema)?;
            Ok(Pattern { schema: schema.text.clone(), table })
        }
        [ref schema] if schema.text != "*" => {
            Err(format!("{}; all tables of a schema are \"{}.*\"", wrong(), schema.text))
        }
        _ => Err(wrong()),
    }
    .and_then(|pattern| match &pattern.table {
        Some(table) if table.contains('*') && !text.contains('`') => {
            Err("a * stands for all tables of a schema, not for a part of a name".to_owned())
        }
        _ => Ok(pattern),
    })
}

/// A schema or a table, as one side of a rename.
pub(super) fn name(text: &str) -> Result<Name, String> {
    let parts = names(text)?;
    for part in &parts {
        plain(part)?;
    }
    match parts.as_slice() {
        [schema] => Ok(Name { schema: schema.text.clone(), table: None }),
        [schema, table] => Ok(Name { schema: schema.text.clone(), table: Some(table.text.clone()) }),
        _ => Err("expected \"db\" or \"db.table\"".to_owned()),
    }
}

struct Part {
    text: String,
    quoted: bool,
}

fn plain(part: &Part) -> Result<(), String> {
    if !part.quoted && part.text.contains('*') {
        return Err("a * stands for all tables of a schema, not for a part of a name".to_owned());
    }
    Ok(())
}

/// Identifiers separated by dots; backticks around those that hold a dot or a `*` (doubled inside).
fn names(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = identifier(rest)?;
        if part.text.is_empty() || part.text.chars().count() > 64 {
            return Err("a name has 1 to 64 characters".to_owned());
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(parts),
            None => return Err("expected a dot after the closing backtick".to_owned()),
        }
    }
}

fn identifier(text: &str) -> Result<(Part, &str), String> {
    let Some(inside) = text.strip_prefix('`') else {
        let end = text.find('.').unwrap_or(text.len());
        return Ok((Part { text: text[..end].to_owned(), quoted: false }, &text[end..]));
    };
    let mut name = String::new();
    let mut rest = inside;
    loop {
        let Some(end) = rest.find('`') else { return Err("a backtick is not closed".to_owned()) };
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('`') {
            Some(more) => {
                name.push('`');
                rest = more;
            }
            None => return Ok((Part { text: name, quoted: true }, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("5").unwrap_err().contains("unit"));
        assert!(duration("soon").unwrap_err().contains("expected a duration"));
    }

    #[test]
    fn sizes_are_binary_and_come_back_as_they_were() {
        for (text, bytes) in [("4 MiB", 4 << 20), ("64KiB", 65536), ("100", 100), ("1 g", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes));
            assert_eq!(size(&size_text(bytes)), Ok(bytes));
        }
        assert!(size("4 MB").is_err());
        assert!(size("MiB").is_err());
        assert!(size("99999999999 GiB").is_err());
    }

    #[test]
    fn a_host_is_not_a_url_and_has_no_port() {
        assert_eq!(host("[::1]"), Ok("::1".to_owned()));
        assert_eq!(host("db-1.example.com"), Ok("db-1.example.com".to_owned()));
        let error = host("mysql://root:hunter2@db").unwrap_err();
        assert!(error.contains("URL") && !error.contains("hunter2"));
        assert!(host("db:3306").unwrap_err().contains("port"));
    }

    #[test]
    fn patterns_take_whole_names() {
        assert_eq!(pattern("shop.*"), Ok(Pattern { schema: "shop".into(), table: None }));
        assert_eq!(pattern("`a.b`.`c``d`"), Ok(Pattern { schema: "a.b".into(), table: Some("c`d".into()) }));
        assert!(pattern("shop").unwrap_err().contains("shop.*"));
        for wrong in ["*", "*.*", "shop.tmp_*", "sh*p.x", "a.b.c", "", ".", "a.", "`a", "`a`b.c"] {
            assert!(pattern(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_admin_address_may_be_off() {
        assert_eq!(listen("off"), Ok(None));
        assert_eq!(listen("localhost:1"), Ok(Some(SocketAddr::from(([127, 0, 0, 1], 1)))));
        assert!(listen("9306").is_err());
    }
}
