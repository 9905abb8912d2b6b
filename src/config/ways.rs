//! The ways an account's media may take: ICE, STUN and TURN servers.
use super::reader::{Reader, Section};
use super::values::{Server as HostPort, ValueError};
use crate::base::secret::Secret;
use crate::nat::candidate::{IceUse, Reach, Server, ServerTransport, TurnServer};
use std::net::IpAddr;
use std::path::PathBuf;

/// RFC 8489 §17.2, RFC 8656 §19: the same for both; over TLS another.
const PORT: u16 = 3478;
const TLS_PORT: u16 = 5349;

pub(super) fn read<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> Reach {
    let ice = reader.read(section, "ice", ice).unwrap_or_default();
    let stun = reader.read(section, "stun_server", stun);
    let turn = reader.read(section, "turn_server", turn);
    let user = reader.string(section, "turn_user").unwrap_or_default();
    let password = Secret::new(reader.string(section, "turn_password").unwrap_or_default());
    let authorities = reader.string(section, "tls_ca").map(PathBuf::from);
    let relay_only = reader.read(section, "ice_policy", policy).unwrap_or_default();
    if relay_only && turn.is_none() && !section.table.contains_key("turn_server") {
        let value = section.table.get("ice_policy");
        reader.mistake(&section.name, "ice_policy", value, "nothing can be relayed without turn_server");
    }
    let turn = turn.map(|(transport, any_transport, server)| TurnServer {
        server,
        transport,
        any_transport,
        user,
        password,
        authorities,
    });
    Reach { ice, stun, turn, relay_only }
}

fn ice(text: &str) -> Result<IceUse, ValueError> {
    match text {
        "off" => Ok(IceUse::Off),
        "answer" => Ok(IceUse::Answer),
        "offer" => Ok(IceUse::Offer),
        _ => Err(ValueError::new("\"off\", \"answer\" or \"offer\" expected")),
    }
}

fn policy(text: &str) -> Result<bool, ValueError> {
    match text {
        "all" => Ok(false),
        "relay" => Ok(true),
        _ => Err(ValueError::new("\"all\" or \"relay\" expected")),
    }
}

fn stun(text: &str) -> Result<Server, ValueError> {
    server(text.strip_prefix("stun:").unwrap_or(text), PORT)
}

/// As RFC 7065 writes it: `turn:HOST[:PORT][?transport=tcp]`, `turns:HOST[:PORT]`; `turn:` may be left out.
fn turn(text: &str) -> Result<(ServerTransport, bool, Server), ValueError> {
    let expected = || ValueError::new("turn:HOST[:PORT], turn:HOST[:PORT]?transport=tcp or turns:HOST[:PORT] expected");
    let (rest, transport) = text.split_once("?transport=").unwrap_or((text, ""));
    let (rest, secure) = match rest.strip_prefix("turns:") {
        Some(rest) => (rest, true),
        None => (rest.strip_prefix("turn:").unwrap_or(rest), false),
    };
    let any = !secure && transport.is_empty();
    let transport = match (secure, transport) {
        (true, "" | "tcp") => ServerTransport::Tls,
        (false, "tcp") => ServerTransport::Tcp,
        (false, "" | "udp") => ServerTransport::Udp,
        (_, _) => return Err(expected()),
    };
    let server = server(rest, if secure { TLS_PORT } else { PORT })?;
    Ok((transport, any && server.by_records, server))
}

fn server(text: &str, port: u16) -> Result<Server, ValueError> {
    let server: HostPort = text.parse()?;
    let host = server.host.to_string();
    let host = host.trim_matches(['[', ']']).to_owned();
    let by_records = server.port.is_none() && host.parse::<IpAddr>().is_err();
    Ok(Server { host, port: server.port.unwrap_or(port), by_records })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_servers() {
        for bad in
            ["", "turn:", "turns:a?transport=udp", "turn:a?transport=sctp", "turn:a:0", "turn:a:99999", "turn:a b"]
        {
            assert!(turn(bad).is_err(), "{bad}");
        }
        // Text; transport, host, port, whether records say where it is, and whether they say the transport.
        let rows = [
            ("turn.example", ServerTransport::Udp, "turn.example", 3478, (true, true)),
            ("turn:turn.example:99?transport=udp", ServerTransport::Udp, "turn.example", 99, (false, false)),
            ("turn:turn.example:99", ServerTransport::Udp, "turn.example", 99, (false, false)),
            ("turn:turn.example?transport=tcp", ServerTransport::Tcp, "turn.example", 3478, (true, false)),
            ("turn:192.0.2.1?transport=tcp", ServerTransport::Tcp, "192.0.2.1", 3478, (false, false)),
            ("turns:[2001:db8::1]:443", ServerTransport::Tls, "2001:db8::1", 443, (false, false)),
            ("turns:turn.example", ServerTransport::Tls, "turn.example", 5349, (true, false)),
        ];
        for (text, transport, host, port, (by_records, any)) in rows {
            let server = Server { host: host.into(), port, by_records };
            assert_eq!(turn(text).map_err(|e| e.to_string()), Ok((transport, any, server)), "{text}");
        }
        assert_eq!(stun("stun:a.example").map(|s| s.port).ok(), Some(3478));
    }
}
