//! Times and durations in fixed widths.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `00:03:12`, from a hundred hours on without seconds.
pub fn duration(d: Duration) -> String {
    let s = d.as_secs();
    match s / 3600 {
        hours @ 0..=99 => format!("{hours:02}:{:02}:{:02}", s / 60 % 60, s % 60),
        hours => format!("{:>7}h", hours.min(999_999)),
    }
}

/// `03:12`, from an hour on as [`duration`].
pub fn short(d: Duration) -> String {
    let s = d.as_secs();
    if s < 3600 { format!("{:02}:{:02}", s / 60, s % 60) } else { duration(d) }
}

/// A time to come or gone by, in words of at most 6 columns: `9 s`, `4 min`, `2 h`, `3 d`.
pub fn rough(d: Duration) -> String {
    match d.as_secs() {
        s @ 0..=99 => format!("{s} s"),
        s @ 100..=5_999 => format!("{} min", s / 60),
        s @ 6_000..=172_799 => format!("{} h", s / 3_600),
        s => format!("{} d", (s / 86_400).min(9_999)),
    }
}

/// Wall-clock time in the user's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    pub day_number: i64,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Local {
    /// - `offset`: seconds to add to UTC.
    pub fn new(at: SystemTime, offset: i32) -> Self {
        let unix = match at.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX / 2),
            Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX / 2),
        };
        let local = unix + i64::from(offset);
        let (day_number, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        let (month, day) = month_and_day(day_number);
        let part = |value: i64| u8::try_from(value).unwrap_or(0);
        Self {
            day_number,
            month,
            day,
            hour: part(second / 3600),
            minute: part(second / 60 % 60),
            second: part(second % 60),
        }
    }

    /// `10:42`
    pub fn minutes(self) -> String {
        format!("{:02}:{:02}", self.hour, self.minute)
    }

    /// `10:42:07`
    pub fn seconds(self) -> String {
        format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }

    /// `21 Nov`
    pub fn date(self) -> String {
        let month = MONTHS.get(usize::from(self.month.saturating_sub(1))).copied().unwrap_or("???");
        format!("{:>2} {month}", self.day)
    }

    /// The time when it is of the day of `today`, else the date: 6 columns.
    pub fn short(self, today: Self) -> String {
        if self.day_number == today.day_number { format!(" {}", self.minutes()) } else { self.date() }
    }
}

/// The proleptic Gregorian calendar, counted in eras of 400 years that begin in March.
fn month_and_day(day_number: i64) -> (u8, u8) {
    let day_of_era = (day_number + 719_468).rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (u8::try_from(month).unwrap_or(1), u8::try_from(day).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        let rows = [
            (0, 0, " 1 Jan", "00:00:00"),
            (951_782_400, 0, "29 Feb", "00:00:00"),
            (951_868_799, 1, " 1 Mar", "00:00:00"),
            (1_795_343_527, 3_600, "22 Nov", "11:32:07"),
            (86_399, 0, " 1 Jan", "23:59:59"),
            (0, -1, "31 Dec", "23:59:59"),
        ];
        for (unix, offset, date, time) in rows {
            let local = Local::new(UNIX_EPOCH + Duration::from_secs(unix), offset);
            assert_eq!((local.date().as_str(), local.seconds().as_str()), (date, time), "{unix}");
        }
    }

    #[test]
    fn widths_do_not_jump() {
        for s in [0, 59, 60, 3_599, 3_600, 86_400, 359_999, 360_000, 9_999_999_999] {
            assert_eq!(duration(Duration::from_secs(s)).chars().count(), 8, "{s}");
            assert!(rough(Duration::from_secs(s)).chars().count() <= 6, "{s}");
        }
        assert_eq!(duration(Duration::from_secs(192)), "00:03:12");
    }
}
