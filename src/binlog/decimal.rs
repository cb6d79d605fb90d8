//! The packed form of DECIMAL values as text.

/// Bytes that a group of 0 to 9 digits takes (strings/decimal.cc, `dig2bytes`).
const GROUP_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
const DIGITS_PER_GROUP: usize = 9;

/// The decimal number of `precision` digits, `scale` of them behind the point. The top bit is the inverted sign; a
/// negative number has every byte complemented. `None` if the bytes are too few.
pub fn decimal_text(precision: u8, scale: u8, packed: &[u8]) -> Option<String> {
    let (precision, scale) = (usize::from(precision), usize::from(scale));
    let whole = precision.checked_sub(scale)?;
    let mut bytes = packed.to_vec();
    let first = bytes.first_mut()?;
    let negative = *first & 0x80 == 0;
    *first ^= 0x80;
    if negative {
        for byte in &mut bytes {
            *byte = !*byte;
        }
    }
    let mut rest = bytes.as_slice();
    let mut group = |digits: usize| -> Option<String> {
        let (head, tail) = rest.split_at_checked(*GROUP_BYTES.get(digits)?)?;
        rest = tail;
        let number = head.iter().fold(0_u64, |number, &byte| (number << 8) | u64::from(byte));
        Some(if digits == 0 { String::new() } else { format!("{number:0digits$}") })
    };
    let mut text = group(whole % DIGITS_PER_GROUP)?;
    for _ in 0..whole / DIGITS_PER_GROUP {
        text.push_str(&group(DIGITS_PER_GROUP)?);
    }
    let trimmed = text.trim_start_matches('0');
    let mut text = if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() };
    if scale > 0 {
        text.push('.');
        for _ in 0..scale / DIGITS_PER_GROUP {
            text.push_str(&group(DIGITS_PER_GROUP)?);
        }
        text.push_str(&group(scale % DIGITS_PER_GROUP)?);
    }
    Some(if negative { format!("-{text}") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_unpack_with_sign_and_leading_zeros() {
        // The manual's own example (strings/decimal.cc): 1234567890.1234 as DECIMAL(14,4).
        let packed = [0x81, 0x0D, 0xFB, 0x38, 0xD2, 0x04, 0xD2];
        assert_eq!(decimal_text(14, 4, &packed).as_deref(), Some("1234567890.1234"));
        let negative = [0x7E, 0xF2, 0x04, 0xC7, 0x2D, 0xFB, 0x2D];
        assert_eq!(decimal_text(14, 4, &negative).as_deref(), Some("-1234567890.1234"));
        assert_eq!(decimal_text(4, 2, &[0x80, 0x05]).as_deref(), Some("0.05"));
        assert_eq!(decimal_text(14, 4, &[0x80]), None);
    }
}
