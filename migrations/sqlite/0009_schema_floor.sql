-- Which programs may use the schema. The twin of migrations/postgres/0009_schema_floor.sql, which explains it.
CREATE TABLE schema_floor (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    oldest INTEGER NOT NULL
) STRICT;
INSERT INTO schema_floor (id, oldest) VALUES (1, 8);
