//! The proxy that stands in for the network, with plain sockets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{Action, Direction, Edge, Match, Proxy, wait_until};

const LIMIT: Duration = Duration::from_secs(10);

/// A client and the server's end of its connection, through a proxy.
fn connected() -> (Proxy, TcpStream, TcpStream, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap().port());
    let client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let server = listener.accept().unwrap().0;
    client.set_read_timeout(Some(LIMIT)).unwrap();
    server.set_read_timeout(Some(LIMIT)).unwrap();
    (proxy, client, server, listener)
}

fn read(from: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).unwrap();
    bytes
}

fn rest(from: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match from.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    bytes
}

#[test]
fn a_delay_adds_its_time_each_way() {
    let (proxy, mut client, mut server, _listener) = connected();
    proxy.set_delay(Duration::from_millis(50));
    let start = Instant::now();
    client.write_all(b"question").unwrap();
    assert_eq!(read(&mut server, 8), b"question");
    assert!(start.elapsed() >= Duration::from_millis(50));
    server.write_all(b"answer").unwrap();
    assert_eq!(read(&mut client, 6), b"answer");
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_delay_does_not_narrow_the_line() {
    let (proxy, mut client, mut server, _listener) = connected();
    proxy.set_delay(Duration::from_millis(50));
    let start = Instant::now();
    let sent = std::thread::spawn(move || client.write_all(&vec![7; 16 << 20]).map(|()| client));
    assert_eq!(read(&mut server, 16 << 20).len(), 16 << 20);
    sent.join().unwrap().unwrap();
    // Stop-and-wait would take 256 chunks of 64 KiB times 50 ms.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn cut_before_a_pattern_keeps_it_from_the_server() {
    let (proxy, mut client, mut server, _listener) = connected();
    proxy.cut_when(Direction::ToServer, b"COMMIT", 2, Edge::Before);
    client.write_all(b"one COMMIT two ").unwrap();
    assert_eq!(read(&mut server, 15), b"one COMMIT two ");
    client.write_all(b"COMMIT three").unwrap();
    assert_eq!(rest(&mut server), b"");
    assert_eq!(rest(&mut client), b"");
    assert_eq!((proxy.cuts(), proxy.fired()), (1, 1));
}

#[test]
fn cut_after_a_pattern_lets_exactly_it_through_even_in_pieces() {
    let (proxy, mut client, mut server, _listener) = connected();
    proxy.cut_when(Direction::ToServer, b"COMMIT", 1, Edge::After);
    client.write_all(b"x COM").unwrap();
    assert_eq!(read(&mut server, 5), b"x COM");
    client.write_all(b"MIT and more").unwrap();
    assert_eq!(rest(&mut server), b"MIT");
    proxy.wait_fired(1, LIMIT);
}

#[test]
fn cut_after_a_number_of_bytes() {
    let (proxy, mut client, mut server, _listener) = connected();
    proxy.arm(Direction::ToClient, Match::Bytes(5), Edge::After, Action::Cut);
    server.write_all(b"123").unwrap();
    server.write_all(b"45678").unwrap();
    assert_eq!(rest(&mut client), b"12345");
    assert_eq!(proxy.bytes(Direction::ToClient), 5);
    assert_eq!(rest(&mut server), b"");
    client.write_all(b"x").ok();
}

/// A MySQL packet.
fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&size[..3], &[sequence], payload].concat()
}

/// A TLS record.
fn record(payload: &[u8]) -> Vec<u8> {
    let size = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[23, 3, 3], &size[..], payload].concat()
}

#[test]
fn cut_around_the_nth_packet_of_a_size() {
    let (proxy, mut client, mut server, _listener) = connected();
    proxy.arm(Direction::ToClient, Match::Frame { at_least: 10, nth: 2 }, Edge::After, Action::Cut);
    let stream = [packet(1, &[1; 10]), packet(2, &[2; 9]), packet(3, &[3; 300])].concat();
    server.write_all(&stream[..40]).unwrap();
    assert_eq!(read(&mut client, 40), &stream[..40]);
    server.write_all(&[&stream[40..], &packet(4, b"lost")].concat()).unwrap();
    assert_eq!(rest(&mut client), &stream[40..]);
    assert_eq!(proxy.fired(), 1);
}

#[test]
fn under_tls_records_are_counted_instead_of_packets() {
    let (proxy, mut client, mut server, _listener) = connected();
    let greeting = packet(0, b"greeting");
    server.write_all(&greeting).unwrap();
    read(&mut client, greeting.len());
    let request = [packet(1, &[0; 32]), record(b"hello")].concat();
    client.write_all(&request).unwrap();
    read(&mut server, request.len());
    proxy.arm(Direction::ToClient, Match::Frame { at_least: 6, nth: 1 }, Edge::Before, Action::Cut);
    server.write_all(&[record(b"short"), record(b"longer")].concat()).unwrap();
    assert_eq!(rest(&mut client), record(b"short"));
    assert_eq!(proxy.frames(Direction::ToServer), 2);
}

#[test]
fn held_bytes_queue_up_until_released() {
    let (proxy, mut client, mut server, _listener) = connected();
    proxy.hold(Direction::ToClient);
    client.write_all(b"question").unwrap();
    assert_eq!(read(&mut server, 8), b"question");
    server.write_all(b"answer").unwrap();
    wait_until("the answer is in the proxy", LIMIT, || proxy.waiting(Direction::ToClient) == 6);
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(client.read(&mut [0; 1]).is_err());
    client.set_read_timeout(Some(LIMIT)).unwrap();
    proxy.release(Direction::ToClient);
    assert_eq!(read(&mut client, 6), b"answer");
}

#[test]
fn a_fuse_can_hold_the_answer_to_what_it_saw() {
    let (proxy, mut client, mut server, _listener) = connected();
    let hold = Action::Hold(Direction::ToClient);
    proxy.arm(Direction::ToServer, Match::Pattern(b"COMMIT".to_vec(), 1), Edge::Before, hold);
    client.write_all(b"and COMMIT;").unwrap();
    assert_eq!(read(&mut server, 11), b"and COMMIT;");
    server.write_all(b"ok").unwrap();
    wait_until("the answer is in the proxy", LIMIT, || proxy.waiting(Direction::ToClient) == 2);
    proxy.cut_now();
    assert_eq!(rest(&mut client), b"");
}

#[test]
fn the_server_of_a_severed_client_still_gets_what_was_held() {
    let (proxy, mut client, mut server, listener) = connected();
    proxy.hold(Direction::ToServer);
    client.write_all(b"late").unwrap();
    wait_until("the bytes are in the proxy", LIMIT, || proxy.waiting(Direction::ToServer) == 4);
    proxy.sever_clients();
    assert_eq!(rest(&mut client), b"");

    // A new connection is not in the way of the old one, nor the other way round.
    proxy.release(Direction::ToServer);
    let mut again = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let mut new_server = listener.accept().unwrap().0;
    again.write_all(b"new").unwrap();
    assert_eq!(read(&mut new_server, 3), b"new");
    assert_eq!(proxy.waiting(Direction::ToServer), 4);

    proxy.release_severed();
    assert_eq!(read(&mut server, 4), b"late");
    server.write_all(b"into the void").unwrap();
    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let nothing = server.read(&mut [0; 1]).unwrap_err();
    assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&nothing.kind()), "{nothing}");
    proxy.close_severed();
    assert_eq!(rest(&mut server), b"");
}

#[test]
fn an_end_of_one_direction_leaves_the_other_open() {
    let (_proxy, mut client, mut server, _listener) = connected();
    client.write_all(b"all").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(&mut server), b"all");
    server.write_all(b"answer").unwrap();
    drop(server);
    assert_eq!(rest(&mut client), b"answer");
}

#[test]
fn refused_clients_hear_so_and_others_stay_connected() {
    let (proxy, mut client, mut server, listener) = connected();
    proxy.refuse(true);
    let refused = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    client.write_all(b"still").unwrap();
    assert_eq!(read(&mut server, 5), b"still");
    proxy.refuse(false);
    TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    listener.accept().unwrap();
    wait_until("the proxy has counted it", LIMIT, || proxy.connections() == 2);
}
