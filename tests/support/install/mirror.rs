//! Which mirrors apt uses, read from its own sources: no mirror is named in this code.

/// The mirrors (base addresses, in order, each once) that `sources` has for one of `suites`.
///
/// `sources` is the text of `sources.list` (one line per source) or of a `.sources` file (deb822 stanzas); both forms
/// are in sources.list(5).
pub fn archive_mirrors(sources: &str, suites: &[&str]) -> Vec<String> {
    let mut mirrors: Vec<String> = Vec::new();
    for entry in one_line_entries(sources).chain(stanzas(sources)) {
        let wanted = entry.suites.iter().any(|suite| suites.contains(&suite.as_str()));
        for address in entry.addresses.into_iter().filter(|address| wanted && !address.starts_with("cdrom:"))
        {
            let address = address.trim_end_matches('/').to_owned();
            if !mirrors.contains(&address) {
                mirrors.push(address);
            }
        }
    }
    mirrors
}

struct Entry {
    addresses: Vec<String>,
    suites: Vec<String>,
}

fn one_line_entries(sources: &str) -> impl Iterator<Item = Entry> {
    sources.lines().filter_map(|line| {
        let rest = line.trim().strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        Some(Entry { addresses: vec![words.next()?], suites: vec![words.next()?] })
    })
}

fn stanzas(sources: &str) -> impl Iterator<Item = Entry> {
    let unfolded = unfold(sources);
    let stanzas: Vec<Entry> = unfolded.split("\n\n").filter_map(stanza).collect();
    stanzas.into_iter()
}

/// Comments gone, continuation lines joined, stanzas parted by exactly one empty line.
fn unfold(sources: &str) -> String {
    let mut text = String::new();
    for line in sources.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with([' ', '\t']) && !line.trim().is_empty() {
            text.push(' ');
        } else {
            text.push('\n');
        }
        text.push_str(line.trim());
    }
    text
}

fn stanza(text: &str) -> Option<Entry> {
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.split_whitespace().collect::<Vec<_>>())
        })
    };
    let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
    let enabled = field("Enabled").is_none_or(|value| value != ["no"]);
    let binary = field("Types")?.contains(&"deb");
    (enabled && binary).then_some(())?;
    Some(Entry { addresses: owned(field("URIs")?), suites: owned(field("Suites")?) })
}
