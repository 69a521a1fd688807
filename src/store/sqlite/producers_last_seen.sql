-- producers_last_seen: when producers were last seen in any log, those known longest first, but those not seen since then
-- after all others; and how many there are
SELECT producer, max(last_seen), count(*) OVER () FROM producers
GROUP BY producer ORDER BY max(last_seen) < $2, min(first_seen), producer LIMIT $1
