//! Checks and error texts for certificates.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{CertificateError, Error, OtherError};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519,
};
use x509_parser::parse_x509_certificate;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Version};

/// Supported kinds of keys.
pub(super) const SUPPORTED_KEYS: &str = "RSA of 2048 bits or more, P-256, P-384 or Ed25519";

/// Sizes of RSA keys whose signatures can be verified, in bits.
const RSA_KEY_BITS: RangeInclusive<usize> = 2048..=8192;

const MALFORMED: &str = "it is not an X.509 certificate";

pub(super) const UNSUPPORTED: &str = "it has unsupported parts";

/// Description of a fault of the service's certificate. The TLS library passes it on as an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct CertificateFault(String);

/// Returns why the key of this certificate cannot verify anything, or `None` if it can.
pub(super) fn trust_fault(certificate: &CertificateDer<'_>) -> Option<String> {
    match parse_x509_certificate(certificate) {
        Ok((_, certificate)) => key_fault(certificate.public_key()),
        Err(_) => Some(MALFORMED.to_owned()),
    }
}

/// Returns why a client cannot present this certificate, or `None` if it can.
pub(super) fn identity_fault(certificate: &CertificateDer<'_>) -> Option<String> {
    let version = parse_x509_certificate(certificate).ok().and_then(|(_, parsed)| version_fault(&parsed));
    version.or_else(|| trust_fault(certificate))
}

/// Returns whether this is the self-signed certificate of an authority (CA:TRUE), as `openssl req -x509` creates it.
pub(super) fn is_self_signed_authority(certificate: &CertificateDer<'_>) -> bool {
    parse_x509_certificate(certificate).is_ok_and(|(_, certificate)| {
        certificate.is_ca() && certificate.issuer().as_raw() == certificate.subject().as_raw()
    })
}

/// Checks the validity period and the purpose of a certificate, but not its names.
///
/// # Errors
///
/// The first violation.
pub(super) fn check(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let (_, certificate) = parse_x509_certificate(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let now = time(now).ok_or(CertificateError::BadEncoding)?;
    if now < certificate.validity().not_before {
        return Err(CertificateError::NotValidYet);
    }
    if now > certificate.validity().not_after {
        return Err(CertificateError::Expired);
    }
    let purposes = certificate.extended_key_usage().map_err(|_| CertificateError::BadEncoding)?;
    if purposes.is_some_and(|purposes| !purposes.value.server_auth) {
        return Err(CertificateError::InvalidPurpose);
    }
    Ok(())
}

/// Replaces a verification error by a description for people. `name` is the expected host name.
pub(super) fn explain(error: &Error, certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Error {
    let fault = match parse_x509_certificate(certificate) {
        Ok((_, certificate)) => fault(error, &certificate, name),
        Err(_) => MALFORMED.to_owned(),
    };
    CertificateError::Other(OtherError(Arc::new(CertificateFault(fault)))).into()
}

fn fault(error: &Error, certificate: &X509Certificate<'_>, name: &ServerName<'_>) -> String {
    use CertificateError as Wrong;
    if let Some(fault) = version_fault(certificate).or_else(|| key_fault(certificate.public_key())) {
        return fault;
    }
    let Error::InvalidCertificate(error) = error else { return UNSUPPORTED.to_owned() };
    match (error, certificate.is_ca()) {
        (Wrong::Expired | Wrong::ExpiredContext { .. }, _) => {
            format!("it expired on {}", certificate.validity().not_after)
        }
        (Wrong::NotValidYet | Wrong::NotValidYetContext { .. }, _) => {
            format!("it is not valid before {}", certificate.validity().not_before)
        }
        (Wrong::NotValidForName | Wrong::NotValidForNameContext { .. }, _) => name_fault(certificate, name),
        (Wrong::InvalidPurpose | Wrong::InvalidPurposeContext { .. }, _) => {
            "its extended key usage lacks serverAuth".to_owned()
        }
        (Wrong::UnknownIssuer | Wrong::BadSignature, _) => "no trusted authority signed it".to_owned(),
        (Wrong::Other(_), true) => "it is the certificate of an untrusted authority (CA:TRUE)".to_owned(),
        _ => format!("{UNSUPPORTED}, or its authority has"),
    }
}

/// Host names are in an extension, which only version 3 certificates have (RFC 5280 §4.1.2.1).
fn version_fault(certificate: &X509Certificate<'_>) -> Option<String> {
    let X509Version(version) = certificate.version();
    let is_old = certificate.version() != X509Version::V3;
    is_old.then(|| {
        format!(
            "it is a version {} certificate, which has no subjectAltName; version 3 is required",
            version + 1
        )
    })
}

fn key_fault(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    let algorithm = &key.algorithm.algorithm;
    let kind = if *algorithm == OID_SIG_ED25519 {
        return None;
    } else if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
        match curve {
            Some(curve) if curve == OID_EC_P256 || curve == OID_NIST_EC_P384 => return None,
            Some(curve) if curve == OID_NIST_EC_P521 => "P-521".to_owned(),
            Some(curve) => format!("the curve {curve}"),
            None => "a curve without a name".to_owned(),
        }
    } else if *algorithm == OID_PKCS1_RSAENCRYPTION {
        match key.parsed() {
            Ok(PublicKey::RSA(rsa)) if RSA_KEY_BITS.contains(&rsa.key_size()) => return None,
            Ok(key) => format!("RSA with {} bits", key.key_size()),
            Err(_) => "a malformed RSA key".to_owned(),
        }
    } else {
        format!("the algorithm {algorithm}")
    };
    Some(format!("{kind} is not supported; its key must be {SUPPORTED_KEYS}"))
}

fn name_fault(certificate: &X509Certificate<'_>, name: &ServerName<'_>) -> String {
    let wanted = name.to_str();
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        let common = certificate.subject().iter_common_name().find_map(|name| name.as_str().ok());
        let common = common.map(|name| format!("; its common name `{name}` is ignored")).unwrap_or_default();
        return format!("it has no subjectAltName{common}");
    };
    let names: Vec<_> = names.value.general_names.iter().filter_map(host).collect();
    if names.is_empty() {
        return "its subjectAltName has no host".to_owned();
    }
    format!("it is for {}, not for {wanted}", names.join(", "))
}

/// Returns the host of an alternative name, or `None` for another kind of name.
fn host(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name {
        return Some((*name).to_owned());
    }
    let GeneralName::IPAddress(bytes) = name else { return None };
    let address = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
    let address = address.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
    address.ok().map(|address| address.to_string())
}

fn time(time: UnixTime) -> Option<ASN1Time> {
    ASN1Time::from_timestamp(i64::try_from(time.as_secs()).ok()?).ok()
}
