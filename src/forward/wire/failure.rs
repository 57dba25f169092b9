//! What went wrong on the way to an HTTP server, in words that say what to mend.

use std::error::Error;

use rustls::{CertificateError, InvalidMessage};

use super::client::chain;

/// What reqwest and hyper say of every failure, whatever it is.
const NOISE: &[&str] =
    &["error sending request: ", "client error (Connect): ", "client error (SendRequest): "];

/// The error with its causes on one line, and what may be done about it.
pub fn told(error: &reqwest::Error) -> String {
    let Some(tls) = tls(error) else {
        let text = chain(error);
        return NOISE
            .iter()
            .fold(text.as_str(), |text, noise| text.strip_prefix(noise).unwrap_or(text))
            .to_owned();
    };
    match advice(tls) {
        Some(advice) => format!("TLS fails: {tls}: {advice}"),
        None => format!("TLS fails: {tls}"),
    }
}

fn advice(error: &rustls::Error) -> Option<&'static str> {
    use CertificateError as C;
    match error {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Some("what answers there speaks no TLS; is it http:// and not https://?")
        }
        rustls::Error::InvalidCertificate(C::UnknownIssuer) => {
            Some("its authority is not known here; name the authority's file as ca")
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            Some("a new certificate is needed there")
        }
        // Authorities that vouch for themselves are told by words only.
        rustls::Error::InvalidCertificate(C::Other(_)) => Some(
            "the server needs a certificate of its own that an authority known here, or named as ca, has signed",
        ),
        _ => None,
    }
}

/// In TLS 1.3 a server that does not like our certificate says so after we have begun to speak: it has read
/// nothing of it.
pub fn is_turned_away(error: &reqwest::Error) -> bool {
    use rustls::AlertDescription as A;
    let Some(rustls::Error::AlertReceived(alert)) = tls(error) else { return false };
    matches!(
        alert,
        A::CertificateRequired
            | A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            | A::HandshakeFailure
    )
}

/// The error of TLS among the causes; an error of input and output hides what it holds from `source`.
fn tls<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let held = || tls(error.downcast_ref::<std::io::Error>()?.get_ref()?);
    error.downcast_ref().or_else(held).or_else(|| tls(error.source()?))
}
