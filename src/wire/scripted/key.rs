//! A server's RSA key: its public half as servers send it, and what a server does with the private one.

use mysql_common::num_bigint::BigUint;
use sha1::{Digest, Sha1};

/// A key of its own for these tests; it opens nothing else.
pub(in crate::wire) const RSA_PUBLIC_KEY: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwUs1yrS+HtZCt+gvfkef\n\
jCbm5WsGrJEISDHIWERCHbkhCFQtepxXEtNd3jR39iHVqiFZS/tI6T7S/26sP+2I\n\
iUhOQ5gApN3bo5RjOS3bNHkhsiTrVl400QsARX4+NZAcqlovpHj3UXhIGB6HDmWa\n\
TGbIQ2BZMrYPw/NiZogon1nyNoPyz4utslS7r1n+x5BVAM5tvtM31Rv+VUV1ksvN\n\
YzwEDkEnpNIZTgSANIaeOApCBmI+/2gJNRZ93uj6XVnEHJAZUiD0jD2vM8Qi5MZI\n\
N9zdkdfaneKXmfpWiVFyOjiyrBuncs/T7sqnAlfCNZF90poCDtu//TwqfFr4yAg2\n\
JQIDAQAB\n\
-----END PUBLIC KEY-----\n";

const RSA_MODULUS: &str = "\
    c14b35cab4be1ed642b7e82f7e479f8c26e6e56b06ac91084831c85844421db92108542d7a9c5712d35dde3477f621d5\
    aa21594bfb48e93ed2ff6eac3fed8889484e439800a4dddba39463392ddb347921b224eb565e34d10b00457e3e35901c\
    aa5a2fa478f7517848181e870e659a4c66c843605932b60fc3f3626688289f59f23683f2cf8badb254bbaf59fec79055\
    00ce6dbed337d51bfe55457592cbcd633c040e4127a4d2194e048034869e380a4206623eff680935167ddee8fa5d59c4\
    1c90195220f48c3daf33c422e4c64837dcdd91d7da9de29799fa568951723a38b2ac1ba772cfd3eecaa70257c235917d\
    d29a020edbbffd3c2a7c5af8c8083625";

const RSA_PRIVATE_EXPONENT: &str = "\
    3821f7451ea7f79c9153870203d218eb4280db2ef1893bb504023104310e624358ec6a45aacdac1bb376170975acecb6\
    77e9a75d01647317e37e7a4d5b6347bb565c2415085ad872e856375a6b8eb4f6586abb7dfc5eef47a5c2366c2af4b31d\
    1ffb80ca6ab6a7da1e55a2c7e5ce6bb8b44084107ed6d33850d7654411567aafcaef46e80f3688d4c22578678137230e\
    3762f388cc61e93a96279b75285aca0169c2a718f5a80641b44e2bb92f8cf8dcd2d649541071923d4ceb9502430fec08\
    df92a1409eb1ba148427983b45d153bfaac57f68bb1258314731eb084f80f87a79eeda57db3b038dd3eb2362584a4477\
    d58f788860973fc46873be6c435a7421";

const HASH: usize = 20;

/// The reverse of `rsa::encrypt_password`, as the server does it: RSA, OAEP (RFC 8017, 7.1.2), nonce, NUL.
pub(in crate::wire) fn decrypt_password(block: &[u8], nonce: &[u8]) -> String {
    let number = |hex: &str| BigUint::parse_bytes(hex.as_bytes(), 16).unwrap();
    let plain = BigUint::from_bytes_be(block).modpow(&number(RSA_PRIVATE_EXPONENT), &number(RSA_MODULUS));
    let plain = plain.to_bytes_be();
    // The first byte is 0 and not part of the number.
    let (masked_seed, masked) = plain.split_at(plain.len() - (256 - HASH - 1));
    let mut seed = vec![0; HASH - masked_seed.len()];
    seed.extend_from_slice(masked_seed);
    xor(&mut seed, &mask(masked, HASH));
    let mut data = masked.to_vec();
    xor(&mut data, &mask(&seed, masked.len()));
    assert_eq!(data[..HASH], Sha1::digest([])[..]);
    let start = HASH + data[HASH..].iter().position(|&byte| byte == 1).unwrap() + 1;
    let mut password: Vec<u8> = data[start..].to_vec();
    password.iter_mut().zip(nonce.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    assert_eq!(password.pop(), Some(0));
    String::from_utf8(password).unwrap()
}

fn mask(seed: &[u8], len: usize) -> Vec<u8> {
    let blocks = (0_u32..).flat_map(|count| Sha1::digest([seed, &count.to_be_bytes()].concat()).to_vec());
    blocks.take(len).collect()
}

fn xor(bytes: &mut [u8], mask: &[u8]) {
    bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}
