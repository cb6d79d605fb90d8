//! Which server answered.

/// What a server says of itself when a connection opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its version text, without the `5.5.5-` that MariaDB puts before its own.
    pub version_text: String,
    /// The numbers at the start of the version text.
    pub version: (u16, u16, u16),
    /// Whether this is a MariaDB.
    pub mariadb: bool,
    /// The connection's number there, as in `SHOW PROCESSLIST` and `KILL`.
    pub connection_id: u32,
    /// The connection's TLS version and cipher suite; `None` on a plain connection.
    pub tls: Option<String>,
}

impl Server {
    /// Reads the greeting's version text. MariaDB before 11 says `5.5.5-10.6.4-MariaDB`, for old replicas that refused a
    /// major version of two digits (MariaDB documentation, "Connection: Initial Handshake Packet").
    pub(crate) fn new(announced: &str, connection_id: u32) -> Self {
        let mariadb = announced.to_ascii_lowercase().contains("mariadb");
        let text = announced.strip_prefix("5.5.5-").filter(|_| mariadb).unwrap_or(announced);
        Self { version_text: text.to_owned(), version: numbers(text), mariadb, connection_id, tls: None }
    }
}

/// `8.0.36-log` is (8, 0, 36); what is not there is 0, as in Aurora's `8.0.mysql_aurora.3.04.0`.
fn numbers(text: &str) -> (u16, u16, u16) {
    let mut parts = text.split('.').map_while(|part| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse().ok()
    });
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_every_flavour_are_understood() {
        for (announced, text, version, mariadb) in [
            ("9.7.4", "9.7.4", (9, 7, 4), false),
            ("8.0.36-log", "8.0.36-log", (8, 0, 36), false),
            ("5.7.44-RDS.20260101", "5.7.44-RDS.20260101", (5, 7, 44), false),
            ("8.0.mysql_aurora.3.04.0", "8.0.mysql_aurora.3.04.0", (8, 0, 0), false),
            ("5.5.5-10.11.6-MariaDB-0+deb12u1", "10.11.6-MariaDB-0+deb12u1", (10, 11, 6), true),
            ("11.4.2-MariaDB", "11.4.2-MariaDB", (11, 4, 2), true),
            ("5.5.5-m3", "5.5.5-m3", (5, 5, 5), false),
            ("nonsense", "nonsense", (0, 0, 0), false),
        ] {
            let server = Server::new(announced, 1);
            assert_eq!(
                (server.version_text.as_str(), server.version, server.mariadb),
                (text, version, mariadb)
            );
        }
    }
}
