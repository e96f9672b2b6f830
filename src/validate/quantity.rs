//! Kubernetes quantities, compared and subtracted. PURE.

/// Thousandths; the smaller units of Kubernetes are rounded up, as the API server does below nano.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Quantity(i128);

impl Quantity {
    /// Of text or a number: `4`, `500m`, `1Gi`, `1e3`, `1.5`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c)).unwrap_or(text.len());
        let (digits, suffix) = text.split_at(end);
        let (numerator, denominator): (i128, i128) = match suffix {
            "n" => (1, 1_000_000),
            "u" => (1, 1_000),
            "m" => (1, 1),
            "" => (1_000, 1),
            "k" => (1_000_000, 1),
            "M" => (1_000_000_000, 1),
            "G" => (1_000_000_000_000, 1),
            "T" => (1_000_000_000_000_000, 1),
            "P" => (1_000_000_000_000_000_000, 1),
            "E" => (1_000_000_000_000_000_000_000, 1),
            "Ki" => (1_000 << 10, 1),
            "Mi" => (1_000 << 20, 1),
            "Gi" => (1_000 << 30, 1),
            "Ti" => (1_000 << 40, 1),
            "Pi" => (1_000 << 50, 1),
            "Ei" => (1_000 << 60, 1),
            exponent => {
                let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
                let factor = 10i128.checked_pow(power.unsigned_abs())?;
                if power < 0 { (1_000, factor) } else { (factor.checked_mul(1_000)?, 1) }
            }
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let scale = 10i128.checked_pow(u32::try_from(part.len()).ok()?)?;
        let plain: i128 = format!("{whole}{part}").parse().ok()?;
        let denominator = denominator.checked_mul(scale)?;
        let product = plain.checked_mul(numerator)?;
        let up = i128::from(product > 0 && product % denominator != 0);
        Some(Self(product / denominator + up))
    }

    /// By how much it exceeds `other`.
    pub(super) fn over(self, other: Self) -> Option<Self> {
        (self > other).then(|| Self(self.0.saturating_sub(other.0)))
    }
}

/// As people write it: the largest unit that loses nothing.
impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 % 1_000 != 0 {
            return write!(f, "{}m", self.0);
        }
        let whole = self.0 / 1_000;
        for (shift, unit) in [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")] {
            if whole != 0 && whole % (1 << shift) == 0 {
                return write!(f, "{}{unit}", whole >> shift);
            }
        }
        write!(f, "{whole}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_compare_across_units() {
        let q = |text| Quantity::parse(text).unwrap();
        assert_eq!(q("1"), q("1000m"));
        assert_eq!(q("1Gi"), q("1024Mi"));
        assert_eq!(q("1.5"), q("1500m"));
        assert_eq!(q("1e3"), q("1k"));
        assert!(q("1G") < q("1Gi"));
        assert_eq!(q("2Gi").over(q("1Gi")).unwrap().to_string(), "1Gi");
        assert_eq!(q("5").over(q("4500m")).unwrap().to_string(), "500m");
        assert_eq!(Quantity::parse("many"), None);
        assert_eq!(Quantity::parse(""), None);
    }
}
