//! Certificates. The tests of the service include this file, too.

use std::io;
use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use crate::support::skipped::skip;

/// Last year of a certificate that does not expire during a test.
const FAR_YEAR: i32 = 4096;

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key, in PEM.
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Issues a certificate for this name.
    pub(crate) fn pair(&self, name: &str) -> Pair {
        self.pair_until(name, FAR_YEAR)
    }

    /// Issues a certificate for this name that expires at the beginning of a year.
    pub(crate) fn pair_until(&self, name: &str, year: i32) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        Pair { cert: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }

    /// Returns the certificate of the authority, in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }
}

/// Runs openssl in a directory. Returns `false` if openssl is not installed, so that the test is skipped.
pub(crate) fn openssl<'a>(directory: &Path, arguments: impl IntoIterator<Item = &'a str>) -> bool {
    match Command::new("openssl").args(arguments).current_dir(directory).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            skip("openssl is not installed");
            false
        }
    }
}
