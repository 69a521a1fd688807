//! No statement of a query reads the whole log: what the databases say they do.
