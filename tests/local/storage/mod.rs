//! The local Storage: what its files, rows and answers do, with policies like the product's.

mod bench;
mod downloads;
mod faults;
mod policies;
mod removals;
mod signed;
mod uploads;
