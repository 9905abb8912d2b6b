//! How a caller wants to be announced: at once and without being asked (RFC 5373, Call-Info and Alert-Info as phones use them),
//! or by a ring of its own (RFC 3261 §20.4, RFC 7462). URLs in these headers are never fetched.
use super::message::Headers;
use std::time::Duration;

/// Values of one header that are looked at.
const MAX: usize = 8;
/// The longest that a call waits for its answer by itself.
const LONGEST: Duration = Duration::from_secs(60);

/// How a call rings that says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ring {
    #[default]
    Usual,
    /// From within the house.
    Internal,
    /// From outside.
    External,
    /// For a group or a queue.
    Group,
}

/// The caller asks that its call be answered at once; after how long. Whether that is obeyed is not for the caller to say.
pub fn answer_after(headers: &Headers) -> Option<Duration> {
    let mode = ["Answer-Mode", "Priv-Answer-Mode"].into_iter().filter_map(|name| headers.get(name));
    let mut modes =
        mode.filter(|value| value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("auto"));
    let seconds = |text: &str| {
        let number: u64 = text.trim().trim_matches('"').parse().ok()?;
        Some(Duration::from_secs(number).min(LONGEST))
    };
    let call_info = headers.all("Call-Info").take(MAX).find_map(|value| seconds(param(value, "answer-after")?));
    let alert_info = headers.all("Alert-Info").take(MAX).find_map(|value| {
        let lower = value.to_ascii_lowercase();
        let asks = ["alert-autoanswer", "auto answer", "auto-answer", "ring answer", "intercom"];
        asks.iter()
            .any(|word| lower.contains(word))
            .then(|| param(value, "delay").and_then(seconds).unwrap_or_default())
    });
    call_info.or(alert_info).or(modes.next().map(|_| Duration::ZERO))
}

/// The headers that ask for an answer at once, in all the ways that phones understand.
pub fn intercom() -> Vec<(String, String)> {
    let headers = [
        ("Call-Info", "<sip:intercom.invalid>;answer-after=0"),
        ("Alert-Info", "<http://intercom.invalid>;info=alert-autoanswer;delay=0"),
        ("Answer-Mode", "Auto"),
    ];
    headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

impl Ring {
    pub fn of(headers: &Headers) -> Self {
        headers.all("Alert-Info").take(MAX).find_map(ring).unwrap_or_default()
    }
}

fn ring(value: &str) -> Option<Ring> {
    let lower = value.to_ascii_lowercase();
    let rows = [
        ("alert-internal", Ring::Internal),
        ("source:internal", Ring::Internal),
        ("bellcore-dr2", Ring::Internal),
        ("alert-external", Ring::External),
        ("source:external", Ring::External),
        ("bellcore-dr3", Ring::External),
        ("alert-group", Ring::Group),
        ("alert-community", Ring::Group),
        ("bellcore-dr4", Ring::Group),
    ];
    rows.iter().find(|(word, _)| lower.contains(word)).map(|(_, ring)| *ring)
}

/// A parameter behind the URL.
fn param<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    let behind = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    let mut params = behind.split(';').filter_map(|param| param.split_once('='));
    params.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(rows: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        rows.iter().for_each(|(name, value)| headers.push(name, value));
        headers
    }

    #[test]
    fn who_asks_for_an_answer_at_once() {
        let rows = [
            ("Call-Info", "<sip:x;answer-after=0>", None),
            ("Call-Info", "<sip:x>;answer-after=", None),
            ("Call-Info", "<sip:x>;answer-after=-1", None),
            ("Call-Info", "<sip:x>;purpose=icon", None),
            ("Alert-Info", "<http://h/ring.wav>", None),
            ("Alert-Info", "<http://h>;info=alert-internal", None),
            ("Answer-Mode", "Manual", None),
            ("Answer-Mode", "", None),
            ("Subject", "Auto Answer", None),
            ("Call-Info", "<sip:x>;answer-after=0", Some(0)),
            ("Call-Info", "<sip:x>; Answer-After = 5;x=y", Some(5)),
            ("Call-Info", "\\;answer-after=3", Some(3)),
            ("Call-Info", "<sip:x>;answer-after=99999999999", Some(60)),
            ("Alert-Info", "<http://h>;info=alert-autoanswer;delay=2", Some(2)),
            ("Alert-Info", "<http://h>;info=alert-autoanswer", Some(0)),
            ("Alert-Info", "Auto Answer", Some(0)),
            ("Alert-Info", "Ring Answer", Some(0)),
            ("Answer-Mode", "auto;require", Some(0)),
            ("Priv-Answer-Mode", "Auto", Some(0)),
        ];
        for (name, value, seconds) in rows {
            assert_eq!(answer_after(&with(&[(name, value)])), seconds.map(Duration::from_secs), "{name}: {value}");
        }
        let asked = intercom();
        let rows: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for row in rows {
            assert_eq!(answer_after(&with(&[row])), Some(Duration::ZERO), "{row:?}");
        }
    }

    #[test]
    fn rings_of_their_own() {
        let rows = [
            ("<http://h/ring.wav>", Ring::Usual),
            ("<urn:alert:service:call-waiting>", Ring::Usual),
            ("<http://h>;info=alert-external;x=\"y\"", Ring::External),
            ("<urn:alert:source:internal>", Ring::Internal),
            ("Bellcore-dr4", Ring::Group),
            ("info=Alert-Group", Ring::Group),
        ];
        for (value, expected) in rows {
            assert_eq!(Ring::of(&with(&[("Alert-Info", value)])), expected, "{value}");
        }
    }
}
