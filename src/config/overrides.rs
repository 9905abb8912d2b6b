//! What the command line says on top of the file.
use super::account::{AccountChoice, PasswordSource};
use super::mistake::Mistake;
use super::values::usable;
use super::{BindAddress, CodecList, Config, Environment, FileChoice, PortRange, TransportChoice};
use std::path::PathBuf;

/// The options shared by all commands; `None` leaves the file's word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// This account and no other.
    pub account: Option<AccountChoice>,
    pub bind: Option<BindAddress>,
    pub transport: Option<TransportChoice>,
    pub codecs: Option<CodecList>,
    pub rtp_ports: Option<PortRange>,
    pub microphone: Option<String>,
    pub speaker: Option<String>,
    pub log: Option<PathBuf>,
    /// Record every call, into this folder.
    pub record: Option<PathBuf>,
    /// Register with no server.
    pub no_register: bool,
    /// Take calls from anybody.
    pub direct_calls: bool,
}

impl Overrides {
    /// Lays the options over `config`. What cannot be done is returned.
    pub(super) fn apply(&self, config: &mut Config, environment: &Environment) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        match &self.account {
            Some(AccountChoice::Address(account)) => {
                let mut account = Box::clone(account);
                account.password = environment.password.clone().map_or(PasswordSource::None, PasswordSource::Text);
                config.accounts = vec![*account];
            }
            Some(AccountChoice::Name(name)) => match config.accounts.iter().position(|a| a.name == *name) {
                Some(index) => config.accounts = vec![config.accounts.swap_remove(index)],
                None => mistakes.push(unknown_account(name, config)),
            },
            None => {}
        }
        if let Some(bind) = self.bind {
            config.network.local_address = bind.address.map_or(config.network.local_address, usable);
            config.network.sip_port = bind.port.unwrap_or(config.network.sip_port);
        }
        config.network.rtp_ports = self.rtp_ports.unwrap_or(config.network.rtp_ports);
        let audio = &mut config.audio;
        audio.microphone = self.microphone.clone().unwrap_or(std::mem::take(&mut audio.microphone));
        audio.speaker = self.speaker.clone().unwrap_or(std::mem::take(&mut audio.speaker));
        if let Some(log) = &self.log {
            config.files.log = FileChoice::Path(log.clone());
        }
        if let Some(folder) = &self.record {
            config.files.recordings = FileChoice::Path(folder.clone());
            config.calls.record = true;
        }
        for account in &mut config.accounts {
            account.transport = self.transport.map_or(account.transport, |TransportChoice(transport)| transport);
            account.register &= !self.no_register;
            account.direct_calls |= self.direct_calls;
            if let Some(CodecList(codecs)) = &self.codecs {
                account.codecs.clone_from(codecs);
            }
        }
        mistakes
    }
}

fn unknown_account(name: &str, config: &Config) -> Mistake {
    let known: Vec<String> = config.accounts.iter().map(|a| format!("{:?}", a.name)).collect();
    let known =
        if known.is_empty() { "there are none; write one with `offhook init`".to_owned() } else { known.join(", ") };
    Mistake {
        key: "--account".to_owned(),
        value: Some(format!("{name:?}")),
        problem: format!("no such account; known: {known}"),
        ..Mistake::default()
    }
}
