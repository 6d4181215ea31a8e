"""The first file system of a machine: busybox and what is needed to mount the host's root."""

import gzip
import hashlib
import lzma
import shutil
import subprocess
import tempfile
from pathlib import Path

from .errors import LabUnavailable
from .kernel import locked

FIRST_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
DYNAMIC_LOADER = b"/lib64/ld-linux"
FOLDERS = ("bin", "dev", "host", "proc", "root", "sys", "upper")
INIT = Path(__file__).with_name("init")


def busybox():
    path = shutil.which("busybox")
    if not path:
        raise LabUnavailable("busybox is missing; tools/install-dependencies --lab installs it")
    if DYNAMIC_LOADER in Path(path).read_bytes():
        raise LabUnavailable(f"{path} is not a static one; "
                             "tools/install-dependencies --lab installs it")
    return Path(path)


def module_files(kernel, modules):
    """The modules' files in the order in which they have to be loaded; built-in ones have none."""
    base = kernel.modules.parents[2]
    files = []
    for module in modules:
        command = ["modprobe", "-d", base, "-S", kernel.release, "--show-depends", module]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabUnavailable(f"kernel {kernel.release} has no {module}: {done.stderr.strip()}")
        for line in done.stdout.splitlines():
            kind, _, path = line.partition(" ")
            if kind == "insmod" and path.strip() not in files:
                files.append(path.strip())
    return [Path(file) for file in files]


def add_modules(root, kernel, modules):
    """Copies them, and a list of their paths in the order in which they have to be loaded."""
    names = []
    for number, file in enumerate(module_files(kernel, modules)):
        content = file.read_bytes()
        if file.suffix == ".xz":
            content = lzma.decompress(content)
        names.append(f"{number:02}-{file.name.removesuffix('.xz')}")
        (root / names[-1]).write_bytes(content)
    (root / "modules").write_text("".join(f"/{name}\n" for name in names))


def fill(root, kernel):
    for name in FOLDERS:
        (root / name).mkdir()
    shutil.copy(busybox(), root / "bin/busybox")
    shutil.copy(INIT, root / "init")
    (root / "init").chmod(0o755)
    add_modules(root, kernel, FIRST_MODULES)


def pack(root):
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    command = ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"]
    done = subprocess.run(command, cwd=root, input=names.encode(), check=True, capture_output=True)
    return done.stdout


def build(kernel, cache, say):
    """The path of the kernel's initramfs; made anew when busybox or the init script changed."""
    digest = hashlib.sha256(INIT.read_bytes() + busybox().read_bytes()).hexdigest()[:12]
    path = kernel.folder / f"initramfs-{digest}.gz"
    with locked(cache, say):
        if not path.exists():
            with tempfile.TemporaryDirectory() as folder:
                fill(Path(folder), kernel)
                part = path.with_suffix(".part")
                part.write_bytes(gzip.compress(pack(Path(folder)), 1))
                part.rename(path)
    return path
