//! Background jobs of the server.

pub mod certificates;
pub mod clock_watch;
pub mod event_expiry;
pub mod external_writes;
pub mod lease;
pub mod pending_steps;
pub mod personal_data;
pub mod replication;
pub mod retention;
pub mod scheduled_backup;
pub mod service_manager;
pub mod standby;
