// SPDX-License-Identifier: GPL-2.0
//! One of the two sets of layers with its mount: does the steps of a script and writes down what
//! came of each.

use std::fs::File;
use std::io::{BufWriter, Error, Read, Write};
use std::path::{Path, PathBuf};

use rovl_testing::mount::{mount_table, reconfigure};
use rustix::fs::{self, OFlags};
use rustix::mount::{unmount, UnmountFlags};

use crate::actor::{Actor, Remote};
use crate::image::{self, FOLDED};
use crate::request::{self, Layers};
use crate::script::{Place, Process, Script, Step};
use crate::snapshot::{self, Snapshot, View};
use crate::tree::{nested_work, remove, set_times};
use crate::{intended, operation, tool};

/// Directory of all sides in each file system.
pub const DIRECTORY: &str = "rovl-difftest";

/// The line that a side writes when it waits for the other one.
pub const BARRIER: &str = "both have come here";

/// What both then have the kernel forget: all that is not in use,
pub const DROP_CACHES: &str = "drop-caches";

/// or some of it, whatever the kernel takes when the memory of both gets short.
pub const SQUEEZE: &str = "squeeze";

/// Layers and their mount.
pub struct Side {
    script: Script,
    kinds: [String; 2],
    roots: Vec<PathBuf>,
    merged: PathBuf,
    upper: PathBuf,
    work: PathBuf,
    lowers: Vec<PathBuf>,
    processes: Vec<(Process, Remote)>,
    /// The command whose word on the layers is compared with the mount, if one was given.
    tool: Option<PathBuf>,
    /// Options of the mount.
    options: Vec<String>,
    mounted: bool,
    nested: bool,
    /// Whether the mount keeps inode numbers.
    numbers: bool,
    /// The lower layers at the time of the mount; none if steps changed them since.
    sealed: Option<Vec<Snapshot>>,
    done: usize,
    out: BufWriter<File>,
    go: File,
}

impl Side {
    /// Empty layers of the side `number`, which the first of `kinds` mounts. It writes what it sees to
    /// the first pipe, and reads from the second when to go on.
    pub fn new(
        scratch: &Path,
        number: usize,
        kinds: [String; 2],
        script: Script,
        tool: Option<PathBuf>,
        (out, go): (File, File),
    ) -> std::io::Result<Self> {
        let place = PathBuf::from(DIRECTORY).join(number.to_string());
        let root = |name: &str| image::home(scratch, name).join(&place);
        let mut names: Vec<&String> = script.file_systems().collect();
        names.sort();
        names.dedup();
        let roots: Vec<PathBuf> = names.iter().map(|name| root(name)).collect();
        for (root, name) in roots.iter().zip(names) {
            remove(root)?;
            if name == FOLDED {
                std::fs::create_dir_all(root)?;
                image::fold(root)?;
            }
        }
        let home = root(&script.upper);
        let lowers: Vec<PathBuf> = script
            .lowers
            .iter()
            .enumerate()
            .map(|(number, name)| root(name).join(format!("lower{number}")))
            .collect();
        let (merged, upper, work) = (home.join("merged"), home.join("upper"), home.join("work"));
        for path in lowers.iter().chain([&merged, &upper, &work]) {
            std::fs::create_dir_all(path)?;
        }
        std::fs::create_dir_all(home.join("nested"))?;
        let mut processes = Vec::new();
        for process in Process::ALL {
            if script
                .steps
                .iter()
                .any(|step| step.place == Place::Mount(process))
            {
                let mut actor = Actor::new(&merged);
                actor.dir_times = script.upper != "tmpfs";
                processes.push((process, Remote::start(process, actor)?));
            }
        }
        Ok(Self {
            script,
            kinds,
            roots,
            merged,
            upper,
            work,
            lowers,
            processes,
            tool,
            options: Vec::new(),
            mounted: false,
            nested: false,
            numbers: false,
            sealed: None,
            done: 0,
            out: BufWriter::new(out),
            go,
        })
    }

    /// Does all steps.
    pub fn all(mut self) -> std::io::Result<()> {
        let steps = self.script.steps.clone();
        for step in &steps {
            self.done += 1;
            self.step(step)?;
        }
        if self.mounted {
            self.check()?;
        }
        self.leave()?;
        self.check_lowers()?;
        for (_, process) in std::mem::take(&mut self.processes) {
            process.stop();
        }
        for root in &self.roots {
            remove(root)?;
        }
        self.out.flush()
    }

    fn line(&mut self, what: &str, seen: &str) -> std::io::Result<()> {
        let seen = seen.replace(['\n', '\t'], " ");
        writeln!(self.out, "{}\t{what}\t{seen}", self.done)
    }

    fn step(&mut self, step: &Step) -> std::io::Result<()> {
        let seen = match step.place {
            Place::Machine => return self.with_mount(step),
            Place::Mount(process) => self.through_mount(process, step)?,
            Place::Lower(_) if !self.mounted => {
                self.check_lowers()?;
                self.in_layer(step)
            }
            _ => self.in_layer(step),
        };
        match seen {
            Some(seen) => self.line(&step.to_string(), &seen),
            None => Err(Error::other(format!("no such step: {step}"))),
        }
    }

    fn through_mount(&mut self, process: Process, step: &Step) -> std::io::Result<Option<String>> {
        if !self.mounted {
            return Ok(Some("not mounted".to_owned()));
        }
        let watch = self.script.watch;
        let found = self.processes.iter_mut().find(|(kind, _)| *kind == process);
        match found {
            Some((_, remote)) => remote.run(&step.words, watch),
            None => Ok(None),
        }
    }

    fn in_layer(&mut self, step: &Step) -> Option<String> {
        let root = match step.place {
            Place::Lower(number) => self.lowers.get(number)?,
            Place::Upper => &self.upper,
            _ => &self.work,
        };
        let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
        if self.mounted {
            return Some("mounted".to_owned());
        }
        operation::run(&mut Actor::new(root), &words, false)
    }

    fn with_mount(&mut self, step: &Step) -> std::io::Result<()> {
        let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
        match *words.as_slice() {
            ["mount", ref options @ ..] => {
                self.leave()?;
                self.mount(options)
            }
            ["unmount"] => self.leave(),
            ["swap"] => {
                self.leave()?;
                self.kinds.reverse();
                Ok(())
            }
            ["check"] if self.mounted => self.check(),
            ["check"] => Ok(()),
            [what @ (DROP_CACHES | SQUEEZE)] => self.forget(what),
            ["syncfs"] => {
                let seen = fs::open(
                    &self.merged,
                    OFlags::RDONLY | OFlags::CLOEXEC,
                    fs::Mode::empty(),
                )
                .and_then(fs::syncfs);
                self.line("syncfs", &format!("{seen:?}"))
            }
            ["sync"] => {
                fs::sync();
                Ok(())
            }
            ["reconfigure", ref options @ ..] if self.mounted => {
                let (flags, texts) = request::split(options);
                let outcome = reconfigure(&self.merged, &flags, &texts);
                let seen =
                    outcome.map_err(|refused| format!("{}: {}", refused.step, refused.errno));
                self.line("reconfigure", &format!("{seen:?}"))?;
                self.show_mount().map(drop)
            }
            ["reconfigure", ..] => Ok(()),
            _ => Err(Error::other(format!("no such step: {step}"))),
        }
    }

    /// Both sides stand still meanwhile, for it touches both.
    fn forget(&mut self, what: &str) -> std::io::Result<()> {
        self.line(BARRIER, what)?;
        self.out.flush()?;
        self.go.read_exact(&mut [0])?;
        self.numbers = intended::numbers_after(what, self.numbers);
        self.tell_numbers()
    }

    fn mount(&mut self, options: &[&str]) -> std::io::Result<()> {
        if self.sealed.is_none() {
            self.seal();
        }
        let mut lowers = self.lowers.clone();
        let data = lowers.split_off(lowers.len().saturating_sub(self.script.data));
        let nested = self.script.nested.min(lowers.len());
        if nested > 1 {
            let below = lowers.split_off(lowers.len() - nested);
            let target = self.merged.with_file_name("nested");
            match self.mount_nested(&below, &target) {
                Ok(()) => {
                    self.nested = true;
                    lowers.push(target);
                }
                Err(seen) => return self.line("mount of the lower overlay", &seen),
            }
        }
        let layers = self.layers(&lowers, &data);
        match request::mount(&self.kinds[0], &layers, options, &self.merged) {
            Ok(()) => {
                self.mounted = true;
                self.options = options.iter().copied().map(str::to_owned).collect();
                self.line("mount", "ok")?;
                let shown = self.show_mount()?;
                self.look_at_numbers(options.contains(&"noupper"), &shown)
            }
            Err(seen) => {
                self.line("mount", &seen)?;
                self.leave_as(intended::REFUSED)
            }
        }
    }

    /// Mounts the overlay that is a lower layer.
    fn mount_nested(&self, lowers: &[PathBuf], target: &Path) -> Result<(), String> {
        let options = self.script.nested_options.iter().map(String::as_str);
        let mut options: Vec<&str> = options.collect();
        let given = options.len();
        options.retain(|option| *option != "upper");
        let top = lowers.first().unwrap_or(&self.upper);
        let work = nested_work(top);
        let mut layers = Layers {
            lowers,
            data: &[],
            upper: top,
            work: &work,
        };
        if options.len() < given {
            layers.lowers = &lowers[1..];
            std::fs::create_dir_all(&work).map_err(|error| error.to_string())?;
        } else {
            options.push("noupper");
        }
        request::mount(&self.kinds[0], &layers, &options, target)
    }

    fn layers<'a>(&'a self, lowers: &'a [PathBuf], data: &'a [PathBuf]) -> Layers<'a> {
        Layers {
            lowers,
            data,
            upper: &self.upper,
            work: &self.work,
        }
    }

    /// What the mount table says; the options of the type in it.
    fn show_mount(&mut self) -> std::io::Result<String> {
        let line = mount_table()
            .into_iter()
            .rfind(|mount| mount.target == self.merged);
        let (options, shown) = line.map_or_else(Default::default, |mount| {
            (mount.options, mount.super_options)
        });
        let seen = format!("{options} {}", intended::place(&intended::shown(&shown)));
        self.line("mount table", &seen)?;
        Ok(shown)
    }

    /// Has inode numbers compared if they mean something: on one file system they are its own, on
    /// several those that xino makes. Without it the mount counts some of them, and numbers of a
    /// lower overlay that does so mean nothing in any case. What fell back is shown as off, and the
    /// default is not shown.
    fn look_at_numbers(&mut self, noupper: bool, shown: &str) -> std::io::Result<()> {
        let script = &self.script;
        let merged = &script.lowers[..script.lowers.len().saturating_sub(script.data)];
        let (above, below) = merged.split_at(merged.len() - script.nested.min(merged.len()));
        let same = |names: &[String]| names.windows(2).all(|pair| pair[0] == pair[1]);
        let mut shown = shown
            .split(',')
            .filter_map(|text| text.strip_prefix("xino="));
        let xino = match shown.next() {
            Some(value) => value != "off",
            None => script.has_parameter("xino_auto"),
        };
        let one = below.is_empty() && same(above) && (noupper || above.contains(&script.upper));
        let has_xino = script.nested_options.iter().any(|text| text == "xino=on");
        self.numbers = one || (xino && (has_xino || same(below)));
        self.tell_numbers()
    }

    /// Tells the processes whether inode numbers are compared.
    fn tell_numbers(&mut self) -> std::io::Result<()> {
        let kept = if self.numbers { "kept" } else { "lost" };
        for (_, process) in &mut self.processes {
            process.run(&["numbers".to_owned(), kept.to_owned()], false)?;
        }
        Ok(())
    }

    /// The merged tree and the upper layer.
    fn check(&mut self) -> std::io::Result<()> {
        let merged = snapshot::with_numbers(&self.merged, View::Merged, self.numbers);
        self.lines("merged tree", merged)?;
        let upper = snapshot::of(&self.upper, View::Layer);
        self.lines("upper layer", upper)
    }

    fn lines(&mut self, what: &str, snapshot: Snapshot) -> std::io::Result<()> {
        for (path, text) in snapshot {
            self.line(&format!("{what}, {:?}", path.display().to_string()), &text)?;
        }
        Ok(())
    }

    /// Unmounts, and looks at what is left.
    fn leave(&mut self) -> std::io::Result<()> {
        self.leave_as("work directory")
    }

    /// The same, with a name for what is left in the work directory.
    fn leave_as(&mut self, work: &str) -> std::io::Result<()> {
        if self.mounted {
            for (_, process) in &mut self.processes {
                process.run(&["reset".to_owned()], false)?;
            }
            let shown = self.shown_for_tool();
            let result = unmount(&self.merged, UnmountFlags::empty());
            if result.is_err() {
                let _ = unmount(&self.merged, UnmountFlags::DETACH);
            }
            self.mounted = false;
            self.line("unmount", &format!("{result:?}"))?;
            if let Some((shown, index)) = shown {
                self.ask_tool(&shown, index)?;
            }
        }
        if self.nested {
            let target = self.merged.with_file_name("nested");
            let result = unmount(&target, UnmountFlags::empty());
            if result.is_err() {
                let _ = unmount(&target, UnmountFlags::DETACH);
            }
            self.nested = false;
            self.line("unmount of the lower overlay", &format!("{result:?}"))?;
            self.check_nested_work()?;
        }
        self.check_layers(work)
    }

    /// What the mount shows, if the command can tell it from the layers, and whether it has an index.
    fn shown_for_tool(&self) -> Option<(Snapshot, bool)> {
        self.tool.as_ref()?;
        let table = mount_table();
        let mount = table.iter().rfind(|mount| mount.target == self.merged)?;
        let can = !self.nested && tool::can_tell(&self.options, &mount.super_options);
        let layers = self.lowers.iter().chain([&self.upper]);
        let layers: Vec<&Path> = layers.map(PathBuf::as_path).collect();
        let shown = can.then(|| tool::shown(&self.merged, &layers))?;
        Some((shown, tool::has_index(&mount.super_options, &self.script)))
    }

    /// Asks the command about the layers. That it is wrong is a line that the other side does not have.
    fn ask_tool(&mut self, shown: &Snapshot, index: bool) -> std::io::Result<()> {
        let Some(program) = &self.tool else {
            return Ok(());
        };
        let (lowers, data) = self
            .lowers
            .split_at(self.lowers.len().saturating_sub(self.script.data));
        let stack = tool::Stack {
            program,
            kind: &self.kinds[0],
            lowers,
            data,
            upper: &self.upper,
            work: &self.work,
            options: &self.options,
            script: &self.script,
            index,
            room: &self.merged.with_file_name("tool"),
        };
        let volatile = self
            .options
            .iter()
            .any(|option| option.ends_with("volatile"));
        let side = self.merged.display().to_string();
        for (name, text) in stack.ask(shown, volatile) {
            self.line(name, &format!("{side}: {text}"))?;
        }
        Ok(())
    }

    fn check_nested_work(&mut self) -> std::io::Result<()> {
        let mut works: Vec<PathBuf> = self.lowers.iter().map(|path| nested_work(path)).collect();
        works.dedup();
        works.retain(|path| path.exists());
        for path in works {
            self.check_work(&path, "work directory of the lower overlay")?;
        }
        Ok(())
    }

    fn check_work(&mut self, path: &Path, what: &str) -> std::io::Result<()> {
        for line in snapshot::without_names(snapshot::of(path, View::Work)) {
            if !intended::leftover(&line) {
                self.line(what, &line)?;
            }
        }
        Ok(())
    }

    fn check_layers(&mut self, work: &str) -> std::io::Result<()> {
        let upper = snapshot::of(&self.upper, View::Layer);
        self.lines("upper layer", upper)?;
        let path = self.work.clone();
        self.check_work(&path, work)
    }

    /// Nothing but steps may have changed the lower layers since the mount.
    fn check_lowers(&mut self) -> std::io::Result<()> {
        let Some(sealed) = self.sealed.take() else {
            return Ok(());
        };
        for (number, before) in sealed.iter().enumerate() {
            let now = snapshot::of(&self.lowers[number], View::Layer);
            if let Some((path, was, is)) = snapshot::first_difference(before, &now) {
                let path = path.display();
                self.line(
                    "lower layer that changed",
                    &format!("lower{number}/{path}: {was} became {is}"),
                )?;
            }
        }
        Ok(())
    }

    /// Gives the lower layers the same times and remembers them.
    fn seal(&mut self) {
        let snapshots = self.lowers.iter().map(|path| {
            set_times(path);
            snapshot::of(path, View::Layer)
        });
        self.sealed = Some(snapshots.collect());
    }
}
