//! What we say we can do, unless the registrar takes offence (RFC 3327, RFC 5626, RFC 5627).
use super::Config;
use crate::sip::message::{Headers, NameAddr, Uri};

#[derive(Clone, Copy, Debug)]
pub(super) struct Extensions {
    path: bool,
    gruu: bool,
    pub outbound: bool,
}

impl Extensions {
    pub fn new(config: &Config) -> Self {
        let gruu = config.instance.is_some();
        Self { path: true, gruu, outbound: gruu && config.reg_id.is_some() }
    }

    /// The value of Supported.
    pub fn supported(self) -> Option<String> {
        let all = [(self.path, "path"), (self.gruu, "gruu"), (self.outbound, "outbound")];
        let names: Vec<&str> = all.into_iter().filter_map(|(on, name)| on.then_some(name)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// The number of the flow, where flows are spoken of.
    pub fn reg_id(self, config: &Config) -> Option<u32> {
        config.reg_id.filter(|_| self.outbound)
    }

    /// The Contact with what names this phone and this flow (RFC 5626 §4.2).
    pub fn name(self, contact: &Uri, config: &Config) -> NameAddr {
        let mut contact = NameAddr::new(contact.clone());
        if let Some(instance) = &config.instance {
            contact.params.set("+sip.instance", Some(&format!("\"<{instance}>\"")));
        }
        if let Some(id) = self.reg_id(config) {
            contact.params.set("reg-id", Some(&id.to_string()));
        }
        contact
    }

    /// 420: what the registrar cannot bear to hear of is not mentioned again (RFC 3261 §8.1.3.5). Whether there is any.
    pub fn renounce(&mut self, headers: &Headers) -> bool {
        let Self { path, gruu, outbound } = self;
        let mut any = false;
        for (on, name) in [(path, "path"), (gruu, "gruu"), (outbound, "outbound")] {
            any |= *on && headers.has_token("Unsupported", name);
            *on &= !headers.has_token("Unsupported", name);
        }
        any
    }
}
