"""Strategies of this project; every other Flower strategy works as well."""

from fedrlhf.federation.strategies.base import SelectorStrategy
from fedrlhf.federation.strategies.fedbis import FedBis
from fedrlhf.federation.strategies.fedbiscuit import FedBiscuit
from fedrlhf.federation.strategies.ifca import Ifca
from fedrlhf.federation.strategies.local_only import LocalOnly
from fedrlhf.federation.strategies.step_matched import StepMatchedFedBis

__all__ = ["FedBis", "FedBiscuit", "Ifca", "LocalOnly", "SelectorStrategy", "StepMatchedFedBis"]
