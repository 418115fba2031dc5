"""Edits as files that other programs load: a checkpoint, a PEFT adapter, or a patch to put on and take off later.

exporting   written facts as a folder of one of these forms, with card and provenance
forms       which forms there are, and which methods each can hold
folder      a folder that appears whole or not at all
provenance  what was edited, of which model, by what: export.json in every folder
checkpoint  weights with the edit merged; configuration and tokenizer of the base, as they are
lowrank     a delta in as few factors as hold it, or as are allowed, with the error
adapter     a PEFT LoRA adapter
patches     put a saved patch on a model, and take it off again bit for bit
card        README.md, with the scores of a record
"""
