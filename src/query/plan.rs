//! What a predicate lets the store leave out: the terms that an event must have, and the ranges that it
//! must lie in. Pure. What is left is compared with the whole predicate anyway, so a plan may always ask
//! for too much, and never for too little.
use std::{collections::HashMap, ops::Range};

use roaring::RoaringBitmap;

use super::predicate::{EnumColumn, NumberColumn, Predicate, TextColumn};
use crate::{
    index::{Term, terms::Field},
    store::Times,
};

/// Terms of one plan. Each is a look-up in every run; a filter of more values is looked up by its other
/// parts, or by none.
const MOST_TERMS: usize = 100;

/// Terms that an event has, as a tree.
#[derive(Clone, PartialEq, Debug)]
pub enum Terms {
    One(Term),
    /// Each of these.
    All(Vec<Self>),
    /// At least one of these.
    Any(Vec<Self>),
}

/// How a predicate is answered.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// `None`: every event could match.
    pub terms: Option<Terms>,
    pub occurred: Times,
    pub received: Times,
    pub positions: Range<u64>,
    /// The parts of the predicate that the terms stand for.
    pub looked_up: Vec<String>,
}

impl Plan {
    /// The plan of a predicate.
    pub fn of(predicate: &Predicate) -> Self {
        let mut plan = Self {
            terms: None,
            occurred: Times::ALL,
            received: Times::ALL,
            positions: 0..u64::MAX,
            looked_up: Vec::new(),
        };
        let mut terms = Vec::new();
        let mut severity = Times::ALL;
        plan.collect(predicate, &mut terms, &mut severity);
        // One severity is a value like any other; a range of them is not.
        if severity.from != 0 && severity.from.checked_add(1) == Some(severity.to) {
            plan.looked_up.push(format!("severity = {}", severity.from));
            terms.push(Terms::One(Term::number(Field::Severity, severity.from)));
        }
        plan.terms = match terms.len() {
            0 => None,
            1 => terms.pop(),
            _ => Some(Terms::All(terms)),
        };
        plan
    }

    /// Whether a range of time narrows it.
    pub fn is_timed(&self) -> bool {
        self.occurred != Times::ALL || self.received != Times::ALL
    }

    /// Number of its terms.
    pub fn weight(&self) -> usize {
        self.terms.as_ref().map_or(0, Terms::count)
    }

    /// Takes what every matching event must have.
    fn collect(&mut self, predicate: &Predicate, terms: &mut Vec<Terms>, severity: &mut Times) {
        match predicate {
            Predicate::All(all) => {
                for each in all {
                    self.collect(each, terms, severity);
                }
            }
            Predicate::From(column, least) => match column {
                NumberColumn::Position => self.positions.start = self.positions.start.max(position(*least)),
                NumberColumn::Severity => severity.from = severity.from.max(*least),
                NumberColumn::OccurredAt => self.occurred.from = self.occurred.from.max(*least),
                NumberColumn::ReceivedAt => self.received.from = self.received.from.max(*least),
            },
            Predicate::Before(column, end) => match column {
                NumberColumn::Position => self.positions.end = self.positions.end.min(position(*end)),
                NumberColumn::Severity => severity.to = severity.to.min(*end),
                NumberColumn::OccurredAt => self.occurred.to = self.occurred.to.min(*end),
                NumberColumn::ReceivedAt => self.received.to = self.received.to.min(*end),
            },
            Predicate::Any(_)
            | Predicate::Not(_)
            | Predicate::Text(..)
            | Predicate::TextPrefix(..)
            | Predicate::TextContains(..)
            | Predicate::Enum(..)
            | Predicate::Attribute { .. }
            | Predicate::AttributePrefix { .. }
            | Predicate::AttributeContains { .. }
            | Predicate::AttributePresent { .. }
            | Predicate::Contains(_) => {
                let room = MOST_TERMS - terms.iter().map(Terms::count).sum::<usize>();
                if let Some(found) = Terms::of(predicate).filter(|found| found.count() <= room) {
                    self.looked_up.push(predicate.to_string());
                    terms.push(found);
                }
            }
        }
    }
}

impl Terms {
    /// The terms of which a matching event has some; `None` when it may have none.
    fn of(predicate: &Predicate) -> Option<Self> {
        match predicate {
            Predicate::All(all) => {
                let mut each: Vec<_> = all.iter().filter_map(Self::of).collect();
                if each.len() > 1 { Some(Self::All(each)) } else { each.pop() }
            }
            Predicate::Any(any) => Self::any(any.iter().map(Self::of).collect::<Option<_>>()?),
            Predicate::Text(column, values) => {
                let terms = values.iter().map(|value| Term::text(text_field(*column), value).map(Self::One));
                Self::any(terms.collect::<Option<_>>()?)
            }
            Predicate::Enum(column, values) => {
                let field = match column {
                    EnumColumn::Family => Field::Family,
                    EnumColumn::Outcome => Field::Outcome,
                };
                Self::any(
                    values.iter().map(|value| Self::One(Term::number(field, i64::from(*value)))).collect(),
                )
            }
            Predicate::Attribute { name, value } => {
                Some(Self::Any(vec![Self::One(Term::attribute(name, value)), Self::One(Term::crowded())]))
            }
            Predicate::Not(_)
            | Predicate::TextPrefix(..)
            | Predicate::TextContains(..)
            | Predicate::From(..)
            | Predicate::Before(..)
            | Predicate::AttributePrefix { .. }
            | Predicate::AttributeContains { .. }
            | Predicate::AttributePresent { .. }
            | Predicate::Contains(_) => None,
        }
    }

    /// None of no values at all: such a predicate matches nothing, which a scan finds out as well.
    fn any(each: Vec<Self>) -> Option<Self> {
        (!each.is_empty()).then_some(Self::Any(each))
    }

    fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::All(each) | Self::Any(each) => each.iter().map(Self::count).sum(),
        }
    }

    /// Calls `add` with every term.
    pub fn each(&self, add: &mut impl FnMut(Term)) {
        match self {
            Self::One(term) => add(*term),
            Self::All(each) | Self::Any(each) => each.iter().for_each(|each| each.each(add)),
        }
    }

    /// Whether an event can match that has only terms of these, which are in order.
    pub fn may_match(&self, sorted: &[Term]) -> bool {
        match self {
            Self::One(term) => sorted.binary_search(term).is_ok(),
            Self::All(each) => each.iter().all(|each| each.may_match(sorted)),
            Self::Any(each) => each.iter().any(|each| each.may_match(sorted)),
        }
    }

    /// The offsets of a run that may match, given those of every term.
    pub fn candidates(&self, found: &HashMap<Term, RoaringBitmap>) -> RoaringBitmap {
        match self {
            Self::One(term) => found.get(term).cloned().unwrap_or_default(),
            Self::All(each) => {
                let mut each = each.iter().map(|each| each.candidates(found));
                let first = each.next().unwrap_or_default();
                each.fold(first, |all, each| all & each)
            }
            Self::Any(each) => each
                .iter()
                .map(|each| each.candidates(found))
                .fold(RoaringBitmap::new(), |any, each| any | each),
        }
    }
}

/// A bound as a position; those below 0 are as good as 0.
fn position(bound: i64) -> u64 {
    u64::try_from(bound).unwrap_or(0)
}

const fn text_field(column: TextColumn) -> Field {
    match column {
        TextColumn::Code => Field::Code,
        TextColumn::Name => Field::Name,
        TextColumn::Category => Field::Category,
        TextColumn::Producer => Field::Producer,
        TextColumn::Actor => Field::Actor,
        TextColumn::Subject => Field::Subject,
        TextColumn::Device => Field::Device,
        TextColumn::CorrelationId => Field::CorrelationId,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(column: TextColumn, values: &[&str]) -> Predicate {
        Predicate::Text(column, values.iter().map(|value| (*value).to_owned()).collect())
    }

    #[test]
    fn only_what_every_match_must_have_is_looked_up() {
        let device = text(TextColumn::Device, &["d"]);
        let term = Term::text(Field::Device, "d").expect("a term");
        let one = Terms::Any(vec![Terms::One(term)]);
        for (predicate, terms) in [
            (Predicate::All(Vec::new()), None),
            (device.clone(), Some(one.clone())),
            (Predicate::All(vec![Predicate::Contains("x".to_owned()), device.clone()]), Some(one.clone())),
            (Predicate::All(vec![Predicate::All(vec![device.clone()])]), Some(one.clone())),
            // Events without a device have no term that says so.
            (text(TextColumn::Device, &["d", ""]), None),
            (text(TextColumn::Device, &[]), None),
            (Predicate::Contains("d".to_owned()), None),
        ] {
            assert_eq!(Plan::of(&predicate).terms, terms, "{predicate:?}");
        }
    }

    #[test]
    fn a_part_with_too_many_values_is_left_to_the_others() {
        let values: Vec<String> = (0..=MOST_TERMS).map(|number| number.to_string()).collect();
        let many = Predicate::Text(TextColumn::Code, values.clone());
        assert_eq!(Plan::of(&many).terms, None);
        let device = text(TextColumn::Device, &["d"]);
        let plan = Plan::of(&Predicate::All(vec![many, device]));
        assert_eq!((plan.weight(), plan.looked_up.as_slice()), (1, ["device = \"d\"".to_owned()].as_slice()));
        assert_eq!(Plan::of(&Predicate::Text(TextColumn::Code, values[1..].to_vec())).weight(), MOST_TERMS);
    }

    #[test]
    fn ranges_of_time_narrow_each_other() {
        let all = Predicate::All(vec![
            Predicate::From(NumberColumn::OccurredAt, 5),
            Predicate::From(NumberColumn::OccurredAt, 3),
            Predicate::All(vec![Predicate::Before(NumberColumn::OccurredAt, 9)]),
            Predicate::Before(NumberColumn::ReceivedAt, 7),
        ]);
        let plan = Plan::of(&all);
        assert_eq!(plan.occurred, Times { from: 5, to: 9 });
        assert_eq!(plan.received, Times { from: i64::MIN, to: 7 });
        assert!(plan.is_timed() && plan.terms.is_none());
    }
}
