//! Counters by a label whose values are a closed set: all of them are there from the first scrape on, so that an alert
//! on an increase sees the first one, and each is counted without a look-up.
use std::{fmt::Debug, hash::Hash, marker::PhantomData};

use prometheus_client::{
    encoding::EncodeLabelValue,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The values of a label, all known.
pub trait Closed: Copy + Eq + Hash + Debug + Send + Sync + EncodeLabelValue + 'static {
    /// All of them, in the order of their places.
    const ALL: &'static [Self];

    /// Its place among all.
    fn place(self) -> usize;
}

/// Declares an enum whose variants are the values of a label, and makes it [`Closed`].
macro_rules! closed {
    ($(#[$about:meta])* $name:ident { $($(#[$value_about:meta])* $value:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, prometheus_client::encoding::EncodeLabelValue)]
        #[expect(non_camel_case_types, reason = "label values are words in lower case")]
        pub enum $name {
            $($(#[$value_about])* $value,)+
        }

        impl $crate::telemetry::closed::Closed for $name {
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn place(self) -> usize {
                self as usize
            }
        }
    };
}
pub(super) use closed;

/// The one label of a family.
pub(super) type Label<T> = [(&'static str, T); 1];

/// A counter for each value of a label.
pub struct Counters<T> {
    each: Vec<Counter>,
    _values: PhantomData<T>,
}

impl<T: Closed> Counters<T> {
    pub(super) fn register(registry: &mut Registry, name: &str, help: &str, label: &'static str) -> Self {
        let family = Family::<Label<T>, Counter>::default();
        registry.register(name, help, family.clone());
        let each = T::ALL.iter().map(|value| family.get_or_create_owned(&[(label, *value)]));
        Self { each: each.collect(), _values: PhantomData }
    }

    /// So many more of one value.
    pub fn add(&self, value: T, count: usize) {
        if count > 0 {
            self.each[value.place()].inc_by(count as u64);
        }
    }
}
