//! One Landlock ruleset for files, TCP and scopes. A second layer, even for TCP alone, would leave out the right to
//! move files between folders, and so take it away.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};

use crate::error::{Failure, Step};
use crate::{Wall, WallReport, WallState, Walls, sys};

/// What Landlock is to allow.
pub(crate) struct Rules<'a> {
    /// Folders and files that can be read and executed, with all that is below them.
    pub(crate) readable: Vec<PathBuf>,
    /// Those that can also be written, and between which files can be moved.
    pub(crate) writable: Vec<PathBuf>,
    /// Device files that can be read, written and asked (ioctl).
    pub(crate) devices: Vec<PathBuf>,
    /// Whether TCP may be used.
    pub(crate) tcp: bool,
    /// Which walls are demanded.
    pub(crate) walls: &'a Walls,
}

/// Applies them to the calling thread, as far as this kernel goes, and says how far that is.
pub(crate) fn restrict(rules: &Rules<'_>) -> Result<Vec<WallReport>, Failure> {
    let (files, tcp, scope) = (
        rules.walls.has(Wall::LandlockFiles),
        rules.walls.has(Wall::LandlockTcp) && !rules.tcp,
        rules.walls.has(Wall::LandlockScope),
    );
    let abi = sys::landlock_abi();
    // The first ABI denies every move between folders, whatever it is told.
    let files = files && abi >= 2;
    let standing = [
        WallReport::new(Wall::LandlockFiles, files),
        WallReport::new(Wall::LandlockTcp, tcp && abi >= 4),
        WallReport::new(Wall::LandlockScope, scope && abi >= 6),
    ];
    if standing.iter().all(|report| report.state == WallState::Absent) {
        return Ok(standing.to_vec());
    }
    let failure = |error: landlock::RulesetError| Failure::said(Step::Landlock, error.to_string());
    let mut ruleset = Ruleset::default();
    if files {
        ruleset = ruleset.handle_access(AccessFs::from_all(ABI::V5)).map_err(failure)?;
    }
    if tcp {
        ruleset = ruleset.handle_access(AccessNet::from_all(ABI::V4)).map_err(failure)?;
    }
    if scope {
        ruleset = ruleset.scope(Scope::from_all(ABI::V6)).map_err(failure)?;
    }
    let mut ruleset = ruleset.create().map_err(failure)?;
    if files {
        let read = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
        // Device nodes are left out; REFER (moving between folders) is in.
        let write = AccessFs::from_all(ABI::V3) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
        let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
        for (paths, access) in [(&rules.readable, read), (&rules.writable, write), (&rules.devices, device)] {
            for path in paths {
                ruleset = ruleset.add_rule(beneath(path, access)?).map_err(failure)?;
            }
        }
    }
    ruleset.restrict_self().map_err(failure)?;
    Ok(standing.to_vec())
}

fn beneath(path: &Path, access: BitFlags<AccessFs>) -> Result<PathBeneath<PathFd>, Failure> {
    let opened = PathFd::new(path).map_err(|error| Failure::said(Step::Landlock, error.to_string()))?;
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI::V5) };
    Ok(PathBeneath::new(opened, access))
}
