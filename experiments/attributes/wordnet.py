"""Make the attributes of Tiny-ImageNet: the hypernyms of its classes in WordNet 3.0.

    apt-get download wordnet-base && dpkg -x wordnet-base*.deb wordnet
    python -m experiments.attributes.wordnet wordnet/usr/share/wordnet/data.noun classes.csv

An attribute is a synset that covers from 8 to 192 of the 200 classes; where several cover the same
classes, the most specific one names them. The ids of ImageNet are offsets into WordNet 3.0's nouns.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

LEAST, MOST = 8, 192


def nouns(place: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Read the nouns of WordNet.

    Returns:
        By offset the first word of each synset, and the offsets of its hypernyms.
    """
    words, above = {}, {}
    for line in place.read_text("utf-8").splitlines():
        if line.startswith("  "):  # the licence
            continue
        cells = line.split(" | ")[0].split()
        offset, count = cells[0], int(cells[3], 16)
        words[offset] = cells[4].replace("_", " ")
        pointers = cells[5 + 2 * count : 5 + 2 * count + 4 * int(cells[4 + 2 * count])]
        above[offset] = [
            pointers[i + 1] for i in range(0, len(pointers), 4) if pointers[i] in ("@", "@i")
        ]
    return words, above


def closure(offset: str, above: Mapping[str, list[str]]) -> dict[str, int]:
    """Return a synset and all above it, by offset, each with its greatest distance."""
    found = {offset: 0}
    todo = [offset]
    while todo:
        own = todo.pop()
        for other in above[own]:
            if found.get(other, -1) < found[own] + 1:
                found[other] = found[own] + 1
                todo.append(other)
    return found


def groups(
    wnids: list[str], words: Mapping[str, str], above: Mapping[str, list[str]]
) -> dict[str, list[int]]:
    """Return the classes, by position, of every attribute; its name ends in its synset's offset."""
    covers: dict[str, list[int]] = defaultdict(list)
    far: dict[str, int] = defaultdict(int)
    for i, wnid in enumerate(wnids):
        for offset, steps in closure(wnid[1:], above).items():
            covers[offset].append(i)
            far[offset] = max(far[offset], steps)
    names: dict[tuple[int, ...], str] = {}
    for offset in sorted(covers, key=lambda o: (far[o], o)):  # the most specific first
        if LEAST <= len(covers[offset]) <= MOST:
            names.setdefault(tuple(covers[offset]), f"{words[offset]} n{offset}")
    return {name: list(members) for members, name in sorted(names.items(), key=lambda x: x[1])}


def main() -> None:
    """Write tiny-imagenet.json beside this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("nouns", type=Path, help="data.noun of WordNet 3.0")
    parser.add_argument("classes", type=Path, help="CSV of label, wnid, name, in order of labels")
    options = parser.parse_args()
    with options.classes.open(newline="", encoding="utf-8") as stream:
        wnids = [row["wnid"] for row in csv.DictReader(stream)]
    found = groups(wnids, *nouns(options.nouns))
    document = {
        "about": "hypernyms in WordNet 3.0 that cover 8 to 192 of the 200 classes, equal ones "
        "merged; made by experiments/attributes/wordnet.py. lite0 was trained with labels of which "
        "these are a part.",
        "images": 10_000,
        "drawn": "at random",
        "classes": wnids,
        "each_class": False,
        "groups": {name: [wnids[i] for i in members] for name, members in found.items()},
    }
    place = Path(__file__).with_name("tiny-imagenet.json")
    text = json.dumps(document, indent=1)
    compact = re.sub(r"\[[^]]*\]", lambda m: json.dumps(json.loads(m[0])), text)
    place.write_text(compact + "\n", "utf-8")
    print(f"{len(found)} attributes: {place.name}")


if __name__ == "__main__":
    main()
