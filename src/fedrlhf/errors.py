"""The errors that a caller can act on."""


class FedrlhfError(Exception):
    """A run that cannot go on; the command line ends with exit code 1."""


class UserError(FedrlhfError):
    """Something the user can mend: the message names the value, the place and what to do.

    The command line prints the message without a stack trace and ends with exit code 2.
    """


class ConfigError(UserError):
    """A configuration that does not compose, does not validate or names something unknown."""


class DataError(UserError):
    """A data file or partition that cannot be used as asked."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: the machine is taken back. The command line ends with exit code 143."""


class RunFailed(FedrlhfError):
    """A run that started and failed, such as a federation whose clients keep failing."""
