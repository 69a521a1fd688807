//! Buckets against what a limit promises, on a clock that only the test moves.
use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn name(number: usize) -> Producer {
    Producer::parse(&format!("p{number}")).unwrap()
}

fn rates(events: (u64, u64), bytes: (u64, u64)) -> Rates {
    let rate = |(per_second, burst)| Rate { per_second, burst };
    Rates { events: Some(rate(events)), bytes: Some(rate(bytes)) }
}

fn limiter(rates: Rates) -> (RateLimiter, Instant) {
    let now = Instant::now();
    (RateLimiter::new(rates, std::iter::empty(), now), now)
}

const fn load(events: usize, bytes: usize) -> Load {
    Load { events, bytes }
}

proptest! {
    /// Calls at random times: what passes in any window is at most a burst and the rate times the window,
    /// whoever is refused succeeds after the wait that it was told, and not before.
    #[test]
    fn nobody_gets_more_than_a_limit_and_every_wait_is_true(
        events in (1_u64..5000, 1000_u64..3000),
        bytes in (1024_u64..1 << 24, 4_u64 << 20..8 << 20),
        calls in prop::collection::vec((0_u64..2_000_000_000, 1_usize..=1000, 1_usize..=4 << 20), 1..60),
    ) {
        let (limiter, began) = limiter(rates(events, bytes));
        let mut now = began;
        let mut passed: VecDeque<(Instant, Load)> = VecDeque::new();
        for (pause, events, bytes) in calls {
            now += Duration::from_nanos(pause);
            let load = load(events, bytes);
            if let Err(throttled) = limiter.pay(&name(1), load, now) {
                prop_assert!(throttled.wait > Duration::ZERO);
                let early = now + throttled.wait - Duration::from_nanos(1);
                prop_assert!(limiter.pay(&name(1), load, early).is_err(), "before the time");
                now += throttled.wait;
                prop_assert_eq!(limiter.pay(&name(1), load, now), Ok(()), "after the wait");
            }
            passed.push_back((now, load));
        }
        for (first, (from, _)) in passed.iter().enumerate() {
            let (mut all_events, mut all_bytes) = (0, 0);
            for (until, load) in passed.iter().skip(first) {
                all_events += load.events as u128;
                all_bytes += load.bytes as u128;
                let most = |(per_second, burst): (u64, u64)| {
                    u128::from(burst) + (u128::from(per_second) * (*until - *from).as_nanos()).div_ceil(SECOND)
                };
                prop_assert!(all_events <= most(events) && all_bytes <= most(bytes));
            }
        }
    }
}

#[test]
fn a_load_refused_for_one_limit_has_not_paid_the_other() {
    let (limiter, now) = limiter(rates((1, 1000), (1024, 4 << 20)));
    assert_eq!(limiter.pay(&name(1), load(1, 4 << 20), now), Ok(()));
    for _ in 0..10 {
        let throttled = limiter.pay(&name(1), load(999, 1024), now).unwrap_err();
        assert_eq!((throttled.unit, throttled.wait), (Unit::Bytes, Duration::from_secs(1)));
    }
    assert_eq!(limiter.pay(&name(1), load(999, 0), now), Ok(()), "no event was taken by the refused calls");
}

#[test]
fn what_is_owed_is_paid_back_before_anything_else() {
    let (limiter, now) = limiter(rates((100, 1000), (1 << 30, 1 << 30)));
    assert_eq!(limiter.owe(&name(1), load(1000, 0), now), Ok(()));
    let owes = limiter.owe(&name(1), load(500, 0), now).unwrap_err();
    assert_eq!(owes.wait, Duration::from_secs(5));
    let refused = limiter.pay(&name(1), load(1, 0), now).unwrap_err();
    assert_eq!(refused.wait, Duration::from_millis(5010));
    assert_eq!(limiter.pay(&name(1), load(1, 0), now + refused.wait), Ok(()));
}

#[test]
fn producers_do_not_pay_for_each_other() {
    let now = Instant::now();
    let named = [(name(2), Rates::default()), (name(3), rates((1, 2000), (1024, 4 << 20)))];
    let others = rates((1, 1000), (1024, 4 << 20));
    let limiter = RateLimiter::new(others, named.iter().map(|(name, rates)| (name, *rates)), now);
    assert_eq!(limiter.pay(&name(1), load(1000, 1), now), Ok(()));
    assert!(limiter.pay(&name(1), load(1, 1), now).is_err());
    assert_eq!(limiter.pay(&name(4), load(1000, 1), now), Ok(()), "another one without an entry");
    for _ in 0..100 {
        assert_eq!(limiter.pay(&name(2), load(1000, 4 << 20), now), Ok(()), "no limit");
    }
    assert_eq!(limiter.pay(&name(3), load(2000, 1), now), Ok(()), "its own burst");
    assert!(limiter.pay(&name(3), load(1, 1), now).is_err());
}

#[test]
fn names_are_bounded_and_full_buckets_make_room() {
    let (limiter, now) = limiter(rates((1, 1000), (1024, 4 << 20)));
    for number in 0..MAX_NAMES {
        assert_eq!(limiter.pay(&name(number), load(1000, 1), now), Ok(()));
    }
    let names = || lock(&limiter.unnamed).own.len();
    assert_eq!(names(), MAX_NAMES);
    // The next ones share a burst, and nobody's bucket was given up for them.
    assert_eq!(limiter.pay(&name(MAX_NAMES), load(1000, 1), now), Ok(()));
    assert!(limiter.pay(&name(MAX_NAMES + 1), load(1, 1), now).is_err());
    assert!(limiter.pay(&name(0), load(1, 1), now).is_err());
    assert_eq!(names(), MAX_NAMES);
    // All but one are full again after 1000 seconds.
    let half = now + Duration::from_secs(500);
    assert_eq!(limiter.pay(&name(7), load(100, 1), half), Ok(()));
    let later = now + Duration::from_secs(1000);
    assert_eq!(limiter.pay(&name(MAX_NAMES + 2), load(1, 1), later), Ok(()));
    assert_eq!(names(), 2);
    assert!(limiter.pay(&name(7), load(1000, 1), later).is_err(), "the one that was not full is kept");
}
