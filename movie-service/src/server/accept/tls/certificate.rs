//! Checks of X.509 certificates: subject names, supported keys, validity.

use std::ops::RangeInclusive;

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519,
};
use x509_parser::parse_x509_certificate;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Version};

/// The supported types of keys, for errors.
pub(super) const SUPPORTED_KEYS: &str = "RSA of 2048 to 4096 bits, P-256, P-384 or Ed25519";

/// Supported sizes of RSA keys in bits.
const RSA_BITS: RangeInclusive<usize> = 2048..=4096;

/// Returns the subject names of a certificate: its DNS and URI alternative names or, only if it has neither, its common
/// names (RFC 6125, section 6.4.4).
pub(super) fn subject_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return Vec::new() };
    // An unreadable alternative name may be a DNS name or URI, so the common name is not used as a fallback.
    let Ok(alternatives) = certificate.subject_alternative_name() else { return Vec::new() };
    let alternatives = alternatives.map_or(&[][..], |extension| &extension.value.general_names);
    let is_dns_or_uri =
        |name| matches!(name, &GeneralName::DNSName(_) | &GeneralName::URI(_) | &GeneralName::Invalid(..));
    if !alternatives.iter().any(is_dns_or_uri) {
        let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        return common.map(ToOwned::to_owned).collect();
    }
    let readable = alternatives.iter().filter_map(|name| {
        let (GeneralName::DNSName(name) | GeneralName::URI(name)) = name else { return None };
        Some((*name).to_owned())
    });
    readable.collect()
}

/// Returns why a server cannot use the certificate, if it cannot.
pub(super) fn unusable_reason(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let X509Version(version) = certificate.version();
    if certificate.version() != X509Version::V3 {
        // RFC 5280, section 4.1.2.1
        return Some(format!(
            "it is a version {} certificate, which cannot have a subjectAltName; create a version 3 certificate",
            version + 1
        ));
    }
    let kind = unsupported_key(certificate.public_key())?;
    Some(format!("{kind} is not supported; expected a key of {SUPPORTED_KEYS}"))
}

/// Returns the reason why clients will reject the certificate at time `now`; `None` if they accept it.
pub(super) fn warning(certificate: &CertificateDer<'_>, now: ASN1Time) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let validity = certificate.validity();
    if now > validity.not_after {
        Some(format!("it expired on {}", validity.not_after))
    } else if now < validity.not_before {
        Some(format!("it is not valid before {}", validity.not_before))
    } else {
        let has_no_names = matches!(certificate.subject_alternative_name(), Ok(None));
        has_no_names.then(|| "it has no subjectAltName, and clients ignore the common name".to_owned())
    }
}

/// Returns when the first of these certificates expires, in seconds since 1970.
pub(super) fn expiry(chain: &[CertificateDer<'_>]) -> Option<i64> {
    let expiries = chain.iter().filter_map(|certificate| {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    expiries.min()
}

/// Returns the type of a key that is not supported; `None` if it is.
fn unsupported_key(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    let algorithm = &key.algorithm.algorithm;
    if *algorithm == OID_SIG_ED25519 {
        None
    } else if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        match key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok()) {
            Some(curve) if curve == OID_EC_P256 || curve == OID_NIST_EC_P384 => None,
            Some(curve) if curve == OID_NIST_EC_P521 => Some("P-521".to_owned()),
            Some(curve) => Some(format!("the curve {curve}")),
            None => Some("a curve without a name".to_owned()),
        }
    } else if *algorithm == OID_PKCS1_RSAENCRYPTION {
        match key.parsed() {
            Ok(PublicKey::RSA(rsa)) if RSA_BITS.contains(&rsa.key_size()) => None,
            Ok(key) => Some(format!("RSA with {} bits", key.key_size())),
            Err(_) => Some("a malformed RSA key".to_owned()),
        }
    } else {
        Some(format!("the algorithm {algorithm}"))
    }
}
