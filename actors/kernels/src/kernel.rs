//! The table of kernels, the fastest first, and how one is chosen: by what the CPU can do, or
//! by name. Whoever holds a [`Kernel`] holds one that this CPU can run.

use crate::{
    portable,
    work::{Hit, Work},
};
use std::{error, fmt, sync::LazyLock};

/// One way to search, which the CPU at hand can run.
#[derive(Debug)]
pub struct Kernel {
    name: &'static str,
    lanes: usize,
    roots: usize,
    /// What the CPU must have, in words; empty where anything will do.
    needs: &'static str,
    has: fn() -> bool,
    /// Must only be called where `has` says so.
    search: unsafe fn(&Work, u32, u32, &mut Vec<Hit>),
}

/// All of them, the fastest first where several can run.
static KERNELS: [Kernel; 1] = [Kernel {
    name: "portable",
    lanes: portable::LANES,
    roots: 8,
    needs: "",
    has: || true,
    search: portable::search,
}];

/// Why a kernel cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelError {
    /// None is called so.
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The CPU cannot run it.
    Unsupported {
        /// Its name.
        name: &'static str,
        /// What the CPU must have.
        needs: &'static str,
    },
}

impl Kernel {
    /// Every kernel there is, the fastest first, or why this CPU cannot run it.
    pub fn all() -> impl Iterator<Item = Result<&'static Self, KernelError>> {
        static HAS: LazyLock<Vec<bool>> =
            LazyLock::new(|| KERNELS.iter().map(|kernel| (kernel.has)()).collect());
        KERNELS.iter().zip(HAS.iter()).map(|(kernel, has)| {
            let missing = KernelError::Unsupported {
                name: kernel.name,
                needs: kernel.needs,
            };
            has.then_some(kernel).ok_or(missing)
        })
    }

    /// Those this CPU can run, the fastest first.
    pub fn available() -> impl Iterator<Item = &'static Self> {
        Self::all().flatten()
    }

    /// The fastest that this CPU can run.
    pub fn best() -> &'static Self {
        Self::available()
            .next()
            .expect("every CPU can run the portable kernel")
    }

    /// The kernel of that name.
    ///
    /// # Errors
    /// When none is called so, or this CPU cannot run it.
    pub fn by_name(name: &str) -> Result<&'static Self, KernelError> {
        let unknown = KernelError::Unknown {
            name: name.to_owned(),
        };
        let found = KERNELS.iter().zip(Self::all());
        let found = found.filter(|(kernel, _)| kernel.name == name);
        found
            .map(|(_, kernel)| kernel)
            .next()
            .unwrap_or(Err(unknown))
    }

    /// The name it is asked for by.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many nonces it tries at once: a multiple of it leaves no lane idle.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// How many headers a work should have for full speed. It searches any number, but each
    /// adds less; works of a multiple of four leave no register idle.
    pub fn roots(&self) -> usize {
        self.roots
    }

    /// Tries `count` nonces with every header of the work (`count` times [`Work::roots`]
    /// hashes) and adds every hit there is, in no particular order. The nonces' high half is
    /// the work's; the low half begins at `first` and goes on with 0 after 2^32 − 1.
    pub fn search(&self, work: &Work, first: u32, count: u32, hits: &mut Vec<Hit>) {
        // SAFETY: a `Kernel` can only be had from `all`, which gives those only that the CPU
        // can run, and that is all that a search function asks for.
        #[allow(
            unsafe_code,
            reason = "a function pointer cannot carry its target features"
        )]
        unsafe {
            (self.search)(work, first, count, hits);
        }
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => {
                let names: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
                write!(
                    f,
                    "got kernel {name:?}, expected one of {}",
                    names.join(", ")
                )
            }
            Self::Unsupported { name, needs } => {
                write!(
                    f,
                    "this CPU cannot run the kernel {name}, which needs {needs}"
                )
            }
        }
    }
}

impl error::Error for KernelError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portable_kernel_is_always_there_and_the_first_is_the_best() {
        assert_eq!(Kernel::by_name("portable").unwrap().name(), "portable");
        let first = Kernel::available().next().unwrap();
        assert_eq!(Kernel::best().name(), first.name());
    }

    #[test]
    fn a_name_that_no_kernel_has_is_refused_with_those_there_are() {
        let refused = Kernel::by_name("abacus").unwrap_err().to_string();
        assert!(
            refused.contains("abacus") && refused.contains("portable"),
            "{refused}"
        );
    }

    #[test]
    fn a_kernel_the_cpu_lacks_is_refused_with_what_it_needs() {
        for (kernel, found) in KERNELS.iter().zip(Kernel::all()) {
            assert_eq!(found.is_ok(), (kernel.has)());
            if let Err(refused) = found {
                assert_eq!(Kernel::by_name(kernel.name).unwrap_err(), refused);
                assert!(refused.to_string().contains(kernel.needs), "{refused}");
            }
        }
    }
}
