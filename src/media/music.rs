//! What those hear whom we hold: one piece of music for all, each listener at a place of its own.
use crate::media::frame::{FRAME, FRAME_RATE, Frame, SILENCE};
use std::sync::Arc;

/// The longest piece \[samples\]: ten minutes.
pub const LONGEST: usize = 600 * FRAME_RATE as usize;

/// Mono of 48 kHz, played over and over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Music {
    samples: Arc<[i16]>,
}

/// Where a listener is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The sample that is heard next.
    at: usize,
    /// The frame before was music.
    hears: bool,
}

impl Music {
    /// What is beyond [`LONGEST`] is left out.
    pub fn new(mut samples: Vec<i16>) -> Self {
        samples.truncate(LONGEST);
        Self { samples: samples.into() }
    }

    /// The next frame for a listener, who goes on where the music was left the last time.
    pub fn play(&self, place: &mut Place) -> Frame {
        let mut frame = SILENCE;
        if self.samples.is_empty() {
            return frame;
        }
        for (n, sample) in frame.iter_mut().enumerate() {
            // Another piece may be shorter.
            place.at = if place.at < self.samples.len() { place.at } else { 0 };
            let fade = if place.hears { 1.0 } else { n as f32 / FRAME as f32 };
            *sample = self.samples.get(place.at).map_or(0.0, |sample| f32::from(*sample) / 32_768.0 * fade);
            place.at += 1;
        }
        place.hears = true;
        frame
    }
}

impl Place {
    /// Hears something else now.
    pub fn pause(&mut self) {
        self.hears = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(length: usize) -> Music {
        Music::new((0..length).map(|n| n as i16).collect())
    }

    fn whole(frame: &Frame) -> Vec<i16> {
        frame.iter().map(|sample| (sample * 32_768.0).round() as i16).collect()
    }

    #[test]
    fn it_begins_softly_goes_on_and_over() {
        let (music, mut place) = (ramp(1_000), Place::default());
        let first = whole(&music.play(&mut place));
        assert!(first[0] == 0 && first[240] == 120 && first[479] < 479);
        assert_eq!(whole(&music.play(&mut place)), (480..960).collect::<Vec<i16>>());
        let third = whole(&music.play(&mut place));
        assert_eq!((third[39], third[40], third[479]), (999, 0, 439), "over again");
        place.pause();
        let mut later = place;
        assert!(whole(&music.play(&mut later))[479] < 919, "softly, from where it was");
        assert_eq!(later.at, 920);
    }

    #[test]
    fn no_music_is_silence_and_a_shorter_piece_begins_anew() {
        let mut place = Place { at: 5_000, hears: true };
        assert_eq!(Music::default().play(&mut place), SILENCE);
        assert_eq!(whole(&ramp(480).play(&mut place))[..3], [0, 1, 2]);
        assert_eq!(Music::new(vec![0; LONGEST + 5]).samples.len(), LONGEST);
    }
}
