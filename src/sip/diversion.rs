//! A call that is sent elsewhere, and by whom it was before: Diversion (RFC 5806) and History-Info (RFC 7044).
use super::message::{Headers, NameAddr, Uri};

/// Values of each header that are looked at and passed on.
const MAX: usize = 16;

/// Why a call is sent elsewhere (RFC 5806 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Always,
    Busy,
    NoAnswer,
}

impl Why {
    fn diversion(self) -> &'static str {
        match self {
            Self::Always => "unconditional",
            Self::Busy => "user-busy",
            Self::NoAnswer => "no-answer",
        }
    }

    /// RFC 4458 §2.
    fn cause(self) -> u16 {
        match self {
            Self::Always => 302,
            Self::Busy => 486,
            Self::NoAnswer => 408,
        }
    }
}

/// Through whose hands a call came, as far as it tells.
#[derive(Clone, Debug, Default)]
pub struct Path {
    /// Who sent it elsewhere, by Diversion; and all it was sent to before, by History-Info.
    pub by: Vec<Uri>,
    /// How often it was sent elsewhere.
    pub hops: u32,
}

impl Path {
    pub fn of(headers: &Headers) -> Self {
        let diversions: Vec<NameAddr> = parsed(headers, "Diversion").collect();
        let counted = diversions.iter().map(|by| {
            let counter = by.params.value("counter").and_then(|counter| counter.parse().ok());
            counter.unwrap_or(1_u32).max(1)
        });
        let hops = counted.fold(0_u32, u32::saturating_add);
        let mut history: Vec<NameAddr> = parsed(headers, "History-Info").collect();
        // The last is where it is now.
        history.pop();
        let sent_on = history.iter().filter(|entry| entry.params.has("mp") || entry.uri.params.has("cause")).count();
        let hops = hops.max(u32::try_from(sent_on).unwrap_or(u32::MAX));
        Self { by: diversions.into_iter().chain(history).map(|entry| entry.uri).collect(), hops }
    }
}

fn parsed<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = NameAddr> + 'a {
    headers.all(name).take(MAX).filter_map(|value| NameAddr::parse(value).ok())
}

/// The headers of the response that sends a call of this INVITE to `target`: Contact, and who did it for what reason before
/// all who did so earlier. The history goes on where the INVITE has one.
pub fn redirection(invite: &Headers, by: &NameAddr, why: Why, target: &Uri) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("Contact", NameAddr::new(target.clone()).to_string()),
        ("Diversion", format!("<{}>;reason={};counter=1", by.uri, why.diversion())),
    ];
    headers.extend(invite.all("Diversion").take(MAX).map(|earlier| ("Diversion", earlier.to_owned())));
    let history: Vec<&str> = invite.all("History-Info").take(MAX).collect();
    let last = history.last().and_then(|last| NameAddr::parse(last).ok());
    let index = last.as_ref().and_then(|last| last.params.value("index"));
    let index = index.filter(|index| index.len() < 64 && index.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
    if let Some(index) = index {
        headers.extend(history.iter().map(|entry| ("History-Info", (*entry).to_owned())));
        let mut uri = target.clone();
        uri.params.set("cause", Some(&why.cause().to_string()));
        headers.push(("History-Info", format!("<{uri}>;index={index}.1;mp={index}")));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        rows.iter().for_each(|(name, value)| headers.push(name, value));
        headers
    }

    #[test]
    fn through_whose_hands_a_call_came() {
        type Row = (&'static [(&'static str, &'static str)], &'static [&'static str], u32);
        let rows: [Row; 6] = [
            (&[], &[], 0),
            (&[("Diversion", "\"broken")], &[], 0),
            (
                &[("Diversion", "<sip:a@h>;counter=4294967295"), ("Diversion", "<sip:b@h>")],
                &["sip:a@h", "sip:b@h"],
                u32::MAX,
            ),
            (&[("Diversion", "<sip:a@h>;counter=0"), ("Diversion", "<sip:b@h>;counter=x")], &["sip:a@h", "sip:b@h"], 2),
            (&[("History-Info", "<sip:me@h>;index=1")], &[], 0),
            (
                &[
                    ("History-Info", "<sip:a@h>;index=1"),
                    ("History-Info", "<sip:b@h;cause=302>;index=1.1;mp=1"),
                    ("History-Info", "<sip:b@192.0.2.1>;index=1.1.1;rc=1.1"),
                ],
                &["sip:a@h", "sip:b@h;cause=302"],
                1,
            ),
        ];
        for (lines, by, hops) in rows {
            let path = Path::of(&headers(lines));
            let named: Vec<String> = path.by.iter().map(Uri::to_string).collect();
            assert_eq!((named, path.hops), (by.iter().map(|b| (*b).to_owned()).collect(), hops), "{lines:?}");
        }
        let many: Vec<_> = (0..100).map(|_| ("Diversion", "<sip:a@h>")).collect();
        assert_eq!(Path::of(&headers(&many)).hops, 16);
    }

    #[test]
    fn who_sends_a_call_on_is_told_first() {
        let (by, target) =
            (NameAddr::parse("\"Me\" <sip:me@h>").expect("an address"), Uri::parse("sip:you@h").expect("a URI"));
        let told = redirection(&Headers::default(), &by, Why::Always, &target);
        let expected = [
            ("Contact", "<sip:you@h>".to_owned()),
            ("Diversion", "<sip:me@h>;reason=unconditional;counter=1".to_owned()),
        ];
        assert_eq!(told, expected);
        let earlier = headers(&[("Diversion", "<sip:x@h>;reason=user-busy"), ("History-Info", "<sip:me@h>;index=1.2")]);
        let told = redirection(&earlier, &by, Why::NoAnswer, &target);
        let values: Vec<&str> = told.iter().skip(1).map(|(_, value)| value.as_str()).collect();
        assert_eq!(
            values,
            [
                "<sip:me@h>;reason=no-answer;counter=1",
                "<sip:x@h>;reason=user-busy",
                "<sip:me@h>;index=1.2",
                "<sip:you@h;cause=408>;index=1.2.1;mp=1.2"
            ]
        );
        // What has no index that could go on is not continued.
        for entry in ["<sip:me@h>", "<sip:me@h>;index=1;1,", "<sip:me@h>;index=x"] {
            let earlier = headers(&[("History-Info", entry)]);
            assert_eq!(redirection(&earlier, &by, Why::Busy, &target).len(), 2, "{entry}");
        }
    }
}
