//! Which schema a program runs on: the rule of both stores, which read the migrations and apply them.
//!
//! A schema has the number of its newest migration, and says which is the oldest that a program may be made for
//! (`schema_floor`). A migration that only adds leaves that alone, so that older programs go on; one that takes
//! something away from them raises it (`migrations/README.md`).
use std::collections::HashMap;

use sqlx::migrate::{MigrateError, Migrator};

use super::StoreError;

/// The migration since which a schema says so.
pub const FLOOR_SINCE: i64 = 9;

/// Why a program does not run on the schema of its database.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SchemaFault {
    /// The database has no schema yet.
    #[error("the schema is missing; run `chancery migrate`")]
    Missing,
    /// The database has not all the migrations that this program needs.
    #[error(
        "the schema is older than this program: it is at {has}, this program needs {needs}; run `chancery migrate` \
         of this program"
    )]
    Older { has: i64, needs: i64 },
    /// A newer program has taken away what this one needs.
    #[error(
        "the schema is newer than this program: it takes programs made for schema {oldest} or newer, this one is made \
         for {needs}; install the newer program"
    )]
    Newer { oldest: i64, needs: i64 },
    /// A migration of this number is another one than this program's.
    #[error(
        "the schema is not one of this program: its migration {0} is another one; install the program that made it, \
         or name the database that belongs to this one"
    )]
    Unknown(i64),
}

/// What a database says of its schema.
pub struct Applied {
    /// Migrations by number, with their checksums.
    pub migrations: HashMap<i64, Vec<u8>>,
    /// None: of a schema that does not say so yet.
    pub oldest: Option<i64>,
}

impl Applied {
    /// Number of the newest migration; 0 of an empty schema.
    fn newest(&self) -> i64 {
        self.migrations.keys().copied().max().unwrap_or_default()
    }

    /// Whether programs of this one's schema may use the database, now or once it is migrated.
    pub fn allows(&self, migrator: &Migrator) -> Result<(), SchemaFault> {
        for migration in migrator.iter() {
            let applied = self.migrations.get(&migration.version);
            if applied.is_some_and(|checksum| *checksum != *migration.checksum) {
                return Err(SchemaFault::Unknown(migration.version));
            }
        }
        self.oldest.map_or(Ok(()), |oldest| takes(migrator, oldest))
    }

    /// Whether this program may run on it as it is.
    pub fn suits(&self, migrator: &Migrator) -> Result<(), SchemaFault> {
        self.allows(migrator)?;
        if self.migrations.is_empty() {
            return Err(SchemaFault::Missing);
        }
        match next(migrator, self) {
            Some(_) => Err(SchemaFault::Older { has: self.newest(), needs: newest(migrator) }),
            None => Ok(()),
        }
    }
}

/// The migrations of a program. Those of newer programs are none of its business once the schema allows it; and what
/// keeps two programs apart is a lock that a transaction holds, because sqlx's own belongs to a session.
pub fn migrator(mut migrator: Migrator) -> Migrator {
    migrator.set_ignore_missing(true);
    migrator.set_locking(false);
    migrator
}

/// Number of the schema that a program is made for.
pub fn newest(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Checks that a schema which takes programs made for `oldest` or newer takes this one.
pub fn takes(migrator: &Migrator, oldest: i64) -> Result<(), SchemaFault> {
    let needs = newest(migrator);
    if oldest > needs { Err(SchemaFault::Newer { oldest, needs }) } else { Ok(()) }
}

/// The first migration that is not applied.
pub fn next(migrator: &Migrator, applied: &Applied) -> Option<i64> {
    migrator
        .iter()
        .map(|migration| migration.version)
        .find(|version| !applied.migrations.contains_key(version))
}

/// An error of a migration, whose cause may be one of the database.
pub fn failed(error: MigrateError, classed: impl FnOnce(sqlx::Error) -> StoreError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => classed(error),
        other => StoreError::Broken(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static KNOWN: Migrator = sqlx::migrate!("migrations/sqlite");

    /// A schema with the first so many of the known migrations, and further ones.
    fn schema(known: usize, further: &[i64], oldest: Option<i64>) -> Applied {
        let mut migrations: HashMap<i64, Vec<u8>> =
            KNOWN.iter().take(known).map(|each| (each.version, each.checksum.to_vec())).collect();
        migrations.extend(further.iter().map(|version| (*version, vec![1])));
        Applied { migrations, oldest }
    }

    #[test]
    fn a_program_runs_on_its_own_schema_and_on_newer_ones_that_say_so() {
        let (all, needs) = (KNOWN.iter().count(), newest(&KNOWN));
        let (newer, has) = ([needs + 1, needs + 2], needs + 2);
        for (applied, runs) in [
            (schema(all, &[], Some(1)), Ok(())),
            (schema(all, &[], Some(needs)), Ok(())),
            (schema(all, &newer, Some(needs)), Ok(())),
            (schema(all, &newer, Some(has)), Err(SchemaFault::Newer { oldest: has, needs })),
            (schema(0, &[], None), Err(SchemaFault::Missing)),
            (schema(3, &[], None), Err(SchemaFault::Older { has: 3, needs })),
            (schema(3, &newer, Some(3)), Err(SchemaFault::Older { has, needs })),
            (schema(3, &newer, Some(has)), Err(SchemaFault::Newer { oldest: has, needs })),
            (schema(all - 1, &[needs], Some(1)), Err(SchemaFault::Unknown(needs))),
        ] {
            assert_eq!(applied.suits(&KNOWN), runs);
            let allowed = !matches!(runs, Err(SchemaFault::Newer { .. } | SchemaFault::Unknown(_)));
            assert_eq!(applied.allows(&KNOWN).is_ok(), allowed, "{runs:?}");
        }
    }
}
