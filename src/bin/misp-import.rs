//! The analyzer `misp-import`: MISP events become TheHive alerts.

use std::process::ExitCode;

fn main() -> ExitCode {
    cortex_misp::runtime::main::<cortex_misp::import::Import, cortex_misp::runtime::now::ImportNow>(
    )
}
