//! Who a server says a party is: P-Asserted-Identity (RFC 3325 §9.1), and Remote-Party-ID, its older form.
use super::MAX_VALUES;
use crate::sip::message::{Headers, NameAddr, Scheme};

/// A party as a server names it.
#[derive(Clone, Debug)]
pub struct Asserted {
    pub address: NameAddr,
    /// The server stands for it; Remote-Party-ID may also pass on what nobody has checked (`screen=no`).
    pub vouched: bool,
    /// The party does not want to be named to anybody outside.
    pub withheld: bool,
}

impl Asserted {
    /// What a message says; P-Asserted-Identity counts more than its older form, and a SIP address more than a number.
    pub fn of(headers: &Headers) -> Option<Self> {
        let values = headers.all("P-Asserted-Identity").take(MAX_VALUES);
        let mut named: Vec<NameAddr> = values.filter_map(|value| NameAddr::parse(value).ok()).collect();
        named.retain(|address| address.uri.is_sip() || address.uri.scheme == Scheme::Tel);
        let address = named.iter().find(|address| address.uri.is_sip()).or(named.first()).cloned();
        address
            .map(|address| Self { address, vouched: true, withheld: false })
            .or_else(|| Self::of_remote_party(headers))
    }

    fn of_remote_party(headers: &Headers) -> Option<Self> {
        let mut values = headers.all("Remote-Party-ID").take(MAX_VALUES);
        let address = values.find_map(|value| NameAddr::parse(value).ok())?;
        let param = |name: &str| address.params.unquoted(name).unwrap_or_default().to_ascii_lowercase();
        let vouched = param("screen") == "yes";
        let withheld = matches!(param("privacy").as_str(), "full" | "uri" | "name");
        Some(Self { address, vouched, withheld })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_of_a_party() {
        type Row = (&'static [(&'static str, &'static str)], Option<(&'static str, bool, bool)>);
        let rows: [Row; 10] = [
            (&[], None),
            (&[("P-Asserted-Identity", "\"broken <sip:a@b>")], None),
            (&[("P-Asserted-Identity", "<mailto:a@b>")], None),
            (&[("From", "<sip:a@b>;tag=1")], None),
            (&[("P-Asserted-Identity", "\"A\" <sip:a@b>")], Some(("\"A\" <sip:a@b>", true, false))),
            (
                &[("P-Asserted-Identity", "<tel:+12>"), ("P-Asserted-Identity", "\"A\" <sip:+12@b>")],
                Some(("\"A\" <sip:+12@b>", true, false)),
            ),
            (
                &[("Remote-Party-ID", "<sip:x@y>;screen=yes"), ("P-Asserted-Identity", "<tel:+12>")],
                Some(("<tel:+12>", true, false)),
            ),
            (
                &[("Remote-Party-ID", "\"B\" <sip:b@c>;party=calling;privacy=off;screen=no")],
                Some(("\"B\" <sip:b@c>;party=calling;privacy=off;screen=no", false, false)),
            ),
            (
                &[("Remote-Party-ID", "<sip:b@c>;privacy=Full;screen=yes")],
                Some(("<sip:b@c>;privacy=Full;screen=yes", true, true)),
            ),
            (&[("Remote-Party-ID", "sip:b@c")], Some(("<sip:b@c>", false, false))),
        ];
        for (lines, expected) in rows {
            let mut headers = Headers::default();
            lines.iter().for_each(|(name, value)| headers.push(name, value));
            let found = Asserted::of(&headers).map(|a| (a.address.to_string(), a.vouched, a.withheld));
            assert_eq!(found, expected.map(|(address, v, w)| (address.to_owned(), v, w)), "{lines:?}");
        }
    }
}
