//! A table map and rows events for it: the input is `type, length of the map, map, rows`.
#![no_main]

mod stream;

use binbridge::binlog::{Decoder, kind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [kind, length, rest @ ..] = data else { return };
    let (map, rows) = rest.split_at(rest.len().min(usize::from(*length)));
    let mut decoder = Decoder::new(false);
    decoder.decode(stream::format()).unwrap();
    let id = [7, 0, 0, 0, 0, 0];
    let Ok(event) = decoder.decode(stream::event(kind::TABLE_MAP, 0, &[&id, map].concat())) else { return };
    stream::consume(&mut decoder, &event);
    let kinds = [kind::WRITE_ROWS, kind::UPDATE_ROWS, kind::DELETE_ROWS, kind::PARTIAL_UPDATE_ROWS, kind::UPDATE_ROWS_V1];
    let kind = kinds[usize::from(*kind) % kinds.len()];
    if let Ok(event) = decoder.decode(stream::event(kind, 0, &[&id, rows].concat())) {
        stream::consume(&mut decoder, &event);
    }
});
