//! SIP messages as text, for a relay that changes addresses in passing: no more than that needs.

/// Head lines and body of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipText {
    /// The start line, then the headers, without line ends.
    pub lines: Vec<String>,
    pub body: String,
}

impl SipText {
    /// `None` for keep-alives and whatever else is no message.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some(Self { lines: head.split("\r\n").map(str::to_owned).collect(), body: body.to_owned() })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.lines.iter().skip(1).find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// With the Content-Length set right.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = |line: &String| {
            let name = line.split(':').next().unwrap_or_default().trim();
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l")
        };
        let mut out: Vec<_> = self.lines.iter().filter(|line| !length(line)).cloned().collect();
        out.push(format!("Content-Length: {}", self.body.len()));
        format!("{}\r\n\r\n{}", out.join("\r\n"), self.body).into_bytes()
    }

    /// The address and port of the first audio line.
    pub fn audio(&self) -> Option<(String, u16)> {
        let address = self.body.lines().find_map(|line| line.strip_prefix("c=IN IP4 "))?;
        let media = self.body.lines().find_map(|line| line.strip_prefix("m=audio "))?;
        Some((address.trim().to_owned(), media.split(' ').next()?.parse().ok()?))
    }

    /// Puts another address into every `c=` and another port into the audio line.
    pub fn set_audio(&mut self, address: &str, port: u16) {
        let mut out = String::new();
        for line in self.body.lines() {
            if line.starts_with("c=IN IP4 ") {
                out += &format!("c=IN IP4 {address}");
            } else if let Some(media) = line.strip_prefix("m=audio ") {
                let rest = media.split_once(' ').map_or("", |(_, rest)| rest);
                out += &format!("m=audio {port} {rest}");
            } else if line.starts_with("a=rtcp:") {
                // The port above the RTP port goes without saying.
                continue;
            } else {
                out += line;
            }
            out += "\r\n";
        }
        self.body = out;
    }
}
