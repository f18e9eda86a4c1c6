// SPDX-License-Identifier: GPL-2.0
//! What processes show of the files that they have mapped and execute: maps, map_files, exe,
//! uprobes, and files that are busy because they are executed.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rovl_testing::ops::{chmod, mode, open, open_read, open_write, stat, unlink, write};
use rovl_testing::raw::{descriptor, text, truncate};
use rovl_testing::{cases, errno, ok, skip, Layers, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::files::mmap::Map;

cases! {
    maps_name_the_merged_file,
    maps_of_a_file_copied_up_later,
    maps_of_a_removed_file,
    map_files_lead_to_the_merged_file,
    names_of_open_files,
    executable_of_a_process,
    executable_that_is_removed,
    executed_lower_file_is_busy,
    executed_upper_file_is_busy,
    file_open_for_writing_is_not_executed,
    script_and_interpreter,
    core_of_a_busy_file_goes_free,
    uprobe_of_a_lower_file,
    uprobe_of_a_copied_up_file,
}

/// A line of `/proc/self/maps` as far as the tests look at it: range, device, inode, path.
#[derive(Debug)]
struct Line {
    range: String,
    device: String,
    inode: u64,
    path: String,
}

fn maps_of(name: &str) -> Vec<Line> {
    ok(std::fs::read_to_string("/proc/self/maps"))
        .lines()
        .filter(|line| line.contains(name))
        .filter_map(|line| {
            let mut fields = line.splitn(6, ' ');
            let range = fields.next()?.to_owned();
            let (_access, _offset) = (fields.next()?, fields.next()?);
            Some(Line {
                range,
                device: fields.next()?.to_owned(),
                inode: fields.next()?.parse().ok()?,
                path: fields.next()?.trim_start().to_owned(),
            })
        })
        .collect()
}

#[track_caller]
fn one(lines: Vec<Line>) -> Line {
    assert_eq!(lines.len(), 1, "{lines:?}");
    match lines.into_iter().next() {
        Some(line) => line,
        None => unreachable!(),
    }
}

fn map(file: impl AsFd) -> Map {
    ok(Map::new(file, 4096, ProtFlags::READ, MapFlags::PRIVATE))
}

/// Device and inode number in the form of `/proc/self/maps`.
fn identity(path: &Path) -> (String, u64) {
    let s = stat(path);
    let (major, minor) = (rustix::fs::major(s.st_dev), rustix::fs::minor(s.st_dev));
    (format!("{major:02x}:{minor:02x}"), s.st_ino)
}

fn maps_name_the_merged_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/lower", "x");
    l.upper().file("d/upper", "x");
    let m = l.mount();
    for name in ["d/lower", "d/upper"] {
        let path = m.path(name);
        let _map = map(open_read(&path));
        let line = one(maps_of(name));
        assert_eq!(Path::new(&line.path), path);
        assert_eq!((line.device, line.inode), identity(&path), "{name}");
    }
}

fn maps_of_a_file_copied_up_later(t: &Test) {
    let l = t.layers();
    l.lower(0).file("mapped", "x");
    let m = l.mount();
    let path = m.path("mapped");
    let before = map(open_read(&path));
    write(&path, "y");
    let after = map(open_read(&path));
    for line in maps_of("mapped") {
        assert_eq!(Path::new(&line.path), path);
        assert_eq!((line.device, line.inode), identity(&path));
    }
    assert_eq!(
        (before.load(0, 1), after.load(0, 1)),
        (b"x".into(), b"y".into())
    );
}

fn maps_of_a_removed_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("mapped", "x");
    let m = l.mount();
    let path = m.path("mapped");
    let _map = map(open_read(&path));
    unlink(&path);
    let line = one(maps_of("mapped"));
    assert_eq!(line.path, format!("{} (deleted)", path.display()));
}

fn map_files_lead_to_the_merged_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("mapped", "x");
    let m = l.mount();
    let path = m.path("mapped");
    let _map = map(open_read(&path));
    let link = PathBuf::from("/proc/self/map_files").join(one(maps_of("mapped")).range);
    let target = match std::fs::read_link(&link) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
            skip("the kernel has no map_files")
        }
        target => ok(target),
    };
    assert_eq!(target, path);
    let file = open_read(&link);
    assert_eq!(identity(&path).1, ok(rustix::fs::fstat(&file)).st_ino);
    // It is the overlay's file: what is written through it is copied up first.
    write(&link, "y");
    l.assert_upper(&["mapped file 644 \"y\" origin"]);
}

fn names_of_open_files(t: &Test) {
    use std::os::fd::AsRawFd;
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = l.mount();
    let file = open_read(m.path("d/f"));
    let name = || {
        ok(std::fs::read_link(format!(
            "/proc/self/fd/{}",
            file.as_raw_fd()
        )))
    };
    assert_eq!(name(), m.path("d/f"));
    chmod(m.path("d/f"), 0o600);
    assert_eq!(name(), m.path("d/f"));
    rovl_testing::ops::rename(m.path("d/f"), m.path("g"));
    assert_eq!(name(), m.path("g"));
    unlink(m.path("g"));
    assert_eq!(
        name(),
        PathBuf::from(format!("{} (deleted)", m.path("g").display()))
    );
}

/// A copy of this program in a lower layer.
fn program(l: &Layers<'_>) {
    let program = ok(std::fs::read("/proc/self/exe"));
    l.lower(0).file("program", program).mode("program", 0o755);
}

/// Runs it; it waits for the end of its input.
struct Running(Child);

impl Running {
    fn start(path: &Path) -> Self {
        let mut command = Command::new(path);
        command.args(["--type", "overlay", "--hold"]);
        let running = Self(ok(command.stdin(Stdio::piped()).spawn()));
        // exec_mmap() lets the parent go on before the task has its new memory: until then, it executes what the parent does.
        let own = ok(std::fs::read_link("/proc/self/exe"));
        while running.executable() == own {
            std::thread::yield_now();
        }
        running
    }

    /// What `/proc/PID/exe` says.
    fn executable(&self) -> PathBuf {
        ok(std::fs::read_link(format!("/proc/{}/exe", self.0.id())))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn executable_of_a_process(t: &Test) {
    let l = t.layers();
    program(&l);
    let m = l.mount();
    let path = m.path("program");
    let lower = Running::start(&path);
    assert_eq!(lower.executable(), path);
    chmod(&path, 0o700);
    let upper = Running::start(&path);
    assert_eq!(
        (lower.executable(), upper.executable()),
        (path.clone(), path)
    );
}

fn executable_that_is_removed(t: &Test) {
    let l = t.layers();
    program(&l);
    let m = l.mount();
    let path = m.path("program");
    let running = Running::start(&path);
    unlink(&path);
    let name = format!("{} (deleted)", path.display());
    assert_eq!(running.executable(), PathBuf::from(name));
    // It can still be executed by the link's name.
    let exe = format!("/proc/{}/exe", running.0.id());
    assert!(ok(Command::new(&exe).arg("--help").output())
        .status
        .success());
}

fn write_open(path: impl AsRef<Path>) -> Result<(), Errno> {
    rustix::fs::open(path.as_ref(), OFlags::WRONLY | OFlags::CLOEXEC, mode(0)).map(drop)
}

fn executed_lower_file_is_busy(t: &Test) {
    let l = t.layers();
    program(&l);
    let m = l.mount();
    let running = Running::start(&m.path("program"));
    assert_eq!(errno(write_open(m.path("program"))), Errno::TXTBSY);
    let truncated = truncate(m.path("program"), 1);
    assert_eq!(errno(truncated), Errno::TXTBSY);
    // The layer's file can be written: it is the overlay's that is executed.
    assert_eq!(write_open(l.lower(0).path("program")), Ok(()));
    l.assert_upper(&[]);
    drop(running);
    assert_eq!(write_open(m.path("program")), Ok(()));
}

fn executed_upper_file_is_busy(t: &Test) {
    let l = t.layers();
    program(&l);
    let m = l.mount();
    let before = Running::start(&m.path("program"));
    chmod(m.path("program"), 0o700);
    assert_eq!(errno(write_open(m.path("program"))), Errno::TXTBSY);
    let after = Running::start(&m.path("program"));
    drop(before);
    assert_eq!(errno(write_open(m.path("program"))), Errno::TXTBSY);
    assert_eq!(write_open(l.upper().path("program")), Ok(()));
    drop(after);
    assert_eq!(write_open(m.path("program")), Ok(()));
}

fn file_open_for_writing_is_not_executed(t: &Test) {
    let l = t.layers();
    program(&l);
    let m = l.mount();
    let start = || {
        let error = Command::new(m.path("program")).arg("--help").output().err();
        error.and_then(|error| error.raw_os_error())
    };
    let writer = open_write(m.path("program"));
    assert_eq!(start(), Some(libc::ETXTBSY));
    drop(writer);
    assert_eq!(start(), None);
    // Who writes to the layer is not seen by the overlay.
    let below = open_write(l.upper().path("program"));
    assert_eq!(start(), None);
    drop(below);
}

fn script_and_interpreter(t: &Test) {
    let l = t.layers();
    program(&l);
    let script = format!("#!{} --help\n", l.merged().join("program").display());
    l.lower(0).file("script", script).mode("script", 0o755);
    let m = l.mount();
    let run = || ok(Command::new(m.path("script")).output()).status.success();
    assert!(run());
    chmod(m.path("script"), 0o700);
    assert!(run());
    chmod(m.path("script"), 0o600);
    let refused = Command::new(m.path("script")).output().err();
    assert_eq!(
        refused.and_then(|error| error.raw_os_error()),
        Some(libc::EACCES)
    );
}

fn core_of_a_busy_file_goes_free(t: &Test) {
    let l = t.layers();
    program(&l);
    let m = l.mount();
    let running = Running::start(&m.path("program"));
    let killed = rustix::process::Pid::from_child(&running.0);
    ok(rustix::process::kill_process(
        killed,
        rustix::process::Signal::KILL,
    ));
    drop(running);
    assert_eq!(write_open(m.path("program")), Ok(()));
}

/// `struct perf_event_attr`, as far as a uprobe needs it.
#[repr(C)]
#[derive(Default)]
struct Probe {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    path: u64,
    offset: u64,
}

/// `PERF_FLAG_FD_CLOEXEC`
const FD_CLOEXEC: u64 = 8;

/// Counts how often the instruction at `offset` in the file is executed, by all processes.
fn probes(path: &Path, offset: u64) -> Vec<std::os::fd::OwnedFd> {
    let kind = match std::fs::read_to_string("/sys/bus/event_source/devices/uprobe/type") {
        Ok(kind) => ok(kind.trim().parse()),
        Err(_) => skip("the kernel has no uprobes"),
    };
    let path = text(path);
    let probe = Probe {
        kind,
        size: ok(u32::try_from(size_of::<Probe>())),
        path: path.as_ptr() as u64,
        offset,
        ..Probe::default()
    };
    let processors = ok(std::thread::available_parallelism()).get();
    (0..processors)
        .map(|processor| {
            // SAFETY: the structure has the size that it tells.
            let event = unsafe {
                libc::syscall(
                    libc::SYS_perf_event_open,
                    &raw const probe,
                    -1,
                    processor,
                    -1,
                    FD_CLOEXEC,
                )
            };
            ok(descriptor(event))
        })
        .collect()
}

fn hits(events: &[std::os::fd::OwnedFd]) -> u64 {
    let count = |event| {
        let mut count = [0u8; 8];
        ok(rustix::io::read(event, &mut count));
        u64::from_ne_bytes(count)
    };
    events.iter().map(count).sum()
}

/// Where the file has the first instruction that is executed.
fn entry(program: &[u8]) -> u64 {
    let number = |at: usize, len: usize| {
        let mut bytes = [0u8; 8];
        bytes[..len].copy_from_slice(&program[at..at + len]);
        u64::from_le_bytes(bytes)
    };
    let (entry, headers) = (number(0x18, 8), number(0x20, 8));
    let (size, count) = (number(0x36, 2), number(0x38, 2));
    for n in 0..count {
        let header = ok(usize::try_from(headers + n * size));
        let (offset, address) = (number(header + 8, 8), number(header + 16, 8));
        let length = number(header + 32, 8);
        if number(header, 4) == 1 && (address..address + length).contains(&entry) {
            return entry - address + offset;
        }
    }
    panic!("the program has no segment with its entry");
}

fn run(path: &Path) {
    assert!(ok(Command::new(path).arg("--help").output())
        .status
        .success());
}

fn uprobe_of_a_lower_file(t: &Test) {
    let l = t.layers();
    program(&l);
    let m = l.mount();
    let offset = entry(&ok(std::fs::read("/proc/self/exe")));
    let events = probes(&m.path("program"), offset);
    run(&m.path("program"));
    run(&m.path("program"));
    assert_eq!(hits(&events), 2);
    // The probe is one of the layer's file.
    let below = l.root().join("lower0/program");
    run(&below);
    assert_eq!(hits(&events), 3);
    l.assert_upper(&[]);
}

fn uprobe_of_a_copied_up_file(t: &Test) {
    let l = t.layers();
    program(&l);
    let m = l.mount();
    let offset = entry(&ok(std::fs::read("/proc/self/exe")));
    let before = probes(&m.path("program"), offset);
    drop(open(m.path("program"), OFlags::RDWR));
    let after = probes(&m.path("program"), offset);
    run(&m.path("program"));
    assert_eq!((hits(&before), hits(&after)), (0, 1));
    run(&l.upper().path("program"));
    assert_eq!(hits(&after), 2);
}
