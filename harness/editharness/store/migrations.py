"""Records of earlier schema versions, brought to the present one, a version at a time. The files stay as they are.

1 -> 2    data.negation became data.selection and data.refused; rows have series, the record has health
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from editharness.store.fields import Fields
from editharness.store.record import SCHEMA


def migrated(raw: object) -> object:
    """Parsed JSON of any version as one of the present version; RecordError for a version that nobody here knows.

    What is malformed is handed on as it is, for the reader to name; `raw` is not changed.
    """
    f = Fields(raw, "")
    version = f.integer("schema")
    if version not in (*STEPS, SCHEMA):
        known = f"{min(STEPS)} to {SCHEMA}"
        raise f.refuse("schema", f"{version} cannot be read here, only {known}: install the editharness that wrote it")
    now: dict[str, Any] = dict(raw)  # type: ignore[call-overload]  # Fields has refused what is no object
    for step in range(version, SCHEMA):
        now = {**STEPS[step](now), "schema": step + 1}
    return now


def _from_1(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The first records counted negations alone; series and health came later, within version 1."""
    rows, data = raw.get("rows"), raw.get("data")
    if isinstance(rows, list):
        rows = [{"series": [], **row} if isinstance(row, dict) else row for row in rows]
    found = {"health": None, **raw}
    return {**found, **({"rows": rows} if "rows" in raw else {}), **({"data": _data_1(data)} if "data" in raw else {})}


def _data_1(data: Any) -> Any:
    """`data` with what was counted under the names that every protocol has."""
    if not isinstance(data, dict) or "negation" not in data:
        return data
    rest = {key: value for key, value in data.items() if key != "negation"}
    negation = data["negation"]
    if not isinstance(negation, dict):
        return {"selection": {}, "refused": {}, **rest}
    refused = {"no negation could be made": negation["refused"]} if negation.get("refused") else {}
    made = {key: value for key, value in negation.items() if key != "refused" and value != 0}
    return {"selection": made, "refused": refused, **rest}


STEPS: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _from_1}
