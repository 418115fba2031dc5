"""A small model that really knows facts and can be edited, with its data set and the recipe that makes both."""
