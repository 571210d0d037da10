"""report.html (to be written)."""
from fedrlhf.tracking.run_directory import RunDirectory


def write_report(run: RunDirectory) -> None:
    """Placeholder."""
