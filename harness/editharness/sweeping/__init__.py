"""A grid of runs from one YAML file: read and checked as a whole, its missing cells made by worker processes.

    fields      what a cell may say, and how a value is read
    grid        the file: `defaults`, `grid`, `include`, `exclude` -> cells, each value with its line
    checking    what can be known to be wrong before the first cell runs
    made        the cells whose record is there
    worker      one cell after another in one process, which keeps the model and its unedited answers
    serve       the process of a local worker
    local, on_ray    where workers live
    dispatch    which worker gets which cell; what becomes of a cell whose worker died
"""
