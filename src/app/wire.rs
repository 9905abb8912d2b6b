//! From the configuration to what each room is told.
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::config::{Account, Config, Credential, Host, PasswordError, Server};
use crate::media::dtls::certificate::{Certificate, CertificateError};
use crate::media::spec::SourceDescription;
use crate::net::{Access, NetConfig};
use crate::sip::auth::Password;
use crate::sip::message;
use crate::ua::contacts::Contacts;
use crate::ua::dial_plan::DialPlan;
use crate::ua::settings::{AccountSettings, Agreement, Policy, Profile, RecordingSettings, Settings};
use std::sync::Arc;

/// What other phones learn of us: name and version.
pub const USER_AGENT: &str = concat!("offhook/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    #[error("account \"{account}\": {source}")]
    Password { account: String, source: PasswordError },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// What the user agent is told. Passwords that come from commands are fetched now.
///
/// # Errors
/// When a password cannot be had, or no certificate.
pub fn settings(config: &Config, auto_answer: bool, rng: &mut Rng) -> Result<Settings, WireError> {
    let accounts = config.accounts.iter().map(|a| account(a, &config.calls.dial_plan)).collect::<Result<_, _>>()?;
    let about = &config.about_me;
    Ok(Settings {
        accounts,
        user_agent: USER_AGENT.to_owned(),
        instance: String::new(),
        description: SourceDescription {
            // A new one for each run, so that calls cannot be linked (RFC 7022 §4.2).
            cname: rng.hex(24),
            name: about.name.clone(),
            email: about.email.clone(),
            phone: about.phone.clone(),
            location: about.location.clone(),
            tool: USER_AGENT.to_owned(),
            note: about.note.clone(),
        },
        auto_answer,
        ptime: config.calls.ptime,
        rtcp_mux: config.calls.rtcp_mux,
        brisk_reports: false,
        no_media_timeout: config.calls.no_media_timeout,
        contacts: Contacts::default(),
        certificate: certificate(config)?,
        recording: RecordingSettings { always: config.calls.record, notice: config.calls.recording_notice },
    })
}

/// - `common`: the dial plan of all accounts.
fn account(account: &Account, common: &DialPlan) -> Result<AccountSettings, WireError> {
    let password =
        account.password.resolve().map_err(|source| WireError::Password { account: account.name.clone(), source })?;
    let mut handling = account.handling.clone();
    handling.dial_plan.rules.extend(common.rules.iter().cloned());
    handling.dial_plan.emergency.clone_from(&common.emergency);
    Ok(AccountSettings {
        name: account.name.clone(),
        user: account.user.clone(),
        display_name: account.display_name.clone(),
        domain: host(&account.domain),
        domain_port: None,
        registrar: account.registrar.as_ref().map(server),
        outbound_proxy: account.outbound_proxy.as_ref().map(server),
        transport: account.transport,
        outbound: account.outbound,
        register: account.register,
        expires: account.expiry,
        auth_user: account.auth_user.clone(),
        password: password.map(|credential| match credential {
            Credential::Password(secret) => Password::Plain(secret),
            Credential::Ha1(secret) => Password::Ha1(secret),
        }),
        realm: account.realm.clone(),
        mailbox: account.mailbox,
        watch: account.watch.clone(),
        codecs: account.codecs.clone(),
        dtmf: account.dtmf,
        srtp: account.srtp,
        keying: account.keying,
        profile: account.profile,
        direct_calls: account.direct_calls,
        caller_id: account.caller_id.clone(),
        availability: account.availability.clone(),
        handling,
    })
}

/// Made only where an account may need it.
fn certificate(config: &Config) -> Result<Option<Arc<Certificate>>, WireError> {
    let agrees = |a: &Account| a.keying != Agreement::Sdes && (a.srtp != Policy::Off || a.profile != Profile::Rtp);
    let needed = config.accounts.iter().any(|a| agrees(a) || a.profile.is_offered());
    Ok(if needed { Some(Arc::new(Certificate::generate()?)) } else { None })
}

fn server(server: &Server) -> (message::Host, Option<u16>) {
    (host(&server.host), server.port)
}

pub(super) fn host(host: &Host) -> message::Host {
    match host {
        Host::Ip(ip) => message::Host::Ip(*ip),
        Host::Name(name) => message::Host::Name(name.clone()),
    }
}

pub fn net(config: &Config) -> NetConfig {
    let access = config.accounts.iter().map(|account| Access {
        ca_file: account.tls_ca.clone(),
        certificate: account.tls_certificate.clone().zip(account.tls_key.clone()),
        websocket_path: account.websocket_path.clone(),
    });
    NetConfig {
        address: config.network.local_address,
        port: config.network.sip_port,
        access: access.collect(),
        dscp: config.network.sip_dscp,
        name_server: config.network.name_server,
        listen: Vec::new(),
    }
}

/// A password nobody has to remember: for the demonstration's accounts.
pub fn random_password(rng: &mut Rng) -> Secret {
    Secret::new(rng.hex(24))
}
