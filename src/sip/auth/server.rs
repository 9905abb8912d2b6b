//! Issues challenges and checks what answers them (RFC 3261 §22.4, RFC 7616 §3.3, RFC 8760 §2).
use super::challenge::AuthValue;
use super::client::Password;
use super::digest::{Algorithm, Hash, Inputs, Qop, equal_in_constant_time, hmac_sha256};
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::sip::message::text::quote;
use crate::sip::message::{Request, Uri};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Nonces whose counts are remembered. When there are more, the oldest is declared stale.
const MAX_NONCES: usize = 10_000;
/// How far a nonce count may lag behind the highest one seen, since requests may overtake each other.
const WINDOW: u32 = 64;

#[derive(Clone, Debug)]
pub struct Config {
    pub realm: String,
    /// Offered in this order, the preferred first. Where passwords are stored as HA1, only the hash they were made with.
    pub hashes: Vec<Hash>,
    /// How long a nonce is accepted.
    pub nonce_lifetime: Duration,
}

impl Config {
    pub fn new(realm: impl Into<String>) -> Self {
        Self { realm: realm.into(), hashes: vec![Hash::Sha256, Hash::Md5], nonce_lifetime: Duration::from_secs(300) }
    }
}

/// What is to be thought of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request comes from this user.
    Accepted { user: String },
    /// Challenge it.
    Denied(Denial),
}

/// Why a request is challenged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No credentials for our realm.
    Missing,
    /// The nonce is too old or its count was used before; the password may be right: `stale=true`.
    Stale,
    /// Unknown user, wrong password, or credentials that make no sense. Which one is not told.
    Wrong,
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    highest: u32,
    /// Bit `n`: the count `highest - n` was seen.
    seen: u64,
}

/// The challenging side of one realm.
#[derive(Debug)]
pub struct Server {
    config: Config,
    key: [u8; 32],
    /// Time in nonces counts from the first use.
    epoch: Option<Instant>,
    /// By nonce; a nonce begins with its time, so that the oldest comes first.
    counts: BTreeMap<String, Counts>,
    /// Nonces up to this one are stale: their counts were forgotten.
    forgotten: String,
    rng: Rng,
}

impl Server {
    pub fn new(config: Config, mut rng: Rng) -> Self {
        let mut key = [0; 32];
        for chunk in key.chunks_mut(8) {
            chunk.copy_from_slice(&rng.u64().to_be_bytes());
        }
        Self { config, key, epoch: None, counts: BTreeMap::new(), forgotten: String::new(), rng }
    }

    /// The values of WWW-Authenticate or Proxy-Authenticate, one for each hash.
    pub fn challenge(&mut self, now: Instant, denial: Denial) -> Vec<String> {
        let nonce = self.new_nonce(now);
        let stale = if denial == Denial::Stale { ", stale=true" } else { "" };
        let realm = quote(&self.config.realm);
        let one = |hash: &Hash| {
            format!("Digest realm={realm}, nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}", hash.token())
        };
        self.config.hashes.iter().map(one).collect()
    }

    /// Judges the credentials of a request.
    ///
    /// - `header`: `Authorization` (registrar) or `Proxy-Authorization` (proxy).
    /// - `password_of`: the password of a user name, if there is such a user.
    pub fn verify(
        &mut self,
        now: Instant,
        request: &Request,
        header: &str,
        password_of: impl Fn(&str) -> Option<Password>,
    ) -> Verdict {
        let ours = |c: &AuthValue| c.is_digest() && c.get("realm") == Some(self.config.realm.as_str());
        let Some(credentials) = request.headers.all(header).flat_map(AuthValue::parse_all).find(ours) else {
            return Verdict::Denied(Denial::Missing);
        };
        match self.judge(now, request, &credentials, password_of) {
            Ok(user) => Verdict::Accepted { user },
            Err(denial) => Verdict::Denied(denial),
        }
    }

    fn judge(
        &mut self,
        now: Instant,
        request: &Request,
        credentials: &AuthValue,
        password_of: impl Fn(&str) -> Option<Password>,
    ) -> Result<String, Denial> {
        let get = |name| credentials.get(name).ok_or(Denial::Wrong);
        let algorithm = Algorithm::parse(credentials.get("algorithm")).ok_or(Denial::Wrong)?;
        let (user, nonce, uri) = (unescape(get("username")?), get("nonce")?, get("uri")?);
        let (qop, nc) = match credentials.get("qop") {
            // An old client that does not count may use each nonce once.
            None => (Qop::None, 1),
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                (Qop::Auth, u32::from_str_radix(get("nc")?, 16).map_err(|_| Denial::Wrong)?)
            }
            Some(_) => return Err(Denial::Wrong),
        };
        if algorithm.session || !self.config.hashes.contains(&algorithm.hash) || !names_same_target(uri, &request.uri) {
            return Err(Denial::Wrong);
        }
        let age = self.age(now, nonce).ok_or(Denial::Stale)?;
        let inputs = Inputs {
            algorithm,
            qop,
            nonce,
            cnonce: credentials.get("cnonce").unwrap_or_default(),
            nc,
            method: request.method.as_str(),
            uri,
            body: &request.body,
        };
        // An unknown user costs the same time as a known one.
        let password = password_of(&user);
        let ha1 = match &password {
            Some(Password::Ha1(ha1)) => ha1.clone(),
            Some(Password::Plain(password)) => algorithm.hash.ha1(&user, &self.config.realm, password),
            None => algorithm.hash.ha1(&user, &self.config.realm, &Secret::new("")),
        };
        let right = equal_in_constant_time(&inputs.response(&ha1), &get("response")?.to_ascii_lowercase());
        if !right || password.is_none() {
            return Err(Denial::Wrong);
        }
        if age > self.config.nonce_lifetime || nonce <= self.forgotten.as_str() || !self.count(nonce, nc) {
            return Err(Denial::Stale);
        }
        Ok(user)
    }

    /// `<time><random><mac>` in hexadecimal digits: 12, 16 and 32 of them.
    fn new_nonce(&mut self, now: Instant) -> String {
        let epoch = *self.epoch.get_or_insert(now);
        let head = format!("{:012x}{}", now.saturating_duration_since(epoch).as_millis(), self.rng.hex(16));
        format!("{head}{}", self.mac(&head))
    }

    fn mac(&self, head: &str) -> String {
        let mut mac = hmac_sha256(&self.key, head.as_bytes());
        mac.truncate(32);
        mac
    }

    /// How long ago we issued the nonce; `None` when we did not.
    fn age(&self, now: Instant, nonce: &str) -> Option<Duration> {
        let (head, mac) = nonce.split_at_checked(28)?;
        if !equal_in_constant_time(&self.mac(head), mac) {
            return None;
        }
        let issued = Duration::from_millis(u64::from_str_radix(head.get(..12)?, 16).ok()?);
        Some(now.saturating_duration_since(self.epoch?).saturating_sub(issued))
    }

    /// Marks a nonce count as used; false when it was used before.
    fn count(&mut self, nonce: &str, nc: u32) -> bool {
        let Some(counts) = self.counts.get_mut(nonce) else {
            if self.counts.len() == MAX_NONCES
                && let Some((oldest, _)) = self.counts.pop_first()
            {
                self.forgotten = oldest;
            }
            self.counts.insert(nonce.to_owned(), Counts { highest: nc, seen: 1 });
            return true;
        };
        if nc > counts.highest {
            counts.seen = counts.seen.checked_shl(nc - counts.highest).unwrap_or(0) | 1;
            counts.highest = nc;
            return true;
        }
        let back = counts.highest - nc;
        let bit = 1_u64.checked_shl(back).unwrap_or(0);
        let fresh = back < WINDOW && counts.seen & bit == 0;
        counts.seen |= bit;
        fresh
    }
}

/// A quoted user name without its escapes.
fn unescape(text: &str) -> String {
    let mut chars = text.chars();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// The digest's `uri` is the Request-URI (RFC 7616 §3.4.6), or names no user: some clients put the server's address there.
fn names_same_target(uri: &str, request_uri: &Uri) -> bool {
    Uri::parse(uri).is_ok_and(|uri| uri.user.is_none() || uri.matches(request_uri))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::auth::{Client, Credentials};
    use crate::sip::message::{Headers, Host, Method, Response};
    use bytes::Bytes;

    fn register() -> Request {
        let uri = Uri::sip(None, Host::Name("pbx".into()), None);
        Request { method: Method::Register, uri, headers: Headers::default(), body: Bytes::new() }
    }

    fn server() -> Server {
        Server::new(Config::new("pbx"), Rng::from_u64(2))
    }

    fn client(password: &str) -> Client {
        let credentials =
            Credentials { user: "al\"ice".into(), password: Password::Plain(Secret::new(password)), realm: None };
        Client::new(credentials, Rng::from_u64(3))
    }

    fn password_of(user: &str) -> Option<Password> {
        (user == "al\"ice").then(|| Password::Plain(Secret::new("pw")))
    }

    fn with(credentials: &[(String, String)]) -> Request {
        let mut request = register();
        credentials.iter().for_each(|(name, value)| request.headers.push(name, value));
        request
    }

    fn challenged(server: &mut Server, now: Instant, denial: Denial) -> Response {
        let mut response = Response::to_request(&register(), 401, None);
        server.challenge(now, denial).into_iter().for_each(|value| response.headers.push("WWW-Authenticate", value));
        response
    }

    fn verify(server: &mut Server, now: Instant, request: &Request) -> Verdict {
        server.verify(now, request, "Authorization", password_of)
    }

    const ACCEPTED: fn() -> Verdict = || Verdict::Accepted { user: "al\"ice".into() };

    #[test]
    fn right_once_and_never_again() {
        let (now, mut server, mut client) = (Instant::now(), server(), client("pw"));
        let first = with(&client.answer(&register(), &challenged(&mut server, now, Denial::Missing)).unwrap());
        assert!(first.headers.get("Authorization").is_some_and(|a| a.contains("algorithm=SHA-256")));
        assert_eq!(verify(&mut server, now, &first), ACCEPTED());
        assert_eq!(verify(&mut server, now, &first), Verdict::Denied(Denial::Stale), "a replay");
        let (second, third) = (with(&client.anticipate(&register())), with(&client.anticipate(&register())));
        assert_eq!(verify(&mut server, now, &third), ACCEPTED(), "requests may overtake each other");
        assert_eq!(verify(&mut server, now, &second), ACCEPTED());
        assert_eq!(verify(&mut server, now, &second), Verdict::Denied(Denial::Stale));
        let far: Vec<_> = (0..100).map(|_| with(&client.anticipate(&register()))).collect();
        assert_eq!(verify(&mut server, now, &far[99]), ACCEPTED());
        assert_eq!(verify(&mut server, now, &far[0]), Verdict::Denied(Denial::Stale), "too far behind");
    }

    #[test]
    fn wrong_is_wrong() {
        let (now, mut server) = (Instant::now(), server());
        assert_eq!(verify(&mut server, now, &register()), Verdict::Denied(Denial::Missing));
        let response = challenged(&mut server, now, Denial::Missing);
        let good = client("pw").answer(&register(), &response).unwrap();
        let wrong = client("PW").answer(&register(), &response).unwrap();
        assert_eq!(verify(&mut server, now, &with(&wrong)), Verdict::Denied(Denial::Wrong));
        let nobody = Credentials { user: "eve".into(), password: Password::Plain(Secret::new("")), realm: None };
        let nobody = Client::new(nobody, Rng::from_u64(3)).answer(&register(), &response).unwrap();
        assert_eq!(verify(&mut server, now, &with(&nobody)), Verdict::Denied(Denial::Wrong), "no user, no password");
        let changes = [
            ("username=\"al\\\"ice\"", "username=\"bob\"", Denial::Wrong),
            ("realm=\"pbx\"", "realm=\"other\"", Denial::Missing),
            ("uri=\"sip:pbx\"", "uri=\"sip:eve@pbx\"", Denial::Wrong),
            ("qop=auth", "qop=auth-int", Denial::Wrong),
            ("qop=auth, ", "", Denial::Wrong),
            ("nc=00000001", "nc=00000002", Denial::Wrong),
            ("nc=00000001", "nc=x", Denial::Wrong),
            ("algorithm=SHA-256", "algorithm=SHA-512-256", Denial::Wrong),
            ("algorithm=SHA-256", "algorithm=SHA-256-sess", Denial::Wrong),
            ("nonce=\"0", "nonce=\"1", Denial::Stale),
            ("nonce=\"", "nonce=\"\u{e4}", Denial::Stale),
            ("Digest", "Basic", Denial::Missing),
        ];
        for (from, to, denial) in changes {
            let changed = [(good[0].0.clone(), good[0].1.replacen(from, to, 1))];
            assert_ne!(changed[0], good[0], "{from} is there");
            assert_eq!(verify(&mut server, now, &with(&changed)), Verdict::Denied(denial), "{from} -> {to}");
        }
        let mut other_method = with(&good);
        other_method.method = Method::Message;
        assert_eq!(verify(&mut server, now, &other_method), Verdict::Denied(Denial::Wrong));
        assert_eq!(verify(&mut server, now, &with(&good)), ACCEPTED(), "none of these used it up");
    }

    #[test]
    fn an_old_nonce_is_stale_and_one_of_another_server_too() {
        let (t0, mut server, mut client) = (Instant::now(), server(), client("pw"));
        let response = challenged(&mut server, t0, Denial::Missing);
        let sent = with(&client.answer(&register(), &response).unwrap());
        let late = t0 + Duration::from_secs(301);
        assert_eq!(verify(&mut server, late, &sent), Verdict::Denied(Denial::Stale));
        let again = with(&client.answer(&sent, &challenged(&mut server, late, Denial::Stale)).unwrap());
        assert_eq!(verify(&mut server, late, &again), ACCEPTED());
        let mut stranger = Server::new(Config::new("pbx"), Rng::from_u64(9));
        stranger.challenge(t0, Denial::Missing);
        assert_eq!(verify(&mut stranger, t0, &sent), Verdict::Denied(Denial::Stale));
    }

    #[test]
    fn md5_and_stored_hashes_are_accepted() {
        let now = Instant::now();
        let config = Config { hashes: vec![Hash::Md5], ..Config::new("pbx") };
        let mut server = Server::new(config, Rng::from_u64(2));
        let sent = with(&client("pw").answer(&register(), &challenged(&mut server, now, Denial::Missing)).unwrap());
        let stored = |_: &str| Some(Password::Ha1(Hash::Md5.ha1("al\"ice", "pbx", &Secret::new("pw"))));
        assert_eq!(server.verify(now, &sent, "Authorization", stored), ACCEPTED());
        assert_eq!(server.verify(now, &sent, "Proxy-Authorization", stored), Verdict::Denied(Denial::Missing));
    }

    #[test]
    fn counts_that_were_forgotten_are_stale() {
        let (t0, mut server) = (Instant::now(), server());
        let first = with(&client("pw").answer(&register(), &challenged(&mut server, t0, Denial::Missing)).unwrap());
        assert_eq!(verify(&mut server, t0, &first), ACCEPTED());
        for n in 0..MAX_NONCES {
            server.count(&format!("f{n:05}"), 1);
        }
        assert_eq!(server.counts.len(), MAX_NONCES);
        assert_eq!(verify(&mut server, t0, &first), Verdict::Denied(Denial::Stale));
    }
}
