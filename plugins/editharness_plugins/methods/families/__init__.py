"""The specs of all methods, by family; torch-free, so that listing them is instant."""
