//! What is looked at in TheHive: whether it is one, the key, the organisations and what the user
//! may do there, the observable types, the clock; and the installation's name, which is TheHive's
//! host unless it is set.

use url::Url;
use uuid::Uuid;

use super::connectivity::{self, CLOCK, CONNECTION, Way};
use super::{Findings, Stop, Verdict, stop_at};
use crate::config::urls;
use crate::http::HttpContext;
use crate::markings::Scale;
use crate::report::RunReport;
use crate::secret::Secret;
use crate::thehive::{Greeting, Permission, TheHive, User};
use crate::worker::requirements::{Requirements, TheHiveRequirements};

const ACCESS: &str = "access";
const VERSION: &str = "version";
const KEY: &str = "key";
const ORGANISATION: &str = "organisation";
const PERMISSIONS: &str = "permissions";
const TYPES: &str = "types";

/// By its name an installation knows its events: one that others may have too makes theirs ours.
pub fn check_instance(wants: &Requirements, findings: &mut Findings) {
    const INSTANCE: &str = "instance";

    let name = &wants.installation;

    // A host with a dot is hardly another installation's, as `thehive` or `localhost` may be.
    match (&wants.instance, name.contains('.')) {
        (Some(_), _) | (None, true) => findings.ok(INSTANCE, format!("\"{name}\"")),
        (None, false) => findings.warn(
            INSTANCE,
            format!(
                "it is not set, and \"{name}\", which stands in its place, may be the name of \
                 other installations too: set it to a name of your own, the same in both workers, \
                 before the first export"
            ),
        ),
    }
}

/// Without a secret of the installation, uuids follow from what others may know, and a change of
/// MISP's key makes the tags of merged cases doubtful.
pub fn check_secret(wants: &Requirements, findings: &mut Findings) {
    const SECRET: &str = "secret";

    if wants.has_secret {
        return findings.ok(SECRET, "\"instance_secret\" is set");
    }
    // Two random uuids have 244 random bits: nobody guesses that.
    let proposed = [Uuid::new_v4(), Uuid::new_v4()]
        .map(|uuid| uuid.simple().to_string())
        .concat();

    findings.warn(
        SECRET,
        format!(
            "\"instance_secret\" is not set, so that others can compute the uuids of exports and \
             claim them on a MISP: set it to a random text, the same in both workers and for ever, \
             such as {proposed}"
        ),
    );
}

/// Looks at everything. Gives the organisation of the user, if TheHive says it.
pub fn examine(
    wants: &TheHiveRequirements,
    network: &HttpContext,
    run: &RunReport,
    findings: &mut Findings,
) -> Option<String> {
    match (&wants.url, &wants.key) {
        (None, None) => findings.warn(
            ACCESS,
            format!(
                "\"thehive_url\" and \"thehive_key\" are not set: {}",
                wants.without
            ),
        ),
        (Some(_), None) => findings.warn(
            ACCESS,
            format!("\"thehive_key\" is not set: {}", wants.without),
        ),
        (None, Some(_)) => findings.fail(
            ACCESS,
            "\"thehive_key\" is set and \"thehive_url\" is not: set both, or none",
        ),
        (Some(url), Some(key)) => match urls::parse_thehive(url) {
            Err(error) => findings.fail_with(ACCESS, &error),
            Ok(url) => {
                let probe = TheHiveProbe {
                    url: &url,
                    key,
                    wants,
                    network,
                    run,
                };
                return probe.check_all(findings);
            }
        },
    }

    None
}

struct TheHiveProbe<'a> {
    url: &'a Url,
    key: &'a Secret,
    wants: &'a TheHiveRequirements,
    network: &'a HttpContext,
    run: &'a RunReport,
}

impl TheHiveProbe<'_> {
    fn open(&self, organisation: Option<&str>) -> anyhow::Result<TheHive> {
        TheHive::open(self.url, self.key, organisation, self.network, self.run)
    }

    fn check_all(&self, findings: &mut Findings) -> Option<String> {
        const STAGES: [&str; 6] = [CONNECTION, VERSION, KEY, PERMISSIONS, TYPES, CLOCK];

        let hive = match self.open(None) {
            Ok(hive) => hive,
            Err(error) => {
                findings.fail_with(CONNECTION, &error);
                return None;
            }
        };
        let greeting = findings.look(&STAGES, |findings| self.check_greeting(&hive, findings))?;

        findings.look(&[PERMISSIONS, TYPES], |findings| {
            let user = hive.user().map_err(stop_at(KEY))?;
            let (login, home) = (
                self.run.report_text(&user.login),
                self.run.report_text(&user.organisation),
            );
            findings.ok(KEY, format!("good: {login}, of organisation \"{home}\""));
            self.check_organisations(&hive, user, &greeting, findings);
            self.check_observable_types(&hive, findings);
            Ok(())
        });

        // Also where the key was not taken: a clock that is wrong may be why.
        let affects = "what an import takes for changed since its last run may be off by as much";
        connectivity::check_clock(greeting.date, &self.network.clock(), affects, findings);

        hive.organisation().ok().map(ToOwned::to_owned)
    }

    fn check_greeting(&self, hive: &TheHive, findings: &mut Findings) -> Result<Greeting, Stop> {
        let remark = "the key is sent unencrypted: use https in \"thehive_url\"";
        let is_plain = self.url.scheme() == "http";
        let way = Way {
            url: self.url,
            client: hive.client(),
            clock: self.network.clock(),
            remarks: is_plain.then(|| remark.to_owned()).into_iter().collect(),
        };
        way.check_proxy_and_name(findings)?;
        let greeting = way.take_first_answer(hive.fetch_greeting(), VERSION, VERSION, findings)?;
        let shown = self.run.report_text(&greeting.version);

        if !greeting.is_supported() {
            return Err(Stop {
                check: VERSION,
                words: format!(
                    "TheHive {shown}: 4.1 is the oldest that is asked in this way: update it"
                ),
            });
        }
        let levels = match greeting.scale() {
            Scale::Four => "four TLP levels, 3 is RED",
            Scale::Five => "five TLP levels, 3 is AMBER+STRICT",
        };
        findings.ok(VERSION, format!("TheHive {shown}, {levels}"));

        Ok(greeting)
    }

    /// The permissions in each organisation that is named; else those in the user's own.
    fn check_organisations(
        &self,
        hive: &TheHive,
        home: &User,
        greeting: &Greeting,
        findings: &mut Findings,
    ) {
        if self.wants.organisations.is_empty() {
            self.check_permissions(home, greeting, findings);
            return self.check_case_template(hive, home, findings);
        }
        // The organisation is a header of the client, so each needs a client of its own.
        for name in &self.wants.organisations {
            let shown = self.run.report_text(name);
            match self
                .open(Some(name))
                .and_then(|hive| Ok((hive.user()?.clone(), hive)))
            {
                Err(error) => findings.fail(ORGANISATION, format!("\"{shown}\": {error:#}")),
                Ok((user, hive)) => {
                    findings.ok(ORGANISATION, format!("\"{shown}\" is one of this user's"));
                    self.check_permissions(&user, greeting, findings);
                    self.check_case_template(&hive, &user, findings);
                }
            }
        }
    }

    fn check_case_template(&self, hive: &TheHive, user: &User, findings: &mut Findings) {
        const TEMPLATE: &str = "template";

        let Some(name) = &self.wants.case_template else {
            return;
        };
        let organisation = self.run.report_text(&user.organisation);
        let shown = self.run.report_text(name);

        match hive.has_case_template(name) {
            Ok(true) => findings.ok(
                TEMPLATE,
                format!("\"{organisation}\" has the case template \"{shown}\""),
            ),
            Ok(false) => findings.warn(
                TEMPLATE,
                format!(
                    "\"{organisation}\" has no case template \"{shown}\" (\"case_template\"): \
                     alerts are made without one"
                ),
            ),
            // Alerts are made without it, so that no run fails over this.
            Err(error) => findings.warn(TEMPLATE, format!("{error:#}")),
        }
    }

    fn check_permissions(&self, user: &User, greeting: &Greeting, findings: &mut Findings) {
        let organisation = self.run.report_text(&user.organisation);
        let needed: Vec<_> = self
            .wants
            .rights
            .iter()
            .filter_map(|right| Some((right, permission_name(right, greeting)?)))
            .collect();

        if needed.is_empty() {
            return findings.ok(PERMISSIONS, "a user who may read is enough");
        }
        let (given, missing): (Vec<_>, Vec<_>) = needed
            .into_iter()
            .partition(|(_, name)| user.has_permission(name));

        for (Permission { to, is_vital, .. }, name) in &missing {
            let verdict = match is_vital {
                true => Verdict::Failed,
                false => Verdict::Warning,
            };
            let words =
                format!("in \"{organisation}\" the user may not {to}: the profile lacks {name}");
            findings.add(PERMISSIONS, verdict, words);
        }

        if !given.is_empty() {
            let rights: Vec<_> = given.iter().map(|(right, _)| right.to).collect();
            findings.ok(
                PERMISSIONS,
                format!("in \"{organisation}\" the user may {}", rights.join(", ")),
            );
        }
    }

    fn check_observable_types(&self, hive: &TheHive, findings: &mut Findings) {
        if !self.wants.has_types {
            return;
        }
        match hive
            .observable_types()
            .map(|types| types.data_types.missing_types().join(", "))
        {
            Err(error) => findings.fail_with(TYPES, &error),
            Ok(lacking) if lacking.is_empty() => {
                findings.ok(TYPES, "it has every observable type that is used")
            }
            Ok(lacking) => findings.warn(
                TYPES,
                format!(
                    "it lacks {lacking}: what would be of such a type becomes `other`; an \
                     administrator can add them"
                ),
            ),
        }
    }
}

fn permission_name(right: &Permission, greeting: &Greeting) -> Option<&'static str> {
    if greeting.is_five() {
        right.five
    } else {
        right.four
    }
}
