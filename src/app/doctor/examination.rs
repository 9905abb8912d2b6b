//! The examination of one account: what is asked after what, all of it at the same time where it can be.
use super::configuration;
use super::facts::Facts;
use super::finding::Topic;
use super::nat::Stun;
use super::probe::sip::{Asker, Wire, alternatives, certificate, lengthened};
use super::probe::{dns, local, stun, turn};
use super::registration::Registration;
use super::rewriting::Echo;
use super::server::{Answer, Attempt, Failure, Reach};
use crate::app::certificates;
use crate::app::wire;
use crate::base::net::Transport;
use crate::base::rng::Rng;
use crate::config::{Account, Config, Credential, Environment, PasswordSource};
use crate::nat::candidate::{self, ServerTransport};
use crate::net::{Access, NetConfig, Server};
use crate::sip::auth::{Client, Credentials, Password};
use crate::sip::dialog::again;
use crate::sip::locate::{AccessId, Question, Target};
use crate::sip::message::{Method, Request, Response, Uri};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_rustls::rustls::pki_types::UnixTime;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// Servers of one name that are tried; the phone tries them all.
const SERVERS: usize = 3;
/// Challenges of one server that are answered.
const CHALLENGES: u32 = 3;

/// What is to be examined.
#[derive(Clone, Debug)]
pub struct Patient {
    pub config: Config,
    pub account: Option<Account>,
    pub environment: Environment,
    /// Asked in place of the account's.
    pub stun: Option<candidate::Server>,
    pub with_sound: bool,
    pub listen: bool,
    /// For how long the NAT's memory is tried, if it is.
    pub lifetime: Option<Duration>,
    pub run_password_command: bool,
}

/// Something was found out.
pub type News = Box<dyn FnOnce(&mut Facts) + Send>;

#[derive(Clone)]
struct Reporter(mpsc::UnboundedSender<News>);

impl Reporter {
    fn learn(&self, news: impl FnOnce(&mut Facts) + Send + 'static) {
        // Nobody listens any more after the time limit.
        let _ = self.0.send(Box::new(news));
    }

    fn done(&self, topic: Topic) {
        self.learn(move |facts| facts.done(topic));
    }
}

impl Patient {
    /// What will be examined.
    pub fn topics(&self) -> Vec<Topic> {
        let mut topics = vec![Topic::Machine, Topic::Files];
        if let Some(account) = &self.account {
            topics.extend([Topic::Names, Topic::Server, Topic::Registration]);
            topics.extend(account.handling.reach.turn.is_some().then_some(Topic::Relay));
        }
        topics.extend((self.account.is_some() || self.stun.is_some()).then_some(Topic::Nat));
        topics.extend(self.with_sound.then_some(Topic::Sound));
        topics
    }

    /// The findings about the configuration.
    pub fn configuration(&self, file: Option<String>, warnings: &[String], others: usize) -> Vec<super::Finding> {
        let certificates = self.account.iter().flat_map(|account| certificates::mistakes(account, UnixTime::now()));
        let words: Vec<String> = certificates
            .map(|mistake| format!("{} {}: {}", mistake.key, mistake.value.unwrap_or_default(), mistake.problem))
            .collect();
        configuration::judge(&self.config, self.account.as_ref(), file, warnings, &words, others)
    }

    /// Finds out everything, and tells it as it comes.
    pub async fn examine(self, news: mpsc::UnboundedSender<News>, mut rng: Rng) {
        let report = Reporter(news);
        let mut tasks = JoinSet::new();
        let (patient, reporter) = (self.clone(), report.clone());
        tasks.spawn(async move {
            let _ = spawn_blocking(move || {
                let (machine, files) =
                    (local::machine(&patient.config), local::files(&patient.config, &patient.environment));
                reporter.learn(|facts| (facts.machine, facts.files) = (Some(machine), Some(files)));
                reporter.done(Topic::Machine);
                reporter.done(Topic::Files);
            })
            .await;
        });
        if self.with_sound {
            let (patient, reporter) = (self.clone(), report.clone());
            tasks.spawn(async move {
                let _ = spawn_blocking(move || {
                    let sound = local::sound(&patient.config, patient.listen);
                    reporter.learn(|facts| facts.sound = Some(sound));
                    reporter.done(Topic::Sound);
                })
                .await;
            });
        }
        let turn = self.account.as_ref().and_then(|account| account.handling.reach.turn.clone());
        tasks.spawn(self.clone().ask_stun(report.clone(), rng.fork()));
        if let Some(turn) = turn {
            let (reporter, rng, name_server) = (report.clone(), rng.fork(), self.config.network.name_server);
            tasks.spawn(async move {
                let relay = turn::relay(&turn, name_server, rng).await;
                reporter.learn(|facts| facts.relay = Some(relay));
                reporter.done(Topic::Relay);
            });
        }
        if let Some(account) = self.account.clone() {
            let (patient, rng) = (self.clone(), rng.fork());
            tasks.spawn(async move { patient.visit(&account, &report, rng).await });
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Relays answer as STUN servers do.
    async fn ask_stun(self, report: Reporter, mut rng: Rng) {
        let reach = self.account.as_ref().map(|account| &account.handling.reach);
        let relay = || Some(reach?.turn.as_ref()?).filter(|turn| turn.transport == ServerTransport::Udp);
        let own = || reach?.stun.clone().or_else(|| Some(relay()?.server.clone()));
        let network = &self.config.network;
        let found = match self.stun.clone().or_else(own) {
            Some(server) => {
                stun::stun(&server, network.name_server, network.local_address, network.rtp_ports, rng.fork()).await
            }
            None => Stun::None,
        };
        let nat = match &found {
            Stun::Asked { address, report, .. } if report.is_translated() == Some(true) => {
                Some((*address, report.local.ip()))
            }
            Stun::Asked { .. } | Stun::None | Stun::Unresolved { .. } | Stun::NoSocket { .. } => None,
        };
        report.learn(|facts| facts.stun = Some(found));
        if let Some(((server, ip), longest)) = nat.zip(self.lifetime)
            && let Ok(memory) = stun::lifetime(server, ip, longest, rng).await
        {
            report.learn(move |facts| facts.lifetime = Some(memory));
        }
        report.done(Topic::Nat);
    }

    /// From the name of the server to what it says of us.
    async fn visit(self, account: &Account, report: &Reporter, mut rng: Rng) {
        let named = account.outbound_proxy.as_ref().or(account.registrar.as_ref());
        let (host, port) = named.map_or((&account.domain, None), |server| (&server.host, server.port));
        let access = AccessId::default();
        let question = Question { host: wire::host(host), port, transport: account.transport, secure: false, access };
        let names = dns::names(question, self.config.network.name_server, rng.fork()).await;
        let targets = names.outcome.clone().unwrap_or_default();
        report.learn(|facts| facts.names = Some(names));
        report.done(Topic::Names);
        let server = Server { name: wire::host(host).to_string(), access };
        let visit = Visit { net: self.net(account), server, account, report };
        if let Some(asker) = asker(account).filter(|_| !targets.is_empty()) {
            let wire = visit.knock(&targets, &asker, &mut rng).await;
            report.done(Topic::Server);
            if let Some(wire) = wire {
                let registration = visit.register(wire, &asker, self.run_password_command, rng).await;
                report.learn(|facts| facts.registration = Some(registration));
            }
        }
        report.done(Topic::Server);
        report.done(Topic::Registration);
    }

    /// The sockets' settings with this account's way in alone.
    fn net(&self, account: &Account) -> NetConfig {
        let config = Config { accounts: vec![account.clone()], ..self.config.clone() };
        wire::net(&config)
    }
}

fn asker(account: &Account) -> Option<Asker> {
    let domain = Uri::parse(&format!("sip:{}", account.domain)).ok()?;
    let address = Uri::parse(&format!("sip:{}", account.address())).ok()?;
    Some(Asker { address, domain })
}

/// To a server that answers, with what was asked and what it said.
type Way = (Wire, Request, Response);

/// What one server is asked.
struct Visit<'a> {
    net: NetConfig,
    server: Server,
    account: &'a Account,
    report: &'a Reporter,
}

impl Visit<'_> {
    /// Asks the first servers; the way to the best that answers.
    async fn knock(&self, targets: &[Target], asker: &Asker, rng: &mut Rng) -> Option<Wire> {
        let mut reach = Reach { insisted: self.account.transport, ..Reach::default() };
        let secure = targets.iter().find(|target| target.transport.is_secure());
        let access: Access = self.net.access.first().cloned().unwrap_or_default();
        let shown = async {
            match secure {
                Some(target) => Some(certificate(*target, &self.server, &access).await),
                None => None,
            }
        };
        let asking = self.attempts(targets.iter().take(SERVERS).copied().collect(), asker, rng);
        let (attempts, certificate) = tokio::join!(asking, shown);
        if certificate.is_some() {
            self.report.learn(|facts| facts.certificate = certificate);
        }
        let mut found = None;
        for (attempt, way) in attempts {
            reach.tried.push(attempt);
            found = found.or(way);
        }
        let Some((mut wire, sent, came)) = found else {
            let others = self.attempts(alternatives(targets), asker, rng).await;
            reach.others = others.into_iter().map(|(attempt, _)| attempt).collect();
            reach.others.sort_by_key(|attempt| (attempt.transport, attempt.remote));
            self.report.learn(|facts| facts.reach = Some(reach));
            return None;
        };
        let flow = wire.flow;
        let echo = Echo::of(flow.transport, flow.local, flow.remote, &sent, &came);
        let clock = came.headers.get("Date").and_then(super::certificate::parse_date).map(ahead);
        self.report.learn(move |facts| (facts.echo, facts.clock) = (Some(echo), clock));
        if flow.transport == Transport::Udp {
            let long = lengthened(wire.request(Method::Options, asker, rng));
            reach.long = match wire.ask(&long, PATIENCE).await {
                Ok(_) => Some(true),
                Err(Failure::Silent) => Some(false),
                Err(Failure::Refused(_)) => None,
            };
        }
        self.report.learn(|facts| facts.reach = Some(reach));
        Some(wire)
    }

    /// All at once; told in the order of `targets`.
    async fn attempts(&self, targets: Vec<Target>, asker: &Asker, rng: &mut Rng) -> Vec<(Attempt, Option<Way>)> {
        let mut tasks = JoinSet::new();
        for (number, target) in targets.into_iter().enumerate() {
            let (net, server, asker, mut rng) = (self.net.clone(), self.server.clone(), asker.clone(), rng.fork());
            tasks.spawn(async move { (number, attempt(&net, &server, target, &asker, &mut rng).await) });
        }
        let mut all = tasks.join_all().await;
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, attempt)| attempt).collect()
    }

    /// Asks for our bindings, which changes none.
    async fn register(&self, mut wire: Wire, asker: &Asker, run_command: bool, mut rng: Rng) -> Registration {
        if !self.account.register {
            return Registration::NotAsked("the account does not register");
        }
        let source = self.account.password.clone();
        if matches!(source, PasswordSource::Command(_) | PasswordSource::Keyring(_)) && !run_command {
            return Registration::NotAsked(
                "its password comes from a command or the keyring; --run-password-command asks for it",
            );
        }
        let password = match spawn_blocking(move || source.resolve()).await {
            Ok(Ok(Some(Credential::Password(secret)))) => Some(Password::Plain(secret)),
            Ok(Ok(Some(Credential::Ha1(secret)))) => Some(Password::Ha1(secret)),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => return Registration::Failed(error.to_string()),
            Err(_) => return Registration::NotAsked("the password could not be had"),
        };
        let user = self.account.auth_user.clone().unwrap_or_else(|| self.account.user.clone());
        let realm = self.account.realm.clone();
        let mut client = password.map(|password| Client::new(Credentials { user, password, realm }, rng.fork()));
        let mut request = wire.request(Method::Register, asker, &mut rng);
        let mut cseq = 1;
        loop {
            let response = match wire.ask(&request, PATIENCE).await {
                Ok((response, _)) => response,
                Err(failure) => return Registration::Failed(failure.words()),
            };
            if let Some(ahead) = response.headers.get("Date").and_then(super::certificate::parse_date).map(ahead) {
                self.report.learn(move |facts| facts.clock = facts.clock.or(Some(ahead)));
            }
            let challenged = matches!(response.status, 401 | 407);
            let answer = client.as_mut().filter(|_| challenged).map(|client| client.answer(&request, &response));
            match answer {
                Some(Ok(credentials)) if cseq <= CHALLENGES => {
                    cseq += 1;
                    request = again(request, &credentials, cseq);
                    wire.renew_via(&mut request, &mut rng);
                }
                answer => {
                    let refusal = answer.and_then(Result::err).map(|refusal| refusal.to_string());
                    let bindings = response.headers.name_addrs("Contact").map_or(0, |contacts| contacts.len());
                    return Registration::Answered {
                        status: response.status,
                        reason: response.reason,
                        refusal,
                        bindings,
                    };
                }
            }
        }
    }
}

async fn attempt(
    net: &NetConfig,
    server: &Server,
    target: Target,
    asker: &Asker,
    rng: &mut Rng,
) -> (Attempt, Option<Way>) {
    let Target { transport, address: remote } = target;
    let failed = |failure| (Attempt { transport, remote, result: Err(failure) }, None);
    let mut wire = match Wire::open(net, target, server) {
        Ok(wire) => wire,
        Err(failure) => return failed(failure),
    };
    let request = wire.request(Method::Options, asker, rng);
    let (response, round_trip) = match wire.ask(&request, PATIENCE).await {
        Ok(answer) => answer,
        Err(failure) => return failed(failure),
    };
    let software = response.headers.get("Server").or_else(|| response.headers.get("User-Agent")).map(str::to_owned);
    let answer = Answer { status: response.status, reason: response.reason.clone(), round_trip, software };
    (Attempt { transport, remote, result: Ok(answer) }, Some((wire, request, response)))
}

/// How far this computer's clock is ahead of a server's \[s\].
fn ahead(server: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(server)
}
