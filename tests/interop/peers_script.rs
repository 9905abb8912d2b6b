//! Scenarios for SIPp, written where they are used: what the peer says and what it must hear, in order.
//!
//! A script is one side of one call. What it hears is remembered by its method, so that a request may be answered long after
//! it came, and after others. A message that was not expected, or not as it must be, makes SIPp fail.
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What must be in a message: a header (`To:`; empty: anywhere) and the POSIX expression that must be found there.
pub type Check<'a> = (&'a str, &'a str);

/// The methods of a peer that takes UPDATE.
pub const UPDATES: &str = "Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE";

/// Who calls.
const ME: &str = "\"Sipp\" <sip:sipp@[local_ip]:[local_port]>;tag=s[call_number]";
const NEW: &str = "SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport";
/// Of the first INVITE, which its CANCEL must name.
const FIRST: &str = "SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK-first-[call_number];rport";

pub struct Script {
    text: String,
    /// We placed the call.
    calls: bool,
    /// Our tag as the callee: the fork that speaks.
    tag: &'static str,
    /// The INVITE that is open began the call: its To has no tag.
    initial: bool,
    cseq: u32,
    /// Of our last INVITE.
    invite: u32,
    variables: BTreeSet<String>,
}

/// A description of one stream of PCMU.
///
/// - `version`: counts the descriptions of a side.
pub fn sdp(version: u32, direction: &str) -> String {
    format!(
        "v=0\no=sipp 1 {version} IN IP4 [local_ip]\ns=-\nc=IN IP4 [media_ip]\nt=0 0\n\
         m=audio [media_port] RTP/AVP 0\na=rtpmap:0 PCMU/8000\na=ptime:20\na={direction}\n"
    )
}

/// The headers of a provisional response that wants a PRACK.
pub fn reliable(rseq: u32) -> String {
    format!("Require: 100rel\nRSeq: {rseq}")
}

impl Script {
    fn new(calls: bool) -> Self {
        let (text, variables) = (String::new(), BTreeSet::new());
        Self { text, calls, tag: "a", initial: false, cseq: if calls { 0 } else { 100 }, invite: 0, variables }
    }

    /// Is called.
    pub fn called() -> Self {
        Self::new(false).invited(&[])
    }

    /// Calls `user` at SIPp's remote address.
    pub fn calls(user: &str, headers: &[&str], body: Option<&str>) -> Self {
        let mut script = Self::new(true);
        (script.cseq, script.invite) = (1, 1);
        let to = format!("<sip:{user}@[remote_ip]:[remote_port]>");
        let start = format!("INVITE sip:{user}@[remote_ip]:[remote_port] SIP/2.0");
        script.send(&head(&start, FIRST, (ME, &to), "1 INVITE"), headers, body);
        script
    }

    /// The INVITE that begins the call, or goes on with it after a redirection.
    pub fn invited(mut self, checks: &[Check<'_>]) -> Self {
        self.initial = true;
        self.hear("INVITE", checks)
    }

    /// From here on this fork speaks.
    pub fn fork(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// A request must come.
    pub fn receive(mut self, method: &str, checks: &[Check<'_>]) -> Self {
        self.initial &= method != "INVITE";
        self.hear(method, checks)
    }

    fn hear(mut self, method: &str, checks: &[Check<'_>]) -> Self {
        let _ = writeln!(self.text, "<recv request=\"{method}\" timeout=\"30000\"><action>");
        for name in ["Via", "From", "To", "CSeq"] {
            self.ereg(".*", &format!("{name}:"), &variable(method, name));
        }
        if method == "INVITE" {
            self.ereg("sip:[^>]*", "Contact:", "target");
        }
        if self.initial && method == "INVITE" {
            self.ereg(".*", "From:", "from");
            self.ereg(".*", "To:", "to");
        }
        self.checks(checks);
        self.text += "</action></recv>\n";
        self
    }

    /// Answers the last request of that method.
    pub fn respond(mut self, method: &str, status: &str, headers: &[&str], body: Option<&str>) -> Self {
        let of = |name| format!("[${}]", variable(method, name));
        let tag = if self.initial && method == "INVITE" { format!(";tag={}", self.tag) } else { String::new() };
        let to = of("To") + &tag;
        let head = head(&format!("SIP/2.0 {status}"), &of("Via"), (&of("From"), &to), &of("CSeq"));
        self.send(&head, headers, body);
        self
    }

    /// A response must come; those that make a dialog are remembered.
    pub fn expect(mut self, status: u16, checks: &[Check<'_>]) -> Self {
        // What is under way may say so.
        if status != 100 {
            self.text += "<recv response=\"100\" optional=\"true\"/>\n";
        }
        let _ = writeln!(self.text, "<recv response=\"{status}\" timeout=\"30000\"><action>");
        self.checks(checks);
        self.text += "</action></recv>\n";
        self
    }

    /// The response to the INVITE of [`Script::calls`] that makes the dialog.
    pub fn expect_dialog(mut self, status: u16, checks: &[Check<'_>]) -> Self {
        let _ = writeln!(self.text, "<recv response=\"100\" optional=\"true\"/>");
        let _ = writeln!(self.text, "<recv response=\"{status}\" timeout=\"30000\"><action>");
        self.ereg(".*", "To:", "to");
        self.ereg("sip:[^>]*", "Contact:", "target");
        if checks.iter().any(|(header, _)| *header == "RSeq:") {
            self.ereg("[0-9]+", "RSeq:", "rseq");
        }
        self.checks(checks);
        self.text += "</action></recv>\n";
        self
    }

    /// A request within the dialog.
    pub fn request(mut self, method: &str, headers: &[&str], body: Option<&str>) -> Self {
        self.cseq += 1;
        if method == "INVITE" {
            self.invite = self.cseq;
        }
        self.within(method, self.cseq, headers, body);
        self
    }

    /// Acknowledges the reliable response that made the dialog.
    pub fn prack(mut self, body: Option<&str>) -> Self {
        self.cseq += 1;
        self.within("PRACK", self.cseq, &["RAck: [$rseq] 1 INVITE"], body);
        self
    }

    /// Acknowledges the 2xx to our last INVITE.
    pub fn ack(mut self, body: Option<&str>) -> Self {
        self.within("ACK", self.invite, &[], body);
        self
    }

    /// Cancels the first INVITE.
    pub fn cancel(mut self, user: &str) -> Self {
        let to = format!("<sip:{user}@[remote_ip]:[remote_port]>");
        let start = format!("CANCEL sip:{user}@[remote_ip]:[remote_port] SIP/2.0");
        self.send(&head(&start, FIRST, (ME, &to), "1 CANCEL"), &[], None);
        self
    }

    pub fn pause(mut self, milliseconds: u32) -> Self {
        let _ = writeln!(self.text, "<pause milliseconds=\"{milliseconds}\"/>");
        self
    }

    /// Sends the tone that lies beside the scenario, to where our partner wants sound.
    pub fn speak(mut self) -> Self {
        self.text += "<nop><action><exec rtp_stream=\"tone.ulaw,-1,0\"/></action></nop>\n";
        self
    }

    /// The scenario as SIPp reads it.
    pub fn xml(&self) -> String {
        let names: Vec<&str> = self.variables.iter().map(String::as_str).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<scenario name=\"script\">\n{}\
             <Reference variables=\"{}\"/>\n</scenario>\n",
            self.text,
            names.join(",")
        )
    }

    fn within(&mut self, method: &str, cseq: u32, headers: &[&str], body: Option<&str>) {
        let (me, them) = match self.calls {
            true => (ME.to_owned(), "[$to]"),
            false => (format!("[$to];tag={}", self.tag), "[$from]"),
        };
        let head = head(&format!("{method} [$target] SIP/2.0"), NEW, (&me, them), &format!("{cseq} {method}"));
        self.send(&head, headers, body);
    }

    /// - `head`: start line to CSeq.
    fn send(&mut self, head: &str, headers: &[&str], body: Option<&str>) {
        let _ = write!(self.text, "<send><![CDATA[\n{head}Call-ID: [call_id]\nMax-Forwards: 70\n");
        if !headers.iter().any(|header| header.starts_with("Contact:")) {
            self.text += "Contact: <sip:sipp@[local_ip]:[local_port]>\n";
        }
        headers.iter().for_each(|header| self.text += &format!("{header}\n"));
        match body {
            Some(body) => {
                let _ = write!(self.text, "Content-Type: application/sdp\nContent-Length: [len]\n\n{body}");
            }
            None => self.text += "Content-Length: 0\n\n",
        }
        self.text += "]]></send>\n";
    }

    fn checks(&mut self, checks: &[Check<'_>]) {
        checks.iter().for_each(|(header, expression)| self.ereg(expression, header, "found"));
    }

    fn ereg(&mut self, expression: &str, header: &str, variable: &str) {
        let expression = expression.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let place = match header {
            "" => "search_in=\"msg\"".to_owned(),
            header => format!("search_in=\"hdr\" header=\"{header}\""),
        };
        let _ =
            writeln!(self.text, "<ereg regexp=\"{expression}\" {place} check_it=\"true\" assign_to=\"{variable}\"/>");
        self.variables.insert(variable.to_owned());
    }
}

fn head(start: &str, via: &str, (from, to): (&str, &str), cseq: &str) -> String {
    format!("{start}\nVia: {via}\nFrom: {from}\nTo: {to}\nCSeq: {cseq}\n")
}

/// Where a header of the last request of that method is remembered.
fn variable(method: &str, header: &str) -> String {
    format!("{method}{header}")
}
