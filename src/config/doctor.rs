//! The flags of `chancery doctor`: those of the server that is looked over.
use super::ServeArgs;

/// What is looked over, and how it is told.
#[derive(clap::Args, Clone, Default, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub serve: ServeArgs,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}
