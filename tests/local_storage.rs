//! The local Storage: what its files, rows and answers do, with policies like the product's.
#![cfg(feature = "local")]

mod local_storage {
    pub mod bench;

    mod downloads;
    mod faults;
    mod policies;
    mod removals;
    mod signed;
    mod uploads;
}
