//! What holds where nothing is written. `config.example.toml` says the same, and a test compares them.
use super::handling::EMERGENCY;
use super::{Audio, Calls, FileChoice, Files, Network, Notify, PortRange, Screen};
use crate::ua::dial_plan::DialPlan;
use std::time::Duration;

impl Default for Network {
    fn default() -> Self {
        // Below the ports that systems hand out by themselves (32768 and above, 49152 and above).
        let rtp_ports = PortRange { low: 30_000, high: 31_999 };
        // CS3 and EF: what RFC 4594 gives to signalling (§4.2) and to telephony (§4.1).
        Self { local_address: None, sip_port: 0, rtp_ports, sip_dscp: 24, rtp_dscp: 46, name_server: None }
    }
}

impl Default for Audio {
    fn default() -> Self {
        let device = || "default".to_owned();
        Self { microphone: device(), speaker: device(), microphone_gain: 0.0, speaker_gain: 0.0 }
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            ptime: Duration::from_millis(20),
            no_media_timeout: Duration::from_secs(30),
            rtcp_mux: false,
            hold_music: None,
            record: false,
            recording_notice: false,
            dial_plan: DialPlan { rules: Vec::new(), emergency: EMERGENCY.map(str::to_owned).to_vec() },
        }
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self { theme: None, ascii: None, bell: true, notify: Notify::Auto, mouse: true, keys: Vec::new() }
    }
}

impl Default for Files {
    fn default() -> Self {
        let auto = FileChoice::Auto;
        Self { history: auto.clone(), contacts: auto.clone(), log: auto.clone(), recordings: auto }
    }
}
