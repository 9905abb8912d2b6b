//! Other requests within the dialog.
use super::*;

#[test]
fn each_target_refresh_moves_the_bye() {
    let bye_goes_to = |session: &mut Session, now| {
        outputs(session);
        session.hang_up(now, None);
        first_request(session).1.uri.to_string()
    };
    for method in ["UPDATE", "INVITE"] {
        let (mut session, now) = confirmed();
        let (key, mut request) = within(&session, method, 6, "\n\nnew offer");
        request.headers.set("Contact", "<sip:moved@192.0.2.9>");
        session.handle_request(now, key, request);
        let Some(Event::Offer { id, .. }) = session.poll_event() else { panic!("no offer") };
        session.answer(now, id, Answer::Accept(Body::sdp("answer")));
        assert_eq!(bye_goes_to(&mut session, now), "sip:moved@192.0.2.9", "{method}");
    }
    let (mut session, now) = established();
    let (id, request) = reinvite(&mut session, now);
    let mut ok = answer_to(&request, 200, "b", Some("held"));
    ok.headers.set("Contact", "<sip:moved@192.0.2.9>");
    session.handle_response(now, id, ok);
    assert_eq!(bye_goes_to(&mut session, now), "sip:moved@192.0.2.9");
}

#[test]
fn requests_within_the_dialog() {
    /// Method, CSeq, headers and body; what we say, what we tell.
    type Row = (&'static str, u32, &'static str, &'static [&'static str], &'static [&'static str]);
    let rows: [Row; 21] = [
        ("INFO", 4, "", &["500"], &[]),
        ("OPTIONS", 6, "Require: novelty", &["420"], &[]),
        ("MESSAGE", 6, "", &["405"], &[]),
        ("REFER", 6, "", &["400"], &[]),
        ("REFER", 6, "Refer-To: <tel:1>", &["400"], &[]),
        ("REFER", 6, "Refer-To: <sip:a@h>\nRefer-To: <sip:b@h>", &["400"], &[]),
        ("REFER", 6, "Refer-To: sip:602@192.0.2.1", &["202", "NOTIFY"], &["Referred <sip:602@192.0.2.1>"]),
        ("PRACK", 6, "", &["481"], &[]),
        ("UPDATE", 6, "Supported: timer\nSession-Expires: 5", &["422"], &[]),
        ("INVITE", 6, "Supported: timer\nSession-Expires: 5", &["422"], &[]),
        ("NOTIFY", 6, "Event: refer", &["481"], &[]),
        ("BREW", 6, "", &["501"], &[]),
        ("INFO", 6, "Info-Package: nonsense", &["469"], &[]),
        ("UPDATE", 6, "Content-Type: x/y\nContent-Length: 1\n\n", &["200"], &[]),
        ("INFO", 6, "", &["200"], &["Notified INFO"]),
        ("OPTIONS", 6, "", &["200"], &[]),
        ("UPDATE", 6, "P-Asserted-Identity: <sip:new@h>", &["200"], &["Notified UPDATE"]),
        ("UPDATE", 6, "\n\nnew offer", &[], &["Offer new offer"]),
        ("INVITE", 6, "\n\nnew offer", &[], &["Offer new offer"]),
        ("INVITE", 6, "", &[], &["OfferWanted"]),
        ("BYE", 6, "Reason: Q.850;cause=16", &["200"], &["Ended by the peer: Q.850 Some(16)"]),
    ];
    for (method, cseq, more, says, tells) in rows {
        let more = more.replace("Content-Length: 1\n\n", "");
        let (mut session, now) = confirmed();
        let (key, request) = within(&session, method, cseq, &more);
        session.handle_request(now, key, request);
        assert_eq!(said(&mut session), says, "{method} {more}");
        assert_eq!(told(&mut session), tells, "{method} {more}");
    }
    let (mut session, now) = confirmed();
    let (key, mut stranger) = within(&session, "BYE", 6, "");
    stranger.headers.set("From", "<sip:bob@192.0.2.2>;tag=other");
    session.handle_request(now, key, stranger);
    assert_eq!((said(&mut session), told(&mut session)), (vec!["481".to_owned()], vec![]));
}

#[test]
fn a_probe_tells_whether_the_dialog_is_there() {
    // Status (0: no answer, 1: not sent), what is told, what `abandon` says then.
    let rows: [(u16, &str, &[&str]); 5] = [
        (0, "Lost 408", &["BYE"]),
        (1, "Lost 503", &["BYE"]),
        (481, "Lost 481", &[]),
        (405, "Alive", &["BYE"]),
        (200, "Alive", &["BYE"]),
    ];
    for (status, tells, says) in rows {
        let (mut session, now) = established();
        session.probe();
        let (id, options) = first_request(&mut session);
        assert_eq!(
            (options.method.as_str(), options.headers.get("To").is_some_and(|to| to.contains("tag="))),
            ("OPTIONS", true)
        );
        session.probe();
        assert!(said(&mut session).is_empty(), "one question at a time");
        assert!(session.awaits(id));
        match status {
            0 => session.handle_failure(now, id, Failure::Timeout),
            1 => session.handle_failure(now, id, Failure::Transport),
            _ => session.handle_response(now, id, answer_to(&options, status, "b", None)),
        }
        assert_eq!((told(&mut session), session.phase()), (vec![tells.to_owned()], Phase::Established));
        session.abandon(now, if status == 481 { 481 } else { 408 });
        assert_eq!(said(&mut session), says, "{status}");
    }
}

#[test]
fn a_session_always_ends_its_wait() {
    let (mut session, mut now) = established();
    session.hang_up(now, None);
    first_request(&mut session);
    events(&mut session);
    assert!(!session.is_done());
    pass(&mut session, &mut now, ms(96_000));
    assert!(session.is_done());
}
