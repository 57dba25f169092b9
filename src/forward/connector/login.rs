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
    /// OAuth 2.0 with a user's password (RFC 6749, 4.3): options `oauth_client`, `oauth_secret`, `user`,
    /// `password`.
    OAuthPassword {
        /// The token endpoint behind `url`, where `oauth_url` names no other.
        path: &'static str,
        /// The scope that is asked for, where `oauth_scope` names no other.
        scope: &'static str,
    },
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
            Self::OAuthPassword { .. } => vec!["oauth_client", "oauth_secret", "user", "password"],
            Self::Certificate => vec!["client_certificate", "client_key"],
            Self::Anonymous => Vec::new(),
        }
    }

    /// Those of them that mean nothing without each other.
    fn together(self) -> Vec<&'static str> {
        match self {
            // User and password alone may be another way.
            Self::OAuthPassword { .. } => vec!["oauth_client", "oauth_secret"],
            other => other.options(),
        }
    }

    /// It shows an access token.
    pub fn is_oauth(self) -> bool {
        matches!(self, Self::OAuth2 | Self::OAuthPassword { .. })
    }

    /// What was shown to the far end, each secret by where it was read, never itself: "user sexton, password
    /// from file /etc/…"; empty where nothing was.
    pub fn told(self, options: &Options) -> String {
        let told = |key: &&str| match options.secret(key) {
            Some(source) => Some(format!("{key} from {source}")),
            None if options.text(key).is_empty() => None,
            None => Some(format!("{key} {}", options.text(key))),
        };
        self.options().iter().filter_map(told).collect::<Vec<_>>().join(", ")
    }

    /// The first of these whose options are all set.
    ///
    /// # Errors
    /// A sentence that names what may be set, or what is missing beside what is set.
    pub fn choose(logins: &[Login], options: &Options) -> Result<Login, String> {
        let set = |key: &str| options.0.contains_key(key);
        for together in logins.iter().map(|l| l.together()).chain([Self::Certificate.options()]) {
            halves(&together, options)?;
        }
        if logins.is_empty() {
            return Ok(Login::Anonymous);
        }
        logins.iter().find(|l| l.options().iter().all(|key| set(key))).copied().ok_or_else(|| {
            let ways: Vec<String> = logins.iter().map(|l| l.options().join(" and ")).collect();
            format!("no credentials: set {}", ways.join(", or "))
        })
    }
}

/// Options that mean nothing alone.
fn halves(together: &[&str], options: &Options) -> Result<(), String> {
    let (set, missing): (Vec<&str>, Vec<&str>) =
        together.iter().partition(|key| options.0.contains_key(**key));
    if set.is_empty() || missing.is_empty() {
        return Ok(());
    }
    let verb = if missing.len() == 1 { "is" } else { "are" };
    Err(format!("{} {verb} missing beside {}", missing.join(" and "), set.join(" and ")))
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
/// Where the client stands in a request for a token.
pub const OAUTH_STYLE: OptionSpec = OptionSpec {
    key: "oauth_style",
    kind: OptionKind::Choice(&["auto", "basic", "body"]),
    about: "where the token endpoint wants id and secret: Basic, the body; auto tries both",
};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::option::{OptionValue, SecretRef};

    fn options(keys: &[&str]) -> Options {
        let value = |key: &str| match key {
            "user" | "oauth_url" | "oauth_client" | "client_certificate" => OptionValue::Text("x".to_owned()),
            _ => OptionValue::Secret(SecretRef::Env("X".to_owned())),
        };
        Options(keys.iter().map(|key| ((*key).to_owned(), value(key))).collect())
    }

    #[test]
    fn what_was_shown_is_told_by_its_source() {
        let secret = |source| OptionValue::Secret(source);
        let options = Options(
            [
                ("token", secret(SecretRef::Credential("rt".to_owned()))),
                ("user", OptionValue::Text("sexton".to_owned())),
                ("password", secret(SecretRef::File("/etc/p".to_owned()))),
                ("oauth_url", OptionValue::Text("https://login.example/token".to_owned())),
                ("oauth_client", OptionValue::Text("c".to_owned())),
                ("oauth_secret", secret(SecretRef::Env("S".to_owned()))),
            ]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
        );
        for (login, told) in [
            (BEARER, "token from credential rt"),
            (Login::Basic, "user sexton, password from file /etc/p"),
            (
                Login::OAuth2,
                "oauth_url https://login.example/token, oauth_client c, oauth_secret from variable S",
            ),
            (Login::Anonymous, ""),
        ] {
            assert_eq!(login.told(&options), told);
        }
    }

    #[test]
    fn the_first_way_that_is_set_is_taken_and_half_of_one_is_a_mistake() {
        const ALL: &[Login] = &[BEARER, Login::Basic, Login::OAuth2, Login::Certificate];
        for (logins, keys, wanted) in [
            (ALL, &["token"][..], Ok(BEARER)),
            (ALL, &["user", "password"], Ok(Login::Basic)),
            (ALL, &["user", "password", "token"], Ok(BEARER)),
            (ALL, &["oauth_url", "oauth_client", "oauth_secret"], Ok(Login::OAuth2)),
            (ALL, &["client_certificate", "client_key"], Ok(Login::Certificate)),
            (ALL, &["client_certificate", "client_key", "token"], Ok(BEARER)),
            (&[], &[], Ok(Login::Anonymous)),
            (ALL, &["user"], Err("password is missing beside user")),
            (ALL, &["token", "password"], Err("user is missing beside password")),
            (
                ALL,
                &["oauth_url", "oauth_client"],
                Err("oauth_secret is missing beside oauth_url and oauth_client"),
            ),
            (ALL, &["oauth_secret"], Err("oauth_url and oauth_client are missing beside oauth_secret")),
            (&[], &["client_certificate"], Err("client_key is missing beside client_certificate")),
            (&[BEARER], &["token", "client_key"], Err("client_certificate is missing beside client_key")),
            (&[BEARER, Login::Basic], &[], Err("no credentials: set token, or user and password")),
        ] {
            let got = Login::choose(logins, &options(keys));
            assert_eq!(got, wanted.map_err(str::to_owned), "{keys:?}");
        }
    }
}
