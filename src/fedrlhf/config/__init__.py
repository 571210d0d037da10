"""Configuration: the schema, its composition from ``conf/`` and the command line, its checks."""

from fedrlhf.config.component import build
from fedrlhf.config.load import as_dict, differences, load, split_overrides, text_override

__all__ = ["as_dict", "build", "differences", "load", "split_overrides", "text_override"]
