//! The replica of the database: Litestream as a child process, its settings file, its control socket, and what is known about
//! how far it is. Reads neither the database nor the clock of the server.
//!
//! Litestream reads the write-ahead log and copies it to the replica. It holds a read transaction, so that no checkpoint can
//! remove what it has not read, and runs the checkpoints itself.

mod configuration;
mod control;
mod lag;
mod log_lines;
mod program;
mod status;
mod supervisor;

pub use configuration::{CONTROL_SOCKET, ReplicaFiles, write_configuration};
pub use control::{ControlError, ControlSocket};
pub use lag::LagClock;
pub use program::{LitestreamProgram, ProgramError, ReplicaContent, RestorePoint};
pub use status::{ProcessState, ProofResult, ReplicaFigures, ReplicaStatus};
pub use supervisor::Supervisor;
