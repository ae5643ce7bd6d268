//! What is looked at in a MISP server: whether it is one, the key and what it may do, the clock,
//! the filters' names.

use url::Url;

use super::connectivity::{self, CLOCK, CONNECTION, Way};
use super::{Findings, Stop, Verdict, stop_at};
use crate::config::connections::{self, Connection};
use crate::http::HttpContext;
use crate::misp::Misp;
use crate::misp::server::Server;
use crate::misp::server::account::{Account, Role, VersionInfo};
use crate::misp::wire::Organisation;
use crate::report::ConnectionReporter;
use crate::worker::requirements::MispRequirements;

const VERSION: &str = "version";
const KEY: &str = "key";
const PERMISSIONS: &str = "permissions";
const RATE: &str = "rate limit";
const NAMES: &str = "names";

/// Event reports, the latest of what is asked of a MISP, came with this version (MISP's core
/// format, 2020-10).
const OLDEST: [u32; 3] = [2, 4, 133];
/// The oldest version line that this program was tried with.
const TRIED: [u32; 2] = [2, 5];

/// Looks up the names that the filters of a configuration name: true if there are any.
pub type NameCheck<'a> = &'a dyn Fn(&Misp, &ConnectionReporter) -> anyhow::Result<bool>;

/// A MISP server that takes our key.
pub struct ProbedServer {
    pub name: String,
    pub url: Url,
    pub misp: Misp,
    pub organisation: Organisation,
    /// True if events are written there.
    pub is_target: bool,
}

/// A visit to one connection.
pub struct Probe<'a> {
    pub connection: &'a Connection,
    pub wants: &'a MispRequirements,
    pub network: &'a HttpContext,
    pub part: &'a ConnectionReporter,
    pub names: NameCheck<'a>,
}

impl Probe<'_> {
    /// Looks at a server; gives it if it takes the key.
    pub fn check_server(&self, findings: &mut Findings) -> Option<ProbedServer> {
        // An export has no filters whose names could be looked up.
        let names = (!self.wants.writes).then_some(NAMES);
        let stages: Vec<_> = [CONNECTION, VERSION, KEY, PERMISSIONS, CLOCK]
            .into_iter()
            .chain(names)
            .collect();

        findings.look(&stages, |findings| {
            let misp = Misp::open(self.connection, self.network, self.part)
                .map_err(stop_at(CONNECTION))?;
            let organisation = match &misp {
                Misp::Server(server) => self.check_account(server, findings)?,
                Misp::Feed(_) => return Ok(None),
            };
            self.check_filter_names(&misp, findings);

            Ok(Some(ProbedServer {
                name: self.connection.name.clone(),
                url: self.connection.url().clone(),
                misp,
                organisation,
                is_target: self.wants.writes,
            }))
        })?
    }

    fn check_account(
        &self,
        server: &Server,
        findings: &mut Findings,
    ) -> Result<Organisation, Stop> {
        let clock = self.network.clock();
        let way = Way {
            url: self.connection.url(),
            client: server.client(),
            clock,
            remarks: connections::security_warnings(self.connection),
        };
        way.check_proxy_and_name(findings)?;
        let greeting =
            way.take_first_answer(server.fetch_version_info(), VERSION, KEY, findings)?;
        let shown = self.part.run.report_text(&greeting.version);
        check_version(&shown, &greeting.version, findings);

        let account = server.fetch_account().map_err(stop_at(KEY))?;
        self.check_key(&greeting, &account, findings);
        connectivity::check_key_expiry(greeting.expires, &clock, findings);
        self.check_permissions(server, &greeting, &account.role, findings);
        check_rate_limit(&account.role, findings);
        let affects = "what is asked and noted by time (the window of an import, sightings) is \
            off by as much";
        connectivity::check_clock(greeting.date, &clock, affects, findings);

        Ok(account.organisation)
    }

    fn check_key(
        &self,
        greeting: &VersionInfo,
        Account {
            user,
            role,
            organisation,
        }: &Account,
        findings: &mut Findings,
    ) {
        let shown = |text: &str| self.part.run.report_text(text);
        findings.ok(
            KEY,
            format!(
                "good: {}, role \"{}\", organisation \"{}\" ({})",
                shown(&user.email),
                shown(&role.name),
                shown(&organisation.name),
                shown(&organisation.uuid)
            ),
        );

        match (greeting.is_read_only(role), self.wants.writes) {
            (false, _) => {}
            (true, false) => findings.ok(KEY, "it is read-only, which is enough here"),
            (true, true) => findings.fail(
                KEY,
                "it is read-only, and an export writes: give a key of the same user that is not \
                 marked \"read only\"",
            ),
        }
    }

    fn check_permissions(
        &self,
        server: &Server,
        greeting: &VersionInfo,
        role: &Role,
        findings: &mut Findings,
    ) {
        if !self.wants.writes {
            return findings.ok(PERMISSIONS, "any key that may read is enough");
        }

        if greeting.is_read_only(role) {
            return findings.skip(
                PERMISSIONS,
                "a read-only key has none, whatever its role has",
            );
        }

        let mut given = Vec::new();
        for right in rights_of_export(role, self.wants.sightings) {
            match role.has_right(right.given) {
                true => given.push(right.to),
                false => findings.add(PERMISSIONS, right.verdict, right.lack),
            }
        }

        if !given.is_empty() {
            findings.ok(PERMISSIONS, format!("the role may {}", given.join(", ")));
        }
        self.check_tags(server, role, findings);
        self.check_sharing_group(server, findings);
    }

    /// A tag that is not there is dropped by MISP in silence, unless the role may make it.
    fn check_tags(&self, server: &Server, role: &Role, findings: &mut Findings) {
        const TAGS: &str = "tags";

        let wanted = &self.wants.tags;
        match server
            .resolve_tag_names(wanted)
            .map(|names| names.list_refused(wanted).join(", "))
        {
            Err(error) => findings.warn(TAGS, format!("{error:#}")),
            Ok(missing) if missing.is_empty() => {
                findings.ok(TAGS, "those for TLP and PAP can be set")
            }
            Ok(missing) => findings.warn(
                TAGS,
                format!(
                    "{missing} cannot be set: have them made there (enable the taxonomies tlp and \
                     PAP), or give the role \"perm_tag_editor\""
                ),
            ),
        }

        if !self.wants.free_tags.is_empty() && !role.has_right(role.tag_editor) {
            let options: Vec<_> = self
                .wants
                .free_tags
                .iter()
                .map(|option| format!("\"{option}\""))
                .collect();

            findings.warn(
                TAGS,
                format!(
                    "the role may not make tags: of those that {} would send, the ones that are \
                     not there yet stay here; give it \"perm_tag_editor\" if they shall go",
                    options.join(" and ")
                ),
            );
        }
    }

    fn check_sharing_group(&self, server: &Server, findings: &mut Findings) {
        const GROUP: &str = "sharing group";

        let Some(number) = self.wants.sharing_group else {
            return;
        };

        match server.find_sharing_group(number) {
            Ok(Some(name)) => findings.ok(
                GROUP,
                format!("{number} is \"{}\"", self.part.run.report_text(&name)),
            ),
            Ok(None) => findings.fail(
                GROUP,
                format!(
                    "{number} is not among the groups that the key's organisation may share with: \
                     MISP refuses events for it; correct \"sharing_group\", or have the \
                     organisation made a member of an active group"
                ),
            ),
            Err(error) => findings.fail_with(GROUP, &error),
        }
    }

    /// The same look-up as a run does, with the same words.
    fn check_filter_names(&self, misp: &Misp, findings: &mut Findings) {
        let looked = (self.names)(misp, self.part);
        let mut warnings = Vec::new();
        // A run leaves these warnings in its report; here they become findings.
        self.part
            .update(|part| warnings = std::mem::take(&mut part.warnings));
        let all_there = warnings.is_empty();
        warnings
            .into_iter()
            .for_each(|warning| findings.warn(NAMES, warning));

        match looked {
            Err(error) => findings.fail_with(NAMES, &error),
            Ok(true) if all_there => findings.ok(
                NAMES,
                "all organisations and tags of the filters exist there",
            ),
            // The warnings have said what is missing; without filters there is nothing to say.
            Ok(true | false) => {}
        }
    }
}

/// A right of a role that an export uses.
struct Right {
    /// As the server says.
    given: Option<bool>,
    /// What it lets the role do.
    to: &'static str,
    /// How bad it is where the role lacks it, and what is said then.
    verdict: Verdict,
    lack: String,
}

/// The rights that an export uses; that to add sightings if an option asks for them.
fn rights_of_export(role: &Role, sightings: Option<&str>) -> impl Iterator<Item = Right> {
    let right = |given, to, verdict, lack: &str| Right {
        given,
        to,
        verdict,
        lack: lack.to_owned(),
    };

    let sightings = sightings.map(|option| {
        let lack = format!(
            "the role may not add sightings, which \"{option}\" asks for: give it \
             \"perm_sighting\""
        );
        right(role.sighting, "add sightings", Verdict::Failed, &lack)
    });

    [
        right(
            role.add,
            "add",
            Verdict::Failed,
            "the role may not add events: give it \"perm_add\"",
        ),
        right(
            // The wider of the two: an unknown right is less than a refused one, that than a given.
            role.modify.max(role.modify_org),
            "change",
            Verdict::Failed,
            "the role may not change events, so that a second export fails: give it \
             \"perm_modify\" or \"perm_modify_org\"",
        ),
        right(
            role.tagger,
            "tag",
            Verdict::Warning,
            "the role may not tag what is there, so that a stricter TLP does not reach an event: \
             give it \"perm_tagger\"",
        ),
    ]
    .into_iter()
    .chain(sightings)
}

fn check_version(shown: &str, version: &str, findings: &mut Findings) {
    // What stands behind the numbers, such as the name of a branch, says nothing here.
    let numbers: Vec<u32> = version
        .split(['.', '-'])
        .map_while(|part| part.parse().ok())
        .collect();
    if numbers.as_slice() < OLDEST.as_slice() {
        let oldest = OLDEST.map(|number| number.to_string()).join(".");
        findings.fail(
            VERSION,
            format!(
                "MISP {shown}: {oldest} is the oldest that has all that is asked for: update it"
            ),
        );
    } else if numbers.as_slice() < TRIED.as_slice() {
        findings.warn(
            VERSION,
            format!("MISP {shown}: this program was tried with 2.5, not with 2.4"),
        );
    } else {
        findings.ok(VERSION, format!("MISP {shown}"));
    }
}

fn check_rate_limit(role: &Role, findings: &mut Findings) {
    if role.enforce_rate_limit != Some(true) {
        return;
    }
    match role.rate_limit_count.unwrap_or(0) {
        ..=0 => findings.fail(
            RATE,
            "the role allows no searches by API: give it a \"rate_limit_count\", or no limit",
        ),
        count => findings.ok(
            RATE,
            format!("{count} searches in 15 minutes: a run that needs more waits"),
        ),
    }
}
