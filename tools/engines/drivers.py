#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""drivers.py table|draw DIRECTORY: what the step `drivers` has measured, as rows of a table in reStructuredText, or as a picture in SVG.

DIRECTORY has the logs of both modules, with lines `% ENGINE.DRIVER.OPERATION MILLISECONDS KIB`. A driver that uses overlay has a row for each module;
for others both guests give the same, so their rounds are taken together."""
import math
import statistics
import sys

OPERATIONS = ("start", "write", "commit", "remove")
TITLES = {
    "start": "start of a container",
    "write": "first write to a file of 64 MiB of the image",
    "commit": "commit of what was written",
    "remove": "removal of the container",
}
OVERLAYS = ("overlay2", "overlayfs")
MODULES = {"overlay": "in-tree", "rovl": "rovl"}
COLOURS = {"in-tree": "#b3261e", "rovl": "#1f5fbf", "": "#888"}


def read(directory):
    """(engine, driver, module) to operation to a list of (milliseconds, KiB), in the order of the logs."""
    results = {}
    for kind, module in MODULES.items():
        with open(f"{directory}/log-{kind}", encoding="utf-8", errors="replace") as log:
            for line in log:
                words = line.split()
                if len(words) != 4 or words[0] != "%":
                    continue
                engine, driver, operation = words[1].split(".")
                key = (engine, driver, module if driver in OVERLAYS else "")
                rounds = results.setdefault(key, {}).setdefault(operation, [])
                rounds.append((int(words[2]), int(words[3])))
    return dict(sorted(results.items(), key=lambda item: (item[0][0] != "docker", item[0][1] not in OVERLAYS, item[0][1:])))


def median(rounds):
    """The medians of time and of space."""
    return tuple(round(statistics.median(column)) for column in zip(*rounds))


def size(kib):
    """Space for people: below a page of a file system's own there is only noise."""
    if abs(kib) < 1024:
        return f"{kib} KiB"
    return f"{kib / 1024:.1f} MiB"


def table(results):
    """A row for each driver: time and space of each operation."""
    for (engine, driver, module), operations in results.items():
        cells = [engine, f"{driver} ({module})" if module else driver]
        for operation in OPERATIONS:
            if operation not in operations:
                cells.append("")
                continue
            milliseconds, kib = median(operations[operation])
            cells.append(f"{milliseconds} ms" if operation == "remove" else f"{milliseconds} ms; {size(kib)}")
        print("   " + ", ".join(cells))


def text(x, y, words, **attributes):
    """An element of SVG."""
    options = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x}" y="{y}"{options}>{words}</text>'


def draw(results):
    """Bars of time on a logarithmic axis, with the space beside them; a panel for each operation and engine."""
    left, right, bar, y = 150, 620, 16, 40
    lines = [text(10, 20, "what a container costs by driver", font_size=15),
             text(10, 36, "milliseconds in an emulated guest, logarithmic, and what it takes of the disk; less is better", fill="#555")]
    longest = max(median(rounds)[0] for operations in results.values() for rounds in operations.values())
    top = max(1.0, math.log10(max(longest, 10)))
    for engine in dict.fromkeys(key[0] for key in results):
        for operation in OPERATIONS:
            rows = [(key, operations[operation]) for key, operations in results.items() if key[0] == engine and operation in operations]
            if not rows:
                continue
            y += 34
            lines.append(text(10, y, f"{engine}: {TITLES[operation]}", font_weight="bold"))
            for (_, driver, module), rounds in rows:
                y += bar + 4
                milliseconds, kib = median(rounds)
                width = round((right - left) * math.log10(max(milliseconds, 1)) / top, 1)
                lines.append(text(left - 6, y, f"{driver} {module}".strip(), text_anchor="end"))
                lines.append(f'<rect x="{left}" y="{y - 12}" width="{max(width, 1)}" height="{bar}" fill="{COLOURS[module]}"/>')
                note = f"{milliseconds} ms" if operation == "remove" else f"{milliseconds} ms, {size(kib)}"
                lines.append(text(round(left + max(width, 1) + 6, 1), y, note, fill="#555"))
    height = y + 20
    print("<!-- SPDX-License-Identifier: GPL-2.0 -->")
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="770" height="{height}" viewBox="0 0 770 {height}" font-family="sans-serif" font-size="11">')
    print(f'<rect x="0" y="0" width="770" height="{height}" fill="white"/>')
    print("\n".join(lines))
    print("</svg>")


def main():
    results = read(sys.argv[2])
    if not results:
        sys.exit(f"{sys.argv[2]} has no measurements: run make engines E=drivers")
    {"table": table, "draw": draw}[sys.argv[1]](results)


main()
