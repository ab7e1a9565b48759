"""What the page needs from npm, pinned: the library that Grafana draws graphs with, and its font."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parent / "page"


@dataclass(frozen=True, slots=True)
class Package:
    """name and version; sha512 of the archive, as npm's `dist.integrity`; path in it -> file name."""

    name: str
    version: str
    sha512: str
    files: dict[str, str]


PACKAGES = (
    Package(
        "uplot",  # MIT
        "1.6.32",
        "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        {
            "package/dist/uPlot.iife.min.js": "uPlot.iife.min.js",
            "package/dist/uPlot.min.css": "uPlot.min.css",
        },
    ),
    Package(
        "@fontsource-variable/inter",  # OFL-1.1
        "5.3.0",
        "OupL48va4JNofb97w6NYeF9S7W/kHNKM0Er8Dem5nqi4jeOLrVJDoE8tZEpnMJmtkvNbB1EIPPwHcdkF6b1oUA==",
        {"package/files/inter-latin-wght-normal.woff2": "inter.woff2"},
    ),
)


def page(folder: Path) -> str:
    """URL of the page, put together in `folder` with what it needs."""
    for file in PAGE.iterdir():
        shutil.copy(file, folder)
    for package in PACKAGES:
        for name, content in files_of(package).items():
            (folder / name).write_bytes(content)
    return (folder / "index.html").as_uri()


def files_of(package: Package) -> dict[str, bytes]:
    """The files that are used of it, from its archive."""
    with tarfile.open(fileobj=io.BytesIO(archive(package))) as packed:
        found = {name: packed.extractfile(path) for path, name in package.files.items()}
        return {name: file.read() for name, file in found.items() if file}


def archive(package: Package) -> bytes:
    """The archive, kept in the cache of this machine once its hash was right."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spanlint" / "npm"
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{package.name.replace('/', '-')}-{package.version}.tgz"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            fetched = _fetched(package, cache)
            digest = base64.b64encode(hashlib.sha512(fetched).digest()).decode()
            if digest != package.sha512:
                raise RuntimeError(f"{package.name} {package.version} is not what was pinned")
            path.write_bytes(fetched)
    return path.read_bytes()


def _fetched(package: Package, cache: Path) -> bytes:
    """By npm, which knows about mirrors; where there is none, from the registry itself."""
    if npm := shutil.which("npm"):
        command = [npm, "pack", "--silent", f"{package.name}@{package.version}"]
        done = subprocess.run(command, cwd=cache, capture_output=True, text=True, check=True)
        packed = cache / done.stdout.strip()
        content = packed.read_bytes()
        packed.unlink()
        return content
    short = package.name.rpartition("/")[2]
    url = f"https://registry.npmjs.org/{package.name}/-/{short}-{package.version}.tgz"
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())
