//! Messages about appointments: who may answer for other people's sessions, in system mode.

use serde::{Deserialize, Serialize};
use valetkey_approval::Appointment;

/// Operator door, in system mode, for root: somebody who may answer for other people's sessions, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Appoint {
    /// The name of their account.
    pub name: String,
    /// The roles in which they answer; nobody is appointed an owner.
    pub roles: Vec<String>,
    /// The name of the account whose sessions it is for; everyone's where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_user: Option<String>,
}

/// Operator door: an end of an appointment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Dismiss {
    /// The name of their account.
    pub name: String,
    /// Whose sessions the appointment was for; everyone's where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_user: Option<String>,
}

/// Operator door: appointments in sight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AppointmentList {
    /// In the order in which they were made.
    pub appointments: Vec<Appointment>,
}
