//! Rules over the objects of a site.
