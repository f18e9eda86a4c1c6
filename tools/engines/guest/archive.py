#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""archive.py FILE NUMBER [NAME=SOURCE]: an archive for `docker load` of an image named many, with so many layers. The first one has SOURCE as NAME;
each has a file of its own in d/, and one in the same place as all others."""
import hashlib
import io
import json
import sys
import tarfile


def entry(tar, name, data=None, mode=0o644):
    """Adds a file, or without data a directory."""
    info = tarfile.TarInfo(name)
    info.mode = mode if data is not None else 0o755
    info.type = tarfile.REGTYPE if data is not None else tarfile.DIRTYPE
    info.size = len(data or b"")
    tar.addfile(info, io.BytesIO(data or b""))


def layer(number, first):
    """The bytes of one layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        if number == 0:
            for name in ("bin", "proc", "sys", "dev", "etc", "tmp"):
                entry(tar, name)
            for name, data in first.items():
                entry(tar, name, data, 0o755)
        entry(tar, "d")
        entry(tar, f"d/{number}", f"layer {number}\n".encode())
        entry(tar, "same", f"from layer {number}\n".encode())
        if number > 2 and number % 3 == 0:
            entry(tar, f"d/.wh.{number - 2}", b"")
    return out.getvalue()


def main():
    path, count = sys.argv[1], int(sys.argv[2])
    first = {}
    for pair in sys.argv[3:]:
        name, source = pair.split("=", 1)
        with open(source, "rb") as file:
            first[name] = file.read()
    names, ids = [], []
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            data = layer(number, first)
            names.append(f"{number}/layer.tar")
            ids.append("sha256:" + hashlib.sha256(data).hexdigest())
            entry(archive, names[-1], data)
        config = {
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": ids},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "layer"} for _ in ids],
        }
        entry(archive, "config.json", json.dumps(config).encode())
        manifest = [{"Config": "config.json", "RepoTags": ["many:latest"], "Layers": names}]
        entry(archive, "manifest.json", json.dumps(manifest).encode())


main()
