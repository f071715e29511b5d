/// Which URL schemes can be reached from where a step runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Schemes {
    /// `file://`, below the listed roots.
    pub file: bool,
    /// `http://` and `https://`.
    pub http: bool,
    /// `s3://`.
    pub s3: bool,
    /// `gs://`.
    pub gs: bool,
    /// `az://`.
    pub az: bool,
}

impl Schemes {
    /// Whether `scheme` (without `://`) can be reached.
    pub fn has(self, scheme: &str) -> bool {
        match scheme {
            "file" => self.file,
            "http" | "https" => self.http,
            "s3" => self.s3,
            "gs" => self.gs,
            "az" => self.az,
            _ => false,
        }
    }
}

/// What a backend can do. Everything is off by default; what is off is refused by it with
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), and the conformance suite leaves out its trials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capability {
    /// A log can be followed while the algorithm runs.
    pub logs_follow: bool,
    /// A stopped algorithm gets SIGTERM and some time before SIGKILL.
    pub stop_grace: bool,
    /// GPUs can be asked for.
    pub gpu: bool,
    /// Processes of one job may speak over unix sockets.
    pub unix_sockets: bool,
    /// An algorithm can be given the network.
    pub network: bool,
    /// A container's checksum is honoured.
    pub container_checksum: bool,
    /// Images can be any of a registry's (else: names of runtimes of the host).
    pub images: bool,
    /// Memory is limited by the kernel (else: by a watchdog).
    pub memory_hard: bool,
    /// Disk use is limited by the kernel (else: by counting).
    pub disk_hard: bool,
    /// Peak memory and CPU time are known.
    pub usage: bool,
    /// Where inputs may come from.
    pub inputs: Schemes,
    /// Where results may go.
    pub results: Schemes,
    /// A network namespace without routes stands around an algorithm that has no network.
    pub network_namespace: bool,
    /// A NetworkPolicy is asked for.
    pub network_policy: bool,
    /// The seccomp allow-list stands.
    pub seccomp: bool,
    /// Landlock stands.
    pub landlock: bool,
}
