//! How one server is reached: certificates, its own proxy; and how long an answer is waited for.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

/// How a server is reached.
#[derive(Clone, Debug)]
pub struct ServerAccess {
    /// Further certificates to trust, a PEM file or a folder of such.
    pub cert_path: Option<PathBuf>,
    /// Our own certificate and its private key, a PEM file.
    pub client_cert_path: Option<PathBuf>,
    /// False if the server's certificate is not checked.
    pub cert_check: bool,
    /// True if the configuration has items for this server's certificates; it has none for
    /// TheHive's.
    pub takes_certificates: bool,
    /// The connection's own choice of a proxy; none if Cortex's or the environment's holds.
    pub proxy: Option<ProxyChoice>,
}

impl Default for ServerAccess {
    fn default() -> Self {
        Self {
            cert_path: None,
            client_cert_path: None,
            cert_check: true,
            takes_certificates: false,
            proxy: None,
        }
    }
}

/// A connection's own choice of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyChoice {
    /// None: straight to the server.
    Direct,
    /// Through the proxy of this URL, which may carry a user and a password.
    Through(Secret),
}

/// How long a server is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the next bytes of an answer.
    pub read: Duration,
}
