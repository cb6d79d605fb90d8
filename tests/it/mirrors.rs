//! Which mirror test servers are fetched from.

use crate::support::archive_mirrors;

#[test]
fn one_line_sources_name_their_mirror_with_options_or_without() {
    let text = "# deb http://old.example/debian bookworm main\n\
                deb [arch=amd64 signed-by=/some/key.gpg] http://mirror.example/debian/ bookworm main contrib\n\
                deb http://mirror.example/debian bookworm-updates main\n\
                deb-src http://source.example/debian bookworm main\n\
                deb cdrom:[Debian]/ bookworm main\n\
                deb https://other.example/apt cloud-bookworm main\n";
    assert_eq!(archive_mirrors(text, &["bookworm"]), ["http://mirror.example/debian"]);
}

#[test]
fn stanzas_name_their_mirrors_over_several_lines_and_in_any_case() {
    let text = "# made by a tool\nTypes: deb deb-src\nuris: http://one.example/debian\n  http://two.example/debian/\n\
                Suites: trixie trixie-updates\nComponents: main\n\n\
                Types: deb\nURIs: http://three.example/security\nSuites: trixie-security\n\n\
                Enabled: no\nTypes: deb\nURIs: http://four.example/debian\nSuites: trixie\n";
    let mirrors = archive_mirrors(text, &["trixie", "sid"]);
    assert_eq!(mirrors, ["http://one.example/debian", "http://two.example/debian"]);
}
