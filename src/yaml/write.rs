//! Node to YAML and JSON text.
