-- recovering: whether this is a standby, in one text, which no pooler takes apart
SELECT pg_is_in_recovery()
