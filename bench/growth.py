"""How deciding about one order takes longer with more services in the catalogue, in process."""

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from tests.unit.priorauth.wiser_requests import EVERYWHERE, ON, REGISTRY, line, request
from wiser_fhir.coverage import catalogue as module
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.priorauth.foresee import foresee

SIZES = (15, 150, 1_500)
MEASURED = {
    "recognised": "whose a code is",
    "foreseen": "a decision on a code of the model",
    "dismissed": "a decision on a code of nobody's",
    "clinical": "search for a clinical code of nobody's",
}
_COPIED, _CODE = "knee-arthroscopy-oa", "29877"
_LISTED, _OTHER = Code(CPT, "64483"), Code(CPT, "72148")
_CLINICAL = Code("http://snomed.info/sct", "1")  # nobody's
_TURNS, _IN_A_ROW = 5, 200


@dataclass(frozen=True, slots=True)
class Decided:
    """Microseconds with a catalogue of `services`, each the median of some turns; see MEASURED."""

    services: int
    recognised: float
    foreseen: float
    dismissed: float
    clinical: float


def measure(folder: Path) -> tuple[Decided, ...]:
    """Over the real catalogue, and over larger ones with copies of a service in them."""
    return tuple(_decided(size, _catalogue(folder / str(size), size)) for size in SIZES)


def _catalogue(folder: Path, size: int) -> Catalogue:
    real = Path(module.__file__).parent
    services = folder / "services"
    shutil.copytree(real / "services", services, ignore=shutil.ignore_patterns("examples"))
    for file in real.glob("*.toml"):
        shutil.copy(file, folder)
    taken = {code for file in services.glob("*/*.toml") for code in _codes(file.read_text())}
    free = (code for n in range(100_000) if (code := f"{n:05d}") not in taken)
    [rules] = (services / _COPIED).glob("*.toml")
    text = rules.read_text()
    missing = size - len(list(services.iterdir()))
    for _, code in zip(range(missing), free, strict=False):
        copy = services / f"{_COPIED}-{code}"
        copy.mkdir()
        (copy / rules.name).write_text(text.replace(_CODE, code))
    return Catalogue.load(folder)


def _codes(text: str) -> list[str]:
    return re.findall(r'"([0-9]{5})"', text)


def _decided(size: int, catalogue: Catalogue) -> Decided:
    decide = partial(
        foresee,
        standing=(),
        catalogue=catalogue,
        registry=REGISTRY,
        served_states=EVERYWHERE,
        on=ON,
    )
    return Decided(
        size,
        recognised=_microseconds(partial(catalogue.recognised, _LISTED, ON)),
        foreseen=_microseconds(partial(decide, request(items=(line(_LISTED.code),)))),
        dismissed=_microseconds(partial(decide, request(items=(line(_OTHER.code),)))),
        clinical=_microseconds(partial(catalogue.likely_codes, _CLINICAL, ON)),
    )


def _microseconds(work: Callable[[], object]) -> float:
    work()
    turns = []
    for _ in range(_TURNS):
        started = time.perf_counter()
        for _ in range(_IN_A_ROW):
            work()
        turns.append((time.perf_counter() - started) / _IN_A_ROW * 1e6)
    return median(turns)
