//! Calls between two homes that lose their way: addresses change, a router forgets, the other side goes silent. And a call
//! without ICE, whose server answers to where sound comes from.
use crate::harness::{Case, Need};
use crate::internet::{Firewall, Home, Internet, Nat};
use crate::nats::{World, last};
use crate::peers_asterisk::Asterisk;
use crate::phone::{Phone, Setup, exit, unix_now};
use crate::process::wait_for;
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

/// Something that happens in a call.
#[derive(Clone, Copy)]
struct Move {
    name: &'static str,
    /// Of both homes.
    nats: [Nat; 2],
    /// Over what the TURN server is asked, or `none`.
    turn: &'static str,
    act: fn(&Home),
    /// It happens at the called side.
    far: bool,
    /// No more than that \[s\] is missing.
    most: f64,
}

const MOVES: [Move; 6] = [
    Move { name: "another address at home", act: Home::move_inside, most: 2.0, ..OUTSIDE },
    Move { name: "a router that forgets", act: Home::restart_router, most: 2.0, ..OUTSIDE },
    OUTSIDE,
    Move { name: "another public address of the called", far: true, ..OUTSIDE },
    Move { name: "another public address, full cone", nats: [Nat::FullCone; 2], ..OUTSIDE },
    Move { name: "another public address, symmetric", nats: [Nat::Symmetric; 2], turn: "udp", ..OUTSIDE },
];
const OUTSIDE: Move = Move {
    name: "another public address",
    nats: [Nat::PortRestricted; 2],
    turn: "none",
    act: Home::move_outside,
    far: false,
    // Ten times what is measured.
    most: 6.0,
};

/// Two phones in a call, at homes of their own.
struct Talk<'a> {
    caller: Phone,
    called: Phone,
    home: &'a Home,
    far: &'a Home,
}

fn talk<'a>(case: &Case, world: &'a World, name: &str, pair: usize, turn: &str) -> Talk<'a> {
    let setup = |role: &'static str, subcommand, hz: u32| {
        let home = world.home(role, name);
        let setup = Setup::within(&home.phone, case, &format!("{name}-{role}"), subcommand);
        let setup = setup.config(&world.config(home, role, pair, turn));
        setup.arguments(&["--codecs", "pcmu", "--microphone", &format!("tone:{hz}")]).record()
    };
    let mut called = setup("called", "answer", CALLED_HZ).arguments(&["--auto"]).start();
    called.expect_registered();
    let mut caller = setup("caller", "call", CALLER_HZ).arguments(&[&format!("called{pair}")]).start();
    for phone in [&mut caller, &mut called] {
        phone.expect("the way", SOON, |line| {
            let way = line["media_path"].as_str().unwrap_or_default();
            (way == "reflexive" || way.starts_with("relayed")) && line["media_flowing"] == true
        });
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
    let mut world = World::new(case, MOVES.len() + 1);
    for Move { name, nats: [caller, called], .. } in MOVES {
        world.settle("caller", name, caller, Firewall::Open);
        world.settle("called", name, called, Firewall::Open);
    }
    for (name, called) in [(SILENT, Nat::PortRestricted), (PLAIN, Nat::Symmetric)] {
        world.settle("caller", name, Nat::PortRestricted, Firewall::Open);
        world.settle("called", name, called, Firewall::Open);
    }
    let world = &world;
    let report: Vec<String> = thread::scope(|scope| {
        let mut running = vec![scope.spawn(|| silent(case, world, MOVES.len())), scope.spawn(|| plain(case, world))];
        for (pair, one) in MOVES.into_iter().enumerate() {
            running.push(scope.spawn(move || moved(case, world, pair, one)));
        }
        running.into_iter().map(|one| one.join().expect("the call")).collect()
    });
    fs::write(case.folder().join("measured.log"), report.concat()).expect("writes");
}

/// One home changes in a call.
fn moved(case: &Case, world: &World, pair: usize, one: Move) -> String {
    let Move { name, turn, act, far, most, .. } = one;
    let mut talk = talk(case, world, name, pair, turn);
    let changed = unix_now();
    act(if far { talk.far } else { talk.home });
    sleep(Duration::from_secs_f64(most + 4.0));
    assert_eq!(talk.caller.interrupt(), exit::ENDED);
    talk.called.expect_summary();
    assert_eq!(talk.called.interrupt(), exit::ENDED);
    let mut gaps = [gap(&talk.caller, CALLED_HZ, changed), gap(&talk.called, CALLER_HZ, changed)];
    if far {
        gaps.reverse();
    }
    let line = format!("{name}: nothing heard for {:.2} s by who moved, {:.2} s by the other\n", gaps[0], gaps[1]);
    assert!(gaps.iter().all(|gap| *gap < most), "{line}");
    line
}

/// Nothing comes from the other side any more: thirty seconds later nothing is sent to it either (RFC 7675 §5.1).
fn silent(case: &Case, world: &World, pair: usize) -> String {
    let mut talk = talk(case, world, SILENT, pair, "none");
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
/// answers to where things come from; and another public address in the call.
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
    let mut caller = setup("caller", "1001", "call", CALLER_HZ).arguments(&["1002"]).start();
    for phone in [&mut caller, &mut called] {
        phone.expect("sound", SOON, |line| line["media_flowing"] == true);
    }
    sleep(Duration::from_secs(2));
    let changed = unix_now();
    world.home("caller", PLAIN).move_outside();
    sleep(Duration::from_secs_f64(OUTSIDE.most + 4.0));
    assert_eq!(caller.interrupt(), exit::ENDED, "{PLAIN}: {}", caller.summary());
    assert_eq!(called.expect_summary()["result"], "normal");
    assert_eq!(called.interrupt(), exit::ENDED);
    let gaps = [gap(&caller, CALLED_HZ, changed), gap(&called, CALLER_HZ, changed)];
    let first = [&caller, &called].map(|phone| last(phone, |line| line["first_media_ms"].as_f64()).unwrap_or(f64::NAN));
    let line = format!(
        "{PLAIN}: sound after {:.0} and {:.0} ms; another public address: nothing heard for {:.2} s by who moved, {:.2} s \
         by the other\n",
        first[0], first[1], gaps[0], gaps[1]
    );
    assert!(gaps.iter().all(|gap| *gap < OUTSIDE.most), "{line}");
    line
}
