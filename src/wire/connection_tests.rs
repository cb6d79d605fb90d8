use std::time::Instant;

use super::*;
use crate::error::Code;
use crate::wire::scripted::{self, OFFERED, OK, Peer, play, play_logged_in};

const COLUMN: &[u8] = b"\x03def\x00\x00\x00\x04File\x00\x0c\x2d\x00\x01\x00\x00\x00\xfd\x01\x00\x00\x00\x00";
/// The end of a result set as OK packet, and the same with more results to come.
const END: &[u8] = b"\xFE\x00\x00\x02\x00\x00\x00";
const END_AND_MORE: &[u8] = b"\xFE\x00\x00\x0A\x00\x00\x00";

async fn send_rows(peer: &mut Peer, values: &[&str], end: &[u8]) {
    peer.send(b"\x01").await;
    peer.send(COLUMN).await;
    for value in values {
        peer.send(&[&[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()).await;
    }
    peer.send(end).await;
}

async fn expect_query(peer: &mut Peer, sql: &str) {
    let packet = peer.receive().await;
    assert_eq!(packet[0], COM_QUERY);
    assert_eq!(String::from_utf8_lossy(&packet[1..]), sql);
}

#[tokio::test]
async fn a_query_gives_its_rows_and_an_execute_what_was_done() {
    let script = async |peer: &mut Peer| {
        expect_query(peer, "SELECT 1").await;
        send_rows(peer, &["a", "b"], END).await;
        expect_query(peer, "DO 1").await;
        peer.send(&scripted::ok(3, 2)).await;
        expect_query(peer, "SELEC").await;
        peer.send(&scripted::error(1146, "Table 'a.b' doesn't exist")).await;
        assert_eq!(peer.receive().await, [COM_PING]);
        peer.send(OK).await;
        assert_eq!(peer.receive().await, [COM_QUIT]);
    };
    let client = async |mut connection: Connection| {
        let rows = connection.query("SELECT 1").await.unwrap();
        assert_eq!((rows.len(), rows.scalar()), (2, Some("a")));
        assert_eq!(connection.execute("DO 1").await.unwrap().affected, 3);
        assert_eq!(connection.query("SELEC").await.unwrap_err().code(), Code::SchemaMismatch);
        connection.ping().await.unwrap();
        connection.close().await;
    };
    play_logged_in(script, client).await;
}

#[tokio::test]
async fn servers_without_deprecated_ends_are_understood() {
    let script = async |peer: &mut Peer| {
        peer.log_in("5.6.51", OFFERED - mysql_common::constants::CapabilityFlags::CLIENT_DEPRECATE_EOF).await;
        expect_query(peer, "SELECT 1").await;
        peer.send(b"\x01").await;
        peer.send(COLUMN).await;
        peer.send(b"\xFE\0\0\x02\0").await;
        peer.send(b"\x01x").await;
        peer.send(b"\xFE\0\0\x02\0").await;
    };
    let client = async |endpoint| {
        let mut connection = Connection::connect(&endpoint).await.unwrap();
        connection.query("SELECT 1").await.unwrap().scalar().map(str::to_owned)
    };
    assert_eq!(play(script, client).await.as_deref(), Some("x"));
}

#[tokio::test]
async fn the_further_results_of_a_procedure_are_read_and_its_failure_seen() {
    let script = async |peer: &mut Peer| {
        expect_query(peer, "CALL p()").await;
        send_rows(peer, &["message"], END_AND_MORE).await;
        peer.send(OK).await;
        expect_query(peer, "CALL p()").await;
        send_rows(peer, &["message"], END_AND_MORE).await;
        peer.send(&scripted::error(1227, "Access denied")).await;
        expect_query(peer, "SELECT 2").await;
        send_rows(peer, &["2"], END).await;
    };
    let client = async |mut connection: Connection| {
        assert_eq!(connection.query("CALL p()").await.unwrap().scalar(), Some("message"));
        assert_eq!(connection.query("CALL p()").await.unwrap_err().code(), Code::Privilege);
        assert_eq!(connection.query("SELECT 2").await.unwrap().scalar(), Some("2"));
    };
    play_logged_in(script, client).await;
}

#[tokio::test]
async fn answers_of_pipelined_statements_are_counted_by_the_caller_whatever_the_flags_say() {
    let script = async |peer: &mut Peer| {
        for _ in 0..2 {
            expect_query(peer, "DO 1;BINLOG 'x';COMMIT").await;
        }
        for affected in 1..=2 {
            peer.send(&scripted::ok(affected, 0x0A)).await;
            // A BINLOG statement's OK lacks the flag, although another answer follows.
            peer.send(&scripted::ok(0, 0x02)).await;
            peer.send(&scripted::ok(0, 0x02)).await;
        }
        expect_query(peer, "DO 2;COMMIT").await;
        peer.send(&scripted::error(1242, "Subquery returns more than 1 row")).await;
    };
    let client = async |mut connection: Connection| {
        for _ in 0..2 {
            connection.send_query(&[b"DO 1;", b"BINLOG 'x'", b"", b";COMMIT"]).await.unwrap();
        }
        for affected in [1, 0, 0, 2, 0, 0] {
            let Reply::Done(done) = connection.read_reply().await.unwrap() else { panic!("no OK") };
            assert_eq!(done.affected, affected);
        }
        connection.send_query(&[b"DO 2;COMMIT"]).await.unwrap();
        let Reply::Failed(error) = connection.read_reply().await.unwrap() else { panic!("no error") };
        assert_eq!(error.number, 1242);
    };
    play_logged_in(script, client).await;
}

#[tokio::test]
async fn a_statement_of_many_pieces_arrives_whole() {
    const LEN: usize = 40 << 20;
    let script = async |peer: &mut Peer| {
        let packet = peer.receive().await;
        assert_eq!(packet.len(), 1 + 7 + LEN + 1);
        assert!(packet[8..8 + LEN].iter().eq((0..253_u8).collect::<Vec<_>>().iter().cycle().take(LEN)));
        peer.send(OK).await;
    };
    let client = async |mut connection: Connection| {
        let long: Vec<u8> = (0..253).cycle().take(LEN).collect();
        connection.send_query(&[b"BINLOG ", &long, b"'"]).await.unwrap();
        assert!(matches!(connection.read_reply().await.unwrap(), Reply::Done(_)));
    };
    play_logged_in(script, client).await;
}

#[tokio::test]
async fn a_packet_of_many_pieces_is_joined_and_one_beyond_the_limit_refused() {
    let long = vec![7; (0xFF_FFFF * 2) + 11];
    let script = async |peer: &mut Peer| {
        peer.receive().await;
        peer.send(&long).await;
        peer.send(b"next").await;
        peer.try_send(&long).await;
    };
    let client = async |mut connection: Connection| {
        connection.send_command(0x12, b"file").await.unwrap();
        assert!(connection.read_packet().await.unwrap() == long);
        assert_eq!(connection.read_packet().await.unwrap(), "next");
        connection.set_max_packet(20 << 20);
        assert_eq!(connection.read_packet().await.unwrap_err().code(), Code::Protocol);
        assert!(!connection.is_usable());
    };
    play_logged_in(script, client).await;
}

#[tokio::test]
async fn reading_may_be_given_up_at_any_byte_and_taken_up_again() {
    let script = async |peer: &mut Peer| {
        peer.receive().await;
        let bytes =
            [peer.frame(b"\x01"), peer.frame(COLUMN), peer.frame(b"\x05value"), peer.frame(END)].concat();
        for byte in bytes {
            peer.send_raw(&[byte]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let client = async |mut connection: Connection| {
        connection.send_query(&[b"SELECT 1"]).await.unwrap();
        let mut given_up = 0;
        loop {
            tokio::select! {
                biased;
                reply = connection.read_reply() => {
                    let Reply::Rows(rows) = reply.unwrap() else { panic!("no rows") };
                    assert_eq!(rows.scalar(), Some("value"));
                    assert!(given_up > 10, "{given_up}");
                    break;
                }
                () = tokio::time::sleep(Duration::from_micros(500)) => given_up += 1,
            }
        }
    };
    play_logged_in(script, client).await;
}

#[tokio::test]
async fn silence_is_noticed_even_by_a_reader_that_keeps_looking_away() {
    let script = async |peer: &mut Peer| {
        peer.receive().await;
        peer.is_closed().await;
    };
    let client = async |mut connection: Connection| {
        connection.set_read_timeout(Some(Duration::from_millis(200)));
        connection.send_query(&[b"SELECT 1"]).await.unwrap();
        let begun = Instant::now();
        let error = loop {
            tokio::select! {
                packet = connection.read_packet() => break packet.unwrap_err(),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        };
        assert_eq!(error.code(), Code::ConnectionLost);
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_millis(190) && waited < Duration::from_secs(5), "{waited:?}");
    };
    play_logged_in(script, client).await;
}

#[tokio::test]
async fn time_in_which_nobody_reads_is_not_silence_of_the_server() {
    let script = async |peer: &mut Peer| {
        peer.receive().await;
        peer.send(b"event").await;
        peer.send(b"event").await;
        peer.is_closed().await;
    };
    let client = async |mut connection: Connection| {
        connection.set_read_timeout(Some(Duration::from_millis(100)));
        connection.send_command(0x12, b"").await.unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
        for _ in 0..2 {
            connection.read_packet().await.unwrap();
        }
    };
    play_logged_in(script, client).await;
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_noticed() {
    let script = async |peer: &mut Peer| {
        peer.log_in("8.0.36", OFFERED).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
    };
    let client = async |mut endpoint: Endpoint| {
        endpoint.timeouts.write = Duration::from_millis(100);
        let mut connection = Connection::connect(&endpoint).await.unwrap();
        let long = vec![b' '; 64 << 20];
        let error = connection.send_query(&[&long]).await.unwrap_err();
        assert_eq!(error.code(), Code::ConnectionLost);
        assert!(error.to_string().contains("took nothing"), "{error}");
        assert!(!connection.is_usable());
    };
    play(script, client).await;
}

#[tokio::test]
async fn a_server_that_asks_for_a_file_gets_none() {
    let script = async |peer: &mut Peer| {
        peer.receive().await;
        peer.send(b"\xFB/etc/passwd").await;
        assert!(peer.is_closed().await);
    };
    let client = async |mut connection: Connection| {
        let error = connection.query("SELECT 1").await.unwrap_err();
        assert_eq!(error.code(), Code::Protocol);
        assert!(!connection.is_usable());
    };
    play_logged_in(script, client).await;
}

#[tokio::test]
async fn a_query_that_was_given_up_never_lends_its_answer_to_the_next() {
    let script = async |peer: &mut Peer| {
        peer.receive().await;
        peer.is_closed().await;
    };
    let client = async |mut connection: Connection| {
        let given_up = timeout(Duration::from_millis(50), connection.query("SELECT 1")).await;
        assert!(given_up.is_err());
        assert_eq!(connection.query("SELECT 2").await.unwrap_err().code(), Code::ConnectionLost);
    };
    play_logged_in(script, client).await;
}

#[tokio::test]
async fn a_result_set_beyond_its_limit_is_refused() {
    let script = async |peer: &mut Peer| {
        peer.receive().await;
        peer.send(b"\x01").await;
        peer.send(COLUMN).await;
        let row = [&b"\xFD\x00\x00\x80"[..], &vec![b'x'; 8 << 20]].concat();
        for _ in 0..8 {
            peer.try_send(&row).await;
        }
    };
    let client = async |mut connection: Connection| {
        assert_eq!(connection.query("SELECT 1").await.unwrap_err().code(), Code::TooLarge);
        assert!(!connection.is_usable());
    };
    play_logged_in(script, client).await;
}

#[tokio::test]
async fn each_version_hears_the_words_it_knows() {
    for (version, status, replica) in [
        ("5.7.44-log", "SHOW MASTER STATUS", "SHOW SLAVE STATUS"),
        ("8.0.21", "SHOW MASTER STATUS", "SHOW SLAVE STATUS"),
        ("8.0.36", "SHOW MASTER STATUS", "SHOW REPLICA STATUS"),
        ("8.4.3", "SHOW BINARY LOG STATUS", "SHOW REPLICA STATUS"),
        ("9.7.4", "SHOW BINARY LOG STATUS", "SHOW REPLICA STATUS"),
        ("5.5.5-10.11.6-MariaDB", "SHOW MASTER STATUS", "SHOW SLAVE STATUS"),
    ] {
        let script = async |peer: &mut Peer| {
            peer.log_in(version, OFFERED).await;
            expect_query(peer, status).await;
            send_rows(peer, &["binlog.000001"], END).await;
            expect_query(peer, replica).await;
            send_rows(peer, &[], END).await;
        };
        let client = async |endpoint| {
            let mut connection = Connection::connect(&endpoint).await.unwrap();
            let dialect = connection.dialect();
            connection.query(dialect.binary_log_status()).await.unwrap();
            let rows = connection.query(dialect.replica_status()).await.unwrap();
            assert!(crate::wire::ReplicaStatus::from_rows(&rows).unwrap().is_empty());
        };
        play(script, client).await;
    }
}

#[tokio::test]
async fn the_reason_of_a_server_that_closes_in_the_middle_of_a_statement_is_heard() {
    let script = async |peer: &mut Peer| {
        peer.log_in("8.0.36", OFFERED).await;
        peer.send(&scripted::error(1153, "Got a packet bigger than 'max_allowed_packet' bytes")).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    let client = async |mut endpoint: Endpoint| {
        endpoint.timeouts.write = Duration::from_millis(100);
        let mut connection = Connection::connect(&endpoint).await.unwrap();
        let error = connection.query(&" ".repeat(64 << 20)).await.unwrap_err();
        assert_eq!(error.code(), Code::TooLarge, "{error}");
    };
    play(script, client).await;
}

#[test]
fn a_connection_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let endpoint = scripted::endpoint(1);
    is_send(&Connection::connect(&endpoint));
    is_send(&async |mut connection: Connection| connection.query("").await);
}
