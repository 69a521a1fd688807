-- journal_mode: how the file keeps what is not committed yet
SELECT journal_mode FROM pragma_journal_mode
