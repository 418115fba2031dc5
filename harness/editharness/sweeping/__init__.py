"""A grid of runs from one YAML file: read and checked as a whole, its missing cells made by worker processes.

`grid` reads the file into cells, value by value with `fields`; `checking` says what is wrong before the first one runs;
`made` finds the cells that have a record. `dispatch` gives the others to workers of an engine, `local` (whose processes
run `serve`) or `on_ray`; each makes one cell after another with `worker`.
"""
