//! [`Process`]: whose something is. A fork copies memory and open files, but no thread.

/// A process, as it is told from one that was forked off it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(u32);

impl Process {
    /// The one that runs.
    pub(crate) fn this() -> Process {
        Process(std::process::id())
    }

    /// Whether this one runs. A system call: not for each event.
    pub(crate) fn is_this(self) -> bool {
        self.0 == std::process::id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_and_no_other() {
        assert!(Process::this().is_this());
        assert!(!Process(std::process::id().wrapping_add(1)).is_this());
    }
}
