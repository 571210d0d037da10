"""Configuration: the schema, its composition from ``conf/`` and the command line, its checks."""

from fedrlhf.config.component import build
from fedrlhf.config.load import as_dict, differences, load, split_overrides, text_override
from fedrlhf.config.sweep import SweepJob, expand

__all__ = ["SweepJob", "as_dict", "build", "differences", "expand", "load", "split_overrides",
           "text_override"]
