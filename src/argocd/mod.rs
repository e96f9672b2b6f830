//! What Argo CD is told about a site. PURE.

pub mod paths;
