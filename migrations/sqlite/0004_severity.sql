-- The severity of CMS audit events, to be compared in filters. The twin of
-- migrations/postgres/0004_severity.sql, which explains how the rows that are there already get it.
ALTER TABLE events ADD COLUMN severity INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log_head ADD COLUMN filled INTEGER NOT NULL DEFAULT 0;
