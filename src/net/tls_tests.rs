//! TLS against servers on loopback with certificates made for each row.
use super::dial::{Dialler, Link};
use super::manager::Access;
use super::router::Server;
use super::testing::{Authority, Credential, Folder, HERE, OPTIONS, Wanted, acceptor, echo, listen, run, server};
use crate::base::net::{Flow, Transport};
use crate::sip::locate::AccessId;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const NAME: &str = "sip.example.com";
const PATIENCE: Duration = Duration::from_secs(10);

async fn tls_server(home: IpAddr, credential: &Credential, is_13: bool, clients: Option<&Authority>) -> SocketAddr {
    let acceptor = acceptor(credential, is_13, clients);
    listen(home, move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                echo(stream).await;
            }
        }
    })
    .await
}

/// Connects, and says something that must come back.
async fn reach(access: Access, at: SocketAddr, server: &Server, patience: Duration) -> Result<(), String> {
    let dialler = Dialler::new(vec![access], 0, patience);
    let flow = Flow {
        peer: dialler.servers().number(server),
        ..Flow::new(Transport::Tls, SocketAddr::new(at.ip(), 5060), at)
    };
    let link = dialler.dial(&flow).await.map_err(|error| error.to_string())?;
    let Link::Stream(mut stream) = link else { panic!("no WebSocket was asked for") };
    let mut back = vec![0; OPTIONS.len()];
    let heard = async {
        stream.write_all(OPTIONS).await?;
        stream.flush().await?;
        stream.read_exact(&mut back).await
    };
    heard.await.map_err(|error| super::tls::describe(&error))?;
    assert_eq!(back, OPTIONS);
    Ok(())
}

#[test]
fn a_certificate_that_is_not_the_servers_is_refused_with_the_way_out() {
    run(async {
        let (authority, folder) = (Authority::new(), Folder::new());
        let trusting = folder.trusting(&authority.pem());
        let sign = |wanted| authority.sign(&wanted);
        let names = |names| sign(Wanted { names, ..Wanted::default() });
        let uris = |uris| sign(Wanted { uris, ..Wanted::default() });
        let years = |years| sign(Wanted { names: &[NAME], years, ..Wanted::default() });
        let own = Wanted { names: &[NAME], ..Wanted::default() };
        let own_authority = Wanted { names: &[NAME], is_authority: true, ..Wanted::default() };
        let own_other = Wanted { names: &["b.example"], is_authority: true, ..Wanted::default() };
        let own_old = Wanted { names: &[NAME], is_authority: true, years: (2000, 2016), ..Wanted::default() };
        let (other, old) = (own_other.self_signed(), own_old.self_signed());
        let (trusting_other, trusting_old) = (folder.trusting(&other.certificate), folder.trusting(&old.certificate));
        let nobody = Access::default();
        let rows = [
            (
                years((2000, 2024)),
                &trusting,
                "the certificate of sip.example.com expired on 2024-02-29; its operator must renew it",
            ),
            (years((2089, 2092)), &trusting, "the certificate of sip.example.com is valid from 2089-01-01 on"),
            (
                names(&["a.example", "*.b.example"]),
                &trusting,
                "the certificate names a.example, *.b.example, not sip.example.com;",
            ),
            (names(&["127.0.0.1"]), &trusting, "the certificate names 127.0.0.1, not sip.example.com;"),
            (names(&["*.sip.example.com", "*.com"]), &trusting, "not sip.example.com;"),
            (names(&["a", "b", "c", "d", "e", "f"]), &trusting, "the certificate names a, b, c, d, 2 more, not"),
            (
                names(&[]),
                &trusting,
                "the certificate names no server at all; have it made anew with the subjectAltName DNS:sip.example.com",
            ),
            (uris(&["sip:alice@sip.example.com"]), &trusting, "names sip:alice@sip.example.com, not sip.example.com;"),
            (uris(&["https:sip.example.com", "sips:sip.example.com"]), &trusting, "not sip.example.com;"),
            (names(&[NAME]), &nobody, "nobody trusted has signed the certificate of sip.example.com; set tls_ca"),
            (own.self_signed(), &trusting, "signed by itself; if it is the right one, save it and set tls_ca"),
            (own_authority.self_signed(), &trusting, "signed by itself; if it is the right one"),
            (other.clone(), &trusting_other, "the certificate names b.example, not"),
            (old.clone(), &trusting_old, "expired on 2016-02-29"),
        ];
        for (credential, access, sentence) in rows {
            for is_13 in [false, true] {
                let at = tls_server(HERE, &credential, is_13, None).await;
                let error = reach(access.clone(), at, &server(NAME), PATIENCE).await.expect_err(sentence);
                assert!(error.contains(sentence), "{error:?}, not {sentence:?}");
            }
        }
        let at = tls_server(HERE, &names(&[NAME]), true, None).await;
        let error = reach(trusting, at, &server("127.0.0.1"), PATIENCE).await.expect_err("an address is no name");
        assert!(error.contains("the certificate names sip.example.com, not 127.0.0.1"), "{error}");
    });
}

#[test]
fn the_right_certificate_is_accepted() {
    run(async {
        let (authority, folder) = (Authority::new(), Folder::new());
        let trusting = folder.trusting(&authority.pem());
        let names = |names| authority.sign(&Wanted { names, ..Wanted::default() });
        let uris = |uris| authority.sign(&Wanted { uris, names: &["other.example"], ..Wanted::default() });
        let own = Wanted { names: &["pbx.lan"], is_authority: true, ..Wanted::default() }.self_signed();
        let own_leaf = Wanted { names: &["pbx.lan"], ..Wanted::default() }.self_signed();
        let own_uri = Wanted { uris: &["sip:pbx.lan"], is_authority: true, ..Wanted::default() }.self_signed();
        let rows = [
            (names(&["b.example", "sip.example.com"]), trusting.clone(), "SIP.example.com"),
            (names(&["sip.example.com"]), trusting.clone(), "sip.example.com."),
            (names(&["*.example.com"]), trusting.clone(), "sip.example.com"),
            (uris(&["sip:Example.com"]), trusting.clone(), "example.com"),
            (names(&["127.0.0.1"]), trusting.clone(), "127.0.0.1"),
            (own.clone(), folder.trusting(&own.certificate), "pbx.lan"),
            (own_leaf.clone(), folder.trusting(&own_leaf.certificate), "pbx.lan"),
            (own_uri.clone(), folder.trusting(&own_uri.certificate), "pbx.lan"),
        ];
        for (credential, access, name) in rows {
            for is_13 in [false, true] {
                let at = tls_server(HERE, &credential, is_13, None).await;
                assert_eq!(reach(access.clone(), at, &server(name), PATIENCE).await, Ok(()), "{name}");
            }
        }
        let six = IpAddr::V6(Ipv6Addr::LOCALHOST);
        if std::net::TcpListener::bind((six, 0)).is_ok() {
            let at = tls_server(six, &names(&["::1"]), true, None).await;
            assert_eq!(reach(trusting.clone(), at, &server("::1"), PATIENCE).await, Ok(()));
            assert_eq!(reach(trusting, at, &server("[::1]"), PATIENCE).await, Ok(()), "as it stands in a URI");
        }
    });
}

#[test]
fn a_server_that_wants_a_client_certificate() {
    run(async {
        let (authority, others, folder) = (Authority::new(), Authority::new(), Folder::new());
        let trusting = folder.trusting(&authority.pem());
        let (site, client, stranger) = (authority.name("a.example"), authority.name("phone"), others.name("phone"));
        let with = |credential: &Credential, name: &str| {
            let chain = folder.write(&format!("{name}.pem"), &credential.certificate);
            let key = folder.write(&format!("{name}.key"), &credential.key);
            Access { certificate: Some((chain, key)), ..trusting.clone() }
        };
        let rows = [
            (trusting.clone(), Err("the server asks for a client certificate; set tls_certificate and tls_key")),
            (with(&stranger, "stranger"), Err("the server does not accept our client certificate (")),
            (with(&client, "client"), Ok(())),
        ];
        for (access, outcome) in rows {
            for is_13 in [false, true] {
                let at = tls_server(HERE, &site, is_13, Some(&authority)).await;
                match (reach(access.clone(), at, &server("a.example"), PATIENCE).await, outcome) {
                    (Err(error), Err(sentence)) => assert!(error.contains(sentence), "{error:?}, not {sentence:?}"),
                    (heard, outcome) => assert_eq!(heard.is_ok(), outcome.is_ok(), "{heard:?}"),
                }
            }
        }
        // A certificate that nobody asks for does no harm.
        let at = tls_server(HERE, &site, true, None).await;
        assert_eq!(reach(with(&client, "client"), at, &server("a.example"), PATIENCE).await, Ok(()));
    });
}

#[test]
fn a_peer_that_speaks_no_tls() {
    run(async {
        let folder = Folder::new();
        let access = folder.trusting(&Authority::new().pem());
        let talks = listen(HERE, |mut stream| async move {
            let _ = stream.write_all(b"SIP/2.0 400 What?\r\n\r\n").await;
            let _ = stream.read(&mut [0; 1024]).await;
        });
        let hangs_up = listen(HERE, |mut stream| async move {
            let _ = stream.read(&mut [0; 1024]).await;
        });
        let says_nothing =
            listen(HERE, |mut stream| async move { while let Ok(1..) = stream.read(&mut [0; 1024]).await {} });
        let rows = [
            (talks.await, "the peer speaks no TLS; is this its TLS port?", PATIENCE),
            (hangs_up.await, "the peer closed the connection in the TLS handshake; is this its TLS port?", PATIENCE),
            (says_nothing.await, "the TLS handshake was begun and not finished", Duration::from_millis(300)),
        ];
        for (at, sentence, patience) in rows {
            let error = reach(access.clone(), at, &server("a.example"), patience).await.expect_err(sentence);
            assert!(error.starts_with(sentence), "{error:?}, not {sentence:?}");
        }
        let taken = std::net::TcpListener::bind((HERE, 0)).expect("a port").local_addr().expect("bound");
        let error = reach(access, taken, &server("a.example"), PATIENCE).await.expect_err("nobody is there");
        assert!(error.contains("refused"), "{error}");
    });
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_account() {
    run(async {
        let (authority, folder) = (Authority::new(), Folder::new());
        let (client, other) = (authority.name("phone"), authority.name("phone"));
        let at = tls_server(HERE, &authority.name("a.example"), true, None).await;
        let good = folder.trusting(&authority.pem());
        let pair = |certificate: &str, key: &str| {
            let files = (folder.write("c.pem", certificate), folder.write("c.key", key));
            Access { certificate: Some(files), ..good.clone() }
        };
        let ca = |text: &str| Access { ca_file: Some(folder.write("bad.pem", text)), ..good.clone() };
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let rows = [
            (
                Access { ca_file: Some("/nowhere/ca.pem".into()), ..good.clone() },
                "account 3: tls_ca /nowhere/ca.pem: No such file",
            ),
            (ca("hello"), "bad.pem: there is no certificate in it; a PEM file is expected"),
            (ca("-----BEGIN CERTIFICATE-----\nAAAA\n"), "bad.pem: it is not a PEM file"),
            (ca(broken), "bad.pem: one of its certificates cannot be read"),
            (pair("hello", &client.key), "tls_certificate"),
            (pair(&client.certificate, "hello"), "c.key: there is no private key without a passphrase in it"),
            (pair(&client.certificate, &other.key), "c.key: the key is not the one of the certificate in "),
            (pair(broken, &client.key), "account 3: tls_key "),
        ];
        for (access, sentence) in rows {
            let dialler = Dialler::new(vec![good.clone(), good.clone(), access], 0, PATIENCE);
            let flow = |account| {
                let server = Server { name: "a.example".to_owned(), access: AccessId(account) };
                Flow {
                    peer: dialler.servers().number(&server),
                    ..Flow::new(Transport::Tls, SocketAddr::new(HERE, 5060), at)
                }
            };
            let error = dialler.dial(&flow(2)).await.map(|_| ()).expect_err(sentence).to_string();
            assert!(error.contains(sentence), "{error:?}, not {sentence:?}");
            assert!(dialler.dial(&flow(0)).await.is_ok(), "the other accounts are served");
        }
    });
}
