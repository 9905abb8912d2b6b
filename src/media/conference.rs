//! The parties of a conference: each is told what the microphone hears and what all others say, but not itself.
use crate::base::id::StreamId;
use crate::media::dsp::limit::Limiter;
use crate::media::frame::{Frame, SILENCE};

/// The streams the user talks with. One alone is an ordinary call.
#[derive(Debug, Default)]
pub struct Conference {
    parties: Vec<Party>,
}

#[derive(Debug)]
struct Party {
    stream: StreamId,
    /// What it said in the last frame; the others hear it in the next, which is one frame later than we do.
    said: Frame,
    speaks: bool,
    limiter: Limiter,
}

impl Conference {
    /// Those who stay go on as they were.
    pub fn set(&mut self, streams: &[StreamId]) {
        let mut before = std::mem::take(&mut self.parties);
        for stream in streams {
            let at = before.iter().position(|party| party.stream == *stream);
            let new = || Party { stream: *stream, said: SILENCE, speaks: false, limiter: Limiter::default() };
            self.parties.push(at.map_or_else(new, |at| before.swap_remove(at)));
        }
    }

    pub fn has(&self, stream: StreamId) -> bool {
        self.parties.iter().any(|party| party.stream == stream)
    }

    /// What a party says in this frame; `None` when that is nothing.
    pub fn hear(&mut self, stream: StreamId, sound: Option<&Frame>) {
        if let Some(party) = self.parties.iter_mut().find(|party| party.stream == stream) {
            party.speaks = sound.is_some();
            if let Some(sound) = sound {
                party.said = *sound;
            }
        }
    }

    /// What `stream` is told while the microphone hears `own`; `None` for those who are not in it.
    pub fn tell(&mut self, stream: StreamId, own: &Frame) -> Option<Frame> {
        let at = self.parties.iter().position(|party| party.stream == stream)?;
        let (mut sum, mut others) = (*own, false);
        for party in self.parties.iter().filter(|party| party.stream != stream && party.speaks) {
            others = true;
            for (sum, sample) in sum.iter_mut().zip(&party.said) {
                *sum += sample;
            }
        }
        if let Some(party) = self.parties.get_mut(at).filter(|party| others || party.limiter.is_at_work()) {
            party.limiter.apply(&mut sum);
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::FRAME;

    #[test]
    fn each_is_told_the_others_and_never_itself() {
        let mut conference = Conference::default();
        let parties = [StreamId(1), StreamId(2), StreamId(3)];
        conference.set(&parties);
        for (stream, level) in parties.into_iter().zip([0.1, 0.02, 0.003]) {
            conference.hear(stream, Some(&[level; FRAME]));
        }
        let told = |conference: &mut Conference, stream| conference.tell(stream, &[0.5; FRAME]).map(|f| f[7]);
        for (stream, expected) in
            [(parties[0], Some(0.523)), (parties[1], Some(0.603)), (parties[2], Some(0.62)), (StreamId(4), None)]
        {
            let heard = told(&mut conference, stream);
            assert_eq!(heard.is_some(), expected.is_some());
            assert!(heard.zip(expected).is_none_or(|(a, b): (f32, f32)| (a - b).abs() < 1e-6), "{stream:?}: {heard:?}");
        }
        conference.hear(parties[1], None);
        assert_eq!(told(&mut conference, parties[0]), Some(0.503), "who says nothing is not heard again");
        conference.set(&[parties[2], parties[0]]);
        assert_eq!((told(&mut conference, parties[0]), told(&mut conference, parties[1])), (Some(0.503), None));
    }

    #[test]
    fn eight_shouting_at_once_do_not_overload() {
        let mut conference = Conference::default();
        let parties: Vec<StreamId> = (0..8).map(StreamId).collect();
        conference.set(&parties);
        for _ in 0..20 {
            parties.iter().for_each(|stream| conference.hear(*stream, Some(&[0.9; FRAME])));
            let told = conference.tell(parties[0], &[0.9; FRAME]).expect("a party");
            assert!(told.iter().all(|sample| sample.abs() <= 1.0));
        }
    }

    #[test]
    fn an_ordinary_call_is_told_the_microphone_untouched() {
        let mut conference = Conference::default();
        conference.set(&[StreamId(1)]);
        conference.hear(StreamId(1), Some(&[0.9; FRAME]));
        assert_eq!(conference.tell(StreamId(1), &[0.99; FRAME]), Some([0.99; FRAME]));
    }
}
