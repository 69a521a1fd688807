-- erase_events: events without some of their personal values, unless they have changed
UPDATE events SET personal = wanted.personal, actor = wanted.actor, subject = wanted.subject,
    device = wanted.device, attributes = wanted.attributes
FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[])
    AS wanted (position, before, personal, actor, subject, device, attributes)
WHERE events.log = $1 AND events.position >= $9 AND events.position <= $10
    AND events.position = wanted.position AND events.personal = wanted.before
