//! What is made from the code: manifests, tables, the page in TheHive; and the layers of the code.

pub(crate) mod generated;
pub(crate) mod layers;
pub(crate) mod options;
pub(crate) mod report_page;
