//! Tests of the API contract.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod course_contract;
mod descriptor_set;
mod generated_code;
mod wire_cases;
