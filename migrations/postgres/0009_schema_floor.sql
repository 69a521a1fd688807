-- The schema says which programs may use it: those that are made for schema `oldest` or a newer one. A migration that
-- only adds leaves the row alone; one that older programs do not survive raises it (migrations/README.md).
CREATE TABLE schema_floor (
    id     SMALLINT PRIMARY KEY CHECK (id = 1),
    oldest BIGINT NOT NULL
);
INSERT INTO schema_floor (id, oldest) VALUES (1, 8);
