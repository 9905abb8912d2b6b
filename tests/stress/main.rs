//! Many calls at once over a bad network, in virtual time: whatever happens, both ends agree and nothing is left over.
//!
//! Seed 1 is run each time. `OFFHOOK_STRESS_SEED=7` runs another one, `OFFHOOK_STRESS_SEEDS=20` the first twenty.
#![expect(clippy::print_stdout, reason = "the seed repeats a failure")]
mod net;
mod phones;
mod sessions;
mod side;
mod wire;

fn seeds() -> std::ops::RangeInclusive<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (number("OFFHOOK_STRESS_SEED"), number("OFFHOOK_STRESS_SEEDS")) {
        (Some(seed), _) => seed..=seed,
        (None, Some(count)) => 1..=count,
        (None, None) => 1..=1,
    }
}

#[test]
fn a_thousand_calls_of_two_sessions_each() {
    seeds().for_each(sessions::run);
}

#[test]
fn a_thousand_calls_between_user_agents() {
    seeds().for_each(|seed| phones::run(seed, phones::PHONES));
}

/// What one crowd does not come upon another may.
#[test]
fn smaller_crowds_of_user_agents() {
    seeds().for_each(|seed| (1..=2).for_each(|crowd| phones::run(1_000 * crowd + seed, 40)));
}
