//! As whom this import writes to TheHive, and wrote before. Anybody who may write alerts there can
//! make one that looks like ours: what such an alert says of itself counts only if one of these
//! users created it. Pure.

/// The logins of the import's own users in TheHive.
pub struct Users(Vec<String>);

impl Users {
    /// The user of the API key, and those of earlier keys.
    pub fn new(login: &str, former: &[String]) -> Self {
        let all = std::iter::once(login)
            .chain(former.iter().map(String::as_str))
            .map(str::trim);
        Self(
            all.filter(|login| !login.is_empty())
                .map(ToOwned::to_owned)
                .collect(),
        )
    }

    /// True if one of them has this login. TheHive stores logins in lower case.
    pub fn has(&self, login: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(login))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_not_named_is_somebody_else() {
        let users = Users::new(
            "import@example.org",
            &[" Old@example.org ".to_owned(), String::new()],
        );
        assert!(users.has("import@example.org") && users.has("old@example.org"));
        assert!(!users.has("") && !users.has("jane@example.org"));
    }
}
