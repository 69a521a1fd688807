//! The builder of a running server: it keeps up, it is killed and goes on, and two of them share a log.
