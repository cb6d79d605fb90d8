use std::time::{Duration, Instant};

use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::auth::plugins::mysql_native_password::scramble_native;

use super::*;
use crate::wire::scripted::{self, NONCE, OFFERED, OK, PASSWORD, Peer, RSA_PUBLIC_KEY, play};
use crate::wire::{Connection, Secret};

/// The challenge that comes with a switch.
const SECOND_NONCE: [u8; 20] = *b"ABCDEFGHIJKLMNOPQRST";

async fn connect(endpoint: Endpoint) -> Result<Connection> {
    Connection::connect(&endpoint).await
}

async fn switch(peer: &mut Peer, plugin: &str) {
    peer.send(&[b"\xFE", plugin.as_bytes(), b"\0", &SECOND_NONCE, b"\0"].concat()).await;
}

async fn more(peer: &mut Peer, data: &[u8]) {
    peer.send(&[&[MORE_DATA], data].concat()).await;
}

#[tokio::test]
async fn native_password_answers_the_greeting() {
    let script = async |peer: &mut Peer| {
        peer.send(&scripted::greeting("5.7.44", "mysql_native_password", OFFERED)).await;
        let (plugin, answer) = peer.receive_login().await;
        assert_eq!(plugin, "mysql_native_password");
        assert_eq!(answer, scramble_native(&NONCE, PASSWORD.as_bytes()).unwrap());
        peer.send(OK).await;
    };
    let connection = play(script, connect).await.unwrap();
    assert_eq!(connection.server().version, (5, 7, 44));
    assert_eq!(connection.server().connection_id, 77);
    assert_eq!(connection.server().tls, None);
}

#[tokio::test]
async fn caching_sha2_is_done_when_the_server_knows_the_hash() {
    let script = async |peer: &mut Peer| {
        peer.send(&scripted::greeting("8.0.36", "caching_sha2_password", OFFERED)).await;
        let (_, answer) = peer.receive_login().await;
        assert_eq!(answer, scramble_sha256(&NONCE, PASSWORD.as_bytes()).unwrap());
        more(peer, &[3]).await;
        peer.send(OK).await;
    };
    play(script, connect).await.unwrap();
}

#[tokio::test]
async fn full_caching_sha2_on_a_plain_connection_encrypts_with_the_servers_key() {
    let script = async |peer: &mut Peer| {
        peer.send(&scripted::greeting("8.0.36", "caching_sha2_password", OFFERED)).await;
        peer.receive_login().await;
        more(peer, &[4]).await;
        assert_eq!(peer.receive().await, [2]);
        more(peer, RSA_PUBLIC_KEY.as_bytes()).await;
        assert_eq!(scripted::decrypt_password(&peer.receive().await, &NONCE), PASSWORD);
        peer.send(OK).await;
    };
    play(script, connect).await.unwrap();
}

#[tokio::test]
async fn after_a_switch_the_key_is_used_with_the_switchs_nonce() {
    let script = async |peer: &mut Peer| {
        peer.send(&scripted::greeting("8.0.36", "mysql_native_password", OFFERED)).await;
        peer.receive_login().await;
        switch(peer, "caching_sha2_password").await;
        let answer = peer.receive().await;
        assert_eq!(answer, scramble_sha256(&SECOND_NONCE, PASSWORD.as_bytes()).unwrap());
        more(peer, &[4]).await;
        peer.receive().await;
        more(peer, RSA_PUBLIC_KEY.as_bytes()).await;
        assert_eq!(scripted::decrypt_password(&peer.receive().await, &SECOND_NONCE), PASSWORD);
        peer.send(OK).await;
    };
    play(script, connect).await.unwrap();
}

#[tokio::test]
async fn sha256_on_a_plain_connection_encrypts_with_the_servers_key() {
    let script = async |peer: &mut Peer| {
        peer.send(&scripted::greeting("5.7.44", "mysql_native_password", OFFERED)).await;
        peer.receive_login().await;
        switch(peer, "sha256_password").await;
        assert_eq!(peer.receive().await, [1]);
        more(peer, RSA_PUBLIC_KEY.as_bytes()).await;
        assert_eq!(scripted::decrypt_password(&peer.receive().await, &SECOND_NONCE), PASSWORD);
        peer.send(OK).await;
    };
    play(script, connect).await.unwrap();
}

#[tokio::test]
async fn a_server_cannot_have_the_clear_password_on_a_plain_connection() {
    let script = async |peer: &mut Peer| {
        peer.send(&scripted::greeting("8.0.36", "mysql_clear_password", OFFERED)).await;
        let (plugin, _) = peer.receive_login().await;
        assert_eq!(plugin, "mysql_native_password");
        switch(peer, "mysql_clear_password").await;
        assert!(peer.is_closed().await);
    };
    assert_eq!(play(script, connect).await.unwrap_err().code(), Code::Tls);
}

#[tokio::test]
async fn a_token_is_not_even_hashed_on_a_plain_connection() {
    let script = async |peer: &mut Peer| {
        peer.send(&scripted::greeting("8.0.36", "caching_sha2_password", OFFERED)).await;
        assert!(peer.is_closed().await);
    };
    let client = async |mut endpoint: Endpoint| {
        endpoint.secret = Secret::TokenCommand("echo token".to_owned());
        connect(endpoint).await
    };
    assert_eq!(play(script, client).await.unwrap_err().code(), Code::Tls);
}

#[tokio::test]
async fn methods_that_are_not_here_are_a_definite_error() {
    for (switch_to, named) in [
        (&b"\xFEdialog\0"[..], "dialog"),
        (b"\xFE", "mysql_old_password"),
        (b"\x02caching_sha2_password\0", "second"),
    ] {
        let script = async |peer: &mut Peer| {
            peer.send(&scripted::greeting("8.0.36", "auth_gssapi_client", OFFERED)).await;
            assert_eq!(peer.receive_login().await.0, "mysql_native_password");
            peer.send(switch_to).await;
        };
        let error = play(script, connect).await.unwrap_err();
        assert_eq!(error.code(), Code::AuthPlugin);
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[tokio::test]
async fn what_a_server_refuses_before_and_after_its_greeting_keeps_its_number() {
    for (number, code) in [(1040, Code::ServerBusy), (1129, Code::AccessDenied), (1130, Code::AccessDenied)] {
        let packet = [b"\xFF", &u16::to_le_bytes(number)[..], b"no entry"].concat();
        let error = play(async |peer: &mut Peer| peer.send(&packet).await, connect).await.unwrap_err();
        assert_eq!((error.code(), error.server().unwrap().number), (code, number));
    }
    let script = async |peer: &mut Peer| {
        peer.send(&scripted::greeting("8.0.36", "mysql_native_password", OFFERED)).await;
        peer.receive_login().await;
        peer.send(&scripted::error(1045, "Access denied for user 'someone'")).await;
    };
    let error = play(script, connect).await.unwrap_err();
    assert_eq!(error.code(), Code::AccessDenied);
    assert!(!format!("{error} {error:?}").contains(PASSWORD));
}

#[tokio::test]
async fn a_port_that_is_not_mysqls_is_found_out_at_once() {
    let cut = scripted::greeting("8.0.36", "caching_sha2_password", OFFERED);
    let truncated = [&[30, 0, 0, 0], &cut[..30]].concat();
    let banners: [&[u8]; 6] = [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
        b"220 mail.example.com ESMTP Postfix\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"\x00\x00\x00\x00",
        &truncated,
    ];
    for banner in banners {
        let begun = Instant::now();
        let script = async |peer: &mut Peer| {
            peer.send_raw(banner).await;
            peer.is_closed().await;
        };
        let error = play(script, connect).await.unwrap_err();
        assert_eq!(error.code(), Code::Protocol, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn a_server_that_never_greets_ends_with_the_connect_timeout() {
    let client = async |mut endpoint: Endpoint| {
        endpoint.timeouts.connect = Duration::from_millis(100);
        connect(endpoint).await
    };
    let script = async |peer: &mut Peer| assert!(peer.is_closed().await);
    assert_eq!(play(script, client).await.unwrap_err().code(), Code::Connect);
}

#[tokio::test]
async fn a_server_that_hangs_up_is_a_lost_connection() {
    let error = play(async |_: &mut Peer| {}, connect).await.unwrap_err();
    assert_eq!(error.code(), Code::ConnectionLost);
    assert!(error.to_string().contains("greeting"), "{error}");
}

#[tokio::test]
async fn a_server_that_never_comes_to_a_verdict_is_left() {
    let script = async |peer: &mut Peer| {
        peer.send(&scripted::greeting("8.0.36", "mysql_native_password", OFFERED)).await;
        peer.receive_login().await;
        for _ in 0..MAX_ROUNDS {
            switch(peer, "mysql_native_password").await;
            peer.receive().await;
        }
    };
    assert_eq!(play(script, connect).await.unwrap_err().code(), Code::Protocol);
}

#[tokio::test]
async fn packets_out_of_order_are_a_protocol_error() {
    let script = async |peer: &mut Peer| {
        peer.send(&scripted::greeting("8.0.36", "mysql_native_password", OFFERED)).await;
        peer.receive_login().await;
        peer.send_raw(b"\x07\x00\x00\x09\x00\x00\x00\x02\x00\x00\x00").await;
    };
    assert_eq!(play(script, connect).await.unwrap_err().code(), Code::Protocol);
}
