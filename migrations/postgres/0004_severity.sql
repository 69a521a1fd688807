-- The severity of CMS audit events, to be compared in filters. It is inside the records, which SQL cannot read:
-- after this, `chancery migrate` reads them and fills the column in, log by log from the beginning, and says in
-- log_head how far it is. A program of an older schema appends rows without it and leaves that mark where it is,
-- so that the next `chancery migrate` fills in those rows, too.
ALTER TABLE events ADD COLUMN severity BIGINT NOT NULL DEFAULT 0;   -- 0: the family has none
ALTER TABLE log_head ADD COLUMN filled BIGINT NOT NULL DEFAULT 0;   -- below this position every column is filled
