//! `alarmbus schema`: the JSON Schema of what is published, or of mapping files.

use clap::{Args, ValueEnum};

use crate::config::mapping;
use crate::render::schema;
use crate::terminal::{Failure, out};

/// Flags of `schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Documents described by the schema
    #[arg(value_enum, default_value = "published")]
    of: Of,
}

/// Documents with a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Of {
    /// Everything that is published as JSON.
    Published,
    /// Mapping files.
    Mapping,
}

/// Prints the schema.
pub(super) fn run(schema: &SchemaArgs) -> Result<(), Failure> {
    match schema.of {
        Of::Published => out::print_json(&schema::schema()),
        Of::Mapping => out::print_json(&mapping::schema()),
    }
}
