//! The rig itself: it comes up, faults do what they say, and it goes without a trace.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use porpoise_e2e::{
    fault::{Container, Cut, Signal},
    rig::{
        Options, Rig, cgroup,
        command::call,
        progress::{expect, wait_for},
    },
};

const NAME: &str = "selftest";
const PODS: &str = include_str!("rig/pods.yaml");
const WRITER: &str = include_str!("rig/writer.yaml");
const READER: &str = include_str!("rig/reader.yaml");
const LIMIT: Duration = Duration::from_mins(1);

/// One test: a rig costs seconds, and each step looks at the state that the one before it left.
#[test]
fn a_rig_lives_suffers_and_goes() -> Result<()> {
    if std::env::var("CLUSTER").is_ok_and(|cluster| cluster == "current") {
        println!("SKIPPED: the rig's own test: this is CLUSTER=current");
        return Ok(());
    }
    let options = Options { name: NAME.into(), nodes: 2, ..Options::default() };
    let rig = Rig::up_blocking(&options)?;
    let suffered = suffer(&rig);
    if suffered.is_err() {
        println!("{}", rig.kubectl(["get", "pods,nodes", "--all-namespaces", "--output=wide"])?);
    }
    suffered?;

    end_everything(&rig)?;
    let rig = Rig::up_blocking(&options).context("start again after all of it was killed")?;
    ensure!(rig.is_whole());
    rig.down()?;
    leaves_nothing(&rig)
}

fn suffer(rig: &Rig) -> Result<()> {
    deploy(rig)?;
    cuts(rig).context("cuts")?;
    processes(rig).context("processes")?;
    disks(rig).context("disks")?;
    api_server(rig).context("API server")?;
    snapshots(rig).context("snapshots")?;
    power(rig).context("power")
}

fn deploy(rig: &Rig) -> Result<()> {
    apply(rig, PODS)?;
    wait_for("Service address answers in the node", LIMIT, || fetch(rig, 0, &service(rig)?))?;
    let name = rig.kubectl(["exec", "web-n1", "--", "nslookup", "web.default.svc.cluster.local"])?;
    ensure!(name.contains(&service(rig)?), "{name}");
    Ok(())
}

/// Applies manifests and waits until every Pod is ready.
fn apply(rig: &Rig, manifests: &str) -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), manifests)?;
    rig.kubectl(["apply", "--filename", &file.path().display().to_string()])?;
    rig.kubectl(["wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s"]).map(drop)
}

fn cuts(rig: &Rig) -> Result<()> {
    let far = pod_address(rig, "web-n2")?;
    fetch(rig, 0, &far)?;
    for cut in [Cut::Both, Cut::Inbound, Cut::Outbound, Cut::Cable] {
        rig.cut_node("n2", cut)?;
        ensure!(fetch(rig, 0, &far).is_err(), "{cut:?} lets packets through");
        fetch(rig, 1, &far).with_context(|| format!("{cut:?} reaches into the node"))?;
        rig.heal_node("n2")?;
        wait_for("healed", LIMIT, || fetch(rig, 0, &far))?;
    }
    rig.cut_between("n1", "n2")?;
    ensure!(fetch(rig, 0, &far).is_err());
    fetch_from_host(&far)?;
    rig.heal_node("n1")?;
    rig.cut_pod("default", "web-n2")?;
    ensure!(fetch(rig, 0, &far).is_err());
    rig.heal_pod("default", "web-n2")?;
    fetch(rig, 0, &far)
}

fn processes(rig: &Rig) -> Result<()> {
    let web = Container { namespace: "default", pod: "web-n1", container: "web" };
    let near = pod_address(rig, web.pod)?;
    let process = rig.signal_in(&web, "httpd", Signal::SIGSTOP)?;
    ensure!(fetch(rig, 0, &near).is_err(), "a stopped process answers");
    process.signal(Signal::SIGCONT)?;
    fetch(rig, 0, &near)?;
    process.signal(Signal::SIGKILL)?;
    wait_for("another process in its place", LIMIT, || {
        expect(rig.process_in(&web, "httpd")? != process, || "the same process".into())
    })
}

fn disks(rig: &Rig) -> Result<()> {
    let folder = rig.node(0).limited();
    rig.fill_disk("n1")?;
    ensure!(fs::write(folder.join("more"), vec![0; 65536]).is_err(), "a full disk takes more");
    rig.release_disk("n1")?;
    fs::write(folder.join("more"), vec![0; 65536])?;
    rig.stall_disk("n1")?;
    let mut writer = Command::new("touch").arg(folder.join("late")).spawn()?;
    std::thread::sleep(Duration::from_millis(300));
    ensure!(writer.try_wait()?.is_none(), "a stopped disk answers");
    rig.resume_disk("n1")?;
    ensure!(writer.wait()?.success());
    slowness(rig)
}

/// Twenty writes that each wait for the disk.
fn slowness(rig: &Rig) -> Result<()> {
    let writes =
        "for i in $(seq 20); do dd if=/dev/zero of=/www/probe bs=4k count=1 conv=fsync 2>/dev/null; done";
    let timed = || -> Result<Duration> {
        let begun = Instant::now();
        rig.kubectl(["exec", "web-n1", "--", "sh", "-c", writes])?;
        Ok(begun.elapsed())
    };
    let before = timed()?;
    rig.slow_disk("n1", 20)?;
    let slow = timed()?;
    rig.quicken_disk("n1")?;
    println!("20 synced writes: {before:?}, at 20 operations a second {slow:?}, afterwards {:?}", timed()?);
    ensure!(slow > before + Duration::from_secs(2), "a slow disk is not slow");
    Ok(())
}

fn api_server(rig: &Rig) -> Result<()> {
    let answers = || rig.kubectl(["get", "--raw=/readyz", "--request-timeout=2s"]);
    rig.pause_api_server()?;
    ensure!(answers().is_err());
    rig.continue_api_server()?;
    wait_for("API server goes on", LIMIT, answers)?;
    rig.kill_api_server()?;
    ensure!(answers().is_err());
    rig.start_api_server()?;
    let log = fs::read_to_string(rig.audit_log())?;
    ensure!(log.lines().any(|line| line.contains("\"verb\":\"create\"")), "no write is on record");
    Ok(())
}

/// The reader stays, so that the node that loses its power has a volume.
fn snapshots(rig: &Rig) -> Result<()> {
    rig.with_snapshots()?;
    apply(rig, WRITER)?;
    apply(rig, READER)?;
    rig.kubectl(["exec", "writer", "--", "sh", "-c", "echo two > /data/file"])?;
    ensure!(read(rig)? == "one", "the volume from the snapshot goes on with the other one");
    rig.kubectl(["delete", "pod/writer", "pvc/first", "volumesnapshot/early", "--timeout=60s"])?;
    wait_for("one volume is left, and no snapshot", LIMIT, || {
        let count = |kind: &str| -> Result<usize> {
            let entries = fs::read_dir(rig.site().folder.join("snapshots").join(kind))?.flatten();
            Ok(entries.filter(|entry| entry.path().is_dir()).count())
        };
        let found = (count("volumes")?, count("snapshots")?);
        expect(found == (1, 0), || format!("{found:?} are"))
    })
}

fn read(rig: &Rig) -> Result<String> {
    Ok(rig.kubectl(["exec", "reader", "--", "cat", "/data/file"])?.trim().to_owned())
}

fn power(rig: &Rig) -> Result<()> {
    rig.crash_node("n2")?;
    ensure!(cgroup::members(&rig.node(1).cgroup).is_empty());
    wait_for("node lost", LIMIT, || expect(!is_ready(rig, "node/n2")?, || "still ready".into()))?;
    rig.repair()?;
    wait_for("node back", LIMIT, || expect(is_ready(rig, "node/n2")?, || "not ready".into()))?;
    wait_for("Pod back", LIMIT, || fetch(rig, 0, &pod_address(rig, "web-n2")?))?;
    wait_for("volume back", LIMIT, || expect(read(rig)? == "one", || "another one".into()))
}

/// What happens to a rig when its machine's tests are stopped hard, with a node frozen in the middle of something.
fn end_everything(rig: &Rig) -> Result<()> {
    for node in rig.site().nodes() {
        for process in cgroup::members(&node.cgroup) {
            process.signal(Signal::SIGKILL).ok();
        }
        fs::write(Path::new("/sys/fs/cgroup/freezer").join(&node.cgroup).join("freezer.state"), "FROZEN")
            .ok();
    }
    cgroup::members(&rig.site().control_cgroup())
        .iter()
        .try_for_each(|process| process.signal(Signal::SIGKILL))
}

fn leaves_nothing(rig: &Rig) -> Result<()> {
    let site = rig.site();
    let namespaces = fs::read_dir("/run/netns")?.flatten().map(|entry| entry.file_name());
    let left: Vec<_> = namespaces.filter(|name| name.to_string_lossy().starts_with(&site.prefix())).collect();
    ensure!(left.is_empty(), "network namespaces {left:?}");
    let mounts = fs::read_to_string("/proc/mounts")?;
    ensure!(!mounts.contains(&site.folder.display().to_string()), "mounts");
    ensure!(!site.folder.exists(), "files");
    let loops = call("losetup", &["--list", "--noheadings", "--output", "BACK-FILE"])?;
    ensure!(!loops.contains(&site.folder.display().to_string()), "loop devices: {loops}");
    ensure!(!Path::new("/sys/class/net").join(site.slot.bridge()).exists(), "the bridge");
    for hierarchy in fs::read_dir("/sys/fs/cgroup")?.flatten() {
        let left =
            fs::read_dir(hierarchy.path()).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with(&site.prefix())).collect();
        ensure!(left.is_empty(), "control groups {left:?}");
    }
    Ok(())
}

fn service(rig: &Rig) -> Result<String> {
    rig.kubectl(["get", "service", "web", "--output=jsonpath={.spec.clusterIP}"])
}

fn pod_address(rig: &Rig, pod: &str) -> Result<String> {
    rig.kubectl(["get", "pod", pod, "--output=jsonpath={.status.podIP}"])
}

fn is_ready(rig: &Rig, object: &str) -> Result<bool> {
    let path = "--output=jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    Ok(rig.kubectl(["get", object, path])? == "True")
}

fn fetch(rig: &Rig, node: u8, address: &str) -> Result<()> {
    fetched(rig.in_node(node, "busybox"), address)
}

fn fetch_from_host(address: &str) -> Result<()> {
    fetched(Command::new("busybox"), address)
}

/// Within two seconds: a silent drop never ends on its own.
fn fetched(mut command: Command, address: &str) -> Result<()> {
    let url = format!("http://{address}:8080/");
    let command = command.args(["wget", "-q", "-O", "-", &url]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "{address} does not answer");
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    end(&mut child)?;
    anyhow::bail!("{address} is silent")
}

fn end(child: &mut Child) -> Result<()> {
    child.kill()?;
    child.wait().map(drop).context("end the client")
}
