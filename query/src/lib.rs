//! Commits in, answers out
