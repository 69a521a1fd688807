-- index_segments: the segments that may hold events of two ranges of time
SELECT first, next FROM index_zones
WHERE log = $1 AND first >= $2 AND first < $3
    AND max_occurred >= $4 AND min_occurred < $5 AND max_received >= $6 AND min_received < $7
ORDER BY first
