//! The demonstration: everything a call needs, on this computer alone.
//!
//! ```text
//!   the phone ---- SIP ----> proxy ----> announcement, echo
//!      ^                                     |
//!      +------ RTP over a simulated network -+
//! ```
use crate::app::headless::{self, Job, Kind};
use crate::app::phone::{Hooks, Parts, Phone};
use crate::app::run::{Failure, complain, configuration};
use crate::app::screen::{self, History};
use crate::app::sound::{self, Sound};
use crate::app::wire;
use crate::audio::choice::{DeviceChoice, Direction};
use crate::audio::devices::SoundSystems;
use crate::base::net::Transport;
use crate::base::netem::{Impairment, Truth};
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::cli::{Cli, Demo, ExitCode};
use crate::config::{Config, Environment};
use crate::media::spec::{Codec, SourceDescription};
use crate::net::NetConfig;
use crate::proxy::{Access, ProxyConfig};
use crate::qos::snapshot::DirectionQuality;
use crate::runtime::clock;
use crate::runtime::journal::Journal;
use crate::runtime::media_thread::{MediaHandle, MediaSender, MediaThreadConfig};
use crate::runtime::proxy_server::ProxyServer;
use crate::sip::auth::Password;
use crate::sip::message::Host;
use crate::ua::availability::Availability;
use crate::ua::caller_id::CallerId;
use crate::ua::command::Command;
use crate::ua::contacts::Contacts;
use crate::ua::handling::Handling;
use crate::ua::settings::{AccountSettings, Agreement, Dtmf, Policy, Profile, RecordingSettings, Settings};
use crate::ua::snapshot::RegistrationState;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

const DOMAIN: &str = "demo.offhook";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What is heard when the announcement is called.
const SPEECH: &[u8] = include_bytes!("../../assets/announcement.wav");

/// Runs the demonstration until the user leaves it, or for the time asked for.
pub fn run(cli: &Cli, demo: &Demo, environment: &Environment) -> Result<ExitCode, Failure> {
    let mut config = configuration(cli, environment)?.config;
    let headless = demo.headless || !io::stdout().is_terminal() || !io::stdin().is_terminal();
    let journal = match &cli.shared.log {
        Some(path) => Journal::open(Some(path)).map_err(|error| Failure::new(ExitCode::Failed, error))?,
        None => Journal::without_file(),
    };
    let impairment = Impairment {
        loss: demo.loss / 100.0,
        jitter: demo.jitter,
        delay: demo.delay,
        seed: demo.seed,
        ..Impairment::default()
    };
    let mut rng = clock::seeded_by_system().map_err(|error| Failure::new(ExitCode::Failed, error))?;
    let stage = Stage::build(&config, impairment, &mut rng, &journal)?;
    let notice = stand_in(&mut config, &stage.speech);
    if let Some(notice) = notice.filter(|_| headless) {
        complain(notice);
    }
    let history = History::in_memory();
    let hooks = Hooks { hear: history.recorder(), ..stage.network.hooks(notice) };
    let phone = stage.phone(&config, hooks, &mut rng, &journal)?;
    let interrupted = if headless { Some(headless::catch_signals()?) } else { None };
    let code = match interrupted {
        Some(interrupted) => {
            let job = Job {
                kind: Kind::Call,
                registrations: 1,
                target: Some("hello".to_owned()),
                duration: Some(demo.seconds),
                json: demo.json,
                ..Job::default()
            };
            let Guest { phone, sound } = phone;
            // The truth is that of open streams: it is read while the call is up.
            let (mut truth, mut measured) = (Truth::default(), DirectionQuality::default());
            let code = headless::run_watched(phone, job, &interrupted, &mut |snapshot| {
                let now = stage.network.truth();
                if now.packets > 0 {
                    truth = now;
                }
                if let Some(call) = snapshot.calls.first() {
                    measured = call.quality.inbound.clone();
                }
            })?;
            report_truth(&truth, &stage.network.impairment(), &measured, demo.json);
            sound.shutdown();
            code
        }
        None => {
            let Guest { phone, sound } = phone;
            phone.command(Command::Call { account: None, target: "hello".to_owned() });
            let code = screen::show(phone, tokio::sync::watch::channel(Arc::new(config)).1, &history, &journal)?;
            sound.shutdown();
            code
        }
    };
    stage.strike();
    Ok(code)
}

/// A phone with its media thread.
struct Guest {
    phone: Phone,
    sound: MediaHandle,
}

/// The proxy and the services, running.
struct Stage {
    server: SocketAddr,
    passwords: BTreeMap<&'static str, Secret>,
    services: Vec<Guest>,
    network: Network,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    /// The speech as a file, which goes when the demonstration ends.
    speech: PathBuf,
}

/// The simulated network: what it was told, and the sockets it sits on.
#[derive(Clone)]
struct Network {
    impairment: Arc<Mutex<Impairment>>,
    services: Vec<MediaSender>,
}

impl Network {
    fn impairment(&self) -> Impairment {
        *self.impairment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, impairment: Impairment) {
        *self.impairment.lock().unwrap_or_else(PoisonError::into_inner) = impairment;
        self.services.iter().for_each(|service| service.impair(impairment));
    }

    /// What was done to the packets of the call that is up; of the busiest, if there are several.
    fn truth(&self) -> Truth {
        let truths = self.services.iter().flat_map(|service| service.truths().into_values());
        truths.max_by_key(|truth| truth.packets).unwrap_or_default()
    }

    /// - `notice`: what the user should know about the sound, when no device has anything to say.
    fn hooks(&self, notice: Option<&'static str>) -> Hooks {
        let (shown, set) = (self.clone(), self.clone());
        Hooks {
            decorate: Box::new(move |snapshot| {
                snapshot.simulation = Some((shown.impairment(), shown.truth()));
                if snapshot.devices.notice.is_none() {
                    snapshot.devices.notice = notice.map(str::to_owned);
                }
            }),
            take: Box::new(move |command| match command {
                Command::Impair(impairment) => {
                    set.set(*impairment);
                    Some(Ok(()))
                }
                _ => None,
            }),
            ..Hooks::default()
        }
    }
}

impl Stage {
    fn build(config: &Config, impairment: Impairment, rng: &mut Rng, journal: &Journal) -> Result<Self, Failure> {
        let passwords: BTreeMap<_, _> =
            ["you", "hello", "echo"].into_iter().map(|user| (user, Secret::new(rng.hex(24)))).collect();
        let users = passwords.iter().map(|(user, secret)| ((*user).to_owned(), Password::Plain(secret.clone())));
        let access = Access::Users(users.collect());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let proxy_config =
            |addresses| ProxyConfig { access, ..ProxyConfig::loopback(Host::Name(DOMAIN.to_owned()), addresses) };
        let server = {
            let _context = runtime.enter();
            ProxyServer::bind(&NetConfig { address: Some(HERE), ..NetConfig::default() }, proxy_config, rng.fork())
                .map_err(|error| Failure::new(ExitCode::Network, error))?
        };
        let address = SocketAddr::new(HERE, server.port());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || runtime.block_on(server.run(stopped)))?;
        journal.line(format!("the demonstration's proxy serves {DOMAIN} at {address}"));
        let speech = std::env::temp_dir().join(format!("offhook-{}-{}.wav", std::process::id(), rng.hex(8)));
        write_new(&speech, SPEECH)?;
        let mut stage = Self {
            server: address,
            passwords,
            services: Vec::new(),
            network: Network { impairment: Arc::new(Mutex::new(impairment)), services: Vec::new() },
            stop,
            thread,
            speech,
        };
        let said = DeviceChoice::Wav { path: stage.speech.clone(), repeat: true };
        stage.add_service("hello", said, false, config, rng, journal)?;
        stage.add_service("echo", DeviceChoice::Silence, true, config, rng, journal)?;
        Ok(stage)
    }

    /// A user agent that answers every call, behind the simulated network.
    fn add_service(
        &mut self,
        user: &'static str,
        microphone: DeviceChoice,
        echo: bool,
        config: &Config,
        rng: &mut Rng,
        journal: &Journal,
    ) -> Result<(), Failure> {
        let sound = sound::spawn(MediaThreadConfig {
            rtp_ports: config.network.rtp_ports.low..=config.network.rtp_ports.high,
            dscp: 46,
            microphone,
            speaker: DeviceChoice::Null,
            anchor: clock::anchor(),
            rng: rng.fork(),
            impairment: Some(self.network.impairment()),
            echo,
            realtime: true,
            recordings: None,
            name_server: None,
            journal: Journal::without_file(),
        })?;
        let sender = sound.handle.sender();
        let guest = self.guest(user, true, sound, Hooks::default(), rng, &Journal::without_file())?;
        if !is_registered(&guest.phone) {
            journal.line(format!("the service {user} is not registered yet"));
        }
        self.network.services.push(sender);
        self.services.push(guest);
        Ok(())
    }

    /// The phone the user gets.
    fn phone(&self, config: &Config, hooks: Hooks, rng: &mut Rng, journal: &Journal) -> Result<Guest, Failure> {
        let sound = sound::start(config, rng.fork(), journal)?;
        self.guest("you", false, sound, hooks, rng, journal)
    }

    fn guest(
        &self,
        user: &'static str,
        auto_answer: bool,
        sound: Sound,
        hooks: Hooks,
        rng: &mut Rng,
        journal: &Journal,
    ) -> Result<Guest, Failure> {
        let phone = Phone::start(Parts {
            settings: Settings {
                accounts: vec![self.account(user)],
                user_agent: wire::USER_AGENT.to_owned(),
                instance: String::new(),
                description: SourceDescription {
                    cname: rng.hex(24),
                    name: user.to_owned(),
                    tool: wire::USER_AGENT.to_owned(),
                    ..SourceDescription::default()
                },
                auto_answer,
                ptime: Duration::from_millis(20),
                rtcp_mux: true,
                brisk_reports: true,
                no_media_timeout: Duration::from_secs(30),
                contacts: Contacts::default(),
                certificate: None,
                recording: RecordingSettings::default(),
            },
            net: NetConfig { address: Some(HERE), ..NetConfig::default() },
            media: sound.handle.sender(),
            media_events: sound.events,
            journal: journal.clone(),
            hooks,
        })?;
        Ok(Guest { phone, sound: sound.handle })
    }

    fn account(&self, user: &'static str) -> AccountSettings {
        AccountSettings {
            name: "demo".to_owned(),
            user: user.to_owned(),
            display_name: String::new(),
            domain: Host::Name(DOMAIN.to_owned()),
            domain_port: None,
            registrar: Some((Host::Ip(self.server.ip()), Some(self.server.port()))),
            outbound_proxy: None,
            transport: Some(Transport::Udp),
            outbound: false,
            register: true,
            expires: Duration::from_secs(600),
            auth_user: None,
            password: self.passwords.get(user).cloned().map(Password::Plain),
            realm: None,
            mailbox: false,
            watch: Vec::new(),
            codecs: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
            dtmf: Dtmf::default(),
            srtp: Policy::Off,
            keying: Agreement::Auto,
            profile: Profile::Auto,
            direct_calls: false,
            caller_id: CallerId::default(),
            handling: Handling::default(),
            availability: Availability::default(),
        }
    }

    /// Ends the services, then the proxy they unregister from.
    fn strike(self) {
        for Guest { phone, sound } in self.services {
            phone.shut_down();
            sound.shutdown();
        }
        // The proxy may have ended by itself; a panic of its thread was printed then.
        let _ = self.stop.send(());
        let _ = self.thread.join();
        let _ = std::fs::remove_file(&self.speech);
    }
}

/// Without a sound card the call plays to a virtual device, and the speech stands in for the microphone; returns the line
/// that says so.
fn stand_in(config: &mut Config, speech: &Path) -> Option<&'static str> {
    let cards = SoundSystems::new().list();
    let has = |direction| cards.iter().any(|card| card.direction == direction && card.format.is_some());
    let missing = |device: &str, direction| device == "default" && !has(direction);
    let (no_speaker, no_microphone) =
        (missing(&config.audio.speaker, Direction::Playback), missing(&config.audio.microphone, Direction::Capture));
    if no_speaker {
        config.audio.speaker = "null".to_owned();
    }
    if no_microphone {
        config.audio.microphone = format!("loop:{}", speech.display());
    }
    match (no_speaker, no_microphone) {
        (true, true) => Some("no sound card: the call plays to a virtual device, and a recording speaks for you"),
        (true, false) => Some("no speaker: the call plays to a virtual device"),
        (false, true) => Some("no microphone: a recording speaks for you"),
        (false, false) => None,
    }
}

/// Waits a moment for a service to be reachable.
fn is_registered(phone: &Phone) -> bool {
    let registered = || {
        let snapshot = phone.snapshot();
        snapshot.accounts.iter().all(|a| matches!(a.state, RegistrationState::Registered { .. }))
            && !snapshot.accounts.is_empty()
    };
    for _ in 0..100 {
        if registered() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

/// What the network did, for comparison with what the phone measured.
fn report_truth(truth: &Truth, asked: &Impairment, measured: &DirectionQuality, json: bool) {
    let lost = if truth.packets == 0 { 0.0 } else { 100.0 * truth.lost as f64 / truth.packets as f64 };
    let line = if json {
        serde_json::json!({
            "type": "truth",
            "packets": truth.packets,
            "lost": truth.lost,
            "loss_percent": lost,
            "jitter_ms": truth.jitter,
            "delay_ms": truth.delay,
            "seed": asked.seed,
        })
        .to_string()
    } else {
        format!(
            "the simulated network, asked for {:.1} % loss, {} ms jitter, {} ms delay (seed {}), did to what you heard: \
             {} of {} packets lost ({lost:.1} %), jitter {:.1} ms, mean delay {:.1} ms\n{}",
            asked.loss * 100.0,
            asked.jitter.as_millis(),
            asked.delay.as_millis(),
            asked.seed,
            truth.lost,
            truth.packets,
            truth.jitter,
            truth.delay,
            words_of(measured),
        )
    };
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// The same figures as the phone knows them.
fn words_of(measured: &DirectionQuality) -> String {
    let figure = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.1}"));
    let (lost, jitter) = (figure(measured.loss_total), figure(measured.jitter.map(|r| r.value)));
    format!(
        "the phone measured: {} packets lost and {} received ({lost} % lost), jitter {jitter} ms",
        measured.lost, measured.packets
    )
}
