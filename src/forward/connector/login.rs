//! How a destination is logged in to, and the options that all destinations share.
//!
//! A connector lists the ways its product knows ([`Login`]); a destination takes the first whose options are
//! set. Secrets are references and are read anew for each request, so a rotated one is taken up without a
//! restart.

use crate::engine::option::{OptionKind, OptionSpec, Options};

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// A secret in a header after a prefix.
    Secret {
        /// The option that refers to it.
        option: &'static str,
        /// Lower-case name of the header.
        header: &'static str,
        /// What stands before it: `Bearer `.
        prefix: &'static str,
    },
    /// HTTP basic authentication (RFC 7617): options `user` and `password`.
    Basic,
    /// OAuth 2.0 client credentials (RFC 6749, 4.4): options `oauth_url`, `oauth_client`, `oauth_secret`,
    /// `oauth_scope`.
    OAuth2,
    /// A client certificate alone (mutual TLS).
    Certificate,
    /// None is needed.
    Anonymous,
}

/// A bearer token (RFC 6750).
pub const BEARER: Login = Login::Secret { option: "token", header: "authorization", prefix: "Bearer " };

impl Login {
    /// The options that must all be set.
    pub fn options(self) -> Vec<&'static str> {
        match self {
            Self::Secret { option, .. } => vec![option],
            Self::Basic => vec!["user", "password"],
            Self::OAuth2 => vec!["oauth_url", "oauth_client", "oauth_secret"],
            Self::Certificate => vec!["client_certificate", "client_key"],
            Self::Anonymous => Vec::new(),
        }
    }

    /// The first of these whose options are all set.
    ///
    /// # Errors
    /// A sentence that names what may be set.
    pub fn choose(logins: &[Login], options: &Options) -> Result<Login, String> {
        let set = |login: &&Login| login.options().iter().all(|key| options.0.contains_key(*key));
        if logins.is_empty() {
            return Ok(Login::Anonymous);
        }
        logins.iter().find(set).copied().ok_or_else(|| {
            let ways: Vec<String> = logins.iter().map(|l| l.options().join(" and ")).collect();
            format!("no credentials: set {}", ways.join(", or "))
        })
    }
}

const fn text(key: &'static str, about: &'static str) -> OptionSpec {
    OptionSpec { key, kind: OptionKind::Text(None), about }
}

const fn secret(key: &'static str, about: &'static str) -> OptionSpec {
    OptionSpec { key, kind: OptionKind::Secret, about }
}

/// Where an HTTP destination is.
pub const URL: OptionSpec =
    OptionSpec { key: "url", kind: OptionKind::RequiredText, about: "base address, https://host/path" };
/// An access token that must be given.
pub const TOKEN: OptionSpec = OptionSpec {
    key: "token",
    kind: OptionKind::RequiredSecret,
    about: "where the access token is read, anew each time it is needed",
};
/// An access token, one of several ways.
pub const ANY_TOKEN: OptionSpec = secret("token", "where the access token is read");
/// User name of basic authentication.
pub const USER: OptionSpec = text("user", "user name, with password");
/// Password of basic authentication.
pub const PASSWORD: OptionSpec = secret("password", "where the password of user is read");
/// Token endpoint.
pub const OAUTH_URL: OptionSpec = text("oauth_url", "token endpoint of OAuth 2.0 client credentials");
/// Client id.
pub const OAUTH_CLIENT: OptionSpec = text("oauth_client", "client id of OAuth 2.0");
/// Client secret.
pub const OAUTH_SECRET: OptionSpec = secret("oauth_secret", "where the client secret of OAuth 2.0 is read");
/// Scope.
pub const OAUTH_SCOPE: OptionSpec = text("oauth_scope", "scope asked for, words separated by spaces");
/// Client certificate of mutual TLS.
pub const CLIENT_CERTIFICATE: OptionSpec =
    text("client_certificate", "PEM file of the client certificate (mutual TLS), with client_key");
/// Its key.
pub const CLIENT_KEY: OptionSpec = secret("client_key", "where the PEM key of client_certificate is read");
/// A proxy.
pub const PROXY: OptionSpec =
    text("proxy", "HTTP proxy for this destination; the environment's proxy variables are not obeyed");
/// A private authority.
pub const CA: OptionSpec = text("ca", "PEM file of certificate authorities trusted beside the system's");
/// Names and values of the product.
pub const MAP: OptionSpec = OptionSpec {
    key: "map",
    kind: OptionKind::Map,
    about: "names used at this installation, each with a default; see docs/forwarding.md",
};
