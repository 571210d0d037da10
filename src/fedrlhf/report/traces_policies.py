"""What the policies of a trace file are worth, as tables."""

from collections.abc import Sequence
from math import isfinite

from fedrlhf.data.traces.channels import Reward
from fedrlhf.data.traces.training_data import UserData
from fedrlhf.evaluation.intervals import Interval
from fedrlhf.evaluation.logged_policies import CLIP, estimates, logged_values
from fedrlhf.report.parts import Section, Table
from fedrlhf.report.words import fixed, plain

_NAME = 40  # characters of a policy's name
_FEW = 10  # effective answers below which an estimate is said to be worth little


def policy_section(users: Sequence[UserData], reward: Reward) -> Section:
    """Return the values of the policies that answered, and estimates for others."""
    tables = [table for table in (_values(users, reward), _estimates(users, reward)) if table.rows]
    return Section("policies", "Policies", "The reward is what the traces of an answer say, with "
                   "its 95% interval over users; final hints reached by gaming are left out.",
                   tables=tables)


def _values(users: Sequence[UserData], reward: Reward) -> Table:
    return Table(("policy", "answers", "users", "reward", "satisfaction", "learning"), [
        [plain(name, _NAME), f"{one.answers:,}", f"{one.users:,}",
         _with(one.reward, one.interval), fixed(one.satisfaction), fixed(one.learning)]
        for name, one in logged_values(users, reward).items()],
        "Policies that answered: means over their answers")


def _estimates(users: Sequence[UserData], reward: Reward) -> Table:
    found = estimates(users, reward)
    few = any(one.effective < _FEW for one in found.values())
    warning = f"; fewer than {_FEW} effective answers tell next to nothing" if few else ""
    return Table(("policy", "answers", "effective", f"weights above {CLIP:g}", "IPW", "SNIPW",
                  "doubly robust"), [
        [plain(name, _NAME), f"{one.answers:,}", fixed(one.effective, 1), f"{one.clipped:,}",
         fixed(one.ipw), _with(one.snipw, one.snipw_interval),
         _with(one.doubly_robust, one.doubly_robust_interval)] for name, one in found.items()],
        f"Policies that did not answer: estimated rewards{warning}")


def _with(value: float, found: Interval) -> str:
    """Show a value with its interval, where there is one."""
    if not isfinite(value):
        return "–"
    low, high = found
    return f"{fixed(value)} [{fixed(low)}, {fixed(high)}]" if isfinite(low) else fixed(value)
