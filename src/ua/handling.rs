//! What becomes of the calls of an account without anybody being asked each time: plain, validated data.
use crate::nat::candidate::Reach;
use crate::ua::dial_plan::DialPlan;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handling {
    /// How numbers are rewritten before they are called.
    pub dial_plan: DialPlan,
    /// What the configuration says; it is switched at run time.
    pub forwarding: Forwarding,
    /// No call rings: all are refused as busy.
    pub do_not_disturb: bool,
    /// Whose calls are answered at once when they ask for it: users of the account's own domain, or addresses.
    pub auto_answer_from: Vec<String>,
    /// Where calls are parked: the extension a call is transferred to; empty: the server has none.
    pub park: String,
    /// Where parked calls wait; their lamps are watched.
    pub park_slots: Vec<String>,
    /// What is called to take a call that rings at one certain phone; `{number}` is that phone's.
    pub pickup_code: String,
    /// What is called to take a call that rings at any phone of our group.
    pub group_pickup_code: String,
    /// The ways media may take: ICE, STUN and TURN.
    pub reach: Reach,
}

impl Default for Handling {
    fn default() -> Self {
        Self {
            dial_plan: DialPlan::default(),
            forwarding: Forwarding::default(),
            do_not_disturb: false,
            auto_answer_from: Vec::new(),
            park: "700".to_owned(),
            park_slots: Vec::new(),
            pickup_code: "**{number}".to_owned(),
            group_pickup_code: "*8".to_owned(),
            reach: Reach::default(),
        }
    }
}

/// The place of the number in [`Handling::pickup_code`].
pub const NUMBER: &str = "{number}";

/// When a call is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    Always,
    /// While a call is up.
    Busy,
    /// When nobody has answered for a while.
    NoAnswer,
}

impl When {
    pub const ALL: [Self; 3] = [Self::Always, Self::Busy, Self::NoAnswer];

    /// As commands name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Busy => "busy",
            Self::NoAnswer => "noanswer",
        }
    }
}

/// Where calls go instead of ringing here: what the user would dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    pub always: Option<String>,
    pub busy: Option<String>,
    pub no_answer: Option<String>,
    /// How long it rings before `no_answer` holds.
    pub after: Duration,
}

impl Default for Forwarding {
    fn default() -> Self {
        Self { always: None, busy: None, no_answer: None, after: Duration::from_secs(20) }
    }
}

impl Forwarding {
    pub fn target(&self, when: When) -> Option<&str> {
        match when {
            When::Always => self.always.as_deref(),
            When::Busy => self.busy.as_deref(),
            When::NoAnswer => self.no_answer.as_deref(),
        }
    }

    pub fn set(&mut self, when: When, target: Option<String>) {
        match when {
            When::Always => self.always = target,
            When::Busy => self.busy = target,
            When::NoAnswer => self.no_answer = target,
        }
    }

    /// What becomes of calls, in words.
    pub fn words(&self, do_not_disturb: bool) -> String {
        let after = self.after.as_secs();
        let told = [
            do_not_disturb.then(|| "do not disturb".to_owned()),
            self.always.as_ref().map(|to| format!("all calls go to {to}")),
            self.busy.as_ref().map(|to| format!("when busy to {to}")),
            self.no_answer.as_ref().map(|to| format!("after {after} s to {to}")),
        ];
        let told: Vec<String> = told.into_iter().flatten().collect();
        if told.is_empty() { "all calls ring here".to_owned() } else { told.join(", ") }
    }

    pub fn is_on(&self) -> bool {
        When::ALL.iter().any(|when| self.target(*when).is_some())
    }
}
