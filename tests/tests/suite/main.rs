//! Black-box suites: every test drives the real `valetkey`, `valetkeyd` and `valetkey-sheet`.

mod activation;
mod agent_door;
mod agents;
mod alarming;
mod appointing;
mod approvers;
mod approving;
mod asking;
mod attack;
mod authzen;
mod bearable;
mod bundling;
mod bus;
mod clients;
mod constraints;
mod demo;
mod desktop;
mod doctor;
mod documents;
mod emergencies;
mod exec;
mod failing;
mod flowing;
mod forging;
mod forging_places;
mod hostile_bytes;
mod hostile_peers;
mod inbox;
mod installing;
mod keeping;
mod learning;
mod links;
mod listings;
mod masks;
mod mcp;
mod modes;
mod narrowing;
mod nesting;
mod network;
mod ordinary_user;
mod other_makers;
mod outside_door;
mod overlay;
mod passing_through;
mod privacy;
mod programs;
mod prompting;
mod proving;
mod querying;
mod quiet;
mod remembering;
mod replaying;
mod revoking;
mod rolling_out;
mod rolling_under;
mod sessions;
mod setup_errors;
mod staging;
mod terminal;
mod undoing;
mod undoing_plans;
mod upgrade;
mod view;
mod watching_requests;
mod witnessing;
mod workloads;
mod writing_policy;

/// Ends a test that needs a cell, loudly, where this user cannot have one.
macro_rules! needs_cells {
    () => {
        if let Some(why) = valetkey_tests::cannot_run_cells() {
            let test = std::thread::current();
            valetkey_tests::skipped(test.name().unwrap_or(module_path!()), &why);
            return;
        }
    };
}
pub(crate) use needs_cells;
