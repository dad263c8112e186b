//! `man` and `completions`: made from the command line's own description.

use std::io;

use clap::CommandFactory;
use forelog::Error;
use forelog_dump::{Exit, Fault, Output};

use crate::args::Args;
use crate::options::{CompletionsArgs, ManArgs};

pub(crate) fn man(args: &ManArgs, mut out: Output<'_>) -> Result<Exit, Fault> {
    let command = Args::command();
    match &args.out {
        None => clap_mangen::Man::new(command).render(&mut out)?,
        Some(folder) => {
            let failed = |error: io::Error| Error::io("write the manual pages", folder, error);
            std::fs::create_dir_all(folder).map_err(failed)?;
            clap_mangen::generate_to(command, folder).map_err(failed)?;
        }
    }
    Ok(Exit::Good)
}

pub(crate) fn completions(args: &CompletionsArgs, out: Output<'_>) -> Result<Exit, Fault> {
    let mut text = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut Args::command(),
        "forelog-recovery",
        &mut text,
    );
    out.write_all(&text)?;
    Ok(Exit::Good)
}
