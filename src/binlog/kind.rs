//! Event type codes (`Log_event_type` in the server's `binlog_event.h`) and their names.

macro_rules! kinds {
    ($( $name:ident = $code:literal; )*) => {
        $( #[doc = concat!("Type code of `", stringify!($name), "` events.")] pub const $name: u8 = $code; )*

        /// The server's name of an event type; says so where the type is `MariaDB`'s or nobody's.
        pub const fn name(kind: u8) -> &'static str {
            match kind {
                $( $code => stringify!($name), )*
                160 => "MariaDB ANNOTATE_ROWS",
                161 => "MariaDB BINLOG_CHECKPOINT",
                162 => "MariaDB GTID",
                163 => "MariaDB GTID_LIST",
                164 => "MariaDB START_ENCRYPTION",
                165 => "MariaDB QUERY_COMPRESSED",
                166..=171 => "MariaDB compressed rows",
                172 => "MariaDB PARTIAL_ROW_DATA",
                _ => "unknown",
            }
        }
    };
}

kinds! {
    START_V3 = 1;
    QUERY = 2;
    STOP = 3;
    ROTATE = 4;
    INTVAR = 5;
    LOAD = 6;
    SLAVE = 7;
    CREATE_FILE = 8;
    APPEND_BLOCK = 9;
    EXEC_LOAD = 10;
    DELETE_FILE = 11;
    NEW_LOAD = 12;
    RAND = 13;
    USER_VAR = 14;
    FORMAT_DESCRIPTION = 15;
    XID = 16;
    BEGIN_LOAD_QUERY = 17;
    EXECUTE_LOAD_QUERY = 18;
    TABLE_MAP = 19;
    PRE_GA_WRITE_ROWS = 20;
    PRE_GA_UPDATE_ROWS = 21;
    PRE_GA_DELETE_ROWS = 22;
    WRITE_ROWS_V1 = 23;
    UPDATE_ROWS_V1 = 24;
    DELETE_ROWS_V1 = 25;
    INCIDENT = 26;
    HEARTBEAT = 27;
    IGNORABLE = 28;
    ROWS_QUERY = 29;
    WRITE_ROWS = 30;
    UPDATE_ROWS = 31;
    DELETE_ROWS = 32;
    GTID = 33;
    ANONYMOUS_GTID = 34;
    PREVIOUS_GTIDS = 35;
    TRANSACTION_CONTEXT = 36;
    VIEW_CHANGE = 37;
    XA_PREPARE = 38;
    PARTIAL_UPDATE_ROWS = 39;
    TRANSACTION_PAYLOAD = 40;
    HEARTBEAT_V2 = 41;
    GTID_TAGGED = 42;
}

/// Whether the type is one that only `MariaDB` writes.
pub const fn is_mariadb(kind: u8) -> bool {
    kind >= 160
}
