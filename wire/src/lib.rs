//! The protocols SQL clients speak.
