//! Status output of replicas and servers.

use super::*;

#[test]
fn a_stopped_rds_replica_is_read_at_what_it_has_applied() {
    let found = find(RDS_57).unwrap();
    assert_eq!(place(&found), "mysql-bin-changelog.018423:2718");
    assert_eq!((found.origin.kind, found.whose), (Kind::ReplicaStatus, Whose::SourceOfReplica));
    assert_eq!(found.origin.to_string(), "replica status, lines 4 to 58");
    assert_eq!(found.server.host.as_deref(), Some("10.3.1.42"));
    assert_eq!(found.server.port, Some(3306));
    assert_eq!(found.server.uuid.unwrap().to_string(), "2c8a4e2c-6d0e-11ee-9f3a-0aeb5a8f1d2f");
    assert_eq!((found.gtids.clone(), found.auto_position, found.seconds_behind), (None, false, None));
    assert_eq!(found.warnings, Vec::<String>::new(), "RDS's own filters are no news");

    let found = find(RDS_80).unwrap();
    assert_eq!(place(&found), "mysql-bin-changelog.000931:48231");
    assert_eq!(gtids(&found), format!("{A}:1-1204,{B}:1-3"));
    assert!(found.auto_position);
    assert_eq!(found.starts().len(), 2);
    assert_eq!(found.warnings, Vec::<String>::new());
}

#[test]
fn the_form_of_the_paste_does_not_matter() {
    let no_head = RDS_80.lines().skip(1).map(str::trim).collect::<Vec<_>>().join("\n");
    for text in [
        RDS_80.replace('\n', "\r\n"),
        format!("\u{feff}{RDS_80}"),
        format!(
            "MySQL [(none)]> show replica status\\G\n{RDS_80}1 row in set, 1 warning (0,00 sec)\n\nmysql> exit\nBye\n"
        ),
        RDS_80.replace("48231", "48231;"),
        RDS_80.replace('\n', "  \n    "),
        no_head,
    ] {
        let found = find(&text).unwrap();
        assert_eq!(place(&found), "mysql-bin-changelog.000931:48231");
        assert_eq!(gtids(&found), format!("{A}:1-1204,{B}:1-3"));
    }
}

#[test]
fn an_azure_replica_with_its_long_file_names_is_read() {
    let text = RDS_57
        .replace("mysql-bin-changelog.", "mysql-bin.")
        .replace("10.3.1.42", "on-prem.example.com")
        .replace("Master_SSL_Allowed: No", "Master_SSL_Allowed: Yes")
        .replace("relaylog.036512", "5f1c9a-relay-bin.000002")
        .replace(
            "Replicate_Wild_Ignore_Table: ",
            "Replicate_Wild_Ignore_Table: mysql.%,information_schema.%",
        );
    let found = find(&text).unwrap();
    assert_eq!(place(&found), "mysql-bin.018423:2718");
    assert_eq!(found.warnings, Vec::<String>::new());
}

#[test]
fn tables_of_every_client_are_read() {
    let names = [
        "Slave_IO_State",
        "Master_Host",
        "Master_Log_File",
        "Read_Master_Log_Pos",
        "Relay_Master_Log_File",
        "Slave_IO_Running",
        "Slave_SQL_Running",
        "Last_SQL_Errno",
        "Exec_Master_Log_Pos",
        "Executed_Gtid_Set",
        "Auto_Position",
    ];
    let set = format!("{A}:1-3,\n{B}:1");
    let values = ["", "10.0.0.1", "b.000009", "999", "b.000008", "No", "No", "0", "777", &set, "1"];
    let escaped = values.map(|value| value.replace('\n', "\\n"));
    let escaped = escaped.each_ref().map(String::as_str);
    let quoted = values.map(|value| format!("\"{value}\""));
    let quoted = quoted.each_ref().map(String::as_str);
    let boxed = |row: &[&str]| format!("| {} |", row.join(" | "));
    let object: serde_json::Map<_, _> =
        names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value.into())).collect();
    let json = serde_json::Value::from(vec![serde_json::Value::from(object)]);
    for text in [
        grid("\t", &[&names, &escaped]),
        grid("\t", &[&names, &values]),
        format!("+---+\n{}\n+---+\n{}\n+---+\n1 row in set (0.00 sec)\n", boxed(&names), boxed(&values)),
        format!(
            "mysql> show slave status;\r\n+---+\r\n{}\r\n+---+\r\n{}\r\n",
            boxed(&names),
            boxed(&escaped)
        ),
        grid(",", &[&names, &quoted]),
        grid(";", &[&names, &quoted]),
        json.to_string(),
        format!("{{\"hasData\": true, \"rows\": {json:#}}}"),
    ] {
        let found = find(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(place(&found), "b.000008:777", "{text}");
        assert_eq!(gtids(&found), format!("{A}:1-3,{B}:1"), "{text}");
        assert!(found.auto_position);
    }
}

#[test]
fn notes_and_other_clients_columns_are_read() {
    let form = |separator: &str, end: &str| {
        RDS_80.replace("1. row", "[ 1. row ]").replace(": ", separator).replace('\n', &format!("{end}\n"))
    };
    for text in [form(" | ", ""), form("|", "|"), form("\t", ""), form(" = ", "")] {
        let found = find(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(place(&found), "mysql-bin-changelog.000931:48231");
        assert_eq!(gtids(&found), format!("{A}:1-1204,{B}:1-3"));
    }
    let note = "Replica_SQL_Running: No, Relay_Source_Log_File: mysql-bin.000012, Exec_Source_Log_Pos: 345";
    for text in [note.to_owned(), note.replace(", ", "; "), note.replace(", ", " ").replace(": ", "=")] {
        let found = find(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!((place(&found).as_str(), found.warnings.len()), ("mysql-bin.000012:345", 0), "{text}");
    }
}

#[test]
fn a_gtid_set_that_goes_on_is_not_taken_for_whole() {
    let status = &RDS_80[..RDS_80.find(B).unwrap()];
    for text in [
        status.to_owned(),
        format!("{A}:1-5,\n"),
        format!("File: b.000001\nPosition: 4\nExecuted_Gtid_Set: {A}:1,\n1 row in set"),
    ] {
        assert!(refused(&text).contains("give it whole") || refused(&text).contains("UUID"), "{text}");
    }
}

#[test]
fn a_part_of_the_status_is_enough_and_says_what_is_not_known() {
    let found = find("Relay_Master_Log_File: mysql-bin.000012\n  Exec_Master_Log_Pos: 345\n").unwrap();
    assert_eq!(place(&found), "mysql-bin.000012:345");
    assert!(found.warnings[0].contains("SQL thread"), "{:?}", found.warnings);
}

#[test]
fn a_replica_that_is_not_cleanly_stopped_is_refused() {
    let japanese = "Error 'テーブル 'app.t' は存在しません' on query.\nExec_Master_Log_Pos: 4";
    for (from, to, line, word) in [
        ("Slave_SQL_Running: No", "Slave_SQL_Running: Yes", "line 14", "rds_stop_replication"),
        ("Slave_SQL_Running: No", "Slave_SQL_Running: ", "line 14", "still applies"),
        ("Slave_SQL_Running: No", "Slave_SQL_Running: Connecting", "line 14", "still applies"),
        ("Slave_IO_Running: No", "Slave_IO_Running: Connecting", "line 13", "does not reach its source"),
        ("Last_SQL_Errno: 0", "Last_SQL_Errno: 1062", "line 39", "error 1062"),
        ("Last_Errno: 0", "Last_Errno: 1146", "line 21", "error 1146"),
        ("Last_SQL_Error: ", &format!("Last_SQL_Error: {japanese}"), "line", ""),
        (
            "Relay_Master_Log_File: mysql-bin-changelog.018423",
            "Relay_Master_Log_File: ",
            "line 12",
            "not applied anything",
        ),
        ("Exec_Master_Log_Pos: 2718", "Exec_Master_Log_Pos: 0", "line 24", "not applied anything"),
        ("Exec_Master_Log_Pos: 2718", "Exec_Master_Log_Pos: 2x18", "line 24", "not an offset"),
        (
            "Relay_Master_Log_File: mysql-bin-changelog.018423",
            "",
            "line 9",
            "has read, not how far it has applied",
        ),
        ("Executed_Gtid_Set: ", "Executed_Gtid_Set: garbage", "line 55", "UUID"),
    ] {
        assert!(RDS_57.contains(from), "{from}");
        let error = refused(&RDS_57.replace(from, to));
        assert!(error.contains(line) && error.contains(word), "{to}: {error}");
        assert!(!error.contains("テーブル"), "no words of the server's error: {error}");
    }
}

#[test]
fn what_was_only_read_is_never_taken() {
    let error = refused("Master_Log_File: mysql-bin.000012\nRead_Master_Log_Pos: 345\n");
    assert!(error.contains("Exec_Source_Log_Pos"), "{error}");
    let error = refused("Relay_Log_File: relay.000002\nRelay_Log_Pos: 345\nRead_Source_Log_Pos: 7");
    assert!(error.contains("line 3"), "{error}");
}

#[test]
fn a_running_io_thread_filters_and_gaps_are_told() {
    let text = RDS_80
        .replace("Replica_IO_Running: No", "Replica_IO_Running: Yes")
        .replace("Replicate_Do_DB: ", "Replicate_Do_DB: app")
        .replace(
            "Executed_Gtid_Set: 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-1204",
            &format!("Executed_Gtid_Set: {A}:1-9:11"),
        )
        .replace("Skip_Counter: 0", "Skip_Counter: 1")
        .replace("Seconds_Behind_Source: NULL", "Seconds_Behind_Source: 17");
    let found = find(&text).unwrap();
    let all = found.warnings.join("\n");
    for word in ["IO thread", "Replicate_Do_DB: app", "SQL_AFTER_MTS_GAPS", "Skip_Counter is 1"] {
        assert!(all.contains(word), "{word} in {all}");
    }
    assert_eq!((found.warnings.len(), found.seconds_behind), (4, Some(17)));
}

#[test]
fn several_channels_need_a_name() {
    let other = RDS_80
        .replace("Channel_Name: ", "Channel_Name: west")
        .replace("000931", "000007")
        .replace("1. row", "2. row");
    let text = format!("{RDS_80}{other}");
    assert!(refused(&text).contains("'', 'west'"));
    let with = |channel| find_with(&text, &Choice { channel: Some(channel), whose: None });
    assert_eq!(place(&with("west").unwrap()), "mysql-bin-changelog.000007:48231");
    assert_eq!(with("west").unwrap().channel, "west");
    assert_eq!(place(&with("").unwrap()), "mysql-bin-changelog.000931:48231");
    assert!(with("east").unwrap_err().message().contains("no channel 'east'"));
    let running = text.replacen("Replica_SQL_Running: No", "Replica_SQL_Running: Yes", 1);
    let choice = Choice { channel: Some("west"), whose: None };
    assert!(find_with(&running, &choice).is_ok(), "what the other channel does is no matter");
    let group = RDS_80
        .replace("Channel_Name: ", "Channel_Name: group_replication_applier")
        .replace("Relay_Source_Log_File: mysql-bin-changelog.000931", "Relay_Source_Log_File: ");
    assert_eq!(place(&find(&format!("{group}{RDS_80}")).unwrap()), "mysql-bin-changelog.000931:48231");
}

#[test]
fn the_last_status_of_a_session_counts() {
    let running = RDS_57.replace("Slave_SQL_Running: No", "Slave_SQL_Running: Yes").replace("2718", "100");
    let found = find(&format!("{running}mysql> CALL mysql.rds_stop_replication;\n{RDS_57}")).unwrap();
    assert_eq!(place(&found), "mysql-bin-changelog.018423:2718");
    assert!(found.warnings[0].contains("2 statuses"), "{:?}", found.warnings);
    assert!(refused(&format!("{RDS_57}{running}")).contains("still applies"));
}

#[test]
fn a_servers_own_coordinates_are_told_apart() {
    let vertical = "*** 1. row ***\nFile: binlog.000042\nPosition: 157\nBinlog_Do_DB: \nBinlog_Ignore_DB: \n";
    let tagged = format!("{A}:1-3:mytag:1-2");
    for text in [
        format!("{vertical}Executed_Gtid_Set: {tagged}\n1 row in set (0.00 sec)\n"),
        format!(
            "File\tPosition\tBinlog_Do_DB\tBinlog_Ignore_DB\tExecuted_Gtid_Set\nbinlog.000042\t157\t\t\t{tagged}\n"
        ),
        format!(
            "| File | Position | Binlog_Do_DB | Binlog_Ignore_DB | Executed_Gtid_Set |\n+--+\n| binlog.000042 | 157 | | | {tagged} |\n"
        ),
        format!("File,Position,Executed_Gtid_Set\nbinlog.000042,157,\"{tagged}\"\n"),
        format!("[{{\"File\": \"binlog.000042\", \"Position\": 157, \"Executed_Gtid_Set\": \"{tagged}\"}}]"),
    ] {
        let found = find(&text).unwrap();
        assert_eq!((found.origin.kind, found.whose), (Kind::LogStatus, Whose::ServerItself), "{text}");
        assert_eq!(
            (place(&found), gtids(&found)),
            ("binlog.000042:157".to_owned(), tagged.clone()),
            "{text}"
        );
    }
    let both = format!("{RDS_57}mysql> SHOW MASTER STATUS\\G\n{vertical}");
    let found = find(&both).unwrap();
    assert_eq!(
        (found.whose, place(&found).as_str()),
        (Whose::SourceOfReplica, "mysql-bin-changelog.018423:2718")
    );
    assert!(found.warnings[0].contains("line 64"), "{:?}", found.warnings);
    let own = find_with(&both, &Choice { channel: None, whose: Some(Whose::ServerItself) }).unwrap();
    assert_eq!(place(&own), "binlog.000042:157");
    let of_source = Choice { channel: None, whose: Some(Whose::SourceOfReplica) };
    assert!(find_with(vertical, &of_source).unwrap_err().message().contains("no coordinates of the source"));
    assert!(
        refused(&format!("{vertical}{}", vertical.replace("157", "158"))).contains("different coordinates")
    );
    assert!(refused("File: \nPosition: 0\n").contains("no binlog"));
    assert!(
        find(&vertical.replace("Do_DB: ", "Do_DB: app")).unwrap().warnings[0].contains("Binlog_Do_DB is app")
    );
}
