//! The known codes nearest to an unknown one, so that a refusal says what was probably meant.
use super::{Catalog, fold_code, model::Family};

/// How many are named.
const MOST: usize = 3;

/// Codes of `family` whose code or name resembles `code`, best first, as `code (name)`.
pub fn to(catalog: &Catalog, family: Family, code: &str) -> Vec<String> {
    // The comparison is quadratic in the lengths, and no known code is longer than 64 characters.
    let wanted: String = fold_code(family, code).chars().take(64).collect::<String>().to_lowercase();
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut scored: Vec<_> = catalog
        .family(family)
        .types
        .iter()
        .map(|known| {
            let by_code = strsim::normalized_damerau_levenshtein(&wanted, &known.code.to_lowercase());
            let by_name = strsim::normalized_damerau_levenshtein(&wanted, &known.name.to_lowercase());
            (by_code.max(by_name), known)
        })
        .collect();
    scored.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    scored
        .into_iter()
        .take(MOST)
        .map(|(_, known)| match known.code == known.name {
            true => known.code.clone(),
            false => format!("{} ({})", known.code, known.name),
        })
        .collect()
}
