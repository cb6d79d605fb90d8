//! Offsets in a binlog file, kept at 64 bits although events carry 32.

/// Where 32 bits begin anew.
const WRAP: u64 = 1 << 32;

/// The running offset in one binlog file. An event's header holds the low 32 bits of its end; files may be larger than
/// 4 GiB (one huge transaction is enough).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset(u64);

impl Offset {
    /// Starts at a known offset.
    pub fn new(offset: u64) -> Self {
        Self(offset)
    }

    /// The offset now.
    pub fn value(self) -> u64 {
        self.0
    }

    /// Moves to the end of an event whose header says `end_position`. An artificial event (0) moves nothing.
    #[must_use]
    pub fn advanced_to(self, end_position: u32) -> Self {
        if end_position == 0 {
            return self;
        }
        let same_window = (self.0 & !(WRAP - 1)) | u64::from(end_position);
        // Offsets only grow within a file, so a smaller one has passed the next multiple of 4 GiB.
        Self(if same_window < self.0 { same_window + WRAP } else { same_window })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_wraps_at_four_gib_goes_on_growing() {
        let offset = Offset::new(4).advanced_to(0xFFFF_FF00);
        assert_eq!(offset.value(), 0xFFFF_FF00);
        let offset = offset.advanced_to(0x10);
        assert_eq!(offset.value(), 0x1_0000_0010);
        assert_eq!(offset.advanced_to(0x20).value(), 0x1_0000_0020);
    }

    #[test]
    fn an_artificial_event_moves_nothing() {
        assert_eq!(Offset::new(157).advanced_to(0).value(), 157);
    }
}
