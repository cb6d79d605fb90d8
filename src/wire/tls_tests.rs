use mysql_common::constants::CapabilityFlags;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::wire::scripted::{self, Issuer, OFFERED, OK, PASSWORD, Peer, acceptor, play, self_signed};
use crate::wire::{Connection, Secret};

/// Connects as `tls` says to a server with this certificate, which asks for the full authentication.
async fn try_tls(acceptor: &TlsAcceptor, host: &str, tls: Tls) -> Result<Connection> {
    let script = async |peer: &mut Peer| {
        if peer.try_greet_over_tls("caching_sha2_password", acceptor).await.is_err() {
            return;
        }
        let Some(_) = peer.try_receive().await else { return };
        peer.send(b"\x01\x04").await;
        assert_eq!(peer.receive().await, format!("{PASSWORD}\0").as_bytes());
        peer.send(OK).await;
    };
    let client = async |mut endpoint: Endpoint| {
        host.clone_into(&mut endpoint.host);
        endpoint.tls = tls;
        Connection::connect(&endpoint).await
    };
    play(script, client).await
}

fn mode(mode: SslMode, ca: &[&std::path::Path]) -> Tls {
    Tls { mode, ca: ca.iter().map(|path| path.to_path_buf()).collect(), ..Tls::default() }
}

#[tokio::test]
async fn preferred_and_required_encrypt_and_believe_whoever_answers() {
    let server = acceptor(&self_signed(&["elsewhere.test"], 2000..2001));
    for wanted in [SslMode::Preferred, SslMode::Required] {
        let connection = try_tls(&server, "127.0.0.1", mode(wanted, &[])).await.unwrap();
        let tls = connection.server().tls.as_deref().unwrap();
        assert!(tls.starts_with("TLSv1"), "{tls}");
    }
}

#[tokio::test]
async fn preferred_goes_plain_only_if_the_server_offers_no_tls_and_the_others_never_do() {
    for wanted in [SslMode::Preferred, SslMode::Required, SslMode::VerifyCa, SslMode::VerifyIdentity] {
        let script = async |peer: &mut Peer| {
            peer.send(&scripted::greeting("8.0.36", "mysql_native_password", OFFERED)).await;
            if wanted == SslMode::Preferred {
                peer.receive().await;
                peer.send(OK).await;
            } else {
                assert!(peer.is_closed().await, "no name is sent in the clear");
            }
        };
        let client = async |mut endpoint: Endpoint| {
            endpoint.tls.mode = wanted;
            Connection::connect(&endpoint).await
        };
        match play(script, client).await {
            Ok(connection) => assert!(wanted == SslMode::Preferred && connection.server().tls.is_none()),
            Err(error) => assert!(wanted != SslMode::Preferred && error.code() == Code::Tls),
        }
    }
}

#[tokio::test]
async fn preferred_does_not_go_plain_when_tls_fails() {
    let script = async |peer: &mut Peer| {
        peer.send(&scripted::greeting(
            "8.0.36",
            "mysql_native_password",
            OFFERED | CapabilityFlags::CLIENT_SSL,
        ))
        .await;
        peer.receive().await;
        peer.send_raw(b"\x15\x03\x03\x00\x02\x02\x28").await;
        peer.is_closed().await;
    };
    let error = play(script, async |endpoint| Connection::connect(&endpoint).await).await.unwrap_err();
    assert_eq!(error.code(), Code::Tls, "{error}");
}

#[tokio::test]
async fn bytes_smuggled_in_before_tls_are_refused() {
    let script = async |peer: &mut Peer| {
        let greeting =
            scripted::greeting("8.0.36", "mysql_native_password", OFFERED | CapabilityFlags::CLIENT_SSL);
        let both = [peer.frame(&greeting), peer.frame(OK)].concat();
        peer.send_raw(&both).await;
        peer.receive().await;
    };
    let error = play(script, async |endpoint| Connection::connect(&endpoint).await).await.unwrap_err();
    assert_eq!(error.code(), Code::Protocol);
}

#[tokio::test]
async fn verify_ca_checks_the_chain_and_verify_identity_the_name_too() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (Issuer::new(), Issuer::new());
    let ca = ours.write(folder.path());
    let local = acceptor(&ours.issue(&["localhost"], "somebody"));
    let elsewhere = acceptor(&ours.issue(&["elsewhere.test"], "localhost"));
    let stranger = acceptor(&other.issue(&["localhost"], "localhost"));
    let common_name = acceptor(&ours.issue(&[], "localhost"));
    for (server, wanted, trusted) in [
        (&local, SslMode::VerifyCa, true),
        (&local, SslMode::VerifyIdentity, true),
        (&elsewhere, SslMode::VerifyCa, true),
        (&elsewhere, SslMode::VerifyIdentity, false),
        (&stranger, SslMode::VerifyCa, false),
        (&stranger, SslMode::VerifyIdentity, false),
        (&common_name, SslMode::VerifyIdentity, true),
    ] {
        let outcome = try_tls(server, "localhost", mode(wanted, &[&ca])).await;
        assert_eq!(outcome.is_ok(), trusted, "{wanted:?}: {:?}", outcome.err());
        assert!(outcome.err().is_none_or(|error| error.code() == Code::Tls));
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_if_it_is_the_configured_one() {
    let folder = tempfile::tempdir().unwrap();
    let own = self_signed(&["localhost"], 2020..2090);
    let (own_file, _) = own.write(folder.path());
    let server = acceptor(&own);
    for wanted in [SslMode::VerifyCa, SslMode::VerifyIdentity] {
        try_tls(&server, "localhost", mode(wanted, &[&own_file])).await.unwrap();
    }
    let by_address = try_tls(&server, "127.0.0.1", mode(SslMode::VerifyIdentity, &[&own_file])).await;
    assert_eq!(by_address.unwrap_err().code(), Code::Tls);
    let other = acceptor(&self_signed(&["localhost"], 2020..2090));
    let stranger = try_tls(&other, "localhost", mode(SslMode::VerifyCa, &[&own_file])).await;
    assert_eq!(stranger.unwrap_err().code(), Code::Tls);
}

#[tokio::test]
async fn a_configured_certificate_that_has_run_out_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let own = self_signed(&["localhost"], 2000..2001);
    let (file, _) = own.write(folder.path());
    let error = try_tls(&acceptor(&own), "localhost", mode(SslMode::VerifyCa, &[&file])).await.unwrap_err();
    assert_eq!(error.code(), Code::Tls);
    assert!(error.to_string().contains("xpired"), "{error}");
}

#[tokio::test]
async fn a_version_1_certificate_serves_where_no_chain_is_asked_for_or_it_is_the_configured_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.pem");
    std::fs::write(&file, scripted::VERSION_1_CERTIFICATE).unwrap();
    let ca = Issuer::new().write(folder.path());
    for protocol in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let server = scripted::version_1_acceptor(protocol);
        for tls in [
            mode(SslMode::Required, &[]),
            mode(SslMode::VerifyCa, &[&file]),
            mode(SslMode::VerifyIdentity, &[&file]),
        ] {
            try_tls(&server, "localhost", tls).await.unwrap();
        }
        let refused = try_tls(&server, "localhost", mode(SslMode::VerifyCa, &[&ca])).await;
        assert_eq!(refused.unwrap_err().code(), Code::Tls);
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::new();
    let ca = issuer.write(folder.path());
    let (cert, key) = issuer.issue(&["client.test"], "client").write(folder.path());
    let server = issuer.acceptor_for_clients(&issuer.issue(&["localhost"], "server"));
    let with = Tls { cert: Some(cert), key: Some(key), ..mode(SslMode::VerifyCa, &[&ca]) };
    try_tls(&server, "localhost", with).await.unwrap();
    let without = try_tls(&server, "localhost", mode(SslMode::VerifyCa, &[&ca])).await;
    assert_eq!(without.unwrap_err().code(), Code::Tls);
}

#[tokio::test]
async fn a_token_is_sent_in_clear_over_tls_and_read_anew_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let server = acceptor(&self_signed(&["localhost"], 2020..2090));
    // As long as an IAM token is, and longer than one byte can count.
    for token in ["a".repeat(1500), "b".repeat(2500)] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        let script = async |peer: &mut Peer| {
            peer.greet_over_tls("caching_sha2_password", &server).await;
            let (plugin, first) = peer.receive_login().await;
            assert_eq!((plugin.as_str(), first.len()), ("caching_sha2_password", 32));
            peer.send(b"\xFEmysql_clear_password\0").await;
            assert_eq!(peer.receive().await, format!("{token}\0").as_bytes());
            peer.send(OK).await;
        };
        let client = async |mut endpoint: Endpoint| {
            endpoint.secret = Secret::TokenFile(file.clone());
            Connection::connect(&endpoint).await
        };
        play(script, client).await.unwrap();
    }
}
