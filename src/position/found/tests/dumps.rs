//! Heads and metadata of dumps, statements, and plain words.

use super::*;

#[test]
fn the_head_of_a_mysqldump_is_read_and_its_rows_are_not() {
    let found = find(MYSQLDUMP).unwrap();
    assert_eq!(place(&found), "mysql-bin-changelog.000012:15432");
    assert_eq!(gtids(&found), format!("{A}:1-77,{B}:1-5"));
    assert_eq!((found.origin.kind, found.whose), (Kind::Mysqldump, Whose::ServerItself));

    for comment in ["(the master of this slave)", "(the source for this replica)"] {
        let text = MYSQLDUMP
            .replace("recovery from\n", &format!("recovery from {comment}\n"))
            .replace("-- CHANGE MASTER TO ", "CHANGE MASTER TO MASTER_HOST='10.3.1.42', MASTER_PORT=3307, ");
        let found = find(&text).unwrap();
        assert_eq!(
            (place(&found).as_str(), found.whose),
            ("mysql-bin-changelog.000012:15432", Whose::SourceOfReplica)
        );
        assert_eq!((found.server.host.as_deref(), found.server.port), (Some("10.3.1.42"), Some(3307)));
    }
    let modern = MYSQLDUMP
        .replace("MASTER_LOG", "SOURCE_LOG")
        .replace("CHANGE MASTER TO", "CHANGE REPLICATION SOURCE TO");
    assert_eq!(place(&find(&modern).unwrap()), "mysql-bin-changelog.000012:15432");
    let only_gtids = MYSQLDUMP.replace("-- CHANGE MASTER TO", "-- nothing");
    let found =
        find(&only_gtids.replace("SET @@GLOBAL", "/* SET @@GLOBAL").replace("1-5';", "1-5';*/")).unwrap();
    assert_eq!((found.file.clone(), gtids(&found)), (None, format!("{A}:1-77,{B}:1-5")));
    assert!(found.warnings[0].contains("snapshot"), "{:?}", found.warnings);
    let neither = MYSQLDUMP.replace("GTID_PURGED", "X").replace("-- CHANGE MASTER TO", "-- nothing");
    assert!(refused(&neither).contains("understood are"));
}

#[test]
fn half_a_statement_does_not_pass_for_a_whole_one() {
    let cut = &MYSQLDUMP[..MYSQLDUMP.find(&format!("{B}:1-5")).unwrap()];
    assert!(refused(cut).contains("ends inside of this statement"));
    let dump = MYSQLDUMP.replace(", MASTER_LOG_POS=15432", "");
    let error = refused(&dump);
    assert!(error.contains("line 23"), "{error}");
}

#[test]
fn statements_are_read_without_their_password() {
    let text = "mysql> CHANGE REPLICATION SOURCE TO\n  SOURCE_HOST='db1.example', SOURCE_PASSWORD='x;SOURCE_LOG_FILE=y,',\n  \
        SOURCE_LOG_FILE = \"binlog.000003\",\n  SOURCE_LOG_POS = 1653 FOR CHANNEL 'west';";
    let found = find(text).unwrap();
    assert_eq!((place(&found).as_str(), found.channel.as_str()), ("binlog.000003:1653", "west"));
    assert_eq!((found.origin.kind, found.whose), (Kind::ChangeSource, Whose::Unsaid));
    assert_eq!(found.origin.to_string(), "CHANGE REPLICATION SOURCE statement, lines 1 to 4");
    let error = refused(&text.replace("1653", "3"));
    assert!(error.contains("at 4") && !error.contains("x;"), "{error}");
    let two = format!("{text}\n{}", text.replace("west", "east").replace("000003", "000004"));
    assert!(refused(&two).contains("'west', 'east'"));
}

#[test]
fn metadata_of_old_and_new_mydumper_are_read() {
    let source = Choice { channel: None, whose: Some(Whose::ServerItself) };
    let found = find(OLD_MYDUMPER).unwrap();
    assert_eq!((place(&found).as_str(), found.whose), ("mysql-bin.001821:256529431", Whose::SourceOfReplica));
    assert_eq!(found.server.host.as_deref(), Some("10.0.0.1"));
    let own = find_with(OLD_MYDUMPER, &source).unwrap();
    assert_eq!((place(&own).as_str(), gtids(&own)), ("replica-bin.000001:106", format!("{A}:1-5,{B}:1-2")));

    let found = find(MYDUMPER).unwrap();
    assert_eq!(
        (place(&found).as_str(), found.whose),
        ("mysql-bin-changelog.000931:48231", Whose::SourceOfReplica)
    );
    assert_eq!((found.server.port, gtids(&found)), (Some(3306), format!("{A}:1-77")));
    assert!(
        found.warnings.iter().all(|warning| warning.contains("replica's own binlog")),
        "{:?}",
        found.warnings
    );
    let own = find_with(MYDUMPER, &source).unwrap();
    assert_eq!(
        (place(&own).as_str(), own.server.host.as_deref()),
        ("replica-bin.000044:1234", Some("10.0.4.17"))
    );

    let v014 = "[master]\n# Channel_Name = '' # It can be use to setup replication FOR CHANNEL\nFile = b.000017\n\
        Position = 241149225\nExecuted_Gtid_Set = 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9\n\n[`a`.`b`]\nRows = 2\n";
    let found = find(v014).unwrap();
    assert_eq!((place(&found).as_str(), gtids(&found)), ("b.000017:241149225", format!("{A}:1-9")));
    assert!(found.warnings[0].contains("finished"), "{:?}", found.warnings);
}

#[test]
fn mydumper_of_a_replica_with_its_read_position_alone_is_refused() {
    let text = MYDUMPER.replace("SOURCE_LOG_FILE", "X").replace("Relay_Source_Log_File", "Y");
    assert!(refused(&text).contains("only one of"));
    let running =
        find(&MYDUMPER.replace("Replica_SQL_Running = 'No'", "Replica_SQL_Running = 'Yes'")).unwrap();
    assert!(running.warnings[0].contains("--no-locks"), "{:?}", running.warnings);
    let channels = MYDUMPER
        .replace("[`app`", "[replication.west]\nSOURCE_LOG_FILE = \"x.000001\"\nSOURCE_LOG_POS = 4\n[`app`");
    assert!(refused(&channels).contains("'', 'west'"));
    assert!(refused("SHOW MASTER STATUS:\n\tLog: \n\tPos: \n").contains("no coordinates"));
    let mariadb = OLD_MYDUMPER.replace("GTID:\n", "GTID:0-1-100,1-2-3\n");
    assert!(find(&mariadb).unwrap().warnings[0].contains("MariaDB"));
}

#[test]
fn a_shell_dump_is_read_where_it_is_consistent() {
    let found = find(SHELL).unwrap();
    assert_eq!(
        (place(&found).as_str(), found.whose),
        ("mysql-bin-changelog.003549:8562", Whose::ServerItself)
    );
    assert_eq!(
        (gtids(&found), found.server.host.as_deref()),
        (format!("{A}:1-77,{B}:1-5"), Some("ip-10-0-4-17"))
    );
    assert!(
        refused(&SHELL.replace("\"consistent\": true", "\"consistent\": false")).contains("not consistent")
    );
    let found = find(&SHELL.replace("Inconsistent\": false", "Inconsistent\": true")).unwrap();
    assert!(found.gtids.is_none() && found.warnings[0].contains("gtidExecutedInconsistent"));
    let newer = format!(
        "{{\"dumper\": \"x\", \"source\": {{\"binlog\": {{\"file\": \"b.000001\", \"position\": 4}}, \"gtidExecuted\": \"{A}:1\", \"serverUuid\": \"{B}\"}}}}"
    );
    let found = find(&newer).unwrap();
    assert_eq!((place(&found).as_str(), gtids(&found)), ("b.000001:4", format!("{A}:1")));
    assert_eq!(found.server.uuid.unwrap().to_string(), B);
    let none = SHELL.replace("binlogFile", "x").replace("gtidExecuted\"", "y\"");
    assert!(refused(&none).contains("REPLICATION CLIENT"));
    assert!(refused(&SHELL[..SHELL.len() / 2]).contains("begins as JSON"));
    assert!(refused("{\"a\": [1, 2]}").contains("no status row"));
}

#[test]
fn plain_words_are_understood() {
    for text in [
        "mysql-bin.000123:456",
        " mysql-bin.000123:456;\r\n",
        "`mysql-bin.000123:456`",
        "mysql-bin.000123 456",
        "mysql-bin.000123\t456\t\t\t",
        "mysql-bin.000123\n456\n",
        "mysql> mysql-bin.000123:456",
        "Binary log coordinates in green environment after switchover: file mysql-bin.000123 and position 456.",
        "file: 'mysql-bin.000123', offset: 456",
        "('mysql-bin.000123', 456)",
    ] {
        let found = find(text).unwrap();
        assert_eq!((place(&found).as_str(), found.whose), ("mysql-bin.000123:456", Whose::Unsaid), "{text}");
    }
    for text in [
        format!("{A}:1-5,\n{B}:7"),
        format!("'{A}:1-5,{B}:7';"),
        format!("@@GLOBAL.gtid_executed: {A}:1-5,\n{B}:7\n"),
        format!("+--+\n| @@global.gtid_executed |\n+--+\n| {A}:1-5,\n{B}:7 |\n+--+\n"),
        format!("SET @@GLOBAL.gtid_purged = '+{A}:1-5,\n{B}:7';"),
    ] {
        let found = find(&text).unwrap();
        assert_eq!((found.origin.kind, gtids(&found)), (Kind::Gtids, format!("{A}:1-5,{B}:7")), "{text}");
    }
    let found = find(&format!("b.000001\t154\t{A}:1-9")).unwrap();
    assert_eq!((place(&found).as_str(), gtids(&found)), ("b.000001:154", format!("{A}:1-9")));
}

#[test]
fn what_says_nothing_or_two_things_is_refused() {
    for (text, word) in [
        ("", "empty"),
        ("\u{feff} \r\n\t", "empty"),
        ("hello", "understood are"),
        ("localhost:3306", "understood are"),
        ("0-1-100", "understood are"),
        ("mysql-bin.000001:3", "understood are"),
        ("file a.000001 and b.000002 position 4", "understood are"),
        ("file a.000001 position 4 or position 5", "understood are"),
        ("File\tPosition\nb.000001\t4\textra\n", "line 2 has 3 values"),
        ("| File | Position |\n| b.000001 | 4 | 5 |\n", "line 2 has 3 values"),
        ("File,Position\nb.000001\n", "line 2 has 1 values"),
    ] {
        let error = refused(text);
        assert!(error.contains(word), "{text}: {error}");
    }
    assert!(refused(&"語\u{7}".repeat(100_000)).chars().count() < 400);
}
