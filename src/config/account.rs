//! Accounts: who we are, where we register, with which password.
use super::values::{Host, Server, ValueError};
use crate::base::net::Transport;
use crate::base::secret::Secret;
use crate::media::spec::Codec;
pub use crate::media::spec::{Dtmf, Profile};
pub use crate::media::srtp::sdes::{Agreement, Policy};
use crate::ua::availability::Availability;
use crate::ua::caller_id::CallerId;
use crate::ua::handling::Handling;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// What the user calls it; unique.
    pub name: String,
    pub user: String,
    /// The domain of the address-of-record.
    pub domain: Host,
    /// The user name of digest authentication; `None`: `user`.
    pub auth_user: Option<String>,
    /// The only realm that gets an answer; `None`: any.
    pub realm: Option<String>,
    pub password: PasswordSource,
    pub display_name: String,
    /// Where REGISTER goes; `None`: the domain.
    pub registrar: Option<Server>,
    /// Where every request outside a dialog goes first.
    pub outbound_proxy: Option<Server>,
    /// `None`: what the records of the domain say (RFC 3263).
    pub transport: Option<Transport>,
    /// Certificates of authorities to trust beside those of the system (PEM).
    pub tls_ca: Option<PathBuf>,
    /// Our own certificate and its key (PEM), for servers that ask for one.
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Where on the server the WebSocket is.
    pub websocket_path: String,
    /// Registers over two flows where the server can (RFC 5626).
    pub outbound: bool,
    /// Ask the server for the state of the mailbox.
    pub mailbox: bool,
    /// Whose phones are watched: numbers, names or addresses.
    pub watch: Vec<String>,
    /// In order of preference.
    pub codecs: Vec<Codec>,
    pub dtmf: Dtmf,
    /// Registration interval asked for.
    pub expiry: Duration,
    pub register: bool,
    /// Whether calls are encrypted.
    pub srtp: Policy,
    /// How their keys are agreed on.
    pub keying: Agreement,
    /// Whether browsers are met, and how.
    pub profile: Profile,
    /// Calls from anywhere ring, not only those of the account's server.
    pub direct_calls: bool,
    /// How the account is named to others.
    pub caller_id: CallerId,
    /// What it tells of itself, and whom.
    pub availability: Availability,
    /// What becomes of its calls without being asked each time.
    pub handling: Handling,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordSource {
    None,
    Text(Secret),
    /// MD5 or SHA-256 of `user:realm:password`, in hexadecimal (RFC 7616 §3.4.2).
    Ha1(Secret),
    /// The first line that this shell command prints.
    Command(String),
    /// The desktop's keyring has it, under this address.
    Keyring(String),
}

/// What `--account` names.
#[derive(Clone, Debug, PartialEq)]
pub enum AccountChoice {
    /// One of the file, by its name.
    Name(String),
    /// `sip:USER@HOST[:PORT]`, or `sips:` for one that is reached over TLS only: an account that is in no file.
    Address(Box<Account>),
}

impl Account {
    /// Everything but who and where by default.
    pub fn new(user: &str, domain: Host) -> Self {
        Self {
            name: format!("{user}@{domain}"),
            user: user.to_owned(),
            domain,
            auth_user: None,
            realm: None,
            password: PasswordSource::None,
            display_name: String::new(),
            registrar: None,
            outbound_proxy: None,
            transport: None,
            tls_ca: None,
            tls_certificate: None,
            tls_key: None,
            websocket_path: "/ws".to_owned(),
            outbound: true,
            mailbox: false,
            watch: Vec::new(),
            codecs: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
            dtmf: Dtmf::default(),
            expiry: Duration::from_secs(600),
            register: true,
            srtp: Policy::Off,
            keying: Agreement::Auto,
            profile: Profile::Auto,
            direct_calls: false,
            caller_id: CallerId::default(),
            availability: Availability::default(),
            handling: Handling::default(),
        }
    }

    /// For calls without any server: nothing is registered, and who calls this machine rings.
    pub fn direct(user: &str, address: Host) -> Self {
        Self { name: "direct".to_owned(), register: false, direct_calls: true, ..Self::new(user, address) }
    }

    /// Reads `sip:USER@HOST[:PORT]`; a port is the registrar's. `sips:` is TLS.
    pub fn from_address(text: &str) -> Result<Self, ValueError> {
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "sip" => None,
            "sips" => Some(Transport::Tls),
            _ => return Err(ValueError::new("sip:USER@HOST or sip:USER@HOST:PORT expected")),
        };
        let (user, host) =
            rest.rsplit_once('@').ok_or_else(|| ValueError::new("sip:USER@HOST or sip:USER@HOST:PORT expected"))?;
        if user.contains(':') {
            return Err(ValueError::new(
                "no password in an address: set OFFHOOK_PASSWORD, or write a file with `offhook init`",
            ));
        }
        check_user(user)?;
        let server: Server = host.parse()?;
        let mut account = Self::new(user, server.host.clone());
        account.registrar = server.port.map(|_| server);
        account.transport = transport;
        Ok(account)
    }

    /// `user@domain`
    pub fn address(&self) -> String {
        format!("{}@{}", self.user, self.domain)
    }
}

/// The user part of a SIP URI, escapes included (RFC 3261 §25.1).
pub(super) fn check_user(user: &str) -> Result<(), ValueError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/%".contains(&b);
    match user {
        "" => Err(ValueError::new("the user is empty")),
        _ if user.bytes().all(allowed) => Ok(()),
        _ => {
            Err(ValueError::new("the part before the @ of a SIP address expected: letters, digits, -_.!~*'()&=+$,;?/%"))
        }
    }
}

impl FromStr for AccountChoice {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            return Err(ValueError::new("name of an account or sip:USER@HOST[:PORT] expected"));
        }
        let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        if matches!(scheme.as_deref(), Some("sip" | "sips")) {
            return Ok(Self::Address(Box::new(Account::from_address(text)?)));
        }
        Ok(Self::Name(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_make_accounts() {
        for bad in [
            "",
            "sip:",
            "sip:host",
            "sip:@host",
            "sip:a:b@host",
            "sip:a b@host",
            "sip:a@host:0",
            "sip:a@",
            "sips:",
            "sips:a@host:0",
        ] {
            let choice = bad.parse::<AccountChoice>();
            assert!(
                choice.is_err() || choice == Ok(AccountChoice::Name(bad.into())) && !bad.starts_with("sip"),
                "{bad}"
            );
        }
        let account = |text: &str| match text.parse::<AccountChoice>() {
            Ok(AccountChoice::Address(account)) => *account,
            other => panic!("{text}: {other:?}"),
        };
        let plain = account("sip:1001@PBX.example");
        assert_eq!(
            (plain.address().as_str(), &plain.registrar, plain.name.as_str()),
            ("1001@pbx.example", &None, "1001@pbx.example")
        );
        let harness = account("sip:phone@127.0.0.1:6070");
        assert_eq!(harness.address(), "phone@127.0.0.1");
        assert_eq!(harness.registrar.map(|s| s.to_string()).as_deref(), Some("127.0.0.1:6070"));
        assert_eq!(account("sip:a@[::1]:5080").domain.to_string(), "[::1]");
        assert_eq!(plain.transport, None);
        assert_eq!(account("SIPS:a@pbx.example").transport, Some(Transport::Tls));
        assert_eq!("work".parse(), Ok(AccountChoice::Name("work".into())));
    }
}
