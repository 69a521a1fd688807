-- index_counts_add: adds the counts of a segment to the rollup
INSERT INTO event_counts (log, hour, family, code, name, category, outcome, producer, count)
SELECT $1, unnest($2::bigint[]), unnest($3::smallint[]), unnest($4::text[]), unnest($5::text[]),
    unnest($6::text[]), unnest($7::smallint[]), unnest($8::text[]), unnest($9::bigint[])
ON CONFLICT (log, hour, family, code, name, category, outcome, producer)
DO UPDATE SET count = event_counts.count + excluded.count
