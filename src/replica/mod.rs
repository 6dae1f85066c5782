//! The replica of the database: Litestream as a child process, its settings file, its control socket, and what is known about
//! how far it is. Reads neither the database nor the clock of the server.
//!
//! Litestream reads the write-ahead log and copies it to the replica. It holds a read transaction, so that no checkpoint can
//! remove what it has not read, and runs the checkpoints itself.

mod configuration;
mod control;
mod follower;
mod lag;
pub mod lease;
mod log_lines;
pub mod object_store;
mod program;
mod standby;
mod status;
mod supervisor;

pub use configuration::{CONTROL_SOCKET, ReplicaFiles, write_configuration};
pub use control::{ControlError, ControlSocket};
pub use follower::{Follower, copy_path, read_copied_transaction, remove_other_copies};
pub use lag::LagClock;
pub use program::{LitestreamProgram, ProgramError, ReplicaContent, RestorePoint};
pub use standby::{StandbyFigures, StandbyPhase, StandbyStatus};
pub use status::{ProcessState, ProofResult, ReplicaFigures, ReplicaStatus};
pub use supervisor::{Supervisor, end_earlier_process};
