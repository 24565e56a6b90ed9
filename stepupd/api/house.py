"""What every dialogue gets beside its connection: who serves, who may come in, how much fits."""

from dataclasses import dataclass

from stepupd.api.admission import Admission
from stepupd.api.limits import Limits
from stepupd.api.service import Service


@dataclass(frozen=True, slots=True)
class House:
    """One daemon's doors share one."""

    service: Service
    admission: Admission
    limits: Limits
