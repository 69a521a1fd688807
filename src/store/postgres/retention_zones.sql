-- retention_zones: forgets the times of segments that are removed
DELETE FROM index_zones WHERE log = $1 AND next <= $2
