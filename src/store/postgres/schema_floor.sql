-- schema_floor: the oldest schema that a program may be made for
SELECT oldest FROM schema_floor WHERE id = 1
