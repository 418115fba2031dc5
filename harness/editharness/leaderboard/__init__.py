"""Boards: comparable runs side by side, made only from records on disk; nothing here imports torch.

board      the values: Board, BoardRow, what makes two runs comparable
rows       records -> boards: grouping, controls, pooled seeds, ranks
pooling    one cell from several seeds
text       numbers and names as safe text
terminal, markdown   the two faces
show       records on disk as text
claims     the papers' figures as values; csv_rows reads their files
beside     the papers' figures next to ours, with the settings that differ
series, grid         what stands beside a board: over the number of edits, batch size x edits; tables holds both
plots, wild_slope    what can be drawn of boards, and a synthetic board beside its WILD one; drawn by charts
"""
