//! Who may do what: organisations, users with their keys, and roles. Names and roles are those of the recording.

/// An organisation.
#[derive(Clone, Debug)]
pub(crate) struct Organisation {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) uuid: String,
    /// False for one only known through synchronisation.
    pub(crate) local: bool,
}

/// The permissions that matter to a client.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Role {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) add: bool,
    pub(crate) publish: bool,
    pub(crate) sync: bool,
    pub(crate) tagger: bool,
    pub(crate) tag_editor: bool,
    pub(crate) sighting: bool,
    pub(crate) admin: bool,
    pub(crate) site_admin: bool,
    /// Searches per 900 s, or 0 for no limit.
    pub(crate) rate_limit: u32,
}

/// Why a key is refused although it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Disabled,
    Expired,
    OtherAddress,
}

/// A user with one key.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: u64,
    /// As tests call it, see [`key`].
    pub(crate) name: String,
    pub(crate) org: u64,
    pub(crate) role: Role,
    pub(crate) refusal: Option<Refusal>,
    /// When the key expires, as PHP's `date('c')` writes it.
    pub(crate) expires: Option<String>,
    /// The key is read-only: every permission is masked, `users/view/me` does not show it.
    pub(crate) read_only: bool,
}

impl User {
    /// The user as the access control sees it.
    pub(crate) fn masked(&self) -> Self {
        let mut user = self.clone();
        if self.read_only {
            user.role = Role {
                id: self.role.id,
                name: self.role.name,
                rate_limit: self.role.rate_limit,
                ..Role::default()
            };
        }
        user
    }

    /// The e-mail address, which `event_creator_email` shows.
    pub(crate) fn email(&self) -> String {
        let domain = ["", "admin", "partner", "third", "remote"]
            .get(usize::try_from(self.org).unwrap_or(0))
            .unwrap_or(&"x");
        format!("{}@{domain}.test", self.name)
    }
}

const USER: Role = Role {
    id: 3,
    name: "User",
    add: true,
    publish: false,
    sync: false,
    tagger: true,
    tag_editor: false,
    sighting: true,
    admin: false,
    site_admin: false,
    rate_limit: 0,
};
const PUBLISHER: Role = Role {
    id: 4,
    name: "Publisher",
    publish: true,
    ..USER
};
const ORG_ADMIN: Role = Role {
    id: 2,
    name: "Org Admin",
    admin: true,
    tag_editor: true,
    ..PUBLISHER
};
const SYNC: Role = Role {
    id: 5,
    name: "Sync user",
    sync: true,
    tag_editor: true,
    ..PUBLISHER
};
const ADMIN: Role = Role {
    id: 1,
    name: "admin",
    site_admin: true,
    sync: true,
    ..ORG_ADMIN
};
const READ_ONLY: Role = Role {
    id: 6,
    name: "Read Only",
    add: false,
    tagger: false,
    sighting: false,
    ..USER
};
const LIMITED: Role = Role {
    id: 7,
    name: "Limited",
    rate_limit: 3,
    ..USER
};

/// The 40-character key of the user with this name.
pub(crate) fn key(name: &str) -> String {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{name:K<40}")
}

/// The organisations of the recording; the first is the host.
pub(super) fn organisations() -> Vec<Organisation> {
    let rows = [
        (1, "ORGNAME", "8eeb2722-13f4-4a9d-a57b-877e58dfd715", true),
        (
            2,
            "PartnerOrg",
            "5e0b5c1a-7d2b-4a8e-9d6a-0a1b2c3d4e5f",
            true,
        ),
        (3, "ThirdOrg", "5e0b5c1a-7d2b-4a8e-9d6a-0a1b2c3d4e60", true),
        (
            4,
            "RemoteOrg",
            "5e0b5c1a-7d2b-4a8e-9d6a-0a1b2c3d4e61",
            false,
        ),
    ];
    let row = |(id, name, uuid, local): (u64, &str, &str, bool)| Organisation {
        id,
        name: name.into(),
        uuid: uuid.into(),
        local,
    };
    rows.into_iter().map(row).collect()
}

/// The users of the recording.
pub(super) fn users() -> Vec<User> {
    let rows = [
        ("admin", 1, ADMIN, None, false),
        ("partner", 2, USER, None, false),
        ("publisher", 2, PUBLISHER, None, false),
        ("readonly", 3, READ_ONLY, None, false),
        ("sync", 1, SYNC, None, false),
        ("orgadmin", 2, ORG_ADMIN, None, false),
        ("thirduser", 3, USER, None, false),
        ("partner_readonlykey", 2, USER, None, true),
        (
            "partner_iprestricted",
            2,
            USER,
            Some(Refusal::OtherAddress),
            false,
        ),
        ("partner_expired", 2, USER, Some(Refusal::Expired), false),
        ("disabled", 2, USER, Some(Refusal::Disabled), false),
        ("ratelimited", 3, LIMITED, None, false),
    ];
    let numbered = rows.into_iter().zip(1..);
    numbered
        .map(|((name, org, role, refusal, read_only), id)| User {
            id,
            name: name.into(),
            org,
            role,
            refusal,
            expires: None,
            read_only,
        })
        .collect()
}
