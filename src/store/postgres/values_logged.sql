-- values_logged: whether the server logs bind values of this session, and plans, which hold them too; and its role
SELECT
    current_setting('log_parameter_max_length') <> '0'
        AND (current_setting('log_statement') IN ('mod', 'all')
            OR current_setting('log_min_duration_statement') <> '-1'
            OR current_setting('log_min_duration_sample') <> '-1'
            OR current_setting('log_transaction_sample_rate') <> '0'),
    coalesce(current_setting('auto_explain.log_min_duration', true), '-1') <> '-1',
    session_user::text
