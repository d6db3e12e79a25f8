//! The typed local API: messages of the doors, paths, a blocking client and a bounded server.
#![forbid(unsafe_code)]

mod appointing;
mod approvals;
mod auditing;
mod authzen;
mod client;
mod considered;
mod follow;
mod message;
#[cfg(feature = "schema")]
mod openapi;
mod outside;
mod paths;
mod policy;
mod problem;
mod refusal;
mod report;
#[cfg(feature = "server")]
mod route;
#[cfg(feature = "server")]
mod server;
mod undoing;

pub use appointing::{Appoint, AppointmentList, Dismiss};
pub use approvals::*;
pub use auditing::{Auditor, Auditors, ChangeAuditors, Erase, Erased};
pub use authzen::{
    DecisionContext, DecisionPoint, EVALUATIONS_MAX, Entity, Evaluation, EvaluationContext,
    EvaluationDecision, EvaluationDecisions, EvaluationOptions, Evaluations, NamedAction, Semantic,
};
pub use client::{Client, ClientError, Response};
pub use considered::Considered;
pub use follow::{FOLLOW_WAIT_MAX, Follow};
pub use message::*;
#[cfg(feature = "schema")]
pub use openapi::openapi;
pub use outside::{OutsideCapability, OutsideRequestState};
pub use paths::{HomeError, Mode, Paths};
pub use policy::{
    Compared, InstallPolicy, NamedCandidate, PolicyFiles, PolicyState, RollBackPolicy, StartCanary,
};
pub use problem::{Problem, ProblemKind};
pub use refusal::{Denial, Denials};
pub use report::{OperationReport, Report};
#[cfg(feature = "server")]
pub use route::{Found, Route, find};
#[cfg(feature = "server")]
pub use server::{Handler, Limits, Peer, Reply, Request, bind, raise_descriptor_limit, serve};
pub use undoing::{Did, Undoing};
