//! Answers challenges for one account (RFC 3261 §22.1 to §22.3, RFC 8760 §2).
use super::challenge::{AuthValue, Challenge};
use super::digest::{Hash, Inputs, Qop};
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::base::untrusted::Untrusted;
use crate::sip::message::text::quote;
use crate::sip::message::{Headers, Method, Request, Response};
use std::collections::VecDeque;

/// Nonces kept for later requests.
const MAX_NONCES: usize = 16;
/// Answers remembered to tell a second refusal from a first.
const MAX_TRIES: usize = 128;
/// Answers to one request: the second one is for a nonce that had expired.
const TRIES: u8 = 2;
/// Hexadecimal digits of a client nonce.
const CNONCE: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    Plain(Secret),
    /// `H(user:realm:password)` in hexadecimal digits: 32 are of MD5, 64 of SHA-256.
    Ha1(Secret),
}

#[derive(Clone, Debug)]
pub struct Credentials {
    pub user: String,
    pub password: Password,
    /// The only realm that gets an answer; `None` for any.
    pub realm: Option<String>,
}

/// Why a challenge is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    #[error("the response carries no challenge")]
    NoChallenge,
    #[error("no challenge has an algorithm and a quality of protection that can be used")]
    Unsupported,
    #[error("the challenge is of another realm than the account's")]
    ForeignRealm(Untrusted),
    #[error("the user name or the password is wrong")]
    WrongPassword,
    #[error("the server does not accept any nonce")]
    TooManyTries,
}

/// Which pair of headers is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Server,
    Proxy,
}

impl Side {
    fn challenge_name(self) -> &'static str {
        match self {
            Self::Server => "WWW-Authenticate",
            Self::Proxy => "Proxy-Authenticate",
        }
    }

    fn answer_name(self) -> &'static str {
        match self {
            Self::Server => "Authorization",
            Self::Proxy => "Proxy-Authorization",
        }
    }
}

/// A nonce in use.
#[derive(Debug)]
struct Session {
    side: Side,
    /// Registrars and proxies often differ in what they ask for.
    is_register: bool,
    challenge: Challenge,
    cnonce: String,
    /// Of the last answer.
    nc: u32,
}

/// The answering side of one account.
#[derive(Debug)]
pub struct Client {
    credentials: Credentials,
    /// Most recent last.
    sessions: Vec<Session>,
    /// The `response` parameters we sent, and which try of its request each was; 0 for one sent unasked.
    tries: VecDeque<(String, u8)>,
    rng: Rng,
}

impl Client {
    pub fn new(credentials: Credentials, rng: Rng) -> Self {
        Self { credentials, sessions: Vec::new(), tries: VecDeque::new(), rng }
    }

    /// Answers a 401 or 407.
    ///
    /// - `request`: as it was sent, with the credentials it had.
    ///
    /// Returns the credentials of the next try, name and value; they replace all that `request` had.
    ///
    /// # Errors
    /// When nothing can be gained by another try.
    pub fn answer(&mut self, request: &Request, response: &Response) -> Result<Vec<(String, String)>, Refusal> {
        let mut refusal = Refusal::NoChallenge;
        let mut answered: Vec<(Side, Challenge, u8)> = Vec::new();
        for side in [Side::Server, Side::Proxy] {
            for value in response.headers.all(side.challenge_name()).flat_map(AuthValue::parse_all) {
                let challenge = match Challenge::read(&value).filter(|c| self.has_password_for(c)) {
                    Some(challenge) => challenge,
                    None => {
                        refusal = refusal.or(Refusal::Unsupported);
                        continue;
                    }
                };
                if self.credentials.realm.as_ref().is_some_and(|own| *own != challenge.realm) {
                    refusal = refusal.or(Refusal::ForeignRealm(Untrusted::new(challenge.realm)));
                    continue;
                }
                // The strongest of a realm wins, the first of equals.
                match answered.iter_mut().find(|(s, c, _)| *s == side && c.realm == challenge.realm) {
                    Some((_, best, _)) if challenge.algorithm.hash > best.algorithm.hash => *best = challenge,
                    Some(_) => {}
                    None => answered.push((side, challenge, 0)),
                }
            }
        }
        if answered.is_empty() {
            return Err(refusal);
        }
        for (side, challenge, tries) in &mut answered {
            *tries = self.next_try(&request.headers, *side, challenge)?;
        }

        // Other realms' credentials, of a proxy passed already, are needed again.
        let kept: Vec<(Side, String)> = [Side::Server, Side::Proxy]
            .into_iter()
            .flat_map(|side| credentials_of(&request.headers, side).map(move |c| (side, c)))
            .filter_map(|(side, c)| Some((side, c.get("realm")?.to_owned())))
            .filter(|(side, realm)| !answered.iter().any(|(s, c, _)| s == side && c.realm == *realm))
            .collect();
        let is_register = request.method == Method::Register;
        let mut headers = Vec::new();
        for (side, realm) in kept {
            let known = |s: &Session| s.side == side && s.is_register == is_register && s.challenge.realm == realm;
            if let Some(at) = self.sessions.iter().position(known) {
                headers.extend(self.credentials_from(at, request, 0));
            }
        }
        for (side, challenge, tries) in answered {
            let realm = challenge.realm.clone();
            self.sessions.retain(|s| !(s.side == side && s.is_register == is_register && s.challenge.realm == realm));
            if self.sessions.len() == MAX_NONCES {
                self.sessions.remove(0);
            }
            let cnonce = self.rng.hex(CNONCE);
            self.sessions.push(Session { side, is_register, challenge, cnonce, nc: 0 });
            headers.extend(self.credentials_from(self.sessions.len() - 1, request, tries));
        }
        Ok(headers)
    }

    /// Credentials for a request that nobody has challenged yet, from nonces that served before; they save a round trip.
    pub fn anticipate(&mut self, request: &Request) -> Vec<(String, String)> {
        let is_register = request.method == Method::Register;
        let usable: Vec<usize> = (0..self.sessions.len())
            .filter(|at| self.sessions.get(*at).is_some_and(|s| s.is_register == is_register))
            .collect();
        usable.into_iter().filter_map(|at| self.credentials_from(at, request, 0)).collect()
    }

    /// Forgets all nonces: another server answers now.
    pub fn forget(&mut self) {
        self.sessions.clear();
    }

    /// Which try the answer to this challenge is, unless there is to be none.
    fn next_try(&self, sent: &Headers, side: Side, challenge: &Challenge) -> Result<u8, Refusal> {
        let Some(used) = credentials_of(sent, side).find(|c| c.get("realm") == Some(&challenge.realm)) else {
            return Ok(1);
        };
        let response = used.get("response").unwrap_or_default();
        let tries = self.tries.iter().rev().find(|(r, _)| r == response).map_or(0, |(_, tries)| *tries);
        if tries > 0 && !challenge.stale && used.get("nonce") == Some(&challenge.nonce) {
            return Err(Refusal::WrongPassword);
        }
        match (tries < TRIES, challenge.stale) {
            (true, _) => Ok(tries + 1),
            (false, true) => Err(Refusal::TooManyTries),
            (false, false) => Err(Refusal::WrongPassword),
        }
    }

    fn has_password_for(&self, challenge: &Challenge) -> bool {
        match (&self.credentials.password, challenge.algorithm.hash) {
            (Password::Plain(_), _) => true,
            (Password::Ha1(ha1), Hash::Md5) => ha1.reveal().len() == 32,
            (Password::Ha1(ha1), Hash::Sha256) => ha1.reveal().len() == 64,
            (Password::Ha1(_), Hash::Sha512_256) => false,
        }
    }

    /// One header from the session at that place, its nonce count raised.
    fn credentials_from(&mut self, at: usize, request: &Request, tries: u8) -> Option<(String, String)> {
        let user = &self.credentials.user;
        let session = self.sessions.get_mut(at)?;
        session.nc = session.nc.checked_add(1)?;
        let challenge = &session.challenge;
        let hash = challenge.algorithm.hash;
        let ha1 = match &self.credentials.password {
            Password::Plain(password) => hash.ha1(user, &challenge.realm, password),
            Password::Ha1(ha1) => Secret::new(ha1.reveal().to_ascii_lowercase()),
        };
        let uri = request.uri.to_string();
        let inputs = Inputs {
            algorithm: challenge.algorithm,
            qop: challenge.qop,
            nonce: &challenge.nonce,
            cnonce: &session.cnonce,
            nc: session.nc,
            method: request.method.as_str(),
            uri: &uri,
            body: &request.body,
        };
        let response = inputs.response(&ha1);
        let name = match challenge.userhash {
            true => quote(&hash.of(&[user.as_bytes(), challenge.realm.as_bytes()])),
            false => quote(user),
        };
        let mut value = format!(
            "Digest username={name}, realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\"",
            challenge.realm, challenge.nonce
        );
        if let Some(token) = &challenge.algorithm_token {
            value += &format!(", algorithm={token}");
        }
        let qop = match challenge.qop {
            Qop::None => None,
            Qop::Auth => Some("auth"),
            Qop::AuthInt => Some("auth-int"),
        };
        if qop.is_some() || challenge.algorithm.session {
            value += &format!(", cnonce=\"{}\"", session.cnonce);
        }
        if let Some(qop) = qop {
            value += &format!(", qop={qop}, nc={}", inputs.nc_text());
        }
        if let Some(opaque) = &challenge.opaque {
            value += &format!(", opaque=\"{opaque}\"");
        }
        if challenge.userhash {
            value += ", userhash=true";
        }
        let header = session.side.answer_name().to_owned();
        if self.tries.len() == MAX_TRIES {
            self.tries.pop_front();
        }
        self.tries.push_back((response, tries));
        Some((header, value))
    }
}

impl Refusal {
    /// Of two reasons the one that tells more.
    fn or(self, other: Self) -> Self {
        match self {
            Self::NoChallenge | Self::Unsupported => other,
            known => known,
        }
    }
}

fn credentials_of(headers: &Headers, side: Side) -> impl Iterator<Item = AuthValue> {
    headers.all(side.answer_name()).flat_map(AuthValue::parse_all).filter(AuthValue::is_digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::{Message, parse};
    use bytes::Bytes;

    fn client(password: Password, realm: Option<&str>) -> Client {
        let credentials = Credentials { user: "alice".into(), password, realm: realm.map(str::to_owned) };
        Client::new(credentials, Rng::from_u64(1))
    }

    fn plain() -> Client {
        client(Password::Plain(Secret::new("pw")), None)
    }

    fn request(method: &str) -> Request {
        let text = format!(
            "{method} sip:pbx SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\n\
             CSeq: 1 {method}\r\n\r\nbody"
        );
        match parse(&Bytes::from(text)).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => unreachable!(),
        }
    }

    fn refused(status: u16, challenges: &[&str]) -> Response {
        let mut response = Response::to_request(&request("REGISTER"), status, Some("t"));
        let name = if status == 407 { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        challenges.iter().for_each(|challenge| response.headers.push(name, challenge));
        response
    }

    /// The request again, with these credentials instead of what it had.
    fn with(request: &Request, credentials: &[(String, String)]) -> Request {
        let mut next = request.clone();
        next.headers.remove("Authorization");
        next.headers.remove("Proxy-Authorization");
        credentials.iter().for_each(|(name, value)| next.headers.push(name, value));
        next
    }

    fn get(credentials: &[(String, String)], name: &str) -> Option<String> {
        AuthValue::parse_all(&credentials[0].1)[0].get(name).map(str::to_owned)
    }

    const MD5: &str = r#"Digest realm="r", nonce="n1", qop="auth", algorithm=MD5, opaque="o""#;

    #[test]
    fn what_is_not_ours_gets_no_answer() {
        let register = request("REGISTER");
        let rows: [(&[&str], Refusal); 5] = [
            (&[], Refusal::NoChallenge),
            (&["Basic realm=\"r\""], Refusal::Unsupported),
            (&["Digest realm=\"r\", nonce=\"n\", algorithm=SHA-1"], Refusal::Unsupported),
            (&["Digest realm=\"evil\", nonce=\"n\""], Refusal::ForeignRealm(Untrusted::new("evil"))),
            (
                &["Digest realm=\"evil\", nonce=\"n\"", "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-1"],
                Refusal::ForeignRealm(Untrusted::new("evil")),
            ),
        ];
        for (challenges, refusal) in rows {
            let mut client = client(Password::Plain(Secret::new("pw")), Some("r"));
            assert_eq!(client.answer(&register, &refused(401, challenges)), Err(refusal), "{challenges:?}");
        }
        let ha1 = Password::Ha1(Secret::new("0".repeat(32)));
        let sha = refused(401, &[r#"Digest realm="r", nonce="n", algorithm=SHA-256"#]);
        assert_eq!(client(ha1, None).answer(&register, &sha), Err(Refusal::Unsupported), "an HA1 of another hash");
    }

    #[test]
    fn an_answer_repeats_the_challenge_and_proves_the_password() {
        let answer = plain().answer(&request("REGISTER"), &refused(401, &[MD5])).unwrap();
        assert_eq!(answer.len(), 1);
        let cnonce = get(&answer, "cnonce").unwrap();
        let ha1 = Hash::Md5.ha1("alice", "r", &Secret::new("pw"));
        let ha2 = Hash::Md5.of(&[b"REGISTER", b"sip:pbx"]);
        let response =
            Hash::Md5.of(&[ha1.reveal().as_bytes(), b"n1", b"00000001", cnonce.as_bytes(), b"auth", ha2.as_bytes()]);
        assert_eq!(cnonce.len(), CNONCE);
        assert_eq!(
            answer[0],
            (
                "Authorization".to_owned(),
                format!(
                    "Digest username=\"alice\", realm=\"r\", nonce=\"n1\", uri=\"sip:pbx\", response=\"{response}\", algorithm=MD5, \
                     cnonce=\"{cnonce}\", qop=auth, nc=00000001, opaque=\"o\""
                )
            )
        );
        let hashed = client(Password::Ha1(ha1), None).answer(&request("REGISTER"), &refused(401, &[MD5])).unwrap();
        assert_eq!(hashed, answer);
    }

    #[test]
    fn a_bare_challenge_gets_a_bare_answer() {
        let answer = plain().answer(&request("INVITE"), &refused(407, &[r#"Digest realm="r",nonce="a+/=""#])).unwrap();
        assert_eq!(answer[0].0, "Proxy-Authorization");
        for absent in ["algorithm", "qop", "nc", "cnonce", "opaque", "userhash"] {
            assert_eq!(get(&answer, absent), None, "{absent}");
        }
        assert_eq!(get(&answer, "nonce").as_deref(), Some("a+/="));
    }

    #[test]
    fn the_strongest_algorithm_is_taken_wherever_it_stands() {
        let sha = r#"Digest realm="r", nonce="n1", qop="auth", algorithm=SHA-256, userhash=true"#;
        for challenges in [&[sha, MD5], &[MD5, sha]] {
            let answer = plain().answer(&request("REGISTER"), &refused(401, challenges)).unwrap();
            assert_eq!((answer.len(), get(&answer, "algorithm").as_deref()), (1, Some("SHA-256")));
            assert_eq!(get(&answer, "username"), Some(Hash::Sha256.of(&[b"alice", b"r"])));
        }
        let with_hash = client(Password::Ha1(Secret::new("0".repeat(32))), None)
            .answer(&request("REGISTER"), &refused(401, &[sha, MD5]))
            .unwrap();
        assert_eq!(get(&with_hash, "algorithm").as_deref(), Some("MD5"));
    }

    #[test]
    fn a_second_refusal_ends_it() {
        let register = request("REGISTER");
        let other = MD5.replace("n1", "n2");
        let third = MD5.replace("n1", "n3");
        let stale = format!("{MD5}, stale=true");
        // What the server says each time, and what comes of the last.
        let rows: [(&[&str], Result<(), Refusal>); 6] = [
            (&[MD5, MD5], Err(Refusal::WrongPassword)),
            (&[MD5, &other], Ok(())),
            (&[MD5, &stale], Ok(())),
            (&[MD5, &other, &third], Err(Refusal::WrongPassword)),
            (&[MD5, &stale, &stale], Err(Refusal::TooManyTries)),
            (&[MD5, &other, &other], Err(Refusal::WrongPassword)),
        ];
        for (challenges, expected) in rows {
            let (mut client, mut sent, mut last) = (plain(), register.clone(), Ok(()));
            for challenge in challenges {
                last = client.answer(&sent, &refused(401, &[challenge])).map(|answer| sent = with(&register, &answer));
            }
            assert_eq!(last, expected, "{challenges:?}");
        }
    }

    #[test]
    fn a_nonce_serves_again_with_its_count_raised() {
        let (register, mut client) = (request("REGISTER"), plain());
        assert!(client.anticipate(&register).is_empty());
        client.answer(&register, &refused(401, &[MD5])).unwrap();
        for nc in ["00000002", "00000003"] {
            assert_eq!(get(&client.anticipate(&register), "nc").as_deref(), Some(nc));
        }
        assert!(client.anticipate(&request("INVITE")).is_empty(), "the proxy asks for itself");

        // Unasked credentials do not count as a try, whatever nonce the refusal brings.
        let sent = with(&register, &client.anticipate(&register));
        let answer = client.answer(&sent, &refused(401, &[MD5])).unwrap();
        let again = with(&register, &answer);
        assert_eq!(client.answer(&again, &refused(401, &[&MD5.replace("n1", "n2")])).map(|a| a.len()), Ok(1));
        client.forget();
        assert!(client.anticipate(&register).is_empty());
    }

    #[test]
    fn credentials_for_a_proxy_passed_already_are_kept() {
        let (invite, mut client) = (request("INVITE"), plain());
        let first = client.answer(&invite, &refused(407, &[&MD5.replace("\"r\"", "\"p\"")])).unwrap();
        let both = client.answer(&with(&invite, &first), &refused(401, &[MD5])).unwrap();
        let names: Vec<_> = both.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Proxy-Authorization", "Authorization"]);
        assert_eq!(get(&both, "nc").as_deref(), Some("00000002"));
        let two_realms = client.answer(&invite, &refused(401, &[MD5, &MD5.replace("\"r\"", "\"s\"")])).unwrap();
        assert_eq!(two_realms.len(), 2);
    }

    #[test]
    fn the_body_is_protected_where_the_server_wants_it() {
        let wanted = refused(401, &[r#"Digest realm="r", nonce="n", qop="auth-int""#]);
        let (mut one, mut other) = (plain(), plain());
        let mut changed = request("INVITE");
        changed.body = Bytes::from("other");
        let (a, b) = (one.answer(&request("INVITE"), &wanted).unwrap(), other.answer(&changed, &wanted).unwrap());
        assert_eq!((get(&a, "qop").as_deref(), get(&a, "cnonce")), (Some("auth-int"), get(&b, "cnonce")));
        assert_ne!(get(&a, "response"), get(&b, "response"));
    }
}
