//! What was found, as much of it as anybody reads; of the rest its number and its weight.
//!
//! Called by: [`super::Rehash`], [`super::bundle`].
use super::{Finding, Verdict};

/// Findings that are told one by one.
pub const MOST: usize = 100;

/// Findings in the order in which they were made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Findings {
    kept: Vec<Finding>,
    more: u64,
    /// The gravest verdict among those that were not kept: it counts like the others.
    worst: Verdict,
}

impl Default for Findings {
    fn default() -> Self {
        Self { kept: Vec::new(), more: 0, worst: Verdict::Valid }
    }
}

impl Findings {
    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        if self.kept.len() < MOST {
            self.kept.push(finding);
        } else {
            self.more += 1;
            self.worst = self.worst.max(finding.verdict);
        }
    }

    /// Whether nothing was found.
    pub const fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Those that were kept, and one about the others.
    pub fn take(&mut self) -> (Vec<Finding>, Option<Finding>) {
        let Self { kept, more, worst } = std::mem::take(self);
        let evidence = format!("there are {more} more findings, of which this is the gravest verdict");
        (kept, (more > 0).then(|| Finding::new(worst, "record", evidence)))
    }

    /// All of it in one list.
    pub fn into_list(mut self) -> Vec<Finding> {
        let (mut kept, rest) = self.take();
        kept.extend(rest);
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_keeps_its_weight() {
        for (last, expected) in [(Verdict::Missing, Verdict::Missing), (Verdict::Forked, Verdict::Forked)] {
            let mut findings = Findings::default();
            for _ in 0..120 {
                findings.push(Finding::new(Verdict::Missing, "record", ""));
            }
            findings.push(Finding::new(last, "record", ""));
            let list = findings.into_list();
            assert_eq!(list.len(), MOST + 1);
            assert_eq!(list.iter().map(|finding| finding.verdict).max(), Some(expected));
            assert!(list[MOST].evidence.contains("21 more"), "{}", list[MOST].evidence);
        }
    }
}
