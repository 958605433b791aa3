//! Is this a JSON number that every parser can read?

/// Numbers of this magnitude and more are refused.
///
/// RFC 8259 sets no range, and parsers part here: `serde_json` refuses what overflows an IEEE 754 double, PHP
/// reads infinity. The largest double is 1.797…e308; parsers that compute inexactly may overflow a little
/// below it, so the limit is a round value with room above.
const TOO_LARGE: f64 = 1e308;

/// Integers beyond this, either way, are not read alike (RFC 8259, section 6): 2^53 − 1.
const SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Digits that cannot reach [`TOO_LARGE`] without an exponent.
const SAFE_DIGITS: usize = 300;

/// Length of the number that `rest` starts with (RFC 8259, section 6).
///
/// # Errors
///
/// Bytes from the start of `rest` to what is wrong; 0 for a number that is too large.
pub(super) fn length(rest: &[u8]) -> Result<usize, usize> {
    let sign = usize::from(rest.first() == Some(&b'-'));
    let mut at = match rest.get(sign) {
        Some(b'0') => sign.saturating_add(1),
        _ => digits(rest, sign)?,
    };
    if rest.get(at) == Some(&b'.') {
        at = digits(rest, at.saturating_add(1))?;
    }
    let scaled = matches!(rest.get(at), Some(b'e' | b'E'));
    if scaled {
        at = at.saturating_add(1);
        at = at.saturating_add(usize::from(matches!(rest.get(at), Some(b'+' | b'-'))));
        at = digits(rest, at)?;
    }
    if (scaled || at > SAFE_DIGITS) && is_too_large(rest.get(..at).unwrap_or_default()) {
        return Err(0);
    }
    Ok(at)
}

/// Whether `literal`, a number, is an integer as written and beyond ±(2^53 − 1).
pub(super) fn is_unsafe_integer(literal: &[u8]) -> bool {
    let digits = literal.strip_prefix(b"-").unwrap_or(literal);
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(value.saturating_mul(10).saturating_add(u64::from(digit)))
    });
    value.is_some_and(|value| value > SAFE_INTEGER)
}

/// Offset after the digits at `from`, of which there must be one.
fn digits(rest: &[u8], from: usize) -> Result<usize, usize> {
    let run = rest.get(from..).unwrap_or_default();
    match run.iter().take_while(|byte| byte.is_ascii_digit()).count() {
        0 => Err(from),
        count => Ok(from.saturating_add(count)),
    }
}

fn is_too_large(literal: &[u8]) -> bool {
    let value = std::str::from_utf8(literal).ok().and_then(|literal| literal.parse::<f64>().ok());
    value.is_none_or(|value| value.abs() >= TOO_LARGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_ends_where_its_grammar_ends() {
        for (text, expected) in [
            ("0", Ok(1)),
            ("-0,", Ok(2)),
            ("01", Ok(1)),
            ("12.50e-3]", Ok(8)),
            ("1E+2", Ok(4)),
            ("-", Err(1)),
            ("+1", Err(0)),
            (".5", Err(0)),
            ("1.", Err(2)),
            ("1.e1", Err(2)),
            ("1e", Err(2)),
            ("1e+", Err(3)),
            ("-x", Err(1)),
            ("0x1F", Ok(1)),
        ] {
            assert_eq!(length(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_number_that_may_overflow_a_double_is_refused() {
        let nines = "9".repeat(400);
        for text in ["1e308", "-1e308", "1.7976931348623157e308", "1e999", "-1e99999999999999999999", &nines]
        {
            assert_eq!(length(text.as_bytes()), Err(0), "{text}");
        }
        let small = format!("0.{}1e500", "0".repeat(600));
        for text in ["9.999e307", "1e-999", "0e99999999999999999999", "0.0e400", &small, &nines[..307]] {
            assert_eq!(length(text.as_bytes()), Ok(text.len()), "{text}");
        }
    }

    #[test]
    fn an_integer_that_a_double_may_round_is_told_from_others() {
        for text in ["9007199254740992", "-9007199254740993", "99999999999999999999999999"] {
            assert!(is_unsafe_integer(text.as_bytes()), "{text}");
        }
        for text in ["0", "-0", "9007199254740991", "-9007199254740991", "9007199254740993.0", "1e22"] {
            assert!(!is_unsafe_integer(text.as_bytes()), "{text}");
        }
    }
}
