//! Pulse code modulation of voice: the µ-law and A-law of ITU-T G.711.
use std::sync::LazyLock;

/// Which of the two companding laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    Mu,
    A,
}

/// Added to a magnitude before the µ-law segment is looked for, so that segments start at powers of two.
const MU_BIAS: i32 = 132;
/// The largest magnitude µ-law tells apart.
const MU_CLIP: i32 = 32_635;
/// Every second bit of an A-law code is inverted on the line.
const A_MASK: u8 = 0x55;

/// Linear value of each code, full scale ±1.0.
static DECODED: LazyLock<[[f32; 256]; 2]> = LazyLock::new(|| {
    let table = |decode: fn(u8) -> i16| std::array::from_fn(|code| f32::from(decode(code as u8)) / 32_768.0);
    [table(mu_to_linear), table(a_to_linear)]
});

impl Law {
    /// The code nearest to `sample` (full scale ±1.0).
    pub fn encode(self, sample: f32) -> u8 {
        let linear = (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
        match self {
            Self::Mu => linear_to_mu(linear),
            Self::A => linear_to_a(linear),
        }
    }

    /// Appends the sound of `codes` to `out`.
    pub fn decode(self, codes: &[u8], out: &mut Vec<f32>) {
        let table = &DECODED[self as usize];
        out.extend(codes.iter().map(|code| table[usize::from(*code)]));
    }
}

/// 16-bit linear to µ-law.
pub fn linear_to_mu(linear: i16) -> u8 {
    let sign = if linear < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(linear).abs().min(MU_CLIP) + MU_BIAS;
    let segment = magnitude.ilog2() - 7;
    !(sign | (segment << 4) as u8 | ((magnitude >> (segment + 3)) & 0xf) as u8)
}

/// µ-law to 16-bit linear.
pub fn mu_to_linear(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((i32::from(code & 0xf) << 3) + MU_BIAS) << ((code >> 4) & 7);
    let magnitude = (magnitude - MU_BIAS) as i16;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

/// 16-bit linear to A-law.
pub fn linear_to_a(linear: i16) -> u8 {
    // One's complement makes the two halves mirror images: there is no zero in A-law.
    let magnitude = i32::from(if linear < 0 { !linear } else { linear }) >> 4;
    let code = if magnitude < 16 {
        magnitude
    } else {
        let segment = magnitude.ilog2() - 3;
        ((segment << 4) as i32) + ((magnitude >> (segment - 1)) & 0xf)
    };
    let sign = if linear < 0 { 0 } else { 0x80 };
    (sign | code as u8) ^ A_MASK
}

/// A-law to 16-bit linear.
pub fn a_to_linear(code: u8) -> i16 {
    let code = code ^ A_MASK;
    let (segment, step) = ((code >> 4) & 7, i32::from(code & 0xf));
    let magnitude = match segment {
        0 => (step << 4) + 8,
        s => (((step + 16) << 4) + 8) << (s - 1),
    } as i16;
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corner_codes_have_the_values_of_the_recommendation() {
        for (code, linear) in
            [(0xff, 0), (0x7f, 0), (0x80, 32_124), (0x00, -32_124), (0xfe, 8), (0x7e, -8), (0xef, 132)]
        {
            assert_eq!(mu_to_linear(code), linear, "µ {code:#x}");
        }
        for (code, linear) in [(0xd5, 8), (0x55, -8), (0xaa, 32_256), (0x2a, -32_256), (0xd4, 24), (0xc5, 264)] {
            assert_eq!(a_to_linear(code), linear, "A {code:#x}");
        }
        for (linear, mu, a) in [(0, 0xff, 0xd5), (-1, 0x7f, 0x55), (i16::MAX, 0x80, 0xaa), (i16::MIN, 0x00, 0x2a)] {
            assert_eq!((linear_to_mu(linear), linear_to_a(linear)), (mu, a), "{linear}");
        }
    }

    #[test]
    fn every_code_decodes_to_a_value_that_encodes_to_it() {
        for code in 0..=255_u8 {
            assert_eq!(linear_to_a(a_to_linear(code)), code);
            // µ-law has two zeros; the positive one is chosen.
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(linear_to_mu(mu_to_linear(code)), expected);
        }
    }

    #[test]
    fn the_error_is_at_most_half_a_step() {
        for x in (i16::MIN..i16::MAX).step_by(37) {
            let error = |y: i16| (i32::from(y) - i32::from(x)).abs();
            assert!(error(mu_to_linear(linear_to_mu(x))) <= (i32::from(x).abs() + MU_BIAS) / 32, "µ {x}");
            assert!(error(a_to_linear(linear_to_a(x))) <= (i32::from(x).abs() / 32).max(8), "A {x}");
        }
    }

    /// The periodic sequences of G.711 tables 5 and 6: 1 kHz at 0 dBm0, 3.14 dB (A) and 3.17 dB (µ) below overload.
    #[test]
    fn the_test_sequences_are_a_milliwatt() {
        let rows = [
            (Law::Mu, [0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e], 317),
            (Law::A, [0x34, 0x21, 0x21, 0x34, 0xb4, 0xa1, 0xa1, 0xb4], 314),
        ];
        for (law, codes, below) in rows {
            let mut sound = Vec::new();
            law.decode(&codes, &mut sound);
            let power = sound.iter().map(|s| f64::from(s * s)).sum::<f64>() / 8.0;
            let overload = if law == Law::Mu { 32_635.0 } else { 32_768.0 } / 32_768.0_f64;
            let level = 10.0 * (power / (overload * overload / 2.0)).log10();
            assert!((level + f64::from(below) / 100.0).abs() < 0.1, "{law:?}: {level} dB");
            assert_eq!(sound.iter().map(|s| law.encode(*s)).collect::<Vec<_>>(), codes);
        }
    }
}
