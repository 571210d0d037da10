"""Pages, cards and tables about runs: pure readers of run directories."""
