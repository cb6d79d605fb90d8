//! A stream of events: first as framed by the input, then each body under the type that the input names.
#![no_main]

mod stream;

use binbridge::binlog::Decoder;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new(data.len() % 2 == 0);
    let _ = decoder.decode(Bytes::copy_from_slice(data));
    decoder = Decoder::new(false);
    decoder.decode(stream::format()).unwrap();
    let mut rest = data;
    while let [kind, flags, length, after @ ..] = rest {
        let (body, after) = after.split_at(after.len().min(usize::from(*length) * 4));
        if let Ok(event) = decoder.decode(stream::event(*kind, (*flags).into(), body)) {
            stream::consume(&mut decoder, &event);
        }
        rest = after;
    }
});
