//! The server's certificate as the phone looks at it, and this computer's clock beside the server's (RFC 5280, RFC 9110 §5.6.7).
use super::finding::{Finding, Topic, cause_and_advice, sentence};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Certificates are renewed earlier than this, where somebody looks after them.
const SOON: u64 = 14;
const DAY: u64 = 86_400;
/// A difference that is worth telling, and one that breaks certificates \[s\].
const SKEW: i64 = 60;
const FAR_OFF: i64 = 86_400;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub remote: SocketAddr,
    /// Whom it must name.
    pub name: String,
    /// Why it is not believed, in words.
    pub result: Result<Session, String>,
}

/// A protected connection.
#[derive(Clone, Debug)]
pub struct Session {
    /// As `TLSv1_3`.
    pub version: String,
    /// Until when the certificate holds \[s since 1970\].
    pub not_after: Option<u64>,
    /// How many certificates it is built on, itself among them.
    pub chain: usize,
}

/// - `now`: the time of day here.
pub fn judge(certificate: &Certificate, now: SystemTime) -> Vec<Finding> {
    let Certificate { remote, name, result } = certificate;
    let session = match result {
        Ok(session) => session,
        Err(words) => {
            let (cause, way_out) = cause_and_advice(words);
            let way_out = if way_out.is_empty() { "tell whoever runs the server" } else { way_out };
            return vec![
                Finding::problem(Topic::Certificate, sentence(cause))
                    .means("The phone does not connect: nobody knows who would be listening there.")
                    .advice(sentence(way_out))
                    .details([format!("{remote}: {words}")]),
            ];
        }
    };
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = session.not_after.map(|until| until.saturating_sub(now) / DAY);
    let version = session.version.replace("TLSv1_", "TLS 1.");
    let holds = match days {
        Some(days) if days > 3_650 => ", valid for more than 10 years".to_owned(),
        Some(days) => format!(", valid for {days} more days"),
        None => String::new(),
    };
    let details = [format!("{remote}: {version}, {} certificates shown", session.chain)];
    match days {
        Some(days) if days < SOON => vec![
            Finding::note(Topic::Certificate, format!("The certificate of {name} expires in {days} days."))
                .means("From then on the phone refuses to connect, as all others should.")
                .advice("Tell whoever runs the server to renew it.")
                .details(details),
        ],
        Some(_) | None => vec![
            Finding::ok(Topic::Certificate, format!("The certificate of {name} is good{holds} ({version})."))
                .details(details),
        ],
    }
}

/// This computer's clock beside the server's.
///
/// - `ahead`: so much it is ahead of the server's \[s\].
pub fn judge_clock(ahead: i64) -> Option<Finding> {
    let off = Duration::from_secs(ahead.unsigned_abs());
    let words = match off.as_secs() {
        s if s >= DAY => format!("{} days", s / DAY),
        s if s >= 3_600 => format!("{:.1} hours", off.as_secs_f64() / 3_600.0),
        s => format!("{s} s"),
    };
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let found = format!("This computer's clock is {words} {side} the server's.");
    let advice = "Let the system set its clock from the network (NTP).";
    match ahead.abs() {
        off if off >= FAR_OFF => Some(
            Finding::problem(Topic::Certificate, found)
                .means("Certificates are judged by the clock: good ones are refused, and expired ones accepted.")
                .advice(advice),
        ),
        off if off >= SKEW => Some(
            Finding::note(Topic::Certificate, found)
                .means("One of the two is wrong. Registrations, certificates and the call history depend on it.")
                .advice(advice),
        ),
        _ => None,
    }
}

/// The seconds since 1970 of `Sat, 13 Nov 2010 23:29:00 GMT`, the only form SIP has (RFC 3261 §20.17).
pub fn parse_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(',')?;
    let mut words = rest.split_whitespace();
    let day: i64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))? as i64 + 1;
    let year: i64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<i64>().ok().filter(|n| (0..=60).contains(n)));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    // Years are counted from March, so that the day of a leap year comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    (hour < 24).then_some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::finding::Severity;

    #[test]
    fn dates() {
        for bad in [
            "",
            "2010-11-13",
            "Sat, 13 Nov 2010",
            "Sat, 13 Nov 2010 23:29 GMT",
            "Sat, 32 Nov 2010 23:29:00 GMT",
            "Sat, 13 Non 2010 23:29:00 GMT",
            "Sat, 13 Nov 99999 23:29:00 GMT",
            "Sat, 13 Nov 2010 24:00:00 GMT",
            "Sat, 13 Nov 2010 -1:00:00 GMT",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
        let rows = [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sat, 13 Nov 2010 23:29:00 GMT", 1_289_690_940),
            ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000),
            ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200),
        ];
        rows.into_iter().for_each(|(text, seconds)| assert_eq!(parse_date(text), Some(seconds), "{text}"));
    }

    #[test]
    fn clocks() {
        let kind = |ahead| judge_clock(ahead).map(|finding| finding.severity);
        assert_eq!([kind(0), kind(59), kind(-59)], [None; 3]);
        assert_eq!([kind(60), kind(-4_000)], [Some(Severity::Note); 2]);
        assert_eq!([kind(90_000), kind(-90_000_000)], [Some(Severity::Problem); 2]);
        assert!(judge_clock(-7_200).is_some_and(|f| f.found.contains("2.0 hours behind")));
        assert!(judge_clock(i64::MIN + 1).is_some());
    }

    #[test]
    fn certificates() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000 * DAY);
        let certificate =
            |result| Certificate { remote: ([192, 0, 2, 1], 5061).into(), name: "pbx.example".into(), result };
        let good = |days: Option<u64>| {
            let not_after = days.map(|days| (1_000 + days) * DAY);
            certificate(Ok(Session { version: "TLSv1_3".into(), not_after, chain: 2 }))
        };
        let rows = [
            (certificate(Err("it expired; renew it".into())), Severity::Problem, "It expired."),
            (good(Some(13)), Severity::Note, "expires in 13 days"),
            (good(Some(90)), Severity::Ok, "valid for 90 more days (TLS 1.3)"),
            (good(None), Severity::Ok, "is good (TLS 1.3)"),
        ];
        for (facts, severity, words) in rows {
            let findings = judge(&facts, now);
            assert!(findings[0].severity == severity && findings[0].found.contains(words), "{findings:?}");
        }
    }
}
