//! Numbers, times and names of enums, as they stand in an expression.
use jiff::Timestamp;

use super::{EnumColumn, NumberColumn, Predicate, enum_name};

/// A number or time of an expression against which a column is compared. Between two whole numbers of the
/// column, for a time with nanoseconds, `floor` and `ceiling` differ by one.
#[derive(Clone, Copy)]
pub struct Number {
    floor: i128,
    ceiling: i128,
}

impl Number {
    /// What the text says for this column.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(column: NumberColumn, text: &str) -> Result<Self, String> {
        match column.is_time() {
            true => time(text),
            false => whole(text),
        }
    }

    /// column >= this
    pub fn or_more(self, column: NumberColumn) -> Predicate {
        from(column, self.ceiling)
    }

    /// column > this
    pub fn more(self, column: NumberColumn) -> Predicate {
        from(column, self.floor + 1)
    }

    /// column < this
    pub fn less(self, column: NumberColumn) -> Predicate {
        before(column, self.ceiling)
    }

    /// column <= this
    pub fn or_less(self, column: NumberColumn) -> Predicate {
        before(column, self.floor + 1)
    }

    /// column = this
    pub fn equal(self, column: NumberColumn) -> Predicate {
        Predicate::all(vec![self.or_more(column), self.or_less(column)])
    }
}

fn from(column: NumberColumn, number: i128) -> Predicate {
    match i64::try_from(number) {
        Ok(number) if column.is_time() => Predicate::From(column, within_reach(number)),
        Ok(number) => Predicate::From(column, number),
        Err(_) if number < 0 => Predicate::All(Vec::new()),
        Err(_) => Predicate::Any(Vec::new()),
    }
}

fn before(column: NumberColumn, number: i128) -> Predicate {
    match i64::try_from(number) {
        Ok(number) if column.is_time() => Predicate::Before(column, within_reach(number)),
        Ok(number) => Predicate::Before(column, number),
        Err(_) if number < 0 => Predicate::Any(Vec::new()),
        Err(_) => Predicate::All(Vec::new()),
    }
}

fn whole(text: &str) -> Result<Number, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("expected a whole number, for example 500".to_owned());
    }
    // Columns hold 64 bits; whatever has more lies outside them all the same.
    let most = 1_i128 << 64;
    let number = digits.parse::<i128>().map_or(most, |number| number.min(most));
    let number = if text.starts_with('-') { -number } else { number };
    Ok(Number { floor: number, ceiling: number })
}

fn time(text: &str) -> Result<Number, String> {
    const EXPECTED: &str = "expected a time in quotes, for example \"2026-05-28T20:26:40Z\" or \"2026-05-28T22:26:40.5+02:00\", or a date";
    let spelled = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    let parsed = is_rfc3339(&spelled).then(|| spelled.parse::<Timestamp>().ok()).flatten();
    let nanos = parsed.ok_or(EXPECTED)?.as_nanosecond();
    let floor = nanos.div_euclid(1_000);
    Ok(Number { floor, ceiling: floor + i128::from(nanos.rem_euclid(1_000) != 0) })
}

/// `2026-05-28T20:26:40`, a fraction of at most nine digits, `Z` or an offset. The library takes much more.
fn is_rfc3339(text: &str) -> bool {
    let shape = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'T' => byte == b'T' || byte == b't',
                wanted => byte == wanted,
            })
    };
    let Some((seconds, rest)) = text.split_at_checked(19) else { return false };
    if !shape(seconds, "0000-00-00T00:00:00") {
        return false;
    }
    let digits = rest.strip_prefix('.').map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let zone = match digits {
        Some(digits @ 1..=9) => &rest[1 + digits..],
        Some(_) => return false,
        None => rest,
    };
    zone == "Z" || zone == "z" || shape(zone, "+00:00") || shape(zone, "-00:00")
}

/// The nearest time that has a spelling in RFC 3339. Every event lies well inside: not before 1970, and at most
/// a year ahead.
pub fn within_reach(micros: i64) -> i64 {
    // 0001-01-01T00:00:00Z
    micros.clamp(-62_135_596_800_000_000, Timestamp::MAX.as_microsecond())
}

/// The number of an enum column's value by its name, with or without what all its names begin with.
///
/// # Errors
/// The names there are.
pub fn enum_value(column: EnumColumn, text: &str) -> Result<i32, String> {
    let prefix = match column {
        EnumColumn::Family => "EVENT_FAMILY_",
        EnumColumn::Outcome => "OUTCOME_",
    };
    // Both enums number their values from 1 without gaps.
    let known = (1..).map(|value| (value, enum_name(column, value)));
    let known: Vec<_> = known.take_while(|(_, name)| name.starts_with(prefix)).collect();
    let short = |name: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    let found = known
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(text) || short(name).eq_ignore_ascii_case(text));
    found.map(|(value, _)| *value).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(_, name)| short(name)).collect();
        format!("no {} has this name; one of {}", column.name(), names.join(", "))
    })
}
