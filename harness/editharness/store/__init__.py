"""Run records: write, find, read, recompute. One folder per run; nothing here imports torch."""

from editharness.store.read import Scores, find_records, read_record, read_scores
from editharness.store.recompute import not_so
from editharness.store.record import (
    Config,
    Cost,
    DataFacts,
    HealthFacts,
    MethodFacts,
    ModelFacts,
    Outcomes,
    Preset,
    ProtocolFacts,
    RowScores,
    RunRecord,
    ScheduleFacts,
    run_id,
)
from editharness.store.write import RunFolder, check_writable, score_lines, series_lines

__all__ = [
    "Config",
    "Cost",
    "DataFacts",
    "HealthFacts",
    "MethodFacts",
    "ModelFacts",
    "Outcomes",
    "Preset",
    "ProtocolFacts",
    "RowScores",
    "RunFolder",
    "RunRecord",
    "ScheduleFacts",
    "Scores",
    "check_writable",
    "find_records",
    "not_so",
    "read_record",
    "read_scores",
    "run_id",
    "score_lines",
    "series_lines",
]
