-- producer_gaps_delete: takes out gaps that numbers arrived for. Each by a look-up of its key.
DELETE FROM producer_gaps WHERE ctid = ANY (ARRAY(
    SELECT found.place
    FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS closed (producer, epoch, from_sequence)
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM producer_gaps
        WHERE log = $1 AND producer = closed.producer COLLATE "C" AND epoch = closed.epoch
            AND from_sequence = closed.from_sequence
        OFFSET 0
    ) AS found
))
