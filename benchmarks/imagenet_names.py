"""Make the words that `analyze --names` chooses from: ImageNet's classes, and groups of them.

A group is a noun of WordNet 3.0 that is above 2 to 700 of the 1,000 classes. Groups of the same
classes are one, under the most specific noun. Names are WordNet's first word for a noun, but where
that means something else to most readers, or nothing; nouns that tell a reader nothing are left
out. Two entries came after looking at tasks of BAR and CIFAR-10 (container, above vehicles, is left
out; heavier-than-air craft is called airplane), the others before looking at any.

    apt-get download wordnet-base && dpkg -x wordnet-base_*.deb wordnet
    unzip timm-*.whl timm/data/_info/imagenet_synsets.txt
    python -m benchmarks.imagenet_names --nouns wordnet/usr/share/wordnet/data.noun \
        --synsets timm/data/_info/imagenet_synsets.txt

The second file is the list of the 1,000 WordNet ids, a line each; classes are in their order.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import taskdiscovery.analysis.naming

TABLE = Path(taskdiscovery.analysis.naming.__file__).parent / "imagenet.csv"
FEWEST, MOST = 2, 700

#: names in place of WordNet's first word, by WordNet id.
NAMED = {
    "n01494475": "hammerhead shark",
    "n01514668": "rooster",
    "n01608432": "kite (bird)",
    "n01664065": "loggerhead turtle",
    "n01847000": "drake (duck)",
    "n02012849": "crane (bird)",
    "n02096177": "cairn terrier",
    "n02098413": "Lhasa apso",
    "n02105412": "kelpie (dog)",
    "n02108089": "boxer (dog)",
    "n02112137": "chow chow",
    "n02113023": "Pembroke Welsh corgi",
    "n02113186": "Cardigan Welsh corgi",
    "n02134084": "polar bear",
    "n02231487": "stick insect",
    "n02276258": "admiral (butterfly)",
    "n02277742": "ringlet butterfly",
    "n02279972": "monarch butterfly",
    "n02328150": "Angora rabbit",
    "n02389026": "sorrel (horse)",
    "n02412080": "ram (sheep)",
    "n02415577": "bighorn sheep",
    "n02493509": "titi monkey",
    "n02509815": "red panda",
    "n02704792": "amphibious vehicle",
    "n02814860": "lighthouse",
    "n02817516": "bearskin (hat)",
    "n02840245": "ring binder",
    "n02879718": "bow (weapon)",
    "n02892201": "brass plaque",
    "n02930766": "taxi",
    "n03014705": "chest (box)",
    "n03032252": "movie theater",
    "n03089624": "candy store",
    "n03126707": "crane (machine)",
    "n03337140": "file cabinet",
    "n03459775": "radiator grille",
    "n03584829": "clothes iron",
    "n03595614": "T-shirt",
    "n03673027": "ocean liner",
    "n03710721": "tank suit",
    "n03761084": "microwave oven",
    "n03782006": "computer monitor",
    "n03786901": "mortar (bowl)",
    "n03793489": "computer mouse",
    "n03832673": "notebook computer",
    "n03854065": "pipe organ",
    "n03895866": "passenger car (railway)",
    "n03929660": "plectrum",
    "n03947888": "pirate ship",
    "n03950228": "pitcher (jug)",
    "n03954731": "carpenter's plane",
    "n03991062": "flowerpot",
    "n04019541": "hockey puck",
    "n04037443": "race car",
    "n04118776": "ruler",
    "n04141076": "saxophone",
    "n04141975": "weighing machine",
    "n04152593": "CRT screen",
    "n04243546": "one-armed bandit",
    "n04355933": "sunglass (lens)",
    "n04367480": "mop",
    "n04399382": "teddy bear",
    "n04515003": "upright piano",
    "n04517823": "vacuum cleaner",
    "n04554684": "washing machine",
    "n04592741": "wing (of a plane)",
    "n07697537": "hot dog",
    "n12620546": "rose hip",
    "n13133613": "ear of corn",
    # groups
    "n00021939": "man-made object",
    "n00021265": "food or drink",
    "n01482071": "shark or ray",
    "n01525720": "songbird",
    "n01639765": "frog or toad",
    "n01741943": "boa or python",
    "n01844917": "water bird",
    "n01845477": "duck or goose",
    "n01909422": "jellyfish or coral",
    "n01914163": "sea anemone or coral",
    "n02134971": "mongoose family",
    "n02206270": "bee or ant",
    "n02226183": "grasshopper or cricket",
    "n02232951": "cockroach or mantis",
    "n02246011": "cicada or leafhopper",
    "n02268148": "dragonfly or damselfly",
    "n02323902": "rabbit or hare",
    "n02370806": "hoofed mammal",
    "n02374149": "horse or zebra",
    "n02441326": "weasel family",
    "n02453611": "armadillo or sloth",
    "n02470899": "ape",
    "n02507649": "panda",
    "n02528163": "bony fish",
    "n02817799": "reed instrument",
    "n02891788": "brass instrument",
    "n02959942": "railway car",
    "n03125870": "ship or aircraft",
    "n03206908": "crockery",
    "n03265032": "cutting tool",
    "n03450516": "gown or vestment",
    "n03484083": "wheelbarrow or shopping cart",
    "n03502509": "headgear",
    "n03725035": "face mask",
    "n03510583": "airplane",
    "n03739693": "medical instrument",
    "n03863923": "coat or poncho",
    "n03964744": "toy",
    "n04263760": "candle, torch or light",
    "n04388743": "water tank",
    "n04530566": "watercraft",
    "n04531098": "vessel (container)",
    "n04598582": "woodwind instrument",
    "n07555863": "solid food",
    "n07557434": "prepared dish",
    "n07705711": "fruit or vegetable",
    "n07747055": "citrus fruit",
    "n07884567": "alcoholic drink",
    "n07930554": "punch (drink)",
}

#: nouns that tell a reader nothing, or nothing beside a group of nearly the same classes.
LEFT_OUT = (
    """
abstraction, agent, ambystomid, attire, cap, cat, causal agent, cloth, cloth covering,
commodity, communication, communication system, consumer goods, container, control, conveyance,
coraciiform bird, course, covering, data input device, diapsid, double-reed instrument, drug,
durables, electro-acoustic transducer, food fish, framework, free-reed instrument, ganoid, gear,
instrumentality, magnifier, matter, mechanical device, mercantile establishment, natural object,
nutriment, part, percoid fish, phasianid, piciform bird, piece, place of business, placental,
plate, relation, reservoir, restraint, screen, sheet, shelter, solanaceous vegetable, staff,
starches, stick, substance, support, supporting structure, system, top, transducer, ware, weight
""".replace("\n", " ")
    .strip()
    .split(", ")
)


class Noun(NamedTuple):
    """A noun of WordNet: its words, the first the commonest, and the nouns right above it."""

    words: list[str]
    above: list[str]


def read_nouns(path: Path) -> dict[str, Noun]:
    """Read WordNet's `data.noun`: nouns by their WordNet id."""
    found = {}
    for line in path.read_text("latin-1").splitlines():
        if line.startswith("  "):  # the licence
            continue
        fields = line.split(" | ")[0].split()
        count = int(fields[3], 16)
        words = [word.replace("_", " ") for word in fields[4 : 4 + 2 * count : 2]]
        at = 4 + 2 * count
        pointers = [fields[at + 1 + 4 * i : at + 4 + 4 * i] for i in range(int(fields[at]))]
        above = [f"n{offset}" for symbol, offset, _ in pointers if symbol in ("@", "@i")]
        found[f"n{fields[0]}"] = Noun(words, above)
    return found


def all_above(wnid: str, nouns: dict[str, Noun]) -> set[str]:
    """Return the ids of a noun and of all above it."""
    found: set[str] = set()
    todo = [wnid]
    while todo:
        own = todo.pop()
        if own not in found:
            found.add(own)
            todo += nouns[own].above
    return found


def ranges(positions: Iterable[int]) -> str:
    """Write rising numbers briefly: `151-268 275`."""
    runs = itertools.groupby(enumerate(positions), key=lambda pair: pair[1] - pair[0])
    ends = [[position for _, position in run] for _, run in runs]
    return " ".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else str(r[0]) for r in ends)


def rows_of(nouns: dict[str, Noun], classes: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return (WordNet id, name, positions of its classes) of each class, then of each group.

    Raises:
        ValueError: where classes are not in order, or two rows have one name.
    """
    if list(classes) != sorted(set(classes)):
        raise ValueError("ImageNet's classes stand in the order of their ids")
    below: dict[str, list[int]] = defaultdict(list)
    for position, wnid in enumerate(classes):
        for own in all_above(wnid, nouns):
            below[own].append(position)
    same: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for wnid, positions in below.items():
        if FEWEST <= len(positions) <= MOST:
            same[tuple(positions)].append(wnid)
    rows = [(wnid, _name(wnid, nouns), str(i)) for i, wnid in enumerate(classes)]
    for members, alike in sorted(same.items(), key=lambda pair: (-len(pair[0]), pair[0])):
        # The most specific has the others above it.
        alike.sort(key=lambda wnid: (-len(all_above(wnid, nouns)), wnid))
        told = [w for w in alike if w in NAMED or nouns[w].words[0] not in LEFT_OUT]
        if told:
            rows.append((told[0], _name(told[0], nouns), ranges(members)))
    names = [name.casefold() for _, name, _ in rows]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two rows have one name: {', '.join(twice)}")
    return rows


def _name(wnid: str, nouns: dict[str, Noun]) -> str:
    return NAMED.get(wnid, nouns[wnid].words[0])


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nouns", type=Path, required=True, help="WordNet 3.0's data.noun")
    parser.add_argument("--synsets", type=Path, required=True, help="ImageNet's ids, a line each")
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args()
    rows = rows_of(read_nouns(options.nouns), options.synsets.read_text("utf-8").split())
    with options.out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("wnid", "name", "classes"))
        writer.writerows(rows)
    groups = sum(1 for row in rows if not row[2].isdigit())
    print(f"{len(rows) - groups} classes, {groups} groups: {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
