-- index_zone_add: the span of time of a segment
INSERT INTO index_zones (log, first, next, min_occurred, max_occurred, min_received, max_received)
VALUES ($1, $2, $3, $4, $5, $6, $7)
