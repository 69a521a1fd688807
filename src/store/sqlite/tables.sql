-- tables: how many tables the file has
SELECT count(*) FROM sqlite_schema WHERE type = 'table'
