//! Scenarios that hold on every MISP: each is written once, against a [`World`], and runs on the tests' fake (`cargo test`)
//! and on a real MISP (`cargo test --test live`). The programs are run as processes. Alerts go to the tests' fake of TheHive, or to a
//! real one that is named; the cases that are exported are in the fake. Jobs go to the programs themselves, or through a real Cortex
//! that is named.

pub(crate) mod cortex;
pub(crate) mod desks;
mod hive;
pub(crate) mod world;

mod cuts;
mod every_type;
mod exports;
mod feeds;
mod imports;
mod lookups;
mod markings;
mod retractions;
mod reviews;
mod second_runs;

pub(crate) use world::World;

/// A scenario's name and what it does.
pub(crate) type Scenario = (&'static str, fn(&World));

/// Names the scenarios of a file: a list for a real MISP, a test each for the fake.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[crate::scenarios::Scenario] =
            &[$((concat!(module_path!(), "::", stringify!($name)), $name)),*];

        mod on_the_fake {
            $(
                #[test]
                fn $name() {
                    super::$name(&crate::scenarios::World::fake());
                }
            )*
        }
    };
}
use scenarios;

/// All there are.
pub(crate) fn all() -> Vec<Scenario> {
    [
        cuts::ALL,
        every_type::ALL,
        exports::ALL,
        feeds::ALL,
        imports::ALL,
        lookups::ALL,
        markings::ALL,
        retractions::ALL,
        reviews::ALL,
        second_runs::ALL,
    ]
    .concat()
}
