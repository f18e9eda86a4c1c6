// SPDX-License-Identifier: GPL-2.0

//! The counters of mounts and what processes did, taken again and again.

use super::{Instance, Process, Tally};
use crate::mounts::{counters, Overlay};
use crate::show::Bytes;
use anyhow::Result;
use ioctls::stats::Stats;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

/// Some numbers of a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Numbers {
    /// Copy ups.
    pub copy_ups: u64,
    /// What these have copied or shared.
    pub bytes: u64,
    /// Layers that were asked for a name that they do not have.
    pub misses: u64,
    /// Syncs.
    pub syncs: u64,
}

/// A mount, at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct MountSample {
    /// Where it is.
    pub mount: Bytes,
    /// The type.
    #[serde(rename = "type")]
    pub kind: Bytes,
    /// Major and minor number.
    pub device: String,
    /// Since it was mounted; nothing if it has no counters, as with the in-tree module.
    pub total: Option<Numbers>,
    /// Since the moment before.
    pub since: Option<Numbers>,
    /// All counters.
    pub counters: BTreeMap<&'static str, u64>,
}

/// All there is, at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Snapshot {
    /// How long ago the moment before was, in milliseconds.
    pub milliseconds: u64,
    /// The mounts.
    pub mounts: Vec<MountSample>,
    /// What processes did since it began, if events are on.
    pub processes: Vec<Process>,
    /// Why no events are on, or how many were lost.
    pub remark: Option<String>,
}

/// Takes samples.
#[derive(Debug)]
pub struct Sampler {
    instance: Option<Instance>,
    remark: Option<String>,
    tally: Tally,
    before: HashMap<(u32, u32), Numbers>,
    at: Instant,
    lost: u64,
}

impl Numbers {
    fn of(stats: &Stats) -> Self {
        Self {
            copy_ups: stats.copy_ups,
            bytes: stats.bytes_copied.saturating_add(stats.bytes_shared),
            misses: stats.layers_missed,
            syncs: stats.syncs_own.saturating_add(stats.syncs_full),
        }
    }

    fn minus(&self, before: &Self) -> Self {
        Self {
            copy_ups: self.copy_ups.saturating_sub(before.copy_ups),
            bytes: self.bytes.saturating_sub(before.bytes),
            misses: self.misses.saturating_sub(before.misses),
            syncs: self.syncs.saturating_sub(before.syncs),
        }
    }
}

impl Sampler {
    /// One that counts the events of `instance`, or says why there are none.
    pub fn new(instance: Result<Instance>) -> Self {
        let (instance, remark) = match instance {
            Ok(instance) => (Some(instance), None),
            Err(error) => (None, Some(format!("processes are not known: {error:#}"))),
        };
        Self {
            instance,
            remark,
            tally: Tally::default(),
            before: HashMap::new(),
            at: Instant::now(),
            lost: 0,
        }
    }

    /// Counts the events that are there.
    pub fn drain(&mut self) -> Result<()> {
        let Some(instance) = &mut self.instance else {
            return Ok(());
        };
        let tally = &mut self.tally;
        instance.read(|line| tally.add(&line))?;
        self.lost = self.lost.saturating_add(instance.take_lost());
        Ok(())
    }

    /// Looks at all mounts.
    pub fn take(&mut self) -> Result<Snapshot> {
        let milliseconds = self.at.elapsed().as_millis();
        self.at = Instant::now();
        let mut seen = HashSet::new();
        let mut mounts = Vec::new();
        for overlay in Overlay::all()? {
            // One that is mounted in several places has its counters once.
            if seen.insert(overlay.mount.device) {
                mounts.push(self.mount(&overlay));
            }
        }
        self.before.retain(|device, _| seen.contains(device));
        let lost = (self.lost > 0).then(|| format!("{} events were lost", self.lost));
        Ok(Snapshot {
            milliseconds: u64::try_from(milliseconds).unwrap_or(u64::MAX),
            mounts,
            processes: self.tally.processes(),
            remark: self.remark.clone().or(lost),
        })
    }

    fn mount(&mut self, overlay: &Overlay) -> MountSample {
        let mount = &overlay.mount;
        let stats = counters(overlay);
        let total = stats.as_ref().map(Numbers::of);
        let before = total.and_then(|total| self.before.insert(mount.device, total));
        let counters = stats.as_ref().map(|stats| stats.numbers().collect());
        MountSample {
            mount: mount.point.as_os_str().as_bytes().into(),
            kind: mount.kind.clone().into(),
            device: format!("{}:{}", mount.device.0, mount.device.1),
            total,
            since: total.map(|total| total.minus(&before.unwrap_or(total))),
            counters: counters.unwrap_or_default(),
        }
    }
}
