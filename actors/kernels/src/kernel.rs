//! The table of kernels and how one is chosen: by measuring those that the CPU can run, or by
//! name. Whoever holds a [`Kernel`] holds one that this CPU can run.

#[cfg(target_arch = "x86_64")]
use crate::{avx512, hybrid, sha, x86};
use crate::{
    portable,
    work::{HEADER_BYTES, Hit, Work},
};
use std::{
    error, fmt,
    sync::LazyLock,
    time::{Duration, Instant},
};

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

/// All of them, those that need more first.
static KERNELS: &[Kernel] = &[
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "hybrid",
        lanes: 8,
        roots: 4 * hybrid::BLOCK,
        needs: "AVX-512F, AVX-512VL, SHA and SSE4.1",
        has: || {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("sha")
                && is_x86_feature_detected!("ssse3")
                && is_x86_feature_detected!("sse4.1")
        },
        search: hybrid::search,
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "avx512",
        lanes: 16,
        roots: 32,
        needs: "AVX-512F",
        has: || is_x86_feature_detected!("avx512f"),
        search: avx512::search,
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "sha",
        lanes: sha::LANES,
        roots: 8 * sha::STREAMS,
        needs: "SHA and SSE4.1",
        has: || {
            is_x86_feature_detected!("sha")
                && is_x86_feature_detected!("ssse3")
                && is_x86_feature_detected!("sse4.1")
        },
        search: sha::search,
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "avx2",
        lanes: 8,
        roots: 32,
        needs: "AVX2",
        has: || is_x86_feature_detected!("avx2"),
        search: x86::search_avx2,
    },
    Kernel {
        name: "portable",
        lanes: portable::LANES,
        roots: 32,
        needs: "",
        has: || true,
        search: portable::search,
    },
];

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
    /// Every kernel there is, or why this CPU cannot run it.
    pub fn all() -> impl Iterator<Item = Result<&'static Self, KernelError>> {
        Self::on_a_cpu_that(detected())
    }

    /// Every kernel there is, on a CPU that has what the kernels of these numbers need.
    fn on_a_cpu_that(has: &[bool]) -> impl Iterator<Item = Result<&'static Self, KernelError>> {
        KERNELS.iter().zip(has).map(|(kernel, has)| {
            let missing = KernelError::Unsupported {
                name: kernel.name,
                needs: kernel.needs,
            };
            has.then_some(kernel).ok_or(missing)
        })
    }

    /// Those this CPU can run.
    pub fn available() -> impl Iterator<Item = &'static Self> {
        Self::all().flatten()
    }

    /// The fastest that this CPU can run. Which one that is depends on how its makers laid
    /// out its execution units, so it is measured, once and for a few milliseconds.
    pub fn best() -> &'static Self {
        static BEST: LazyLock<&Kernel> = LazyLock::new(|| {
            let work = measured_work();
            // The least of several, since whatever disturbs a measurement makes it longer.
            let rounds = 0..5;
            let times = rounds
                .flat_map(|_| Kernel::available().map(|kernel| (kernel.measure(&work), kernel)));
            let best = times.min_by_key(|(time, _)| *time);
            best.expect("every CPU can run the portable kernel").1
        });
        *BEST
    }

    /// How long it takes to search some nonces.
    #[allow(
        clippy::disallowed_methods,
        reason = "how fast a kernel is cannot be known without a clock"
    )]
    fn measure(&self, work: &Work) -> Duration {
        let mut hits = Vec::new();
        let started = Instant::now();
        self.search(work, 0, 128, &mut hits);
        started.elapsed()
    }

    /// The kernel of that name.
    ///
    /// # Errors
    /// When none is called so, or this CPU cannot run it.
    pub fn by_name(name: &str) -> Result<&'static Self, KernelError> {
        Self::named(name, detected())
    }

    fn named(name: &str, has: &[bool]) -> Result<&'static Self, KernelError> {
        let unknown = KernelError::Unknown {
            name: name.to_owned(),
        };
        let found = KERNELS.iter().zip(Self::on_a_cpu_that(has));
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
    /// adds less. A multiple of eight suits all kernels.
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

/// For each kernel whether this CPU has what it needs.
fn detected() -> &'static [bool] {
    static HAS: LazyLock<Vec<bool>> =
        LazyLock::new(|| KERNELS.iter().map(|kernel| (kernel.has)()).collect());
    &HAS
}

/// As many headers as any kernel wants, with a target that none will meet.
fn measured_work() -> Work {
    let roots = KERNELS.iter().map(|kernel| kernel.roots).max();
    let headers = (0..roots.unwrap_or(1)).map(|root| {
        let mut header = [0; HEADER_BYTES];
        header[0] = root as u8;
        header
    });
    Work::new(&headers.collect::<Vec<_>>(), &[0; 32]).expect("they differ in one byte")
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
    fn the_portable_kernel_is_always_there_and_the_best_is_one_of_those_that_run() {
        assert_eq!(Kernel::by_name("portable").unwrap().name(), "portable");
        let best = Kernel::best().name();
        assert!(Kernel::available().any(|kernel| kernel.name() == best));
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

    #[test]
    fn on_a_cpu_without_anything_every_kernel_but_the_portable_one_is_refused_in_words() {
        let has: Vec<bool> = KERNELS
            .iter()
            .map(|kernel| kernel.needs.is_empty())
            .collect();
        for kernel in KERNELS {
            let found = Kernel::named(kernel.name, &has);
            if kernel.name == "portable" {
                assert_eq!(found.unwrap().name(), "portable");
                continue;
            }
            let needs = kernel.needs;
            assert_eq!(
                found.unwrap_err().to_string(),
                format!(
                    "this CPU cannot run the kernel {}, which needs {needs}",
                    kernel.name
                )
            );
        }
        let refused = Kernel::on_a_cpu_that(&has).filter(Result::is_err);
        assert_eq!(refused.count(), KERNELS.len() - 1);
        assert!(matches!(
            Kernel::named("abacus", &has),
            Err(KernelError::Unknown { .. })
        ));
    }
}
