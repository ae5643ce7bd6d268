//! The published page of the mapping.

/// The page.
pub fn page() -> String {
    String::new()
}
