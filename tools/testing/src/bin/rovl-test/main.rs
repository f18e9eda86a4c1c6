// SPDX-License-Identifier: GPL-2.0
//! Guest tests for overlay file systems: the same for the kernel's own `overlay` and for `rovl`.

mod acl;
mod aio_direct;
mod alloc_failures;
mod apparmor;
mod bad_mount;
mod big_directory;
mod casefold;
mod changed_layers;
mod composefs;
mod copy_up;
mod copy_up_data;
mod copy_up_races;
mod corrupt_layers;
mod create;
mod cve_credentials;
mod cve_lifetime;
mod data_only;
mod data_only_changes;
mod data_only_mount;
mod downgraded_mount;
mod downgraded_options;
mod extents;
mod failing_allocations;
mod failing_blocks;
mod failing_index;
mod fanotify;
mod fault_injection;
mod faults;
mod file_handle;
mod file_io;
mod fileattr;
mod fileattr_calls;
mod fixes_7_3;
mod fixes_7_3_between;
mod fixes_7_3_races;
mod fixes_7_3_selinux;
mod fixes_backing;
mod idmap;
mod ima;
mod in_use;
mod index;
mod index_both;
mod index_mount;
mod layer_fds;
mod link;
mod locks;
mod long_names;
mod lookup;
mod made_again;
mod mapping_changes;
mod messages;
mod metacopy;
mod metacopy_names;
mod mmap;
mod module;
mod mount_modes;
mod mount_options;
mod mount_shown;
mod nested;
mod nfs_export;
mod nfs_export_dirs;
mod nfs_export_handles;
mod nfs_export_index;
mod nfs_export_marks;
mod nfs_export_options;
mod nfs_export_races;
mod no_space;
mod page_cache;
mod permission;
mod process;
mod races;
mod rcu_walk;
mod readdir;
mod redirect;
mod redirect_lookup;
mod remount;
mod remount_command;
mod remount_options;
mod rename;
mod revalidation;
mod ring;
mod rw_flags;
mod selinux;
mod selinux_decisions;
mod setattr;
mod signals;
mod special_files;
mod splice;
mod stat_ino;
mod statfs;
mod statx;
mod steps;
mod submounts;
mod swap;
mod swap_downgraded;
mod swap_handles;
mod swap_marks;
mod swap_options;
mod tmpfile;
mod upper_errors;
mod userns;
mod userxattr;
mod verity;
mod watch;
mod whiteout;
mod work_cleanup;
mod work_directory;
mod xattr;
mod xattr_whiteout;
mod xino;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use libtest_mimic::Arguments;
use rovl_testing::case::{keep_panic_messages, Settings};
use rovl_testing::Case;

/// Tests an overlay file system type that is loaded in this kernel. Needs root.
#[derive(Debug, Parser)]
#[command(about, disable_version_flag = true)]
struct Options {
    /// File system type under test
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,

    /// Directory for the layers; its file system is the one under the overlay
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,

    /// Directory with the mount points ext4, xfs and tmpfs, for tests of particular file systems
    #[arg(long, value_name = "DIR", default_value = "/scratch")]
    scratch: PathBuf,

    /// Factor on the length of loops; below 1 for slow debug kernels
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    scale: f64,

    /// Tell how long each test took
    #[arg(long)]
    times: bool,

    /// Try every place of a fault (every allocation, every block)
    #[arg(long)]
    thorough: bool,

    /// Module file of the type, for the test that unloads it [default: /payload/TYPE.ko]
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,

    /// Wait for the end of the input and exit; a test runs this program so
    #[arg(long, hide = true)]
    hold: bool,

    #[command(flatten)]
    harness: Arguments,
}

/// All modules with tests, in the order in which they run.
const MODULES: &[&[Case]] = &[
    lookup::CASES,
    copy_up::CASES,
    copy_up_data::CASES,
    whiteout::CASES,
    xattr_whiteout::CASES,
    readdir::CASES,
    big_directory::CASES,
    redirect::CASES,
    redirect_lookup::CASES,
    rename::CASES,
    create::CASES,
    link::CASES,
    tmpfile::CASES,
    setattr::CASES,
    xattr::CASES,
    xino::CASES,
    acl::CASES,
    userxattr::CASES,
    userns::CASES,
    idmap::CASES,
    fileattr::CASES,
    fileattr_calls::CASES,
    file_handle::CASES,
    nfs_export::CASES,
    nfs_export_dirs::CASES,
    nfs_export_handles::CASES,
    nfs_export_index::CASES,
    nfs_export_marks::CASES,
    nfs_export_options::CASES,
    nfs_export_races::CASES,
    metacopy::CASES,
    metacopy_names::CASES,
    data_only::CASES,
    data_only_changes::CASES,
    data_only_mount::CASES,
    verity::CASES,
    composefs::CASES,
    watch::CASES,
    fanotify::CASES,
    mmap::CASES,
    mapping_changes::CASES,
    process::CASES,
    file_io::CASES,
    rw_flags::CASES,
    locks::CASES,
    splice::CASES,
    special_files::CASES,
    long_names::CASES,
    extents::CASES,
    aio_direct::CASES,
    ring::CASES,
    stat_ino::CASES,
    statx::CASES,
    statfs::CASES,
    permission::CASES,
    rcu_walk::CASES,
    selinux::CASES,
    selinux_decisions::CASES,
    apparmor::CASES,
    ima::CASES,
    mount_options::CASES,
    mount_modes::CASES,
    layer_fds::CASES,
    in_use::CASES,
    index::CASES,
    index_mount::CASES,
    index_both::CASES,
    messages::CASES,
    mount_shown::CASES,
    remount::CASES,
    remount_options::CASES,
    remount_command::CASES,
    work_directory::CASES,
    work_cleanup::CASES,
    submounts::CASES,
    bad_mount::CASES,
    downgraded_mount::CASES,
    downgraded_options::CASES,
    casefold::CASES,
    corrupt_layers::CASES,
    cve_credentials::CASES,
    cve_lifetime::CASES,
    fixes_7_3::CASES,
    fixes_7_3_between::CASES,
    fixes_7_3_races::CASES,
    fixes_7_3_selinux::CASES,
    fixes_backing::CASES,
    no_space::CASES,
    faults::CASES,
    upper_errors::CASES,
    failing_blocks::CASES,
    alloc_failures::CASES,
    failing_allocations::CASES,
    failing_index::CASES,
    page_cache::CASES,
    races::CASES,
    copy_up_races::CASES,
    signals::CASES,
    changed_layers::CASES,
    made_again::CASES,
    swap::CASES,
    swap_options::CASES,
    swap_handles::CASES,
    swap_downgraded::CASES,
    swap_marks::CASES,
    nested::CASES,
    revalidation::CASES,
    module::CASES,
];

fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.hold {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        return ExitCode::SUCCESS;
    }
    if !options.harness.list {
        if let Err(message) = usable(&options) {
            eprintln!("rovl-test: {message}");
            return ExitCode::from(2);
        }
    }
    // Tests look at state of the whole machine (mount tables, page cache, loop devices).
    options.harness.test_threads.get_or_insert(1);
    let base = options.base.unwrap_or_else(|| options.scratch.join("ext4"));
    let module = options
        .module
        .or_else(|| Some(PathBuf::from(format!("/payload/{}.ko", options.kind))))
        .filter(|path| path.exists());
    let settings = Arc::new(Settings {
        kind: options.kind,
        base: base.join("rovl-test"),
        scratch: options.scratch,
        scale: options.scale,
        times: options.times,
        thorough: options.thorough,
        module,
    });
    keep_panic_messages();
    let trials = MODULES
        .iter()
        .flat_map(|cases| cases.iter())
        .map(|case| case.trial(&settings))
        .collect();
    libtest_mimic::run(&options.harness, trials).exit_code()
}

fn usable(options: &Options) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("the tests mount file systems: run them as root in a guest".to_owned());
    }
    let known = std::fs::read_to_string("/proc/filesystems").map_err(|error| error.to_string())?;
    if !known
        .lines()
        .any(|line| line.split_whitespace().last() == Some(&options.kind))
    {
        return Err(format!(
            "the kernel has no file system type {:?}: load its module first",
            options.kind
        ));
    }
    let base = options
        .base
        .clone()
        .unwrap_or_else(|| options.scratch.join("ext4"));
    if !base.is_dir() {
        return Err(format!(
            "{} is not a directory: give one with --base",
            base.display()
        ));
    }
    Ok(())
}
