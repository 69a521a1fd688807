//! How many connections there may be: in all, and from one address.
//!
//! Does: count. Does not: know sockets. Called by: the accept loop, and by a connection's end through [`Place`].
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use crate::telemetry::{Metrics, Refused};

/// Connections that may be open at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub total: u32,
    pub per_address: u32,
}

impl Limits {
    /// An idle connection with TLS and HTTP/2 begun takes some 44 KiB: 352 MiB for 8192. An eighth of them is more
    /// than the clients behind one address of any site that is known.
    pub const DEFAULT: Self = Self { total: 8192, per_address: 1024 };
}

/// The open connections.
pub struct Places {
    limits: Limits,
    metrics: Arc<Metrics>,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: u32,
    /// Those from which there are any.
    by_address: HashMap<IpAddr, u32>,
}

/// A connection's place, given back when it is dropped.
pub struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    pub fn new(limits: Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { limits, metrics, taken: Mutex::default() })
    }

    /// Takes a place for a connection from an address.
    ///
    /// # Errors
    /// There is none.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, Refused> {
        let address = household(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.total >= self.limits.total {
            return Err(Refused::total);
        }
        let of_address = taken.by_address.entry(address).or_default();
        if *of_address >= self.limits.per_address {
            return Err(Refused::address);
        }
        *of_address += 1;
        taken.total += 1;
        drop(taken);
        self.metrics.connections.accepted();
        Ok(Place { places: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        if let Some(of_address) = taken.by_address.get_mut(&self.address) {
            *of_address = of_address.saturating_sub(1);
            if *of_address == 0 {
                taken.by_address.remove(&self.address);
            }
        }
        drop(taken);
        self.places.metrics.connections.closed();
    }
}

/// What counts as one address: whoever has one of IPv6 usually has all that share its first half.
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_address_and_in_all_and_given_back() {
        let metrics = Arc::new(Metrics::default());
        let places = Places::new(Limits { total: 3, per_address: 2 }, Arc::clone(&metrics));
        let take = |address: &str| places.take(address.parse().expect("an address"));
        let first = take("192.0.2.1").expect("a place");
        // The same address, as a socket for both kinds of addresses shows it.
        let second = take("::ffff:192.0.2.1").expect("a place");
        assert_eq!(take("192.0.2.1").err(), Some(Refused::address));
        let third = take("2001:db8::1").expect("a place");
        assert_eq!(take("192.0.2.2").err(), Some(Refused::total));
        assert!(metrics.open_metrics().contains("chancery_open_connections 3\n"));
        drop(first);
        let fourth = take("2001:db8:0:0:ffff::2").expect("a place");
        drop(second);
        assert_eq!(take("2001:db8::3").err(), Some(Refused::address), "one household");
        drop(take("2001:db8:0:1::1").expect("another household"));
        drop((third, fourth));
        assert!(metrics.open_metrics().contains("chancery_open_connections 0\n"));
        assert!(places.taken.lock().expect("the table").by_address.is_empty());
    }
}
