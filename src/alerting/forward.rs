//! Which Alertmanagers are told, as the settings say.

use crate::settings::Alerting;
use tidewatch_notify::http::{Authorization, HttpSettings};
use tidewatch_notify::{Secret, SecretUrl, TlsSettings};
use tidewatch_ruler::ForwardSettings;

impl Alerting {
    /// Where alerts are forwarded to, and how.
    ///
    /// Errors: an address is no URL, or there are two ways to log in.
    pub fn forwarding(&self) -> Result<ForwardSettings, String> {
        let own = &self.forward;
        let address = |text: &String| SecretUrl::parse(text).map_err(|error| error.to_string());
        let alertmanagers = self.alertmanagers.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        let authorization = match (own.user.is_empty(), own.bearer_token.is_empty()) {
            (false, false) => return Err("expected user or bearer_token, found both\n  hint: remove one".to_owned()),
            (true, true) => None,
            (true, false) => Some(Authorization::Bearer(Secret::new(own.bearer_token.clone()))),
            (false, true) => {
                Some(Authorization::Basic { user: own.user.clone(), password: Secret::new(own.password.clone()) })
            }
        };
        let ca_file = Some(&own.ca_file).filter(|file| !file.is_empty()).map(Into::into);
        let http = HttpSettings {
            authorization,
            tls: TlsSettings { ca_file, skip_verify: own.skip_verify },
            timeout: own.timeout,
            connect_timeout: own.timeout.min(HttpSettings::default().connect_timeout),
            ..HttpSettings::default()
        };
        Ok(ForwardSettings { alertmanagers, http, capacity: own.queue_max, batch_max: own.batch_max })
    }
}
