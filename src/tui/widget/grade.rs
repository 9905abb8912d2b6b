//! How good a figure is, as a colour, a sign and a word.
//!
//! MOS: user satisfaction of G.107 Annex B (R 80 and 70). Delays: G.114. Loss and jitter: what an ordinary jitter
//! buffer and concealment hide, hide partly, cannot hide.
use crate::qos::snapshot::{Fault, Verdict};
use crate::tui::theme::{Glyphs, Role};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Unknown,
    Good,
    Fair,
    Poor,
}

impl Grade {
    pub fn role(self) -> Role {
        match self {
            Self::Unknown => Role::Unknown,
            Self::Good => Role::Good,
            Self::Fair => Role::Fair,
            Self::Poor => Role::Poor,
        }
    }

    pub fn sign(self, glyphs: &Glyphs) -> char {
        match self {
            Self::Unknown => glyphs.unknown,
            Self::Good => glyphs.good,
            Self::Fair => glyphs.fair,
            Self::Poor => glyphs.poor,
        }
    }

    /// Empty for what is not known: the dash stands for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Poor => "poor",
        }
    }

    /// How a time line shows a moment: calm as long as nothing is wrong.
    pub fn graph_role(self) -> Role {
        match self {
            Self::Unknown | Self::Good => Role::Graph,
            Self::Fair | Self::Poor => self.role(),
        }
    }

    fn below(value: f64, good: f64, fair: f64) -> Self {
        match value {
            v if v <= good => Self::Good,
            v if v <= fair => Self::Fair,
            v if v.is_nan() => Self::Unknown,
            _ => Self::Poor,
        }
    }
}

impl From<Verdict> for Grade {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Unknown => Self::Unknown,
            Verdict::Good => Self::Good,
            Verdict::Fair => Self::Fair,
            Verdict::Poor => Self::Poor,
        }
    }
}

/// A measured figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Mos,
    Loss,
    Jitter,
    RoundTrip,
    Delay,
}

impl Figure {
    pub fn name(self) -> &'static str {
        match self {
            Self::Mos => "MOS",
            Self::Loss => "loss",
            Self::Jitter => "jitter",
            Self::RoundTrip => "RTT",
            Self::Delay => "delay",
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Self::Mos => "",
            Self::Loss => "%",
            Self::Jitter | Self::RoundTrip | Self::Delay => "ms",
        }
    }

    pub fn grade(self, value: f64) -> Grade {
        match self {
            Self::Mos => Grade::below(-value, -4.03, -3.6),
            Self::Loss => Grade::below(value, 1.0, 3.0),
            Self::Jitter => Grade::below(value, 30.0, 60.0),
            Self::RoundTrip => Grade::below(value, 200.0, 400.0),
            Self::Delay => Grade::below(value, 150.0, 400.0),
        }
    }

    /// The number in at most five columns.
    pub fn number(self, value: f64) -> String {
        match self {
            _ if !value.is_finite() => "?".into(),
            Self::Mos => format!("{value:.2}"),
            Self::Loss if value < 99.95 => format!("{value:.1}"),
            Self::Loss => "100".into(),
            Self::Jitter | Self::RoundTrip | Self::Delay => format!("{:.0}", value.clamp(0.0, 99_999.0)),
        }
    }

    /// The worst value of a time line.
    pub fn worst(self, line: &[Option<f32>]) -> Option<f32> {
        let known = line.iter().flatten().copied().filter(|v| v.is_finite());
        if self == Self::Mos { known.reduce(f32::min) } else { known.reduce(f32::max) }
    }

    /// Bottom and top of a graph of these values. The top goes in steps, so that the picture is at rest.
    pub fn scale(self, lines: &[&[Option<f32>]]) -> (f32, f32) {
        let steps: &[f32] = match self {
            Self::Mos => return (1.0, 4.5),
            Self::Loss => &[5.0, 10.0, 20.0, 50.0, 100.0],
            Self::Jitter => &[20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0],
            Self::RoundTrip | Self::Delay => &[100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0],
        };
        let most = lines.iter().flat_map(|line| line.iter().flatten()).copied().fold(0.0_f32, f32::max);
        (0.0, steps.iter().copied().find(|step| most <= *step).or(steps.last().copied()).unwrap_or(1.0))
    }
}

/// Whose fault it is, in the words of the screen.
pub fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::Nobody => "",
        Fault::Here => "our side",
        Fault::Network => "network",
        Fault::There => "their side",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_belong_to_the_better_grade() {
        let rows = [
            (Figure::Mos, f64::NAN, Grade::Unknown),
            (Figure::Mos, 4.03, Grade::Good),
            (Figure::Mos, 4.02, Grade::Fair),
            (Figure::Mos, 3.59, Grade::Poor),
            (Figure::Loss, 1.0, Grade::Good),
            (Figure::Loss, 3.1, Grade::Poor),
            (Figure::Jitter, 60.0, Grade::Fair),
            (Figure::RoundTrip, 401.0, Grade::Poor),
            (Figure::Delay, 150.0, Grade::Good),
        ];
        for (figure, value, grade) in rows {
            assert_eq!(figure.grade(value), grade, "{figure:?} {value}");
        }
    }

    #[test]
    fn numbers_fit_their_column() {
        for value in [-1.0, 0.0, 9.99, 100.0, 1e9, f64::INFINITY, f64::NAN] {
            for figure in [Figure::Loss, Figure::Jitter, Figure::RoundTrip, Figure::Delay] {
                assert!(figure.number(value).len() <= 5, "{figure:?} {value}");
            }
        }
    }
}
