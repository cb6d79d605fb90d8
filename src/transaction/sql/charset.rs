//! How a statement's bytes are text: the client's character set, as its event says.

use mysql_common::collations::{Collation, CollationId};

use crate::binlog::StatusVars;

/// What may be read of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8 (or a subset): everything.
    Utf8,
    /// A character set in which ASCII bytes are always ASCII: the structure, and names of ASCII letters.
    Ascii(&'static str),
    /// A character set in which an ASCII byte may be half of another letter: nothing, unless the text is all ASCII.
    Opaque(&'static str),
}

impl Encoding {
    /// Of `character_set_client`; what does not say is taken for UTF-8, which fails on bytes that are not.
    pub(super) fn of(status: &StatusVars) -> Self {
        let Some((client, ..)) = status.charset else { return Self::Utf8 };
        match Collation::resolve(CollationId::from(client)).charset {
            name @ ("sjis" | "cp932" | "gbk" | "gb18030" | "big5" | "ucs2" | "utf16" | "utf16le"
            | "utf32" | "unknown") => Self::Opaque(name),
            "utf8mb4" | "utf8mb3" | "utf8" | "ascii" | "binary" => Self::Utf8,
            name => Self::Ascii(name),
        }
    }

    /// The text of a name; `None` where it cannot be known.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(bytes).ok()?;
        (self == Self::Utf8 || text.is_ascii()).then(|| text.to_owned())
    }

    /// Whether a name can be written into a text of this encoding.
    pub(super) fn can_hold(self, name: &str) -> bool {
        self == Self::Utf8 || name.is_ascii()
    }
}
