//! Tests. PURE.
