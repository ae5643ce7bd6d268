//! How servers are reached: several connections, TLS, proxies, time; and what is said of what is configured wrongly.

pub(crate) mod first_answer;
pub(crate) mod proxies;
pub(crate) mod several;
pub(crate) mod thehive_questions;
pub(crate) mod tls;
pub(crate) mod wrong;
