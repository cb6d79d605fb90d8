//! A password under the server's RSA key (OAEP with SHA-1), for full authentication on a plain connection.
//!
//! The encryption is `mysql_common`'s; its PEM and DER readers are not used, for they index beyond the end of a key that
//! is cut short, and its padding computes a negative length for a password that is too long (0.38.2,
//! `crypto/der.rs` and `crypto/rsa.rs`).

use mysql_common::crypto::rsa::{GetRandom, Pkcs1OaepPadding, PublicKey};
use mysql_common::num_bigint::BigUint;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::bail;
use crate::error::{Code, Error, Result};

/// Shorter keys can be broken, longer ones only burn time.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 128..=2048;
/// RFC 8017, 7.1.1: two SHA-1 hashes and two bytes.
const OAEP_OVERHEAD: usize = 2 * 20 + 2;

/// Encrypts the password, closed by NUL and combined with the nonce (`sql-common/client_authentication.cc`,
/// `xor_string` and `RSA_PKCS1_OAEP_PADDING`). The nonce is that of the method in use: after an authentication switch
/// the switch's, not the greeting's.
pub(super) fn encrypt_password(password: &[u8], nonce: &[u8], pem: &[u8]) -> Result<Vec<u8>> {
    let key = read_key(pem)?;
    let mut block = password.to_vec();
    block.push(0);
    if block.len() + OAEP_OVERHEAD > key.num_octets() {
        bail!(AuthPlugin, "the password is too long for the server's RSA key: use TLS");
    }
    for (byte, mask) in block.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= mask;
    }
    key.encrypt_block(&block, Pkcs1OaepPadding::new(GetRandom)).map_err(|error| {
        Error::new(Code::AuthPlugin, format!("cannot encrypt with the server's key: {error}"))
    })
}

fn read_key(pem: &[u8]) -> Result<PublicKey> {
    let refused = |what: &str| Error::new(Code::Protocol, format!("the server's RSA key {what}"));
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| refused("is not PEM"))?;
    let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| refused("is not DER"))?;
    let Ok(ParsedKey::RSA(key)) = info.parsed() else {
        return Err(refused("is no RSA key"));
    };
    let modulus = BigUint::from_bytes_be(key.modulus);
    let exponent = BigUint::from_bytes_be(key.exponent);
    // Whole bytes: mysql_common rounds other lengths down.
    let bits = modulus.bits();
    if bits % 8 != 0 || !KEY_BYTES.contains(&usize::try_from(bits / 8).unwrap_or(0)) || exponent.bits() > 64 {
        return Err(refused("has an unusual size"));
    }
    Ok(PublicKey::new(modulus, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::scripted::RSA_PUBLIC_KEY;

    #[test]
    fn a_password_fills_one_block_and_never_twice_the_same() {
        let first = encrypt_password(b"secret", &[1; 20], RSA_PUBLIC_KEY.as_bytes()).unwrap();
        let second = encrypt_password(b"secret", &[1; 20], RSA_PUBLIC_KEY.as_bytes()).unwrap();
        assert_eq!(first.len(), 256);
        assert_ne!(first, second);
    }

    #[test]
    fn a_password_too_long_for_the_key_is_an_error() {
        let longest = encrypt_password(&[b'x'; 213], &[1; 20], RSA_PUBLIC_KEY.as_bytes());
        assert!(longest.is_ok());
        let error = encrypt_password(&[b'x'; 214], &[1; 20], RSA_PUBLIC_KEY.as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::AuthPlugin);
    }

    #[test]
    fn keys_that_are_none_are_protocol_errors() {
        let cut = &RSA_PUBLIC_KEY[..RSA_PUBLIC_KEY.len() / 2];
        let (head, tail) = RSA_PUBLIC_KEY.split_at(60);
        let hole = format!("{head}{}", &tail[60..]);
        for pem in [
            "",
            "garbage",
            cut,
            hole.as_str(),
            "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n",
        ] {
            let error = encrypt_password(b"secret", &[1; 20], pem.as_bytes()).unwrap_err();
            assert_eq!(error.code(), Code::Protocol, "{pem}");
        }
    }
}
