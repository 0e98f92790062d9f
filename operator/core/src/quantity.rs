//! Kubernetes quantities: exact values, and text as the API server stores it.
//!
//! Source: Kubernetes API conventions, `k8s.io/apimachinery/pkg/api/resource`: `Quantity` and its canonical form.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::cmp::Ordering;
use std::fmt;

const NANO: i128 = 1_000_000_000;
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// An exact amount, to one billionth, and the family of suffixes it was written with.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    nano: i128,
    family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Decimal,
    Binary,
    Exponent,
}

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The number part is missing or malformed.
    #[error("read a number in {text:?}")]
    ReadNumber {
        /// The text.
        text: String,
    },
    /// The suffix is none that Kubernetes knows.
    #[error("know the suffix {suffix:?}")]
    KnowSuffix {
        /// The suffix.
        suffix: String,
    },
    /// The value is beyond what can be computed.
    #[error("hold a value as large as {text:?}")]
    HoldValue {
        /// The text.
        text: String,
    },
}

impl Amount {
    /// Reads any quantity that Kubernetes accepts: `20Gi`, `1.5`, `500m`, `1e9`.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let split = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(split);
        let (family, scale) = scale(suffix)?;
        let digits =
            Digits::parse(number).ok_or_else(|| QuantityError::ReadNumber { text: text.to_owned() })?;
        let nano = digits.nano(scale).ok_or_else(|| QuantityError::HoldValue { text: text.to_owned() })?;
        Ok(Self { nano: if negative { -nano } else { nano }, family })
    }
    /// This many bytes, written with binary suffixes.
    pub fn from_bytes(bytes: u64) -> Self {
        Self { nano: i128::from(bytes) * NANO, family: Family::Binary }
    }
    /// Whole units, such as bytes, rounded up; 0 when negative.
    pub fn units(&self) -> u64 {
        ceiling(self.nano, NANO)
    }
    /// Thousandths, such as CPU, rounded up; 0 when negative.
    pub fn millis(&self) -> u64 {
        ceiling(self.nano, NANO / 1000)
    }
    /// Whether it is more than nothing.
    pub fn is_positive(&self) -> bool {
        self.nano > 0
    }
}

/// As a storage driver may round a size up, in bytes: to whole gibibytes.
pub fn whole_gibibytes(bytes: u64) -> u64 {
    const GIBIBYTE: u64 = 1 << 30;
    bytes.div_ceil(GIBIBYTE).saturating_mul(GIBIBYTE)
}

impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Amount {}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

fn ceiling(value: i128, unit: i128) -> u64 {
    let whole = value.div_euclid(unit) + i128::from(value.rem_euclid(unit) != 0);
    u64::try_from(whole.max(0)).unwrap_or(u64::MAX)
}

/// Digits before and after the point, as one number and its count of decimals.
struct Digits {
    value: i128,
    decimals: u32,
}

impl Digits {
    fn parse(number: &str) -> Option<Self> {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        // The API server rounds up beyond a billionth; digits that far are cut and rounded here as well.
        let kept = &fraction[..fraction.len().min(9)];
        let lost = fraction.bytes().skip(9).any(|digit| digit != b'0');
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let value: i128 = format!("0{whole}{kept}").parse().ok()?;
        Some(Self { value: value + i128::from(lost), decimals: u32::try_from(kept.len()).ok()? })
    }

    /// The value in billionths, rounded up.
    fn nano(&self, scale: Scale) -> Option<i128> {
        let multiplied = match scale {
            Scale::Factor(factor) => self.value.checked_mul(factor)?.checked_mul(NANO)?,
            Scale::Power(power) => {
                let power = power.checked_add(9)?;
                let factor = 10_i128.checked_pow(power.unsigned_abs())?;
                if power < 0 {
                    return Some(1).filter(|_| self.value > 0).or(Some(0));
                }
                self.value.checked_mul(factor)?
            }
        };
        let divisor = 10_i128.checked_pow(self.decimals)?;
        Some(multiplied / divisor + i128::from(multiplied % divisor != 0))
    }
}

#[derive(Clone, Copy)]
enum Scale {
    Factor(i128),
    Power(i32),
}

fn scale(suffix: &str) -> Result<(Family, Scale), QuantityError> {
    let unknown = || QuantityError::KnowSuffix { suffix: suffix.to_owned() };
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok((Family::Decimal, Scale::Power(*power)));
    }
    if let Some(index) = BINARY.iter().position(|name| *name == suffix) {
        return Ok((Family::Binary, Scale::Factor(1024_i128 << (10 * index))));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or_else(unknown)?;
    let power: i32 = exponent.parse().map_err(|_| unknown())?;
    Ok((Family::Exponent, Scale::Power(power)))
}

/// The canonical form: no precision lost, no decimals, the largest suffix that fits.
impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return formatter.write_str("0");
        }
        // Below 1024, or with decimals, the API server falls back from binary to decimal suffixes.
        let binary = self.nano.abs() >= 1024 * NANO && self.nano % NANO == 0;
        match self.family {
            Family::Binary if binary => write_binary(formatter, self.nano / NANO),
            Family::Binary | Family::Decimal => write_decimal(formatter, self.nano, false),
            Family::Exponent => write_decimal(formatter, self.nano, true),
        }
    }
}

fn write_binary(formatter: &mut fmt::Formatter<'_>, mut value: i128) -> fmt::Result {
    let mut suffix = "";
    for larger in BINARY {
        if value % 1024 != 0 {
            break;
        }
        value /= 1024;
        suffix = larger;
    }
    write!(formatter, "{value}{suffix}")
}

fn write_decimal(formatter: &mut fmt::Formatter<'_>, mut value: i128, exponent: bool) -> fmt::Result {
    let mut chosen = DECIMAL[0];
    for larger in &DECIMAL[1..] {
        if value % 1000 != 0 {
            break;
        }
        value /= 1000;
        chosen = *larger;
    }
    match chosen {
        (_, power) if exponent && power != 0 => write!(formatter, "{value}e{power}"),
        (suffix, _) => write!(formatter, "{value}{suffix}"),
    }
}

/// Whole units, such as bytes, rounded up.
pub fn bytes(quantity: &Quantity) -> Result<u64, QuantityError> {
    Amount::parse(&quantity.0).map(|amount| amount.units())
}

/// The text as the API server stores it; a text that is no quantity stays as it is.
pub fn canonical(quantity: &Quantity) -> Quantity {
    Amount::parse(&quantity.0).map_or_else(|_| quantity.clone(), |amount| Quantity(amount.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn canonical_as_the_api_server_writes_it() {
        for (text, want) in [
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("1000m", "1"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("2.", "2"),
            ("1500m", "1500m"),
            ("1073741824", "1073741824"),
            ("1000000000", "1G"),
            ("1000k", "1M"),
            ("0", "0"),
            ("0Gi", "0"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("12e7", "120e6"),
            ("1E", "1E"),
            ("1Ei", "1Ei"),
            ("-1", "-1"),
            ("+5Gi", "5Gi"),
            ("1e-3", "1e-3"),
            ("0.0000000001", "1n"),
            ("100n", "100n"),
            ("2048Gi", "2Ti"),
        ] {
            assert_eq!(Amount::parse(text).map(|amount| amount.to_string()).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "Gi",
            ".",
            "1.2.3",
            "1gi",
            "1KI",
            "1 Gi",
            "ten",
            "1e",
            "1e1.5",
            "--1",
            "1e99",
            "9999999999999999999999Ei",
        ] {
            assert!(Amount::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values() {
        for (text, units, millis) in [
            ("1Gi", 1 << 30, (1_u64 << 30) * 1000),
            ("1.5", 2, 1500),
            ("250m", 1, 250),
            ("-3", 0, 0),
            ("1G", 1_000_000_000, 1_000_000_000_000),
        ] {
            let amount = Amount::parse(text).unwrap();
            assert_eq!((amount.units(), amount.millis()), (units, millis), "{text}");
        }
        assert!(Amount::parse("1Gi").unwrap() > Amount::parse("1G").unwrap());
        assert_eq!(Amount::parse("1024Mi").unwrap(), Amount::from_bytes(1 << 30));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*") {
            drop(Amount::parse(&text));
        }

        #[test]
        fn canonical_form_keeps_the_value(number in "[0-9]{1,6}(\\.[0-9]{1,4})?", suffix in "|n|u|m|k|M|G|T|Ki|Mi|Gi|Ti|e3|e-2") {
            let amount = Amount::parse(&format!("{number}{suffix}")).unwrap();
            let again = Amount::parse(&amount.to_string()).unwrap();
            prop_assert_eq!(amount, again);
            // 62.5Ki is written as 64000, and that as 64k, by the API server too: without a suffix nobody knows what it was.
            let third = Amount::parse(&again.to_string()).unwrap();
            prop_assert_eq!(again.to_string(), third.to_string());
        }
    }
}
