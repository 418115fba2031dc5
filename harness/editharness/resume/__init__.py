"""What a run keeps while it is made, so that the same command goes on after a kill and ends with the same record.

folder      the folder of an unfinished run: `<output>/.<run id>.part`, its lock, and how it becomes a record
sweep       which runs of a command are done
identity    what the run depends on: where any of it differs, nothing that was kept is used
keeper      entries by name, in numbered files: JSON with safetensors beside it, whole or not there
whole       files that are whole or not there
steps       an arm's steps as entries: patch, statuses, generator; the state of the last
answers     a batch of answers as an entry, under everything that they depend on

A run is deterministic, so an entry saves work and decides nothing: what is not kept is made again, to the same bits.
"""
