//! Sessions and any sequence of messages, verbs and waits.
use super::*;
use crate::sip::key::ServerKey;
use crate::sip::testing::*;
use proptest::prelude::*;
use std::time::Instant;

#[derive(Clone, Debug)]
enum Step {
    Response { which: usize, status: u16, tag: u8, body: bool },
    Failure { which: usize },
    Request { method: u8, cseq: u32, tag: u8, body: bool },
    Ack { cseq: u32, body: bool },
    Cancelled,
    Answer { id: u32, accept: bool },
    Accept { body: bool },
    Provisional,
    Reject,
    Reinvite,
    HangUp,
    Authenticate { id: u32 },
    GiveUp { id: u32 },
    Follow,
    OfferAgain,
    TakeRefusal,
    Wait { ms: u64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let body = any::<bool>();
    prop_oneof![
        6 => (0_usize..8, prop_oneof![Just(100_u16), Just(180), Just(183), Just(199), Just(200), Just(302), Just(401),
            Just(408), Just(481), Just(486), Just(487), Just(488), Just(491), Just(500), 100_u16..700], 0_u8..4, body)
            .prop_map(|(which, status, tag, body)| Step::Response { which, status, tag, body }),
        1 => (0_usize..8).prop_map(|which| Step::Failure { which }),
        4 => (0_u8..9, 4_u32..12, 0_u8..3, any::<bool>())
            .prop_map(|(method, cseq, tag, body)| Step::Request { method, cseq, tag, body }),
        2 => (4_u32..12, any::<bool>()).prop_map(|(cseq, body)| Step::Ack { cseq, body }),
        1 => Just(Step::Cancelled),
        3 => (0_u32..8, any::<bool>()).prop_map(|(id, accept)| Step::Answer { id, accept }),
        2 => any::<bool>().prop_map(|body| Step::Accept { body }),
        1 => Just(Step::Provisional),
        1 => Just(Step::Reject),
        2 => Just(Step::Reinvite),
        1 => Just(Step::HangUp),
        1 => (0_u32..6).prop_map(|id| Step::Authenticate { id }),
        1 => (0_u32..6).prop_map(|id| Step::GiveUp { id }),
        1 => Just(Step::Follow),
        1 => Just(Step::OfferAgain),
        1 => Just(Step::TakeRefusal),
        3 => prop_oneof![Just(0_u64), 1_u64..5_000, 5_000_u64..200_000].prop_map(|ms| Step::Wait { ms }),
    ]
}

const METHODS: [&str; 9] = ["INVITE", "UPDATE", "BYE", "INFO", "OPTIONS", "NOTIFY", "REFER", "PRACK", "BREW"];

/// Feeds steps to a session; returns how often it told its end.
fn feed(session: &mut Session, start: Instant, steps: &[Step]) -> usize {
    let (mut now, mut sent, mut ends) = (start, Vec::new(), 0);
    for step in steps {
        match step.clone() {
            Step::Response { which, status, tag, body } => {
                let Some((id, request)) = sent.get(which).cloned() else { continue };
                let tag = ["b", "c", "d", "e"][usize::from(tag)];
                session.handle_response(now, id, answer_to(&request, status, tag, body.then_some("body")));
            }
            Step::Failure { which } => {
                let Some((id, _)) = sent.get(which).cloned() else { continue };
                session.handle_failure(now, id, Failure::Timeout);
            }
            Step::Request { method, cseq, tag, body } => {
                let more = if body { "\n\nbody" } else { "" };
                let (key, mut request) = within(session, METHODS[usize::from(method)], cseq, more);
                if tag == 2 {
                    request.headers.set("From", "<sip:bob@192.0.2.2>;tag=c");
                }
                session.handle_request(now, key, request);
            }
            Step::Ack { cseq, body } => {
                let (_, ack) = within(session, "ACK", cseq, if body { "\n\nbody" } else { "" });
                session.handle_ack(now, ack);
            }
            Step::Cancelled => {
                let key = ServerKey::of_request(&request(INVITE)).expect("a key");
                session.handle_cancelled(now, &key, &request(INVITE));
            }
            Step::Answer { id, accept } => {
                let answer = if accept { Answer::Accept(Body::sdp("body")) } else { Answer::Reject(488) };
                session.answer(now, OfferId(id), answer);
            }
            Step::Accept { body } => session.accept(now, body.then(|| Body::sdp("body"))),
            Step::Provisional => session.provisional(now, 183, Some(Body::sdp("body"))),
            Step::Reject => session.reject(now, 486, &[]),
            Step::Reinvite => session.reinvite(now),
            Step::HangUp => session.hang_up(now, None),
            Step::Authenticate { id } => session.authenticate(now, RequestId(id), Vec::new()),
            Step::GiveUp { id } => session.give_up(now, RequestId(id)),
            Step::Follow => session.follow(now, contact().uri),
            Step::OfferAgain => session.offer_again(now, Body::sdp("again")),
            Step::TakeRefusal => session.take_refusal(now),
            Step::Wait { ms: wait } => pass(session, &mut now, ms(wait)),
        }
        sent.extend(outputs(session).into_iter().filter_map(|output| match output {
            Output::Request { id, request, .. } => Some((id, request)),
            _ => None,
        }));
        ends += events(session).iter().filter(|event| matches!(event, Event::Ended { .. })).count();
    }
    session.hang_up(now, None);
    ends += events(session).iter().filter(|event| matches!(event, Event::Ended { .. })).count();
    pass(session, &mut now, ms(100_000));
    outputs(session);
    events(session);
    assert!(session.is_done(), "{session:?}");
    ends
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// No sequence of messages and verbs panics, every session ends once, and lets go in the end.
    #[test]
    fn any_sequence_ends_once(steps in prop::collection::vec(any_step(), 0..40), kind in 0_u8..4) {
        let (mut session, now) = match kind {
            0 => calling(Some("offer")),
            1 => calling(None),
            2 => ringing(Some("offer")),
            _ => ringing(None),
        };
        session.config.offers_again = kind == 0;
        prop_assert_eq!(feed(&mut session, now, &steps), 1);
    }
}
