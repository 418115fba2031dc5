"""From a judge's name to its verdicts: make it, sit it before the battery, judge what is not known yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.errors import EditHarnessError, OptionError, PluginError
from editharness.judge import Item, Judge, Verdict
from editharness.judging.battery import Sanity, assess, assess_graded, battery
from editharness.judging.cache import VerdictCache, judge_key
from editharness.options import resolve_options

if TYPE_CHECKING:
    from editharness.registry import Registry
    from editharness.types import JudgeSpec

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Decided:
    """A judge's result on a list of items: the battery, and the verdicts, none where the battery was failed."""

    sanity: Sanity
    identity: Mapping[str, Any]
    verdicts: Sequence[Verdict]


@dataclass(frozen=True)
class Bench:
    """A judge as plugin (`spec`), made with its options, and the folder where its verdicts are kept."""

    spec: JudgeSpec
    judge: Judge[Any]
    cache: Path

    def decide(self, items: Sequence[Item], progress: Progress = lambda done: None) -> Decided:
        """The battery first; then one verdict per item, in order. Equal items are judged once.

        Raises JudgeError where nothing can be judged at all, PluginError where the judge breaks its contract.
        """
        identity = self.identity()
        known = self._known(identity)
        probes = battery()
        on_probes = known([probe.item for probe in probes], lambda done: None)
        sanity = (assess_graded if self.judge.graded else assess)(probes, on_probes)
        return Decided(sanity, identity, () if sanity.failed else known(items, progress))

    def identity(self) -> dict[str, Any]:
        """What the verdicts depend on: the judge's version and own identity."""
        return {"version": self.judge.version, **self.judge.identity()}

    def _known(self, identity: Mapping[str, Any]) -> Callable[[Sequence[Item], Progress], list[Verdict]]:
        kept = VerdictCache(self.cache, judge_key(self.spec.ref, self.judge.version, identity))
        store = kept if self.judge.kept else None
        asked = False

        def verdicts(items: Sequence[Item], progress: Progress) -> list[Verdict]:
            nonlocal asked
            found = store.get(items) if store is not None else {}
            missing = {item.digest: item for item in items if item.digest not in found}
            progress(len(items) - sum(item.digest in missing for item in items))
            if missing and not asked:
                self.judge.ready()  # a judge whose verdicts are all known need not be there
                asked = True
            for part in _parts(list(missing.values()), self.judge.at_once):
                made = dict(zip((item.digest for item in part), self._ask(part), strict=True))
                if store is not None:
                    store.put(made)
                found.update(made)
                progress(sum(item.digest in made for item in items))
            return [found[item.digest] for item in items]

        return verdicts

    def _ask(self, items: Sequence[Item]) -> Sequence[Verdict]:
        """The judge's verdicts, checked against its contract."""
        try:
            made = list(self.judge.verdicts(items))
        except EditHarnessError:
            raise
        except Exception as error:
            raise PluginError(f"judge {self.spec.name!r} failed: {type(error).__name__}: {error}") from error
        if len(made) != len(items):
            raise PluginError(f"judge {self.spec.name!r} gave {len(made)} verdicts on {len(items)} answers")
        for verdict in made:
            if not isinstance(verdict, Verdict) or not verdict.fits(graded=self.judge.graded):
                raise PluginError(f"judge {self.spec.name!r} gave {verdict!r}: {self._contract()}")
        return made

    def _contract(self) -> str:
        if self.judge.graded:
            return "a Verdict of a graded judge is graded with a score in [0, 1], or unscored"
        return "a Verdict is one of correct, incorrect, unscored"


def make_judge(registry: Registry, name: str, settings: Mapping[str, str], cache: Path) -> Bench:
    """The judge of this name with its options; raises UnknownNameError, OptionError or PluginError."""
    spec = registry.judge(name)
    if spec.options is None and settings:
        raise OptionError(f"judge {name!r} has no options: leave --judge-set {next(iter(settings))}=... out")
    options = resolve_options(spec.options, {}, settings) if spec.options is not None else None
    made = registry.resolve(spec.ref)(options)
    if not isinstance(made, Judge):
        raise PluginError(f"judge {name!r}: {spec.ref} is no editharness.judge.Judge")
    return Bench(spec, made, cache)


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
