//! Whether the server knows us: a REGISTER that changes nothing, since it has no Contact (RFC 3261 §10.2.3).
use super::finding::{Finding, Topic, sentence};

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Not asked, and why.
    NotAsked(&'static str),
    /// Its last answer, and why it was not asked again.
    Answered { status: u16, reason: String, refusal: Option<String>, bindings: usize },
    /// No answer, in words.
    Failed(String),
}

pub fn judge(registration: &Registration, user: &str) -> Vec<Finding> {
    let (status, reason, refusal, bindings) = match registration {
        Registration::NotAsked(why) => {
            return vec![Finding::unknown(
                Topic::Registration,
                format!("The server was not asked whether it knows us: {why}."),
            )];
        }
        Registration::Failed(words) => {
            return vec![Finding::unknown(
                Topic::Registration,
                format!("The server was asked whether it knows us, and did not say: {words}."),
            )];
        }
        Registration::Answered { status, reason, refusal, bindings } => (*status, reason, refusal, *bindings),
    };
    let answer = format!("{status} {reason}");
    let no_calls = "The phone cannot register: nobody can call it, and most servers let it call nobody.";
    let problem =
        |found: String, advice: &str| vec![Finding::problem(Topic::Registration, found).means(no_calls).advice(advice)];
    match status {
        200..=299 => {
            let phones = match bindings {
                0 => "no phone is registered at the moment".to_owned(),
                1 => "one phone is registered at the moment".to_owned(),
                n => format!("{n} phones are registered at the moment"),
            };
            vec![Finding::ok(Topic::Registration, format!("The server accepts {user} and its password; {phones}."))]
        }
        401 | 407 => {
            let words =
                refusal.clone().unwrap_or_else(|| "it asks for a password, and the account has none".to_owned());
            let advice = if words.contains("realm") {
                "Look at realm in the account: the server has another."
            } else if words.contains("algorithm") || words.contains("quality") {
                "The server asks for a proof this phone does not know; tell whoever runs it."
            } else {
                "Look at user, auth_user and password in the account."
            };
            problem(sentence(&words), advice)
        }
        403 => problem(
            format!("The server forbids {user} to register ({answer})."),
            "The user or the password may be wrong, the account locked, or this network not allowed: ask whoever runs it.",
        ),
        404 => problem(
            format!("The server knows no user {user} ({answer})."),
            "Look at user and domain in the account: the domain must be the one the server serves.",
        ),
        status if status >= 500 => problem(
            format!("The server cannot register anybody now ({answer})."),
            "Try again later; if it stays so, tell whoever runs the server.",
        ),
        // There are servers that want a Contact in every REGISTER.
        _ => vec![
            Finding::unknown(
                Topic::Registration,
                format!("The server does not say whether it would register us ({answer})."),
            )
            .advice("`offhook register --once` tries it."),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::finding::Severity;

    #[test]
    fn what_the_server_says_of_us() {
        let said = |status, refusal: Option<&str>, bindings| Registration::Answered {
            status,
            reason: "Because".into(),
            refusal: refusal.map(str::to_owned),
            bindings,
        };
        let rows = [
            (Registration::NotAsked("so"), Severity::Unknown, "not asked"),
            (Registration::Failed("no answer".into()), Severity::Unknown, "no answer"),
            (said(200, None, 0), Severity::Ok, "no phone"),
            (said(200, None, 3), Severity::Ok, "3 phones"),
            (said(401, Some("the user name or the password is wrong"), 0), Severity::Problem, "password is wrong."),
            (said(407, None, 0), Severity::Problem, "the account has none"),
            (said(403, None, 0), Severity::Problem, "403 Because"),
            (said(404, None, 0), Severity::Problem, "no user 1001"),
            (said(503, None, 0), Severity::Problem, "cannot register"),
            (said(400, None, 0), Severity::Unknown, "does not say"),
        ];
        for (facts, severity, words) in rows {
            let findings = judge(&facts, "1001");
            assert!(findings[0].severity == severity && findings[0].found.contains(words), "{findings:?}");
        }
        let realm = judge(&said(401, Some("the challenge is of another realm than the account's"), 0), "1001");
        assert!(realm[0].advice.contains("realm"), "{realm:?}");
    }
}
