//! Black-box suites: every test drives the real `valetkey`, `valetkeyd` and `valetkey-sheet`.

mod demo;
mod passing_through;
mod terminal;
mod view;
mod asking;
mod failing;
mod setup_errors;
mod sessions;
mod listings;
mod attack;
mod agent_door;
mod documents;
mod revoking;
mod ordinary_user;

/// Ends a test that needs a cell, loudly, where this user cannot have one.
macro_rules! needs_cells {
    () => {
        if let Some(why) = valetkey_tests::cannot_run_cells() {
            valetkey_tests::skipped(module_path!(), &why);
            return;
        }
    };
}
pub(crate) use needs_cells;
