"""Registries: one entry is one file with one decorator.

A registry imports every module of its room that holds an entry at the first look-up, refuses duplicates and suggests
near names. Other distributions add entries through the entry-point group ``robustness.<registry>``, which is read
only when a look-up misses or everything is listed. A plugin that cannot be loaded is warned of and left out: it is an
error only where its own entry is asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import InspectLoader
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from robustness.errors import DoubtWarning, InputError, RobustnessError, UnknownNameError, one_line, unknown_name

if TYPE_CHECKING:
    from robustness.entries import MetricEntry, ModelEntry, PerturbationEntry

T = TypeVar("T")
E = TypeVar("E")


class PluginWarning(DoubtWarning):
    """An entry of another distribution that cannot be loaded, and why."""


# What registers an entry, as a decorator or as a call.
_ENTRY = re.compile(r"""\w\.add\(\s*f?["']""")


class Registry(Generic[T]):
    """Names to entries of one room.

    Args:
        name: what an entry is called in messages ("perturbation").
        packages: the packages whose modules, at any depth, hold the entries ("robustness.perturb.prompt").
        needs: attributes that an entry must have; a plugin without one is left out.
    """

    def __init__(self, name: str, *packages: str, needs: Sequence[str] = ()) -> None:
        self.name = name
        self.packages = packages
        self.needs = tuple(needs)
        self._entries: dict[str, T] = {}
        self._unusable: dict[str, str] = {}
        self._imported = False
        self._plugins_read = False

    def add(self, name: str) -> Callable[[E], E]:
        """Return a decorator that registers its argument under `name`.

        Raises:
            InputError: the name is taken by another entry, or it is none.
        """
        if not isinstance(name, str):
            raise InputError(
                f'{self.name}: expected a name to register under, got {name!r}; write .add("NAME") above the class'
            )

        def decorate(entry: E) -> E:
            existing = self._entries.get(name)
            if existing is not None and _origin(existing) != _origin(entry):
                raise InputError(
                    f"{self.name} {name!r} is registered twice: {_origin(existing)} and {_origin(entry)}; rename one"
                )
            # A decorated class keeps its own type; that it is an entry is what the contract tests check.
            self._entries[name] = cast(T, entry)
            return entry

        return decorate

    def get(self, name: str) -> T:
        """Return the entry called `name`.

        Raises:
            UnknownNameError: no room and no installed plugin holds it.
            InputError: what was asked for is no name, or the plugin that offers it cannot be loaded.
        """
        if not isinstance(name, str):
            raise InputError(f"{self.name}: expected a name (robustness list {self.name}s), got {name!r}")
        self._import_room()
        if name not in self._entries:
            self._read_plugins()
        if name in self._entries:
            return self._entries[name]
        if name in self._unusable:
            raise InputError(f"{self._unusable[name]}; mend the plugin, or uninstall it")
        raise UnknownNameError(unknown_name(self.name, name, sorted(self._entries)))

    __getitem__ = get

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        self._import_room()
        self._read_plugins()
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def _import_room(self) -> None:
        if self._imported:
            return
        for name in self.packages:
            package = importlib.import_module(name)
            for module in pkgutil.walk_packages(package.__path__, prefix=f"{name}."):
                if module.ispkg or _may_register(module):
                    importlib.import_module(module.name)
        self._imported = True

    def _read_plugins(self) -> None:
        if self._plugins_read:
            return
        self._plugins_read = True
        for point in entry_points(group=f"robustness.{self.name}s"):
            from robustness.foreign_code import foreign_code

            try:
                with foreign_code():
                    self._add_plugin(point)
            except Exception as error:
                problem = one_line(error, most=300)
                if not isinstance(error, RobustnessError):
                    problem = f"{type(error).__name__}: {problem}"
                source = f"{self.name} {point.name!r} of the plugin {_distribution(point)} ({point.value})"
                self._unusable[point.name] = f"{source} cannot be loaded: {problem}"
                warnings.warn(f"{self._unusable[point.name]}; it is left out", PluginWarning, stacklevel=3)

    def _add_plugin(self, point: EntryPoint) -> None:
        entry = point.load()
        if not isinstance(entry, type):
            raise InputError(f"expected a class, got an object of type {type(entry).__name__}")
        lacking = [need for need in self.needs if not hasattr(entry, need)]
        if lacking:
            raise InputError(f"expected a {self.name} class with {', '.join(self.needs)}, it has no {lacking[0]!r}")
        self.add(point.name)(entry)


def installed_plugins() -> list[dict[str, str]]:
    """Return the entries that other distributions offer, by metadata alone: nothing of them is loaded.

    Returns:
        One record per entry: `group`, `name`, `object`, `distribution`, `version`, sorted.
    """
    records = [
        {
            "group": point.group,
            "name": point.name,
            "object": point.value,
            "distribution": point.dist.name if point.dist else "",
            "version": point.dist.version if point.dist else "",
        }
        for kind in ("perturbations", "models", "metrics")
        for point in entry_points(group=f"robustness.{kind}")
    ]
    return sorted(records, key=lambda record: tuple(record.values()))


def _may_register(module: pkgutil.ModuleInfo) -> bool:
    """Return whether a module's source holds an ``.add("NAME")``; one whose source cannot be read may hold anything."""
    spec = module.module_finder.find_spec(module.name, None)
    loader = spec.loader if spec else None
    source = loader.get_source(module.name) if isinstance(loader, InspectLoader) else None
    return source is None or _ENTRY.search(source) is not None


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "of no distribution"


def _origin(entry: Any) -> str:
    return f"{getattr(entry, '__module__', '?')}.{getattr(entry, '__qualname__', repr(entry))}"


PERTURBATIONS: Registry[type[PerturbationEntry]] = Registry(
    "perturbation",
    "robustness.perturb.prompt",
    "robustness.perturb.image",
    "robustness.perturb.attacks",
    needs=("target", "severities", "expand", "propose", "apply", "expect", "condition"),
)
MODELS: Registry[type[ModelEntry]] = Registry("model", "robustness.runners.models", needs=("title", "takes_text"))
METRICS: Registry[type[MetricEntry]] = Registry(
    "metric", "robustness.metrics.scores", needs=("definition", "higher_is_better", "low", "high", "needs")
)
