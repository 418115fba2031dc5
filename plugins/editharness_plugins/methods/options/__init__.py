"""Options of the methods that no core of the harness declares, by family; torch-free."""
