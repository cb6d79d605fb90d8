//! Whatever the text: no panic, and no place that is not in it.

use proptest::prelude::*;

use super::*;

/// Texts made of the words that the readers look for, cut and mixed.
fn hostile() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "Relay_Master_Log_File",
        "Exec_Source_Log_Pos",
        "File",
        "Position",
        "Executed_Gtid_Set",
        "Channel_Name",
        "Slave_SQL_Running",
        "CHANGE MASTER TO",
        "MASTER_LOG_FILE",
        "SOURCE_LOG_POS",
        "SET @@GLOBAL.GTID_PURGED",
        "SHOW MASTER STATUS:",
        "[source]",
        "[replication.",
        "Log",
        "Pos",
        "GTID",
        "binlogFile",
        "-- MySQL dump",
        ":",
        "=",
        "|",
        "+",
        "\t",
        "\n",
        "\r\n",
        ",",
        ";",
        "'",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        "****",
        "--",
        "/*",
        "*/",
        "#",
        "No",
        "Yes",
        "NULL",
        "0",
        "4",
        "99999999999999999999999",
        "b.000001",
        "é",
        "語",
        "\u{feff}",
        "\0",
        "> ",
        " ",
        "3e11fa47-71ca-11e1-9e33-c80aa9429562",
        "1-5",
        "position",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_reader_panic(text in hostile(), other in ".{0,200}") {
        let choice = Choice { channel: Some(""), whose: Some(Whose::ServerItself) };
        for text in [text, other] {
            let _ = find_with(&text, &choice);
            if let Err(error) = find(&text) {
                prop_assert_eq!(error.code(), Code::Position);
            }
        }
    }

    #[test]
    fn a_status_cut_anywhere_never_yields_another_place(at in any::<prop::sample::Index>()) {
        for text in [RDS_57, RDS_80, MYSQLDUMP, MYDUMPER, SHELL] {
            let whole = find(text).unwrap();
            let cut = &text[..at.index(text.len())];
            if let Ok(found) = find(cut) {
                prop_assert!(
                    found.file.is_none() || found.whose != whole.whose || place(&whole).starts_with(&place(&found)),
                    "{}", place(&found)
                );
            }
        }
    }
}

#[test]
fn a_long_gtid_set_is_read_in_no_time() {
    let intervals: String =
        (0..200_000).map(|n| n * 2 + 1).fold(String::new(), |text, n| text + ":" + &n.to_string());
    let started = std::time::Instant::now();
    let found =
        find(&RDS_57.replace("Executed_Gtid_Set: ", &format!("Executed_Gtid_Set: {A}{intervals}"))).unwrap();
    assert_eq!(found.gtids.unwrap().count(), 200_000);
    assert!(started.elapsed().as_secs() < 10);
}
