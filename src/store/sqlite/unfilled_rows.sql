-- unfilled_rows: records of CMS audit events without severity, and of rows with an escape in their attributes,
-- which older programs wrote in another way
SELECT position, record, personal FROM events
WHERE log = $1 AND position >= $2 AND position < $3
    AND (family = 1 AND severity = 0 OR instr(attributes, char(64978)) > 0)
