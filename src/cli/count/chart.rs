//! Counts as bars and sparklines, in characters.
//!
//! Does: pure computing of widths, heights and empty buckets. Does not: print, or know flags.
//! Called by: `count`.

/// Buckets that are shown one a line at most, empty ones included; with more, empty ones are left out.
const MOST_BUCKETS: i64 = 400;

/// A bar of `count`, where `most` fills `width` characters. Whatever is not 0 shows.
pub fn bar(count: u64, most: u64, width: u16) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = share(count, most, u64::from(width) * 8);
    let whole = usize::try_from(eighths / 8).unwrap_or(0);
    let part = usize::try_from(eighths % 8).ok().and_then(|it| PARTS.get(it)).copied();
    format!("{}{}", "█".repeat(whole), part.unwrap_or_default())
}

/// One character per count, where `most` is a full one. 0 is a blank; whatever is not 0 shows.
pub fn spark(counts: &[u64], most: u64) -> String {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let height = |count: &u64| usize::try_from(share(*count, most, 8)).unwrap_or(8);
    let line: String = counts.iter().map(|it| HEIGHTS.get(height(it)).copied().unwrap_or('█')).collect();
    line.trim_end().to_owned()
}

/// `count` of `most`, as parts of `whole`; at least 1 for what is not 0.
fn share(count: u64, most: u64, whole: u64) -> u64 {
    if count == 0 || most == 0 {
        return 0;
    }
    let parts = u128::from(count) * u128::from(whole) / u128::from(most);
    u64::try_from(parts).unwrap_or(whole).clamp(1, whole.max(1))
}

/// First instants of buckets of so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First instant of the first bucket.
    pub first: i64,
    /// First instant of the last one.
    pub last: i64,
    /// Seconds of each.
    pub width: i64,
}

impl Span {
    /// From the first count to the last; wider when the range that was asked for is, and that is at most
    /// [`MOST_BUCKETS`] buckets. `until` lies outside of the range. None without counts.
    pub fn of(buckets: &[i64], width: i64, since: Option<i64>, until: Option<i64>) -> Option<Self> {
        let counted =
            Self { first: *buckets.iter().min()?, last: *buckets.iter().max()?, width: width.max(1) };
        let begin = |instant: i64| instant.div_euclid(counted.width).saturating_mul(counted.width);
        let asked = Self {
            first: since.map_or(counted.first, |it| begin(it).min(counted.first)),
            last: until.map_or(counted.last, |it| begin(it.saturating_sub(1)).max(counted.last)),
            ..counted
        };
        Some(if asked.buckets() <= MOST_BUCKETS { asked } else { counted })
    }

    /// How many buckets it has.
    pub const fn buckets(self) -> i64 {
        self.last.saturating_sub(self.first) / self.width + 1
    }

    /// Every bucket with its count, 0 where there is none; only those that have one when there are too many.
    pub fn filled(self, counts: &[(i64, u64)]) -> Vec<(i64, u64)> {
        if self.buckets() > MOST_BUCKETS {
            return counts.to_vec();
        }
        let mut counts = counts.iter().peekable();
        (0..self.buckets())
            .map(|at| {
                let bucket = self.first + at * self.width;
                (bucket, counts.next_if(|(of, _)| *of == bucket).map_or(0, |(_, count)| *count))
            })
            .collect()
    }

    /// Buckets that share one of `cells` characters.
    pub fn per_cell(self, cells: u16) -> i64 {
        let cells = i64::from(cells.max(1));
        (self.buckets() + cells - 1) / cells
    }

    /// The counts in characters of `per_cell` buckets each.
    pub fn cells(self, counts: &[(i64, u64)], per_cell: i64) -> Vec<u64> {
        let cell = |bucket: i64| usize::try_from((bucket - self.first) / self.width / per_cell).unwrap_or(0);
        let mut cells = vec![0_u64; cell(self.last) + 1];
        for (bucket, count) in counts {
            if let Some(it) = cells.get_mut(cell(*bucket)) {
                *it = it.saturating_add(*count);
            }
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_eighths_and_nothing_but_0_is_empty() {
        assert_eq!(bar(100, 100, 4), "████");
        assert_eq!(bar(50, 100, 4), "██");
        assert_eq!(bar(30, 100, 4), "█▏");
        assert_eq!(bar(1, 1_000_000, 4), "▏");
        assert_eq!(bar(0, 100, 4), "");
        assert_eq!(bar(0, 0, 4), "");
        assert_eq!(bar(u64::MAX, u64::MAX, 3), "███");
    }

    #[test]
    fn sparks_rise_with_the_count() {
        assert_eq!(spark(&[0, 1, 4, 8, 0], 8), " ▁▄█");
        assert_eq!(spark(&[1, 1000], 1000), "▁█");
        assert_eq!(spark(&[], 0), "");
    }

    #[test]
    fn empty_buckets_inside_the_range_are_there() {
        let counts = [(3600, 2), (10_800, 1)];
        let span = Span::of(&[3600, 10_800], 3600, None, None);
        assert_eq!(span, Some(Span { first: 3600, last: 10_800, width: 3600 }));
        assert_eq!(span.map(|it| it.filled(&counts)), Some(vec![(3600, 2), (7200, 0), (10_800, 1)]));
        let asked = Span::of(&[3600, 10_800], 3600, Some(10), Some(18_000));
        assert_eq!(asked, Some(Span { first: 0, last: 14_400, width: 3600 }));
        assert_eq!(Span::of(&[], 3600, None, None), None);
    }

    #[test]
    fn a_range_of_too_many_buckets_shows_those_with_counts() {
        // A year of seconds was asked for.
        let near = Span::of(&[10, 12], 1, Some(0), Some(31_536_000));
        assert_eq!(near.map(Span::buckets), Some(3));
        let counts = [(0, 1), (31_536_000, 1)];
        let far = Span::of(&[0, 31_536_000], 1, None, None);
        assert_eq!(far.map(|it| it.filled(&counts)), Some(counts.to_vec()));
    }

    #[test]
    fn a_line_of_any_range_fits_its_characters() {
        let span = Span { first: -60, last: 31_536_000, width: 60 };
        let per_cell = span.per_cell(50);
        let cells = span.cells(&[(-60, 1), (0, 2), (31_536_000, 5)], per_cell);
        assert!(cells.len() <= 50, "{}", cells.len());
        assert_eq!((cells.first(), cells.last(), cells.iter().sum::<u64>()), (Some(&3), Some(&5), 8));
        let span = Span { first: 0, last: 120, width: 60 };
        assert_eq!(span.cells(&[(60, 7)], span.per_cell(50)), [0, 7, 0]);
    }
}
