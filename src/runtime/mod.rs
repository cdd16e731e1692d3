//! The environment of a step: its settings, clients, event, token and metrics.

pub mod binding;
pub mod clients;
pub mod config;
pub mod event;
pub mod formats;
pub mod invocation;
pub mod previous;
pub mod settings;
pub mod telemetry;
pub mod token;
