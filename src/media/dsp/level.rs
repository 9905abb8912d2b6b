//! Sound levels relative to overload \[dBov\], as RFC 6464 and the meters state them.

/// What a block of digital silence is reported as \[dBov\].
pub const SILENCE: f32 = -127.0;

/// Root-mean-square level \[dBov\]; a full-scale square wave is 0, a full-scale sine -3.
pub fn rms(sound: &[f32]) -> f32 {
    let energy = sound.iter().map(|s| s * s).sum::<f32>();
    to_decibel(energy / sound.len().max(1) as f32)
}

/// Level of the largest sample \[dBov\].
pub fn peak(sound: &[f32]) -> f32 {
    let peak = sound.iter().fold(0.0_f32, |peak, s| peak.max(s.abs()));
    to_decibel(peak * peak)
}

/// Power, relative to overload, in decibel.
pub fn to_decibel(power: f32) -> f32 {
    // NaN from a broken source counts as silence too.
    if power > 0.0 { (10.0 * power.log10()).max(SILENCE) } else { SILENCE }
}

/// Mean power over many blocks, for a level "of the last second".
#[derive(Clone, Copy, Debug, Default)]
pub struct LevelMeter {
    energy: f64,
    samples: u64,
}

impl LevelMeter {
    pub fn add(&mut self, sound: &[f32]) {
        self.energy += sound.iter().map(|s| f64::from(s * s)).sum::<f64>();
        self.samples += sound.len() as u64;
    }

    /// The level since the last call \[dBov\]; `None` when nothing was added.
    pub fn take(&mut self) -> Option<f32> {
        let Self { energy, samples } = std::mem::take(self);
        (samples > 0).then(|| to_decibel((energy / samples as f64) as f32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_known_sounds() {
        let sine: Vec<f32> = (0..480).map(|n| (n as f32 / 48.0 * std::f32::consts::TAU).sin()).collect();
        let rows: [(&[f32], f32, f32); 5] = [
            (&[], SILENCE, SILENCE),
            (&[0.0; 8], SILENCE, SILENCE),
            (&[f32::NAN], SILENCE, SILENCE),
            (&[1.0, -1.0], 0.0, 0.0),
            (&sine, -3.01, 0.0),
        ];
        for (sound, expected, top) in rows {
            assert!((rms(sound) - expected).abs() < 0.01, "{}", rms(sound));
            assert!((peak(sound) - top).abs() < 0.01, "{}", peak(sound));
        }
    }

    #[test]
    fn a_meter_averages_and_starts_again() {
        let mut meter = LevelMeter::default();
        assert_eq!(meter.take(), None);
        meter.add(&[1.0; 10]);
        meter.add(&[0.0; 90]);
        assert!((meter.take().expect("sound") + 10.0).abs() < 0.01);
        assert_eq!(meter.take(), None);
    }
}
