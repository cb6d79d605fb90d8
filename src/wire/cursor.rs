//! A reader over one packet: every read is checked, nothing is copied.

use bytes::{Buf, Bytes};

use crate::bail;
use crate::error::Result;

/// What is left of a packet.
#[derive(Debug, Clone)]
pub(super) struct Cursor(Bytes);

impl Cursor {
    pub(super) fn new(packet: Bytes) -> Self {
        Self(packet)
    }

    pub(super) fn rest(self) -> Bytes {
        self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `len` bytes.
    pub(super) fn bytes(&mut self, len: usize) -> Result<Bytes> {
        if len > self.0.len() {
            bail!(Protocol, "packet ends {} bytes early", len - self.0.len());
        }
        Ok(self.0.split_to(len))
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.bytes(1)?.get_u8())
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        Ok(self.bytes(2)?.get_u16_le())
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(self.bytes(4)?.get_u32_le())
    }

    /// Bytes up to a NUL, which is consumed; a missing NUL is an error.
    pub(super) fn until_nul(&mut self) -> Result<Bytes> {
        let Some(end) = memchr::memchr(0, &self.0) else {
            bail!(Protocol, "packet ends within a string");
        };
        let text = self.0.split_to(end);
        self.0.advance(1);
        Ok(text)
    }

    /// A length-encoded integer; `None` is the NULL of text rows (0xFB).
    /// MySQL internals manual, "`Protocol::LengthEncodedInteger`".
    pub(super) fn lenenc(&mut self) -> Result<Option<u64>> {
        Ok(match self.u8()? {
            small @ 0..=0xFA => Some(u64::from(small)),
            0xFB => None,
            0xFC => Some(u64::from(self.u16()?)),
            0xFD => Some(self.bytes(3)?.get_uint_le(3)),
            0xFE => Some(self.bytes(8)?.get_u64_le()),
            0xFF => bail!(Protocol, "0xFF where a length was expected"),
        })
    }

    /// A length-encoded integer that cannot be NULL.
    pub(super) fn lenenc_number(&mut self) -> Result<u64> {
        match self.lenenc()? {
            Some(number) => Ok(number),
            None => bail!(Protocol, "NULL where a number was expected"),
        }
    }

    /// A length-encoded string; `None` is NULL.
    pub(super) fn lenenc_bytes(&mut self) -> Result<Option<Bytes>> {
        let Some(len) = self.lenenc()? else { return Ok(None) };
        match usize::try_from(len) {
            Ok(len) => self.bytes(len).map(Some),
            Err(_) => bail!(Protocol, "a string of {len} bytes is announced"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn length_encoded_integers_of_every_width_are_read() {
        let mut cursor = Cursor::new(Bytes::from_static(
            b"\xFA\xFB\xFC\x01\x02\xFD\x01\x02\x03\xFE\x01\x02\x03\x04\x05\x06\x07\x08",
        ));
        assert_eq!(cursor.lenenc().unwrap(), Some(0xFA));
        assert_eq!(cursor.lenenc().unwrap(), None);
        assert_eq!(cursor.lenenc().unwrap(), Some(0x0201));
        assert_eq!(cursor.lenenc().unwrap(), Some(0x03_0201));
        assert_eq!(cursor.lenenc().unwrap(), Some(0x0807_0605_0403_0201));
        assert!(cursor.is_empty());
    }

    #[test]
    fn a_length_beyond_the_packet_is_a_protocol_error() {
        for packet in [&b"\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFabc"[..], b"\x05abc", b"\xFD\x01", b"\xFF", b""]
        {
            let error = Cursor::new(Bytes::copy_from_slice(packet)).lenenc_bytes().unwrap_err();
            assert_eq!(error.code(), Code::Protocol);
        }
    }
}
