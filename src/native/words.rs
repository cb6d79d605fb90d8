//! What is said to a server to move its replication: each cloud has procedures of its own.

use std::fmt;
use std::str::FromStr;

use crate::error::Result;
use crate::position::Start;
use crate::wire::{Connection, Dialect, quote_text};

use super::ChannelSource;

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// Azure Database for MySQL: `mysql.az_replication_*` (Microsoft Learn, "How to configure Data-in Replication").
    Azure,
    /// Amazon RDS: `mysql.rds_*` (Amazon RDS User Guide, "RDS for MySQL stored procedure reference").
    Rds,
    /// A server whose account may replicate by itself.
    Vanilla,
}

impl Cloud {
    /// By the procedures in the schema `mysql`.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn detect(connection: &mut Connection) -> Result<Self> {
        let rows = connection
            .query(
                "SELECT routine_name FROM information_schema.routines WHERE routine_schema = 'mysql' \
                 AND routine_name IN ('az_replication_start', 'rds_start_replication')",
            )
            .await?;
        let name = rows.rows.first().and_then(|row| row.text(0)).unwrap_or_default().to_ascii_lowercase();
        Ok(match name.as_str() {
            "az_replication_start" => Self::Azure,
            "rds_start_replication" => Self::Rds,
            _ => Self::Vanilla,
        })
    }
}

impl FromStr for Cloud {
    type Err = ();

    fn from_str(word: &str) -> std::result::Result<Self, ()> {
        match word {
            "azure" => Ok(Self::Azure),
            "rds" => Ok(Self::Rds),
            "vanilla" => Ok(Self::Vanilla),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Azure => "azure",
            Self::Rds => "rds",
            Self::Vanilla => "vanilla",
        })
    }
}

/// The statements for one server.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// Whose procedures.
    pub cloud: Cloud,
    /// The server's own words.
    pub dialect: Dialect,
}

/// Stands for the password where statements are shown.
pub const HIDDEN: &str = "<password>";

impl Words {
    /// Stops receiving and applying.
    pub fn stop(&self) -> String {
        match self.cloud {
            Cloud::Azure => "CALL mysql.az_replication_stop".to_owned(),
            Cloud::Rds => "CALL mysql.rds_stop_replication".to_owned(),
            Cloud::Vanilla => self.dialect.stop_replica().to_owned(),
        }
    }

    /// Starts receiving and applying.
    pub fn start(&self) -> String {
        match self.cloud {
            Cloud::Azure => "CALL mysql.az_replication_start".to_owned(),
            Cloud::Rds => "CALL mysql.rds_start_replication".to_owned(),
            Cloud::Vanilla => self.dialect.start_replica().to_owned(),
        }
    }

    /// Forgets the stopped channel's relay logs and what its workers were at. The clouds' procedures forget its source too,
    /// which pointing it names again.
    pub fn forget(&self) -> String {
        match self.cloud {
            Cloud::Azure => "CALL mysql.az_replication_remove_master".to_owned(),
            Cloud::Rds if self.has_new_names() => "CALL mysql.rds_reset_external_source".to_owned(),
            Cloud::Rds => "CALL mysql.rds_reset_external_master".to_owned(),
            Cloud::Vanilla => self.dialect.reset_replica().to_owned(),
        }
    }

    /// The names of the cloud's procedures that all of this calls.
    pub fn procedures(&self) -> Vec<&'static str> {
        match self.cloud {
            Cloud::Azure => vec![
                "az_replication_stop",
                "az_replication_start",
                "az_replication_remove_master",
                "az_replication_change_master",
                "az_replication_change_master_with_gtid",
            ],
            Cloud::Rds if self.has_new_names() => vec![
                "rds_stop_replication",
                "rds_start_replication",
                "rds_reset_external_source",
                "rds_set_external_source",
                "rds_set_external_source_with_auto_position",
            ],
            Cloud::Rds => vec![
                "rds_stop_replication",
                "rds_start_replication",
                "rds_reset_external_master",
                "rds_set_external_master",
                "rds_set_external_master_with_auto_position",
            ],
            Cloud::Vanilla => Vec::new(),
        }
    }

    /// Applies what is missing below what was applied, and stops; where the account can say so at all.
    pub fn fill_gaps(&self) -> Option<String> {
        let start = self.dialect.start_replica();
        (self.cloud == Cloud::Vanilla).then(|| format!("{start} SQL_THREAD UNTIL SQL_AFTER_MTS_GAPS"))
    }

    /// Points the stopped channel at `at` of `source`. With [`HIDDEN`] as `password` it is for people to read.
    pub fn point(&self, source: &ChannelSource, password: &str, ca: &str, at: &Start) -> String {
        let quote = if self.cloud == Cloud::Vanilla { quote_simply } else { quote_text };
        let (host, user) = (quote(&source.host), quote(&source.user));
        let (password, ca_text) = (quote(password), quote_text(ca));
        let port = source.port;
        match (self.cloud, at) {
            (Cloud::Azure, Start::File(at)) => format!(
                "CALL mysql.az_replication_change_master({host}, {user}, {password}, {port}, {}, {}, {ca_text})",
                quote_text(&at.file),
                at.offset
            ),
            (Cloud::Azure, Start::Gtid(_)) => format!(
                "CALL mysql.az_replication_change_master_with_gtid({host}, {user}, {password}, {port}, {ca_text})"
            ),
            (Cloud::Rds, Start::File(at)) => format!(
                "CALL mysql.{}({host}, {port}, {user}, {password}, {}, {}, {})",
                if self.has_new_names() { "rds_set_external_source" } else { "rds_set_external_master" },
                quote_text(&at.file),
                at.offset,
                u8::from(source.tls)
            ),
            (Cloud::Rds, Start::Gtid(_)) => format!(
                "CALL mysql.{}({host}, {port}, {user}, {password}, {}, 0)",
                if self.has_new_names() {
                    "rds_set_external_source_with_auto_position"
                } else {
                    "rds_set_external_master_with_auto_position"
                },
                u8::from(source.tls)
            ),
            (Cloud::Vanilla, at) => self.change_source(source, [&host, &user, &password], at),
        }
    }

    /// `rds_set_external_source` came with RDS for MySQL 8.4, which has no `rds_set_external_master`.
    fn has_new_names(&self) -> bool {
        self.dialect.is_at_least((8, 4, 0))
    }

    fn change_source(&self, source: &ChannelSource, quoted: [&str; 3], at: &Start) -> String {
        let option = self.dialect.source_option();
        let [host, user, password] = quoted;
        let place = match at {
            Start::File(at) => format!(
                "{option}_AUTO_POSITION = 0, {option}_LOG_FILE = {}, {option}_LOG_POS = {}",
                quote_simply(&at.file),
                at.offset
            ),
            Start::Gtid(_) => format!("{option}_AUTO_POSITION = 1"),
        };
        let key = if self.dialect.is_at_least((8, 0, 0)) && !source.tls {
            format!(", GET_{option}_PUBLIC_KEY = 1")
        } else {
            String::new()
        };
        let tls = u8::from(source.tls);
        format!(
            "{} {option}_HOST = {host}, {option}_PORT = {}, {option}_USER = {user}, {option}_PASSWORD = {password}, \
             {option}_SSL = {tls}{key}, {place}",
            self.dialect.change_source(),
            source.port
        )
    }
}

/// `CHANGE REPLICATION SOURCE` takes no other literal than the simple one; sessions that say it have an empty `sql_mode`.
fn quote_simply(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Secret, Server};

    fn words(cloud: Cloud, version: &str) -> Words {
        Words { cloud, dialect: Dialect::of(&Server::new(version, 1)) }
    }

    fn source() -> ChannelSource {
        ChannelSource {
            host: "db1.example".to_owned(),
            port: 3307,
            user: "o'repl".to_owned(),
            secret: Secret::None,
            ca: None,
            tls: true,
        }
    }

    fn at() -> Start {
        Start::File("mysql-bin.000042:1234".parse().unwrap())
    }

    fn gtids() -> Start {
        Start::Gtid("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5".parse().unwrap())
    }

    #[test]
    fn azure_is_told_by_its_procedures_and_every_text_is_quoted() {
        let words = words(Cloud::Azure, "8.0.40");
        assert_eq!(words.stop(), "CALL mysql.az_replication_stop");
        assert_eq!(
            words.point(&source(), HIDDEN, "PEM", &at()),
            "CALL mysql.az_replication_change_master('db1.example', _utf8mb4 X'6F277265706C', '<password>', 3307, 'mysql-bin.000042', 1234, 'PEM')"
        );
        assert_eq!(
            words.point(&source(), "x", "", &gtids()),
            "CALL mysql.az_replication_change_master_with_gtid('db1.example', _utf8mb4 X'6F277265706C', 'x', 3307, '')"
        );
        assert_eq!(words.fill_gaps(), None);
    }

    #[test]
    fn rds_hears_the_names_of_its_version() {
        let said = |version: &str, at: &Start| words(Cloud::Rds, version).point(&source(), "x", "", at);
        assert!(
            said("8.0.40", &at()).starts_with("CALL mysql.rds_set_external_master('db1.example', 3307, ")
        );
        assert!(said("8.4.3", &at()).starts_with("CALL mysql.rds_set_external_source("));
        assert!(
            said("8.0.40", &gtids()).starts_with("CALL mysql.rds_set_external_master_with_auto_position(")
        );
        assert!(said("8.4.3", &at()).ends_with("'mysql-bin.000042', 1234, 1)"));
    }

    #[test]
    fn vanilla_servers_hear_the_words_of_their_version() {
        let old = words(Cloud::Vanilla, "5.7.44").point(&source(), "x", "", &at());
        assert_eq!(
            old,
            "CHANGE MASTER TO MASTER_HOST = 'db1.example', MASTER_PORT = 3307, MASTER_USER = 'o\\'repl', MASTER_PASSWORD = 'x', \
             MASTER_SSL = 1, MASTER_AUTO_POSITION = 0, MASTER_LOG_FILE = 'mysql-bin.000042', MASTER_LOG_POS = 1234"
        );
        let new = words(Cloud::Vanilla, "9.7.0").point(&source(), "x", "", &gtids());
        assert!(new.starts_with("CHANGE REPLICATION SOURCE TO SOURCE_HOST = "), "{new}");
        assert!(new.ends_with("SOURCE_SSL = 1, SOURCE_AUTO_POSITION = 1"), "{new}");
        assert!(words(Cloud::Vanilla, "9.7.0").fill_gaps().unwrap().contains("SQL_AFTER_MTS_GAPS"));
    }
}
