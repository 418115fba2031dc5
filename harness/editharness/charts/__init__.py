"""Plots as SVG text, from numbers and names alone; nothing here knows what is plotted.

svg       the figure: text that cannot break out of it, colours for light and dark pages, shapes beside colours
axes      a rectangle with ticks, ranges, the legend
labels    how wide text is, names beside points without overlaps
heat, points, curves, slopes     the plots: heat_map, scatter, lines_with_bands, slope_chart
"""
