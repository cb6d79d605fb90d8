//! The accounts that the test servers have, and what each may.

/// A name and a password. There is nothing to keep secret here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user name, for any host.
    pub user: &'static str,
    /// Its password.
    pub password: &'static str,
}

/// REPLICATION SLAVE and REPLICATION CLIENT, nothing else; on every server.
pub const REPL: Account = Account { user: "repl", password: "repl-Secret1" };
/// The application: reads, writes and alters its tables; on every server but the Azure-like one.
pub const APP: Account = Account { user: "app", password: "app-Secret1" };
/// Vanilla: everything. RDS-like: what RDS's master user may, so neither SUPER nor `REPLICATION_APPLIER`.
pub const ADMIN: Account = Account { user: "admin", password: "admin-Secret1" };
/// The administrator of the Azure-like server.
pub const AZADMIN: Account = Account { user: "azadmin", password: "azadmin-Secret1" };

impl Account {
    pub(super) fn create(&self) -> String {
        format!(
            "CREATE USER `{}`@`%` IDENTIFIED WITH caching_sha2_password BY '{}';\n",
            self.user, self.password
        )
    }

    pub(super) fn grant(&self, privileges: &str) -> String {
        format!("GRANT {privileges} ON *.* TO `{}`@`%`;\n", self.user)
    }
}

/// What both clouds give their administrator: everything static but SUPER, FILE, SHUTDOWN, CREATE TABLESPACE and the
/// two privileges on roles.
pub(super) const CLOUD_ADMINISTRATOR: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, \
     CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, \
     CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER";

/// `REPL` and `APP`.
pub(super) fn common() -> String {
    let application = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, \
                       CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, \
                       ALTER ROUTINE, EVENT, TRIGGER, XA_RECOVER_ADMIN";
    [REPL.create(), REPL.grant("REPLICATION SLAVE, REPLICATION CLIENT"), APP.create(), APP.grant(application)]
        .concat()
}

/// The accounts of a server that stands in for no cloud.
pub(super) fn vanilla() -> String {
    [common(), ADMIN.create(), ADMIN.grant("ALL")].concat()
}
