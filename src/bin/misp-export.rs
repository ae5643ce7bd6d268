//! The responder `misp-export`: a case's IOC observables become one MISP event.

use std::process::ExitCode;

fn main() -> ExitCode {
    cortex_misp::runtime::main::<cortex_misp::export::Export, cortex_misp::runtime::now::ExportNow>(
    )
}
