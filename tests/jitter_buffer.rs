//! The jitter buffer's promises, in virtual time: a steady flow of sound from packets that come late, out of order,
//! twice, never, or not as they should.
use offhook::base::rng::Rng;
use offhook::media::codec::PacketEncoder;
use offhook::media::dsp::goertzel::power;
use offhook::media::frame::{FRAME, Frame};
use offhook::media::jitter::{Incoming, Playout, PlayoutStats};
use offhook::media::spec::{Codec, OpusParameters, PayloadFormat};
use std::f32::consts::TAU;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const EVENTS: u8 = 101;

fn format(codec: Codec) -> PayloadFormat {
    let payload_type = match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::Opus => 111,
    };
    let opus = OpusParameters { use_inband_fec: true, max_playback_rate: 16_000, ..OpusParameters::default() };
    PayloadFormat { payload_type, codec, opus }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A packet on its way: when it was sent and arrives [s since the start].
#[derive(Clone, Debug)]
struct Sent {
    sequence: u64,
    timestamp: u64,
    at: f64,
    arrives: f64,
    payload_type: u8,
    payload: Vec<u8>,
}

/// Something like speech: words of harmonics with a gliding pitch and a hiss at their start, and pauses between.
fn speech(seconds: f64) -> Vec<f32> {
    let (mut rng, mut phase, mut hiss) = (Rng::from_u64(5), 0.0_f32, 0.0_f32);
    (0..(seconds * 48_000.0) as usize)
        .map(|n| {
            let t = n as f32 / 48_000.0;
            let (word, within) = ((t / 0.8) as u32, t % 0.8);
            let envelope = (within / 0.5 * std::f32::consts::PI).sin().max(0.0) * f32::from(u8::from(within < 0.5));
            let hz = 110.0 + 25.0 * (word % 3) as f32 + 30.0 * within;
            phase = (phase + hz / 48_000.0).fract();
            let voice: f32 = (1..12).map(|h| (TAU * phase * h as f32).sin() / (1.0 + (h as f32 - 4.0).abs())).sum();
            hiss = 0.7 * hiss + 0.3 * (rng.unit() as f32 - 0.5);
            let onset = if within < 0.06 { 0.3 } else { 0.0 };
            0.12 * envelope * voice + onset * envelope * hiss + 0.0003 * (rng.unit() as f32 - 0.5)
        })
        .collect()
}

fn sine(hz: f32, seconds: f64) -> Vec<f32> {
    (0..(seconds * 48_000.0) as usize).map(|n| 0.25 * (TAU * hz * n as f32 / 48_000.0).sin()).collect()
}

/// The packets of `sound` as a sender makes them, from `start` [s] on, its clock running `ppm` fast.
fn sent(codec: Codec, ptime: u64, sound: &[f32], start: f64, ppm: f64) -> Vec<Sent> {
    let format = format(codec);
    let mut encoder = PacketEncoder::new(format, ms(ptime)).expect("encoder");
    let (mut packets, mut payload) = (Vec::new(), Vec::new());
    for (n, frame) in sound.chunks_exact(FRAME).enumerate() {
        let frame: &Frame = frame.try_into().expect("a frame");
        let Some(encoded) = encoder.push(frame, &mut payload) else { continue };
        let at = start + (n + 1) as f64 * 0.01 * (1.0 - ppm * 1e-6);
        packets.push(Sent {
            sequence: 65_000 + packets.len() as u64,
            timestamp: 4_294_000_000 + u64::from(encoded.timestamp),
            at,
            arrives: at,
            payload_type: format.payload_type,
            payload: payload.clone(),
        });
    }
    packets
}

/// Loses `loss` of the packets and delays each by up to `jitter` [ms]; in order unless `overtake`.
fn impair(packets: &mut Vec<Sent>, loss: f64, jitter: f64, overtake: bool, seed: u64) {
    let (mut rng, mut last) = (Rng::from_u64(seed), 0.0_f64);
    packets.retain_mut(|p| {
        let (lost, delay) = (rng.unit() < loss, rng.unit() * jitter / 1e3);
        p.arrives = if overtake { p.at + delay } else { last.max(p.at + delay) };
        last = p.arrives;
        !lost
    });
}

struct Heard {
    sound: Vec<f32>,
    /// One for each frame.
    stats: Vec<PlayoutStats>,
}

impl Heard {
    fn end(&self) -> PlayoutStats {
        *self.stats.last().expect("frames")
    }

    fn at(&self, seconds: f64) -> PlayoutStats {
        self.stats[(seconds * 100.0) as usize]
    }

    fn delay(&self, seconds: f64) -> u128 {
        self.at(seconds).buffer_delay.expect("something was played").as_millis()
    }

    fn part(&self, from: f64, to: f64) -> &[f32] {
        &self.sound[(from * 48_000.0) as usize..(to * 48_000.0) as usize]
    }

    fn largest_step(&self) -> f32 {
        self.sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }
}

/// Plays `packets` for `seconds`; the device asks for `together` frames at once.
fn play_with(playout: &mut Playout, mut packets: Vec<Sent>, seconds: f64, together: usize) -> Heard {
    let start = Instant::now();
    packets.sort_by(|a, b| a.arrives.total_cmp(&b.arrives));
    let (mut heard, mut coming) = (Heard { sound: Vec::new(), stats: Vec::new() }, packets.iter().peekable());
    for n in 0..(seconds * 100.0) as usize {
        let time = (n - n % together) as f64 * 0.01;
        while let Some(p) = coming.next_if(|p| p.arrives <= time) {
            let arrived = start + Duration::from_secs_f64(p.arrives);
            let (sequence, timestamp, payload_type) = (p.sequence, p.timestamp, p.payload_type);
            let packet = Incoming { sequence, timestamp, arrived, payload_type, marker: false, payload: &p.payload };
            playout.insert(arrived, packet);
        }
        let mut frame = [0.0; FRAME];
        playout.pull(start + Duration::from_secs_f64(time), &mut frame);
        assert!(frame.iter().all(|s| s.is_finite() && s.abs() <= 2.0));
        heard.sound.extend_from_slice(&frame);
        heard.stats.push(playout.stats());
    }
    heard
}

fn playout() -> Playout {
    Playout::new(&[Codec::Pcmu, Codec::Pcma, Codec::Opus].map(format)).expect("formats")
}

fn play(packets: Vec<Sent>, seconds: f64) -> Heard {
    play_with(&mut playout(), packets, seconds, 1)
}

/// Signal to noise ratio against what was said, said from `from` [s] on [dB]; each 0.2 s at the delay it was played with.
///
/// - `network`: the longest the network took [s].
fn snr(said: &[f32], from: f64, network: f64, heard: &Heard) -> f64 {
    const PART: usize = 9_600;
    let (mut signal, mut noise) = (0.0, 0.0);
    for start in (48_000..said.len() - 96_000).step_by(PART) {
        let part = &said[start..start + PART];
        let error = |delay: usize, step: usize| -> f64 {
            let other = heard.sound[start + delay..start + delay + PART].iter();
            part.iter().zip(other).step_by(step).map(|(a, b)| f64::from((a - b) * (a - b))).sum::<f64>() * step as f64
        };
        let near = ((from + heard.delay(start as f64 / 48_000.0 + from + 0.3) as f64 / 1e3) * 48_000.0) as usize;
        let best = |delays: std::ops::Range<usize>, every: usize, step: usize| {
            delays.step_by(every).min_by(|a, b| error(*a, step).total_cmp(&error(*b, step))).expect("delays")
        };
        let rough = best(near - 960..near + 2_400 + (network * 48_000.0) as usize, 8, 37);
        let close = best(rough - 8..rough + 9, 1, 5);
        signal += part.iter().map(|s| f64::from(s * s)).sum::<f64>();
        noise += error(close, 1);
    }
    10.0 * (signal / noise).log10()
}

#[test]
fn a_clean_network_costs_little_delay_and_conceals_nothing() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::Opus] {
        for ptime in [10, 20, 40, 60] {
            let heard = play(sent(codec, ptime, &speech(4.0), 0.1037, 0.0), 4.0);
            let end = heard.end();
            assert_eq!((end.concealed, end.recovered, end.late), (ms(0), ms(0), 0), "{codec:?} {ptime} ms");
            assert_eq!(end.codec, Some(codec));
            let delay = heard.delay(2.0);
            assert!(
                (u128::from(ptime) + 5..u128::from(ptime) + 20).contains(&delay),
                "{codec:?} {ptime} ms: {delay} ms"
            );
        }
    }
}

#[test]
fn frames_asked_for_in_pairs_make_no_difference_but_the_delay_of_one() {
    let heard = play_with(&mut playout(), sent(Codec::Pcmu, 20, &speech(4.0), 0.1037, 0.0), 4.0, 2);
    assert_eq!(heard.end().concealed, ms(0));
    assert!(heard.delay(3.0) < 50, "{} ms", heard.delay(3.0));
}

/// Loss by jitter, one line each: what it costs in delay, in made-up sound, in late packets and in fidelity.
#[test]
fn loss_and_jitter_cost_what_they_cost() {
    let said = speech(8.0);
    let clean = sent(Codec::Pcmu, 20, &said, 0.1037, 0.0);
    let mut table = String::from("loss %  jitter ms  overtake  delay ms  concealed ms  late  SNR dB\n");
    for (jitter, overtake) in [(0.0, false), (40.0, true), (150.0, false)] {
        for loss in [0.0, 0.05, 0.2] {
            let mut packets = clean.clone();
            impair(&mut packets, loss, jitter, overtake, 7);
            let heard = play(packets, 8.0);
            let (end, percent) = (heard.end(), loss * 100.0);
            let ratio = snr(&said, 0.1037, jitter / 1e3, &heard);
            let (delay, made, late) = (heard.delay(7.5), end.concealed.as_millis(), end.late);
            let _ = writeln!(
                table,
                "{percent:>6.0}  {jitter:>9.0}  {overtake:>8}  {delay:>8}  {made:>12}  {late:>4}  {ratio:>6.0}"
            );
        }
    }
    insta::assert_snapshot!(table, @r"
    loss %  jitter ms  overtake  delay ms  concealed ms  late  SNR dB
         0          0     false        36             0     0      31
         5          0     false        35           520     0      22
        20          0     false        39          1840     0      15
         0         40      true        57             0     0      33
         5         40      true        54           520     0      22
        20         40      true        49          1840     0      16
         0        150     false       107            61     0      33
         5        150     false       108           550     0      22
        20        150     false       108          1820     0      15
    ");
}

#[test]
fn what_a_later_packet_carries_again_is_used() {
    let mut packets = sent(Codec::Opus, 20, &speech(8.0), 0.1, 0.0);
    impair(&mut packets, 0.1, 0.0, false, 3);
    let end = play(packets, 8.0).end();
    assert!(end.recovered > ms(300) && end.concealed > ms(0), "{end:?}");
}

#[test]
fn nothing_clicks_whatever_is_lost_or_late() {
    for codec in [Codec::Pcmu, Codec::Opus] {
        let clean = sent(codec, 20, &sine(440.0, 4.0), 0.1, 0.0);
        let smooth = play(clean.clone(), 4.0).largest_step();
        for (loss, jitter) in [(0.1, 0.0), (0.0, 100.0), (0.2, 100.0)] {
            let mut packets = clean.clone();
            impair(&mut packets, loss, jitter, true, 11);
            let step = play(packets, 4.0).largest_step();
            assert!(step < 2.5 * smooth, "{codec:?} {loss} {jitter}: {step} where {smooth} is the tone's own");
        }
    }
}

#[test]
fn stretched_sound_keeps_its_pitch() {
    for (before, after, grows) in [(0.0, 0.15, true), (0.15, 0.0, false)] {
        let mut packets = sent(Codec::Pcmu, 20, &sine(200.0, 8.0), 0.1, 0.0);
        // From 2 s on every packet takes longer, or less long, but every tenth as long as before: no stall, no burst.
        for (n, p) in packets.iter_mut().enumerate() {
            let changed = p.at > 2.0 && (!grows || n % 10 == 0);
            p.arrives = p.at + if changed { after } else { before };
        }
        let heard = play(packets, 8.0);
        let (added, removed) = (heard.end().expanded - heard.at(1.5).expanded, heard.end().accelerated);
        assert!(
            if grows { added > ms(60) } else { removed > ms(50) },
            "grows {grows}: added {added:?} removed {removed:?} {:?} {:?}",
            heard.at(1.9),
            heard.end()
        );
        let loud: Vec<f64> = (15..75)
            .map(|tenth| power(heard.part(f64::from(tenth) / 10.0, f64::from(tenth) / 10.0 + 0.1), 200.0, 48_000.0))
            .map(|power| 10.0 * (power / (0.25 * 0.25 * 0.25)).log10())
            .collect();
        let off = loud.iter().filter(|level| level.abs() > 1.0).count();
        assert!(off <= if grows { 3 } else { 0 }, "grows {grows}: {loud:?}");
    }
}

#[test]
fn a_sender_whose_clock_drifts_is_followed() {
    for ppm in [200.0, -200.0, 600.0, -600.0] {
        let heard = play(sent(Codec::Pcmu, 20, &speech(25.0), 0.1, ppm), 24.5);
        assert_eq!((heard.end().concealed, heard.end().late), (ms(0), 0), "{ppm} ppm");
        let (first, last) = (heard.delay(2.0), heard.delay(24.0));
        assert!(first.abs_diff(last) <= 20 && last >= 22, "{ppm} ppm: {first} ms, then {last} ms");
    }
}

#[test]
fn a_pause_that_was_not_sent_is_no_loss() {
    let said = speech(6.0);
    let mut packets = sent(Codec::Pcmu, 20, &said, 0.1037, 0.0);
    packets.retain(|p| (p.at - 0.1037) % 0.8 < 0.56);
    for (n, p) in packets.iter_mut().enumerate() {
        p.sequence = 65_000 + n as u64;
    }
    let heard = play(packets, 5.5);
    assert_eq!((heard.end().concealed, heard.end().late), (ms(0), 0));
    assert!(snr(&said[..240_000], 0.1037, 0.0, &heard) > 20.0);
}

#[test]
fn events_in_place_of_sound_are_no_loss() {
    let mut packets = sent(Codec::Pcmu, 20, &speech(4.0), 0.1, 0.0);
    for p in packets.iter_mut().filter(|p| (1.5..1.8).contains(&p.at)) {
        (p.payload_type, p.payload) = (EVENTS, vec![5, 10, 0, 160]);
    }
    let heard = play(packets, 3.9);
    assert_eq!(heard.end().concealed, ms(0));
    assert!(heard.delay(3.8) < 45);
}

#[test]
fn codec_and_packet_length_may_change_in_mid_stream() {
    let said = sine(440.0, 1.0);
    let (mut packets, mut count, mut sound) = (Vec::new(), 0, 0.0);
    for (codec, ptime) in
        [(Codec::Pcmu, 20), (Codec::Pcmu, 60), (Codec::Pcma, 10), (Codec::Opus, 20), (Codec::Pcmu, 30)]
    {
        let part = sent(codec, ptime, &said, 0.1 + sound, 0.0);
        for mut p in part {
            (p.sequence, count) = (count, count + 1);
            // Every codec's clock starts where it likes.
            p.timestamp += if codec == Codec::Opus { 77_777_777 } else { (sound * 8_000.0) as u64 };
            packets.push(p);
        }
        sound += 1.0;
    }
    let heard = play(packets, 5.0);
    let end = heard.end();
    assert!(end.concealed <= ms(60) && end.late == 0, "{end:?}");
    assert!(heard.largest_step() < 2.5 * TAU * 440.0 / 48_000.0 * 0.25, "{}", heard.largest_step());
    for second in 0..5 {
        let from = f64::from(second) + 0.4;
        let level = power(heard.part(from, from + 0.5), 440.0, 48_000.0) / (0.25 * 0.25 * 0.25);
        assert!((0.8..1.25).contains(&level), "second {second}: {level}");
    }
}

#[test]
fn a_jump_of_the_timestamps_is_not_waited_out() {
    // Forwards and backwards, by less and by more than any delay could be, and over the wrap of 32 bits.
    for jump in [4_000_i64, 16_000, 80_000, 800_000_000, -4_000, -16_000, -80_000, -800_000_000] {
        let mut packets = sent(Codec::Pcmu, 20, &sine(440.0, 5.0), 0.1, 0.0);
        for p in packets.iter_mut().filter(|p| p.at > 2.0) {
            p.timestamp = p.timestamp.wrapping_add_signed(jump);
        }
        let heard = play(packets, 4.9);
        assert!(heard.end().concealed < ms(100), "{jump}: {:?}", heard.end());
        for tenth in [23, 30, 45] {
            let from = f64::from(tenth) / 10.0;
            let level = power(heard.part(from, from + 0.1), 440.0, 48_000.0) / (0.25 * 0.25 * 0.25);
            assert!(level > 0.6, "jump {jump}, {from} s: {level}");
        }
        assert!(heard.delay(4.8) < 60, "jump {jump}: {} ms", heard.delay(4.8));
    }
}

#[test]
fn after_an_outage_all_is_played_and_the_delay_comes_back() {
    let mut packets = sent(Codec::Pcmu, 20, &speech(26.0), 0.1, 0.0);
    for p in packets.iter_mut().filter(|p| (3.0..3.5).contains(&p.at)) {
        p.arrives = 3.5;
    }
    let heard = play(packets, 25.9);
    let (end, just_after) = (heard.end(), heard.delay(4.3));
    assert_eq!(end.late, 0);
    assert!(end.concealed >= ms(150) && end.concealed <= ms(300), "{end:?}");
    assert!(just_after > 150, "{just_after} ms");
    assert!(heard.delay(25.5) < 50, "{} ms", heard.delay(25.5));
}

#[test]
fn a_flood_is_capped_and_the_newest_is_played() {
    let mut packets = sent(Codec::Pcmu, 20, &speech(10.0), 0.1, 0.0);
    for p in packets.iter_mut().filter(|p| (1.0..5.0).contains(&p.at)) {
        p.arrives = 5.0;
    }
    let heard = play(packets, 9.9);
    // 4 s came at once: 1.2 s of them are kept.
    assert!((130..=145).contains(&heard.end().overflowed), "{:?}", heard.end());
    assert!(heard.stats.iter().all(|s| s.buffer_delay.unwrap_or_default() < ms(1_400)));
}

#[test]
fn a_flood_in_the_wrong_order_is_capped_too() {
    let mut playout = playout();
    let sound = sent(Codec::Pcmu, 20, &speech(12.0), 0.1, 0.0);
    let (start, mut frame) = (Instant::now(), [0.0; FRAME]);
    let insert = |p: &Sent, at: u64, playout: &mut Playout| {
        let (arrived, sequence, timestamp) = (start + ms(at), p.sequence, p.timestamp);
        let packet = Incoming { sequence, timestamp, arrived, payload_type: 0, marker: false, payload: &p.payload };
        playout.insert(arrived, packet);
    };
    for (n, p) in (0..).zip(&sound[..10]) {
        insert(p, n * 20, &mut playout);
        playout.pull(start + ms(n * 20), &mut frame);
    }
    let before = playout.stats();
    // Newest first, and one frame is asked for at the end.
    for p in sound[19..].iter().rev() {
        insert(p, 200, &mut playout);
    }
    playout.pull(start + ms(210), &mut frame);
    let stats = playout.stats();
    // 1.2 s of the newest are kept; what waited before is dropped, and all else is refused.
    let (dropped, expected) = (stats.overflowed - before.overflowed, sound.len() as u64 - 19 - 60);
    assert!((expected..=expected + 10).contains(&dropped) && stats.late == 0, "{expected}: {stats:?}");
}

#[test]
fn duplicates_are_counted_and_heard_once() {
    let single = sent(Codec::Pcmu, 20, &speech(3.0), 0.1, 0.0);
    let mut double = single.clone();
    double.extend(single.iter().map(|p| Sent { arrives: p.arrives + 0.005, ..p.clone() }));
    // And once more when they have been played.
    double.extend(single.iter().map(|p| Sent { arrives: p.arrives + 0.2, ..p.clone() }));
    let count =
        single.iter().filter(|p| p.arrives + 0.005 <= 2.8).count() + single.iter().filter(|p| p.arrives <= 2.6).count();
    let (once, twice) = (play(single, 2.81), play(double, 2.81));
    assert_eq!(once.sound, twice.sound);
    assert_eq!((twice.end().duplicates, twice.end().late), (count as u64, 0));
}

#[test]
fn another_source_is_heard_at_once() {
    let (mut playout, first) = (playout(), sent(Codec::Pcmu, 20, &sine(440.0, 2.0), 0.1, 0.0));
    play_with(&mut playout, first, 1.5, 1);
    playout.restart();
    let mut second = sent(Codec::Opus, 20, &sine(600.0, 2.0), 0.05, 0.0);
    for p in &mut second {
        (p.sequence, p.timestamp) = (p.sequence - 64_990, p.timestamp - 4_000_000_000);
    }
    let heard = play_with(&mut playout, second, 1.9, 1);
    assert_eq!((heard.end().late, heard.end().concealed), (0, ms(0)));
    assert!(power(heard.part(0.2, 0.4), 600.0, 48_000.0) > 0.8 * 0.25 * 0.25 * 0.25);
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    /// What a stranger may send, mostly near enough to the truth to be taken seriously.
    fn packet() -> impl Strategy<Value = (u64, u64, u8, u8, Vec<u8>, u16)> {
        let sequence = prop_oneof![8 => 0_u64..60, 1 => any::<u64>(), 1 => 1_000_u64..70_000];
        let timestamp = prop_oneof![8 => 0_u64..60_000, 1 => any::<u64>()];
        let payload_type = prop_oneof![Just(0_u8), Just(8), Just(111), Just(EVENTS)];
        let payload = prop_oneof![
            6 => prop::collection::vec(any::<u8>(), 0..200),
            1 => prop::collection::vec(any::<u8>(), 1_400..1_600),
        ];
        (sequence, timestamp, payload_type, 0_u8..4, payload, 0_u16..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn no_packets_make_it_panic_or_lose_its_rhythm(packets in prop::collection::vec(packet(), 1..80)) {
            let (start, mut playout, mut now) = (Instant::now(), playout(), Duration::ZERO);
            for (sequence, timestamp, payload_type, frames, payload, earlier) in packets {
                let arrived = (start + now).checked_sub(ms(u64::from(earlier))).unwrap_or(start);
                playout.insert(start + now, Incoming { sequence, timestamp, arrived, payload_type, marker: true, payload: &payload });
                for _ in 0..frames {
                    let (mut frame, before) = ([0.0; FRAME], playout.stats().played);
                    playout.pull(start + now, &mut frame);
                    prop_assert!(frame.iter().all(|s| s.is_finite()));
                    prop_assert!(playout.stats().played - before <= ms(10));
                    now += ms(10);
                }
            }
            let stats = playout.stats();
            prop_assert!(stats.concealed + stats.recovered <= stats.played + ms(1_000));
        }
    }
}
