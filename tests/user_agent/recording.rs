//! Calls that are recorded: what media is told, and what the disk tells.
use crate::world::World;
use crate::{SECOND, talking};
use offhook::base::id::{CallNumber, StreamId};
use offhook::media::event::MediaEvent;
use offhook::media::spec::{MediaCommand, Recording};
use offhook::ua::command::Command;
use offhook::ua::event::Event;
use std::time::Duration;

const CALL: CallNumber = CallNumber(1);
const STREAM: StreamId = StreamId(1);

/// What media was told of recordings.
fn told(world: &World) -> Vec<Option<Recording>> {
    let of = |command: &MediaCommand| match command {
        MediaCommand::Record { stream, recording } => {
            assert_eq!(*stream, STREAM);
            Some(recording.clone())
        }
        _ => None,
    };
    world.phones[0].media.iter().filter_map(of).collect()
}

fn tell(world: &mut World, event: MediaEvent) {
    let now = world.now;
    world.phones[0].agent.handle_media(now, event);
    world.drain();
}

fn over(missing: Duration, trouble: Option<&str>) -> MediaEvent {
    MediaEvent::Recorded { stream: STREAM, file: "/r/a.wav".into(), missing, trouble: trouble.map(str::to_owned) }
}

fn refusals(world: &World) -> Vec<String> {
    let of = |event: &Event| match event {
        Event::Refused { reason } => Some(reason.clone()),
        _ => None,
    };
    world.phones[0].events.iter().filter_map(of).collect()
}

#[test]
fn a_call_is_recorded_and_stopped() {
    let mut world = talking(81);
    world.command(0, Command::Record(CALL, Some("talk".into())));
    let wanted = Recording { label: "phone2@192.0.2.2".into(), file: Some("talk".into()), notice: false };
    assert_eq!((told(&world), world.call(0).recording), (vec![Some(wanted.clone())], Some(String::new())));
    tell(&mut world, MediaEvent::Recording { stream: STREAM, file: "/r/a.wav".into() });
    assert_eq!(world.call(0).recording.as_deref(), Some("/r/a.wav"));
    world.command(0, Command::Record(CALL, None));
    assert_eq!(refusals(&world).len(), 1, "it is recorded already");
    world.command(0, Command::StopRecording(CALL));
    assert_eq!((told(&world), world.call(0).recording), (vec![Some(wanted), None], None));
    tell(&mut world, over(3 * SECOND, None));
    let ended = Event::Recorded { call: CALL, file: "/r/a.wav".into(), missing: 3 * SECOND };
    assert!(world.phones[0].events.contains(&ended));
    assert!(world.log.iter().any(|line| line.contains("3.00 s are silent")), "{:?}", world.log);
    // And once more.
    world.command(0, Command::Record(CALL, None));
    assert_eq!(told(&world).len(), 3);
}

#[test]
fn a_disk_that_fails_is_told_once_and_the_call_goes_on() {
    let mut world = talking(82);
    world.command(0, Command::Record(CALL, None));
    tell(&mut world, over(Duration::ZERO, Some("No space left on device")));
    assert_eq!((world.call(0).recording, told(&world).last()), (None, Some(&None)));
    assert_eq!(refusals(&world), ["the call is not recorded: No space left on device"]);
    assert!(world.is_established(0));
}

#[test]
fn what_cannot_be_recorded_is_refused() {
    let mut world = World::direct(2, 83);
    world.command(0, Command::Record(CALL, None));
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".into() });
    world.run(SECOND);
    world.command(0, Command::Record(CALL, None));
    world.command(0, Command::StopRecording(CALL));
    assert_eq!(refusals(&world).len(), 3);
    world.command(1, Command::Answer(CallNumber(1)));
    world.run(SECOND);
    for name in ["../x", "/etc/passwd", "", ".hidden", "a\nb", "a\\b", &"x".repeat(81)] {
        world.command(0, Command::Record(CALL, Some(name.into())));
    }
    assert_eq!((refusals(&world).len(), told(&world).len()), (10, 0));
}

#[test]
fn every_call_is_recorded_where_that_is_wanted() {
    let mut settings: Vec<_> = (1..=2)
        .map(|n| {
            let account = crate::world::account(&format!("phone{n}"), crate::world::address(n), false);
            crate::world::settings(vec![account])
        })
        .collect();
    settings[0].recording.always = true;
    settings[0].recording.notice = true;
    let mut world = World::new(settings, 84);
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".into() });
    world.run(SECOND);
    assert_eq!(told(&world), [], "nobody has answered");
    world.command(1, Command::Answer(CallNumber(1)));
    world.run(SECOND);
    assert!(matches!(told(&world).as_slice(), [Some(Recording { notice: true, file: None, .. })]));
    world.command(0, Command::StopRecording(CALL));
    world.run(5 * SECOND);
    assert_eq!(told(&world).len(), 2, "the user has stopped it for good");
}
