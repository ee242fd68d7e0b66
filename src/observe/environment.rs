//! Where a run is made: what the report's provenance says of machine and build.

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::store::entry::Environment;

/// This machine and this build of gander.
pub fn environment() -> Environment {
    let what = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing())
        .with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what).ok();
    let unknown = || "unknown".to_owned();
    let name = System::long_os_version().unwrap_or_else(|_| unknown());
    let kernel = System::kernel_version().unwrap_or_else(|_| unknown());
    let cpu = system.as_ref().and_then(|system| Some(system.cpus().first()?.brand().to_owned()));
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    Environment {
        gander_version: env!("CARGO_PKG_VERSION").to_owned(),
        gander_commit: option_env!("GANDER_COMMIT").map(str::to_owned),
        optimised_build: !cfg!(debug_assertions),
        system: format!("{name}, kernel {kernel}"),
        cpu: cpu.unwrap_or_else(unknown),
        cores: system.as_ref().map_or(0, |system| system.cpus().len()).max(usable),
        usable_cores: Some(usable),
        memory_bytes: system.map_or(0, |system| system.total_memory()),
    }
}
