"""Whole servers to install sexton on: a container with systemd (`Host`) and a machine of its own (`Machine`)."""
import os
import pathlib
import shutil
import subprocess

from support import BIN, CACHE, ROOT, SERVICES, WORK, Fail, check, cleanups, free_port, run, wait

UNIT_FILES = {
    ROOT / "systemd" / "sexton.service": "usr/lib/systemd/system/sexton.service",
    ROOT / "systemd" / "sexton.sysusers": "usr/lib/sysusers.d/sexton.conf",
    ROOT / "systemd" / "sexton.tmpfiles": "usr/lib/tmpfiles.d/sexton.conf",
}


def package(root, config, rules, credentials):
    """Puts sexton below `root` as a package and an administrator would: binary, unit, configuration, secrets."""
    root = pathlib.Path(root)

    def put(name, content, mode=0o644):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pathlib.Path):
            shutil.copy(content, path)
        else:
            path.write_text(content)
        path.chmod(mode)

    put("usr/bin/sexton", pathlib.Path(BIN), 0o755)
    for source, target in UNIT_FILES.items():
        put(target, source)
    put("etc/sexton/sexton.toml", config)
    put("etc/sexton/rules.d/10-test.toml", rules)
    lines = ["[Service]"]
    for name, secret in credentials.items():
        put(f"etc/sexton/credentials/{name}", secret + "\n", 0o600)
        lines.append(f"LoadCredential={name}:/etc/sexton/credentials/{name}")
    put("etc/systemd/system/sexton.service.d/credentials.conf", "\n".join(lines) + "\n")


def create_once(script, folder):
    """A machine's image is built once and kept; a scenario works on a copy."""
    CACHE.mkdir(parents=True, exist_ok=True)
    lock = CACHE / f"{folder.name}.lock"
    run("flock", lock, script, "create", folder, seconds=900)


class Host:
    """A container with systemd as its init, on a network of its own with the machine that runs the tests."""

    def __init__(self):
        image = CACHE / "host"
        create_once(SERVICES / "host", image)
        self.dir = WORK / "host"
        self.dir.mkdir()
        run("cp", "-a", "--reflink=auto", image / "root", self.dir / "root", seconds=300)
        self.root = self.dir / "root"
        self.number = next(n for n in range(20 + os.getpid() % 100, 250) if not self.taken(n))
        self.near = f"198.18.{self.number}.1"

    @staticmethod
    def taken(n):
        return pathlib.Path(f"/sys/class/net/ve-host{n}").exists()

    def boot(self):
        # One short-lived process: with pipes the booted system would keep them open.
        cleanups.append(self.stop)
        with open(WORK / "host-boot.log", "wb") as log:
            words = [SERVICES / "host", "boot", self.dir, str(self.number)]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=120)
        check(done.returncode == 0, "the host did not boot:\n" + (WORK / "host-boot.log").read_text())

    def sh(self, *command, ok=True, seconds=60):
        return run(SERVICES / "host", "exec", self.dir, *command, ok=ok, seconds=seconds).strip()

    def show(self, name, unit="sexton.service"):
        return self.sh("systemctl", "show", "-P", name, unit)

    def journal(self, lines=40):
        return self.sh("journalctl", "-u", "sexton.service", "--no-pager", "-n", str(lines), ok=False)

    def stop(self):
        run(SERVICES / "host", "stop", self.dir, ok=False)


class Machine:
    """A machine with its own kernel whose power can be cut."""

    def __init__(self):
        image = CACHE / "vm"
        create_once(SERVICES / "vm", image)
        self.dir = WORK / "vm"
        self.dir.mkdir(mode=0o700)
        for name in ("key", "vmlinuz", "initrd"):
            shutil.copy(image / name, self.dir / name)
        (self.dir / "key").chmod(0o600)
        run("cp", "--sparse=always", "--reflink=auto", image / "disk.img", self.dir / "disk.img", seconds=300)
        cleanups.append(self.cut)

    def boot(self):
        # A port that was free at the last boot may have become an end of somebody's connection since.
        env = {**os.environ, "VM_SSH_PORT": str(free_port())}
        with open(WORK / "vm-boot.log", "wb") as log:
            words = [SERVICES / "vm", "boot", self.dir]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=400, env=env)
        check(done.returncode == 0, "the machine did not boot:\n" + (WORK / "vm-boot.log").read_text())

    def sh(self, command, seconds=120, ok=True):
        return run(SERVICES / "vm", "exec", self.dir, command, seconds=seconds, ok=ok).strip()

    def push(self, folder):
        """Copies the tree below `folder` onto the machine's root."""
        archive = WORK / "push.tar"
        run("tar", "-C", folder, "--owner=0", "--group=0", "-cf", archive, ".")
        run(SERVICES / "vm", "push", self.dir, archive, "/root/push.tar", seconds=300)
        self.sh("tar -C / --no-overwrite-dir -xf /root/push.tar && rm /root/push.tar && sync")

    def cut(self):
        run(SERVICES / "vm", "cut", self.dir, ok=False)


def must_run(host, why):
    """The daemon on the host is up; otherwise its journal says why not."""
    try:
        wait(why, lambda: host.show("ActiveState") == "active", 30)
    except Fail as fail:
        raise Fail(f"{fail}\n{host.journal()}") from None
