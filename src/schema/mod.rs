//! The fields of every kind and release.
