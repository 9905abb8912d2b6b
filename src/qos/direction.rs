//! What is kept of one direction of a call: present figures with their age, time lines, and means for the summary.
use crate::qos::emodel;
use crate::qos::history::{Mean, TimeLine};
use crate::qos::snapshot::{DirectionQuality, Reading};
use std::time::{Duration, Instant};

/// A value and when it was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured(Option<(f64, Instant)>);

impl Measured {
    pub fn set(&mut self, value: f64, at: Instant) {
        self.0 = Some((value, at));
    }

    pub fn reading(&self, now: Instant) -> Option<Reading> {
        self.0.map(|(value, at)| Reading { value, age: now.saturating_duration_since(at) })
    }

    /// The value unless it is older than `age`.
    pub fn fresh(&self, now: Instant, age: Duration) -> Option<f64> {
        self.reading(now).filter(|r| r.age <= age).map(|r| r.value)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Direction {
    pub packets: u64,
    pub lost: i64,
    /// [%]
    pub loss_total: Option<f64>,
    /// [%]
    pub loss: Measured,
    /// \[ms\]
    jitter: Measured,
    mos: Measured,
    rating: Measured,
    mos_line: TimeLine,
    loss_line: TimeLine,
    jitter_line: TimeLine,
    mos_mean: Mean,
    rating_mean: Mean,
    jitter_mean: Mean,
}

impl Direction {
    pub fn note_rating(&mut self, at: Instant, rating: f64) {
        let mos = emodel::mos(rating);
        self.rating.set(rating, at);
        self.rating_mean.add(rating);
        self.mos.set(mos, at);
        self.mos_mean.add(mos);
    }

    pub fn note_jitter(&mut self, at: Instant, jitter: Duration) {
        let jitter = jitter.as_secs_f64() * 1e3;
        self.jitter.set(jitter, at);
        self.jitter_mean.add(jitter);
    }

    /// R as long as it is not older than `age`.
    pub fn rating(&self, now: Instant, age: Duration) -> Option<f64> {
        self.rating.fresh(now, age)
    }

    /// Draws the columns of a second; figures older than `age` leave a gap.
    pub fn draw(&mut self, second: u64, now: Instant, age: Duration, loss: Option<f64>) {
        let column = |value: Option<f64>| value.map(|v| v as f32);
        self.mos_line.record(second, column(self.mos.fresh(now, age)));
        self.loss_line.record(second, column(loss));
        self.jitter_line.record(second, column(self.jitter.fresh(now, age)));
    }

    /// As it is now.
    pub fn present(&self, now: Instant) -> DirectionQuality {
        DirectionQuality {
            mos: self.mos.reading(now),
            rating: self.rating.reading(now).map(|r| r.value),
            loss: self.loss.reading(now),
            loss_total: self.loss_total,
            jitter: self.jitter.reading(now),
            packets: self.packets,
            lost: self.lost,
            mos_line: self.mos_line.to_vec(),
            loss_line: self.loss_line.to_vec(),
            jitter_line: self.jitter_line.to_vec(),
        }
    }

    /// Over the whole call: means, and the loss in all.
    pub fn summary(&self, now: Instant) -> DirectionQuality {
        let reading = |value: Option<f64>| value.map(|value| Reading { value, age: Duration::ZERO });
        DirectionQuality {
            mos: reading(self.mos_mean.value()),
            rating: self.rating_mean.value(),
            loss: reading(self.loss_total),
            jitter: reading(self.jitter_mean.value()),
            ..self.present(now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_grow_old_and_leave_gaps() {
        let (t0, second) = (Instant::now(), Duration::from_secs(1));
        let mut direction = Direction::default();
        assert_eq!(direction.present(t0), DirectionQuality::default());
        direction.note_rating(t0, 93.2);
        direction.note_jitter(t0, Duration::from_millis(7));
        for n in 0..4_u32 {
            direction.draw(u64::from(n), t0 + second * n, second * 2, None);
        }
        let present = direction.present(t0 + second * 3);
        assert_eq!(present.jitter, Some(Reading { value: 7.0, age: second * 3 }));
        assert_eq!(present.jitter_line, [Some(7.0), Some(7.0), Some(7.0), None]);
        assert_eq!(present.loss_line, [None; 4]);
        assert!(present.mos.is_some_and(|mos| (mos.value - 4.41).abs() < 0.01));
    }

    #[test]
    fn the_summary_is_made_of_means() {
        let (t0, mut direction) = (Instant::now(), Direction::default());
        [90.0, 70.0].into_iter().for_each(|r| direction.note_rating(t0, r));
        direction.loss_total = Some(4.0);
        let summary = direction.summary(t0);
        assert_eq!(summary.rating, Some(80.0));
        assert_eq!(summary.loss.map(|l| l.value), Some(4.0));
        assert_eq!(summary.jitter, None);
    }
}
