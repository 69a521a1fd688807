//! The known codes nearest to an unknown one, so that a refusal says what was probably meant.
use super::{Catalog, fold_code, model::Family};

/// How many are named.
const MOST: usize = 3;
/// Unknown codes of one batch that are compared. Each comparison costs up to some 10 milliseconds, and a
/// batch of 1000 of them must not hold up the server.
const COMPARED: usize = 4;
/// Characters of a code that are compared: no known code is longer.
const LONGEST: usize = 64;

/// Finds nearest codes for the first few unknown codes of a batch.
pub struct Suggestions {
    left: usize,
}

impl Default for Suggestions {
    fn default() -> Self {
        Self { left: COMPARED }
    }
}

impl Suggestions {
    /// Codes of `family` whose code or name resembles `code`, best first, as `code (name)`.
    pub(super) fn to(&mut self, catalog: &Catalog, family: Family, code: &str) -> Vec<String> {
        if self.left == 0 {
            return Vec::new();
        }
        self.left -= 1;
        let wanted: String = fold_code(family, code).chars().take(LONGEST).collect::<String>().to_lowercase();
        let types = &catalog.family(family).types;
        let mut scored: Vec<_> = types
            .iter()
            .map(|known| (likeness(&wanted, &known.code).max(likeness(&wanted, &known.name)), known))
            .filter(|(score, _)| *score > 0.0)
            .collect();
        scored.sort_by(|(left, _), (right, _)| right.total_cmp(left));
        let named = scored.into_iter().take(MOST).map(|(_, known)| match known.code == known.name {
            true => known.code.clone(),
            false => format!("{} ({})", known.code, known.name),
        });
        named.collect()
    }
}

/// 0 to 1. Texts whose lengths differ by more than half are not compared at all: they cannot be near.
fn likeness(wanted: &str, known: &str) -> f64 {
    let (shorter, longer) = (wanted.len().min(known.len()), wanted.len().max(known.len()));
    if shorter * 2 < longer {
        return 0.0;
    }
    strsim::normalized_damerau_levenshtein(wanted, &known.to_lowercase())
}
