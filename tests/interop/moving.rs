//! Calls between two homes that lose their way: addresses change, a router forgets, the other side goes silent. And a call
//! without ICE, whose server answers to where sound comes from.
use crate::harness::{Case, Need};
use crate::internet::{Firewall, Home, Internet, Nat};
use crate::nats::{World, last};
use crate::peers_asterisk::Asterisk;
use crate::phone::{Phone, Setup, exit, unix_now};
use crate::process::wait_for;
use crate::tools::hears_some;
use offhook::base::net::Transport;
use std::fs;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

pub const CASES: &[Case] =
    &[Case { name: "moving::the_way_changes_in_a_call", needs: &[Need::Coturn, Need::Nftables], run: changes }];

const CALLER_HZ: u32 = 440;
const CALLED_HZ: u32 = 600;
/// Rows that are a story of their own.
const SILENT: &str = "the other side goes silent";
const PLAIN: &str = "a server without ICE";
const SOON: Duration = Duration::from_secs(20);

/// What a home does in a call, and what that is called.
type Move = (&'static str, fn(&Home));

/// Two phones in a call, at homes of their own.
struct Talk<'a> {
    caller: Phone,
    called: Phone,
    home: &'a Home,
    far: &'a Home,
}

fn talk<'a>(case: &Case, world: &'a World, name: &str, pair: usize) -> Talk<'a> {
    let setup = |role: &'static str, subcommand, hz: u32| {
        let home = world.home(role, name);
        let setup = Setup::within(&home.phone, case, &format!("{name}-{role}"), subcommand);
        let setup = setup.config(&world.config(home, role, pair, "none"));
        setup.arguments(&["--codecs", "pcmu", "--microphone", &format!("tone:{hz}")]).record()
    };
    let mut called = setup("called", "answer", CALLED_HZ).arguments(&["--auto"]).start();
    called.expect_registered();
    let mut caller = setup("caller", "call", CALLER_HZ).arguments(&[&format!("called{pair}")]).start();
    for phone in [&mut caller, &mut called] {
        phone.expect("the way", SOON, |line| line["media_path"] == "reflexive" && line["media_flowing"] == true);
    }
    sleep(Duration::from_secs(2));
    Talk { caller, called, home: world.home("caller", name), far: world.home("called", name) }
}

/// How long nothing was heard \[s\] after `changed`, until it was heard again for good.
fn gap(phone: &Phone, hz: u32, changed: f64) -> f64 {
    let heard = phone.heard();
    let at = changed - phone.recording_began();
    let hears = |from: f64| heard.part(from, from + 0.1).tone_share(f64::from(hz)) > 0.9;
    assert!(hears(at - 0.5), "nothing was heard before");
    let windows = (0..).map(|n| at + f64::from(n) * 0.05).take_while(|from| from + 0.6 < heard.seconds());
    windows.filter(|from| !hears(*from)).last().map_or(0.0, |silent| silent + 0.05 - at)
}

fn changes(case: &Case) {
    let moves: [Move; 2] =
        [("another address at home", Home::move_inside), ("a router that forgets", Home::restart_router)];
    let mut world = World::new(case, moves.len() + 1);
    for name in moves.iter().map(|(name, _)| *name).chain([SILENT, PLAIN]) {
        world.settle("caller", name, Nat::PortRestricted, Firewall::Open);
        let strict = if name == PLAIN { Nat::Symmetric } else { Nat::PortRestricted };
        world.settle("called", name, strict, Firewall::Open);
    }
    let world = &world;
    let report: Vec<String> = thread::scope(|scope| {
        let mut running = vec![scope.spawn(|| silent(case, world, moves.len())), scope.spawn(|| plain(case, world))];
        for (pair, (name, act)) in moves.into_iter().enumerate() {
            running.push(scope.spawn(move || moved(case, world, name, pair, act)));
        }
        running.into_iter().map(|one| one.join().expect("the call")).collect()
    });
    fs::write(case.folder().join("measured.log"), report.concat()).expect("writes");
}

/// One home changes in a call.
fn moved(case: &Case, world: &World, name: &str, pair: usize, act: fn(&Home)) -> String {
    let mut talk = talk(case, world, name, pair);
    let changed = unix_now();
    act(talk.home);
    sleep(Duration::from_secs(6));
    assert_eq!(talk.caller.interrupt(), exit::ENDED);
    talk.called.expect_summary();
    assert_eq!(talk.called.interrupt(), exit::ENDED);
    let gaps = [gap(&talk.caller, CALLED_HZ, changed), gap(&talk.called, CALLER_HZ, changed)];
    let line = format!("{name}: nothing heard for {:.2} s by who moved, {:.2} s by the other\n", gaps[0], gaps[1]);
    assert!(gaps.iter().all(|gap| *gap < 2.0), "{line}");
    line
}

/// Nothing comes from the other side any more: thirty seconds later nothing is sent to it either (RFC 7675 §5.1).
fn silent(case: &Case, world: &World, pair: usize) -> String {
    let mut talk = talk(case, world, SILENT, pair);
    // Packets of sound: 8 octets of UDP, 12 of RTP, 160 of PCMU.
    talk.home.rule(
        "table ip watch {
            counter sound { }
            chain out { type filter hook forward priority -10; iifname lan udp length 180 counter name sound; }
        }\n",
    );
    let sent = || talk.home.counted("watch", "sound");
    talk.far.rule(
        "table ip wall {
            chain closed { type filter hook forward priority -10; meta l4proto udp drop; }
        }\n",
    );
    let began = Instant::now();
    sleep(Duration::from_secs(20));
    let before = sent();
    sleep(Duration::from_secs(1));
    assert!(sent() > before + 25, "{SILENT}: it does not send while it may");
    let stopped = wait_for("the sound to stop", Duration::from_secs(15), || {
        let before = sent();
        sleep(Duration::from_millis(300));
        (sent() == before).then(|| began.elapsed())
    });
    sleep(Duration::from_secs(2));
    let after = sent();
    sleep(Duration::from_secs(1));
    assert_eq!(sent(), after, "{SILENT}: it sends again");
    assert!(stopped < Duration::from_millis(31_500), "{SILENT}: sent for {stopped:?}");
    assert_eq!(talk.caller.interrupt(), exit::ENDED);
    talk.called.interrupt();
    format!("{SILENT}: nothing is sent any more after {:.1} s\n", stopped.as_secs_f64())
}

/// Without ICE, over UDP: the addresses STUN has told, keep-alives that outlast the memory of the routers, and a server that
/// answers to where things come from.
fn plain(case: &Case, world: &World) -> String {
    let asterisk = Asterisk::start_at(world.internet.public(), Internet::SERVERS[0].parse().expect("an address"));
    let setup = |role: &'static str, user: &str, subcommand, hz: u32| {
        let home = world.home(role, PLAIN);
        home.forgets_after(20);
        let account = asterisk.account(user, Transport::Udp);
        let setup = Setup::within(&home.phone, case, &format!("{PLAIN}-{role}"), subcommand);
        let setup = setup.config(&format!("{account}ice = \"off\"\n{}", world.coturn.stun()));
        setup.arguments(&["--codecs", "pcmu", "--microphone", &format!("tone:{hz}")]).record()
    };
    let mut called = setup("called", "1002", "answer", CALLED_HZ).arguments(&["--auto"]).start();
    called.expect_registered();
    let seen = format!("@{}:", world.home("called", PLAIN).public());
    assert!(asterisk.contacts().contains(&seen), "{seen}: {}", asterisk.contacts());
    sleep(Duration::from_secs(25));
    let mut caller = setup("caller", "1001", "call", CALLER_HZ).arguments(&["1002", "--duration", "4"]).start();
    assert_eq!(caller.wait(SOON), exit::ENDED, "{PLAIN}: {}", caller.summary());
    assert_eq!(called.expect_summary()["result"], "normal");
    assert_eq!(called.interrupt(), exit::ENDED);
    hears_some(&caller.heard(), f64::from(CALLED_HZ), "the caller without ICE");
    hears_some(&called.heard(), f64::from(CALLER_HZ), "the called without ICE");
    let first = [&caller, &called].map(|phone| last(phone, |line| line["first_media_ms"].as_f64()).unwrap_or(f64::NAN));
    format!("{PLAIN}: sound after {:.0} and {:.0} ms\n", first[0], first[1])
}
