//! A transaction payload.
#![no_main]

mod stream;

use binbridge::binlog::{Decoder, kind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new(false);
    decoder.decode(stream::format()).unwrap();
    if let Ok(event) = decoder.decode(stream::event(kind::TRANSACTION_PAYLOAD, 0, data)) {
        stream::consume(&mut decoder, &event);
    }
});
