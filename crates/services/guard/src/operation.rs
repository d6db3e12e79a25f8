//! Reports of single operations, each built in one place.

use valetkey_api::{OperationReport, Problem};
use valetkey_model::{ActionSet, CapabilityId, Resource, Timestamp};

/// An operation that was done, or is about to be.
pub(crate) fn done(
    time: Timestamp,
    resource: Resource,
    actions: ActionSet,
    capability: &CapabilityId,
    operation: &str,
) -> OperationReport {
    OperationReport {
        time,
        resource,
        actions,
        done: true,
        capability_id: Some(capability.clone()),
        operation: operation.to_owned(),
        reason: None,
        duration_us: 0,
        bytes_read: 0,
        bytes_written: 0,
        rows: 0,
        count: 1,
        file_hash: None,
        address: None,
        server_name: None,
    }
}

/// An operation that was refused.
pub(crate) fn refused(
    time: Timestamp,
    resource: Resource,
    actions: ActionSet,
    capability: Option<&CapabilityId>,
    operation: &str,
    problem: &Problem,
) -> OperationReport {
    OperationReport {
        time,
        resource,
        actions,
        done: false,
        capability_id: capability.cloned(),
        operation: operation.to_owned(),
        reason: Some(problem.detail.clone()),
        duration_us: 0,
        bytes_read: 0,
        bytes_written: 0,
        rows: 0,
        count: 1,
        file_hash: None,
        address: None,
        server_name: None,
    }
}
